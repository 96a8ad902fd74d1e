//! What may happen to a transfer between two warehouses: it is dispatched, received and closed.
//!
//! A dispatch is recorded on both warehouses' streams in one decision. What happens afterwards is recorded on the
//! destination's, and goes on whatever was deactivated meanwhile.

use smallvec::smallvec;

use super::{Decision, behind, conditions, count, lots, shape};
use crate::command::{CloseCommand, ReceiveCommand, ReceivedLine, StockCommand};
use crate::event::{Event, Kind, Postings, StockEvent};
use crate::expiry::Freed;
use crate::id::{Position, VariantNo, WarehouseNo};
use crate::place::{Account, Bucket, Place, Posting};
use crate::rejection::{Rejection, Shortage};
use crate::state::{State, Transfer, TransitLine};
use crate::time::Timestamp;

/// Whether goods may be sent to `destination` under the command's name for it. The warehouse that they leave was looked
/// at already.
pub(super) fn check_dispatch(
    state: &State,
    command: &StockCommand,
    destination: WarehouseNo,
) -> Result<(), Rejection> {
    let warehouse = destination;
    if warehouse == command.warehouse {
        return Err(Rejection::SameWarehouse { warehouse });
    }
    match state.warehouse(warehouse) {
        None => return Err(Rejection::UnknownWarehouse { warehouse }),
        Some(found) if !found.active => return Err(Rejection::InactiveWarehouse { warehouse }),
        Some(_) => {}
    }
    let name = command.transfer.as_deref();
    match name.and_then(|name| state.transfer_by_name(name)) {
        None => Ok(()),
        Some(by) => Err(Rejection::TransferTaken { by }),
    }
}

/// The goods leave, behind the expiries that they need, and are expected at `destination`.
pub(super) fn dispatch(
    state: &State,
    freed: Freed<'_>,
    event: StockEvent,
    destination: WarehouseNo,
) -> Decision {
    let mut expected = StockEvent {
        kind: Kind::TransferExpected,
        warehouse: destination,
        occurred_at: event.occurred_at,
        reason: None,
        order: None,
        transfer: event.transfer.clone(),
        expires_at: None,
        about: None,
        noted: event
            .postings
            .iter()
            .filter(|posting| posting.to == Place::Account(Account::Transit))
            .map(|posting| (posting.variant, posting.quantity))
            .collect(),
        counterpart: Some(event.warehouse),
        count: None,
        postings: Postings::new(),
        notes: None,
    };
    let mut decision = behind(freed, Event::Stock(event));
    expected.about = Some(Position(state.head().0.saturating_add(decision.len() as u64)));
    decision.push(Event::Stock(expected));
    decision
}

/// Decides that what a transfer has on the way has arrived, or some of it.
pub(super) fn receive(
    state: &State,
    command: &ReceiveCommand,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    shape::check_received(command)?;
    shape::check_notes(command.notes.as_deref())?;
    let occurred_at = shape::check_occurred(command.occurred_at, now)?;
    let warehouse = command.warehouse;
    if state.warehouse(warehouse).is_none() {
        return Err(Rejection::UnknownWarehouse { warehouse });
    }
    for (line, ReceivedLine { variant, .. }) in command.lines.iter().enumerate() {
        let variant = *variant;
        if state.variant(variant).is_none() {
            return Err(Rejection::UnknownVariant { line, variant });
        }
    }
    let id = command.transfer;
    let transfer = find(state, id)?;
    conditions::check_version(state, transfer.destination, command.version)?;
    if transfer.destination != warehouse {
        return Err(Rejection::WrongWarehouse {
            transfer: id,
            destination: transfer.destination,
        });
    }
    let (lines, shortages) = if command.lines.is_empty() {
        (transfer.lines.iter().map(all_sound).collect(), Vec::new())
    } else {
        lots::found(state, transfer, &command.lines, &command.lots)?
    };
    check_on_the_way(id, transfer, &lines, shortages)?;
    let mut postings = Postings::new();
    for (line, one) in lines.iter().enumerate() {
        arrive(state, warehouse, line, one, &mut postings)?;
    }
    let missing = lines.iter().filter(|line| line.short > 0);
    let noted = missing.map(|line| (line.variant, line.short)).collect();
    let seen = count::compensate(state, warehouse, occurred_at, (None, Some(id)), &mut postings)?;
    Ok(one(StockEvent {
        occurred_at,
        noted,
        count: count::seen(seen),
        postings,
        notes: command.notes.clone(),
        ..at_destination(Kind::TransferIn, id, transfer, now)
    }))
}

/// Decides that a transfer is over, and that what has not arrived is written off.
pub(super) fn close(state: &State, command: &CloseCommand, now: Timestamp) -> Result<Decision, Rejection> {
    shape::check_fit(Kind::TransferClosed, command.reason, true)?;
    shape::check_notes(command.notes.as_deref())?;
    let id = command.transfer;
    let transfer = find(state, id)?;
    conditions::check_version(state, transfer.destination, command.version)?;
    let lines = transfer.lines.iter();
    let postings = lines.map(|line| Posting {
        variant: line.variant,
        from: Place::Account(Account::Transit),
        to: Place::Account(Account::Adjustment),
        quantity: line.units,
        reservation: None,
    });
    Ok(one(StockEvent {
        reason: Some(command.reason),
        postings: postings.collect(),
        notes: command.notes.clone(),
        ..at_destination(Kind::TransferClosed, id, transfer, now)
    }))
}

fn one(event: StockEvent) -> Decision {
    smallvec![Event::Stock(event)]
}

fn find(state: &State, id: Position) -> Result<&Transfer, Rejection> {
    state.transfer(id).ok_or(Rejection::TransferOver { transfer: id })
}

fn all_sound(line: &TransitLine) -> ReceivedLine {
    ReceivedLine {
        variant: line.variant,
        received: line.units,
        damaged: 0,
        short: 0,
    }
}

/// Nothing is found that is not on the way. `shortages` are those that are known already.
fn check_on_the_way(
    id: Position,
    transfer: &Transfer,
    lines: &[ReceivedLine],
    mut shortages: Vec<Shortage>,
) -> Result<(), Rejection> {
    let too_many = |line: &ReceivedLine| {
        let requested = [line.damaged, line.short]
            .into_iter()
            .fold(line.received, i64::saturating_add);
        let available = transfer.on_the_way(line.variant);
        (requested > available).then_some(Shortage {
            variant: line.variant,
            from: Place::Account(Account::Transit),
            requested,
            available,
        })
    };
    shortages.extend(lines.iter().filter_map(too_many));
    if shortages.is_empty() {
        Ok(())
    } else {
        Err(Rejection::OverReceipt {
            transfer: id,
            shortages,
        })
    }
}

/// What of a line moves: what is sound is free, what is damaged is not to be used.
fn arrive(
    state: &State,
    warehouse: WarehouseNo,
    line: usize,
    found: &ReceivedLine,
    postings: &mut Postings,
) -> Result<(), Rejection> {
    let variant: VariantNo = found.variant;
    let more = found.received.saturating_add(found.damaged);
    if state.on_hand(warehouse, variant).checked_add(more).is_none() {
        return Err(Rejection::Overflow { line, variant });
    }
    for (bucket, quantity) in [(Bucket::Available, found.received), (Bucket::Held, found.damaged)] {
        if quantity > 0 {
            postings.push(Posting {
                variant,
                from: Place::Account(Account::Transit),
                to: Place::Bucket(bucket),
                quantity,
                reservation: None,
            });
        }
    }
    Ok(())
}

/// An event on the destination's stream that says what all of a transfer's do.
fn at_destination(kind: Kind, id: Position, transfer: &Transfer, now: Timestamp) -> StockEvent {
    StockEvent {
        kind,
        warehouse: transfer.destination,
        occurred_at: now,
        reason: None,
        order: None,
        transfer: transfer.name.clone(),
        expires_at: None,
        about: Some(id),
        noted: Vec::new(),
        counterpart: Some(transfer.source),
        count: None,
        postings: Postings::new(),
        notes: None,
    }
}
