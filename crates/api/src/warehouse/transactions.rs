//! `GET /api/warehouse/inventory/{skuId}/transactions`: how stock moved is for the history to say, what was said of it
//! for the log.

use std::collections::HashMap;

use axum::body::Body;
use axum::extract::RawQuery;
use axum::http::Response;
use bincard_ledger::{Event, Position, Recorded, StockEvent, Timestamp, VariantNo};
use bincard_projections::ViewName;
use bincard_projections::history::{TransactionFilter, TransactionRow, TransactionSums};

use super::{inventory, kind_named, place, quantity_told, variant_named, word_of_kind, word_of_reason};
use crate::answer;
use crate::asker::{Asker, MinPosition};
use crate::docs::schema::{ReadAfter, Transactions, WarehouseError};
use crate::failure::{Failure, Forbidden};
use crate::segment::Segment;
use crate::stock_events::{author_of, read_events};
use crate::wire::json::Json;
use crate::wire::query::Query;
use crate::wire::time;

const LIMIT_DEFAULT: usize = 100;
/// What a transaction takes, about.
const ROW_BYTES: usize = 320;

/// The transactions of a SKU.
///
/// The last ones that fit into `limit`, in the order in which they happened; the summary is of all that pass the
/// filters. Besides the documented types there are those of the native routes, such as INBOUND. What was available
/// before and after is told of the warehouse where it happened, in the order of recording. What a count had seen already
/// is told as what it was, and not in the summary's net change: on hand stays as it was counted.
#[utoipa::path(
    get,
    path = "/api/warehouse/inventory/{skuId}/transactions",
    tag = "Warehouse",
    params(
        ("skuId" = String, Path, description = "The variant's id, or its SKU"),
        ("type" = Option<String>, Query, description = "RESERVATION, RELEASE, PICK, PACK, SHIP, ADJUSTMENT, or another type of stock event"),
        ("from" = Option<String>, Query, description = "Happened at this instant, or on this day, or later"),
        ("to" = Option<String>, Query, description = "Happened at this instant, or on this day, or earlier"),
        ("limit" = Option<u32>, Query, description = "1 to 500; 100 when left out"),
        ("location" = Option<String>, Query, description = "A warehouse by its id, code or name; required for a SELLER"),
        ReadAfter,
    ),
    responses(
        (status = 200, body = Transactions),
        (status = 400, body = WarehouseError),
        (status = 403, body = WarehouseError),
        (status = 404, body = WarehouseError),
        (status = 422, description = "Several warehouses have this name", body = WarehouseError),
        (status = 503, body = WarehouseError),
    )
)]
pub(super) async fn list(
    asker: Asker,
    MinPosition(min): MinPosition,
    Segment(sku_id): Segment,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Failure> {
    let variant = variant_named(&asker, &sku_id)?;
    let mut query = Query::parse(query.as_deref());
    let kind = query.read(
        "type",
        "must be RESERVATION, RELEASE, PICK, PACK, SHIP, ADJUSTMENT or another type of stock event",
        kind_named,
    );
    let must_be = "must be a date such as 2025-02-10, or an instant such as 2025-02-10T08:00:00Z";
    let occurred_from = query.read("from", must_be, |text| instant_or_day(text, false));
    let occurred_to = query.read("to", must_be, |text| instant_or_day(text, true));
    let limit = inventory::limit(&mut query, LIMIT_DEFAULT);
    let location = query.text("location");
    query.finish()?;
    let warehouses = match location {
        Some(location) => Some(vec![place::named(&asker, &location).await?]),
        None if asker.caller.is_bound_to_warehouses() => {
            return Err(Failure::Forbidden(Forbidden::WarehouseRequired));
        }
        None => None,
    };
    let filter = TransactionFilter {
        variant,
        warehouses,
        kind,
        occurred_from,
        occurred_to,
        position: None,
    };
    asker.open.wait_for_view(ViewName::History, min).await?;
    let found = asker.open.views.transactions(&filter, limit).await?;
    let (rows, sums) = found.value;
    let events = read_events(&asker.open.ledger, rows.iter().map(|row| row.position).collect()).await?;
    let mut json = Json::with_capacity(192 + rows.len() * ROW_BYTES);
    json.raw(r#"{"transactions":["#);
    for (index, row) in rows.iter().enumerate() {
        json.raw(if index == 0 { "" } else { "," });
        write(&mut json, &asker, variant, row, &events)?;
    }
    write_summary(&mut json, &sums);
    Ok(answer::read(found.position, json))
}

/// How many units of a variant an event moved, and by how many it changed what is on hand, before what a count had seen was
/// made up for.
fn own(asker: &Asker, variant: VariantNo, event: &StockEvent) -> (i64, i64) {
    let names = asker.open.ledger.names();
    let is_of_it = |no| names.variant(no).map_or(no, |name| name.of) == variant;
    let of_it = event.own_postings().filter(|posting| is_of_it(posting.variant));
    of_it.fold((0, 0), |(moved, change): (i64, i64), posting| {
        (
            moved.saturating_add(posting.quantity),
            change.saturating_add(posting.change_on_hand()),
        )
    })
}

fn write(
    json: &mut Json,
    asker: &Asker,
    variant: VariantNo,
    row: &TransactionRow,
    events: &HashMap<Position, Recorded>,
) -> Result<(), Failure> {
    let position = row.position;
    let recorded = events.get(&position);
    let (recorded, event) = match recorded.map(|recorded| (recorded, &recorded.record.event)) {
        Some((recorded, Event::Stock(event))) => (recorded, event),
        _ => {
            return Err(Failure::internal(format!(
                "the history lists position {position}, where the log has no stock event"
            )));
        }
    };
    let (moved, on_hand_change) = if event.seen().is_empty() {
        (row.moved, row.on_hand_change)
    } else {
        own(asker, variant, event)
    };
    let quantity = quantity_told(row.kind, moved, on_hand_change);
    let reason = row.reason.map(word_of_reason).or(event.notes.as_deref());
    json.raw(r#"{"id":"#)
        .uuid(asker.open.ledger.ids().event(position));
    json.raw(r#","type":"#).text(word_of_kind(row.kind));
    json.raw(r#","quantity":"#).whole(quantity);
    json.raw(r#","previousAvailable":"#).whole(row.available_before);
    json.raw(r#","newAvailable":"#).whole(row.available_after);
    json.raw(r#","orderId":"#).text_or_null(event.order.as_deref());
    json.raw(r#","userId":"#).uuid(author_of(recorded).0);
    json.raw(r#","reason":"#).text_or_null(reason);
    json.raw(r#","createdAt":"#)
        .instant(recorded.recorded_at)
        .raw("}");
    Ok(())
}

fn write_summary(json: &mut Json, sums: &TransactionSums) {
    json.raw(r#"],"summary":{"totalTransactions":"#).whole(sums.count);
    json.raw(r#","netChange":"#).whole(sums.on_hand_change);
    json.raw(r#","reservations":"#).whole(sums.reserved);
    json.raw(r#","picks":"#).whole(sums.picked);
    json.raw(r#","adjustments":"#).whole(sums.adjusted).raw("}}");
}

/// An instant, or the first or last of a day.
fn instant_or_day(text: &str, is_last: bool) -> Option<Timestamp> {
    const DAY_LENGTH: usize = 10;
    let time = if is_last {
        "T23:59:59.999999Z"
    } else {
        "T00:00:00Z"
    };
    match text.len() {
        DAY_LENGTH => time::parse(format!("{text}{time}").as_bytes()),
        // A plus sign that was not escaped has become a blank.
        _ => time::parse(text.replace(' ', "+").as_bytes()),
    }
}
