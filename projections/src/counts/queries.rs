//! The counts view's SQL.

use std::sync::LazyLock;

use crate::sql::{Connection, Row, query};
use bincard_ledger::{Position, Timestamp, VariantNo, WarehouseNo};
use sqlx::AssertSqlSafe;

use super::fold::{EVERYTHING, Rows};
use super::{CountRow, CountSheet, CountState, SheetLine, Submission};
use crate::filter::Conditions;
use crate::sql::Insert;

/// `ended` is the event that ended the count, 0 while it is open; a count of everything has the variant 0. An index ends
/// with the id, which is the row's number.
pub(super) const SCHEMA: &[&str] = &[
    "create table counts (
        id integer primary key,
        warehouse integer not null,
        state integer not null,
        ended integer not null
    )",
    "create index counts_by_state on counts (state, warehouse)",
    "create index counts_by_warehouse on counts (warehouse)",
    "create table count_variants (
        variant integer not null,
        count integer not null,
        primary key (variant, count)
    ) without rowid",
    "create table count_submissions (
        count integer not null,
        variant integer not null,
        position integer not null,
        counted integer not null,
        counted_at integer not null,
        expected integer not null,
        primary key (count, variant, position)
    ) without rowid",
    "create table count_approved (
        count integer not null,
        variant integer not null,
        expected integer not null,
        primary key (count, variant)
    ) without rowid",
];

static INSERT: LazyLock<Insert> = LazyLock::new(|| Insert::new("counts", 4, ""));
static INSERT_VARIANTS: LazyLock<Insert> = LazyLock::new(|| Insert::new("count_variants", 2, ""));
static INSERT_SUBMISSIONS: LazyLock<Insert> = LazyLock::new(|| Insert::new("count_submissions", 6, ""));
static INSERT_APPROVED: LazyLock<Insert> = LazyLock::new(|| Insert::new("count_approved", 3, ""));

/// Which counts a list is about. A filter that is not set lets everything pass.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CountFilter {
    /// Only at these warehouses; an empty list lets none pass.
    pub warehouses: Option<Vec<WarehouseNo>>,
    /// Only those that this variant was to be counted by: those that name it, and those of everything.
    pub variant: Option<VariantNo>,
    /// Only those that stand so.
    pub state: Option<CountState>,
}

impl CountFilter {
    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some(warehouses) = &self.warehouses {
            conditions.one_of("warehouse", warehouses.iter().map(|no| i64::from(no.0)));
        }
        if let Some(variant) = self.variant {
            conditions.is_found(
                "id",
                "select count from count_variants where variant = 0 or variant =",
                i64::from(variant.0),
            );
        }
        if let Some(state) = self.state {
            conditions.equals("state", state.column());
        }
        conditions
    }
}

// The condition above names it.
const _: () = assert!(EVERYTHING.0 == 0);

impl CountState {
    fn column(self) -> i64 {
        match self {
            CountState::Open => 0,
            CountState::Approved => 1,
            CountState::Cancelled => 2,
        }
    }

    fn read(column: i64) -> Result<CountState, sqlx::Error> {
        Ok(match column {
            0 => CountState::Open,
            1 => CountState::Approved,
            2 => CountState::Cancelled,
            _ => return Err(sqlx::Error::Decode(format!("there is no state {column}").into())),
        })
    }
}

pub(super) async fn write(connection: &mut Connection<'_>, rows: &Rows) -> Result<(), sqlx::Error> {
    let opened = rows.opened.iter();
    let open = CountState::Open.column();
    let opened: Vec<_> = opened
        .flat_map(|(id, warehouse)| [column_of(*id), i64::from(warehouse.0), open, 0])
        .collect();
    INSERT.run(connection, &opened).await?;
    let variants = rows.variants.iter();
    let variants: Vec<_> = variants
        .flat_map(|(variant, id)| [i64::from(variant.0), column_of(*id)])
        .collect();
    INSERT_VARIANTS.run(connection, &variants).await?;
    let submitted = rows.submitted.iter().flat_map(|(id, event, line)| {
        [
            column_of(*id),
            i64::from(line.variant.0),
            column_of(*event),
            line.counted,
            line.at.micros(),
            line.expected,
        ]
    });
    let submitted: Vec<_> = submitted.collect();
    INSERT_SUBMISSIONS.run(connection, &submitted).await?;
    let approved = rows.approved.iter();
    let approved: Vec<_> = approved
        .flat_map(|(id, line)| [column_of(*id), i64::from(line.variant.0), line.expected])
        .collect();
    INSERT_APPROVED.run(connection, &approved).await?;
    for (id, state, event) in &rows.ended {
        query("update counts set state = $1, ended = $2 where id = $3 and ended = 0")
            .bind(state.column())
            .bind(column_of(*event))
            .bind(column_of(*id))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// A count by its id, with all that was submitted.
pub(crate) async fn one(
    connection: &mut Connection<'_>,
    id: Position,
) -> Result<Option<CountSheet>, sqlx::Error> {
    let mut conditions = Conditions::default();
    conditions.equals("id", column_of(id));
    let clause = conditions.clause();
    let found = read(connection, &conditions, &clause).await?.pop();
    let Some(count) = found else {
        return Ok(None);
    };
    let sql = "select s.variant, s.position, s.counted, s.counted_at, s.expected, a.expected
        from count_submissions s left join count_approved a on a.count = s.count and a.variant = s.variant
        where s.count = $1 order by s.variant, s.position";
    let rows = query(sql).bind(column_of(id)).fetch_all(&mut *connection).await?;
    let mut lines: Vec<SheetLine> = Vec::new();
    for row in &rows {
        let variant = VariantNo(row.try_get::<i64>(0)? as u32);
        let submission = Submission {
            event: position(row, 1)?,
            counted: row.try_get(2)?,
            counted_at: Timestamp::from_micros(row.try_get(3)?),
            expected: row.try_get(4)?,
        };
        match lines.last_mut() {
            Some(line) if line.variant == variant => line.submissions.push(submission),
            _ => lines.push(SheetLine {
                variant,
                submissions: vec![submission],
                approved: row.try_get(5)?,
            }),
        }
    }
    Ok(Some(CountSheet { count, lines }))
}

/// The counts that pass `filter` behind the one with id `after`, newest first or oldest first, at most `limit` after
/// leaving `skip` out.
pub(crate) async fn page(
    connection: &mut Connection<'_>,
    filter: &CountFilter,
    descending: bool,
    (after, skip, limit): (Option<Position>, i64, i64),
) -> Result<Vec<CountRow>, sqlx::Error> {
    let mut conditions = filter.conditions();
    let (operator, direction) = if descending { ("<", "desc") } else { (">", "asc") };
    if let Some(after) = after {
        conditions.compare("id", operator, column_of(after));
    }
    let clause = conditions.clause();
    let end = conditions.page(limit, skip);
    let rest = format!("{clause} order by id {direction}{end}");
    read(connection, &conditions, &rest).await
}

/// How many counts pass `filter`.
pub(crate) async fn total(connection: &mut Connection<'_>, filter: &CountFilter) -> Result<i64, sqlx::Error> {
    let conditions = filter.conditions();
    let sql = format!("select count(*) from counts{}", conditions.clause());
    let row = conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_one(connection)
        .await?;
    row.try_get(0)
}

/// Counts; `rest` is the query behind the table's name.
async fn read(
    connection: &mut Connection<'_>,
    conditions: &Conditions,
    rest: &str,
) -> Result<Vec<CountRow>, sqlx::Error> {
    let sql = format!(
        "select id, warehouse, state, ended,
         (select count(distinct s.variant) from count_submissions s where s.count = counts.id) from counts{rest}"
    );
    let rows = conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_all(connection)
        .await?;
    rows.iter().map(read_row).collect()
}

fn read_row(row: &Row) -> Result<CountRow, sqlx::Error> {
    let ended = position(row, 3)?;
    Ok(CountRow {
        id: position(row, 0)?,
        warehouse: WarehouseNo(row.try_get::<i64>(1)? as u32),
        state: CountState::read(row.try_get(2)?)?,
        ended: (ended != Position(0)).then_some(ended),
        counted: row.try_get::<i64>(4)?.cast_unsigned(),
    })
}

fn column_of(position: Position) -> i64 {
    position.0.cast_signed()
}

fn position(row: &Row, column: usize) -> Result<Position, sqlx::Error> {
    Ok(Position(row.try_get::<i64>(column)?.cast_unsigned()))
}
