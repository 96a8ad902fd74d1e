//! Reconciliations of one ledger on several nodes over one PostgreSQL.

use std::time::Duration;

use bincard_ledger::{Position, VariantNo, WarehouseNo};
use bincard_projections::Slice;
use bincard_projections::postgres::Database;
use bincard_projections::reconcile::{
    Asked, Kept, Options, Reconciler, Run, RunState, Source, SourceLine, copy,
};
use bincard_projections::stock::StockKey;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;

use crate::ledger::{Kept as Place, Ledger, Random, in_postgres, postgres_url, runtime};
use crate::reconcile::{ALL, closed, closed_in, options, over, reconciler};
use crate::reconcile_file::correcting;

/// A node that does not feed views, with a folder for what it compares.
fn node(ledger: &Ledger, options: Options) -> Reconciler {
    let place = in_postgres(false, ledger.views_path());
    Reconciler::open(ledger.folder.path(), place, ledger.reader.clone(), options).unwrap()
}

async fn sql(ledger: &Ledger, statement: &str) -> u64 {
    let mut connection = PgConnection::connect(&postgres_url()).await.unwrap();
    let path = "set search_path to bincard_reconciliations";
    connection.execute(path).await.unwrap();
    let id = Uuid::from_bytes(ledger.reader.ledger().0);
    let no: i64 = sqlx::query_scalar("select no from ledgers where id = $1")
        .bind(id)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let statement = statement.replace("of it", &format!("ledger = {no}"));
    let statement = statement.replace("the ledger", &format!("no = {no}"));
    let done = connection.execute(AssertSqlSafe(statement)).await.unwrap();
    done.rows_affected()
}

/// Waits until a run is under way, as this node says it.
async fn under_way(node: &Reconciler, id: u64) -> Run {
    loop {
        let (run, progress) = node.reconciliations().run(id).await.unwrap().unwrap();
        assert!(!run.state.is_over(), "{run:?}");
        if progress.is_some() {
            return run;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn what_one_node_does_every_node_lists_tells_the_progress_of_and_cancels() {
    let mut ledger = closed_in(Place::InPostgres, 60);
    let (one, other) = (node(&ledger, options(None)), node(&ledger, options(None)));
    runtime().block_on(async {
        let id = one.reconciliations().start(&Asked::default()).await.unwrap();
        let run = over(&other, id).await;
        assert_eq!((run.id, run.state), (1, RunState::Agrees));
        assert_eq!(run, over(&one, id).await);
        assert_eq!(run.compared.len(), 7);

        // Nobody feeds the views, which stand before the run's position: it waits.
        ledger.grow(&mut Random::new(8), 20);
        let id = one.reconciliations().start(&Asked::default()).await.unwrap();
        let waits = other.reconciliations().start(&Asked::default()).await.unwrap();
        let listens = [&one, &other].map(|node| under_way(node, id));
        for told in listens {
            let run = told.await;
            assert_eq!(
                (run.state, run.position),
                (RunState::Running, Some(ledger.head()))
            );
        }
        let listed = other.reconciliations().runs(ALL).await.unwrap();
        let listed: Vec<_> = listed
            .rows
            .iter()
            .map(|(run, progress)| (run.id, run.state, progress.is_some()))
            .collect();
        assert_eq!(
            listed,
            [
                (waits, RunState::Waiting, false),
                (id, RunState::Running, true),
                (1, RunState::Agrees, false)
            ],
            "of one ledger, one is done at a time"
        );
        let here: Vec<_> = [&one, &other]
            .iter()
            .filter_map(|node| node.reconciliations().progress())
            .collect();
        assert_eq!(here.len(), 1, "by one node");
        // Whichever does it, each is asked to end one of them.
        other.reconciliations().cancel(id).await.unwrap();
        assert_eq!(over(&one, id).await.state, RunState::Cancelled);
        under_way(&one, waits).await;
        one.reconciliations().cancel(waits).await.unwrap();
        assert_eq!(over(&other, waits).await.state, RunState::Cancelled);
    });
    one.close();
    other.close();
}

#[test]
fn what_a_node_was_at_that_closes_another_goes_on_with() {
    let mut ledger = closed_in(Place::InPostgres, 60);
    let one = node(&ledger, options(None));
    ledger.grow(&mut Random::new(8), 20);
    let runtime = runtime();
    let id = runtime.block_on(async {
        let id = one.reconciliations().start(&Asked::default()).await.unwrap();
        under_way(&one, id).await;
        id
    });
    let at = ledger.head();
    let other = node(&ledger, options(None));
    one.close();
    ledger.grow(&mut Random::new(9), 20);
    runtime.block_on(async {
        let run = under_way(&other, id).await;
        assert_eq!(run.position, Some(at));
        let projector = ledger.project();
        let run = over(&other, id).await;
        assert_eq!((run.state, run.position), (RunState::Agrees, Some(at)));
        projector.close();
    });
    other.close();
}

#[test]
fn a_node_that_lost_the_right_to_a_run_writes_nothing_of_it() {
    let mut ledger = closed_in(Place::InPostgres, 60);
    let one = node(&ledger, options(None));
    ledger.grow(&mut Random::new(8), 20);
    runtime().block_on(async {
        let id = one.reconciliations().start(&Asked::default()).await.unwrap();
        under_way(&one, id).await;
        // As if it had been stopped for longer than the right lasts, and somebody else had taken it meanwhile.
        let taken = "update ledgers set epoch = epoch + 1, until = 'infinity' where the ledger";
        assert_eq!(sql(&ledger, taken).await, 1);
        let projector = ledger.project();
        while one.reconciliations().progress().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (run, _) = one.reconciliations().run(id).await.unwrap().unwrap();
        assert_eq!((run.state, run.compared.len()), (RunState::Running, 0));
        // It takes it up again when that node is gone, too.
        sql(&ledger, "update ledgers set until = '-infinity' where the ledger").await;
        assert_eq!(over(&one, id).await.state, RunState::Agrees);
        projector.close();
    });
    one.close();
}

fn counted() -> Asked {
    let line = |variant, quantity| SourceLine {
        named: format!("line {variant}"),
        key: Ok(StockKey {
            warehouse: WarehouseNo(1),
            variant: VariantNo(variant),
        }),
        quantity,
    };
    Asked {
        source: Some(Source {
            name: "count".to_owned(),
            // One key twice, and one that nobody knows.
            lines: vec![
                line(1, 1_000_000),
                line(1, 1_000_000),
                SourceLine {
                    key: Err("unknown".to_owned()),
                    ..line(2, 5)
                },
            ],
            ..Source::default()
        }),
        applies: true,
        author: "somebody".to_owned(),
        ..Asked::default()
    }
}

#[test]
fn who_cannot_correct_the_ledger_leaves_what_does_to_a_node_that_can() {
    let ledger = closed_in(Place::InPostgres, 60);
    let cannot = node(&ledger, options(None));
    runtime().block_on(async {
        let id = cannot.reconciliations().start(&counted()).await.unwrap();
        let plain = cannot.reconciliations().start(&Asked::default()).await.unwrap();
        assert_eq!(over(&cannot, plain).await.state, RunState::Agrees);
        let (run, _) = cannot.reconciliations().run(id).await.unwrap().unwrap();
        assert_eq!(run.state, RunState::Waiting);
        let (correct, asked) = correcting(9);
        let can = node(
            &ledger,
            Options {
                correct: Some(correct),
                ..options(None)
            },
        );
        let run = over(&cannot, id).await;
        assert_eq!((run.state, run.differing), (RunState::Differs, 3));
        assert_eq!(asked.lock().unwrap().len(), 2);
        let lines = cannot.reconciliations().variances(id, ALL).await.unwrap();
        assert_eq!((lines.total, lines.rows.len()), (Some(3), 3));
        can.close();
    });
    cannot.close();
}

/// All that is kept of the reconciliations of a ledger.
async fn everything(reconciler: &Reconciler) -> String {
    let runs = reconciler.reconciliations();
    let mut all = String::new();
    for (run, _) in runs.runs(ALL).await.unwrap().rows {
        let lines = runs.variances(run.id, ALL).await.unwrap().rows;
        let differences = runs.differences(run.id, ALL).await.unwrap().rows;
        all += &format!("{run:#?}\n{lines:#?}\n{differences:#?}\n");
    }
    all
}

#[test]
fn what_is_kept_goes_along_to_a_database_and_back() {
    let ledger = closed(60);
    let folder = ledger.folder.path();
    let database = Database::new(&postgres_url()).unwrap();
    let there = Kept::Postgres(&database, ledger.reader.ledger());
    let kept = runtime().block_on(async {
        assert_eq!(copy(Kept::Folder(folder), there).await.unwrap(), 0, "nothing yet");
        let here = reconciler(&ledger);
        for asked in [Asked::default(), counted(), Asked::default()] {
            let id = here.reconciliations().start(&asked).await.unwrap();
            over(&here, id).await;
        }
        let kept = everything(&here).await;
        assert!(kept.contains("nobody corrects"), "{kept}");
        here.close();
        for _ in 0..2 {
            assert_eq!(copy(Kept::Folder(folder), there).await.unwrap(), 3);
        }
        kept
    });
    // Only what is kept: the views of this ledger are in its folder.
    let node = node(&ledger, options(None));
    runtime().block_on(async {
        assert_eq!(everything(&node).await, kept);
        let slice = Slice { limit: 1, ..ALL };
        let page = node.reconciliations().runs(slice).await.unwrap();
        assert_eq!((page.rows[0].0.id, page.more, page.total), (3, true, Some(3)));
        // What became of a line is known when it comes back.
        let corrected = bincard_projections::reconcile::Corrected::Recorded(Position(7));
        let runs = node.reconciliations();
        runs.note_correction(2, 1, &corrected).await.unwrap();
        let kept = everything(&node).await;
        node.close();
        assert_eq!(copy(there, Kept::Folder(folder)).await.unwrap(), 3);
        let here = reconciler(&ledger);
        assert_eq!(everything(&here).await, kept);
        here.close();
    });
}

#[test]
fn both_databases_have_the_same_columns() {
    let ledger = closed(20);
    reconciler(&ledger).close();
    let schema = include_str!("../../../migrations/sqlite/reconciliations/schema.sql");
    runtime().block_on(async {
        postgres_url();
        let mut connection = PgConnection::connect(&postgres_url()).await.unwrap();
        let columns: Vec<(String, String)> = sqlx::query_as(
            "select table_name::text, string_agg(column_name, ' ' order by ordinal_position) from information_schema.columns
             where table_schema = 'bincard_reconciliations' and table_name <> all ('{ledgers,_sqlx_migrations}')
             group by table_name order by table_name",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap();
        assert_eq!(columns.len(), 6);
        for (table, columns) in columns {
            let begin = format!("CREATE TABLE \"{table}\" (");
            let (_, behind) = schema.split_once(&begin).expect(&table);
            let (within, _) = behind.split_once("primary key").unwrap();
            let names = within.lines().filter_map(|line| line.split_whitespace().next());
            assert_eq!(names.collect::<Vec<_>>().join(" "), columns, "{table}");
        }
    });
}
