//! The warehouse family: `/api/warehouse/inventory`, with the shapes and the errors of its document.
//!
//! It asks for what the native routes ask for, in other words; the rules are the ledger's.

mod adjust;
mod draft;
mod inventory;
mod pick_order;
mod place;
mod reconcile;
mod transaction;
mod transactions;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode};
use bincard_engine::{Receipt, Refusal};
use bincard_ledger::{
    Command, Conditions, Event, Kind, Reason, Recorded, Rejection, Request, StockCommand, StockEvent,
    VariantNo, WarehouseNo,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::answer;
use crate::app::App;
use crate::asker::{Asker, on_behalf_of};
use crate::failure::{Failure, Forbidden, Missing};
use crate::if_match;
use crate::rejected::Shape;
use crate::stock_events::key_of;
use crate::wire::json::Json;
use crate::wire::spelling;
use crate::wire::tree::parse_uuid;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(inventory::list))
        .routes(routes!(transaction::create))
        .routes(routes!(pick_order::alter))
        .routes(routes!(adjust::adjust))
        .routes(routes!(transactions::list))
        .routes(routes!(reconcile::reconcile))
}

/// The variant that a `skuId` stands for: its id, or its SKU.
fn variant_named(asker: &Asker, sku_id: &str) -> Result<VariantNo, Failure> {
    let ledger = &asker.open.ledger;
    let by_id = parse_uuid(sku_id)
        .and_then(|id| ledger.ids().resolve_variant(id))
        .filter(|no| ledger.names().variant(*no).is_some());
    by_id
        .or_else(|| ledger.names().variant_by_sku(sku_id))
        .ok_or(Failure::NotFound(Missing::Variant { line: None }))
}

/// The family's word for a kind of stock event.
fn word_of_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Adjust => "ADJUSTMENT",
        kind => spelling::of_kind(kind),
    }
}

/// The kind that a word of the family stands for.
fn kind_named(word: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| word_of_kind(*kind) == word)
}

/// The family's word for a reason.
fn word_of_reason(reason: Reason) -> &'static str {
    match reason {
        Reason::CountCorrection => "COUNT_ADJUSTMENT",
        reason => spelling::of_reason(reason),
    }
}

/// The reasons of an adjustment.
const REASONS: [Reason; 4] = [
    Reason::Damage,
    Reason::Theft,
    Reason::CountCorrection,
    Reason::Return,
];

/// Sends a command that moves stock of one variant: at the location that is named, or where the variant is stocked.
async fn send(
    app: &App,
    asker: &Asker,
    headers: &HeaderMap,
    mut command: StockCommand,
    location: Option<&str>,
    user: Option<Uuid>,
) -> Result<(Receipt, Recorded), Failure> {
    let ledger = &asker.open.ledger;
    let key = key_of(headers)?;
    let version = if_match::version_of(headers)?;
    command.conditions = version.map(|version| {
        Box::new(Conditions {
            version: Some(version),
            available: Vec::new(),
        })
    });
    let variant = command.lines.first().map(|line| line.variant);
    let mut unclear = None;
    match (location, variant) {
        (Some(location), _) => command.warehouse = place::named(asker, location).await?,
        (None, Some(variant)) => {
            command.is_warehouse_chosen = true;
            match place::only_one(asker, variant).await {
                Ok(warehouse) => command.warehouse = warehouse,
                // The key may have been used when it was clear still; else no warehouse has the number 0.
                Err(failure) if key.is_some() => {
                    command.warehouse = WarehouseNo(0);
                    unclear = Some(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        (None, None) => {}
    }
    if command.warehouse != WarehouseNo(0) {
        check_warehouse(asker, command.warehouse)?;
    }
    let request = Request {
        command: Command::Stock(command),
        author: asker.caller.id,
        on_behalf_of: acting_for(app, asker, user).await?,
        key,
    };
    let receipt = ledger.submit(request).await.map_err(|refusal| {
        let is_unclear = matches!(&refusal, Refusal::Rejected(Rejection::UnknownWarehouse { .. }));
        match unclear.filter(|_| is_unclear) {
            Some(unclear) => unclear,
            None => Failure::of_refusal(refusal, ledger, Shape::Order),
        }
    })?;
    let recorded = ledger.event(receipt.position).await?;
    let recorded = recorded.ok_or_else(|| Failure::internal("the log has no event where it was recorded"))?;
    // What was recorded before under the key may lie elsewhere than where the SKU is stocked now.
    check_warehouse(asker, stock_event(&recorded)?.warehouse)?;
    Ok((receipt, recorded))
}

/// The answer to what was recorded, with the version to which it brought the warehouse.
fn recorded_at(receipt: &Receipt, json: Json) -> Response<Body> {
    let mut response = answer::written(StatusCode::OK, receipt.position, receipt.replayed, json);
    if_match::tag(response.headers_mut(), receipt.version);
    response
}

/// A SELLER moves stock at its own warehouses only.
fn check_warehouse(asker: &Asker, warehouse: WarehouseNo) -> Result<(), Failure> {
    let id = asker.open.ledger.ids().warehouse(warehouse);
    match asker.caller.may_write_stock_at(id) {
        true => Ok(()),
        false => Err(Failure::Forbidden(Forbidden::Warehouse)),
    }
}

/// In whose name a command is sent. A user that there is not is no malformed request here.
async fn acting_for(app: &App, asker: &Asker, user: Option<Uuid>) -> Result<Option<Uuid>, Failure> {
    match on_behalf_of(app, &asker.caller, user).await {
        Err(Failure::Invalid(faults)) => Err(Failure::Unprocessable(faults)),
        other => other,
    }
}

/// The stock event that was recorded.
fn stock_event(recorded: &Recorded) -> Result<&StockEvent, Failure> {
    match &recorded.record.event {
        Event::Stock(event) => Ok(event),
        Event::Catalogue(_) => Err(Failure::internal(
            "the key of a stock event leads to something else",
        )),
    }
}

/// How many units a transaction tells of: those that were asked for, and of kinds that come in only one direction
/// without a sign.
fn quantity_told(kind: Kind, moved: i64, on_hand_change: i64) -> i64 {
    match kind {
        Kind::Reservation | Kind::Release | Kind::Pick | Kind::Pack | Kind::Ship => moved,
        _ if on_hand_change == 0 => moved,
        _ => on_hand_change,
    }
}
