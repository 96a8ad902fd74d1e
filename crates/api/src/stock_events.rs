//! Stock events: `/api/v1/stock-events`.

mod bulk;
mod create;
mod draft;
mod export;
mod fast;
mod fetch;
mod list;
mod render;
mod reverse;

pub(crate) use bulk::key_of_line;
pub(crate) use create::{answer_event, check_warehouse, create, key_of};
pub(crate) use fetch::{author_of, read_events};
pub(crate) use list::{numbers_of, variant_of};
pub(crate) use render::write_noted;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{Request, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::docs::schema::{AtVersion, Event, Keyed, NewEvent, Problem};
use crate::failure::Failure;
use crate::trace::Trace;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(create_routed, list::list))
        .routes(routes!(bulk::bulk))
        .routes(routes!(fetch::fetch))
        .routes(routes!(reverse::reverse))
}

/// Record a stock event.
///
/// ADMIN and MANAGER record anywhere, SELLER at its own warehouses. The event is decided and durable when it is
/// answered. With an `Idempotency-Key`, the same request sent again gets the first answer again, with
/// `Idempotency-Replayed: true`, and nothing is recorded twice, ever.
#[utoipa::path(
    post,
    path = "/api/v1/stock-events",
    tag = "Stock events",
    params(
        Keyed,
        AtVersion,
    ),
    request_body = NewEvent,
    responses(
        (status = 201, description = "Recorded", body = Event, headers(
            ("Location" = String, description = "Where it is found"),
            ("Ledger-Position" = u64, description = "Its place in the log"),
            ("ETag" = String, description = "The version to which it brought the warehouse"),
            ("Idempotency-Replayed" = Option<bool>, description = "It had been recorded before under this key"),
        )),
        (status = 400, description = "Invalid payload", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "Not at this warehouse", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "No such warehouse or variant", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Not enough stock, or the key belongs to another request", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The warehouse has come to another version, or another quantity is available, than was expected", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create_routed(
    State(app): State<Arc<App>>,
    Extension(trace): Extension<Arc<Trace>>,
    request: Request<Body>,
) -> Result<Response<Body>, Failure> {
    create(&app, request, &trace).await
}
