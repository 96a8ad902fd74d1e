//! What runs found: the views that each compared, and the differences.

use bincard_ledger::{Position, Timestamp, VariantNo, WarehouseNo};

use super::{Hold, RunState, Runs, end_if_cancelled};
use crate::error::Error;
use crate::name::ViewName;
use crate::sql::{Connection, Insert, Row, Value, query};
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
        hold: Hold,
        id: u64,
        found: &[Verified],
        now: Timestamp,
    ) -> Result<(), Error> {
        let key = (self.ledger, id.cast_signed());
        let mut tx = self.write_as(hold).await?;
        let end = async {
            if end_if_cancelled(&mut tx.on(), key, now).await? {
                return tx.commit().await;
            }
            add_found(&mut tx.on(), key, found).await?;
            let differing: u64 = found.iter().map(|one| one.differing).sum();
            let state = if found.iter().all(Verified::is_well) {
                RunState::Agrees
            } else {
                RunState::Differs
            };
            query("update runs set state = $3, ended_at = $4, differing = $5 where ledger = $1 and id = $2")
                .bind(key.0)
                .bind(key.1)
                .bind(state.column())
                .bind(now.micros())
                .bind(differing.cast_signed())
                .execute(&mut tx.on())
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
            let mut tx = self.read().await?;
            let rows = query(
                "select no, view, tbl, key, warehouse, variant, field, expected, found, first from differences
                 where ledger = $1 and run = $2 and no > $3 order by no limit $4 offset $5",
            )
            .bind(self.ledger)
            .bind(id.cast_signed())
            .bind(slice.after.unwrap_or_default().cast_signed())
            .bind(slice.wanted())
            .bind(slice.skip())
            .fetch_all(&mut tx.on())
            .await?;
            let rows = rows.iter().map(read_difference).collect::<Result<Vec<_>, _>>()?;
            let total = if slice.with_total {
                let count = query("select count(*) from differences where ledger = $1 and run = $2");
                let count = count.bind(self.ledger).bind(id.cast_signed());
                Some(count.fetch_one(&mut tx.on()).await?.try_get(0)?)
            } else {
                None
            };
            Ok(slice.page(rows, total))
        };
        read.await.map_err(self.failing())
    }
}

/// Writes down what was found of each view.
async fn add_found(
    on: &mut Connection<'_>,
    (ledger, run): (i64, i64),
    found: &[Verified],
) -> Result<(), sqlx::Error> {
    let (mut views, mut differences): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    let mut no = 0_i64;
    for one in found {
        let unnamed = one.differing.saturating_sub(one.differences.len() as u64);
        views.extend([
            ledger.into(),
            run.into(),
            one.view.as_str().into(),
            one.generation.cast_signed().into(),
            one.position.0.cast_signed().into(),
            one.rows.cast_signed().into(),
            one.differing.cast_signed().into(),
            (!one.damage.is_empty()).then(|| one.damage.join("\n")).into(),
            unnamed.cast_signed().into(),
        ]);
        for difference in &one.differences {
            let whole = [(None, difference.expected.as_deref(), difference.found.as_deref())];
            let fields = difference
                .fields
                .iter()
                .map(|one| (Some(one.field), Some(&*one.expected), Some(&*one.found)));
            let is_whole = difference.fields.is_empty();
            for (field, expected, found) in whole.into_iter().filter(|_| is_whole).chain(fields) {
                no += 1;
                differences.extend([
                    ledger.into(),
                    run.into(),
                    no.into(),
                    one.view.as_str().into(),
                    difference.table.into(),
                    difference.key.as_str().into(),
                    difference.warehouse.map(|no| i64::from(no.0)).into(),
                    difference.variant.map(|no| i64::from(no.0)).into(),
                    field.into(),
                    expected.into(),
                    found.into(),
                    difference.first.map(|at| at.0.cast_signed()).into(),
                ]);
            }
        }
    }
    Insert::new("compared", 9, "").run(on, &views).await?;
    Insert::new("differences", 12, "").run(on, &differences).await
}

fn read_view(name: &str) -> Result<ViewName, sqlx::Error> {
    ViewName::parse(name).ok_or_else(|| sqlx::Error::Decode(format!("there is no view {name}").into()))
}

pub(super) async fn read_compared(
    on: &mut Connection<'_>,
    (ledger, run): (i64, i64),
) -> Result<Vec<Compared>, sqlx::Error> {
    let rows = query(
        "select view, generation, position, rows, differing, damage, unnamed from compared
         where ledger = $1 and run = $2",
    )
    .bind(ledger)
    .bind(run)
    .fetch_all(on)
    .await?;
    let mut compared = Vec::with_capacity(rows.len());
    for row in rows {
        let whole = |index| Ok::<_, sqlx::Error>(row.try_get::<i64>(index)?.cast_unsigned());
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

fn read_difference(row: &Row) -> Result<RunDifference, sqlx::Error> {
    let number = |index| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>>(index)?.map(|no| no as u32));
    Ok(RunDifference {
        no: row.try_get::<i64>(0)?.cast_unsigned(),
        view: read_view(row.try_get(1)?)?,
        table: row.try_get(2)?,
        key: row.try_get(3)?,
        warehouse: number(4)?.map(WarehouseNo),
        variant: number(5)?.map(VariantNo),
        field: row.try_get(6)?,
        expected: row.try_get(7)?,
        found: row.try_get(8)?,
        first: row
            .try_get::<Option<i64>>(9)?
            .map(|at| Position(at.cast_unsigned())),
    })
}
