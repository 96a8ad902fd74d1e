//! A count as it is answered.

use bincard_engine::Ledger;
use bincard_ledger::{Event, Recorded};
use bincard_projections::counts::{CountRow, CountSheet, CountState};

use super::Opened;
use crate::app::App;
use crate::failure::Failure;
use crate::stock_events::author_of;
use crate::wire::json::Json;

/// What a count takes without its lines, about.
pub(super) const COUNT_BYTES: usize = 700;
/// What a line takes that was counted once, about.
pub(super) const LINE_BYTES: usize = 360;

/// Begins a count with what is told of it in a list as well.
pub(super) async fn write_head(
    app: &App,
    json: &mut Json,
    ledger: &Ledger,
    opened: &Opened<'_>,
    row: &CountRow,
    ended: Option<&Recorded>,
) -> Result<(), Failure> {
    let ids = ledger.ids();
    json.raw(r#"{"id":"#).uuid(ids.event(row.id));
    json.raw(r#","state":"#).text(word_of(row.state));
    json.raw(r#","warehouseId":"#).uuid(ids.warehouse(row.warehouse));
    let warehouse = ledger.names().warehouse(row.warehouse);
    json.raw(r#","warehouseCode":"#)
        .text_or_null(warehouse.as_ref().map(|name| &*name.code));
    json.raw(r#","blind":"#).flag(opened.is_blind);
    write_recorded(app, json, opened.recorded).await?;
    let Some(ended) = ended else {
        json.raw(r#","endedById":null,"endedByUsername":null,"endedAt":null,"endedNotes":null"#);
        return Ok(());
    };
    let (author, _) = author_of(ended);
    let name = app.accounts.username(author).await?;
    json.raw(r#","endedById":"#).uuid(author);
    json.raw(r#","endedByUsername":"#).text_or_null(name.as_deref());
    json.raw(r#","endedAt":"#).instant(ended.recorded_at);
    json.raw(r#","endedNotes":"#).text_or_null(notes_of(ended));
    Ok(())
}

/// What is to be counted, and what was found.
pub(super) fn write_lines(json: &mut Json, ledger: &Ledger, opened: &Opened<'_>, sheet: &CountSheet) {
    let (ids, names) = (ledger.ids(), ledger.names());
    json.raw(r#","variantIds":"#);
    match opened.variants {
        Some(variants) => {
            json.raw("[");
            for (index, variant) in variants.iter().enumerate() {
                json.raw(if index == 0 { "" } else { "," });
                json.uuid(ids.variant(*variant));
            }
            json.raw("]");
        }
        None => {
            json.raw("null");
        }
    }
    let is_told = !opened.is_blind || sheet.count.state == CountState::Approved;
    let write_counted = |json: &mut Json, counted: i64, at, expected: i64| {
        let variance = counted.saturating_sub(expected);
        json.raw(r#","counted":"#).whole(counted);
        json.raw(r#","countedAt":"#).instant(at);
        json.raw(r#","expected":"#)
            .whole_or_null(is_told.then_some(expected));
        json.raw(r#","variance":"#)
            .whole_or_null(is_told.then_some(variance));
    };
    json.raw(r#","lines":["#);
    for (index, line) in sheet.lines.iter().enumerate() {
        json.raw(if index == 0 { "" } else { "," });
        json.raw(r#"{"variantId":"#).uuid(ids.variant(line.variant));
        let sku = names.variant(line.variant).map(|name| name.sku);
        json.raw(r#","variantSku":"#).text_or_null(sku.as_deref());
        if let Some(last) = line.submissions.last() {
            let expected = line.approved.unwrap_or(last.expected);
            write_counted(json, last.counted, last.counted_at, expected);
        }
        json.raw(r#","history":["#);
        for (index, one) in line.submissions.iter().enumerate() {
            json.raw(if index == 0 { "" } else { "," });
            json.raw(r#"{"eventId":"#).uuid(ids.event(one.event));
            write_counted(json, one.counted, one.counted_at, one.expected);
            json.raw("}");
        }
        json.raw("]}");
    }
    json.raw("]");
}

/// An event that submitted lines.
pub(super) async fn write_submission(
    app: &App,
    json: &mut Json,
    ledger: &Ledger,
    recorded: &Recorded,
) -> Result<(), Failure> {
    json.raw(r#"{"eventId":"#)
        .uuid(ledger.ids().event(recorded.position));
    write_recorded(app, json, recorded).await?;
    json.raw("}");
    Ok(())
}

/// An event's notes, who recorded it and when.
async fn write_recorded(app: &App, json: &mut Json, recorded: &Recorded) -> Result<(), Failure> {
    let (author, _) = author_of(recorded);
    let name = app.accounts.username(author).await?;
    json.raw(r#","notes":"#).text_or_null(notes_of(recorded));
    json.raw(r#","createdById":"#).uuid(author);
    json.raw(r#","createdByUsername":"#).text_or_null(name.as_deref());
    json.raw(r#","createdAt":"#).instant(recorded.recorded_at);
    Ok(())
}

fn notes_of(recorded: &Recorded) -> Option<&str> {
    match &recorded.record.event {
        Event::Stock(event) => event.notes.as_deref(),
        Event::Catalogue(_) => None,
    }
}

/// The wire's word for how a count stands.
fn word_of(state: CountState) -> &'static str {
    match state {
        CountState::Open => "OPEN",
        CountState::Approved => "APPROVED",
        CountState::Cancelled => "CANCELLED",
    }
}

/// How a count stands by the wire's word.
pub(super) fn state_of(word: &str) -> Option<CountState> {
    use CountState::{Approved, Cancelled, Open};
    [Open, Approved, Cancelled]
        .into_iter()
        .find(|state| word_of(*state) == word)
}
