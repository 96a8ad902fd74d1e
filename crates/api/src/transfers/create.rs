//! `POST /api/v1/transfers`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use bincard_engine::Ledger;
use bincard_ledger::{Command, Conditions, Event, Kind, Line, Position, StockCommand, Version};
use uuid::Uuid;

use super::draft::{NewTransfer, read_new};
use super::{Opened, recorded_at, render};
use crate::answer;
use crate::app::App;
use crate::asker::{Asker, on_behalf_of};
use crate::body;
use crate::docs::schema::{Keyed, NewTransfer as NewTransferSchema, Problem, Transfer};
use crate::failure::{Failure, Missing};
use crate::if_match;
use crate::rejected::Shape;
use crate::stock_events::{check_warehouse, key_of};
use crate::wire::json::Json;

/// Dispatch a transfer to another warehouse.
///
/// What is sent is no longer available where it comes from, and on the way until it is received. Both warehouses' streams
/// tell of it, in one step: all lines leave or none. A SELLER dispatches from its own warehouses, to any.
#[utoipa::path(
    post,
    path = "/api/v1/transfers",
    tag = "Transfers",
    params(
        Keyed,
        ("If-Match" = Option<String>, Header, description = "The version that the warehouse it leaves is to have come to, such as `\"42\"`: the ETag of its stock or of the last write there. At another version nothing happens"),
    ),
    request_body = NewTransferSchema,
    responses(
        (status = 201, description = "Dispatched", body = Transfer, headers(
            ("Location" = String, description = "Where it is found"),
            ("Ledger-Position" = u64, description = "The place in the log of the last of its events"),
            ("ETag" = String, description = "The version to which it brought the warehouse that it left"),
            ("Idempotency-Replayed" = Option<bool>, description = "It had been recorded before under this key"),
        )),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Not enough stock, or an open transfer has the id, or the key belongs to another request", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The warehouse has come to another version, or another quantity is available, than was expected", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    asker: Asker,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_write_stock())?;
    body::require_json(&headers)?;
    let key = key_of(&headers)?;
    let version = if_match::version_of(&headers)?;
    let asked = read_new(&body::read(body).await?)?;
    let ledger = &asker.open.ledger;
    check_warehouse(&asker.caller, ledger, asked.source)?;
    let on_behalf_of = on_behalf_of(&app, &asker.caller, asked.user).await?;
    let ids = ledger.ids();
    let command = command_of(asked, ledger, version)?;
    let shape = Shape::Dispatch {
        source: command.warehouse,
        destination: command.counterpart,
    };
    let command = Command::Stock(command);
    let receipt = asker.submit(command, on_behalf_of, key, shape).await?;
    // As it was when it was recorded: the answer to the same request is the same for ever.
    let recorded = opened_before(ledger, receipt.position).await?;
    let opened = Opened::of(&recorded)
        .ok_or_else(|| Failure::internal("the key of a dispatch leads to something else"))?;
    let mut json = Json::with_capacity(render::TRANSFER_BYTES);
    render::write_as_opened(&app, &mut json, ledger, &opened).await?;
    let mut response = answer::written(StatusCode::CREATED, receipt.position, receipt.replayed, json);
    // Of what it left, as is the condition: its last event is where it goes.
    if_match::tag(response.headers_mut(), opened.recorded.record.version);
    let id = ids.transfer(opened.id());
    answer::locate(&mut response, format!("/api/v1/transfers/{id}"));
    Ok(response)
}

fn command_of(
    asked: NewTransfer,
    ledger: &Ledger,
    version: Option<Version>,
) -> Result<StockCommand, Failure> {
    let ids = ledger.ids();
    let warehouse = |id: Uuid, field| {
        ids.resolve_warehouse(id)
            .ok_or(Failure::NotFound(Missing::WarehouseIn { field }))
    };
    let source = warehouse(asked.source, "fromWarehouseId")?;
    let mut command = StockCommand::new(Kind::TransferOut, source, []);
    command.counterpart = Some(warehouse(asked.destination, "toWarehouseId")?);
    command.transfer = asked.name;
    command.occurred_at = asked.occurred_at;
    command.notes = asked.notes;
    let mut expected = Vec::new();
    for (line, draft) in asked.lines.into_iter().enumerate() {
        let variant = ids
            .resolve_variant(draft.variant)
            .ok_or(Failure::NotFound(Missing::Variant { line: Some(line) }))?;
        command.lines.push(Line {
            variant,
            quantity: draft.quantity,
        });
        expected.extend(draft.expected.map(|units| (variant, units)));
        command.lots.extend(draft.lot);
    }
    if version.is_some() || !expected.is_empty() {
        command.conditions = Some(Box::new(Conditions {
            version,
            available: expected,
        }));
    }
    Ok(command)
}

/// The event that opened the transfer whose TRANSFER_EXPECTED is at `position`.
async fn opened_before(ledger: &Ledger, position: Position) -> Result<bincard_ledger::Recorded, Failure> {
    const MISSING: &str = "the log has no transfer where one was recorded";
    let expected = recorded_at(ledger, position)
        .await?
        .ok_or_else(|| Failure::internal(MISSING))?;
    let opened = match &expected.record.event {
        Event::Stock(event) if event.kind == Kind::TransferExpected => event.about,
        _ => None,
    };
    let opened = opened.ok_or_else(|| Failure::internal(MISSING))?;
    recorded_at(ledger, opened)
        .await?
        .ok_or_else(|| Failure::internal(MISSING))
}
