//! `POST /api/v1/exceptions/{id}/clear`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use bincard_ledger::{ClearCommand, Command};

use super::{NONE, exception_of, made};
use crate::app::App;
use crate::asker::Asker;
use crate::body;
use crate::docs::schema::{AtVersion, Event, Keyed, NewNotes, Problem};
use crate::failure::Failure;
use crate::if_match;
use crate::rejected::Shape;
use crate::segment::Segment;
use crate::stock_events::answer_event;

/// Clear an exception: say that it was seen to.
///
/// It is cleared once. The notes say what was found or done about it.
#[utoipa::path(
    post,
    path = "/api/v1/exceptions/{id}/clear",
    tag = "Exceptions",
    params(
        ("id" = Uuid, Path, description = "The exception"),
        Keyed,
        AtVersion,
    ),
    request_body(content = Option<NewNotes>, content_type = "application/json"),
    responses(
        (status = 201, description = "The event that records it", body = Event),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has been cleared already, or the key belongs to another request", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The warehouse has come to another version than was expected", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn clear(
    State(app): State<Arc<App>>,
    asker: Asker,
    Segment(id): Segment,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_oversee_stock())?;
    body::require_json(&headers)?;
    let (exception, recorded) = made(&asker, &id).await?;
    let event = exception_of(&recorded).ok_or(NONE)?;
    let (notes, user) = body::notes(&body::read(body).await?)?;
    let command = Command::Clear(ClearCommand {
        version: if_match::version_of(&headers)?,
        warehouse: event.warehouse,
        exception,
        notes,
    });
    let receipt = asker
        .submit_for(&app, &headers, user, command, Shape::Notes)
        .await?;
    answer_event(&app, &asker.open.ledger, &receipt).await
}
