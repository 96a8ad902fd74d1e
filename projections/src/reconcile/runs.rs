//! The reconciliations of a ledger as they are kept: `reconciliations.db` in its folder.
//!
//! They do not follow from the log, so this file is never rebuilt. It is small, and written a few times a run.

mod database;
mod found;
mod sources;

use bincard_ledger::{Position, Timestamp, VariantNo, WarehouseNo};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};

pub(super) use database::Runs;
pub use found::{Compared, RunDifference};

use super::outside::Source;
use super::part::Filter;
use crate::error::Error;
use crate::history::AsOf;
use crate::views::{Page, Slice};
use found::read_compared;
use sources::{add_source, read_source, read_source_head};

/// Runs that are over and older than so many others are forgotten.
const RUNS_KEPT: i64 = 1_000;
/// The most runs that wait.
const WAITING_MAX: i64 = 16;

/// How a run stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunState {
    /// It waits for another to end.
    Waiting,
    /// It is under way.
    Running,
    /// It found nothing.
    Agrees,
    /// It found differences.
    Differs,
    /// It was cancelled.
    Cancelled,
    /// It could not be done.
    Failed,
}

impl RunState {
    const ALL: [RunState; 6] = [
        RunState::Waiting,
        RunState::Running,
        RunState::Agrees,
        RunState::Differs,
        RunState::Cancelled,
        RunState::Failed,
    ];

    /// Whether nothing changes any more.
    pub fn is_over(self) -> bool {
        !matches!(self, RunState::Waiting | RunState::Running)
    }

    fn column(self) -> i64 {
        self as i64
    }

    fn read(column: i64) -> Result<RunState, sqlx::Error> {
        let state = usize::try_from(column).ok().and_then(|at| RunState::ALL.get(at));
        state
            .copied()
            .ok_or_else(|| sqlx::Error::Decode(format!("there is no state {column}").into()))
    }
}

/// What a run is to compare.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asked {
    /// The stock of which past to compare; with neither instant set, all views as they are.
    pub past: AsOf,
    /// Which keys.
    pub filter: Filter,
    /// What was counted or reported outside, to be compared instead of the views.
    pub source: Option<Source>,
    /// Whether what is unexplained of the source is to be corrected.
    pub applies: bool,
    /// Who asked, in the caller's own words.
    pub author: String,
}

/// A run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// Its number.
    pub id: u64,
    /// What it is to compare.
    pub asked: Asked,
    /// How it stands.
    pub state: RunState,
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// The position in the log that it is for, fixed when it began.
    pub position: Option<Position>,
    /// The views it compared.
    pub compared: Vec<Compared>,
    /// How many rows differ; not all of them are kept.
    pub differing: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// Whether its source was compared, and what is left is to correct the ledger.
    pub(super) is_compared: bool,
}

const COLUMNS: &str = "id, state, author, asked_at, started_at, ended_at, position, as_of, known_at, warehouse, variant, differing, error, applies, \
                       is_compared";

impl Runs {
    /// Takes a run up, to be done when those before it are over.
    pub(super) async fn add(&self, asked: &Asked, now: Timestamp) -> Result<u64, Error> {
        let failing = self.failing();
        let mut tx = self.pool.begin_with("begin immediate").await.map_err(&failing)?;
        let waiting: i64 = sqlx::query_scalar("select count(*) from runs where state = $1")
            .bind(RunState::Waiting.column())
            .fetch_one(&mut *tx)
            .await
            .map_err(&failing)?;
        if waiting >= WAITING_MAX {
            return Err(Error::TooManyWaiting {
                waiting: waiting.cast_unsigned(),
            });
        }
        let add = async {
            let added = sqlx::query(
                "insert into runs (state, author, asked_at, as_of, known_at, warehouse, variant, applies)
                 values ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(RunState::Waiting.column())
            .bind(&asked.author)
            .bind(now.micros())
            .bind(asked.past.as_of.map(Timestamp::micros))
            .bind(asked.past.known_at.map(Timestamp::micros))
            .bind(asked.filter.warehouse.map(|no| i64::from(no.0)))
            .bind(asked.filter.variant.map(|no| i64::from(no.0)))
            .bind(asked.applies)
            .execute(&mut *tx)
            .await?;
            let id = added.last_insert_rowid();
            if let Some(source) = &asked.source {
                add_source(&mut tx, id, source).await?;
            }
            for sql in [
                "delete from lines where run <= $1",
                "delete from sources where run <= $1",
                "delete from differences where run <= $1",
                "delete from compared where run <= $1",
                "delete from runs where id <= $1",
            ] {
                sqlx::query(sql).bind(id - RUNS_KEPT).execute(&mut *tx).await?;
            }
            tx.commit().await?;
            Ok(id.cast_unsigned())
        };
        add.await.map_err(failing)
    }

    /// The run to be done next: one that was under way, else the one that waits longest.
    pub(super) async fn next(&self) -> Result<Option<Run>, Error> {
        let sql = format!("select {COLUMNS} from runs where state in (0, 1) order by state desc, id limit 1");
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_optional(&self.pool).await;
        let Some(row) = row.map_err(self.failing())? else {
            return Ok(None);
        };
        let read = async {
            let mut run = read_run(&row)?;
            let mut connection = self.pool.acquire().await?;
            run.asked.source = read_source(&mut connection, run.id).await?;
            Ok(run)
        };
        read.await.map(Some).map_err(self.failing())
    }

    /// Begins a run, or goes on with one; its position is fixed from the first time on. `false` when it was cancelled.
    pub(super) async fn begin(&self, id: u64, position: Position, now: Timestamp) -> Result<bool, Error> {
        let begun = sqlx::query(
            "update runs set state = $2, position = coalesce(position, $3), started_at = coalesce(started_at, $4)
             where id = $1 and state in (0, 1) and not cancel_asked",
        )
        .bind(id.cast_signed())
        .bind(RunState::Running.column())
        .bind(position.0.cast_signed())
        .bind(now.micros())
        .execute(&self.pool)
        .await;
        Ok(begun.map_err(self.failing())?.rows_affected() == 1)
    }

    /// Ends a run that was not done to its end.
    pub(super) async fn give_up(
        &self,
        id: u64,
        state: RunState,
        error: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let ended = sqlx::query(
            "update runs set state = $2, ended_at = $3, error = $4 where id = $1 and state in (0, 1)",
        )
        .bind(id.cast_signed())
        .bind(state.column())
        .bind(now.micros())
        .bind(error)
        .execute(&self.pool)
        .await;
        Ok(ended.map_err(self.failing())?.rows_affected() == 1)
    }

    /// Writes down that a run is to end. One that waits is over with that; whether there is one under way that is to end.
    pub(super) async fn cancel(&self, id: u64, now: Timestamp) -> Result<bool, Error> {
        let state: Result<Option<i64>, _> = sqlx::query_scalar(
            "update runs set cancel_asked = 1, state = iif(state = $2, $3, state), ended_at = iif(state = $2, $4, ended_at)
             where id = $1 and state in (0, 1) returning state",
        )
        .bind(id.cast_signed())
        .bind(RunState::Waiting.column())
        .bind(RunState::Cancelled.column())
        .bind(now.micros())
        .fetch_optional(&self.pool)
        .await;
        Ok(state.map_err(self.failing())? == Some(RunState::Running.column()))
    }

    /// One run.
    pub(super) async fn one(&self, id: u64) -> Result<Option<Run>, Error> {
        let read = async {
            let mut connection = self.pool.acquire().await?;
            let sql = format!("select {COLUMNS} from runs where id = $1");
            let row = sqlx::query(AssertSqlSafe(sql))
                .bind(id.cast_signed())
                .fetch_optional(&mut *connection)
                .await?;
            let Some(row) = row else { return Ok(None) };
            let mut run = read_run(&row)?;
            run.compared = read_compared(&mut connection, id).await?;
            run.asked.source = read_source_head(&mut connection, id).await?;
            Ok(Some(run))
        };
        read.await.map_err(self.failing())
    }

    /// A page of the runs, the latest first.
    pub(super) async fn page(&self, slice: Slice<u64>) -> Result<Page<Run>, Error> {
        let read = async {
            let mut connection = self.pool.acquire().await?;
            let sql = format!("select {COLUMNS} from runs where id < $1 order by id desc limit $2 offset $3");
            let after = slice.after.map_or(i64::MAX, u64::cast_signed);
            let rows = sqlx::query(AssertSqlSafe(sql))
                .bind(after)
                .bind(slice.wanted())
                .bind(slice.skip())
                .fetch_all(&mut *connection)
                .await?;
            let mut runs = rows.iter().map(read_run).collect::<Result<Vec<_>, _>>()?;
            for run in &mut runs {
                run.compared = read_compared(&mut connection, run.id).await?;
                run.asked.source = read_source_head(&mut connection, run.id).await?;
            }
            let total = if slice.with_total {
                Some(
                    sqlx::query_scalar("select count(*) from runs")
                        .fetch_one(&mut *connection)
                        .await?,
                )
            } else {
                None
            };
            Ok(slice.page(runs, total))
        };
        read.await.map_err(self.failing())
    }
}

/// Ends a run that was done to its end as cancelled, where that was asked for meanwhile.
async fn end_if_cancelled(
    connection: &mut SqliteConnection,
    id: u64,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let ended = sqlx::query("update runs set state = $2, ended_at = $3 where id = $1 and cancel_asked")
        .bind(id.cast_signed())
        .bind(RunState::Cancelled.column())
        .bind(now.micros())
        .execute(connection)
        .await?;
    Ok(ended.rows_affected() == 1)
}

fn read_run(row: &SqliteRow) -> Result<Run, sqlx::Error> {
    let instant =
        |index| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(index)?.map(Timestamp::from_micros));
    let number = |index| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(index)?.map(|no| no as u32));
    let whole = |index| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(index)?.map(i64::cast_unsigned));
    Ok(Run {
        id: whole(0)?.unwrap_or_default(),
        asked: Asked {
            past: AsOf {
                as_of: instant(7)?,
                known_at: instant(8)?,
            },
            filter: Filter {
                warehouse: number(9)?.map(WarehouseNo),
                variant: number(10)?.map(VariantNo),
            },
            source: None,
            applies: row.try_get(13)?,
            author: row.try_get(2)?,
        },
        state: RunState::read(row.try_get(1)?)?,
        asked_at: Timestamp::from_micros(row.try_get(3)?),
        started_at: instant(4)?,
        ended_at: instant(5)?,
        position: whole(6)?.map(Position),
        compared: Vec::new(),
        differing: whole(11)?.unwrap_or_default(),
        error: row.try_get(12)?,
        is_compared: row.try_get(14)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_run_that_is_cancelled_ends_so_though_it_was_done_meanwhile_or_its_server_died() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reconciliations.db");
        let at = Timestamp::from_micros;
        for is_done in [true, false] {
            let runs = Runs::open(&path).await.unwrap();
            let id = runs.add(&Asked::default(), at(1)).await.unwrap();
            assert!(runs.begin(id, Position(5), at(2)).await.unwrap());
            assert!(runs.cancel(id, at(3)).await.unwrap(), "it is under way");
            let runs = if is_done {
                runs.end(id, &[], at(4)).await.unwrap();
                runs
            } else {
                runs.close().await;
                let runs = Runs::open(&path).await.unwrap();
                assert_eq!(runs.next().await.unwrap().map(|run| run.id), Some(id));
                assert!(!runs.begin(id, Position(9), at(4)).await.unwrap(), "it is to end");
                assert!(runs.give_up(id, RunState::Cancelled, None, at(4)).await.unwrap());
                runs
            };
            let run = runs.one(id).await.unwrap().unwrap();
            assert_eq!((run.state, run.ended_at), (RunState::Cancelled, Some(at(4))));
            assert_eq!((run.position, run.started_at), (Some(Position(5)), Some(at(2))));
            assert!(!runs.cancel(id, at(6)).await.unwrap(), "it is over");
            assert_eq!(runs.one(id).await.unwrap().unwrap(), run);
            assert_eq!(runs.next().await.unwrap(), None);
            runs.close().await;
        }
        let runs = Runs::open(&path).await.unwrap();
        let id = runs.add(&Asked::default(), at(7)).await.unwrap();
        assert!(!runs.cancel(id, at(8)).await.unwrap(), "it waits");
        let run = runs.one(id).await.unwrap().unwrap();
        assert_eq!((run.state, run.ended_at), (RunState::Cancelled, Some(at(8))));
    }

    #[tokio::test]
    async fn so_many_runs_wait_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let runs = Runs::open(&folder.path().join("reconciliations.db"))
            .await
            .unwrap();
        let at = Timestamp::from_micros(1);
        for _ in 0..WAITING_MAX {
            runs.add(&Asked::default(), at).await.unwrap();
        }
        let refused = runs.add(&Asked::default(), at).await;
        let waiting = WAITING_MAX.cast_unsigned();
        assert!(
            matches!(refused, Err(Error::TooManyWaiting { waiting: told }) if told == waiting),
            "{refused:?}"
        );
        runs.close().await;
    }
}
