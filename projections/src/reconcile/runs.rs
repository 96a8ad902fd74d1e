//! The reconciliations of a ledger as they are kept: `reconciliations.db` in its folder, or PostgreSQL.
//!
//! They do not follow from the log, so they are never rebuilt. They are little, and written a few times a run.

mod copying;
mod database;
mod found;
mod sources;

use bincard_ledger::{Position, Timestamp, VariantNo, WarehouseNo};
use sqlx::AssertSqlSafe;

pub use copying::{Kept, copy};
pub(super) use database::{Hold, Renewed, Runs};
pub use found::{Compared, RunDifference};

use super::outside::Source;
use super::part::Filter;
use super::worker::{Phase, RunProgress};
use crate::error::Error;
use crate::history::AsOf;
use crate::sql::{Connection, Row, query};
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
    /// How far it is while it is under way, as the node that does it told last, where there are others.
    pub(super) told: Option<RunProgress>,
}

const COLUMNS: &str = "id, state, author, asked_at, started_at, ended_at, position, as_of, known_at, warehouse, variant, differing, error, applies, \
                       is_compared, phase, folded, rows";

impl Runs {
    /// Takes a run up, to be done when those before it are over.
    pub(super) async fn add(&self, asked: &Asked, now: Timestamp) -> Result<u64, Error> {
        let failing = self.failing();
        let mut tx = self.write().await.map_err(&failing)?;
        let counted = async {
            let row = query("select count(*) from runs where ledger = $1 and state = $2")
                .bind(self.ledger)
                .bind(RunState::Waiting.column())
                .fetch_one(&mut tx.on())
                .await?;
            row.try_get::<i64>(0)
        };
        let waiting = counted.await.map_err(&failing)?;
        if waiting >= WAITING_MAX {
            return Err(Error::TooManyWaiting {
                waiting: waiting.cast_unsigned(),
            });
        }
        let add = async {
            let row = query(
                "insert into runs (ledger, id, state, author, asked_at, as_of, known_at, warehouse, variant, applies)
                 values ($1, (select coalesce(max(id), 0) + 1 from runs where ledger = $1), $2, $3, $4, $5, $6, $7, $8, $9)
                 returning id",
            )
            .bind(self.ledger)
            .bind(RunState::Waiting.column())
            .bind(asked.author.as_str())
            .bind(now.micros())
            .bind(asked.past.as_of.map(Timestamp::micros))
            .bind(asked.past.known_at.map(Timestamp::micros))
            .bind(asked.filter.warehouse.map(|no| i64::from(no.0)))
            .bind(asked.filter.variant.map(|no| i64::from(no.0)))
            .bind(asked.applies)
            .fetch_one(&mut tx.on())
            .await?;
            let id: i64 = row.try_get(0)?;
            if let Some(source) = &asked.source {
                add_source(&mut tx.on(), (self.ledger, id), source).await?;
            }
            for sql in [
                "delete from lines where ledger = $1 and run <= $2",
                "delete from sources where ledger = $1 and run <= $2",
                "delete from differences where ledger = $1 and run <= $2",
                "delete from compared where ledger = $1 and run <= $2",
                "delete from runs where ledger = $1 and id <= $2",
            ] {
                let forget = query(sql).bind(self.ledger).bind(id - RUNS_KEPT);
                forget.execute(&mut tx.on()).await?;
            }
            tx.commit().await?;
            Ok(id.cast_unsigned())
        };
        add.await.map_err(failing)
    }

    /// The run to be done next, and the right to do it: one that was under way, else the one that waits longest; `None`
    /// while another node does one, too. Whoever `corrects` not leaves those that correct to nodes that do.
    pub(super) async fn next(&self, corrects: bool) -> Result<Option<(Hold, Run)>, Error> {
        let sql = format!(
            "select {COLUMNS} from runs where ledger = $1 and state in (0, 1) and (applies = 0 or $2 = 1)
             order by state desc, id limit 1"
        );
        let takes_all = corrects || !self.others_correct();
        let first = async |on: &mut Connection<'_>| {
            let found = query(AssertSqlSafe(sql.clone()));
            found.bind(self.ledger).bind(takes_all).fetch_optional(on).await
        };
        let next = async {
            // Most of the time there is none, or another node is at it, which is seen without a lock: that node may be
            // writing.
            let mut tx = self.read().await?;
            if first(&mut tx.on()).await?.is_none() || !self.is_free(&mut tx).await? {
                return Ok(None);
            }
            drop(tx);
            let mut tx = self.write().await?;
            let Some(row) = first(&mut tx.on()).await? else {
                return Ok(None);
            };
            let Some(hold) = self.take(&mut tx).await? else {
                return Ok(None);
            };
            let mut run = read_run(&row)?;
            run.asked.source = read_source(&mut tx.on(), (self.ledger, run.id.cast_signed())).await?;
            tx.commit().await?;
            Ok(Some((hold, run)))
        };
        next.await.map_err(self.failing())
    }

    /// Begins a run, or goes on with one; its position is fixed from the first time on. `false` when it was cancelled.
    pub(super) async fn begin(
        &self,
        hold: Hold,
        id: u64,
        position: Position,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let mut tx = self.write_as(hold).await?;
        let begin = async {
            let begun = query(
                "update runs set state = $3, position = coalesce(position, $4), started_at = coalesce(started_at, $5)
                 where ledger = $1 and id = $2 and state in (0, 1) and cancel_asked = 0 returning id",
            )
            .bind(self.ledger)
            .bind(id.cast_signed())
            .bind(RunState::Running.column())
            .bind(position.0.cast_signed())
            .bind(now.micros())
            .fetch_optional(&mut tx.on())
            .await?;
            tx.commit().await?;
            Ok(begun.is_some())
        };
        begin.await.map_err(self.failing())
    }

    /// Ends a run that was not done to its end.
    pub(super) async fn give_up(
        &self,
        hold: Hold,
        id: u64,
        state: RunState,
        error: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut tx = self.write_as(hold).await?;
        let end = async {
            query(
                "update runs set state = $3, ended_at = $4, error = $5
                 where ledger = $1 and id = $2 and state in (0, 1)",
            )
            .bind(self.ledger)
            .bind(id.cast_signed())
            .bind(state.column())
            .bind(now.micros())
            .bind(error)
            .execute(&mut tx.on())
            .await?;
            tx.commit().await
        };
        end.await.map_err(self.failing())
    }

    /// Writes down that a run is to end. One that waits is over with that; whether there is one under way that is to end.
    pub(super) async fn cancel(&self, id: u64, now: Timestamp) -> Result<bool, Error> {
        let cancel = async {
            let mut tx = self.write().await?;
            let row = query(
                "update runs set cancel_asked = 1, state = case when state = $3 then $4 else state end,
                    ended_at = case when state = $3 then $5 else ended_at end
                 where ledger = $1 and id = $2 and state in (0, 1) returning state",
            )
            .bind(self.ledger)
            .bind(id.cast_signed())
            .bind(RunState::Waiting.column())
            .bind(RunState::Cancelled.column())
            .bind(now.micros())
            .fetch_optional(&mut tx.on())
            .await?;
            tx.commit().await?;
            row.map(|row| row.try_get::<i64>(0)).transpose()
        };
        let state = cancel.await.map_err(self.failing())?;
        Ok(state == Some(RunState::Running.column()))
    }

    /// One run.
    pub(super) async fn one(&self, id: u64) -> Result<Option<Run>, Error> {
        let read = async {
            let mut tx = self.read().await?;
            let sql = format!("select {COLUMNS} from runs where ledger = $1 and id = $2");
            let row = query(AssertSqlSafe(sql))
                .bind(self.ledger)
                .bind(id.cast_signed())
                .fetch_optional(&mut tx.on())
                .await?;
            let Some(row) = row else { return Ok(None) };
            let mut run = read_run(&row)?;
            self.read_rest(&mut tx.on(), &mut run).await?;
            Ok(Some(run))
        };
        read.await.map_err(self.failing())
    }

    /// A page of the runs, the latest first.
    pub(super) async fn page(&self, slice: Slice<u64>) -> Result<Page<Run>, Error> {
        let read = async {
            let mut tx = self.read().await?;
            let sql = format!(
                "select {COLUMNS} from runs where ledger = $1 and id < $2 order by id desc limit $3 offset $4"
            );
            let rows = query(AssertSqlSafe(sql))
                .bind(self.ledger)
                .bind(slice.after.map_or(i64::MAX, u64::cast_signed))
                .bind(slice.wanted())
                .bind(slice.skip())
                .fetch_all(&mut tx.on())
                .await?;
            let mut runs = rows.iter().map(read_run).collect::<Result<Vec<_>, _>>()?;
            for run in &mut runs {
                self.read_rest(&mut tx.on(), run).await?;
            }
            let total = if slice.with_total {
                let count = query("select count(*) from runs where ledger = $1").bind(self.ledger);
                Some(count.fetch_one(&mut tx.on()).await?.try_get(0)?)
            } else {
                None
            };
            Ok(slice.page(runs, total))
        };
        read.await.map_err(self.failing())
    }

    /// Reads what stands of a run in other tables, without the lines of its source.
    async fn read_rest(&self, on: &mut Connection<'_>, run: &mut Run) -> Result<(), sqlx::Error> {
        let key = (self.ledger, run.id.cast_signed());
        run.compared = read_compared(on, key).await?;
        run.asked.source = read_source_head(on, key).await?;
        Ok(())
    }
}

/// Ends a run that was done to its end as cancelled, where that was asked for meanwhile.
async fn end_if_cancelled(
    on: &mut Connection<'_>,
    (ledger, id): (i64, i64),
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let ended = query(
        "update runs set state = $3, ended_at = $4 where ledger = $1 and id = $2 and cancel_asked = 1 returning id",
    )
    .bind(ledger)
    .bind(id)
    .bind(RunState::Cancelled.column())
    .bind(now.micros())
    .fetch_optional(on)
    .await?;
    Ok(ended.is_some())
}

fn read_run(row: &Row) -> Result<Run, sqlx::Error> {
    let column = |index| row.try_get::<Option<i64>>(index);
    let instant = |index| Ok::<_, sqlx::Error>(column(index)?.map(Timestamp::from_micros));
    let number = |index| Ok::<_, sqlx::Error>(column(index)?.map(|no| no as u32));
    let whole = |index| Ok::<_, sqlx::Error>(column(index)?.map(i64::cast_unsigned));
    let is_so = |index| Ok::<_, sqlx::Error>(column(index)?.unwrap_or_default() != 0);
    let id = whole(0)?.unwrap_or_default();
    let position = whole(6)?.map(Position);
    let phase: Option<String> = row.try_get(15)?;
    let told = match (phase.as_deref().and_then(Phase::parse), position) {
        (Some(phase), Some(through)) => Some(RunProgress {
            run: id,
            phase,
            folded: Position(whole(16)?.unwrap_or_default()),
            through,
            rows: whole(17)?.unwrap_or_default(),
        }),
        _ => None,
    };
    Ok(Run {
        id,
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
            applies: is_so(13)?,
            author: row.try_get(2)?,
        },
        state: RunState::read(row.try_get(1)?)?,
        asked_at: Timestamp::from_micros(row.try_get(3)?),
        started_at: instant(4)?,
        ended_at: instant(5)?,
        position,
        compared: Vec::new(),
        differing: whole(11)?.unwrap_or_default(),
        error: row.try_get(12)?,
        is_compared: is_so(14)?,
        told,
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
            let (hold, next) = runs.next(true).await.unwrap().unwrap();
            assert_eq!(next.id, id);
            assert!(runs.begin(hold, id, Position(5), at(2)).await.unwrap());
            assert!(runs.cancel(id, at(3)).await.unwrap(), "it is under way");
            let runs = if is_done {
                runs.end(hold, id, &[], at(4)).await.unwrap();
                runs
            } else {
                runs.close().await;
                let runs = Runs::open(&path).await.unwrap();
                let (hold, next) = runs.next(true).await.unwrap().unwrap();
                assert_eq!(next.id, id);
                let begun = runs.begin(hold, id, Position(9), at(4)).await.unwrap();
                assert!(!begun, "it is to end");
                let ended = runs.give_up(hold, id, RunState::Cancelled, None, at(4));
                ended.await.unwrap();
                runs
            };
            let run = runs.one(id).await.unwrap().unwrap();
            assert_eq!((run.state, run.ended_at), (RunState::Cancelled, Some(at(4))));
            assert_eq!((run.position, run.started_at), (Some(Position(5)), Some(at(2))));
            assert!(!runs.cancel(id, at(6)).await.unwrap(), "it is over");
            assert_eq!(runs.one(id).await.unwrap().unwrap(), run);
            assert_eq!(runs.next(true).await.unwrap(), None);
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
