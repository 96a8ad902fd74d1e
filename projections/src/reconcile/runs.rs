//! The reconciliations of a ledger as they are kept: `reconciliations.db` in its folder.
//!
//! They do not follow from the log, so this file is never rebuilt. It is small, and written a few times a run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bincard_ledger::{Position, Timestamp, VariantNo, WarehouseNo};
use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{AssertSqlSafe, Row};

use super::outside::{Agreed, Explained, Measures, Source, SourceLine, Variance};
use super::part::Filter;
use crate::error::Error;
use crate::history::AsOf;
use crate::name::ViewName;
use crate::sqlite::record_pool;
use crate::stock::StockKey;
use crate::verify::Verified;
use crate::views::{Page, Slice};

/// The version of the tables: how many of the steps that make them.
const VERSION: i64 = STEPS.len() as i64;
/// The steps that make the tables. Those that are here never change; a change is one more.
const STEPS: &[&[&str]] = &[RUNS, SOURCES];
const RUNS: &[&str] = &[
    "create table runs (
        id integer primary key,
        state integer not null,
        author text not null,
        asked_at integer not null,
        started_at integer,
        ended_at integer,
        position integer,
        as_of integer,
        known_at integer,
        warehouse integer,
        variant integer,
        differing integer not null default 0,
        error text
    )",
    "create index runs_by_state on runs (state, id)",
    "create table compared (
        run integer not null,
        view text not null,
        generation integer not null,
        position integer not null,
        rows integer not null,
        differing integer not null,
        damage text,
        primary key (run, view)
    ) without rowid",
    "create table differences (
        run integer not null,
        no integer not null,
        view text not null,
        tbl text not null,
        key text not null,
        warehouse integer,
        variant integer,
        field text,
        expected text,
        found text,
        first integer,
        primary key (run, no)
    ) without rowid",
];
const SOURCES: &[&str] = &[
    "create table sources (
        run integer primary key,
        name text not null,
        reported_at integer,
        measures integer not null
    )",
    "create table lines (
        run integer not null,
        no integer not null,
        named text not null,
        warehouse integer,
        variant integer,
        problem text,
        quantity integer not null,
        at_report integer,
        now integer,
        reserved integer,
        picked integer,
        packed integer,
        held integer,
        unexplained integer,
        agreed_run integer,
        agreed_at integer,
        primary key (run, no)
    ) without rowid",
    "create table agreed (
        warehouse integer not null,
        variant integer not null,
        measures integer not null,
        run integer not null,
        at integer not null,
        primary key (warehouse, variant, measures)
    ) without rowid",
];
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
    /// Who asked, in the caller's own words.
    pub author: String,
}

/// A view as a run compared it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compared {
    /// Which view.
    pub view: ViewName,
    /// Which generation of it.
    pub generation: u64,
    /// The position that it was compared at: that of the run, or one behind it.
    pub position: Position,
    /// How many rows were compared.
    pub rows: u64,
    /// How many of them differ.
    pub differing: u64,
    /// What is wrong with its file, where it could not be read.
    pub damage: Option<String>,
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
}

/// A difference as a run keeps it: a field of a row, or a whole row that one side does not have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunDifference {
    /// Its number within the run, from 1.
    pub no: u64,
    /// In which view.
    pub view: ViewName,
    /// In which table of it.
    pub table: String,
    /// Which row, as `column value, column value`.
    pub key: String,
    /// The warehouse that the key names.
    pub warehouse: Option<WarehouseNo>,
    /// The variant that the key names.
    pub variant: Option<VariantNo>,
    /// Which field; `None` when the whole row is missing, or should not be there.
    pub field: Option<String>,
    /// What the log says; `None` when there should be no such row.
    pub expected: Option<String>,
    /// What the view says; `None` when the row is missing.
    pub found: Option<String>,
    /// The first event from which they differ, where one concerns the row.
    pub first: Option<Position>,
}

/// The database.
#[derive(Clone, Debug)]
pub(super) struct Runs {
    path: PathBuf,
    pool: SqlitePool,
}

const COLUMNS: &str = "id, state, author, asked_at, started_at, ended_at, position, as_of, known_at, warehouse, variant, differing, error";

impl Runs {
    pub(super) async fn open(path: &Path) -> Result<Runs, Error> {
        let runs = Runs {
            path: path.to_owned(),
            pool: record_pool(path),
        };
        let prepared = async {
            let mut tx = runs.pool.begin_with("begin immediate").await?;
            let version: i64 = sqlx::query_scalar("pragma user_version")
                .fetch_one(&mut *tx)
                .await?;
            if version < VERSION {
                let done = usize::try_from(version).unwrap_or_default();
                for sql in STEPS.iter().skip(done).copied().flatten() {
                    sqlx::query(*sql).execute(&mut *tx).await?;
                }
                sqlx::query(AssertSqlSafe(format!("pragma user_version = {VERSION}")))
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await?;
            Ok(version)
        };
        let version = prepared.await.map_err(runs.failing())?;
        if version > VERSION {
            return Err(Error::ReconciliationsVersion {
                path: path.to_owned(),
                version,
                known: VERSION,
            });
        }
        Ok(runs)
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }

    fn failing(&self) -> impl Fn(sqlx::Error) -> Error {
        let path = self.path.clone();
        move |source| Error::Reconciliations {
            path: path.clone(),
            source,
        }
    }

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
                "insert into runs (state, author, asked_at, as_of, known_at, warehouse, variant)
                 values ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(RunState::Waiting.column())
            .bind(&asked.author)
            .bind(now.micros())
            .bind(asked.past.as_of.map(Timestamp::micros))
            .bind(asked.past.known_at.map(Timestamp::micros))
            .bind(asked.filter.warehouse.map(|no| i64::from(no.0)))
            .bind(asked.filter.variant.map(|no| i64::from(no.0)))
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

    /// Begins a run, whose position is fixed from now on. `false` when it was cancelled.
    pub(super) async fn begin(&self, id: u64, position: Position, now: Timestamp) -> Result<bool, Error> {
        let begun = sqlx::query(
            "update runs set state = $2, position = coalesce(position, $3), started_at = coalesce(started_at, $4)
             where id = $1 and state in (0, 1)",
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

    /// Cancels a run that waits; `false` when it does not.
    pub(super) async fn cancel_waiting(&self, id: u64, now: Timestamp) -> Result<bool, Error> {
        let ended = sqlx::query("update runs set state = $2, ended_at = $3 where id = $1 and state = $4")
            .bind(id.cast_signed())
            .bind(RunState::Cancelled.column())
            .bind(now.micros())
            .bind(RunState::Waiting.column())
            .execute(&self.pool)
            .await;
        Ok(ended.map_err(self.failing())?.rows_affected() == 1)
    }

    /// Ends a run with what it found.
    pub(super) async fn end(&self, id: u64, found: &[Verified], now: Timestamp) -> Result<(), Error> {
        let end = async {
            let mut tx = self.pool.begin_with("begin immediate").await?;
            let mut no = 0;
            for one in found {
                sqlx::query("insert or replace into compared values ($1, $2, $3, $4, $5, $6, $7)")
                    .bind(id.cast_signed())
                    .bind(one.view.as_str())
                    .bind(one.generation.cast_signed())
                    .bind(one.position.0.cast_signed())
                    .bind(one.rows.cast_signed())
                    .bind(one.differing.cast_signed())
                    .bind((!one.damage.is_empty()).then(|| one.damage.join("\n")))
                    .execute(&mut *tx)
                    .await?;
                for difference in &one.differences {
                    let whole = [(None, difference.expected.as_deref(), difference.found.as_deref())];
                    let fields = difference
                        .fields
                        .iter()
                        .map(|one| (Some(one.field), Some(&*one.expected), Some(&*one.found)));
                    let is_whole = difference.fields.is_empty();
                    for (field, expected, found) in whole.into_iter().filter(|_| is_whole).chain(fields) {
                        no += 1;
                        sqlx::query(
                            "insert into differences values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                        )
                        .bind(id.cast_signed())
                        .bind(no)
                        .bind(one.view.as_str())
                        .bind(difference.table)
                        .bind(&difference.key)
                        .bind(difference.warehouse.map(|no| i64::from(no.0)))
                        .bind(difference.variant.map(|no| i64::from(no.0)))
                        .bind(field)
                        .bind(expected)
                        .bind(found)
                        .bind(difference.first.map(|at| at.0.cast_signed()))
                        .execute(&mut *tx)
                        .await?;
                    }
                }
            }
            let differing: u64 = found.iter().map(|one| one.differing).sum();
            let state = if found.iter().all(Verified::is_well) {
                RunState::Agrees
            } else {
                RunState::Differs
            };
            sqlx::query("update runs set state = $2, ended_at = $3, differing = $4 where id = $1")
                .bind(id.cast_signed())
                .bind(state.column())
                .bind(now.micros())
                .bind(differing.cast_signed())
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        };
        end.await.map_err(self.failing())
    }

    /// When each key last agreed with a source that measured the same.
    pub(super) async fn agreed(&self, measures: Measures) -> Result<HashMap<StockKey, Agreed>, Error> {
        let rows = sqlx::query("select warehouse, variant, run, at from agreed where measures = $1")
            .bind(measures.column())
            .fetch_all(&self.pool)
            .await
            .map_err(self.failing())?;
        let read = |row: &SqliteRow| {
            let key = StockKey::from_columns(row.try_get(0)?, row.try_get(1)?);
            let agreed = Agreed {
                run: row.try_get::<i64, _>(2)?.cast_unsigned(),
                at: Timestamp::from_micros(row.try_get(3)?),
            };
            Ok((key, agreed))
        };
        let all: Result<_, sqlx::Error> = rows.iter().map(read).collect();
        all.map_err(self.failing())
    }

    /// Ends a run over a source with what the ledger says of its lines.
    pub(super) async fn end_source(
        &self,
        id: u64,
        source: &Source,
        explained: &[Option<Explained>],
        now: Timestamp,
    ) -> Result<(), Error> {
        let end = async {
            let mut tx = self.pool.begin_with("begin immediate").await?;
            let mut differing = 0_i64;
            for (index, (line, explained)) in source.lines.iter().zip(explained).enumerate() {
                let (Ok(key), Some(one)) = (&line.key, explained) else {
                    differing += 1;
                    continue;
                };
                let [warehouse, variant] = key.columns();
                sqlx::query(
                    "update lines set at_report = $3, now = $4, reserved = $5, picked = $6, packed = $7, held = $8,
                     unexplained = $9, agreed_run = $10, agreed_at = $11 where run = $1 and no = $2",
                )
                .bind(id.cast_signed())
                .bind(index as i64 + 1)
                .bind(one.at_report)
                .bind(one.now)
                .bind(one.reserved)
                .bind(one.picked)
                .bind(one.packed)
                .bind(one.held)
                .bind(one.unexplained)
                .bind(one.agreed.map(|agreed| agreed.run.cast_signed()))
                .bind(one.agreed.map(|agreed| agreed.at.micros()))
                .execute(&mut *tx)
                .await?;
                if line.quantity == one.at_report {
                    sqlx::query("insert or replace into agreed values ($1, $2, $3, $4, $5)")
                        .bind(warehouse)
                        .bind(variant)
                        .bind(source.measures.column())
                        .bind(id.cast_signed())
                        .bind(source.reported_at.unwrap_or(now).micros())
                        .execute(&mut *tx)
                        .await?;
                } else {
                    differing += 1;
                }
            }
            let state = if differing == 0 {
                RunState::Agrees
            } else {
                RunState::Differs
            };
            sqlx::query("update runs set state = $2, ended_at = $3, differing = $4 where id = $1")
                .bind(id.cast_signed())
                .bind(state.column())
                .bind(now.micros())
                .bind(differing)
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        };
        end.await.map_err(self.failing())
    }

    /// A page of the lines of a run's source, in order, with what became of them.
    pub(super) async fn variances(&self, id: u64, slice: Slice<u64>) -> Result<Page<Variance>, Error> {
        let read = async {
            let mut connection = self.pool.acquire().await?;
            let sql =
                format!("select {LINE} from lines where run = $1 and no > $2 order by no limit $3 offset $4");
            let rows = sqlx::query(AssertSqlSafe(sql))
                .bind(id.cast_signed())
                .bind(slice.after.unwrap_or_default().cast_signed())
                .bind(slice.wanted())
                .bind(slice.skip())
                .fetch_all(&mut *connection)
                .await?;
            let rows = rows.iter().map(read_variance).collect::<Result<Vec<_>, _>>()?;
            let total = if slice.with_total {
                let count = sqlx::query_scalar("select count(*) from lines where run = $1");
                Some(count.bind(id.cast_signed()).fetch_one(&mut *connection).await?)
            } else {
                None
            };
            Ok(slice.page(rows, total))
        };
        read.await.map_err(self.failing())
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

    /// A page of the differences of a run, in order.
    pub(super) async fn differences(&self, id: u64, slice: Slice<u64>) -> Result<Page<RunDifference>, Error> {
        let read = async {
            let mut connection = self.pool.acquire().await?;
            let mut rows = Vec::new();
            {
                let mut found = sqlx::query(
                    "select no, view, tbl, key, warehouse, variant, field, expected, found, first from differences
                     where run = $1 and no > $2 order by no limit $3 offset $4",
                )
                .bind(id.cast_signed())
                .bind(slice.after.unwrap_or_default().cast_signed())
                .bind(slice.wanted())
                .bind(slice.skip())
                .fetch(&mut *connection);
                while let Some(row) = found.try_next().await? {
                    rows.push(read_difference(&row)?);
                }
            }
            let total = if slice.with_total {
                let count = sqlx::query_scalar("select count(*) from differences where run = $1");
                Some(count.bind(id.cast_signed()).fetch_one(&mut *connection).await?)
            } else {
                None
            };
            Ok(slice.page(rows, total))
        };
        read.await.map_err(self.failing())
    }
}

async fn add_source(connection: &mut SqliteConnection, run: i64, source: &Source) -> Result<(), sqlx::Error> {
    sqlx::query("insert into sources values ($1, $2, $3, $4)")
        .bind(run)
        .bind(&source.name)
        .bind(source.reported_at.map(Timestamp::micros))
        .bind(source.measures.column())
        .execute(&mut *connection)
        .await?;
    for (index, line) in source.lines.iter().enumerate() {
        let key = line.key.as_ref().ok();
        sqlx::query(
            "insert into lines (run, no, named, warehouse, variant, problem, quantity)
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(run)
        .bind(index as i64 + 1)
        .bind(&line.named)
        .bind(key.map(|key| i64::from(key.warehouse.0)))
        .bind(key.map(|key| i64::from(key.variant.0)))
        .bind(line.key.as_ref().err())
        .bind(line.quantity)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// The source of a run without its lines.
async fn read_source_head(
    connection: &mut SqliteConnection,
    run: u64,
) -> Result<Option<Source>, sqlx::Error> {
    let row = sqlx::query("select name, reported_at, measures from sources where run = $1")
        .bind(run.cast_signed())
        .fetch_optional(connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Source {
        name: row.try_get(0)?,
        reported_at: row.try_get::<Option<i64>, _>(1)?.map(Timestamp::from_micros),
        measures: Measures::read(row.try_get(2)?)?,
        lines: Vec::new(),
    }))
}

async fn read_source(connection: &mut SqliteConnection, run: u64) -> Result<Option<Source>, sqlx::Error> {
    let Some(mut source) = read_source_head(connection, run).await? else {
        return Ok(None);
    };
    let rows = sqlx::query(AssertSqlSafe(format!(
        "select {LINE} from lines where run = $1 order by no"
    )))
    .bind(run.cast_signed())
    .fetch_all(connection)
    .await?;
    for row in rows {
        source.lines.push(read_variance(&row)?.line);
    }
    Ok(Some(source))
}

const LINE: &str = "no, named, warehouse, variant, problem, quantity, at_report, now, reserved, picked, packed, held, \
                    unexplained, agreed_run, agreed_at";

fn read_variance(row: &SqliteRow) -> Result<Variance, sqlx::Error> {
    let whole = |index| row.try_get::<Option<i64>, _>(index);
    let problem: Option<String> = row.try_get(4)?;
    let key = match (whole(2)?, whole(3)?, problem) {
        (Some(warehouse), Some(variant), None) => Ok(StockKey::from_columns(warehouse, variant)),
        (_, _, problem) => Err(problem.unwrap_or_default()),
    };
    let explained = match whole(6)? {
        None => None,
        Some(at_report) => {
            let units = |index| Ok::<_, sqlx::Error>(whole(index)?.unwrap_or_default());
            Some(Explained {
                at_report,
                now: units(7)?,
                reserved: units(8)?,
                picked: units(9)?,
                packed: units(10)?,
                held: units(11)?,
                unexplained: units(12)?,
                agreed: match (whole(13)?, whole(14)?) {
                    (Some(run), Some(at)) => Some(Agreed {
                        run: run.cast_unsigned(),
                        at: Timestamp::from_micros(at),
                    }),
                    _ => None,
                },
            })
        }
    };
    Ok(Variance {
        no: row.try_get::<i64, _>(0)?.cast_unsigned(),
        line: SourceLine {
            named: row.try_get(1)?,
            key,
            quantity: row.try_get(5)?,
        },
        explained,
    })
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
    })
}

fn read_view(name: &str) -> Result<ViewName, sqlx::Error> {
    ViewName::parse(name).ok_or_else(|| sqlx::Error::Decode(format!("there is no view {name}").into()))
}

async fn read_compared(connection: &mut SqliteConnection, id: u64) -> Result<Vec<Compared>, sqlx::Error> {
    let rows = sqlx::query(
        "select view, generation, position, rows, differing, damage from compared where run = $1",
    )
    .bind(id.cast_signed())
    .fetch_all(connection)
    .await?;
    let mut compared = Vec::with_capacity(rows.len());
    for row in rows {
        let whole = |index| Ok::<_, sqlx::Error>(row.try_get::<i64, _>(index)?.cast_unsigned());
        compared.push(Compared {
            view: read_view(row.try_get(0)?)?,
            generation: whole(1)?,
            position: Position(whole(2)?),
            rows: whole(3)?,
            differing: whole(4)?,
            damage: row.try_get(5)?,
        });
    }
    compared.sort_unstable_by_key(|one| one.view);
    Ok(compared)
}

fn read_difference(row: &SqliteRow) -> Result<RunDifference, sqlx::Error> {
    let number = |index| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(index)?.map(|no| no as u32));
    Ok(RunDifference {
        no: row.try_get::<i64, _>(0)?.cast_unsigned(),
        view: read_view(row.try_get(1)?)?,
        table: row.try_get(2)?,
        key: row.try_get(3)?,
        warehouse: number(4)?.map(WarehouseNo),
        variant: number(5)?.map(VariantNo),
        field: row.try_get(6)?,
        expected: row.try_get(7)?,
        found: row.try_get(8)?,
        first: row
            .try_get::<Option<i64>, _>(9)?
            .map(|at| Position(at.cast_unsigned())),
    })
}
