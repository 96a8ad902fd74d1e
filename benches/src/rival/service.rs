//! The rival over HTTP.

use super::{Posted, Rival};
use crate::wire::{CreateStockEvent, Refusal};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};

/// `POST /api/v1/stock-events` and `GET /readyz`.
pub fn routes(rival: Rival) -> Router {
    Router::new()
        .route("/api/v1/stock-events", post(stock_event_create))
        .route("/readyz", get(async || StatusCode::OK))
        .with_state(rival)
}

async fn stock_event_create(
    State(rival): State<Rival>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let request = CreateStockEvent::parse(&body)?;
    let key = match headers.get("idempotency-key").map(|value| value.to_str()) {
        None => None,
        Some(Ok(key)) if (1..=255).contains(&key.len()) => Some(key),
        Some(_) => return Err(Refusal::new(StatusCode::BAD_REQUEST, "invalid payload")),
    };
    match rival.post(key, &request).await {
        Ok(Posted::Created(event)) => Ok((StatusCode::CREATED, Json(event)).into_response()),
        Ok(Posted::Replayed(event)) => {
            let replayed = [("idempotency-replayed", "true")];
            Ok((StatusCode::CREATED, replayed, Json(event)).into_response())
        }
        Ok(Posted::Refused(refusal)) => Err(refusal),
        Err(_) => Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal-error")),
    }
}
