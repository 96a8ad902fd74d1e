//! The reconciliations of a ledger as they are kept: `reconciliations.db` in its folder.
//!
//! They do not follow from the log, so this file is never rebuilt. It is small, and written a few times a run.

use std::path::{Path, PathBuf};

use bincard_ledger::{Position, Timestamp, VariantNo, WarehouseNo};
use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::part::Filter;
use crate::error::Error;
use crate::history::AsOf;
use crate::name::ViewName;
use crate::sqlite::record_pool;
use crate::verify::Verified;
use crate::views::{Page, Slice};

/// The version of the tables.
const VERSION: i64 = 1;
const SCHEMA: &[&str] = &[
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
            if version == 0 {
                for sql in SCHEMA {
                    sqlx::query(*sql).execute(&mut *tx).await?;
                }
                sqlx::query(sqlx::AssertSqlSafe(format!("pragma user_version = {VERSION}")))
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
            for sql in [
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
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .fetch_optional(&self.pool)
            .await;
        let row = row.map_err(self.failing())?;
        row.map(|row| read_run(&row)).transpose().map_err(self.failing())
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

    /// One run.
    pub(super) async fn one(&self, id: u64) -> Result<Option<Run>, Error> {
        let read = async {
            let mut connection = self.pool.acquire().await?;
            let sql = format!("select {COLUMNS} from runs where id = $1");
            let row = sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(id.cast_signed())
                .fetch_optional(&mut *connection)
                .await?;
            let Some(row) = row else { return Ok(None) };
            let mut run = read_run(&row)?;
            run.compared = read_compared(&mut connection, id).await?;
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
            let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
                .bind(after)
                .bind(slice.wanted())
                .bind(slice.skip())
                .fetch_all(&mut *connection)
                .await?;
            let mut runs = rows.iter().map(read_run).collect::<Result<Vec<_>, _>>()?;
            for run in &mut runs {
                run.compared = read_compared(&mut connection, run.id).await?;
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
