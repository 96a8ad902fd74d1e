//! Stock as it was, and as it was believed to be.
//!
//! - `as_of` alone: what had occurred by an instant, by all that is known today. The sum of the days before it and of
//!   the part of its day.
//! - `known_at` alone: what the ledger said at an instant. What the last movement recorded by then left.
//! - Both: what the ledger said at `known_at` of how stock was at `as_of`. What it said at `known_at`, without the
//!   changes known by then that occurred after `as_of`.

use std::sync::LazyLock;

use crate::sql::{Connection, Query, Row, query};
use bincard_ledger::{Bucket, Buckets, Place, Position, Timestamp, VariantNo, WarehouseNo};
use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;

use super::PLACES_LOT;
use super::queries::read_buckets;
use super::recorded::{known_position, known_table};
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
    let row = question(key, past).fetch_one(connection).await?;
    let (_, buckets) = answer_of(&row, past)?;
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
        let row = question_of(key, past.as_of, known).fetch_one(connection).await?;
        let (_, buckets) = answer_of(&row, past)?;
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

/// The statement that answers for one key, and what else the view stands for at that moment: [`answer_of`] reads it. One
/// statement sees one state, and is one way to the database and back.
pub(crate) fn question(key: StockKey, past: AsOf) -> Query {
    question_of(key, past.as_of, past.known_at.map(Known::At))
}

/// What was known: at an instant, or up to the position that was found for it.
#[derive(Clone, Copy)]
enum Known {
    At(Timestamp),
    UpTo(i64),
}

fn question_of(key: StockKey, as_of: Option<Timestamp>, known: Option<Known>) -> Query {
    let [warehouse, variant] = key.columns();
    let of = |sql: &'static str| query(sql).bind(variant).bind(warehouse);
    match (as_of.map(Timestamp::micros), known) {
        (None, None) => of(&PRESENT),
        (None, Some(known)) => KNOWN.ask(known, of),
        (Some(at), None) => {
            let day = day_of(at);
            of(&OCCURRED)
                .bind(day)
                .bind(day.saturating_mul(DAY_MICROS))
                .bind(at)
        }
        (Some(at), Some(known)) => KNOWN_OF_PAST.ask(known, of).bind(at),
    }
}

/// The position that the view stood at, and the stock.
pub(crate) fn answer_of(row: &Row, past: AsOf) -> Result<(Position, Buckets), sqlx::Error> {
    let position = Position(row.try_get::<i64>(0)?.cast_unsigned());
    let mut buckets = read_buckets(row, 1)?;
    if past.as_of.is_some() {
        let changes = read_buckets(row, 1 + BUCKETS)?;
        let with = match past.known_at {
            None => i64::wrapping_add,
            Some(_) => i64::wrapping_sub,
        };
        for (units, change) in buckets.0.iter_mut().zip(changes.0) {
            *units = with(*units, change);
        }
    }
    Ok((position, buckets))
}

/// The position that [`AsOf::known_at`] leads to, for statements that follow in the same transaction.
async fn known_by(connection: &mut Connection<'_>, past: AsOf) -> Result<Option<i64>, sqlx::Error> {
    match past.known_at {
        Some(at) => known_position(connection, at).await.map(Some),
        None => Ok(None),
    }
}

/// The sums of the changes of each bucket, as columns.
static CHANGES: LazyLock<String> = LazyLock::new(|| {
    let sums = Bucket::ALL.map(|bucket| {
        let code = Place::Bucket(bucket).code();
        format!(
            "cast(coalesce(sum(case when ((places / 16) & 15) = {code} then quantity else 0 end
                - case when (places & 15) = {code} then quantity else 0 end), 0) as bigint)"
        )
    });
    sums.join(", ")
});

/// The names of the buckets' columns, each after `table.`; none is 0.
fn buckets_of(table: &str) -> String {
    let columns = COLUMNS.map(|column| format!("coalesce({table}.{column}, 0)"));
    columns.join(", ")
}

/// The same of a table that has a row in any case.
fn columns_of(table: &str) -> String {
    COLUMNS.map(|column| format!("{table}.{column}")).join(", ")
}

const BUCKETS: usize = Bucket::ALL.len();
/// The columns of the buckets, in their order.
const COLUMNS: [&str; BUCKETS] = ["available", "reserved", "picked", "packed", "held"];
const POSITION: &str = "(select position from checkpoint where id = 1)";
/// A row, whether what is joined to it is there or not.
const ALWAYS: &str = "(select 1 as one) as always";

static PRESENT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "select {POSITION}, {} from {ALWAYS} left join keys on keys.variant = $1 and keys.warehouse = $2",
        buckets_of("keys")
    )
});

/// All that occurred before the day `$3`, and what occurred from its beginning, `$4`, until `$5`.
static OCCURRED: LazyLock<String> = LazyLock::new(|| {
    let sums = COLUMNS.map(|column| format!("cast(coalesce(sum({column}), 0) as bigint)"));
    let columns = COLUMNS.join(", ");
    format!(
        "with days ({columns}) as (
            select {} from stock_days where variant = $1 and warehouse = $2 and day < $3
        ), rest ({columns}) as (
            select {} from movements
            where variant = $1 and occurred_at >= $4 and occurred_at <= $5 and warehouse = $2
        )
        select {POSITION}, {}, {} from days cross join rest",
        sums.join(", "),
        *CHANGES,
        columns_of("days"),
        columns_of("rest")
    )
});

/// A statement about what was known, once for each way to say it with `$3`.
struct ByKnown {
    at: String,
    up_to: String,
}

impl ByKnown {
    /// What `select` asks of the tables `known` and `held`.
    fn new(select: &str) -> ByKnown {
        let (known, held) = (known_table("$3"), held_table());
        ByKnown {
            at: format!("with {known}, {held}{select}"),
            up_to: format!("with known (position) as (select cast($3 as bigint)), {held}{select}"),
        }
    }

    fn ask(&'static self, known: Known, of: impl Fn(&'static str) -> Query) -> Query {
        match known {
            Known::At(instant) => of(&self.at).bind(instant.micros()),
            Known::UpTo(position) => of(&self.up_to).bind(position),
        }
    }
}

/// The table `held`: what the key held at first, behind the last mark before the position that was known, and behind each
/// movement that may have followed it until then. The last row in the order of the log tells.
///
/// The movements that matter lie between two marks, or behind the last one; and between two instants of occurrence, by
/// which they are clustered. Others that occurred between these are among the rows, and are not the last. A mark lies
/// behind every line of its event.
fn held_table() -> String {
    let columns = COLUMNS.join(", ");
    let of_key = "variant = $1 and warehouse = $2";
    let nothing = COLUMNS.map(|_| "0").join(", ");
    let bound = |column: &str| {
        format!(
            "coalesce(
                (
                    select {column} from marks where {of_key} and position >= known.position
                    order by position limit 1
                ),
                (select {column} from keys where {of_key})
            )"
        )
    };
    format!(
        "held (position, line, {columns}) as (
            select 0, 0, {nothing}
            union all
            select marks.position, {LINES_MAX}, {columns} from known cross join marks
            where {of_key}
                and marks.position = (select max(position) from marks where {of_key} and position < known.position)
            union all
            select movements.position, line, {columns} from known cross join movements
            where variant = $1 and occurred_at >= {} and occurred_at <= {} and warehouse = $2
                and movements.position <= known.position
        )",
        bound("occurred_min"),
        bound("occurred_max")
    )
}

/// More than a line's number can be.
const LINES_MAX: i64 = 1 << 16;
/// What the key held at last.
const LATEST: &str = "held order by held.position desc, held.line desc limit 1";

static KNOWN: LazyLock<ByKnown> = LazyLock::new(|| {
    let columns = COLUMNS.join(", ");
    ByKnown::new(&format!(" select {POSITION}, {columns} from {LATEST}"))
});

/// The same, and the changes that were recorded by then and occurred after `$4`.
static KNOWN_OF_PAST: LazyLock<ByKnown> = LazyLock::new(|| {
    let columns = COLUMNS.join(", ");
    ByKnown::new(&format!(
        ", later ({columns}) as (
            select {} from known cross join movements
            where variant = $1 and occurred_at > $4 and warehouse = $2 and movements.position <= known.position
        )
        select {POSITION}, {}, {}
        from later cross join (select {columns} from {LATEST}) as latest",
        *CHANGES,
        columns_of("latest"),
        columns_of("later")
    ))
});
