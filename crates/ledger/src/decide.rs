//! The one place where it is decided whether something may happen.

mod catalogue;
mod shape;

use smallvec::SmallVec;

use crate::command::{Command, Line, StockCommand};
use crate::event::{Event, Kind, Postings, Reason, StockEvent};
use crate::expiry::{Freed, expiry_of};
use crate::id::VariantNo;
use crate::place::{Account, Bucket, Place, Posting};
use crate::rejection::{Rejection, Shortage};
use crate::state::State;
use crate::time::Timestamp;

/// The events that follow from a command, in the order of recording: all of them are appended, or none. The last one
/// is the command's own; expiries that it needed stand before it. A change that changes nothing has no event.
pub type Decision = SmallVec<[Event; 1]>;

/// Decides what follows from `command` in `state` at the instant `now`, which is not before the last recorded one.
///
/// Whatever is decided, [`State::apply`] takes. A [`Rejection`] changes nothing.
pub fn decide(state: &State, command: &Command, now: Timestamp) -> Result<Decision, Rejection> {
    match command {
        Command::Stock(command) => decide_stock(state, command, now),
        Command::Catalogue(command) => catalogue::decide(state, command),
        Command::ExpireDue { reservations_max } => Ok(expire_due(state, now, *reservations_max)),
    }
}

/// The expiries that are due at `now` and not recorded, first expiry first, at most `reservations_max` of them.
pub fn expire_due(state: &State, now: Timestamp, reservations_max: usize) -> Decision {
    let due = state
        .expiries
        .keys()
        .take_while(|(at, _)| *at <= now)
        .take(reservations_max);
    due.filter_map(|&(at, id)| expiry_of(state, state.expiring_reservation(at, id)?))
        .collect()
}

fn decide_stock(state: &State, command: &StockCommand, now: Timestamp) -> Result<Decision, Rejection> {
    let occurred_at = shape::check(command, now)?;
    check_catalogue(state, command, occurred_at)?;
    let mut freed = Freed::new(state, now);
    let postings = match command.kind {
        Kind::Release | Kind::Pick | Kind::Pack | Kind::Ship => post_held(state, command, now)?,
        _ => post_stock(state, command, &mut freed)?,
    };
    let event = Event::Stock(StockEvent {
        kind: command.kind,
        warehouse: command.warehouse,
        occurred_at,
        reason: command.reason,
        order: command.order.clone(),
        transfer: command.transfer.clone(),
        expires_at: command.expires_at,
        about: None,
        noted: Vec::new(),
        postings,
        notes: command.notes.clone(),
    });
    let mut decision = Decision::new();
    if !freed.is_empty() {
        decision.extend(freed.into_events());
    }
    decision.push(event);
    Ok(decision)
}

/// The warehouse and the variants exist, are active and have not expired.
fn check_catalogue(state: &State, command: &StockCommand, occurred_at: Timestamp) -> Result<(), Rejection> {
    let StockCommand {
        kind,
        warehouse,
        reason,
        ..
    } = *command;
    let needs_active = !kind.finishes();
    match state.warehouse(warehouse) {
        None => return Err(Rejection::UnknownWarehouse { warehouse }),
        Some(found) if needs_active && !found.active => {
            return Err(Rejection::InactiveWarehouse { warehouse });
        }
        Some(_) => {}
    }
    let may_be_expired = !matches!(kind, Kind::Outbound | Kind::Reservation)
        || matches!(
            reason,
            Some(Reason::DiscardExpired | Reason::Damage | Reason::CountCorrection)
        );
    for (line, Line { variant, .. }) in command.lines.iter().enumerate() {
        let variant = *variant;
        let found = state
            .variant(variant)
            .ok_or(Rejection::UnknownVariant { line, variant })?;
        if needs_active && !found.active {
            return Err(Rejection::InactiveVariant { line, variant });
        }
        if let Some(expired_at) = found
            .expires_at
            .filter(|at| !may_be_expired && *at <= occurred_at)
        {
            return Err(Rejection::VariantExpired {
                line,
                variant,
                expired_at,
            });
        }
    }
    Ok(())
}

/// Postings that take from a bucket or account as a whole.
fn post_stock(state: &State, command: &StockCommand, freed: &mut Freed<'_>) -> Result<Postings, Rejection> {
    let mut postings = Postings::new();
    let mut shortages = Vec::new();
    for (line, &Line { variant, quantity }) in command.lines.iter().enumerate() {
        let (from, to) = match command.kind.flow() {
            (from, to) if quantity < 0 => (to, from),
            flow => flow,
        };
        let requested = quantity.saturating_abs();
        if let Some(available) = to_take(state, command, variant, from, requested, freed)
            && available < requested
        {
            shortages.push(Shortage {
                variant,
                requested,
                available,
            });
        }
        if !has_room(state, command, variant, from, to, requested) {
            return Err(Rejection::Overflow { line, variant });
        }
        postings.push(Posting {
            variant,
            from,
            to,
            quantity: requested,
            reservation: None,
        });
    }
    if shortages.is_empty() {
        Ok(postings)
    } else {
        Err(Rejection::Insufficient { shortages })
    }
}

/// How many units there are to take from `from`; `None` where there is no limit.
fn to_take(
    state: &State,
    command: &StockCommand,
    variant: VariantNo,
    from: Place,
    wanted: i64,
    freed: &mut Freed<'_>,
) -> Option<i64> {
    match from {
        Place::Bucket(Bucket::Available) => Some(freed.available(command.warehouse, variant, wanted)),
        Place::Bucket(bucket) => Some(state.buckets(command.warehouse, variant).of(bucket)),
        Place::Account(Account::Transit) => Some(
            command
                .transfer
                .as_deref()
                .map_or(0, |transfer| state.in_transit(transfer, variant)),
        ),
        Place::Account(Account::Supplier | Account::Customer | Account::Adjustment) => None,
    }
}

/// Whether `quantity` more fits where it goes. What moves between buckets stays within on hand, which fits already.
fn has_room(
    state: &State,
    command: &StockCommand,
    variant: VariantNo,
    from: Place,
    to: Place,
    quantity: i64,
) -> bool {
    match (from, to) {
        (Place::Account(_), Place::Bucket(_)) => state
            .on_hand(command.warehouse, variant)
            .checked_add(quantity)
            .is_some(),
        (_, Place::Account(Account::Transit)) => {
            let transfer = command.transfer.as_deref().unwrap_or_default();
            state
                .in_transit(transfer, variant)
                .checked_add(quantity)
                .is_some()
        }
        _ => true,
    }
}

/// Postings that take from what the order holds at the warehouse, its oldest reservation first. What is reserved and
/// has run out is no longer the order's.
fn post_held(state: &State, command: &StockCommand, now: Timestamp) -> Result<Postings, Rejection> {
    let (mut from, to) = command.kind.flow();
    if let Some(bucket) = command.release_from {
        from = Place::Bucket(bucket);
    }
    let Place::Bucket(bucket) = from else {
        return Err(Rejection::NotCommandable { kind: command.kind });
    };
    let order = command.order.as_deref().unwrap_or_default();
    let held = state.reservations(order).iter().filter(|reservation| {
        reservation.warehouse == command.warehouse && !(bucket == Bucket::Reserved && reservation.is_due(now))
    });
    let mut postings = Postings::new();
    let mut shortages = Vec::new();
    for &Line {
        variant,
        quantity: requested,
    } in &command.lines
    {
        let mut left = requested;
        for reservation in held.clone() {
            if left == 0 {
                break;
            }
            let quantity = reservation.holds(variant, bucket).min(left);
            if quantity > 0 {
                postings.push(Posting {
                    variant,
                    from,
                    to,
                    quantity,
                    reservation: Some(reservation.id),
                });
                left = left.saturating_sub(quantity);
            }
        }
        if left > 0 {
            shortages.push(Shortage {
                variant,
                requested,
                available: requested.saturating_sub(left),
            });
        }
    }
    if shortages.is_empty() {
        Ok(postings)
    } else {
        Err(Rejection::Insufficient { shortages })
    }
}
