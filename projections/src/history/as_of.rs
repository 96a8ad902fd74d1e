//! Stock as it was, and as it was believed to be.
//!
//! - `as_of` alone: what had occurred by an instant, by all that is known today. The sum of the days before it and of
//!   the part of its day.
//! - `known_at` alone: what the ledger said at an instant. What the last movement recorded by then left.
//! - Both: what the ledger said at `known_at` of how stock was at `as_of`. What it said at `known_at`, without the
//!   changes known by then that occurred after `as_of`.

use std::sync::LazyLock;

use crate::sql::{Connection, query};
use bincard_ledger::{Buckets, Place, Timestamp, VariantNo, WarehouseNo};
use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;

use super::queries::read_buckets;
use super::{PLACES_LOT, RECORDED_POSITIONS, queries};
use crate::filter::Conditions;
use crate::fold::{DAY_MICROS, day_of};
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
    let known = known_position(connection, past.known_at).await?;
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
    let known = known_position(connection, past.known_at).await?;
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
    let known = known_position(connection, past.known_at).await?;
    let buckets = buckets_as_of(connection, key, past.as_of, known).await?;
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
    let known = known_position(connection, past.known_at).await?;
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
    let mut page = Vec::with_capacity(keys.len());
    for key in keys {
        page.push(StockAsOf {
            key,
            buckets: buckets_as_of(connection, key, past.as_of, known).await?,
        });
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

async fn buckets_as_of(
    connection: &mut Connection<'_>,
    key: StockKey,
    as_of: Option<Timestamp>,
    known: Option<i64>,
) -> Result<Buckets, sqlx::Error> {
    match (as_of, known) {
        (None, None) => present(connection, key).await,
        (None, Some(position)) => known_at(connection, key, position).await,
        (Some(at), None) => occurred_by(connection, key, at.micros()).await,
        (Some(at), Some(position)) => {
            let known = known_at(connection, key, position).await?;
            let later = changes(connection, key, Span::After(at.micros()), Some(position)).await?;
            Ok(combine(known, later, i64::wrapping_sub))
        }
    }
}

fn combine(mut a: Buckets, b: Buckets, with: impl Fn(i64, i64) -> i64) -> Buckets {
    for (a, b) in a.0.iter_mut().zip(b.0) {
        *a = with(*a, b);
    }
    a
}

/// The last position that was recorded at an instant or earlier; 0 when there is none.
async fn known_position(
    connection: &mut Connection<'_>,
    known_at: Option<Timestamp>,
) -> Result<Option<i64>, sqlx::Error> {
    let Some(known_at) = known_at else { return Ok(None) };
    let stretch = query(
        "select position from recorded where recorded_at <= $1 order by recorded_at desc, position desc limit 1",
    )
    .bind(known_at.micros())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(stretch) = stretch else {
        return Ok(Some(0));
    };
    let first: i64 = stretch.try_get(0)?;
    // The next row of `recorded` is of the next stretch that holds any event, and was recorded later.
    let last = (first / RECORDED_POSITIONS + 1) * RECORDED_POSITIONS;
    let position = query(
        "select cast(coalesce(max(position), 0) as bigint) from events
         where position >= $1 and position < $2 and +recorded_at <= $3",
    )
    .bind(first)
    .bind(last)
    .bind(known_at.micros())
    .fetch_one(connection)
    .await?;
    Ok(Some(position.try_get(0)?))
}

async fn present(connection: &mut Connection<'_>, key: StockKey) -> Result<Buckets, sqlx::Error> {
    let [warehouse, variant] = key.columns();
    let row = query(
        "select available, reserved, picked, packed, held from keys where variant = $1 and warehouse = $2",
    )
    .bind(variant)
    .bind(warehouse)
    .fetch_optional(connection)
    .await?;
    row.map_or(Ok(Buckets::default()), |row| read_buckets(&row, 0))
}

/// What the key held behind the event at `position`.
async fn known_at(
    connection: &mut Connection<'_>,
    key: StockKey,
    position: i64,
) -> Result<Buckets, sqlx::Error> {
    let [warehouse, variant] = key.columns();
    // The movements of the key around `position` lie between two marks, or behind the last one; and between two
    // instants of occurrence, by which they are clustered.
    let bounds = query(
        "select occurred_min, occurred_max from marks
         where variant = $1 and warehouse = $2 and position >= $3 order by position limit 1",
    )
    .bind(variant)
    .bind(warehouse)
    .bind(position)
    .fetch_optional(&mut *connection)
    .await?;
    let bounds = match bounds {
        Some(bounds) => Some(bounds),
        None => {
            query("select occurred_min, occurred_max from keys where variant = $1 and warehouse = $2")
                .bind(variant)
                .bind(warehouse)
                .fetch_optional(&mut *connection)
                .await?
        }
    };
    let Some(bounds) = bounds else {
        return Ok(Buckets::default());
    };
    let mark = query(
        "select position, available, reserved, picked, packed, held from marks
         where variant = $1 and warehouse = $2 and position < $3 order by position desc limit 1",
    )
    .bind(variant)
    .bind(warehouse)
    .bind(position)
    .fetch_optional(&mut *connection)
    .await?;
    let marked: i64 = mark.as_ref().map_or(Ok(0), |mark| mark.try_get(0))?;
    let last = query(
        "select available, reserved, picked, packed, held from movements
         where variant = $1 and occurred_at >= $2 and occurred_at <= $3 and warehouse = $4
           and position <= $5 and position > $6
         order by +position desc, +line desc limit 1",
    )
    .bind(variant)
    .bind(bounds.try_get::<i64>(0)?)
    .bind(bounds.try_get::<i64>(1)?)
    .bind(warehouse)
    .bind(position)
    .bind(marked)
    .fetch_optional(connection)
    .await?;
    match (last, mark) {
        (Some(last), _) => read_buckets(&last, 0),
        (None, Some(mark)) => read_buckets(&mark, 1),
        (None, None) => Ok(Buckets::default()),
    }
}

/// The sum of all changes that occurred by an instant.
async fn occurred_by(
    connection: &mut Connection<'_>,
    key: StockKey,
    at: i64,
) -> Result<Buckets, sqlx::Error> {
    let [warehouse, variant] = key.columns();
    let days = query(
        "select cast(coalesce(sum(available), 0) as bigint), cast(coalesce(sum(reserved), 0) as bigint),
            cast(coalesce(sum(picked), 0) as bigint), cast(coalesce(sum(packed), 0) as bigint),
            cast(coalesce(sum(held), 0) as bigint)
         from stock_days where variant = $1 and warehouse = $2 and day < $3",
    )
    .bind(variant)
    .bind(warehouse)
    .bind(day_of(at))
    .fetch_one(&mut *connection)
    .await?;
    let days = read_buckets(&days, 0)?;
    let span = Span::Within(day_of(at).saturating_mul(DAY_MICROS), at);
    let rest = changes(connection, key, span, None).await?;
    Ok(combine(days, rest, i64::wrapping_add))
}

/// Instants of occurrence, in microseconds.
enum Span {
    /// From one to another, both included.
    Within(i64, i64),
    /// Later than one.
    After(i64),
}

/// The sums of the changes of each bucket, as columns.
static CHANGES: LazyLock<String> = LazyLock::new(|| {
    let sums = bincard_ledger::Bucket::ALL.map(|bucket| {
        let code = Place::Bucket(bucket).code();
        format!(
            "cast(coalesce(sum(case when ((places / 16) & 15) = {code} then quantity else 0 end
                - case when (places & 15) = {code} then quantity else 0 end), 0) as bigint)"
        )
    });
    sums.join(", ")
});

/// The sum of the changes of a key that occurred within a span, of those recorded up to a position.
async fn changes(
    connection: &mut Connection<'_>,
    key: StockKey,
    span: Span,
    up_to: Option<i64>,
) -> Result<Buckets, sqlx::Error> {
    let [warehouse, variant] = key.columns();
    let mut conditions = Conditions::default();
    conditions.equals("variant", variant);
    match span {
        Span::Within(from, to) => {
            conditions.compare("occurred_at", ">=", from);
            conditions.compare("occurred_at", "<=", to);
        }
        Span::After(at) => conditions.compare("occurred_at", ">", at),
    }
    conditions.equals("warehouse", warehouse);
    if let Some(position) = up_to {
        conditions.compare("position", "<=", position);
    }
    let sql = format!("select {} from movements{}", *CHANGES, conditions.clause());
    let row = conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_one(connection)
        .await?;
    queries::read_buckets(&row, 0)
}
