//! What a reconciliation makes of a view that claims too much, and of a part of the past.

use bincard_ledger::{Timestamp, VariantNo, WarehouseNo};
use bincard_projections::ViewName;
use bincard_projections::history::AsOf;
use bincard_projections::reconcile::{Asked, Filter, RunState};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::ledger::{Ledger, runtime};
use crate::reconcile::{closed, reconcile, reconciler};

async fn execute(ledger: &Ledger, view: ViewName, statement: &'static str) {
    let options = SqliteConnectOptions::new().filename(ledger.views_path().join(format!("{view}.1.db")));
    let mut connection = options.connect().await.unwrap();
    let done = sqlx::query(statement).execute(&mut connection).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "{statement}");
    connection.close().await.unwrap();
}

#[test]
fn a_view_that_says_it_stands_beyond_the_log_differs() {
    let ledger = closed(60);
    let reconciler = reconciler(&ledger);
    runtime().block_on(async {
        let views = [ViewName::Stock, ViewName::Catalogue];
        for view in views {
            execute(&ledger, view, "update checkpoint set position = position + 1").await;
        }
        let (run, found) = reconcile(&reconciler, &Asked::default()).await;
        assert_eq!((run.state, run.differing), (RunState::Differs, 2));
        for (one, view) in found.iter().zip(views) {
            assert_eq!((one.view, one.table.as_str()), (view, "checkpoint"));
            assert_eq!(one.field.as_deref(), Some("position"));
        }
        // The figures say so, too.
        let diverged = reconciler.reconciliations().diverged();
        let diverged = diverged.into_iter().filter(|(_, rows)| *rows > 0);
        assert_eq!(diverged.collect::<Vec<_>>(), views.map(|view| (view, 1)));
    });
}

#[test]
fn of_the_past_only_what_is_asked_for_is_compared_and_what_the_view_has_not_is_missing() {
    let ledger = closed(200);
    let reconciler = reconciler(&ledger);
    let asked = Asked {
        past: AsOf {
            as_of: Some(Timestamp::from_micros(0)),
            known_at: None,
        },
        filter: Filter {
            warehouse: Some(WarehouseNo(1)),
            variant: Some(VariantNo(2)),
        },
        ..Asked::default()
    };
    runtime().block_on(async {
        let (run, found) = reconcile(&reconciler, &asked).await;
        assert_eq!((run.compared[0].rows, found.len()), (1, 0));
        let gone = "delete from keys where (variant, warehouse) = (2, 1)";
        execute(&ledger, ViewName::History, gone).await;
        let (run, found) = reconcile(&reconciler, &asked).await;
        assert_eq!((run.compared[0].rows, run.differing), (0, 1));
        assert_eq!(
            (found[0].key.as_str(), &found[0].found),
            ("warehouse 1, variant 2", &None)
        );
    });
}
