//! The history view's tables, and the SQL that fills them. What reads them stands with each kind of query.

use std::sync::LazyLock;

use crate::sql::{Connection, Row, query};
use bincard_ledger::{Bucket, Buckets};
use futures_util::TryStreamExt;

use super::fold::{Counts, KeyCarry, Rows};
use crate::sql::Insert;
use crate::stock::StockKey;

pub(super) const SCHEMA: &[&str] = &[
    // Without rowid, because a pair (occurred_at, position) is not looked up by both where position is the row's own id.
    "create table events (
        position integer not null primary key,
        occurred_at integer not null,
        recorded_at integer not null,
        warehouse integer not null,
        kind integer not null,
        reason integer not null
    ) without rowid",
    "create index events_by_occurrence on events (occurred_at, position, warehouse, kind, reason)",
    "create index events_by_warehouse on events (warehouse, occurred_at, position, kind, reason)",
    "create table event_days (
        slot integer not null,
        warehouse integer not null,
        kind integer not null,
        reason integer not null,
        events integer not null,
        primary key (slot, warehouse, kind, reason)
    ) without rowid",
    "create table event_blocks (
        slot integer not null,
        warehouse integer not null,
        kind integer not null,
        reason integer not null,
        events integer not null,
        primary key (slot, warehouse, kind, reason)
    ) without rowid",
    "create table recorded (
        recorded_at integer not null,
        position integer not null,
        primary key (recorded_at, position)
    ) without rowid",
    "create table movements (
        variant integer not null,
        occurred_at integer not null,
        position integer not null,
        line integer not null,
        warehouse integer not null,
        kind integer not null,
        reason integer not null,
        places integer not null,
        quantity integer not null,
        available integer not null,
        reserved integer not null,
        picked integer not null,
        packed integer not null,
        held integer not null,
        primary key (variant, occurred_at, position, line)
    ) without rowid",
    "create table stock_days (
        variant integer not null,
        warehouse integer not null,
        day integer not null,
        available integer not null,
        reserved integer not null,
        picked integer not null,
        packed integer not null,
        held integer not null,
        events integer not null,
        primary key (variant, warehouse, day)
    ) without rowid",
    "create table stock_spans (
        variant integer not null,
        warehouse integer not null,
        days integer not null,
        no integer not null,
        available integer not null,
        reserved integer not null,
        picked integer not null,
        packed integer not null,
        held integer not null,
        primary key (variant, warehouse, days, no)
    ) without rowid",
    "create table keys (
        variant integer not null,
        warehouse integer not null,
        available integer not null,
        reserved integer not null,
        picked integer not null,
        packed integer not null,
        held integer not null,
        unmarked integer not null,
        occurred_min integer not null,
        occurred_max integer not null,
        span integer not null,
        span_available integer not null,
        span_reserved integer not null,
        span_picked integer not null,
        span_packed integer not null,
        span_held integer not null,
        primary key (variant, warehouse)
    ) without rowid",
    "create table marks (
        variant integer not null,
        warehouse integer not null,
        position integer not null,
        occurred_min integer not null,
        occurred_max integer not null,
        available integer not null,
        reserved integer not null,
        picked integer not null,
        packed integer not null,
        held integer not null,
        primary key (variant, warehouse, position)
    ) without rowid",
    "create table lots (
        lot integer primary key,
        variant integer not null
    )",
];

static INSERT_EVENTS: LazyLock<Insert> = LazyLock::new(|| Insert::new("events", 6, ""));
static INSERT_DAYS: LazyLock<Insert> = LazyLock::new(|| {
    Insert::new(
        "event_days",
        5,
        "on conflict (slot, warehouse, kind, reason) do update set events = event_days.events + excluded.events",
    )
});
static INSERT_BLOCKS: LazyLock<Insert> = LazyLock::new(|| {
    Insert::new(
        "event_blocks",
        5,
        "on conflict (slot, warehouse, kind, reason) do update set events = event_blocks.events + excluded.events",
    )
});
static INSERT_RECORDED: LazyLock<Insert> = LazyLock::new(|| Insert::new("recorded", 2, ""));
static INSERT_MOVEMENTS: LazyLock<Insert> = LazyLock::new(|| Insert::new("movements", 14, ""));
static INSERT_STOCK_DAYS: LazyLock<Insert> = LazyLock::new(|| {
    Insert::new(
        "stock_days",
        9,
        "on conflict (variant, warehouse, day) do update set available = stock_days.available + excluded.available,
         reserved = stock_days.reserved + excluded.reserved, picked = stock_days.picked + excluded.picked,
         packed = stock_days.packed + excluded.packed, held = stock_days.held + excluded.held,
         events = stock_days.events + excluded.events",
    )
});
static INSERT_STOCK_SPANS: LazyLock<Insert> = LazyLock::new(|| {
    Insert::new(
        "stock_spans",
        9,
        "on conflict (variant, warehouse, days, no) do update set available = stock_spans.available + excluded.available,
         reserved = stock_spans.reserved + excluded.reserved, picked = stock_spans.picked + excluded.picked,
         packed = stock_spans.packed + excluded.packed, held = stock_spans.held + excluded.held",
    )
});
static INSERT_KEYS: LazyLock<Insert> = LazyLock::new(|| {
    Insert::new(
        "keys",
        16,
        "on conflict (variant, warehouse) do update set available = excluded.available,
         reserved = excluded.reserved, picked = excluded.picked, packed = excluded.packed, held = excluded.held,
         unmarked = excluded.unmarked, occurred_min = excluded.occurred_min, occurred_max = excluded.occurred_max,
         span = excluded.span, span_available = excluded.span_available, span_reserved = excluded.span_reserved,
         span_picked = excluded.span_picked, span_packed = excluded.span_packed, span_held = excluded.span_held",
    )
});
static INSERT_MARKS: LazyLock<Insert> = LazyLock::new(|| Insert::new("marks", 10, ""));
static INSERT_LOTS: LazyLock<Insert> = LazyLock::new(|| Insert::new("lots", 2, ""));

pub(super) async fn write(connection: &mut Connection<'_>, rows: &Rows) -> Result<(), sqlx::Error> {
    INSERT_LOTS.run(connection, rows.lots.as_flattened()).await?;
    INSERT_EVENTS.run(connection, rows.events.as_flattened()).await?;
    INSERT_MOVEMENTS
        .run(connection, rows.movements.as_flattened())
        .await?;
    INSERT_KEYS.run(connection, &key_columns(&rows.keys)).await?;
    let mut days: Vec<[i64; 9]> = Vec::with_capacity(rows.stock_days.len());
    for (&[variant, warehouse, day], &[a, r, p, k, h, events]) in &rows.stock_days {
        days.push([variant, warehouse, day, a, r, p, k, h, events]);
    }
    days.sort_unstable();
    INSERT_STOCK_DAYS.run(connection, days.as_flattened()).await?;
    let spans = rows.stock_spans.iter();
    let mut spans: Vec<[i64; 9]> = spans
        .map(|(&[variant, warehouse, days, no], &[a, r, p, k, h])| {
            [variant, warehouse, days, no, a, r, p, k, h]
        })
        .collect();
    spans.sort_unstable();
    INSERT_STOCK_SPANS.run(connection, spans.as_flattened()).await?;
    INSERT_MARKS.run(connection, rows.marks.as_flattened()).await?;
    INSERT_DAYS.run(connection, &count_columns(&rows.days)).await?;
    INSERT_BLOCKS
        .run(connection, &count_columns(&rows.blocks))
        .await?;
    INSERT_RECORDED
        .run(connection, rows.recorded.as_flattened())
        .await
}

fn key_columns(keys: &[(StockKey, KeyCarry)]) -> Vec<i64> {
    let mut values = Vec::with_capacity(keys.len() * 16);
    for (key, carry) in keys {
        let [warehouse, variant] = key.columns();
        values.extend([variant, warehouse]);
        values.extend(carry.buckets.0);
        values.extend(carry.stretch());
        values.extend(carry.in_span.0);
    }
    values
}

fn count_columns(counts: &Counts) -> Vec<i64> {
    let mut rows: Vec<[i64; 5]> = counts
        .iter()
        .map(|(&[slot, warehouse, kind, reason], &events)| [slot, warehouse, kind, reason, events])
        .collect();
    rows.sort_unstable();
    rows.into_flattened()
}

pub(super) async fn load_keys(
    connection: &mut Connection<'_>,
    mut each: impl FnMut(StockKey, KeyCarry),
) -> Result<(), sqlx::Error> {
    let mut rows = query(
        "select variant, warehouse, available, reserved, picked, packed, held, unmarked, occurred_min, occurred_max,
            span, span_available, span_reserved, span_picked, span_packed, span_held from keys",
    )
    .fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let carry = KeyCarry {
            buckets: read_buckets(&row, 2)?,
            unmarked: row.try_get(7)?,
            occurred_min: row.try_get(8)?,
            occurred_max: row.try_get(9)?,
            span: row.try_get(10)?,
            in_span: read_buckets(&row, 11)?,
        };
        each(StockKey::from_columns(row.try_get(1)?, row.try_get(0)?), carry);
    }
    Ok(())
}

/// The last position in `recorded`.
pub(super) async fn last_recorded(connection: &mut Connection<'_>) -> Result<Option<i64>, sqlx::Error> {
    let last = query("select position from recorded order by recorded_at desc, position desc limit 1")
        .fetch_optional(connection)
        .await?;
    last.map(|row| row.try_get(0)).transpose()
}

/// The five buckets in the columns from `first` on.
pub(super) fn read_buckets(row: &Row, first: usize) -> Result<Buckets, sqlx::Error> {
    let mut buckets = Buckets::default();
    for bucket in Bucket::ALL {
        buckets.0[bucket as usize] = row.try_get(first + bucket as usize)?;
    }
    Ok(buckets)
}
