//! The view of transfers answers what a naive look at all events gives: one by one, and listed by every filter; and a
//! verification names what was changed in it.

use std::collections::BTreeMap;

use bincard_ledger::{Account, Bucket, Kind, Place, Position, Recorded, VariantNo, WarehouseNo};
use bincard_projections::transfers::{TransferFilter, TransferLine, TransferRow, TransferState};
use bincard_projections::{Slice, ViewName, Views, verify};
use proptest::prelude::*;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::ledger::{Kept, Ledger, Random, WAREHOUSES, runtime};
use crate::naive;

/// All transfers, by the events so far.
fn transfers(events: &[Recorded]) -> Vec<TransferRow> {
    let mut rows: BTreeMap<Position, TransferRow> = BTreeMap::new();
    for (recorded, event) in naive::stock_events(events) {
        let Some(counterpart) = event.counterpart else {
            continue;
        };
        if event.kind == Kind::TransferOut {
            let sent: BTreeMap<_, _> = event.postings.iter().map(|p| (p.variant, p.quantity)).collect();
            let lines = sent.into_iter().map(|(variant, sent)| TransferLine {
                variant,
                sent,
                ..TransferLine::default()
            });
            let row = TransferRow {
                id: recorded.position,
                name: event.transfer.as_deref().map(str::to_owned),
                source: event.warehouse,
                destination: counterpart,
                state: TransferState::Open,
                ended_at: None,
                lines: lines.collect(),
                events: vec![recorded.position],
            };
            rows.insert(recorded.position, row);
            continue;
        }
        let row = rows.get_mut(&event.about.unwrap()).unwrap();
        row.events.push(recorded.position);
        for line in &mut row.lines {
            for posting in event
                .postings
                .iter()
                .filter(|posting| posting.variant == line.variant)
            {
                assert_eq!(posting.from, Place::Account(Account::Transit));
                match posting.to {
                    Place::Bucket(Bucket::Available) => line.received += posting.quantity,
                    Place::Bucket(Bucket::Held) => line.damaged += posting.quantity,
                    Place::Account(Account::Adjustment) => line.written_off += posting.quantity,
                    other => panic!("nothing on the way goes to {other:?}"),
                }
            }
            let left = line.sent - line.received - line.damaged - line.written_off;
            assert_eq!(line.in_transit(), left);
            if event.kind == Kind::TransferIn {
                let noted = event.noted.iter().filter(|(variant, _)| *variant == line.variant);
                line.short = left.min(line.short + noted.map(|(_, units)| units).sum::<i64>());
            }
        }
        if row.lines.iter().all(|line| line.in_transit() == 0) {
            row.ended_at = Some(event.occurred_at);
            row.state = match event.kind {
                Kind::TransferClosed => TransferState::Closed,
                _ => TransferState::Received,
            };
        }
    }
    rows.into_values().collect()
}

fn passes(row: &TransferRow, filter: &TransferFilter) -> bool {
    filter.state.is_none_or(|state| row.state == state)
        && filter.source.is_none_or(|source| row.source == source)
        && filter
            .destination
            .is_none_or(|destination| row.destination == destination)
        && filter
            .variants
            .as_ref()
            .is_none_or(|all| row.lines.iter().any(|line| all.contains(&line.variant)))
}

fn filters() -> Vec<TransferFilter> {
    use TransferState::{Closed, Open, Received};
    let mut filters = vec![TransferFilter::default()];
    for state in [Open, Received, Closed] {
        let state = Some(state);
        filters.push(TransferFilter {
            state,
            ..TransferFilter::default()
        });
    }
    for no in 1..=WAREHOUSES {
        filters.push(TransferFilter {
            source: Some(WarehouseNo(no)),
            variants: Some(vec![VariantNo(1), VariantNo(2)]),
            ..TransferFilter::default()
        });
        filters.push(TransferFilter {
            destination: Some(WarehouseNo(no)),
            state: Some(Open),
            ..TransferFilter::default()
        });
        filters.push(TransferFilter {
            source: Some(WarehouseNo(no)),
            destination: Some(WarehouseNo(1)),
            ..TransferFilter::default()
        });
    }
    filters
}

async fn listed(views: &Views, filter: &TransferFilter, descending: bool) -> Vec<TransferRow> {
    let mut rows: Vec<TransferRow> = Vec::new();
    loop {
        let slice = Slice {
            after: rows.last().map(|row| row.id),
            skip: 0,
            limit: 3,
            with_total: rows.is_empty(),
        };
        let page = views.transfers(filter, descending, slice).await.unwrap().value;
        if rows.is_empty() {
            let all = Slice {
                after: None,
                skip: 0,
                limit: 10_000,
                with_total: false,
            };
            let all = views.transfers(filter, descending, all).await.unwrap();
            assert_eq!(page.total, Some(all.value.rows.len() as u64));
        }
        rows.extend(page.rows);
        if !page.more {
            return rows;
        }
    }
}

async fn check(ledger: &Ledger, views: &Views) {
    let expected = transfers(&ledger.events);
    for row in &expected {
        let found = views.transfer(row.id).await.unwrap();
        assert_eq!(found.value.as_ref(), Some(row));
    }
    assert_eq!(views.transfer(Position(1)).await.unwrap().value, None);
    for filter in filters() {
        let of_filter = expected.iter().filter(|row| passes(row, &filter)).cloned();
        let mut of_filter: Vec<_> = of_filter.collect();
        assert_eq!(listed(views, &filter, false).await, of_filter, "{filter:?}");
        of_filter.reverse();
        assert_eq!(listed(views, &filter, true).await, of_filter, "{filter:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The projector is closed in between, so that what it carries is read from the tables.
    #[test]
    fn every_transfer_stands_as_a_naive_look_at_all_events_says(seed: u64) {
        for kept in Kept::BOTH {
            let mut random = Random::new(seed);
            let mut ledger = Ledger::with_catalogue().kept(kept);
            let runtime = runtime();
            for events in [200, 200] {
                ledger.grow(&mut random, events);
                let projector = ledger.project();
                let views = runtime.block_on(ledger.settled(&projector));
                runtime.block_on(check(&ledger, &views));
                projector.close();
            }
        }
    }
}

#[test]
fn random_histories_have_transfers_in_every_state() {
    let mut ledger = Ledger::with_catalogue();
    ledger.grow(&mut Random::new(7), 1_500);
    let all = transfers(&ledger.events);
    for state in [
        TransferState::Open,
        TransferState::Received,
        TransferState::Closed,
    ] {
        assert!(all.iter().any(|row| row.state == state), "none is {state:?}");
    }
    let lines = || all.iter().flat_map(|row| &row.lines);
    assert!(lines().any(|line| line.damaged > 0) && lines().any(|line| line.short > 0));
    assert!(all.iter().any(|row| row.events.len() > 4));
}

#[test]
fn what_was_changed_in_the_view_is_named_with_its_first_event() {
    let mut ledger = Ledger::with_catalogue();
    ledger.grow(&mut Random::new(7), 600);
    let projector = ledger.project();
    let runtime = runtime();
    runtime.block_on(ledger.settled(&projector));
    projector.close();
    let row = transfers(&ledger.events)
        .into_iter()
        .find(|row| row.events.len() > 2)
        .unwrap();
    let (id, last) = (row.id.0, row.events.last().unwrap());
    let tampers = [
        (
            format!("update transfers set destination = destination + 1 where id = {id}"),
            "transfers",
            row.id,
        ),
        (
            format!("update transfer_lines set sent = sent + 1 where transfer = {id} limit 1"),
            "transfer_lines",
            row.id,
        ),
        (
            format!("delete from transfer_events where position = {last}"),
            "transfer_events",
            *last,
        ),
    ];
    for (index, (tamper, table, first)) in tampers.into_iter().enumerate() {
        let tamper = tamper.replace(" limit 1", &format!(" and variant = {}", row.lines[0].variant));
        let differences = runtime.block_on(async {
            let path = ledger.views_path().join("transfers.1.db");
            let mut connection = SqliteConnectOptions::new()
                .filename(path)
                .connect()
                .await
                .unwrap();
            let done = sqlx::query(sqlx::AssertSqlSafe(tamper))
                .execute(&mut connection)
                .await
                .unwrap();
            assert_eq!(done.rows_affected(), 1);
            connection.close().await.unwrap();
            let views = [ViewName::Transfers];
            let verified = verify(&ledger.views_path(), &ledger.reader, &views, |_| {})
                .await
                .unwrap();
            verified[0].differences.clone()
        });
        assert_eq!(differences.len(), index + 1, "{differences:?}");
        let found = differences.iter().find(|one| one.table == table).unwrap();
        assert_eq!(found.first, Some(first), "{found:?}");
    }
}
