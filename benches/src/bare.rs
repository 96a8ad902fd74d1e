//! The ceiling: a handler that parses and answers the stock events API's JSON with nothing behind it.

use crate::wire::{CreateStockEvent, Line, Refusal, StockEvent, StockPage, StockRow};
use axum::body::Bytes;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::Utc;
use serde::Deserialize;
use uuid::Uuid;

/// The routes of a server that records nothing: `POST /api/v1/stock-events`, `GET /api/v1/stock`, `GET /readyz`.
pub fn routes() -> Router {
    Router::new()
        .route("/api/v1/stock-events", post(stock_event_create))
        .route("/api/v1/stock", get(stock))
        .route("/readyz", get(async || StatusCode::OK))
}

async fn stock_event_create(body: Bytes) -> Result<Response, Refusal> {
    let request = CreateStockEvent::parse(&body)?;
    let now = Utc::now();
    let lines = request.lines.iter().map(|line| Line {
        id: Uuid::nil(),
        variant_id: line.variant_id,
        variant_sku: "SKU-00001".to_owned(),
        quantity: request.signed(line),
    });
    let event = StockEvent {
        id: Uuid::now_v7(),
        kind: request.kind,
        warehouse_id: request.warehouse_id,
        warehouse_code: "WH-1".to_owned(),
        occurred_at: request.occurred_at.unwrap_or(now),
        reason_code: request.reason_code,
        lines: lines.collect(),
        notes: request.notes,
        created_by_id: Uuid::nil(),
        created_by_username: "bench".to_owned(),
        created_at: now,
    };
    Ok((StatusCode::CREATED, Json(event)).into_response())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StockKey {
    warehouse_id: Uuid,
    variant_id: Uuid,
}

async fn stock(Query(key): Query<StockKey>) -> Json<StockPage> {
    Json(StockPage::of(StockRow {
        warehouse_id: key.warehouse_id,
        warehouse_code: "WH-1".to_owned(),
        variant_id: key.variant_id,
        variant_sku: "SKU-00001".to_owned(),
        on_hand: 1_000_000,
        available: 1_000_000,
        reserved: 0,
        picked: 0,
        packed: 0,
        held: 0,
    }))
}
