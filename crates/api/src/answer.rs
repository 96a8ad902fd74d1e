//! Answers, and the headers that tell where in the log they stand.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use bincard_ledger::Position;

use crate::wire::json::Json;

pub(crate) const LEDGER_POSITION: HeaderName = HeaderName::from_static("ledger-position");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer of JSON.
pub(crate) fn json(status: StatusCode, json: Json) -> Response<Body> {
    let mut response = Response::new(Body::from(json.into_bytes()));
    *response.status_mut() = status;
    response.headers_mut().reserve(8);
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// An answer to a read, from a view that stood at `position`.
pub(crate) fn read(position: Position, content: Json) -> Response<Body> {
    let mut response = json(StatusCode::OK, content);
    response
        .headers_mut()
        .insert(LEDGER_POSITION, HeaderValue::from(position.0));
    response
}

/// An answer to a write that led to `position`.
pub(crate) fn written(
    status: StatusCode,
    position: Position,
    is_replay: bool,
    content: Json,
) -> Response<Body> {
    let mut response = json(status, content);
    let headers = response.headers_mut();
    headers.insert(LEDGER_POSITION, HeaderValue::from(position.0));
    if is_replay {
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Tells where what was created is found.
pub(crate) fn locate(response: &mut Response<Body>, path: String) {
    if let Ok(path) = HeaderValue::from_maybe_shared(bytes::Bytes::from(path)) {
        response.headers_mut().insert(LOCATION, path);
    }
}
