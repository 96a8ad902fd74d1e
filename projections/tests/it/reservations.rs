//! The view of reservations answers what a naive look at all events gives: one by one, and listed by every filter.

use std::collections::{BTreeMap, BTreeSet};

use bincard_ledger::{Account, Bucket, Kind, Place, Position, Recorded, Timestamp, VariantNo, WarehouseNo};
use bincard_projections::reservations::{
    ReservationFilter, ReservationLine, ReservationRow, ReservationState,
};
use bincard_projections::{Slice, Views};
use proptest::prelude::*;

use crate::ledger::{Kept, Ledger, MINUTE, Random, runtime};
use crate::naive;

/// All reservations as they stand at `now`, by the events so far.
fn reservations(events: &[Recorded], now: Timestamp) -> Vec<ReservationRow> {
    let mut rows: BTreeMap<Position, ReservationRow> = BTreeMap::new();
    let mut ran_out = BTreeSet::new();
    for (recorded, event) in naive::stock_events(events) {
        if event.kind == Kind::Reservation {
            let mut lines: BTreeMap<VariantNo, ReservationLine> = BTreeMap::new();
            let asked = event
                .postings
                .iter()
                .map(|posting| (posting.variant, posting.quantity));
            for (variant, units) in asked.clone().chain(event.noted.iter().copied()) {
                lines.entry(variant).or_default().requested += units;
            }
            for (variant, units) in asked {
                lines.entry(variant).or_default().reserved += units;
            }
            let lines = lines
                .into_iter()
                .map(|(variant, line)| ReservationLine { variant, ..line });
            rows.insert(
                recorded.position,
                ReservationRow {
                    id: recorded.position,
                    order: event.order.as_deref().unwrap().to_owned(),
                    warehouse: event.warehouse,
                    expires_at: event.expires_at,
                    state: ReservationState::Open,
                    lines: lines.collect(),
                },
            );
            continue;
        }
        if event.kind == Kind::Extend {
            rows.get_mut(&event.about.unwrap()).unwrap().expires_at = event.expires_at;
        }
        for posting in &event.postings {
            let Some(id) = posting.reservation else { continue };
            let row = rows.get_mut(&id).unwrap();
            let line = row.lines.iter_mut().find(|line| line.variant == posting.variant);
            let line = line.unwrap();
            let units = posting.quantity;
            match posting.from {
                Place::Bucket(Bucket::Reserved) => line.reserved -= units,
                Place::Bucket(Bucket::Picked) => line.picked -= units,
                Place::Bucket(Bucket::Packed) => line.packed -= units,
                other => panic!("a reservation holds nothing in {other:?}"),
            }
            match (posting.to, event.kind) {
                (Place::Bucket(Bucket::Picked), _) => line.picked += units,
                (Place::Bucket(Bucket::Packed), _) => line.packed += units,
                (Place::Account(Account::Customer), _) => line.shipped += units,
                (Place::Bucket(Bucket::Available), Kind::Expiry) => line.expired += units,
                (Place::Bucket(Bucket::Available), _) => line.released += units,
                other => panic!("a reservation's stock does not go to {other:?}"),
            }
            if event.kind == Kind::Expiry {
                ran_out.insert(id);
            } else {
                ran_out.remove(&id);
            }
        }
    }
    for row in rows.values_mut() {
        if row.expires_at.is_some_and(|at| at <= now) && row.lines.iter().any(|line| line.reserved > 0) {
            ran_out.insert(row.id);
            for line in &mut row.lines {
                line.expired += std::mem::take(&mut line.reserved);
            }
        }
        let sum = |units: fn(&ReservationLine) -> i64| row.lines.iter().map(units).sum::<i64>();
        row.state = if sum(|line| line.reserved + line.picked + line.packed) > 0 {
            ReservationState::Open
        } else if sum(|line| line.shipped) > 0 {
            ReservationState::Shipped
        } else if ran_out.contains(&row.id) {
            ReservationState::Expired
        } else {
            ReservationState::Released
        };
    }
    rows.into_values().collect()
}

fn passes(row: &ReservationRow, filter: &ReservationFilter) -> bool {
    filter.order.as_ref().is_none_or(|order| row.order == *order)
        && filter
            .warehouses
            .as_ref()
            .is_none_or(|all| all.contains(&row.warehouse))
        && filter.state.is_none_or(|state| row.state == state)
        && filter
            .variants
            .as_ref()
            .is_none_or(|all| row.lines.iter().any(|line| all.contains(&line.variant)))
}

fn filters(rows: &[ReservationRow]) -> Vec<ReservationFilter> {
    use ReservationState::{Expired, Open, Released, Shipped};
    let mut filters = vec![ReservationFilter::default()];
    let states = [Open, Shipped, Released, Expired].map(|state| ReservationFilter {
        state: Some(state),
        ..ReservationFilter::default()
    });
    filters.extend(states);
    for warehouses in [vec![], vec![WarehouseNo(1)], vec![WarehouseNo(1), WarehouseNo(2)]] {
        filters.push(ReservationFilter {
            warehouses: Some(warehouses),
            state: Some(Open),
            ..ReservationFilter::default()
        });
    }
    let order = rows.first().map(|row| row.order.clone());
    for order in [order, Some("nobody's".to_owned())] {
        filters.push(ReservationFilter {
            order,
            variants: Some(vec![VariantNo(1), VariantNo(2)]),
            ..ReservationFilter::default()
        });
    }
    filters
}

async fn listed(
    views: &Views,
    filter: &ReservationFilter,
    descending: bool,
    now: Timestamp,
) -> Vec<ReservationRow> {
    let mut rows: Vec<ReservationRow> = Vec::new();
    loop {
        let slice = Slice {
            after: rows.last().map(|row| row.id),
            skip: 0,
            limit: 3,
            with_total: rows.is_empty(),
        };
        let page = views
            .reservations(filter, descending, slice, now)
            .await
            .unwrap()
            .value;
        if rows.is_empty() {
            let all = Slice {
                after: None,
                skip: 0,
                limit: 10_000,
                with_total: false,
            };
            let all = views.reservations(filter, descending, all, now).await.unwrap();
            assert_eq!(page.total, Some(all.value.rows.len() as u64));
        }
        rows.extend(page.rows);
        if !page.more {
            return rows;
        }
    }
}

async fn check(ledger: &Ledger, views: &Views) {
    for minutes in [0, 20, 100_000] {
        let now = ledger.now.saturating_add_micros(minutes * MINUTE);
        let expected = reservations(&ledger.events, now);
        for row in &expected {
            let found = views.reservation(row.id, now).await.unwrap();
            assert_eq!(found.value.as_ref(), Some(row));
            assert!(row.lines.iter().all(|line| line.short() >= 0));
        }
        assert_eq!(views.reservation(Position(1), now).await.unwrap().value, None);
        for filter in filters(&expected) {
            let mut of_filter: Vec<_> = expected
                .iter()
                .filter(|row| passes(row, &filter))
                .cloned()
                .collect();
            assert_eq!(listed(views, &filter, false, now).await, of_filter, "{filter:?}");
            of_filter.reverse();
            assert_eq!(listed(views, &filter, true, now).await, of_filter, "{filter:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The projector is closed in between, so that what it carries is read from the tables.
    #[test]
    fn every_reservation_stands_as_a_naive_look_at_all_events_says(seed: u64) {
        for kept in Kept::BOTH {
            let mut random = Random::new(seed);
            let mut ledger = Ledger::with_catalogue().kept(kept);
            let runtime = runtime();
            for events in [150, 150] {
                ledger.grow(&mut random, events);
                let projector = ledger.project();
                let views = runtime.block_on(ledger.settled(&projector));
                runtime.block_on(check(&ledger, &views));
                projector.close();
            }
        }
    }
}
