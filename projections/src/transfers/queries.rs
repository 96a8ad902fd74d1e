//! The transfers view's SQL.

use std::sync::LazyLock;

use crate::sql::{Connection, Row, query};
use bincard_ledger::{Position, Timestamp, VariantNo, WarehouseNo};
use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;

use super::fold::{Kept, Rows};
use super::{TransferLine, TransferRow, TransferState};
use crate::filter::Conditions;
use crate::sql::Insert;

/// An index ends with the id, which is the row's number.
pub(super) const SCHEMA: &[&str] = &[
    "create table transfers (
        id integer primary key,
        name text,
        source integer not null,
        destination integer not null,
        state integer not null,
        ended_at integer
    )",
    "create index transfers_by_name on transfers (name)",
    "create index transfers_by_state on transfers (state)",
    "create index transfers_by_source on transfers (source, state)",
    "create index transfers_by_destination on transfers (destination, state)",
    "create table transfer_lines (
        transfer integer not null,
        variant integer not null,
        sent integer not null,
        received integer not null,
        damaged integer not null,
        short integer not null,
        written_off integer not null,
        primary key (transfer, variant)
    ) without rowid",
    "create index transfer_lines_by_variant on transfer_lines (variant, transfer)",
    "create table transfer_events (
        transfer integer not null,
        position integer not null,
        primary key (transfer, position)
    ) without rowid",
];

static INSERT_LINES: LazyLock<Insert> = LazyLock::new(|| {
    Insert::new(
        "transfer_lines",
        7,
        "on conflict (transfer, variant) do update set received = excluded.received, damaged = excluded.damaged,
         short = excluded.short, written_off = excluded.written_off",
    )
});

static INSERT_EVENTS: LazyLock<Insert> = LazyLock::new(|| Insert::new("transfer_events", 2, ""));

/// Which transfers a list is about. A filter that is not set lets everything pass.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TransferFilter {
    /// Only those that stand so.
    pub state: Option<TransferState>,
    /// Only from this warehouse.
    pub source: Option<WarehouseNo>,
    /// Only to this warehouse.
    pub destination: Option<WarehouseNo>,
    /// Only those with one of these variants or lots; an empty list lets none pass.
    pub variants: Option<Vec<VariantNo>>,
    /// Only those that their callers called so.
    pub name: Option<String>,
}

impl TransferFilter {
    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some(state) = self.state {
            conditions.equals("state", state.column());
        }
        if let Some(source) = self.source {
            conditions.equals("source", i64::from(source.0));
        }
        if let Some(destination) = self.destination {
            conditions.equals("destination", i64::from(destination.0));
        }
        if let Some(name) = &self.name {
            conditions.compare_text("name", "=", name.clone());
        }
        if let Some(variants) = &self.variants {
            conditions.is_found_for_any(
                "id",
                "select transfer from transfer_lines where variant in",
                variants.iter().map(|no| i64::from(no.0)),
            );
        }
        conditions
    }
}

pub(super) async fn write(connection: &mut Connection<'_>, rows: &Rows) -> Result<(), sqlx::Error> {
    let mut lines = Vec::with_capacity(rows.transfers.len() * 7);
    for (id, row) in &rows.transfers {
        let id = id.0.cast_signed();
        query(
            "insert into transfers values ($1, $2, $3, $4, $5, $6) on conflict (id) do update set
             state = excluded.state, ended_at = excluded.ended_at",
        )
        .bind(id)
        .bind(row.name.as_deref())
        .bind(i64::from(row.source.0))
        .bind(i64::from(row.destination.0))
        .bind(row.state.column())
        .bind(row.ended_at.map(|at| at.micros()))
        .execute(&mut *connection)
        .await?;
        for line in &row.lines {
            lines.extend([id, i64::from(line.variant.0)]);
            lines.extend(line.columns());
        }
    }
    INSERT_LINES.run(connection, &lines).await?;
    INSERT_EVENTS.run(connection, rows.events.as_flattened()).await
}

/// The transfers that have something on the way.
pub(super) async fn load(
    connection: &mut Connection<'_>,
    mut each: impl FnMut(Position, Kept),
) -> Result<(), sqlx::Error> {
    let mut open = Conditions::default();
    open.equals("state", TransferState::Open.column());
    let in_order = format!("{} order by id", open.clause());
    let rows = read_heads(connection, &open, &in_order).await?;
    let lines = "select l.* from transfers t join transfer_lines l on l.transfer = t.id
        where t.state = 0 order by l.transfer, l.variant";
    let mut lines = query(lines).fetch(connection);
    let mut next = lines.try_next().await?;
    for mut row in rows {
        while let Some(line) = &next {
            if position(line, 0)? != row.id {
                break;
            }
            row.lines.push(read_line(line)?);
            next = lines.try_next().await?;
        }
        let kept = Kept {
            name: row.name.map(String::into_boxed_str),
            source: row.source,
            destination: row.destination,
            state: row.state,
            ended_at: row.ended_at,
            lines: row.lines,
        };
        each(row.id, kept);
    }
    Ok(())
}

/// A transfer by its id.
pub(crate) async fn one(
    connection: &mut Connection<'_>,
    id: Position,
) -> Result<Option<TransferRow>, sqlx::Error> {
    let mut conditions = Conditions::default();
    conditions.equals("id", id.0.cast_signed());
    let clause = conditions.clause();
    Ok(read(connection, &conditions, &clause).await?.pop())
}

/// The transfers that pass `filter` behind the one with id `after`, newest first or oldest first, at most `limit` after
/// leaving `skip` out.
pub(crate) async fn page(
    connection: &mut Connection<'_>,
    filter: &TransferFilter,
    descending: bool,
    (after, skip, limit): (Option<Position>, i64, i64),
) -> Result<Vec<TransferRow>, sqlx::Error> {
    let mut conditions = filter.conditions();
    let (operator, direction) = if descending { ("<", "desc") } else { (">", "asc") };
    if let Some(after) = after {
        conditions.compare("id", operator, after.0.cast_signed());
    }
    let clause = conditions.clause();
    let end = conditions.page(limit, skip);
    let rest = format!("{clause} order by id {direction}{end}");
    read(connection, &conditions, &rest).await
}

/// How many transfers pass `filter`.
pub(crate) async fn total(
    connection: &mut Connection<'_>,
    filter: &TransferFilter,
) -> Result<i64, sqlx::Error> {
    let conditions = filter.conditions();
    let sql = format!("select count(*) from transfers{}", conditions.clause());
    let row = conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_one(connection)
        .await?;
    row.try_get(0)
}

/// Transfers with their lines and events; `rest` is the query behind the table's name.
async fn read(
    connection: &mut Connection<'_>,
    conditions: &Conditions,
    rest: &str,
) -> Result<Vec<TransferRow>, sqlx::Error> {
    let mut transfers = read_heads(connection, conditions, rest).await?;
    let mut of_these = Conditions::default();
    of_these.one_of("transfer", transfers.iter().map(|row| row.id.0.cast_signed()));
    let clause = of_these.clause();
    let sql = format!("select * from transfer_lines{clause} order by transfer, variant");
    let lines = of_these.bind(query(AssertSqlSafe(sql)));
    for line in lines.fetch_all(&mut *connection).await? {
        let of = position(&line, 0)?;
        if let Some(row) = transfers.iter_mut().find(|row| row.id == of) {
            row.lines.push(read_line(&line)?);
        }
    }
    let sql = format!("select * from transfer_events{clause} order by transfer, position");
    let events = of_these.bind(query(AssertSqlSafe(sql)));
    for event in events.fetch_all(&mut *connection).await? {
        let of = position(&event, 0)?;
        if let Some(row) = transfers.iter_mut().find(|row| row.id == of) {
            row.events.push(position(&event, 1)?);
        }
    }
    Ok(transfers)
}

/// Transfers without their lines and events.
async fn read_heads(
    connection: &mut Connection<'_>,
    conditions: &Conditions,
    rest: &str,
) -> Result<Vec<TransferRow>, sqlx::Error> {
    let sql = format!("select id, name, source, destination, state, ended_at from transfers{rest}");
    let rows = conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_all(connection)
        .await?;
    rows.iter().map(read_head).collect()
}

fn read_head(row: &Row) -> Result<TransferRow, sqlx::Error> {
    Ok(TransferRow {
        id: position(row, 0)?,
        name: row.try_get(1)?,
        source: WarehouseNo(row.try_get::<i64>(2)? as u32),
        destination: WarehouseNo(row.try_get::<i64>(3)? as u32),
        state: TransferState::read(row.try_get(4)?)?,
        ended_at: row.try_get::<Option<i64>>(5)?.map(Timestamp::from_micros),
        lines: Vec::new(),
        events: Vec::new(),
    })
}

fn read_line(row: &Row) -> Result<TransferLine, sqlx::Error> {
    let mut columns = [0; 5];
    for (index, column) in columns.iter_mut().enumerate() {
        *column = row.try_get(2 + index)?;
    }
    Ok(TransferLine::from_columns(row.try_get(1)?, columns))
}

fn position(row: &Row, column: usize) -> Result<Position, sqlx::Error> {
    Ok(Position(row.try_get::<i64>(column)?.cast_unsigned()))
}
