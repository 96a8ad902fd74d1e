//! A movement as it is answered.

use bincard_engine::Ledger;
use bincard_ledger::{Bucket, Buckets};
use bincard_projections::history::MovementRow;

use crate::line_lot;
use crate::wire::csv::Csv;
use crate::wire::json::Json;
use crate::wire::spelling;

/// What a row takes, about.
pub(super) const ROW_BYTES: usize = 560;

/// The columns of a movement, those of what there was before and after each beginning with what is on hand.
pub(super) const COLUMNS: &[&str] = &[
    "eventId",
    "position",
    "type",
    "occurredAt",
    "reasonCode",
    "warehouseId",
    "warehouseCode",
    "variantId",
    "variantSku",
    "lot",
    "from",
    "to",
    "quantity",
    "onHandBefore",
    "availableBefore",
    "reservedBefore",
    "pickedBefore",
    "packedBefore",
    "heldBefore",
    "onHandAfter",
    "availableAfter",
    "reservedAfter",
    "pickedAfter",
    "packedAfter",
    "heldAfter",
];

/// The buckets in the order in which they are written.
const BUCKETS: [(Bucket, &str); 5] = [
    (Bucket::Available, r#","available":"#),
    (Bucket::Reserved, r#","reserved":"#),
    (Bucket::Picked, r#","picked":"#),
    (Bucket::Packed, r#","packed":"#),
    (Bucket::Held, r#","held":"#),
];

pub(super) fn json(json: &mut Json, ledger: &Ledger, row: &MovementRow) {
    let (ids, names) = (ledger.ids(), ledger.names());
    json.raw(r#"{"eventId":"#).uuid(ids.event(row.position));
    json.raw(r#","position":"#).whole(row.position.0);
    json.raw(r#","type":"#).text(spelling::of_kind(row.kind));
    json.raw(r#","occurredAt":"#).instant(row.occurred_at);
    json.raw(r#","reasonCode":"#)
        .text_or_null(row.reason.map(spelling::of_reason));
    json.raw(r#","warehouseId":"#)
        .uuid(ids.warehouse(row.key.warehouse));
    let warehouse = names.warehouse(row.key.warehouse);
    json.raw(r#","warehouseCode":"#)
        .text_or_null(warehouse.as_ref().map(|name| &*name.code));
    json.raw(",");
    line_lot::write(json, ids, names, row.lot.unwrap_or(row.key.variant));
    json.raw(r#","from":"#).text(spelling::of_place(row.from));
    json.raw(r#","to":"#).text(spelling::of_place(row.to));
    json.raw(r#","quantity":"#).whole(row.quantity);
    for (name, buckets) in [(r#","before":"#, row.before()), (r#","after":"#, row.after)] {
        json.raw(name).raw(r#"{"onHand":"#).whole(buckets.on_hand());
        for (bucket, name) in BUCKETS {
            json.raw(name).whole(buckets.of(bucket));
        }
        json.raw("}");
    }
    json.raw("}");
}

pub(super) fn csv(csv: &mut Csv, ledger: &Ledger, row: &MovementRow) {
    let (ids, names) = (ledger.ids(), ledger.names());
    csv.uuid(ids.event(row.position)).whole(row.position.0);
    csv.word(spelling::of_kind(row.kind)).instant(row.occurred_at);
    csv.word(row.reason.map_or("", spelling::of_reason));
    let warehouse = names.warehouse(row.key.warehouse);
    csv.uuid(ids.warehouse(row.key.warehouse))
        .text(warehouse.as_ref().map(|name| &*name.code));
    let variant = names.variant(row.key.variant);
    csv.uuid(ids.variant(row.key.variant))
        .text(variant.as_ref().map(|name| &*name.sku));
    let lot = row.lot.and_then(|no| names.variant(no)?.lot);
    csv.text(lot.as_deref());
    csv.word(spelling::of_place(row.from))
        .word(spelling::of_place(row.to));
    csv.whole(row.quantity);
    write_buckets(csv, &row.before());
    write_buckets(csv, &row.after);
    csv.end();
}

fn write_buckets(csv: &mut Csv, buckets: &Buckets) {
    csv.whole(buckets.on_hand());
    for (bucket, _) in BUCKETS {
        csv.whole(buckets.of(bucket));
    }
}
