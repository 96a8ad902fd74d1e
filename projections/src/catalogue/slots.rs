//! Slots in the catalogue view's tables.

use std::sync::Arc;

use crate::sql::{Connection, Row, query};
use bincard_ledger::event::SlotChange;
use bincard_ledger::{Timestamp, VariantNo, WarehouseNo};
use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;

use super::fold::Change;
use super::{SlotRow, SlotSettings};
use crate::filter::Conditions;
use crate::stock::StockKey;

pub(super) const SCHEMA: &str = "create table slots (
    warehouse integer not null,
    variant integer not null,
    bin text,
    reorder_point integer,
    max_level integer,
    pick_order integer,
    pick_reason text,
    changed integer not null,
    changed_at integer,
    primary key (warehouse, variant)
) without rowid";
pub(super) const INDEX: &str = "create index slots_by_variant on slots (variant, warehouse)";
pub(super) const COLUMNS: usize = 9;

/// Which slots to list. A filter that is not set lets everything pass.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SlotFilter {
    /// Only at these warehouses; an empty list lets none pass.
    pub warehouses: Option<Vec<WarehouseNo>>,
    /// Only of this variant.
    pub variant: Option<VariantNo>,
}

impl SlotFilter {
    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some(warehouses) = &self.warehouses {
            conditions.one_of("warehouse", warehouses.iter().map(|no| i64::from(no.0)));
        }
        if let Some(variant) = self.variant {
            conditions.equals("variant", i64::from(variant.0));
        }
        conditions
    }
}

/// Changes a slot that there is a row for: what stays is written as it was.
pub(super) async fn change(
    connection: &mut Connection<'_>,
    key: StockKey,
    change: &SlotChange,
    of: &Change,
) -> Result<(), sqlx::Error> {
    let SlotChange {
        bin,
        reorder_point,
        max_level,
        pick_order,
    } = change;
    let [warehouse, variant] = key.columns();
    let order = pick_order.as_ref().map(Option::as_ref);
    query(
        "update slots set
            bin = case when $1 = 1 then $2 else bin end,
            reorder_point = case when $3 = 1 then $4 else reorder_point end,
            max_level = case when $5 = 1 then $6 else max_level end,
            pick_order = case when $7 = 1 then $8 else pick_order end,
            pick_reason = case when $7 = 1 then $9 else pick_reason end,
            changed = $10, changed_at = $11
         where warehouse = $12 and variant = $13",
    )
    .bind(bin.is_some())
    .bind(bin.clone().flatten().map(String::from))
    .bind(reorder_point.is_some())
    .bind(reorder_point.flatten())
    .bind(max_level.is_some())
    .bind(max_level.flatten())
    .bind(order.is_some())
    .bind(order.flatten().map(|order| order.number))
    .bind(
        order
            .flatten()
            .and_then(|order| order.reason.as_deref().map(str::to_owned)),
    )
    .bind(of.position.0.cast_signed())
    .bind(of.recorded_at.micros())
    .bind(warehouse)
    .bind(variant)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn load(
    connection: &mut Connection<'_>,
    mut each: impl FnMut(StockKey, Option<Arc<SlotSettings>>),
) -> Result<(), sqlx::Error> {
    let mut rows =
        query("select warehouse, variant, bin, reorder_point, max_level, pick_order, changed from slots")
            .fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let was_changed = row.try_get::<i64>(6)? != 0;
        let settings = SlotSettings {
            bin: row.try_get::<Option<String>>(2)?.map(String::into_boxed_str),
            reorder_point: row.try_get(3)?,
            max_level: row.try_get(4)?,
            pick_order: row.try_get(5)?,
        };
        let key = StockKey::from_columns(row.try_get(0)?, row.try_get(1)?);
        each(key, was_changed.then(|| Arc::new(settings)));
    }
    Ok(())
}

const SELECT: &str =
    "select warehouse, variant, bin, reorder_point, max_level, pick_order, pick_reason, changed_at
    from slots";

/// The slots that pass `filter`, from after the key `after`, at most `limit` after leaving `skip` out.
pub(crate) async fn page(
    connection: &mut Connection<'_>,
    filter: &SlotFilter,
    (after, skip, limit): (Option<StockKey>, i64, i64),
) -> Result<Vec<SlotRow>, sqlx::Error> {
    let mut conditions = filter.conditions();
    if let Some(after) = after {
        let [warehouse, variant] = after.columns();
        conditions.after("warehouse", warehouse, "variant", variant);
    }
    let clause = conditions.clause();
    let page = conditions.page(limit, skip);
    let sql = format!("{SELECT}{clause} order by warehouse, variant{page}");
    let rows = conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_all(connection)
        .await?;
    rows.iter().map(read).collect()
}

/// The slot with a key.
pub(crate) async fn one(
    connection: &mut Connection<'_>,
    key: StockKey,
) -> Result<Option<SlotRow>, sqlx::Error> {
    let filter = SlotFilter {
        warehouses: Some(vec![key.warehouse]),
        variant: Some(key.variant),
    };
    Ok(page(connection, &filter, (None, 0, 1)).await?.pop())
}

/// How many slots pass `filter`.
pub(crate) async fn total(connection: &mut Connection<'_>, filter: &SlotFilter) -> Result<i64, sqlx::Error> {
    let conditions = filter.conditions();
    let sql = format!("select count(*) from slots{}", conditions.clause());
    conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_one(connection)
        .await?
        .try_get(0)
}

fn read(row: &Row) -> Result<SlotRow, sqlx::Error> {
    Ok(SlotRow {
        key: StockKey::from_columns(row.try_get(0)?, row.try_get(1)?),
        bin: row.try_get(2)?,
        reorder_point: row.try_get(3)?,
        max_level: row.try_get(4)?,
        pick_order: row.try_get(5)?,
        pick_reason: row.try_get(6)?,
        changed_at: row.try_get::<Option<i64>>(7)?.map(Timestamp::from_micros),
    })
}
