//! What runs found: the views that each compared, and the differences.

use bincard_ledger::{Position, Timestamp, VariantNo, WarehouseNo};
use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::{RunState, Runs, end_if_cancelled};
use crate::error::Error;
use crate::name::ViewName;
use crate::verify::Verified;
use crate::views::{Page, Slice};

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
    /// How many of those are not named one by one.
    pub unnamed: u64,
    /// What is wrong with its file, where it could not be read.
    pub damage: Option<String>,
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

impl Runs {
    /// Ends a run with what it found.
    pub(in crate::reconcile) async fn end(
        &self,
        id: u64,
        found: &[Verified],
        now: Timestamp,
    ) -> Result<(), Error> {
        let end = async {
            let mut tx = self.pool.begin_with("begin immediate").await?;
            if end_if_cancelled(&mut tx, id, now).await? {
                return tx.commit().await;
            }
            let mut no = 0;
            for one in found {
                sqlx::query("insert or replace into compared values ($1, $2, $3, $4, $5, $6, $7, $8)")
                    .bind(id.cast_signed())
                    .bind(one.view.as_str())
                    .bind(one.generation.cast_signed())
                    .bind(one.position.0.cast_signed())
                    .bind(one.rows.cast_signed())
                    .bind(one.differing.cast_signed())
                    .bind((!one.damage.is_empty()).then(|| one.damage.join("\n")))
                    .bind(
                        one.differing
                            .saturating_sub(one.differences.len() as u64)
                            .cast_signed(),
                    )
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

    /// A page of the differences of a run, in order.
    pub(in crate::reconcile) async fn differences(
        &self,
        id: u64,
        slice: Slice<u64>,
    ) -> Result<Page<RunDifference>, Error> {
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

fn read_view(name: &str) -> Result<ViewName, sqlx::Error> {
    ViewName::parse(name).ok_or_else(|| sqlx::Error::Decode(format!("there is no view {name}").into()))
}

pub(super) async fn read_compared(
    connection: &mut SqliteConnection,
    id: u64,
) -> Result<Vec<Compared>, sqlx::Error> {
    let rows = sqlx::query(
        "select view, generation, position, rows, differing, damage, unnamed from compared where run = $1",
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
            unnamed: whole(6)?,
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
