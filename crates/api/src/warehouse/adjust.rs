//! `POST /api/warehouse/inventory/{skuId}/adjust`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use bincard_ledger::{Kind, Line, Position, StockCommand, StockEvent, VariantNo, WarehouseNo};
use bincard_projections::stock::StockKey;
use bincard_projections::{ViewName, stock_around};

use super::{REASONS, draft, recorded_at, send, stock_event, variant_named, word_of_kind, word_of_reason};
use crate::app::App;
use crate::asker::Asker;
use crate::body;
use crate::docs::schema::{AdjustAnswer, AtVersion, Keyed, NewAdjustment, WarehouseError};
use crate::failure::Failure;
use crate::segment::Segment;
use crate::wire::json::Json;
use crate::wire::tree::{text, whole};

/// Adjust what is available of a SKU.
///
/// At the `location` that is named; without one, where the SKU is stocked, if that is one warehouse.
#[utoipa::path(
    post,
    path = "/api/warehouse/inventory/{skuId}/adjust",
    tag = "Warehouse",
    params(
        ("skuId" = String, Path, description = "The variant's id, or its SKU"),
        Keyed,
        AtVersion,
    ),
    request_body = NewAdjustment,
    responses(
        (status = 200, body = AdjustAnswer, headers(
            ("Ledger-Position" = u64, description = "Its place in the log"),
            ("ETag" = String, description = "The version to which it brought the warehouse"),
            ("Idempotency-Replayed" = Option<bool>, description = "It had been recorded before under this key"),
        )),
        (status = 400, body = WarehouseError),
        (status = 403, body = WarehouseError),
        (status = 404, body = WarehouseError),
        (status = 409, description = "Not enough stock, or the key belongs to another request", body = WarehouseError),
        (status = 412, description = "The warehouse has come to another version than was expected", body = WarehouseError),
        (status = 422, body = WarehouseError),
        (status = 503, description = "Try again with the same key", body = WarehouseError),
    )
)]
pub(super) async fn adjust(
    State(app): State<Arc<App>>,
    asker: Asker,
    Segment(sku_id): Segment,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_write_stock())?;
    let variant = variant_named(&asker, &sku_id)?;
    body::require_json(&headers)?;
    let bytes = body::read(body).await?;
    let asked = draft::read(&bytes, |draft| {
        let quantity = draft.required("quantity", whole);
        let must_be = "Must be DAMAGE, THEFT, COUNT_ADJUSTMENT or RETURN";
        let reason = draft.choice("reason", must_be, |word| {
            REASONS.into_iter().find(|reason| word_of_reason(*reason) == word)
        });
        let notes = draft.optional("notes", text).map(Box::<str>::from);
        let (user, location) = (draft.user(), draft.location());
        Some((quantity?, reason?, notes, user, location))
    });
    let (quantity, reason, notes, user, location) = asked?;
    let line = Line { variant, quantity };
    let mut command = StockCommand::new(Kind::Adjust, WarehouseNo(0), [line]);
    command.reason = Some(reason);
    command.notes = notes;
    let (receipt, recorded) = send(&app, &asker, &headers, command, location.as_deref(), user).await?;
    let event = stock_event(&recorded)?;
    let ledger = &asker.open.ledger;
    let (before, after) = available_around(&asker, variant, event, receipt.position).await?;
    let mut json = Json::with_capacity(320);
    json.raw(r#"{"success":true,"skuId":"#)
        .uuid(ledger.ids().variant(variant));
    json.raw(r#","previousQuantity":"#).whole(before);
    json.raw(r#","newQuantity":"#).whole(after);
    json.raw(r#","adjustment":"#).whole(after.saturating_sub(before));
    json.raw(r#","transaction":{"id":"#)
        .uuid(ledger.ids().event(receipt.position));
    json.raw(r#","type":"#).text(word_of_kind(event.kind));
    json.raw(r#","createdAt":"#)
        .instant(recorded.recorded_at)
        .raw("}}");
    Ok(recorded_at(&receipt, json))
}

/// What was available before and after the event at a position: a second answer is the same as the first.
///
/// The history knows at once. It is recorded already, though, and must be answered as that even while the history is
/// built anew: then the log is added up, which takes longer.
async fn available_around(
    asker: &Asker,
    variant: VariantNo,
    event: &StockEvent,
    position: Position,
) -> Result<(i64, i64), Failure> {
    let open = &asker.open;
    if open.wait_for_view(ViewName::History, position).await.is_ok() {
        let found = open.views.transaction(variant, event.occurred_at, position).await;
        if let Ok(Some(moved)) = found.map(|found| found.value) {
            return Ok((moved.available_before, moved.available_after));
        }
    }
    let warehouse = event.warehouse;
    let key = StockKey { warehouse, variant };
    let (before, after) = stock_around(open.ledger.reader(), key, position).await?;
    Ok((before.available(), after.available()))
}
