//! What reservations that ran out leave free, and the events that say so.

use std::collections::BTreeMap;

use crate::event::{Event, Kind, StockEvent};
use crate::id::{Position, VariantNo, WarehouseNo};
use crate::place::{Bucket, Posting};
use crate::state::{Reservation, State};
use crate::time::Timestamp;

/// The reservations that one command lets expire because it needs what they leave free.
pub(crate) struct Freed<'s> {
    state: &'s State,
    now: Timestamp,
    /// First expiry first.
    reservations: BTreeMap<(Timestamp, Position), &'s Reservation>,
}

impl<'s> Freed<'s> {
    pub(crate) fn new(state: &'s State, now: Timestamp) -> Freed<'s> {
        Freed {
            state,
            now,
            reservations: BTreeMap::new(),
        }
    }

    /// How many units are free once as many due reservations have expired, first expiry first, as are needed to have
    /// `wanted`; all of them when even that is not enough.
    pub(crate) fn available(&mut self, warehouse: WarehouseNo, variant: VariantNo, wanted: i64) -> i64 {
        let mut available = self.state.available(warehouse, variant);
        if available >= wanted {
            return available;
        }
        // What an earlier line of the command lets expire anyway comes first.
        let due = || self.state.due(warehouse, variant, self.now);
        let key = |r: &Reservation| r.expires_at.map(|at| (at, r.id));
        let expires = |r: &&Reservation| key(r).is_some_and(|key| self.reservations.contains_key(&key));
        available = due()
            .filter(expires)
            .map(|r| r.holds(variant, Bucket::Reserved))
            .fold(available, i64::saturating_add);
        for reservation in due() {
            if available >= wanted {
                break;
            }
            let Some(key) = key(reservation) else { continue };
            if self.reservations.insert(key, reservation).is_none() {
                available = available.saturating_add(reservation.holds(variant, Bucket::Reserved));
            }
        }
        available
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.reservations.is_empty()
    }

    /// The events that record the expiries, first expiry first.
    pub(crate) fn into_events(self) -> impl Iterator<Item = Event> {
        let state = self.state;
        self.reservations
            .into_values()
            .filter_map(|reservation| expiry_of(state, reservation))
    }
}

/// The event that `reservation` ran out; `None` when it does not run out.
pub(crate) fn expiry_of(state: &State, reservation: &Reservation) -> Option<Event> {
    let expires_at = reservation.expires_at?;
    let order = state.expiries.get(&(expires_at, reservation.id))?;
    let (from, to) = Kind::Expiry.flow()?;
    let postings = reservation
        .lines
        .iter()
        .filter(|line| line.of(Bucket::Reserved) > 0)
        .map(|line| Posting {
            variant: line.variant,
            from,
            to,
            quantity: line.of(Bucket::Reserved),
            reservation: Some(reservation.id),
        });
    Some(Event::Stock(StockEvent {
        kind: Kind::Expiry,
        warehouse: reservation.warehouse,
        occurred_at: expires_at,
        reason: None,
        order: Some(order.clone()),
        transfer: None,
        expires_at: None,
        about: None,
        noted: Vec::new(),
        counterpart: None,
        count: None,
        postings: postings.collect(),
        notes: None,
    }))
}
