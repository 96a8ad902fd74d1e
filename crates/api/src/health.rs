//! For whoever runs the server: whether it lives, whether it is ready, and what it counts.

mod metrics;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer;
use crate::app::App;
use crate::docs::schema::{Health, Problem, Ready};
use crate::failure::{Failure, Forbidden};
use crate::trace::Trace;
use crate::wire::json::Json;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(ready))
        .routes(routes!(metrics))
}

/// Whether the server lives.
#[utoipa::path(get, path = "/healthz", tag = "Running", security(()), responses((status = 200, body = Health)))]
async fn health() -> Response<Body> {
    let mut json = Json::default();
    json.raw(r#"{"status":"ok"}"#);
    answer::json(StatusCode::OK, json)
}

/// Whether the server takes requests: it is not stopping, its database answers, and no open ledger has stopped or lacks
/// its views.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "Running",
    security(()),
    responses((status = 200, body = Ready), (status = 503, description = "Not now", body = Ready))
)]
async fn ready(State(app): State<Arc<App>>) -> Response<Body> {
    let ledgers = app.ledgers.all();
    let has_stopped = ledgers
        .iter()
        .any(|(_, open)| open.ledger.status().stopped.is_some());
    let lacks_views = ledgers
        .iter()
        .any(|(_, open)| open.views.status().iter().any(|view| view.generation.is_none()));
    let hindrances = [
        (app.is_stopping(), "stopping"),
        (has_stopped, "a ledger has stopped"),
        (app.ledgers.is_database_away(), "the database does not answer"),
        (lacks_views, "views are being built"),
    ];
    let (status, word) = match hindrances.into_iter().find(|(is_so, _)| *is_so) {
        Some((_, word)) => (StatusCode::SERVICE_UNAVAILABLE, word),
        None => (StatusCode::OK, "ready"),
    };
    let mut json = Json::default();
    json.raw(r#"{"status":"#).text(word);
    json.raw(r#","ledgersOpen":"#).whole(ledgers.len()).raw("}");
    answer::json(status, json)
}

/// What the server counts, for Prometheus.
///
/// Answers this machine only, unless the server was told to answer all.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "Running",
    security(()),
    responses(
        (status = 200, description = "Prometheus text", body = String, content_type = "text/plain"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn metrics(
    State(app): State<Arc<App>>,
    Extension(trace): Extension<Arc<Trace>>,
    headers: HeaderMap,
) -> Result<Response<Body>, Failure> {
    // Through a proxy on this machine everybody looks local.
    let is_local = trace.peer.to_canonical().is_loopback() && !headers.contains_key("x-forwarded-for");
    if !is_local && !app.options.metrics_to_all {
        return Err(Failure::Forbidden(Forbidden::Role));
    }
    let mut response = Response::new(Body::from(metrics::render(&app)));
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    Ok(response)
}
