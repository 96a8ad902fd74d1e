//! A transfer as it is answered.

use bincard_engine::Ledger;
use bincard_ledger::{Position, Timestamp, WarehouseNo};
use bincard_projections::transfers::{TransferLine, TransferRow, TransferState};

use super::Opened;
use crate::app::App;
use crate::failure::Failure;
use crate::line_lot;
use crate::stock_events::author_of;
use crate::wire::json::Json;

/// What a transfer takes, about.
pub(super) const TRANSFER_BYTES: usize = 900;

/// What changes.
struct Standing<'a> {
    state: TransferState,
    ended_at: Option<Timestamp>,
    lines: &'a [TransferLine],
    events: &'a [Position],
}

/// The transfer as it stood when it was dispatched.
pub(super) async fn write_as_opened(
    app: &App,
    json: &mut Json,
    ledger: &Ledger,
    opened: &Opened<'_>,
) -> Result<(), Failure> {
    let standing = Standing {
        state: TransferState::Open,
        ended_at: None,
        lines: &TransferLine::as_opened(opened.event),
        events: &[opened.id(), opened.id().next()],
    };
    write(app, json, ledger, opened, standing).await
}

/// The transfer as the view has it.
pub(super) async fn write_row(
    app: &App,
    json: &mut Json,
    ledger: &Ledger,
    opened: &Opened<'_>,
    row: &TransferRow,
) -> Result<(), Failure> {
    let standing = Standing {
        state: row.state,
        ended_at: row.ended_at,
        lines: &row.lines,
        events: &row.events,
    };
    write(app, json, ledger, opened, standing).await
}

async fn write(
    app: &App,
    json: &mut Json,
    ledger: &Ledger,
    opened: &Opened<'_>,
    standing: Standing<'_>,
) -> Result<(), Failure> {
    let (author, _) = author_of(opened.recorded);
    let author_name = app.accounts.username(author).await?;
    let (ids, names) = (ledger.ids(), ledger.names());
    let event = opened.event;
    let code = |warehouse: WarehouseNo| names.warehouse(warehouse).map(|name| name.code);
    json.raw(r#"{"id":"#).uuid(ids.transfer(opened.id()));
    json.raw(r#","transferId":"#)
        .text_or_null(event.transfer.as_deref());
    json.raw(r#","fromWarehouseId":"#)
        .uuid(ids.warehouse(event.warehouse));
    json.raw(r#","fromWarehouseCode":"#)
        .text_or_null(code(event.warehouse).as_deref());
    json.raw(r#","toWarehouseId":"#)
        .uuid(ids.warehouse(opened.destination));
    json.raw(r#","toWarehouseCode":"#)
        .text_or_null(code(opened.destination).as_deref());
    json.raw(r#","state":"#).text(word_of(standing.state));
    json.raw(r#","dispatchedAt":"#).instant(event.occurred_at);
    json.raw(r#","endedAt":"#).instant_or_null(standing.ended_at);
    json.raw(r#","notes":"#).text_or_null(event.notes.as_deref());
    json.raw(r#","createdById":"#).uuid(author);
    json.raw(r#","createdByUsername":"#)
        .text_or_null(author_name.as_deref());
    json.raw(r#","createdAt":"#).instant(opened.recorded.recorded_at);
    json.raw(r#","lines":["#);
    for (index, line) in standing.lines.iter().enumerate() {
        json.raw(if index == 0 { "" } else { "," });
        write_line(json, ledger, line);
    }
    json.raw(r#"],"eventIds":["#);
    for (index, position) in standing.events.iter().enumerate() {
        json.raw(if index == 0 { "" } else { "," });
        json.uuid(ids.event(*position));
    }
    json.raw("]}");
    Ok(())
}

fn write_line(json: &mut Json, ledger: &Ledger, line: &TransferLine) {
    json.raw("{");
    line_lot::write(json, ledger.ids(), ledger.names(), line.variant);
    for (name, units) in [
        (r#","sent":"#, line.sent),
        (r#","received":"#, line.received),
        (r#","damaged":"#, line.damaged),
        (r#","short":"#, line.short),
        (r#","writtenOff":"#, line.written_off),
        (r#","inTransit":"#, line.in_transit()),
    ] {
        json.raw(name).whole(units);
    }
    json.raw("}");
}

/// The wire's word for how a transfer stands.
pub(super) fn word_of(state: TransferState) -> &'static str {
    match state {
        TransferState::Open => "OPEN",
        TransferState::Received => "RECEIVED",
        TransferState::Closed => "CLOSED",
    }
}

/// How a transfer stands by the wire's word.
pub(super) fn state_of(word: &str) -> Option<TransferState> {
    use TransferState::{Closed, Open, Received};
    [Open, Received, Closed]
        .into_iter()
        .find(|state| word_of(*state) == word)
}
