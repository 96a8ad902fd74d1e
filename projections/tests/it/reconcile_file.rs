//! The file of reconciliations: its tables, files of older and newer programs, and what of it survives an end.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bincard_ledger::{Position, VariantNo, WarehouseNo};
use bincard_projections::reconcile::{
    Asked, Correct, Corrected, Correction, Options, Reconciler, RunState, Source, SourceLine,
};
use bincard_projections::stock::StockKey;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::ledger::{Ledger, Random, runtime};
use crate::reconcile::{ALL, closed, options, over, reconciler};

fn migrations() -> &'static Path {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../migrations/sqlite/reconciliations"
    ))
}

fn files() -> Vec<PathBuf> {
    let files = std::fs::read_dir(migrations()).unwrap();
    let files = files.map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files
        .filter(|path| path.file_name().unwrap() != "schema.sql")
        .collect();
    files.sort();
    files
}

async fn sql(ledger: &Ledger) -> SqliteConnection {
    let file = ledger.folder.path().join("reconciliations.db");
    let options = SqliteConnectOptions::new().filename(file);
    options.create_if_missing(true).connect().await.unwrap()
}

async fn run_all(connection: &mut SqliteConnection, statements: String) {
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(connection)
        .await
        .unwrap();
}

async fn schema_of(connection: &mut SqliteConnection) -> String {
    let statements: Vec<String> = sqlx::query_scalar(
        "select sql from sqlite_schema where sql is not null and name not like '\\_sqlx\\_%' escape '\\' order by name",
    )
    .fetch_all(connection)
    .await
    .unwrap();
    let statements: Vec<String> = statements.iter().map(|sql| format!("{sql};\n")).collect();
    statements.join("\n")
}

#[test]
fn the_migrations_give_the_schema_that_stands_beside_them_and_none_is_forgotten() {
    let ledger = closed(20);
    reconciler(&ledger).close();
    runtime().block_on(async {
        let mut connection = sql(&ledger).await;
        let migrated = schema_of(&mut connection).await;
        let file = migrations().join("schema.sql");
        if std::env::var_os("BINCARD_WRITE_SCHEMA").is_some() {
            std::fs::write(&file, &migrated).unwrap();
        }
        let committed = std::fs::read_to_string(&file).unwrap();
        assert_eq!(
            committed, migrated,
            "run this test with BINCARD_WRITE_SCHEMA=1 and commit the file"
        );
        let applied: Vec<i64> = sqlx::query_scalar("select version from _sqlx_migrations order by version")
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let named = files().into_iter().map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            name.split_once('_').unwrap().0.parse::<i64>().unwrap()
        });
        assert_eq!(applied, named.collect::<Vec<_>>());
    });
}

#[test]
fn files_from_before_there_were_migrations_are_taken_over_with_their_runs() {
    for version in [1, 2] {
        let ledger = closed(20);
        runtime().block_on(async {
            let mut connection = sql(&ledger).await;
            for file in &files()[..version] {
                run_all(&mut connection, std::fs::read_to_string(file).unwrap()).await;
            }
            let old = "insert into runs (id, state, author, asked_at, ended_at) values (6, 2, 'old', 1, 2);
                       insert into compared values (6, 'stock', 1, 4, 3, 0, null);
                       insert into runs (id, state, author, asked_at) values (7, 0, 'old', 3);";
            let more = "insert into sources values (6, 'count', null, 0);
                        insert into lines (run, no, named, warehouse, variant, quantity, at_report, unexplained)
                        values (6, 1, 'A / S', 1, 1, 5, 4, 1);";
            let more = if version == 2 { more } else { "" };
            run_all(
                &mut connection,
                format!("{old}{more} pragma user_version = {version}"),
            )
            .await;
            connection.close().await.unwrap();
            let opened = reconciler(&ledger);
            let runs = opened.reconciliations();
            assert_eq!(over(&opened, 7).await.state, RunState::Agrees);
            let (six, _) = runs.run(6).await.unwrap().unwrap();
            assert_eq!((six.state, six.compared.len()), (RunState::Agrees, 1));
            let lines = runs.variances(6, ALL).await.unwrap().rows;
            if version == 2 {
                assert_eq!(six.asked.source.unwrap().name, "count");
                assert_eq!((lines[0].line.quantity, lines[0].variance()), (5, Some(1)));
            }
            assert_eq!(runs.start(&Asked::default()).await.unwrap(), 8);
            opened.close();
            // Opened again there is nothing to be done.
            reconciler(&ledger).close();
        });
    }
}

#[test]
fn reconciliations_of_a_newer_program_are_refused() {
    let ledger = closed(20);
    reconciler(&ledger).close();
    runtime().block_on(async {
        let mut connection = sql(&ledger).await;
        let newer = "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
                     values (99, 'newer', true, x'00', 0)";
        run_all(&mut connection, newer.to_owned()).await;
        connection.close().await.unwrap();
    });
    let views = ledger.views_path();
    let refused = Reconciler::open(ledger.folder.path(), &views, ledger.reader.clone(), options(None));
    let said = refused.err().unwrap().to_string();
    assert!(
        said.contains("version 99") && said.contains("newer program"),
        "{said}"
    );
}

#[test]
fn that_a_run_is_to_end_is_on_the_disk_before_it_is_answered() {
    let mut ledger = closed(60);
    // Nobody feeds the views, which stand before the run's position: it waits.
    ledger.grow(&mut Random::new(8), 20);
    let (opened, runtime) = (reconciler(&ledger), runtime());
    let id = runtime.block_on(async {
        let runs = opened.reconciliations();
        let id = runs.start(&Asked::default()).await.unwrap();
        while runs.progress().is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        runs.cancel(id).await.unwrap();
        let mut connection = sql(&ledger).await;
        let asked: bool = sqlx::query_scalar("select cancel_asked from runs where id = 1")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert!(asked);
        assert_eq!(over(&opened, id).await.state, RunState::Cancelled);
        opened.close();
        // As if the server had died between the two.
        run_all(
            &mut connection,
            "update runs set state = 1, ended_at = null".to_owned(),
        )
        .await;
        connection.close().await.unwrap();
        id
    });
    let opened = reconciler(&ledger);
    let run = runtime.block_on(over(&opened, id));
    assert_eq!(
        (run.state, run.position),
        (RunState::Cancelled, Some(ledger.head()))
    );
}

#[test]
fn a_transaction_that_sqlite_ended_by_itself_leaves_runs_as_they_can_be_asked_for() {
    let ledger = closed(20);
    let opened = reconciler(&ledger);
    runtime().block_on(async {
        let mut connection = sql(&ledger).await;
        let no_room = "create trigger no_room before insert on runs begin select raise(rollback, 'as when the disk is full'); end";
        run_all(&mut connection, no_room.to_owned()).await;
        let runs = opened.reconciliations();
        // As often as there are connections, and once more.
        for _ in 0..3 {
            let refused = runs.start(&Asked::default()).await.unwrap_err().chain();
            assert!(refused.contains("as when the disk is full"), "{refused}");
        }
        run_all(&mut connection, "drop trigger no_room".to_owned()).await;
        connection.close().await.unwrap();
        let id = runs.start(&Asked::default()).await.unwrap();
        assert_eq!(over(&opened, id).await.state, RunState::Agrees);
    });
    opened.close();
}

/// Answers each correction, and keeps what was asked for. After `good` of them it fails.
pub(crate) fn correcting(good: usize) -> (Correct, Arc<Mutex<Vec<Correction>>>) {
    let asked: Arc<Mutex<Vec<Correction>>> = Arc::default();
    let all = asked.clone();
    let correct: Correct = Arc::new(move |correction| {
        let mut all = all.lock().unwrap();
        let outcome = match all.len() {
            at if at == good => Err("the disk is full".to_owned()),
            0 => Ok(Corrected::Recorded(Position(77))),
            1 => Ok(Corrected::Refused("/problems/none".to_owned())),
            _ => Ok(Corrected::Before),
        };
        all.push(correction);
        Box::pin(async move { outcome })
    });
    (correct, asked)
}

#[test]
fn a_run_that_corrects_goes_on_with_the_lines_that_are_left_as_they_were_explained() {
    let ledger = closed(60);
    let open = |correct| {
        let options = Options {
            correct,
            ..options(None)
        };
        let views = ledger.views_path();
        Reconciler::open(ledger.folder.path(), &views, ledger.reader.clone(), options).unwrap()
    };
    let line = |variant, key: Result<u32, &str>, quantity| SourceLine {
        named: format!("line {variant}"),
        key: key.map_err(str::to_owned).map(|warehouse| StockKey {
            warehouse: WarehouseNo(warehouse),
            variant: VariantNo(variant),
        }),
        quantity,
    };
    let asked = Asked {
        source: Some(Source {
            name: "count".to_owned(),
            lines: vec![
                line(1, Ok(1), 1_000_000),
                line(2, Err("unknown"), 5),
                line(3, Ok(1), 2_000_000),
                line(4, Ok(1), 3_000_000),
            ],
            ..Source::default()
        }),
        applies: true,
        author: "somebody".to_owned(),
        ..Asked::default()
    };
    runtime().block_on(async {
        let (correct, first) = correcting(1);
        let opened = open(Some(correct));
        let runs = opened.reconciliations();
        let id = runs.start(&asked).await.unwrap();
        let run = over(&opened, id).await;
        assert_eq!(run.state, RunState::Failed);
        assert!(run.error.unwrap().contains("the disk is full"));
        let before = runs.variances(id, ALL).await.unwrap().rows;
        let corrected: Vec<_> = before.iter().map(|line| line.corrected.clone()).collect();
        assert_eq!(
            corrected,
            [Some(Corrected::Recorded(Position(77))), None, None, None]
        );
        let units: Vec<_> = first
            .lock()
            .unwrap()
            .iter()
            .map(|one| (one.no, one.units))
            .collect();
        let unexplained = |no: usize| before[no - 1].explained.as_ref().unwrap().unexplained;
        assert_eq!(units, [(1, unexplained(1)), (3, unexplained(3))]);
        assert!(unexplained(1) > 900_000 && unexplained(3) > 1_900_000);
        opened.close();
        // As if the server had died at that moment. What is explained meanwhile would be explained otherwise.
        let mut connection = sql(&ledger).await;
        let died = "update runs set state = 1, ended_at = null, error = null;
                    update lines set unexplained = 9, at_report = quantity - 9 where no = 4";
        run_all(&mut connection, died.to_owned()).await;
        connection.close().await.unwrap();

        let (correct, then) = correcting(9);
        let opened = open(Some(correct));
        let run = over(&opened, id).await;
        assert_eq!((run.state, run.differing), (RunState::Differs, 4));
        let units: Vec<_> = then
            .lock()
            .unwrap()
            .iter()
            .map(|one| (one.no, one.units))
            .collect();
        assert_eq!(units, [(3, unexplained(3)), (4, 9)]);
        let one = then.lock().unwrap()[0].clone();
        assert_eq!(
            (one.run, &*one.source, &*one.author),
            (id, "count", "somebody"),
            "{one:?}"
        );
        let runs = opened.reconciliations();
        let after = runs.variances(id, ALL).await.unwrap().rows;
        let corrected: Vec<_> = after.iter().map(|line| line.corrected.clone()).collect();
        let recorded = |at| Some(Corrected::Recorded(Position(at)));
        let refused = Some(Corrected::Refused("/problems/none".to_owned()));
        assert_eq!(corrected, [recorded(77), None, recorded(77), refused]);
        // What is known of a correction stays known.
        runs.note_correction(id, 1, &Corrected::Before).await.unwrap();
        runs.note_correction(id, 4, &Corrected::Before).await.unwrap();
        let after = runs.variances(id, ALL).await.unwrap().rows;
        assert_eq!(after[0].corrected, recorded(77));
        assert_eq!(after[3].corrected, Some(Corrected::Before));
        opened.close();

        let opened = open(None);
        let id = opened.reconciliations().start(&asked).await.unwrap();
        let run = over(&opened, id).await;
        assert!(run.error.unwrap().contains("nobody corrects"));
    });
}
