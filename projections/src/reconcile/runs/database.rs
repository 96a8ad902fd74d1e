//! The database of runs, opened: its tables are made by the migrations in `migrations/sqlite/reconciliations`.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use sqlx::SqlStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use crate::error::Error;
use crate::sqlite::record_pool;

/// Every migration there is, in order. Applied ones never change.
const MIGRATIONS: [(i64, &str, &str); 5] = [
    (
        1,
        "runs",
        include_str!("../../../../migrations/sqlite/reconciliations/0001_runs.sql"),
    ),
    (
        2,
        "sources",
        include_str!("../../../../migrations/sqlite/reconciliations/0002_sources.sql"),
    ),
    (
        3,
        "cancel",
        include_str!("../../../../migrations/sqlite/reconciliations/0003_cancel.sql"),
    ),
    (
        4,
        "apply",
        include_str!("../../../../migrations/sqlite/reconciliations/0004_apply.sql"),
    ),
    (
        5,
        "unnamed",
        include_str!("../../../../migrations/sqlite/reconciliations/0005_unnamed.sql"),
    ),
];

/// The database.
#[derive(Clone, Debug)]
pub(in crate::reconcile) struct Runs {
    path: PathBuf,
    pub(super) pool: SqlitePool,
}

impl Runs {
    pub(in crate::reconcile) async fn open(path: &Path) -> Result<Runs, Error> {
        let runs = Runs {
            path: path.to_owned(),
            pool: record_pool(path),
        };
        let migrator = Migrator::with_migrations(MIGRATIONS.map(migration).into());
        let migrated = async {
            let mut tx = runs.pool.begin_with("begin immediate").await?;
            let connection: &mut SqliteConnection = &mut tx;
            migrator.run_direct(None, connection, false).await?;
            tx.commit().await.map_err(MigrateError::from)
        };
        match migrated.await {
            Ok(()) => Ok(runs),
            Err(MigrateError::VersionMissing(version)) => Err(Error::ReconciliationsVersion {
                path: path.to_owned(),
                version,
                known: MIGRATIONS.len() as i64,
            }),
            Err(MigrateError::Execute(source)) => Err(runs.failing()(source)),
            Err(error) => Err(runs.failing()(sqlx::Error::Migrate(Box::new(error)))),
        }
    }

    pub(in crate::reconcile) async fn close(&self) {
        self.pool.close().await;
    }

    pub(super) fn failing(&self) -> impl Fn(sqlx::Error) -> Error {
        let path = self.path.clone();
        move |source| Error::Reconciliations {
            path: path.clone(),
            source,
        }
    }
}

fn migration((version, name, sql): (i64, &'static str, &'static str)) -> Migration {
    Migration::new(
        version,
        Cow::Borrowed(name),
        MigrationType::Simple,
        SqlStr::from_static(sql),
        false,
    )
}
