//! The database of runs, opened: a file in the ledger's folder, whose tables are made by the migrations in
//! `migrations/sqlite/reconciliations`, or PostgreSQL, where every ledger has its rows in the same tables.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bincard_ledger::LedgerId;
use sqlx::SqlStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use crate::error::Error;
use crate::postgres::{Beside, Database, RENEW_EVERY, Records};
use crate::reconcile::worker::RunProgress;
use crate::sql::{Tx, query};
use crate::sqlite::record_pool;

/// Every migration there is, in order. Applied ones never change.
const MIGRATIONS: [(i64, &str, &str); 6] = [
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
    (
        6,
        "ledger",
        include_str!("../../../../migrations/sqlite/reconciliations/0006_ledger.sql"),
    ),
];

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::reconcile) struct Runs {
    kept: Kept,
    /// Which ledger's rows.
    pub(super) ledger: i64,
}

#[derive(Clone, Debug)]
enum Kept {
    /// In a file, which one process has.
    File {
        path: PathBuf,
        pool: SqlitePool,
    },
    Postgres(Records),
}

/// The right to do a run: in PostgreSQL, the epoch that it was taken under.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::reconcile) struct Hold(i64);

/// What became of an attempt to keep a run for longer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::reconcile) enum Renewed {
    /// It goes on.
    GoesOn,
    /// It is to end.
    Cancelled,
    /// Another node has taken it up.
    Lost,
}

impl Runs {
    /// The file that is in a ledger's folder.
    pub(in crate::reconcile) fn file(folder: &Path) -> PathBuf {
        folder.join("reconciliations.db")
    }

    pub(in crate::reconcile) async fn open(path: &Path) -> Result<Runs, Error> {
        let pool = record_pool(path);
        let runs = Runs {
            kept: Kept::File {
                path: path.to_owned(),
                pool: pool.clone(),
            },
            ledger: 0,
        };
        let migrator = Migrator::with_migrations(MIGRATIONS.map(migration).into());
        let migrated = async {
            let mut tx = pool.begin_with("begin immediate").await?;
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

    /// Those of a ledger in PostgreSQL, whose tables are there.
    pub(in crate::reconcile) async fn in_postgres(
        database: &Database,
        ledger: LedgerId,
    ) -> Result<Runs, Error> {
        let records = database.records(ledger).await?;
        Ok(Runs {
            ledger: records.ledger,
            kept: Kept::Postgres(records),
        })
    }

    /// Closes a file. PostgreSQL's connections are the views'.
    pub(in crate::reconcile) async fn close(&self) {
        if let Kept::File { pool, .. } = &self.kept {
            pool.close().await;
        }
    }

    /// How often to look whether there is something to do beside what this process was asked for; never, where nobody else
    /// asks.
    pub(in crate::reconcile) fn look_every(&self) -> Option<Duration> {
        match self.kept {
            Kept::File { .. } => None,
            Kept::Postgres(_) => Some(RENEW_EVERY),
        }
    }

    /// Begins to read: all statements see one state.
    pub(super) async fn read(&self) -> Result<Tx<'static>, sqlx::Error> {
        Ok(match &self.kept {
            Kept::File { pool, .. } => Tx::Sqlite(pool.begin().await?),
            Kept::Postgres(records) => Tx::Postgres(records.read().await?),
        })
    }

    /// Begins to write, alone.
    pub(super) async fn write(&self) -> Result<Tx<'static>, sqlx::Error> {
        Ok(match &self.kept {
            Kept::File { pool, .. } => Tx::Sqlite(pool.begin_with("begin immediate").await?),
            Kept::Postgres(records) => Tx::Postgres(records.write().await?),
        })
    }

    /// Begins to write what becomes of a run, if it is still this process's.
    pub(super) async fn write_as(&self, hold: Hold) -> Result<Tx<'static>, Error> {
        let begun = match &self.kept {
            Kept::File { .. } => self.write().await.map(Some),
            Kept::Postgres(records) => records.write_as(hold.0).await.map(|tx| tx.map(Tx::Postgres)),
        };
        begun.map_err(self.failing())?.ok_or(Error::ReconciledElsewhere)
    }

    /// Whether who cannot correct the ledger is to leave a run alone that does: another node can.
    pub(super) fn others_correct(&self) -> bool {
        matches!(self.kept, Kept::Postgres(_))
    }

    /// Whether no other node has the right to do a run.
    pub(super) async fn is_free(&self, tx: &mut Tx<'static>) -> Result<bool, sqlx::Error> {
        match (&self.kept, tx) {
            (Kept::Postgres(records), Tx::Postgres(tx)) => records.is_free(tx).await,
            _ => Ok(true),
        }
    }

    /// Takes the right to do a run, if no other node has it.
    pub(super) async fn take(&self, tx: &mut Tx<'static>) -> Result<Option<Hold>, sqlx::Error> {
        match (&self.kept, tx) {
            (Kept::Postgres(records), Tx::Postgres(tx)) => Ok(records.take(tx).await?.map(Hold)),
            // Whoever has the file has it.
            _ => Ok(Some(Hold(0))),
        }
    }

    /// Gives back the right to do a run. What it did not finish another node may go on with.
    pub(in crate::reconcile) async fn release(&self, hold: Hold) -> Result<(), Error> {
        match &self.kept {
            Kept::File { .. } => Ok(()),
            Kept::Postgres(records) => records.release(hold.0).await,
        }
    }

    /// Where several nodes may do a run, keeps it this process's and tells the others how far it is, again and again until
    /// what it answers is dropped. `told` hears what became of each attempt.
    pub(in crate::reconcile) fn keep(
        &self,
        hold: Hold,
        id: u64,
        progress: impl Fn() -> Option<RunProgress> + Send + 'static,
        told: impl Fn(Renewed) + Send + 'static,
    ) -> Option<Beside> {
        let Kept::Postgres(records) = &self.kept else {
            return None;
        };
        let runs = self.clone();
        Some(records.beside(async move {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                match runs.renew(hold, id, progress()).await {
                    Ok(renewed) => told(renewed),
                    Err(error) => {
                        tracing::warn!(
                            run = id,
                            error = &error as &dyn std::error::Error,
                            "the right to do a reconciliation could not be renewed"
                        );
                    }
                }
            }
        }))
    }

    async fn renew(
        &self,
        hold: Hold,
        id: u64,
        progress: Option<RunProgress>,
    ) -> Result<Renewed, sqlx::Error> {
        let Kept::Postgres(records) = &self.kept else {
            return Ok(Renewed::GoesOn);
        };
        let mut tx = records.write().await?;
        if !records.renew(&mut tx, hold.0).await? {
            return Ok(Renewed::Lost);
        }
        let mut tx = Tx::Postgres(tx);
        let mut asked = query(
            "update runs set phase = coalesce($3, phase), folded = coalesce($4, folded), rows = coalesce($5, rows)
             where ledger = $1 and id = $2 returning cancel_asked",
        )
        .bind(self.ledger)
        .bind(id.cast_signed());
        asked = asked
            .bind(progress.map(|now| now.phase.as_str().to_owned()))
            .bind(progress.map(|now| now.folded.0.cast_signed()))
            .bind(progress.map(|now| now.rows.cast_signed()));
        let row = asked.fetch_optional(&mut tx.on()).await?;
        let is_to_end = row
            .map(|row| row.try_get::<i64>(0))
            .transpose()?
            .unwrap_or_default();
        tx.commit().await?;
        Ok(if is_to_end == 0 {
            Renewed::GoesOn
        } else {
            Renewed::Cancelled
        })
    }

    pub(super) fn failing(&self) -> impl Fn(sqlx::Error) -> Error + use<> {
        let path = match &self.kept {
            Kept::File { path, .. } => Some(path.clone()),
            Kept::Postgres(_) => None,
        };
        move |source| match &path {
            _ if is_full(&source) => Error::ReconciliationsFull { source },
            Some(path) => Error::Reconciliations {
                path: path.clone(),
                source,
            },
            None => Error::ReconciliationsAway { source },
        }
    }
}

/// SQLite's code for it, and PostgreSQL's.
fn is_full(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| matches!(&*code, "13" | "53100"))
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
