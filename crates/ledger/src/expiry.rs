//! What reservations that ran out leave free, and the events that say so.

use smallvec::SmallVec;

use crate::event::{Event, Kind, StockEvent};
use crate::id::{VariantNo, WarehouseNo};
use crate::place::{Bucket, Posting};
use crate::state::{Reservation, State};
use crate::time::Timestamp;

/// The reservations that one command lets expire because it needs what they leave free.
pub(crate) struct Freed<'s> {
    state: &'s State,
    now: Timestamp,
    reservations: SmallVec<[&'s Reservation; 2]>,
}

impl<'s> Freed<'s> {
    pub(crate) fn new(state: &'s State, now: Timestamp) -> Freed<'s> {
        Freed {
            state,
            now,
            reservations: SmallVec::new(),
        }
    }

    /// How many units are free once as many due reservations have expired, first expiry first, as are needed to have
    /// `wanted`; all of them when even that is not enough.
    pub(crate) fn available(&mut self, warehouse: WarehouseNo, variant: VariantNo, wanted: i64) -> i64 {
        let reserved = |r: &Reservation| r.holds(variant, Bucket::Reserved);
        let mut available = self.state.buckets(warehouse, variant).available();
        let here = self.reservations.iter().filter(|r| r.warehouse == warehouse);
        available += here.map(|r| reserved(r)).sum::<i64>();
        if available >= wanted {
            return available;
        }
        for reservation in self.state.due(warehouse, variant, self.now) {
            if self.reservations.iter().any(|r| r.id == reservation.id) {
                continue;
            }
            available += reserved(reservation);
            self.reservations.push(reservation);
            if available >= wanted {
                break;
            }
        }
        available
    }

    /// The events that record the expiries, first expiry first.
    pub(crate) fn into_events(mut self) -> impl Iterator<Item = Event> {
        let state = self.state;
        self.reservations.sort_unstable_by_key(|r| (r.expires_at, r.id));
        self.reservations
            .into_iter()
            .filter_map(|reservation| expiry_of(state, reservation))
    }
}

/// The event that `reservation` ran out; `None` when it does not run out.
pub(crate) fn expiry_of(state: &State, reservation: &Reservation) -> Option<Event> {
    let expires_at = reservation.expires_at?;
    let order = state.expiries.get(&(expires_at, reservation.id))?;
    let (from, to) = Kind::Expiry.flow();
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
        postings: postings.collect(),
        notes: None,
    }))
}
