//! A reconciliation finds what a verification finds, while the views are served and written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bincard_ledger::event::{PickOrder, SlotChange};
use bincard_ledger::{CatalogueCommand, Command, NegativeStock, Position, Timestamp, VariantNo, WarehouseNo};
use bincard_projections::history::AsOf;
use bincard_projections::reconcile::{
    Asked, Filter, KEPT_MAX, Options, Reconciler, Run, RunDifference, RunState,
};
use bincard_projections::{Place, Slice, ViewName, verify};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use crate::ledger::{Kept, Ledger, Random, START, first_schema, runtime};

/// A ledger whose views have caught up and are closed. Whatever chance brings, there are exceptions and a slot of which
/// everything is said.
pub(crate) fn closed(events: usize) -> Ledger {
    closed_in(Kept::InFiles, events)
}

pub(crate) fn closed_in(kept: Kept, events: usize) -> Ledger {
    let mut ledger = Ledger::with_catalogue().kept(kept);
    for no in [1, 2] {
        let changed = ledger.run(&Command::Catalogue(CatalogueCommand::ChangeWarehouse {
            no: WarehouseNo(no),
            code: None,
            name: None,
            active: None,
            negative_stock: Some(NegativeStock::Record),
        }));
        assert!(changed);
    }
    let changed = ledger.run(&Command::Catalogue(CatalogueCommand::ChangeSlot {
        warehouse: WarehouseNo(1),
        variant: VariantNo(1),
        change: SlotChange {
            bin: Some(Some("A-1".into())),
            reorder_point: Some(Some(5)),
            max_level: Some(Some(100)),
            pick_order: Some(Some(PickOrder {
                number: 1,
                reason: Some("nearest".into()),
            })),
        },
    }));
    assert!(changed);
    ledger.grow(&mut Random::new(21), events);
    ledger.grow_lots(&mut Random::new(34), 60);
    ledger.grow_counts(&mut Random::new(55), 120);
    let projector = ledger.project();
    runtime().block_on(ledger.settled(&projector));
    projector.close();
    ledger
}

pub(crate) fn options(audit_every: Option<Duration>) -> Options {
    // Each look at the clock is a microsecond later.
    let looks = AtomicI64::new(START);
    let clock = move || Timestamp::from_micros(looks.fetch_add(1, Ordering::Relaxed));
    Options {
        clock: Arc::new(clock),
        audit_every,
        correct: None,
    }
}

pub(crate) fn reconciler(ledger: &Ledger) -> Reconciler {
    Reconciler::open(
        ledger.folder.path(),
        ledger.place.clone(),
        ledger.reader.clone(),
        options(None),
    )
    .unwrap()
}

pub(crate) const ALL: Slice<u64> = Slice {
    after: None,
    skip: 0,
    limit: 10_000,
    with_total: true,
};

pub(crate) async fn over(reconciler: &Reconciler, id: u64) -> Run {
    loop {
        let (run, _) = reconciler.reconciliations().run(id).await.unwrap().unwrap();
        if run.state.is_over() {
            return run;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) async fn reconcile(reconciler: &Reconciler, asked: &Asked) -> (Run, Vec<RunDifference>) {
    let id = reconciler.reconciliations().start(asked).await.unwrap();
    let run = over(reconciler, id).await;
    let page = reconciler.reconciliations().differences(id, ALL).await.unwrap();
    assert_eq!(page.total, Some(page.rows.len() as u64));
    (run, page.rows)
}

async fn open(ledger: &Ledger, view: ViewName) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(ledger.views_path().join(format!("{view}.1.db")));
    options.connect().await.unwrap()
}

async fn execute(ledger: &Ledger, view: ViewName, statement: String) -> u64 {
    if let Place::Postgres { .. } = ledger.place {
        let mut connection = first_schema(ledger, view).await;
        let done = connection.execute(AssertSqlSafe(statement)).await;
        return done.unwrap().rows_affected();
    }
    let mut connection = open(ledger, view).await;
    let done = sqlx::query(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await;
    connection.close().await.unwrap();
    done.unwrap().rows_affected()
}

#[test]
fn views_that_are_what_the_log_makes_of_them_agree_at_the_position_of_the_run() {
    let ledger = closed(900);
    let reconciler = reconciler(&ledger);
    runtime().block_on(async {
        let (run, differences) = reconcile(&reconciler, &Asked::default()).await;
        assert_eq!(
            (run.state, run.differing, differences.len()),
            (RunState::Agrees, 0, 0)
        );
        assert_eq!(run.position, Some(ledger.head()));
        let views: Vec<_> = run.compared.iter().map(|one| one.view).collect();
        assert_eq!(views, ViewName::ALL);
        for one in &run.compared {
            assert_eq!(one.position, ledger.head(), "{}", one.view);
            assert!(one.rows > 0, "the history has nothing for {}", one.view);
        }
        assert!(run.started_at >= Some(run.asked_at) && run.ended_at >= run.started_at);
    });
}

#[test]
fn whatever_column_of_whatever_table_is_changed_it_is_named_as_a_verification_names_it() {
    let ledger = closed(900);
    let reconciler = reconciler(&ledger);
    runtime().block_on(async {
        for view in ViewName::ALL {
            let path = ledger.views_path().join(format!("{view}.1.db"));
            let whole = std::fs::read(&path).unwrap();
            let mut connection = open(&ledger, view).await;
            let columns: Vec<(String, String, String)> = sqlx::query_as(
                "select m.name, c.name, c.type from sqlite_master m, pragma_table_info(m.name) c
                 where m.type = 'table' and m.name <> 'checkpoint'",
            )
            .fetch_all(&mut connection)
            .await
            .unwrap();
            connection.close().await.unwrap();
            for (table, column, of_type) in columns {
                let changed = if of_type.eq_ignore_ascii_case("text") {
                    format!("{column} || 'x'")
                } else {
                    format!("coalesce({column}, 0) + 1000000")
                };
                let done = execute(
                    &ledger,
                    view,
                    format!(
                        "update {table} set {column} = {changed}
                         where {column} is (select {column} from {table} order by {column} desc limit 1)"
                    ),
                );
                assert!(done.await > 0);
                let verified = verify(&ledger.views_path(), &ledger.reader, &[view], |_| {})
                    .await
                    .unwrap();
                let (run, found) = reconcile(&reconciler, &Asked::default()).await;
                assert_eq!(run.state, RunState::Differs, "{table}.{column}");
                assert_eq!(
                    run.differing, verified[0].differing,
                    "{table}.{column}: {found:?}"
                );
                let named: BTreeSet<_> = found
                    .into_iter()
                    .map(|one| (one.table, one.key, one.first))
                    .collect();
                let expected = verified[0].differences.iter();
                let expected: BTreeSet<_> = expected
                    .map(|one| (one.table.to_owned(), one.key.clone(), one.first))
                    .collect();
                // A verification names no more than a hundred.
                assert!(
                    expected.is_subset(&named),
                    "{table}.{column}: {expected:?} {named:?}"
                );
                assert!(expected.len() == 100 || expected.len() == named.len());
                std::fs::write(&path, &whole).unwrap();
            }
        }
        let (run, _) = reconcile(&reconciler, &Asked::default()).await;
        assert_eq!(run.state, RunState::Agrees);
    });
}

#[test]
fn a_changed_a_missing_and_a_foreign_row_are_told_apart() {
    let ledger = closed(300);
    let reconciler = reconciler(&ledger);
    runtime().block_on(async {
        for (view, statement) in [
            (ViewName::Stock, "update stock set available = available + 1, held = held + 2 where (warehouse, variant) = (2, 3)"),
            (ViewName::Stock, "delete from stock where (warehouse, variant) = (1, 1)"),
            (ViewName::History, "insert into stock_days values (1, 1, 3, 0, 0, 0, 0, 0, 0)"),
            (ViewName::History, "insert into stock_spans values (2, 1, 16, 1250, 0, 0, 1, 0, 0)"),
        ] {
            assert_eq!(execute(&ledger, view, statement.to_owned()).await, 1);
        }
        let (run, found) = reconcile(&reconciler, &Asked::default()).await;
        assert_eq!((run.state, run.differing), (RunState::Differs, 4));
        let told: Vec<_> = found
            .iter()
            .map(|one| (one.view, one.table.as_str(), one.key.as_str(), one.field.as_deref()))
            .collect();
        assert_eq!(told, [
            (ViewName::Stock, "stock", "warehouse 1, variant 1", None),
            (ViewName::Stock, "stock", "warehouse 2, variant 3", Some("available")),
            (ViewName::Stock, "stock", "warehouse 2, variant 3", Some("held")),
            (ViewName::History, "stock_days", "variant 1, warehouse 1, day 3", None),
            (ViewName::History, "stock_spans", "variant 2, warehouse 1, days 16, no 1250", None),
        ]);
        assert!(found[0].expected.is_some() && found[0].found.is_none() && found[0].first.is_some());
        assert_eq!((found[1].warehouse, found[1].variant), (Some(WarehouseNo(2)), Some(VariantNo(3))));
        let units = |text: &Option<String>| text.as_ref().unwrap().parse::<i64>().unwrap();
        assert_eq!(units(&found[1].found), units(&found[1].expected) + 1);
        assert_eq!(units(&found[2].found), units(&found[2].expected) + 2);
        assert!(found[3].expected.is_none() && found[3].found.is_some() && found[3].first.is_none());
        assert!(found[4].expected.is_none() && found[4].found.is_some() && found[4].first.is_none());

        // A filter leaves out what it does not ask for.
        let filter = |warehouse, variant| Asked {
            filter: Filter {
                warehouse: Some(WarehouseNo(warehouse)),
                variant: Some(VariantNo(variant)),
            },
            ..Asked::default()
        };
        let (run, found) = reconcile(&reconciler, &filter(2, 3)).await;
        assert_eq!((run.differing, found.len()), (1, 2));
        let (run, _) = reconcile(&reconciler, &filter(3, 2)).await;
        assert_eq!(run.state, RunState::Agrees);
    });
}

#[test]
fn of_more_rows_than_are_named_it_is_told_how_many_there_are() {
    let ledger = closed(1_200);
    let reconciler = reconciler(&ledger);
    runtime().block_on(async {
        let rows = execute(
            &ledger,
            ViewName::History,
            "update events set recorded_at = recorded_at + 1".to_owned(),
        )
        .await;
        assert!(rows > KEPT_MAX as u64);
        let (run, found) = reconcile(&reconciler, &Asked::default()).await;
        assert_eq!((run.differing, found.len()), (rows, KEPT_MAX));
        let history = &run.compared[1];
        assert_eq!((history.view, history.differing), (ViewName::History, rows));
        assert_eq!(history.unnamed, rows - KEPT_MAX as u64);
        assert!(
            run.compared
                .iter()
                .all(|one| one.view == ViewName::History || one.unnamed == 0)
        );
    });
}

#[test]
fn a_view_that_cannot_be_read_is_told_as_damaged() {
    let ledger = closed(60);
    let reconciler = reconciler(&ledger);
    runtime().block_on(async {
        execute(&ledger, ViewName::Stock, "drop table expiring".to_owned()).await;
        let (run, _) = reconcile(&reconciler, &Asked::default()).await;
        assert_eq!(run.state, RunState::Differs);
        let stock = &run.compared[0];
        assert!(stock.damage.as_ref().unwrap().contains("expiring"), "{stock:?}");
        assert!(
            run.compared[1..]
                .iter()
                .all(|one| one.damage.is_none() && one.differing == 0)
        );
    });
}

#[test]
fn stock_in_the_past_agrees_until_the_history_is_changed() {
    let ledger = closed(400);
    let reconciler = reconciler(&ledger);
    let middle = ledger.events[ledger.events.len() / 2].recorded_at;
    let pasts = [
        (Some(middle), None),
        (None, Some(middle)),
        (Some(middle), Some(middle)),
    ];
    runtime().block_on(async {
        for tampered in [false, true] {
            if tampered {
                // What it held is answered from days, and from movements.
                execute(
                    &ledger,
                    ViewName::History,
                    "update stock_days set held = held + 7 where (variant, warehouse) = (2, 1)".into(),
                )
                .await;
                execute(
                    &ledger,
                    ViewName::History,
                    "update movements set held = held + 7 where (variant, warehouse) = (2, 1)".into(),
                )
                .await;
                execute(
                    &ledger,
                    ViewName::History,
                    "update marks set held = held + 7 where (variant, warehouse) = (2, 1)".into(),
                )
                .await;
            }
            for (as_of, known_at) in pasts {
                let past = AsOf { as_of, known_at };
                let (run, found) = reconcile(
                    &reconciler,
                    &Asked {
                        past,
                        ..Asked::default()
                    },
                )
                .await;
                let keys: BTreeSet<_> = found.iter().map(|one| one.key.as_str()).collect();
                let expected: &[&str] = if tampered {
                    &["warehouse 1, variant 2"]
                } else {
                    &[]
                };
                assert_eq!(keys.into_iter().collect::<Vec<_>>(), expected, "{past:?}");
                assert_eq!(run.asked.past, past);
                assert!(
                    found
                        .iter()
                        .all(|one| one.first.is_some() && one.table == "stock_as_of")
                );
            }
        }
        let past = AsOf {
            as_of: Some(Timestamp::from_micros(0)),
            known_at: None,
        };
        let (run, _) = reconcile(
            &reconciler,
            &Asked {
                past,
                ..Asked::default()
            },
        )
        .await;
        assert!(run.compared[0].rows > 0);
    });
}

#[test]
fn writes_meanwhile_make_no_differences() {
    let mut ledger = Ledger::with_catalogue();
    let mut random = Random::new(5);
    ledger.grow(&mut random, 300);
    let projector = ledger.project();
    let reconciler = reconciler(&ledger);
    let runtime = runtime();
    let mut later = 0;
    for round in 0..12 {
        let reconciliations = reconciler.reconciliations().clone();
        let past = AsOf {
            as_of: (round % 4 == 3).then_some(ledger.now),
            known_at: None,
        };
        let asked = Asked {
            past,
            ..Asked::default()
        };
        let id = runtime.block_on(reconciliations.start(&asked)).unwrap();
        let run = loop {
            ledger.grow(&mut random, 40);
            // A writer in a hurry would leave the threads that work for the views no processor.
            runtime.block_on(ledger.settled(&projector));
            let (run, _) = runtime.block_on(reconciliations.run(id)).unwrap().unwrap();
            if run.state.is_over() {
                break run;
            }
        };
        let found = runtime.block_on(reconciliations.differences(id, ALL)).unwrap();
        assert_eq!(run.state, RunState::Agrees, "{run:?} {:?}", found.rows);
        let position = run.position.unwrap();
        assert!(run.compared.iter().all(|one| one.position >= position));
        later += usize::from(run.compared.iter().any(|one| one.position > position));
    }
    assert!(later > 0, "no view ever moved on during a run");
    reconciler.close();
    projector.close();
}

#[test]
fn a_run_waits_for_its_view_is_cancelled_and_goes_on_after_a_restart_from_its_position() {
    let mut ledger = closed(100);
    let first = ledger.head();
    ledger.grow(&mut Random::new(8), 50);
    let (at, runtime) = (ledger.head(), runtime());
    // Nobody feeds the views, which stand before the run's position: it waits.
    let opened = reconciler(&ledger);
    let (one, two) = runtime.block_on(async {
        let runs = opened.reconciliations();
        let one = runs.start(&Asked::default()).await.unwrap();
        let two = runs.start(&Asked::default()).await.unwrap();
        let three = runs.start(&Asked::default()).await.unwrap();
        loop {
            let (run, progress) = runs.run(one).await.unwrap().unwrap();
            if progress.is_some_and(|progress| progress.folded == at) {
                assert_eq!((run.state, run.position), (RunState::Running, Some(at)));
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        runs.cancel(three).await.unwrap();
        assert_eq!(over(&opened, three).await.state, RunState::Cancelled);
        assert_eq!(runs.run(two).await.unwrap().unwrap().0.state, RunState::Waiting);
        let order: Vec<_> = runs
            .runs(ALL)
            .await
            .unwrap()
            .rows
            .iter()
            .map(|(run, _)| run.id)
            .collect();
        assert_eq!(order, [three, two, one]);
        (one, two)
    });
    opened.close();
    ledger.grow(&mut Random::new(9), 50);
    let opened = reconciler(&ledger);
    runtime.block_on(async {
        let runs = opened.reconciliations();
        // It is the same run, for the same position, and can still be cancelled.
        loop {
            if runs.progress().is_some_and(|progress| progress.run == one) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        runs.cancel(one).await.unwrap();
        let run = over(&opened, one).await;
        assert_eq!((run.state, run.position), (RunState::Cancelled, Some(at)));
        loop {
            if runs.progress().is_some_and(|progress| progress.run == two) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    opened.close();
    let (projector, opened) = (ledger.project(), reconciler(&ledger));
    runtime.block_on(async {
        let run = over(&opened, two).await;
        assert_eq!((run.state, run.position), (RunState::Agrees, Some(ledger.head())));
        assert!(first < at && at < ledger.head() && Position(0) < first);
    });
    projector.close();
}

#[test]
fn whatever_column_is_changed_in_postgresql_is_named_by_verification_and_reconciliation() {
    let ledger = closed_in(Kept::InPostgres, 900);
    let reconciler = reconciler(&ledger);
    runtime().block_on(async {
        let (mut changed_columns, mut tables) = (0, BTreeSet::new());
        for view in ViewName::ALL {
            let mut connection = first_schema(&ledger, view).await;
            let columns: Vec<(String, String, String)> = sqlx::query_as(
                "select table_name::text, column_name::text, data_type::text from information_schema.columns
                 where table_schema = current_schema and (table_name, column_name) not in
                     (('checkpoint', 'id'), ('checkpoint', 'epoch'), ('checkpoint', 'position'))",
            )
            .fetch_all(&mut connection)
            .await
            .unwrap();
            for (table, column, of_type) in columns {
                let changed = match of_type.as_str() {
                    "text" => format!("{column} || 'x'"),
                    _ => format!("coalesce({column}, 0) + 1000000"),
                };
                for statement in [
                    format!("create table saved as table {table}"),
                    format!(
                        "update {table} set {column} = {changed} where {column} is not distinct from
                         (select {column} from {table} order by {column} desc nulls last limit 1)"
                    ),
                ] {
                    let done = connection.execute(AssertSqlSafe(statement)).await;
                    assert!(done.unwrap().rows_affected() > 0, "{table}.{column}");
                }
                // Only a verification looks at the checkpoint's version; of other tables once is enough for it.
                let is_checkpoint = table == "checkpoint";
                let verified = if is_checkpoint || tables.insert((view, table.clone())) {
                    let verified = ledger.verify(&[view]).await.remove(0);
                    assert!(
                        verified.differing > 0 && verified.differences.iter().all(|one| one.table == table),
                        "{table}.{column}: {verified:?}"
                    );
                    Some(verified)
                } else {
                    None
                };
                if !is_checkpoint {
                    let (run, found) = reconcile(&reconciler, &Asked::default()).await;
                    assert_eq!(run.state, RunState::Differs, "{table}.{column}");
                    assert!(
                        found.iter().all(|one| one.table == table),
                        "{table}.{column}: {found:?}"
                    );
                    let named: BTreeSet<_> = found.iter().map(|one| (one.table.as_str(), &one.key)).collect();
                    if let Some(verified) = &verified {
                        assert_eq!(run.differing, verified.differing, "{table}.{column}: {found:?}");
                        let expected = verified.differences.iter().map(|one| (one.table, &one.key));
                        assert!(expected.collect::<BTreeSet<_>>().is_subset(&named), "{named:?}");
                    }
                }
                for statement in [
                    format!("truncate {table}"),
                    format!("insert into {table} select * from saved"),
                    "drop table saved".to_owned(),
                ] {
                    connection.execute(AssertSqlSafe(statement)).await.unwrap();
                }
                changed_columns += 1;
            }
        }
        assert!(changed_columns > 80, "{changed_columns}");
        let (run, _) = reconcile(&reconciler, &Asked::default()).await;
        assert_eq!(run.state, RunState::Agrees);
        assert_eq!(run.compared.len(), ViewName::COUNT);
        // Nothing stays of the copies.
        let left = std::fs::read_dir(ledger.views_path()).unwrap().count();
        assert_eq!(left, 0);
    });
}

#[test]
fn the_audit_finds_what_was_changed_while_views_are_written() {
    for kept in Kept::BOTH {
        audit_finds_what_was_changed(Ledger::with_catalogue().kept(kept));
    }
}

fn audit_finds_what_was_changed(mut ledger: Ledger) {
    let mut random = Random::new(12);
    ledger.grow(&mut random, 400);
    let projector = ledger.project();
    let runtime = runtime();
    runtime.block_on(ledger.settled(&projector));
    let path = ledger.folder.path();
    let every = Some(Duration::from_millis(1));
    let opened = Reconciler::open(path, ledger.place.clone(), ledger.reader.clone(), options(every)).unwrap();
    let diverged = || opened.reconciliations().diverged().map(|(_, count)| count);
    for (view, statement) in [
        (
            ViewName::Stock,
            "update stock set picked = picked + 1 where (warehouse, variant) = (2, 5)",
        ),
        (
            ViewName::History,
            "update stock_days set held = held + 1 where (variant, warehouse) = (4, 1)",
        ),
        (
            ViewName::History,
            "insert into marks values (4000000000, 1, 7, 0, 0, 0, 0, 0, 0, 0)",
        ),
        (
            ViewName::History,
            "update events set reason = reason + 1 where position = (select min(position) from events)",
        ),
        (
            ViewName::History,
            "delete from event_days where slot = (select min(slot) from event_days)",
        ),
        (
            ViewName::Reservations,
            "update reservation_lines set released = released + 1 where reservation = (select min(reservation) from reservation_lines)",
        ),
    ] {
        let before = diverged();
        let turns = opened.reconciliations().audited();
        while opened.reconciliations().audited() < turns + 4 {
            ledger.grow(&mut random, 3);
            runtime.block_on(ledger.settled(&projector));
        }
        assert_eq!(diverged(), before, "nothing was changed");
        // What is changed must not be written over before anybody looks.
        runtime.block_on(ledger.settled(&projector));
        let rows = runtime.block_on(execute(&ledger, view, statement.to_owned()));
        assert!(rows > 0, "{statement}");
        while diverged() == before {
            std::thread::sleep(Duration::from_millis(1));
        }
        let others = |counts: [u64; ViewName::COUNT]| {
            let others = ViewName::ALL
                .into_iter()
                .zip(counts)
                .filter(|(one, _)| *one != view);
            others.collect::<Vec<_>>()
        };
        assert_eq!(others(diverged()), others(before), "{statement}");
        let counted = diverged();
        let turns = opened.reconciliations().audited();
        while opened.reconciliations().audited() < turns + 4 {
            ledger.grow(&mut random, 3);
            runtime.block_on(ledger.settled(&projector));
        }
        assert_eq!(diverged(), counted, "it is counted once: {statement}");
    }
    opened.close();
    projector.close();
}
