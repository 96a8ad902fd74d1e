//! A stock event as it is answered, written straight into the answer's buffer.

use bincard_engine::{Ledger, Names, Receipt};
use bincard_ledger::event::Postings;
use bincard_ledger::{
    Event, ExceptionType, Kind, Position, PublicIds, Reason, Recorded, StockCommand, StockEvent, Timestamp,
    VariantNo, WarehouseNo,
};
use uuid::Uuid;

use crate::line_lot;
use crate::wire::json::Json;
use crate::wire::spelling;

/// Who recorded an event.
pub(crate) struct Author<'a> {
    /// The user in whose name it was recorded.
    pub(crate) id: Uuid,
    /// Its name, or the key's.
    pub(crate) name: Option<&'a str>,
    /// Who sent it, where that was somebody else.
    pub(crate) sent_by: Option<Uuid>,
}

/// The bytes that an event takes besides its lines and notes, and those of a line: what buffers are made for.
pub(crate) const EVENT_BYTES: usize = 512;
pub(crate) const LINE_BYTES: usize = 192;

/// What all ways to show an event have in common.
struct Head<'a> {
    position: Position,
    kind: Kind,
    warehouse: WarehouseNo,
    occurred_at: Timestamp,
    reason: Option<Reason>,
    notes: Option<&'a str>,
    recorded_at: Timestamp,
}

/// An event just recorded, from its command: nothing is read for it.
pub(super) fn write_fresh(
    json: &mut Json,
    ledger: &Ledger,
    receipt: &Receipt,
    command: &StockCommand,
    author: &Author<'_>,
) {
    let head = Head {
        position: receipt.position,
        kind: command.kind,
        warehouse: command.warehouse,
        occurred_at: command.occurred_at.unwrap_or(receipt.recorded_at),
        reason: command.reason,
        notes: command.notes.as_deref(),
        recorded_at: receipt.recorded_at,
    };
    let (ids, names) = (ledger.ids(), ledger.names());
    write_head(json, ids, names, &head, author);
    let lines = command.lines.iter().map(|line| match command.kind {
        Kind::Outbound => (line.variant, -line.quantity),
        _ => (line.variant, line.quantity),
    });
    write_lines(json, ids, names, receipt.position, lines);
    json.raw("}");
}

/// An event from the log, with the one that undid it, if it is undone. `None` when it is not a stock event.
pub(crate) fn write_recorded(
    json: &mut Json,
    ledger: &Ledger,
    recorded: &Recorded,
    reversed_by: Option<Position>,
    author: &Author<'_>,
) -> Option<()> {
    let Event::Stock(event) = &recorded.record.event else {
        return None;
    };
    let head = Head {
        position: recorded.position,
        kind: event.kind,
        warehouse: event.warehouse,
        occurred_at: event.occurred_at,
        reason: event.reason,
        notes: event.notes.as_deref(),
        recorded_at: recorded.recorded_at,
    };
    let (ids, names) = (ledger.ids(), ledger.names());
    write_head(json, ids, names, &head, author);
    write_references(json, ids, recorded.position, event);
    if let Some(reversal) = reversed_by {
        json.raw(r#","reversedById":"#).uuid(ids.event(reversal));
    }
    if event.exception() == Some(ExceptionType::NegativeStock) {
        write_below_zero(json, ids, names, event);
    }
    write_lines(json, ids, names, recorded.position, signed(&event.postings));
    json.raw("}");
    Some(())
}

/// Variants and signed quantities of an event's lines: what changed on hand, or, where that stayed, what moved.
pub(super) fn signed(postings: &Postings) -> impl Iterator<Item = (VariantNo, i64)> + '_ {
    postings.iter().map(|posting| match posting.change_on_hand() {
        0 => (posting.variant, posting.quantity),
        change => (posting.variant, change),
    })
}

fn write_head(json: &mut Json, ids: PublicIds, names: &Names, head: &Head<'_>, author: &Author<'_>) {
    json.raw(r#"{"id":"#).uuid(ids.event(head.position));
    json.raw(r#","type":""#).raw(spelling::of_kind(head.kind));
    json.raw(r#"","warehouseId":"#)
        .uuid(ids.warehouse(head.warehouse));
    let warehouse = names.warehouse(head.warehouse);
    json.raw(r#","warehouseCode":"#)
        .text_or_null(warehouse.as_ref().map(|name| &*name.code));
    json.raw(r#","occurredAt":"#).instant(head.occurred_at);
    json.raw(r#","reasonCode":"#)
        .text_or_null(head.reason.map(spelling::of_reason));
    json.raw(r#","notes":"#).text_or_null(head.notes);
    json.raw(r#","createdById":"#).uuid(author.id);
    json.raw(r#","createdByUsername":"#).text_or_null(author.name);
    if let Some(sent_by) = author.sent_by {
        json.raw(r#","sentById":"#).uuid(sent_by);
    }
    json.raw(r#","createdAt":"#).instant(head.recorded_at);
}

/// What kinds beyond the documented three have besides.
fn write_references(json: &mut Json, ids: PublicIds, position: Position, event: &StockEvent) {
    if let Some(order) = &event.order {
        json.raw(r#","orderId":"#).text(order);
    }
    if let Some(transfer) = &event.transfer {
        json.raw(r#","transferId":"#).text(transfer);
    }
    if let Some(expires_at) = event.expires_at {
        json.raw(r#","expiresAt":"#).instant(expires_at);
    }
    if let Some(counterpart) = event.counterpart {
        json.raw(r#","counterpartWarehouseId":"#)
            .uuid(ids.warehouse(counterpart));
    }
    let related = Related::of(position, event);
    if let Some(opened) = related.transfer {
        json.raw(r#","transferUuid":"#).uuid(ids.transfer(opened));
        write_noted(json, ids, event);
    }
    if let Some(undone) = related.reverses {
        json.raw(r#","reversesId":"#).uuid(ids.event(undone));
    }
    if let Some(exception) = related.clears {
        json.raw(r#","clearsId":"#).uuid(ids.event(exception));
    }
    if let Some(count) = related.count {
        json.raw(r#","countId":"#).uuid(ids.event(count));
    }
    if let Some(reservation) = related.reservation {
        json.raw(r#","reservationId":"#).uuid(ids.event(reservation));
    }
    for (index, variant) in event.seen().iter().enumerate() {
        json.raw(if index == 0 { r#","seenByCount":["# } else { "," });
        json.uuid(ids.variant(*variant));
    }
    if !event.seen().is_empty() {
        json.raw("]");
    }
}

/// The earlier events that an event has to do with, by what they are to it.
#[derive(Default)]
pub(super) struct Related {
    /// The one that opened the transfer that this is a step of.
    pub(super) transfer: Option<Position>,
    pub(super) reverses: Option<Position>,
    /// The exception that it clears.
    pub(super) clears: Option<Position>,
    pub(super) reservation: Option<Position>,
    /// The count that it is a step of, or that took from the reservation.
    pub(super) count: Option<Position>,
}

impl Related {
    pub(super) fn of(position: Position, event: &StockEvent) -> Related {
        let mut related = Related::default();
        if let Some(opened) = transfer_opened(position, event) {
            related.transfer = Some(opened);
        } else if event.kind == Kind::Reversal {
            related.reverses = event.about;
        } else if event.kind == Kind::ExceptionCleared {
            related.clears = event.about;
        } else if matches!(
            event.kind,
            Kind::Counted | Kind::CountApproved | Kind::CountCancelled | Kind::Release
        ) {
            related.count = event.about;
            related.reservation = reservation_of(&event.postings);
        } else {
            related.reservation = event.about.or_else(|| reservation_of(&event.postings));
        }
        related
    }
}

/// The position of the event that opened the transfer that an event is a step of.
fn transfer_opened(position: Position, event: &StockEvent) -> Option<Position> {
    event.counterpart?;
    match event.kind {
        Kind::TransferOut => Some(position),
        _ => event.about,
    }
}

/// What an event tells of and does not move, where there is any.
pub(crate) fn write_noted(json: &mut Json, ids: PublicIds, event: &StockEvent) {
    for (index, (variant, units)) in event.noted.iter().enumerate() {
        json.raw(if index == 0 { r#","noted":[{"# } else { ",{" });
        json.raw(r#""variantId":"#).uuid(ids.variant(*variant));
        json.raw(r#","quantity":"#).whole(*units).raw("}");
    }
    if !event.noted.is_empty() {
        json.raw("]");
    }
}

fn write_below_zero(json: &mut Json, ids: PublicIds, names: &Names, event: &StockEvent) {
    json.raw(r#","belowZero":["#);
    for (index, (variant, units)) in event.noted.iter().enumerate() {
        json.raw(if index == 0 { "{" } else { ",{" });
        line_lot::write(json, ids, names, *variant);
        json.raw(r#","units":"#).whole(*units).raw("}");
    }
    json.raw("]");
}

/// The one reservation that all postings take from.
fn reservation_of(postings: &Postings) -> Option<Position> {
    let first = postings.first()?.reservation?;
    let all = postings.iter().all(|posting| posting.reservation == Some(first));
    all.then_some(first)
}

fn write_lines(
    json: &mut Json,
    ids: PublicIds,
    names: &Names,
    position: Position,
    lines: impl Iterator<Item = (VariantNo, i64)>,
) {
    json.raw(r#","lines":["#);
    for (index, (variant, quantity)) in (0u16..).zip(lines) {
        json.raw(if index == 0 { r#"{"id":"# } else { r#",{"id":"# });
        json.uuid(ids.line(position, index));
        json.raw(",");
        line_lot::write(json, ids, names, variant);
        json.raw(r#","quantity":"#).whole(quantity).raw("}");
    }
    json.raw("]");
}
