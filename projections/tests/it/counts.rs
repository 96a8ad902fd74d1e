//! The view of counts answers what a naive look at all events gives: one by one, with all that was submitted, and listed by
//! every filter; and a verification names what was changed in it.

use std::collections::{BTreeMap, BTreeSet};

use bincard_ledger::{
    CatalogueCommand, Command, CountCommand, CountLine, CountStep, Counting, FoundLine, Kind, Position,
    Recorded, VariantNo, WarehouseNo,
};
use bincard_projections::counts::{CountFilter, CountRow, CountSheet, CountState, SheetLine, Submission};
use bincard_projections::{Slice, ViewName, Views, verify};
use proptest::prelude::*;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::ledger::{Kept, Ledger, Random, WAREHOUSES, runtime};
use crate::naive;

/// A count, and what it is of.
struct Naive {
    sheet: CountSheet,
    variants: Option<Vec<VariantNo>>,
}

fn lines_of(count: Option<&Counting>) -> &[CountLine] {
    match count {
        Some(Counting::Lines(lines)) => lines,
        other => panic!("there are no lines in {other:?}"),
    }
}

/// All counts, by the events so far.
fn counts(events: &[Recorded]) -> Vec<Naive> {
    let mut all: BTreeMap<Position, Naive> = BTreeMap::new();
    for (recorded, event) in naive::stock_events(events) {
        let position = recorded.position;
        if event.kind == Kind::CountOpened {
            let Some(Counting::Opened { variants, .. }) = event.count.as_deref() else {
                panic!("it does not say of what: {event:?}");
            };
            let count = CountRow {
                id: position,
                warehouse: event.warehouse,
                state: CountState::Open,
                ended: None,
                counted: 0,
            };
            let sheet = CountSheet { count, lines: vec![] };
            let variants = variants.clone();
            all.insert(position, Naive { sheet, variants });
            continue;
        }
        let state = match event.kind {
            Kind::Counted => CountState::Open,
            Kind::CountApproved => CountState::Approved,
            Kind::CountCancelled => CountState::Cancelled,
            _ => continue,
        };
        let sheet = &mut all.get_mut(&event.about.unwrap()).unwrap().sheet;
        sheet.count.state = state;
        match state {
            CountState::Open => {
                for line in lines_of(event.count.as_deref()) {
                    let submission = Submission {
                        event: position,
                        counted: line.counted,
                        counted_at: line.at,
                        expected: line.expected,
                    };
                    match sheet.lines.iter_mut().find(|one| one.variant == line.variant) {
                        Some(found) => found.submissions.push(submission),
                        None => sheet.lines.push(SheetLine {
                            variant: line.variant,
                            submissions: vec![submission],
                            approved: None,
                        }),
                    }
                }
                sheet.lines.sort_by_key(|line| line.variant);
                sheet.count.counted = sheet.lines.len() as u64;
                continue;
            }
            CountState::Approved => {
                for line in lines_of(event.count.as_deref()) {
                    let found = sheet.lines.iter_mut().find(|one| one.variant == line.variant);
                    let found = found.unwrap();
                    let last = found.submissions.last().unwrap();
                    assert_eq!((last.counted, last.counted_at), (line.counted, line.at));
                    found.approved = Some(line.expected);
                }
            }
            CountState::Cancelled => {}
        }
        sheet.count.ended = sheet.count.ended.or(Some(position));
    }
    all.into_values().collect()
}

fn passes(count: &Naive, filter: &CountFilter) -> bool {
    let CountFilter {
        warehouses,
        variant,
        state,
    } = filter;
    let row = &count.sheet.count;
    let is_of = |variant: &VariantNo| count.variants.as_ref().is_none_or(|all| all.contains(variant));
    warehouses.as_ref().is_none_or(|all| all.contains(&row.warehouse))
        && variant.as_ref().is_none_or(is_of)
        && state.is_none_or(|state| row.state == state)
}

fn filters() -> Vec<CountFilter> {
    use CountState::{Approved, Cancelled, Open};
    let mut filters = Vec::new();
    for warehouses in [
        None,
        Some(vec![]),
        Some(vec![WarehouseNo(1)]),
        Some(vec![WarehouseNo(WAREHOUSES), WarehouseNo(1)]),
    ] {
        for state in [None, Some(Open), Some(Approved), Some(Cancelled)] {
            for variant in [None, Some(VariantNo(1))] {
                filters.push(CountFilter {
                    warehouses: warehouses.clone(),
                    variant,
                    state,
                });
            }
        }
    }
    filters
}

async fn listed(views: &Views, filter: &CountFilter, descending: bool) -> Vec<CountRow> {
    let mut rows: Vec<CountRow> = Vec::new();
    let mut total = None;
    loop {
        let slice = Slice {
            after: rows.last().map(|row| row.id),
            skip: 0,
            limit: 3,
            with_total: rows.is_empty(),
        };
        let page = views.counts(filter, descending, slice).await.unwrap().value;
        total = total.or(page.total);
        rows.extend(page.rows);
        if !page.more {
            assert_eq!(total, Some(rows.len() as u64));
            return rows;
        }
    }
}

async fn check(ledger: &Ledger, views: &Views) {
    let expected = counts(&ledger.events);
    for one in &expected {
        let found = views.count(one.sheet.count.id).await.unwrap();
        assert_eq!(found.value.as_ref(), Some(&one.sheet));
    }
    assert_eq!(views.count(Position(1)).await.unwrap().value, None);
    for filter in filters() {
        let of_filter = expected.iter().filter(|one| passes(one, &filter));
        let mut of_filter: Vec<_> = of_filter.map(|one| one.sheet.count.clone()).collect();
        assert_eq!(listed(views, &filter, false).await, of_filter, "{filter:?}");
        of_filter.reverse();
        assert_eq!(listed(views, &filter, true).await, of_filter, "{filter:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// The projector is closed in between, and the rows are held against the log.
    #[test]
    fn every_count_stands_as_a_naive_look_at_all_events_says(seed: u64) {
        for kept in Kept::BOTH {
            let mut random = Random::new(seed);
            let mut ledger = Ledger::with_catalogue().kept(kept);
            let runtime = runtime();
            for commands in [150, 100] {
                ledger.grow_counts(&mut random, commands);
                let projector = ledger.project();
                let views = runtime.block_on(ledger.settled(&projector));
                runtime.block_on(check(&ledger, &views));
                projector.close();
                for one in runtime.block_on(ledger.verify(&[ViewName::Counts])) {
                    prop_assert!(one.is_well(), "{one:?}");
                }
            }
        }
    }
}

#[test]
fn random_histories_have_counts_of_every_sort() {
    let mut ledger = Ledger::with_catalogue();
    ledger.grow_counts(&mut Random::new(7), 1_500);
    let all = counts(&ledger.events);
    let states: BTreeSet<_> = all.iter().map(|one| one.sheet.count.state).collect();
    assert_eq!(states.len(), 3, "{states:?}");
    assert!(all.iter().any(|one| one.variants.is_none()) && all.iter().any(|one| one.variants.is_some()));
    let lines = || all.iter().flat_map(|one| &one.sheet.lines);
    assert!(
        lines().any(|line| line.submissions.len() > 1),
        "none is recounted"
    );
    let differs = |line: &SheetLine| {
        let last = line.submissions.last().unwrap();
        line.approved.is_some_and(|expected| expected != last.expected)
    };
    assert!(lines().any(differs), "nothing came late");
}

#[test]
fn a_count_that_is_approved_in_parts_is_ended_by_the_first_and_has_all_lines() {
    for kept in Kept::BOTH {
        const VARIANTS: u32 = 1_100;
        let mut ledger = Ledger::with_catalogue().kept(kept);
        for no in crate::ledger::VARIANTS..VARIANTS {
            assert!(ledger.run(&Command::Catalogue(CatalogueCommand::CreateVariant {
                tracks_lots: false,
                sku: format!("MORE-{no}").into(),
                name: "mehr".into(),
                product: None,
                expires_at: None,
            })));
        }
        ledger.commit();
        let warehouse = WarehouseNo(1);
        let count_by = |step| {
            Command::Count(Box::new(CountCommand {
                version: None,
                warehouse,
                step,
                notes: None,
            }))
        };
        let open = CountStep::Open {
            is_blind: true,
            variants: None,
        };
        assert!(ledger.run(&count_by(open)));
        let count = ledger.state.head();
        let numbers: Vec<u32> = (1..=VARIANTS).collect();
        for some in numbers.chunks(1_000) {
            let lines = some.iter().map(|no| FoundLine {
                variant: VariantNo(*no),
                counted: i64::from(*no),
                at: None,
            });
            let lines = lines.collect();
            assert!(ledger.run(&count_by(CountStep::Submit { count, lines })));
        }
        let before = ledger.state.head();
        assert!(ledger.run(&count_by(CountStep::Approve { count })));
        assert_eq!(ledger.state.head().0, before.0 + 2);
        ledger.commit();
        let projector = ledger.project();
        let runtime = runtime();
        let views = runtime.block_on(ledger.settled(&projector));
        let sheet = runtime.block_on(views.count(count)).unwrap().value.unwrap();
        assert_eq!(
            (sheet.count.state, sheet.count.ended, sheet.count.counted),
            (CountState::Approved, Some(before.next()), u64::from(VARIANTS))
        );
        assert!(sheet.lines.iter().all(|line| line.approved == Some(0)));
        assert_eq!(sheet.lines.len(), VARIANTS as usize);
        projector.close();
    }
}

#[test]
fn what_was_changed_in_the_view_is_named_with_its_first_event() {
    let mut ledger = Ledger::with_catalogue();
    ledger.grow_counts(&mut Random::new(7), 600);
    let projector = ledger.project();
    let runtime = runtime();
    runtime.block_on(ledger.settled(&projector));
    projector.close();
    let of_all = counts(&ledger.events);
    let named = |one: &&Naive| one.sheet.count.state == CountState::Approved && one.variants.is_some();
    let one = of_all.iter().find(named).unwrap();
    let (id, line) = (one.sheet.count.id, &one.sheet.lines[0]);
    let variant = line.variant.0;
    let (submitted, approved) = (line.submissions[0].event, one.sheet.count.ended.unwrap());
    let tampers = [
        (
            format!("update counts set state = 2 where id = {id}"),
            "counts",
            id,
        ),
        (
            format!("delete from count_variants where count = {id} and variant = {variant}"),
            "count_variants",
            id,
        ),
        (
            format!(
                "update count_submissions set counted = counted + 1 where position = {submitted} and variant = {variant}"
            ),
            "count_submissions",
            submitted,
        ),
        (
            format!(
                "update count_approved set expected = expected + 1 where count = {id} and variant = {variant}"
            ),
            "count_approved",
            approved,
        ),
    ];
    for (index, (tamper, table, first)) in tampers.into_iter().enumerate() {
        let differences = runtime.block_on(async {
            let path = ledger.views_path().join("counts.1.db");
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
            let views = [ViewName::Counts];
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
