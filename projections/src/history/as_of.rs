//! Stock as it was, and as it was believed to be.
//!
//! - `as_of` alone: what had occurred by an instant, by all that is known today. The sum of the days before it and of
//!   the part of its day.
//! - `known_at` alone: what the ledger said at an instant. What the last movement recorded by then left.
//! - Both: what the ledger said at `known_at` of how stock was at `as_of`. What is known today of that, without what was
//!   recorded after `known_at`.

use crate::sql::{Connection, query};
use bincard_ledger::{Buckets, Timestamp, VariantNo, WarehouseNo};
use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;

use super::PLACES_LOT;
use super::queries::read_buckets;
use super::question::{CHANGES, Known, answer_of, question, question_of};
use super::recorded::known_position;
use crate::filter::Conditions;
use crate::stock::{StockFilter, StockKey};

/// Which past. At least one is set; with neither it is the present.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct AsOf {
    /// What occurred at this instant or earlier.
    pub as_of: Option<Timestamp>,
    /// What was recorded at this instant or earlier.
    pub known_at: Option<Timestamp>,
}

/// The stock of a key in the past.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StockAsOf {
    /// Where and what.
    pub key: StockKey,
    /// What lay in each bucket. With `as_of` a bucket may be below zero: what was recorded in one order may have
    /// occurred in another.
    pub buckets: Buckets,
}

/// Whose stock in the past is asked for, lot by lot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LotsFilter {
    /// Only at these warehouses; an empty list lets none pass.
    pub warehouses: Option<Vec<WarehouseNo>>,
    /// Lots of this variant.
    pub variant: VariantNo,
    /// Only this one.
    pub lot: Option<VariantNo>,
}

/// The lot of a movement; 0 where it was of none.
const LOT: &str = "(places / 65536)";
const _: () = assert!(1 << PLACES_LOT == 65_536);

impl LotsFilter {
    /// The movements that are known at a position and occurred by an instant.
    fn conditions(&self, as_of: Option<Timestamp>, known: Option<i64>) -> Conditions {
        let mut conditions = Conditions::default();
        conditions.equals("variant", i64::from(self.variant.0));
        if let Some(at) = as_of {
            conditions.compare("occurred_at", "<=", at.micros());
        }
        if let Some(warehouses) = &self.warehouses {
            conditions.one_of("warehouse", warehouses.iter().map(|no| i64::from(no.0)));
        }
        if let Some(position) = known {
            conditions.compare("position", "<=", position);
        }
        match self.lot {
            Some(lot) => conditions.equals(LOT, i64::from(lot.0)),
            None => conditions.compare(LOT, ">", 0),
        }
        conditions
    }
}

/// The stock of a variant's lots that had moved by then, by warehouse and lot, from after the key `after`. Days do not know
/// lots: this adds up all movements of the variant by then.
pub(crate) async fn lots_as_of_page(
    connection: &mut Connection<'_>,
    filter: &LotsFilter,
    past: AsOf,
    after: Option<StockKey>,
    skip: i64,
    limit: i64,
) -> Result<Vec<StockAsOf>, sqlx::Error> {
    let known = known_by(connection, past).await?;
    let mut conditions = filter.conditions(past.as_of, known);
    if let Some(after) = after {
        let [warehouse, lot] = after.columns();
        conditions.after("warehouse", warehouse, LOT, lot);
    }
    let clause = conditions.clause();
    let page = conditions.page(limit, skip);
    let sql = format!(
        "select {}, warehouse, {LOT} from movements{clause} group by warehouse, {LOT} order by warehouse, {LOT}{page}",
        *CHANGES
    );
    let mut rows = conditions.bind(query(AssertSqlSafe(sql))).fetch(connection);
    let mut page = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let (warehouse, lot) = (row.try_get(5)?, row.try_get(6)?);
        page.push(StockAsOf {
            key: StockKey::from_columns(warehouse, lot),
            buckets: read_buckets(&row, 0)?,
        });
    }
    Ok(page)
}

/// How many lots [`lots_as_of_page`] has in all, a lot at each warehouse.
pub(crate) async fn lots_as_of_total(
    connection: &mut Connection<'_>,
    filter: &LotsFilter,
    past: AsOf,
) -> Result<i64, sqlx::Error> {
    let known = known_by(connection, past).await?;
    let conditions = filter.conditions(past.as_of, known);
    let sql = format!(
        "select count(*) from (select distinct warehouse, {LOT} from movements{}) as lots",
        conditions.clause()
    );
    conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_one(connection)
        .await?
        .try_get(0)
}

/// The stock of one key; zero for one that had none.
pub(crate) async fn as_of_one(
    connection: &mut Connection<'_>,
    key: StockKey,
    past: AsOf,
) -> Result<StockAsOf, sqlx::Error> {
    let row = question(key, past).fetch_one(connection).await?.integers()?;
    let (_, buckets) = answer_of(&row, past);
    Ok(StockAsOf { key, buckets })
}

/// The stock of the keys that pass `filter`, by warehouse and variant, from after the key `after`. Every key that has
/// had stock by now is listed, with zeros where it had none then.
pub(crate) async fn as_of_page(
    connection: &mut Connection<'_>,
    filter: &StockFilter,
    past: AsOf,
    after: Option<StockKey>,
    skip: i64,
    limit: i64,
) -> Result<Vec<StockAsOf>, sqlx::Error> {
    let mut conditions = filter.conditions();
    if let Some(after) = after {
        let [warehouse, variant] = after.columns();
        conditions.after("warehouse", warehouse, "variant", variant);
    }
    let clause = conditions.clause();
    let page = conditions.page(limit, skip);
    let sql = format!("select warehouse, variant from keys{clause} order by warehouse, variant{page}");
    let mut keys = Vec::new();
    {
        let mut rows = conditions.bind(query(AssertSqlSafe(sql))).fetch(&mut *connection);
        while let Some(row) = rows.try_next().await? {
            keys.push(StockKey::from_columns(row.try_get(0)?, row.try_get(1)?));
        }
    }
    let known = known_by(connection, past).await?.map(Known::UpTo);
    let mut page = Vec::with_capacity(keys.len());
    for key in keys {
        let row = question_of(key, past.as_of, known)
            .fetch_one(connection)
            .await?
            .integers()?;
        let (_, buckets) = answer_of(&row, past);
        page.push(StockAsOf { key, buckets });
    }
    Ok(page)
}

/// How many keys pass `filter`.
pub(crate) async fn as_of_total(
    connection: &mut Connection<'_>,
    filter: &StockFilter,
) -> Result<i64, sqlx::Error> {
    let conditions = filter.conditions();
    let sql = format!("select count(*) from keys{}", conditions.clause());
    conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_one(connection)
        .await?
        .try_get(0)
}

/// The position that [`AsOf::known_at`] leads to, for statements that follow in the same transaction.
async fn known_by(connection: &mut Connection<'_>, past: AsOf) -> Result<Option<i64>, sqlx::Error> {
    match past.known_at {
        Some(at) => known_position(connection, at).await.map(Some),
        None => Ok(None),
    }
}
