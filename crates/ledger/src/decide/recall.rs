//! Whether a lot may be recalled, what of it is set aside then, and what afterwards.
//!
//! A recalled lot is one that is not active and has nothing available: it is neither chosen nor issued, and what there was
//! is held. What becomes available of it later, because it is received or an order gives it back, is held at once by an event
//! of its own behind those that brought it ([`set_aside`]).

use std::collections::BTreeMap;

use super::{Decision, POSTINGS_MAX, shape};
use crate::command::RecallCommand;
use crate::event::{CatalogueEvent, Event, Kind, Postings, StockEvent};
use crate::expiry::Freed;
use crate::id::{VariantNo, WarehouseNo};
use crate::place::{Bucket, Place, Posting};
use crate::rejection::Rejection;
use crate::state::{State, StockKey, Tracking};
use crate::time::Timestamp;

const AVAILABLE: Place = Place::Bucket(Bucket::Available);
const HELD: Place = Place::Bucket(Bucket::Held);

/// Decides at all warehouses at once.
pub(super) fn decide(state: &State, command: &RecallCommand, now: Timestamp) -> Result<Decision, Rejection> {
    let RecallCommand { lot, is_over, notes } = command;
    shape::check_notes(notes.as_deref())?;
    let variant = *lot;
    let found = state.variant(variant);
    let found = found.filter(|found| matches!(found.tracking, Tracking::LotOf(_)));
    let found = found.ok_or(Rejection::UnknownLot { line: 0, variant })?;
    let mut decision = Decision::new();
    if *is_over {
        decision.extend(given_back(state, variant, notes.as_deref(), now));
        if !found.active {
            decision.push(Event::Catalogue(CatalogueEvent::VariantActivated(variant)));
        }
        return Ok(decision);
    }
    let mut freed = Freed::new(state, now);
    if found.active {
        decision.push(Event::Catalogue(CatalogueEvent::VariantDeactivated(variant)));
    }
    for warehouse in state.warehouse_numbers() {
        let available = freed.available(warehouse, variant, i64::MAX);
        if available > 0 {
            let moved = (warehouse, variant, available);
            decision.push(one(Kind::Hold, moved, notes.as_deref(), now));
        }
    }
    decision.insert_many(0, freed.into_events());
    Ok(decision)
}

/// What was set aside of a lot since it was taken out of use is available again, at all warehouses: in front of the event that
/// puts the lot to use again, which forgets what was set aside.
pub(super) fn given_back(
    state: &State,
    lot: VariantNo,
    notes: Option<&str>,
    now: Timestamp,
) -> impl Iterator<Item = Event> {
    let units = state.warehouse_numbers();
    let units = units.map(move |no| (no, lot, state.set_aside(no, lot)));
    let units = units.filter(|(.., units)| *units > 0);
    units.map(move |moved| one(Kind::Unhold, moved, notes, now))
}

/// An event that moves units of one lot at one warehouse.
fn one(
    kind: Kind,
    (warehouse, lot, units): (WarehouseNo, VariantNo, i64),
    notes: Option<&str>,
    now: Timestamp,
) -> Event {
    let moved = [posting(lot, kind, units)];
    let event = event_of(kind, warehouse, moved.into_iter().collect(), now);
    let notes = notes.map(Into::into);
    Event::Stock(StockEvent { notes, ..event })
}

/// What is held of recalled lots behind a decision, because it makes it available: to be recorded behind the decision's own
/// events, in the same append. `state` is the one that the decision was made on.
///
/// What was held and is given free stays free: somebody wanted that, to throw it away or send it back.
pub fn set_aside(state: &State, decision: &[Event], now: Timestamp) -> Decision {
    let mut held = Decision::new();
    if !state.has_lots() || !decision.iter().any(brings_some) {
        return held;
    }
    let mut arrived: BTreeMap<StockKey, i64> = BTreeMap::new();
    for event in decision.iter().filter_map(stock) {
        for one in event.postings.iter().filter(|one| one.from != HELD) {
            let change = one.change_of(Bucket::Available);
            if change != 0 && state.is_recalled(one.variant) {
                let key = StockKey::new(event.warehouse, one.variant);
                let sum = arrived.entry(key).or_default();
                *sum = sum.saturating_add(change);
            }
        }
    }
    let mut by_warehouse: BTreeMap<WarehouseNo, Vec<Posting>> = BTreeMap::new();
    for (key, arrived) in arrived {
        // Where available stood below zero, it makes up for that first.
        let before = state.available(key.warehouse(), key.variant()).min(0);
        let quantity = arrived.saturating_add(before);
        if quantity > 0 {
            let of_it = by_warehouse.entry(key.warehouse()).or_default();
            of_it.push(posting(key.variant(), Kind::Hold, quantity));
        }
    }
    for (warehouse, postings) in by_warehouse {
        for postings in postings.chunks(POSTINGS_MAX) {
            let event = event_of(Kind::Hold, warehouse, postings.into(), now);
            held.push(Event::Stock(event));
        }
    }
    held
}

fn stock(event: &Event) -> Option<&StockEvent> {
    match event {
        Event::Stock(event) => Some(event),
        Event::Catalogue(_) => None,
    }
}

fn brings_some(event: &Event) -> bool {
    stock(event).is_some_and(|event| event.postings.iter().any(|one| one.to == AVAILABLE))
}

fn posting(variant: VariantNo, kind: Kind, quantity: i64) -> Posting {
    let (from, to) = if kind == Kind::Hold {
        (AVAILABLE, HELD)
    } else {
        (HELD, AVAILABLE)
    };
    Posting {
        variant,
        from,
        to,
        quantity,
        reservation: None,
    }
}

fn event_of(kind: Kind, warehouse: WarehouseNo, postings: Postings, now: Timestamp) -> StockEvent {
    StockEvent {
        kind,
        warehouse,
        occurred_at: now,
        reason: None,
        order: None,
        transfer: None,
        expires_at: None,
        about: None,
        noted: Vec::new(),
        counterpart: None,
        count: None,
        postings,
        notes: None,
    }
}
