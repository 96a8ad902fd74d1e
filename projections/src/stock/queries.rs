//! The stock view's SQL.

use crate::sql::{Connection, Row, query};
use bincard_ledger::{Bucket, Buckets, Position, Timestamp, VariantNo, Version, WarehouseNo};
use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;
use std::sync::LazyLock;

use super::fold::{Expiring, ExpiringList, Held, Rows, Standing};
use super::{StockKey, StockRow, with_run_out};
use crate::filter::Conditions;
use crate::sql::Insert;

pub(super) const SCHEMA: &[&str] = &[
    "create table stock (
        warehouse integer not null,
        variant integer not null,
        available integer not null,
        reserved integer not null,
        picked integer not null,
        packed integer not null,
        held integer not null,
        changed integer not null,
        primary key (warehouse, variant)
    ) without rowid",
    "create index stock_by_variant on stock (variant, warehouse)",
    "create table expiring (
        warehouse integer not null,
        variant integer not null,
        expires_at integer not null,
        reservation integer not null,
        quantity integer not null,
        primary key (warehouse, variant, expires_at, reservation)
    ) without rowid",
    "create table versions (
        warehouse integer not null primary key,
        version integer not null
    ) without rowid",
    "create table lots (
        lot integer primary key,
        variant integer not null
    )",
    "create index lots_by_variant on lots (variant)",
];

static INSERT_STOCK: LazyLock<Insert> = LazyLock::new(|| {
    Insert::new(
        "stock",
        8,
        "on conflict (warehouse, variant) do update set available = excluded.available,
         reserved = excluded.reserved, picked = excluded.picked, packed = excluded.packed,
         held = excluded.held, changed = excluded.changed",
    )
});
static INSERT_EXPIRING: LazyLock<Insert> = LazyLock::new(|| {
    Insert::new(
        "expiring",
        5,
        "on conflict (warehouse, variant, expires_at, reservation) do update set quantity = excluded.quantity",
    )
});

static INSERT_VERSIONS: LazyLock<Insert> = LazyLock::new(|| {
    Insert::new(
        "versions",
        2,
        "on conflict (warehouse) do update set version = excluded.version",
    )
});
static INSERT_LOTS: LazyLock<Insert> = LazyLock::new(|| Insert::new("lots", 2, ""));

/// Which keys a page of stock is about. A filter that is not set lets everything pass.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StockFilter {
    /// Only these warehouses; an empty list lets none pass.
    pub warehouses: Option<Vec<WarehouseNo>>,
    /// Only this variant, or this lot.
    pub variant: Option<VariantNo>,
    /// Whether each lot is a row instead of each variant: of the variant, where one is set.
    pub in_lots: bool,
}

impl StockFilter {
    pub(crate) fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some(warehouses) = &self.warehouses {
            conditions.one_of("warehouse", warehouses.iter().map(|no| i64::from(no.0)));
        }
        match (self.variant, self.in_lots) {
            (Some(variant), false) => conditions.equals("variant", i64::from(variant.0)),
            (Some(variant), true) => {
                conditions.is_found(
                    "variant",
                    "select lot from lots where variant =",
                    i64::from(variant.0),
                );
            }
            (None, false) => conditions.says("variant not in (select lot from lots)"),
            (None, true) => conditions.says("variant in (select lot from lots)"),
        }
        conditions
    }
}

pub(super) async fn write(connection: &mut Connection<'_>, rows: &Rows) -> Result<(), sqlx::Error> {
    let lots = rows.lots.iter().flat_map(|(lot, variant)| [lot.0, variant.0]);
    INSERT_LOTS
        .run(connection, &lots.map(i64::from).collect::<Vec<_>>())
        .await?;
    let mut values = Vec::with_capacity(rows.stock.len() * 8);
    for (key, held) in &rows.stock {
        if held.changed == Position(0) {
            let [warehouse, variant] = key.columns();
            query("delete from stock where warehouse = $1 and variant = $2")
                .bind(warehouse)
                .bind(variant)
                .execute(&mut *connection)
                .await?;
            continue;
        }
        values.extend(key.columns());
        values.extend(held.buckets.0);
        values.push(held.changed.0.cast_signed());
    }
    INSERT_STOCK.run(connection, &values).await?;
    let mut values = Vec::new();
    for (key, one) in &rows.expiring {
        let [warehouse, variant] = key.columns();
        let reservation = one.reservation.0.cast_signed();
        if one.quantity > 0 {
            values.extend([
                warehouse,
                variant,
                one.expires_at.micros(),
                reservation,
                one.quantity,
            ]);
        } else {
            query(
                "delete from expiring
                 where warehouse = $1 and variant = $2 and expires_at = $3 and reservation = $4",
            )
            .bind(warehouse)
            .bind(variant)
            .bind(one.expires_at.micros())
            .bind(reservation)
            .execute(&mut *connection)
            .await?;
        }
    }
    INSERT_EXPIRING.run(connection, &values).await?;
    let versions = rows.versions.iter();
    let versions: Vec<i64> = versions
        .flat_map(|(warehouse, version)| [i64::from(warehouse.0), version.0.cast_signed()])
        .collect();
    INSERT_VERSIONS.run(connection, &versions).await
}

/// What the tables say of one key.
pub(crate) async fn standing(
    connection: &mut Connection<'_>,
    key: StockKey,
) -> Result<Standing, sqlx::Error> {
    let [warehouse, variant] = key.columns();
    let row = query(
        "select warehouse, variant, available, reserved, picked, packed, held, changed from stock
         where warehouse = $1 and variant = $2",
    )
    .bind(warehouse)
    .bind(variant)
    .fetch_optional(&mut *connection)
    .await?;
    let held = row.map(|row| read_held(&row)).transpose()?.map(|(_, held)| held);
    let rows = query(
        "select warehouse, variant, expires_at, reservation, quantity from expiring
         where warehouse = $1 and variant = $2",
    )
    .bind(warehouse)
    .bind(variant)
    .fetch_all(connection)
    .await?;
    let expiring: Result<ExpiringList, sqlx::Error> = rows.iter().map(read_expiring).collect();
    Ok(Standing::new(held, expiring?))
}

pub(super) async fn load_stock(
    connection: &mut Connection<'_>,
    mut each: impl FnMut(StockKey, Held),
) -> Result<(), sqlx::Error> {
    let mut rows =
        query("select warehouse, variant, available, reserved, picked, packed, held, changed from stock")
            .fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let (key, held) = read_held(&row)?;
        each(key, held);
    }
    Ok(())
}

pub(super) async fn load_expiring(
    connection: &mut Connection<'_>,
    mut each: impl FnMut(StockKey, Expiring),
) -> Result<(), sqlx::Error> {
    let mut rows =
        query("select warehouse, variant, expires_at, reservation, quantity from expiring").fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let key = StockKey::from_columns(row.try_get(0)?, row.try_get(1)?);
        each(key, read_expiring(&row)?);
    }
    Ok(())
}

fn read_expiring(row: &Row) -> Result<Expiring, sqlx::Error> {
    Ok(Expiring {
        expires_at: Timestamp::from_micros(row.try_get(2)?),
        reservation: Position(row.try_get::<i64>(3)?.cast_unsigned()),
        quantity: row.try_get(4)?,
    })
}

pub(super) async fn load_versions(
    connection: &mut Connection<'_>,
) -> Result<Vec<(WarehouseNo, Version)>, sqlx::Error> {
    let rows = query("select warehouse, version from versions")
        .fetch_all(connection)
        .await?;
    let version = |row: &Row| {
        let warehouse = WarehouseNo(row.try_get::<i64>(0)? as u32);
        Ok((warehouse, Version(row.try_get::<i64>(1)?.cast_unsigned())))
    };
    rows.iter().map(version).collect()
}

/// The rows that pass `filter`, from after the key `after`, at most `limit` after leaving `skip` out; what ran out by
/// `now` counts as available.
pub(crate) async fn page(
    connection: &mut Connection<'_>,
    filter: &StockFilter,
    after: Option<StockKey>,
    skip: i64,
    limit: i64,
    now: Timestamp,
) -> Result<Vec<StockRow>, sqlx::Error> {
    let mut conditions = filter.conditions();
    if let Some(after) = after {
        let [warehouse, variant] = after.columns();
        conditions.after("warehouse", warehouse, "variant", variant);
    }
    let clause = conditions.clause();
    let next = conditions.len() + 1;
    let sql = format!(
        "select s.warehouse, s.variant, s.available, s.reserved, s.picked, s.packed, s.held, s.changed,
            (select cast(coalesce(sum(e.quantity), 0) as bigint) from expiring e
             where e.warehouse = s.warehouse and e.variant = s.variant and e.expires_at <= ${next}) as run_out
         from stock s{clause} order by s.warehouse, s.variant limit ${} offset ${}",
        next + 1,
        next + 2,
    );
    let mut rows = conditions
        .bind(query(AssertSqlSafe(sql)))
        .bind(now.micros())
        .bind(limit)
        .bind(skip)
        .fetch(connection);
    let mut page = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let (key, held) = read_held(&row)?;
        let buckets = with_run_out(held.buckets, row.try_get(8)?);
        page.push(StockRow {
            key,
            buckets,
            changed: held.changed,
        });
    }
    Ok(page)
}

/// How many keys pass `filter`.
pub(crate) async fn total(connection: &mut Connection<'_>, filter: &StockFilter) -> Result<i64, sqlx::Error> {
    let conditions = filter.conditions();
    let sql = format!("select count(*) from stock{}", conditions.clause());
    let row = conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_one(connection)
        .await?;
    row.try_get(0)
}

fn read_held(row: &Row) -> Result<(StockKey, Held), sqlx::Error> {
    let mut buckets = Buckets::default();
    for bucket in Bucket::ALL {
        buckets.0[bucket as usize] = row.try_get(2 + bucket as usize)?;
    }
    let key = StockKey::from_columns(row.try_get(0)?, row.try_get(1)?);
    Ok((
        key,
        Held {
            buckets,
            changed: Position(row.try_get::<i64>(7)?.cast_unsigned()),
        },
    ))
}
