//! The reservations view's SQL.

use crate::sql::{Connection, Row, query};
use bincard_ledger::{Position, Timestamp, VariantNo, WarehouseNo};
use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;
use std::sync::LazyLock;

use super::fold::{Open, Rows};
use super::{ReservationLine, ReservationRow, ReservationState};
use crate::filter::Conditions;
use crate::sql::Insert;

/// `held` (picked or packed) and `shipped` are the sums over the lines: they say what a reservation that ran out is without
/// its lines being looked at. An index ends with the id, which is the row's number.
pub(super) const SCHEMA: &[&str] = &[
    "create table reservations (
        id integer primary key,
        order_id text not null,
        warehouse integer not null,
        expires_at integer,
        state integer not null,
        held integer not null,
        shipped integer not null
    )",
    "create index reservations_by_order on reservations (order_id)",
    "create index reservations_by_state on reservations (state, warehouse)",
    "create table reservation_lines (
        reservation integer not null,
        variant integer not null,
        requested integer not null,
        reserved integer not null,
        picked integer not null,
        packed integer not null,
        shipped integer not null,
        released integer not null,
        expired integer not null,
        primary key (reservation, variant)
    ) without rowid",
    "create index reservation_lines_by_variant on reservation_lines (variant, reservation)",
];

static INSERT_LINES: LazyLock<Insert> = LazyLock::new(|| {
    Insert::new(
        "reservation_lines",
        9,
        "on conflict (reservation, variant) do update set reserved = excluded.reserved, picked = excluded.picked,
         packed = excluded.packed, shipped = excluded.shipped, released = excluded.released,
         expired = excluded.expired",
    )
});

/// Which reservations a list is about. A filter that is not set lets everything pass.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReservationFilter {
    /// Only of this order.
    pub order: Option<String>,
    /// Only at these warehouses; an empty list lets none pass.
    pub warehouses: Option<Vec<WarehouseNo>>,
    /// Only those with one of these variants or lots; an empty list lets none pass.
    pub variants: Option<Vec<VariantNo>>,
    /// Only those that stand so.
    pub state: Option<ReservationState>,
}

impl ReservationFilter {
    /// By `now`, since what has run out by then counts as expired.
    fn conditions(&self, now: Timestamp) -> Conditions {
        let mut conditions = Conditions::default();
        if let Some(order) = &self.order {
            conditions.compare_text("order_id", "=", order.clone());
        }
        if let Some(warehouses) = &self.warehouses {
            conditions.one_of("warehouse", warehouses.iter().map(|no| i64::from(no.0)));
        }
        if let Some(variants) = &self.variants {
            conditions.is_found_for_any(
                "id",
                "select reservation from reservation_lines where variant in",
                variants.iter().map(|no| i64::from(no.0)),
            );
        }
        if let Some(state) = self.state {
            // What was reserved only and has run out: expired, or shipped where some of it was.
            let run_out = "state = 0 and held = 0 and expires_at <=";
            match state {
                ReservationState::Open => {
                    conditions.equals("state", state.column());
                    conditions.unless(
                        "held = 0 and expires_at is not null and expires_at <=",
                        now.micros(),
                    );
                }
                ReservationState::Released => conditions.equals("state", state.column()),
                ReservationState::Shipped | ReservationState::Expired => {
                    let shipped = if state == ReservationState::Shipped {
                        "shipped > 0"
                    } else {
                        "shipped = 0"
                    };
                    conditions.equals_or(
                        "state",
                        state.column(),
                        &format!("{shipped} and {run_out}"),
                        now.micros(),
                    );
                }
            }
        }
        conditions
    }
}

pub(super) async fn write(connection: &mut Connection<'_>, rows: &Rows) -> Result<(), sqlx::Error> {
    let mut lines = Vec::with_capacity(rows.len() * 9);
    for (id, row) in rows {
        let id = id.0.cast_signed();
        let (warehouse, expires_at, state, [held, shipped]) = row.columns();
        query(
            "insert into reservations values ($1, $2, $3, $4, $5, $6, $7) on conflict (id) do update set
             expires_at = excluded.expires_at, state = excluded.state, held = excluded.held,
             shipped = excluded.shipped",
        )
        .bind(id)
        .bind(&*row.order)
        .bind(warehouse)
        .bind(expires_at)
        .bind(state)
        .bind(held)
        .bind(shipped)
        .execute(&mut *connection)
        .await?;
        for line in &row.lines {
            lines.extend([id, i64::from(line.variant.0)]);
            lines.extend(line.columns());
        }
    }
    INSERT_LINES.run(connection, &lines).await
}

const COLUMNS: &str = "id, order_id, warehouse, expires_at, state";

/// The reservations that hold something.
pub(super) async fn load(
    connection: &mut Connection<'_>,
    mut each: impl FnMut(Position, Open),
) -> Result<(), sqlx::Error> {
    let sql = format!("select {COLUMNS} from reservations where state = 0 order by id");
    let rows = query(AssertSqlSafe(sql)).fetch_all(&mut *connection).await?;
    let lines = "select l.* from reservations r join reservation_lines l on l.reservation = r.id
        where r.state = 0 order by l.reservation, l.variant";
    let mut lines = query(lines).fetch(connection);
    let mut next = lines.try_next().await?;
    for row in rows {
        let mut row = read_row(&row)?;
        while let Some(line) = &next {
            if line.try_get::<i64>(0)?.cast_unsigned() != row.id.0 {
                break;
            }
            row.lines.push(read_line(line)?);
            next = lines.try_next().await?;
        }
        let ReservationRow {
            id,
            order,
            warehouse,
            expires_at,
            state,
            lines,
        } = row;
        let order = order.into();
        each(
            id,
            Open {
                order,
                warehouse,
                expires_at,
                lines,
                state,
            },
        );
    }
    Ok(())
}

/// A reservation by its id.
pub(crate) async fn one(
    connection: &mut Connection<'_>,
    id: Position,
    now: Timestamp,
) -> Result<Option<ReservationRow>, sqlx::Error> {
    let mut conditions = Conditions::default();
    conditions.equals("id", id.0.cast_signed());
    let clause = conditions.clause();
    Ok(read(connection, &conditions, &clause, now).await?.pop())
}

/// The reservations that pass `filter` behind the one with id `after`, newest first or oldest first, at most `limit` after
/// leaving `skip` out.
pub(crate) async fn page(
    connection: &mut Connection<'_>,
    filter: &ReservationFilter,
    descending: bool,
    (after, skip, limit): (Option<Position>, i64, i64),
    now: Timestamp,
) -> Result<Vec<ReservationRow>, sqlx::Error> {
    let mut conditions = filter.conditions(now);
    let (operator, direction) = if descending { ("<", "desc") } else { (">", "asc") };
    if let Some(after) = after {
        conditions.compare("id", operator, after.0.cast_signed());
    }
    let clause = conditions.clause();
    let end = conditions.page(limit, skip);
    let rest = format!("{clause} order by id {direction}{end}");
    read(connection, &conditions, &rest, now).await
}

/// How many reservations pass `filter`.
pub(crate) async fn total(
    connection: &mut Connection<'_>,
    filter: &ReservationFilter,
    now: Timestamp,
) -> Result<i64, sqlx::Error> {
    let conditions = filter.conditions(now);
    let sql = format!("select count(*) from reservations{}", conditions.clause());
    let row = conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_one(connection)
        .await?;
    row.try_get(0)
}

/// Reservations with their lines; `rest` is the query behind the table's name.
async fn read(
    connection: &mut Connection<'_>,
    conditions: &Conditions,
    rest: &str,
    now: Timestamp,
) -> Result<Vec<ReservationRow>, sqlx::Error> {
    let sql = format!("select {COLUMNS} from reservations{rest}");
    let rows = conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_all(&mut *connection)
        .await?;
    let mut reservations = rows.iter().map(read_row).collect::<Result<Vec<_>, _>>()?;
    let mut of_these = Conditions::default();
    of_these.one_of(
        "reservation",
        reservations.iter().map(|row| row.id.0.cast_signed()),
    );
    let sql = format!(
        "select * from reservation_lines{} order by reservation, variant",
        of_these.clause()
    );
    let mut lines = of_these.bind(query(AssertSqlSafe(sql))).fetch(connection);
    while let Some(line) = lines.try_next().await? {
        let of = Position(line.try_get::<i64>(0)?.cast_unsigned());
        if let Some(row) = reservations.iter_mut().find(|row| row.id == of) {
            row.lines.push(read_line(&line)?);
        }
    }
    Ok(reservations.into_iter().map(|row| row.run_out_by(now)).collect())
}

fn read_row(row: &Row) -> Result<ReservationRow, sqlx::Error> {
    Ok(ReservationRow {
        id: Position(row.try_get::<i64>(0)?.cast_unsigned()),
        order: row.try_get(1)?,
        warehouse: WarehouseNo(row.try_get::<i64>(2)? as u32),
        expires_at: row.try_get::<Option<i64>>(3)?.map(Timestamp::from_micros),
        state: ReservationState::read(row.try_get(4)?)?,
        lines: Vec::new(),
    })
}

fn read_line(row: &Row) -> Result<ReservationLine, sqlx::Error> {
    let mut columns = [0; 7];
    for (index, column) in columns.iter_mut().enumerate() {
        *column = row.try_get(2 + index)?;
    }
    Ok(ReservationLine::from_columns(row.try_get(1)?, columns))
}
