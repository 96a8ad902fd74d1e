//! What may happen to what an order holds: released, picked, packed, shipped, or kept for longer.

use smallvec::smallvec;

use super::{Decision, conditions, shape};
use crate::command::{ExtendCommand, Line, StockCommand};
use crate::event::{Event, Kind, Postings, StockEvent};
use crate::place::{Bucket, Place, Posting};
use crate::rejection::{Rejection, Shortage};
use crate::state::{HeldLine, Reservation, State, Tracking};
use crate::time::Timestamp;

/// Postings that take from what the order holds at the warehouse: from the reservation that the command names, or from
/// the oldest first. What is reserved and has run out is no longer the order's.
pub(super) fn post(state: &State, command: &StockCommand, now: Timestamp) -> Result<Postings, Rejection> {
    let flow = command.kind.flow();
    let (mut from, to) = flow.ok_or(Rejection::NotCommandable { kind: command.kind })?;
    if let Some(bucket) = command.release_from {
        from = Place::Bucket(bucket);
    }
    let Place::Bucket(bucket) = from else {
        return Err(Rejection::NotCommandable { kind: command.kind });
    };
    let order = command.order.as_deref().unwrap_or_default();
    let all = state.reservations(order);
    let named = command.reservation.map(|id| {
        let found = all
            .iter()
            .find(|one| one.id == id && one.warehouse == command.warehouse);
        found.ok_or(Rejection::ReservationOver { reservation: id })
    });
    let named = named.transpose()?;
    if let Some(reservation) = named {
        if command.lines.is_empty() {
            return post_all(reservation, command, bucket, to, now);
        }
        if bucket == Bucket::Reserved {
            check_expired(reservation, now)?;
        }
    }
    let held = all.iter().filter(|one| {
        one.warehouse == command.warehouse
            && command.reservation.is_none_or(|id| one.id == id)
            && !(bucket == Bucket::Reserved && one.is_due(now))
    });
    let mut postings = Postings::new();
    let mut shortages = Vec::new();
    for &Line {
        variant,
        quantity: requested,
    } in &command.lines
    {
        let tracking = state.variant(variant).map(|found| found.tracking);
        let in_lots = tracking == Some(Tracking::InLots);
        let is_meant = |no| no == variant || in_lots && state.variant_of(no) == variant;
        let mut left = requested;
        for reservation in held.clone() {
            if left == 0 {
                break;
            }
            for line in reservation.lines.iter().filter(|line| is_meant(line.variant)) {
                let quantity = line.of(bucket).min(left);
                if quantity > 0 {
                    postings.push(Posting {
                        variant: line.variant,
                        from,
                        to,
                        quantity,
                        reservation: Some(reservation.id),
                    });
                    left = left.saturating_sub(quantity);
                }
            }
        }
        if left > 0 {
            shortages.push(Shortage {
                variant,
                from,
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

/// Postings of everything that a reservation has in the bucket; of a release that names none, in whichever.
fn post_all(
    reservation: &Reservation,
    command: &StockCommand,
    bucket: Bucket,
    to: Place,
    now: Timestamp,
) -> Result<Postings, Rejection> {
    let everything = command.kind == Kind::Release && command.release_from.is_none();
    let buckets = if everything {
        &[Bucket::Reserved, Bucket::Picked, Bucket::Packed][..]
    } else {
        &[bucket]
    };
    let is_due = reservation.is_due(now);
    let mut postings = Postings::new();
    for line in &reservation.lines {
        for &bucket in buckets {
            let quantity = line.of(bucket);
            if quantity > 0 && !(bucket == Bucket::Reserved && is_due) {
                postings.push(Posting {
                    variant: line.variant,
                    from: Place::Bucket(bucket),
                    to,
                    quantity,
                    reservation: Some(reservation.id),
                });
            }
        }
    }
    if postings.is_empty() {
        if bucket == Bucket::Reserved {
            check_expired(reservation, now)?;
        }
        return Err(Rejection::NothingHeld {
            reservation: reservation.id,
            bucket,
        });
    }
    Ok(postings)
}

/// Fails when what the reservation has reserved has run out, recorded or not.
fn check_expired(reservation: &Reservation, now: Timestamp) -> Result<(), Rejection> {
    match reservation.expires_at {
        Some(expired_at) if expired_at <= now && reservation.has_reserved() => {
            Err(Rejection::ReservationExpired {
                reservation: reservation.id,
                expired_at,
            })
        }
        _ => Ok(()),
    }
}

/// Decides that a reservation, which has something reserved and has not run out, runs out at another instant.
pub(super) fn extend(state: &State, command: &ExtendCommand, now: Timestamp) -> Result<Decision, Rejection> {
    let ExtendCommand {
        warehouse,
        order,
        reservation: id,
        expires_at,
        version,
        notes,
    } = command;
    shape::check_notes(notes.as_deref())?;
    if let Some(expires_at) = expires_at {
        shape::check_expiry(*expires_at, now)?;
    }
    if state.warehouse(*warehouse).is_none() {
        return Err(Rejection::UnknownWarehouse {
            warehouse: *warehouse,
        });
    }
    conditions::check_version(state, *warehouse, *version)?;
    let mut all = state.reservations(order).iter();
    let reservation = all
        .find(|one| one.id == *id && one.warehouse == *warehouse)
        .ok_or(Rejection::ReservationOver { reservation: *id })?;
    check_expired(reservation, now)?;
    let reserved = |line: &HeldLine| {
        let units = line.of(Bucket::Reserved);
        (units > 0).then_some((line.variant, units))
    };
    let noted: Vec<_> = reservation.lines.iter().filter_map(reserved).collect();
    if noted.is_empty() {
        return Err(Rejection::NothingHeld {
            reservation: *id,
            bucket: Bucket::Reserved,
        });
    }
    Ok(smallvec![Event::Stock(StockEvent {
        kind: Kind::Extend,
        warehouse: *warehouse,
        occurred_at: now,
        reason: None,
        order: Some(order.clone()),
        transfer: None,
        expires_at: *expires_at,
        about: Some(*id),
        noted,
        counterpart: None,
        count: None,
        postings: Postings::new(),
        notes: notes.clone(),
    })])
}
