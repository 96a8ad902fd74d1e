//! `POST /api/warehouse/inventory/transaction`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use bincard_ledger::{Kind, Line, Rejection, StockCommand, WarehouseNo};

use super::{draft, kind_named, quantity_told, recorded_at, send, stock_event, variant_named, word_of_kind};
use crate::app::App;
use crate::asker::Asker;
use crate::body;
use crate::docs::schema::{AtVersion, Keyed, NewTransaction, TransactionAnswer, WarehouseError};
use crate::failure::Failure;
use crate::wire::json::Json;
use crate::wire::tree::{text, whole};

/// The types that are recorded by hand.
const KINDS: [Kind; 6] = [
    Kind::Reservation,
    Kind::Release,
    Kind::Pick,
    Kind::Pack,
    Kind::Ship,
    Kind::Adjust,
];

/// Record a transaction by hand.
///
/// All types but ADJUSTMENT act on what an order holds and need its `orderId`. The reason is a text, and kept as it is.
#[utoipa::path(
    post,
    path = "/api/warehouse/inventory/transaction",
    tag = "Warehouse",
    params(
        Keyed,
        AtVersion,
    ),
    request_body = NewTransaction,
    responses(
        (status = 200, body = TransactionAnswer, headers(
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
pub(super) async fn create(
    State(app): State<Arc<App>>,
    asker: Asker,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_write_stock())?;
    body::require_json(&headers)?;
    let bytes = body::read(body).await?;
    let asked = draft::read(&bytes, |draft| {
        let sku_id = draft.required_text("skuId");
        let must_be = "Must be RESERVATION, RELEASE, PICK, PACK, SHIP or ADJUSTMENT";
        let kind = draft.choice("type", must_be, |word| {
            kind_named(word).filter(|kind| KINDS.contains(kind))
        });
        let quantity = draft.required("quantity", whole);
        if quantity.is_some_and(|quantity| quantity < 1) && kind != Some(Kind::Adjust) {
            draft.refuse("quantity", "Must be a positive integer");
        }
        let reason = draft.required_text("reason");
        let order = draft.optional("orderId", text).map(Box::<str>::from);
        let (user, location) = (draft.user(), draft.location());
        Some((sku_id?, kind?, quantity?, reason?, order, user, location))
    });
    let (sku_id, kind, quantity, reason, order, user, location) = asked?;
    let variant = variant_named(&asker, &sku_id)?;
    let mut command = StockCommand::new(kind, WarehouseNo(0), [Line { variant, quantity }]);
    command.order = order;
    command.notes = Some(reason.into());
    let sent = send(&app, &asker, &headers, command, location.as_deref(), user).await;
    let (receipt, recorded) = sent.map_err(|failure| match failure {
        // The notes are what this family calls the reason.
        Failure::Rejected(rejected) if rejected.rejection == Rejection::NotesTooLong => {
            Failure::unprocessable("reason", rejected.rejection.to_string())
        }
        failure => failure,
    })?;
    let event = stock_event(&recorded)?;
    // It happens now, after whatever was counted: there is nothing that a count had seen.
    let sum = |of: fn(&bincard_ledger::Posting) -> i64| event.postings.iter().map(of).sum::<i64>();
    let quantity = quantity_told(
        event.kind,
        sum(|posting| posting.quantity),
        sum(|posting| posting.change_on_hand()),
    );
    let mut json = Json::with_capacity(256);
    json.raw(r#"{"success":true,"transaction":{"id":"#)
        .uuid(asker.open.ledger.ids().event(receipt.position));
    json.raw(r#","type":"#).text(word_of_kind(event.kind));
    json.raw(r#","quantity":"#).whole(quantity);
    json.raw(r#","createdAt":"#)
        .instant(recorded.recorded_at)
        .raw("}}");
    Ok(recorded_at(&receipt, json))
}
