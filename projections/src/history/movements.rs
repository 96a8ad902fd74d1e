//! Movements of a variant, or of all of them one after the other, with what the key held before and after each.

use crate::sql::{Connection, Row, query};
use bincard_ledger::{Kind, Position, Timestamp, VariantNo, WarehouseNo};
use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;

use super::{MovementRow, PLACES_LOT, queries, read_kind, read_place, read_reason};
use crate::filter::Conditions;
use crate::stock::StockKey;

/// Which movements to list: by variant, and of each in the order of occurrence. A filter that is not set lets everything
/// pass.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MovementFilter {
    /// Only of this variant. Without, a page behind a warehouse's filter may be long in finding.
    pub variant: Option<VariantNo>,
    /// Only of this lot, which is one of the variant's.
    pub lot: Option<VariantNo>,
    /// Only of these kinds.
    pub kinds: Option<Vec<Kind>>,
    /// Only at these warehouses, where set; an empty list lets none pass.
    pub warehouses: Option<Vec<WarehouseNo>>,
    /// Only what occurred at this instant or later.
    pub occurred_from: Option<Timestamp>,
    /// Only what occurred at this instant or earlier.
    pub occurred_to: Option<Timestamp>,
}

/// The last movement of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MovementCursor {
    /// Of what.
    pub variant: VariantNo,
    /// When it occurred.
    pub occurred_at: Timestamp,
    /// Its event.
    pub position: Position,
    /// Its line.
    pub line: u16,
}

/// A page of movements.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MovementPage {
    /// The movements.
    pub rows: Vec<MovementRow>,
    /// Where the next page begins; `None` when there is none.
    pub next: Option<MovementCursor>,
    /// How many movements pass the filter, where it was asked for.
    pub total: Option<u64>,
}

/// The page of at most `limit` movements behind `after`, or after leaving `skip` out.
pub(crate) async fn movements(
    connection: &mut Connection<'_>,
    filter: &MovementFilter,
    descending: bool,
    after: Option<MovementCursor>,
    skip: u64,
    limit: usize,
    with_total: bool,
) -> Result<MovementPage, sqlx::Error> {
    let mut conditions = conditions(filter);
    let total = if with_total {
        let sql = format!("select count(*) from movements{}", conditions.clause());
        let count = conditions
            .bind(query(AssertSqlSafe(sql)))
            .fetch_one(&mut *connection)
            .await?;
        Some(count.try_get::<i64>(0)?.cast_unsigned())
    } else {
        None
    };
    if let Some(after) = after {
        let operator = if descending { "<" } else { ">" };
        let row = [
            ("variant", i64::from(after.variant.0)),
            ("occurred_at", after.occurred_at.micros()),
            ("position", after.position.0.cast_signed()),
            ("line", i64::from(after.line)),
        ];
        // A variant that is set already would keep the row from being looked up by its key.
        let row = if filter.variant.is_some() {
            &row[1..]
        } else {
            &row[..]
        };
        conditions.compare_row(row, operator);
    }
    let direction = if descending { "desc" } else { "asc" };
    let skip = i64::try_from(skip).unwrap_or(i64::MAX);
    let clause = conditions.clause();
    let page = conditions.page(limit as i64 + 1, skip);
    let sql = format!(
        "select position, line, warehouse, variant, occurred_at, kind, reason, places, quantity,
            available, reserved, picked, packed, held
         from movements{clause}
         order by variant {direction}, occurred_at {direction}, position {direction}, line {direction}{page}"
    );
    let mut found = conditions.bind(query(AssertSqlSafe(sql))).fetch(connection);
    let mut rows = Vec::new();
    while let Some(row) = found.try_next().await? {
        rows.push(read_movement(&row)?);
    }
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| MovementCursor {
        variant: last.key.variant,
        occurred_at: last.occurred_at,
        position: last.position,
        line: last.line,
    });
    Ok(MovementPage { rows, next, total })
}

fn conditions(filter: &MovementFilter) -> Conditions {
    let mut conditions = Conditions::default();
    if let Some(variant) = filter.variant {
        conditions.equals("variant", i64::from(variant.0));
    }
    if let Some(lot) = filter.lot {
        conditions.equals(&format!("places >> {PLACES_LOT}"), i64::from(lot.0));
    }
    if let Some(kinds) = &filter.kinds {
        conditions.one_of("kind", kinds.iter().map(|kind| i64::from(kind.code())));
    }
    if let Some(warehouses) = &filter.warehouses {
        conditions.one_of("warehouse", warehouses.iter().map(|no| i64::from(no.0)));
    }
    if let Some(from) = filter.occurred_from {
        conditions.compare("occurred_at", ">=", from.micros());
    }
    if let Some(to) = filter.occurred_to {
        conditions.compare("occurred_at", "<=", to.micros());
    }
    conditions
}

fn read_movement(row: &Row) -> Result<MovementRow, sqlx::Error> {
    let places: i64 = row.try_get(7)?;
    Ok(MovementRow {
        position: Position(row.try_get::<i64>(0)?.cast_unsigned()),
        line: row.try_get::<i64>(1)? as u16,
        key: StockKey::from_columns(row.try_get(2)?, row.try_get(3)?),
        occurred_at: Timestamp::from_micros(row.try_get(4)?),
        kind: read_kind(row.try_get(5)?)?,
        reason: read_reason(row.try_get(6)?)?,
        lot: Some(VariantNo((places >> PLACES_LOT) as u32)).filter(|lot| lot.0 > 0),
        from: read_place(places)?,
        to: read_place(places >> 4)?,
        quantity: row.try_get(8)?,
        after: queries::read_buckets(row, 9)?,
    })
}
