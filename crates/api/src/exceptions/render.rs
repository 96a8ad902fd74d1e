//! An exception as it is answered.

use bincard_ledger::{Event, Recorded};
use bincard_projections::exceptions::ExceptionRow;
use bincard_projections::stock::StockKey;

use super::{NONE, exception_of};
use crate::app::App;
use crate::asker::Asker;
use crate::failure::Failure;
use crate::stock_events::author_of;
use crate::wire::json::Json;
use crate::wire::spelling;

/// What an exception takes, about.
pub(super) const EXCEPTION_BYTES: usize = 900;

/// Writes the exception that `made` made and `cleared` cleared, if anything did.
pub(super) async fn write(
    app: &App,
    asker: &Asker,
    json: &mut Json,
    row: &ExceptionRow,
    made: &Recorded,
    cleared: Option<&Recorded>,
) -> Result<(), Failure> {
    let ledger = &asker.open.ledger;
    let (ids, names) = (ledger.ids(), ledger.names());
    let event = exception_of(made).ok_or(NONE)?;
    json.raw(r#"{"id":"#).uuid(ids.event(row.id));
    json.raw(r#","type":"#).text(spelling::of_exception(row.kind));
    json.raw(r#","state":"#)
        .text(if cleared.is_some() { "CLEARED" } else { "OPEN" });
    json.raw(r#","warehouseId":"#).uuid(ids.warehouse(row.warehouse));
    let warehouse = names.warehouse(row.warehouse);
    json.raw(r#","warehouseCode":"#)
        .text_or_null(warehouse.as_ref().map(|name| &*name.code));
    json.raw(r#","eventType":"#).text(spelling::of_kind(event.kind));
    json.raw(r#","occurredAt":"#).instant(event.occurred_at);
    json.raw(r#","orderId":"#).text_or_null(event.order.as_deref());
    json.raw(r#","notes":"#).text_or_null(event.notes.as_deref());
    let author = app.accounts.username(author_of(made).0).await?;
    json.raw(r#","createdById":"#).uuid(author_of(made).0);
    json.raw(r#","createdByUsername":"#)
        .text_or_null(author.as_deref());
    json.raw(r#","createdAt":"#).instant(made.recorded_at);
    if let Some(cleared) = cleared {
        let author = app.accounts.username(author_of(cleared).0).await?;
        json.raw(r#","clearedById":"#).uuid(author_of(cleared).0);
        json.raw(r#","clearedByUsername":"#)
            .text_or_null(author.as_deref());
        json.raw(r#","clearedAt":"#).instant(cleared.recorded_at);
        let notes = match &cleared.record.event {
            Event::Stock(event) => event.notes.as_deref(),
            Event::Catalogue(_) => None,
        };
        json.raw(r#","clearedNotes":"#).text_or_null(notes);
    }
    json.raw(r#","lines":["#);
    for (index, line) in row.lines.iter().enumerate() {
        json.raw(if index == 0 {
            r#"{"variantId":"#
        } else {
            r#",{"variantId":"#
        });
        json.uuid(ids.variant(line.variant));
        let sku = names.variant(line.variant).map(|name| name.sku);
        json.raw(r#","variantSku":"#).text_or_null(sku.as_deref());
        json.raw(r#","units":"#).whole(line.units);
        if let Some(reservation) = line.reservation {
            json.raw(r#","reservationId":"#).uuid(ids.event(reservation));
        }
        let key = StockKey {
            warehouse: row.warehouse,
            variant: line.variant,
        };
        let stock = asker.open.views.stock_row(key, app.timestamp())?.value;
        let available = stock.map_or(0, |row| row.buckets.available());
        json.raw(r#","available":"#).whole(available).raw("}");
    }
    json.raw("]}");
    Ok(())
}
