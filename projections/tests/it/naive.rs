//! What the views should answer, worked out from all events the slow and obvious way.

use std::collections::BTreeMap;

use bincard_ledger::{
    Bucket, Buckets, Event, Kind, Place, Position, Recorded, StockEvent, Timestamp, VariantNo,
};
use bincard_projections::history::{AsOf, EventFilter, EventOrder, EventRow, EventSort, MovementRow};
use bincard_projections::stock::{StockKey, StockRow};

/// The stock events with their records.
pub(crate) fn stock_events(events: &[Recorded]) -> impl Iterator<Item = (&Recorded, &StockEvent)> {
    events.iter().filter_map(|recorded| match &recorded.record.event {
        Event::Stock(event) => Some((recorded, event)),
        Event::Catalogue(_) => None,
    })
}

fn key(event: &StockEvent, variant: VariantNo) -> StockKey {
    StockKey {
        warehouse: event.warehouse,
        variant,
    }
}

fn add(buckets: &mut Buckets, posting: &bincard_ledger::Posting) {
    for bucket in Bucket::ALL {
        buckets.0[bucket as usize] += posting.change_of(bucket);
    }
}

/// All stock, by the events so far.
pub(crate) fn stock(events: &[Recorded]) -> BTreeMap<StockKey, (Buckets, Position)> {
    let mut stock = BTreeMap::new();
    for (recorded, event) in stock_events(events) {
        for posting in &event.postings {
            let entry = stock
                .entry(key(event, posting.variant))
                .or_insert((Buckets::default(), Position(0)));
            add(&mut entry.0, posting);
            entry.1 = recorded.position;
        }
    }
    stock
}

/// What reservations that have run out by `now` still have reserved of a key, by the events so far.
fn run_out(events: &[Recorded], of: StockKey, now: Timestamp) -> i64 {
    let mut left: BTreeMap<Position, (Option<Timestamp>, i64)> = BTreeMap::new();
    let reserved = Place::Bucket(Bucket::Reserved);
    for (recorded, event) in stock_events(events) {
        if event.kind == Kind::Extend
            && let Some((expires_at, _)) = event.about.and_then(|id| left.get_mut(&id))
        {
            *expires_at = event.expires_at;
        }
        for posting in event
            .postings
            .iter()
            .filter(|posting| key(event, posting.variant) == of)
        {
            let id = posting.reservation.unwrap_or(recorded.position);
            if posting.to == reserved {
                left.insert(id, (event.expires_at, posting.quantity));
            }
            if posting.from == reserved
                && let Some((_, left)) = left.get_mut(&id)
            {
                *left -= posting.quantity;
            }
        }
    }
    left.into_values()
        .filter(|(expires_at, _)| expires_at.is_some_and(|at| at <= now))
        .map(|(_, left)| left)
        .sum()
}

/// All rows of stock at `now`.
pub(crate) fn stock_rows(events: &[Recorded], now: Timestamp) -> Vec<StockRow> {
    let rows = stock(events).into_iter().map(|(key, (mut buckets, changed))| {
        let run_out = run_out(events, key, now);
        buckets.0[Bucket::Available as usize] += run_out;
        buckets.0[Bucket::Reserved as usize] -= run_out;
        StockRow {
            key,
            buckets,
            changed,
        }
    });
    rows.collect()
}

/// The stock of a key in the past.
pub(crate) fn as_of(events: &[Recorded], of: StockKey, past: AsOf) -> Buckets {
    let mut buckets = Buckets::default();
    for (recorded, event) in stock_events(events) {
        let counts = past.as_of.is_none_or(|at| event.occurred_at <= at)
            && past.known_at.is_none_or(|at| recorded.recorded_at <= at);
        for posting in event
            .postings
            .iter()
            .filter(|posting| counts && key(event, posting.variant) == of)
        {
            add(&mut buckets, posting);
        }
    }
    buckets
}

/// Whether anything of a key had moved by then.
pub(crate) fn has_moved(events: &[Recorded], of: StockKey, past: AsOf) -> bool {
    stock_events(events).any(|(recorded, event)| {
        past.as_of.is_none_or(|at| event.occurred_at <= at)
            && past.known_at.is_none_or(|at| recorded.recorded_at <= at)
            && event
                .postings
                .iter()
                .any(|posting| key(event, posting.variant) == of)
    })
}

/// All events that pass a filter, sorted.
pub(crate) fn events(all: &[Recorded], filter: &EventFilter, sort: EventSort) -> Vec<EventRow> {
    let passes = |event: &StockEvent| {
        filter
            .kinds
            .as_ref()
            .is_none_or(|kinds| kinds.contains(&event.kind))
            && filter
                .warehouses
                .as_ref()
                .is_none_or(|list| list.contains(&event.warehouse))
            && filter
                .variant
                .is_none_or(|variant| event.postings.iter().any(|posting| posting.variant == variant))
            && filter.reason.is_none_or(|reason| event.reason == Some(reason))
            && filter.occurred_from.is_none_or(|from| event.occurred_at >= from)
            && filter.occurred_to.is_none_or(|to| event.occurred_at <= to)
    };
    let mut rows: Vec<EventRow> = stock_events(all)
        .filter(|(_, event)| passes(event))
        .map(|(recorded, event)| EventRow {
            position: recorded.position,
            occurred_at: event.occurred_at,
            recorded_at: recorded.recorded_at,
            warehouse: event.warehouse,
            kind: event.kind,
            reason: event.reason,
        })
        .collect();
    match sort.order {
        EventOrder::OccurredAt => rows.sort_by_key(|row| (row.occurred_at, row.position)),
        EventOrder::RecordedAt => rows.sort_by_key(|row| (row.recorded_at, row.position)),
    }
    if sort.descending {
        rows.reverse();
    }
    rows
}

/// All movements of a variant, in the order of occurrence.
pub(crate) fn movements(all: &[Recorded], variant: VariantNo) -> Vec<MovementRow> {
    let mut held: BTreeMap<StockKey, Buckets> = BTreeMap::new();
    let mut rows = Vec::new();
    for (recorded, event) in stock_events(all) {
        for (line, posting) in event.postings.iter().enumerate() {
            let key = key(event, posting.variant);
            let after = held.entry(key).or_default();
            add(after, posting);
            rows.push(MovementRow {
                position: recorded.position,
                line: line as u16,
                key,
                lot: None,
                occurred_at: event.occurred_at,
                kind: event.kind,
                reason: event.reason,
                from: posting.from,
                to: posting.to,
                quantity: posting.quantity,
                after: *after,
            });
        }
    }
    rows.retain(|row| row.key.variant == variant);
    rows.sort_by_key(|row| (row.occurred_at, row.position, row.line));
    rows
}
