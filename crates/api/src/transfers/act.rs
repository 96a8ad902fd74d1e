//! The steps of a transfer: `POST /api/v1/transfers/{id}/receive` and `close`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use bincard_ledger::{CloseCommand, Command, PublicIds, ReceiveCommand, ReceivedLine, WarehouseNo};
use uuid::Uuid;

use super::draft::{FoundLine, read_closing, read_receipt};
use super::{NONE, Opened, found};
use crate::app::App;
use crate::asker::Asker;
use crate::body;
use crate::docs::schema::{Event, Keyed, NewClosing, NewReceipt, Problem};
use crate::failure::{Failure, Forbidden, Missing};
use crate::if_match;
use crate::rejected::Shape;
use crate::segment::Segment;
use crate::stock_events::answer_event;

/// Receive a transfer, all of it or some.
///
/// Without lines everything that is on the way arrived, and all of it is sound. With lines, so much of each was found:
/// `received` is available from then on, `damaged` is held, and `short` is missing: it stays on the way until it is found
/// or the transfer is closed. A SELLER receives at its own warehouses.
#[utoipa::path(
    post,
    path = "/api/v1/transfers/{id}/receive",
    tag = "Transfers",
    params(
        ("id" = Uuid, Path, description = "The transfer"),
        Keyed,
        ("If-Match" = Option<String>, Header, description = "The version that the warehouse where it goes is to have come to, such as `\"42\"`: the ETag of its stock or of the last write there. At another version nothing happens"),
    ),
    request_body(content = Option<NewReceipt>, content_type = "application/json"),
    responses(
        (status = 201, description = "The event that records it", body = Event),
        (status = 403, description = "It does not go to one of your warehouses", body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "More was found than is on the way, or nothing is on the way any more, or it goes elsewhere, or the key belongs to another request", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The warehouse has come to another version than was expected", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn receive(
    State(app): State<Arc<App>>,
    asker: Asker,
    Segment(id): Segment,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_write_stock())?;
    body::require_json(&headers)?;
    let recorded = found(&asker, &id).await?;
    let opened = Opened::of(&recorded).ok_or(NONE)?;
    let ids = asker.open.ledger.ids();
    if !asker.caller.may_write_stock_at(ids.warehouse(opened.destination)) {
        return Err(Failure::Forbidden(Forbidden::Warehouse));
    }
    let asked = read_receipt(&body::read(body).await?)?;
    let mut lines = asked.lines;
    let command = Command::Receive(ReceiveCommand {
        version: if_match::version_of(&headers)?,
        lots: lines.iter_mut().filter_map(|line| line.lot.take()).collect(),
        transfer: opened.id(),
        warehouse: warehouse_of(asked.warehouse, ids, opened.destination)?,
        occurred_at: asked.occurred_at,
        lines: lines_of(lines, ids)?,
        notes: asked.notes,
    });
    let receipt = asker
        .submit_for(&app, &headers, asked.user, command, Shape::Receipt)
        .await?;
    answer_event(&app, &asker.open.ledger, &receipt).await
}

/// Close a transfer: what has not arrived is written off.
///
/// Only a MANAGER or an ADMIN does this. What is still on the way is gone from the books, for the reason given, and nothing
/// more can arrive under this transfer.
#[utoipa::path(
    post,
    path = "/api/v1/transfers/{id}/close",
    tag = "Transfers",
    params(
        ("id" = Uuid, Path, description = "The transfer"),
        Keyed,
        ("If-Match" = Option<String>, Header, description = "The version that the warehouse where it goes is to have come to, such as `\"42\"`: the ETag of its stock or of the last write there. At another version nothing happens"),
    ),
    request_body = NewClosing,
    responses(
        (status = 201, description = "The event that records it", body = Event),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Nothing is on the way any more, or the key belongs to another request", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The warehouse has come to another version than was expected", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn close(
    State(app): State<Arc<App>>,
    asker: Asker,
    Segment(id): Segment,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_close_transfers())?;
    body::require_json(&headers)?;
    let recorded = found(&asker, &id).await?;
    let opened = Opened::of(&recorded).ok_or(NONE)?;
    let asked = read_closing(&body::read(body).await?)?;
    let command = Command::Close(CloseCommand {
        version: if_match::version_of(&headers)?,
        transfer: opened.id(),
        reason: asked.reason,
        notes: asked.notes,
    });
    let receipt = asker
        .submit_for(&app, &headers, asked.user, command, Shape::Event)
        .await?;
    answer_event(&app, &asker.open.ledger, &receipt).await
}

/// Where a receipt says that it arrived; where it says nothing, where the transfer goes.
fn warehouse_of(
    said: Option<Uuid>,
    ids: PublicIds,
    destination: WarehouseNo,
) -> Result<WarehouseNo, Failure> {
    match said {
        None => Ok(destination),
        Some(id) => ids
            .resolve_warehouse(id)
            .ok_or(Failure::NotFound(Missing::WarehouseIn { field: "warehouseId" })),
    }
}

fn lines_of(lines: Vec<FoundLine>, ids: PublicIds) -> Result<Vec<ReceivedLine>, Failure> {
    let line = |(line, found): (usize, FoundLine)| {
        let variant = ids
            .resolve_variant(found.variant)
            .ok_or(Failure::NotFound(Missing::Variant { line: Some(line) }))?;
        Ok(ReceivedLine {
            variant,
            received: found.received,
            damaged: found.damaged,
            short: found.short,
        })
    };
    lines.into_iter().enumerate().map(line).collect()
}
