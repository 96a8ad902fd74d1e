//! A reservation as it is answered.

use bincard_engine::Ledger;
use bincard_ledger::{Position, Recorded, StockEvent, Timestamp};
use bincard_projections::reservations::{ReservationLine, ReservationRow, ReservationState};
use uuid::Uuid;

use crate::app::App;
use crate::failure::Failure;
use crate::line_lot;
use crate::stock_events::author_of;
use crate::wire::json::Json;

/// What a reservation takes, about.
pub(super) const RESERVATION_BYTES: usize = 900;

/// What does not change: how a reservation was made.
pub(super) struct Made<'a> {
    position: Position,
    event: &'a StockEvent,
    recorded_at: Timestamp,
    author: Uuid,
    author_name: Option<String>,
}

impl<'a> Made<'a> {
    pub(super) async fn of(
        app: &App,
        recorded: &Recorded,
        event: &'a StockEvent,
    ) -> Result<Made<'a>, Failure> {
        let (author, _) = author_of(recorded);
        let name = app.accounts.username(author).await?;
        Ok(Made {
            position: recorded.position,
            event,
            recorded_at: recorded.recorded_at,
            author,
            author_name: name.map(|name| name.to_string()),
        })
    }
}

/// The reservation as it stood when it was made.
pub(super) fn write_as_made(json: &mut Json, ledger: &Ledger, made: &Made<'_>) {
    let lines = ReservationLine::as_made(made.event);
    write(
        json,
        ledger,
        made,
        (ReservationState::Open, made.event.expires_at),
        &lines,
    );
}

/// The reservation as the view has it.
pub(super) fn write_row(json: &mut Json, ledger: &Ledger, made: &Made<'_>, row: &ReservationRow) {
    write(json, ledger, made, (row.state, row.expires_at), &row.lines);
}

fn write(
    json: &mut Json,
    ledger: &Ledger,
    made: &Made<'_>,
    (state, expires_at): (ReservationState, Option<Timestamp>),
    lines: &[ReservationLine],
) {
    let (ids, names) = (ledger.ids(), ledger.names());
    let event = made.event;
    json.raw(r#"{"id":"#).uuid(ids.event(made.position));
    json.raw(r#","orderId":"#).text_or_null(event.order.as_deref());
    json.raw(r#","warehouseId":"#)
        .uuid(ids.warehouse(event.warehouse));
    let warehouse = names.warehouse(event.warehouse);
    json.raw(r#","warehouseCode":"#)
        .text_or_null(warehouse.as_ref().map(|name| &*name.code));
    json.raw(r#","state":"#).text(word_of(state));
    json.raw(r#","expiresAt":"#).instant_or_null(expires_at);
    json.raw(r#","occurredAt":"#).instant(event.occurred_at);
    json.raw(r#","notes":"#).text_or_null(event.notes.as_deref());
    json.raw(r#","createdById":"#).uuid(made.author);
    json.raw(r#","createdByUsername":"#)
        .text_or_null(made.author_name.as_deref());
    json.raw(r#","createdAt":"#).instant(made.recorded_at);
    json.raw(r#","lines":["#);
    for (index, line) in lines.iter().enumerate() {
        json.raw(if index == 0 { "{" } else { ",{" });
        line_lot::write(json, ids, names, line.variant);
        for (name, units) in [
            (r#","requested":"#, line.requested),
            (r#","reserved":"#, line.reserved),
            (r#","picked":"#, line.picked),
            (r#","packed":"#, line.packed),
            (r#","shipped":"#, line.shipped),
            (r#","released":"#, line.released),
            (r#","expired":"#, line.expired),
            (r#","short":"#, line.short()),
        ] {
            json.raw(name).whole(units);
        }
        json.raw("}");
    }
    json.raw("]}");
}

/// The wire's word for how a reservation stands.
pub(super) fn word_of(state: ReservationState) -> &'static str {
    match state {
        ReservationState::Open => "OPEN",
        ReservationState::Shipped => "SHIPPED",
        ReservationState::Released => "RELEASED",
        ReservationState::Expired => "EXPIRED",
    }
}

/// How a reservation stands by the wire's word.
pub(super) fn state_of(word: &str) -> Option<ReservationState> {
    use ReservationState::{Expired, Open, Released, Shipped};
    [Open, Shipped, Released, Expired]
        .into_iter()
        .find(|state| word_of(*state) == word)
}
