//! The exceptions view's SQL.

use std::sync::LazyLock;

use crate::sql::{Connection, Row, query};
use bincard_ledger::event::ExceptionLine;
use bincard_ledger::{ExceptionType, Position, VariantNo, WarehouseNo};
use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;

use super::ExceptionRow;
use super::fold::Rows;
use crate::filter::Conditions;
use crate::sql::Insert;

/// `cleared` is the event that cleared the exception, 0 while it is open; `reservation` is 0 where there is none. An index ends with the id, which is the row's
/// number.
pub(super) const SCHEMA: &[&str] = &[
    "create table exceptions (
        id integer primary key,
        type integer not null,
        warehouse integer not null,
        cleared integer not null
    )",
    "create index exceptions_by_state on exceptions (cleared, warehouse)",
    "create table exception_lines (
        exception integer not null,
        line integer not null,
        variant integer not null,
        units integer not null,
        reservation integer not null,
        primary key (exception, line)
    ) without rowid",
    "create index exception_lines_by_variant on exception_lines (variant, exception)",
];

static INSERT: LazyLock<Insert> = LazyLock::new(|| Insert::new("exceptions", 4, ""));
static INSERT_LINES: LazyLock<Insert> = LazyLock::new(|| Insert::new("exception_lines", 5, ""));

/// Which exceptions a list is about. A filter that is not set lets everything pass.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExceptionFilter {
    /// Only at these warehouses; an empty list lets none pass.
    pub warehouses: Option<Vec<WarehouseNo>>,
    /// Only those with one of these variants or lots; an empty list lets none pass.
    pub variants: Option<Vec<VariantNo>>,
    /// Only those that are open, or are not.
    pub is_open: Option<bool>,
    /// Only those about this.
    pub kind: Option<ExceptionType>,
}

impl ExceptionFilter {
    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some(warehouses) = &self.warehouses {
            conditions.one_of("warehouse", warehouses.iter().map(|no| i64::from(no.0)));
        }
        if let Some(variants) = &self.variants {
            conditions.is_found_for_any(
                "id",
                "select exception from exception_lines where variant in",
                variants.iter().map(|no| i64::from(no.0)),
            );
        }
        match self.is_open {
            Some(true) => conditions.equals("cleared", 0),
            Some(false) => conditions.compare("cleared", ">", 0),
            None => {}
        }
        if let Some(kind) = self.kind {
            conditions.equals("type", column_of(kind));
        }
        conditions
    }
}

fn column_of(kind: ExceptionType) -> i64 {
    match kind {
        ExceptionType::NegativeStock => 1,
        ExceptionType::CountShortage => 2,
    }
}

fn read_type(column: i64) -> Result<ExceptionType, sqlx::Error> {
    match column {
        1 => Ok(ExceptionType::NegativeStock),
        2 => Ok(ExceptionType::CountShortage),
        _ => Err(sqlx::Error::Decode(
            format!("there is no type of exception {column}").into(),
        )),
    }
}

pub(super) async fn write(connection: &mut Connection<'_>, rows: &Rows) -> Result<(), sqlx::Error> {
    let (mut exceptions, mut lines) = (Vec::with_capacity(rows.made.len() * 4), Vec::new());
    for made in &rows.made {
        let id = made.id.0.cast_signed();
        exceptions.extend([id, column_of(made.kind), i64::from(made.warehouse.0), 0]);
        for (line, one) in (0..).zip(&made.lines) {
            let reservation = one.reservation.map_or(0, |id| id.0.cast_signed());
            lines.extend([id, line, i64::from(one.variant.0), one.units, reservation]);
        }
    }
    INSERT.run(connection, &exceptions).await?;
    INSERT_LINES.run(connection, &lines).await?;
    for (id, by) in &rows.cleared {
        query("update exceptions set cleared = $1 where id = $2")
            .bind(by.0.cast_signed())
            .bind(id.0.cast_signed())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// An exception by its id.
pub(crate) async fn one(
    connection: &mut Connection<'_>,
    id: Position,
) -> Result<Option<ExceptionRow>, sqlx::Error> {
    let mut conditions = Conditions::default();
    conditions.equals("id", id.0.cast_signed());
    let clause = conditions.clause();
    Ok(read(connection, &conditions, &clause).await?.pop())
}

/// The exceptions that pass `filter` behind the one with id `after`, newest first or oldest first, at most `limit` after
/// leaving `skip` out.
pub(crate) async fn page(
    connection: &mut Connection<'_>,
    filter: &ExceptionFilter,
    descending: bool,
    (after, skip, limit): (Option<Position>, i64, i64),
) -> Result<Vec<ExceptionRow>, sqlx::Error> {
    let mut conditions = filter.conditions();
    let (operator, direction) = if descending { ("<", "desc") } else { (">", "asc") };
    if let Some(after) = after {
        conditions.compare("id", operator, after.0.cast_signed());
    }
    let clause = conditions.clause();
    let end = conditions.page(limit, skip);
    read(
        connection,
        &conditions,
        &format!("{clause} order by id {direction}{end}"),
    )
    .await
}

/// How many exceptions pass `filter`.
pub(crate) async fn total(
    connection: &mut Connection<'_>,
    filter: &ExceptionFilter,
) -> Result<i64, sqlx::Error> {
    let conditions = filter.conditions();
    let sql = format!("select count(*) from exceptions{}", conditions.clause());
    let row = conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_one(connection)
        .await?;
    row.try_get(0)
}

/// Exceptions with their lines; `rest` is the query behind the table's name.
async fn read(
    connection: &mut Connection<'_>,
    conditions: &Conditions,
    rest: &str,
) -> Result<Vec<ExceptionRow>, sqlx::Error> {
    let sql = format!("select id, type, warehouse, cleared from exceptions{rest}");
    let rows = conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_all(&mut *connection)
        .await?;
    let mut exceptions = rows.iter().map(read_row).collect::<Result<Vec<_>, _>>()?;
    let mut of_these = Conditions::default();
    of_these.one_of("exception", exceptions.iter().map(|row| row.id.0.cast_signed()));
    let sql = format!(
        "select exception, variant, units, reservation from exception_lines{} order by exception, line",
        of_these.clause()
    );
    let mut lines = of_these.bind(query(AssertSqlSafe(sql))).fetch(connection);
    while let Some(line) = lines.try_next().await? {
        let of = Position(line.try_get::<i64>(0)?.cast_unsigned());
        if let Some(row) = exceptions.iter_mut().find(|row| row.id == of) {
            let reservation = line.try_get::<i64>(3)?.cast_unsigned();
            row.lines.push(ExceptionLine {
                variant: VariantNo(line.try_get::<i64>(1)? as u32),
                units: line.try_get(2)?,
                reservation: (reservation > 0).then_some(Position(reservation)),
            });
        }
    }
    Ok(exceptions)
}

fn read_row(row: &Row) -> Result<ExceptionRow, sqlx::Error> {
    let cleared = row.try_get::<i64>(3)?.cast_unsigned();
    Ok(ExceptionRow {
        id: Position(row.try_get::<i64>(0)?.cast_unsigned()),
        kind: read_type(row.try_get(1)?)?,
        warehouse: WarehouseNo(row.try_get::<i64>(2)? as u32),
        cleared: (cleared > 0).then_some(Position(cleared)),
        lines: Vec::new(),
    })
}
