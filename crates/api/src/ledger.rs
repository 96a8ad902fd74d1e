//! The ledger itself: how it stands, what it holds, and its views: `/api/v1/ledger`, `/api/v1/views`.

mod cloud_event;
mod feed;

pub use cloud_event::cloud_event;
pub use feed::feed_line;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Response, StatusCode};
use bincard_ledger::Timestamp;
use bincard_projections::{Error, ViewName};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer;
use crate::app::App;
use crate::asker::{Asker, MinPosition};
use crate::docs::schema::{Ledger, Problem, ReadAfter, RebuildAnswer};
use crate::failure::{Failure, Missing};
use crate::segment::Segment;
use crate::wire::json::Json;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(head))
        .routes(routes!(feed::events))
        .routes(routes!(rebuild))
}

/// How the ledger stands.
///
/// The head's hash commits to every event before it. `views` says how far each view is behind.
#[utoipa::path(
    get,
    path = "/api/v1/ledger",
    tag = "Ledger",
    params(ReadAfter),
    responses((status = 200, body = Ledger))
)]
async fn head(asker: Asker, MinPosition(min): MinPosition) -> Result<Response<Body>, Failure> {
    asker.open.wait_for_head(min).await?;
    let status = asker.open.ledger.status();
    let position = status.head.position;
    let mut json = Json::with_capacity(512);
    json.raw(r#"{"head":{"position":"#).whole(position.0);
    json.raw(r#","hash":"#).text(&status.head.hash.to_string());
    let recorded_at = (status.head.recorded_at != Timestamp::MIN).then_some(status.head.recorded_at);
    json.raw(r#","recordedAt":"#).instant_or_null(recorded_at);
    json.raw(r#"},"views":["#);
    for (index, view) in asker.open.views.status().iter().enumerate() {
        json.raw(if index == 0 { r#"{"name":"# } else { r#",{"name":"# });
        json.text(view.view.as_str());
        json.raw(r#","position":"#).whole(view.position.0);
        json.raw(r#","behind":"#)
            .whole(position.0.saturating_sub(view.position.0));
        json.raw(r#","ready":"#).flag(view.generation.is_some());
        json.raw(r#","building":"#);
        match view.building {
            Some(reached) => json.whole(reached.0),
            None => json.raw("null"),
        };
        json.raw(r#","error":"#)
            .text_or_null(view.error.as_deref())
            .raw("}");
    }
    json.raw(r#"],"stopped":"#)
        .text_or_null(status.stopped.map(|why| why.to_string()).as_deref());
    json.raw("}");
    Ok(answer::read(position, json))
}

/// Build a view anew.
///
/// For an ADMIN. The view is built from the whole log beside the live one, which goes on answering, and takes its
/// place once it has caught up. `GET /api/v1/ledger` shows how far it is.
#[utoipa::path(
    post,
    path = "/api/v1/views/{view}/rebuild",
    tag = "Ledger",
    params(("view" = String, Path, description = "stock, history, catalogue, reservations, exceptions, transfers or counts")),
    responses(
        (status = 202, description = "Begun, or under way already", body = RebuildAnswer),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn rebuild(asker: Asker, Segment(view): Segment) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.is_admin())?;
    let view = ViewName::parse(&view).ok_or(Failure::NotFound(Missing::View))?;
    match asker.open.views.rebuild(view).await {
        // It is built to the end whether anybody waits or not.
        Ok(_) | Err(Error::Rebuilding { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let mut json = Json::with_capacity(64);
    json.raw(r#"{"view":"#)
        .text(view.as_str())
        .raw(r#","status":"rebuilding"}"#);
    Ok(answer::json(StatusCode::ACCEPTED, json))
}
