//! The events that moved a variant, one by one, with what was available before and after each, and sums over all of them.
//!
//! An event is one transaction, however many postings of it move the variant.

use crate::sql::{Connection, Row, query};
use bincard_ledger::{Bucket, Kind, Position, Reason, Timestamp, VariantNo, WarehouseNo};
use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;

use super::{PLACES_REPEATED, read_kind, read_reason};
use crate::filter::Conditions;

/// Which transactions to list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionFilter {
    /// Of this variant.
    pub variant: VariantNo,
    /// Only at these warehouses, where set; an empty list lets none pass.
    pub warehouses: Option<Vec<WarehouseNo>>,
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only what occurred at this instant or later.
    pub occurred_from: Option<Timestamp>,
    /// Only what occurred at this instant or earlier.
    pub occurred_to: Option<Timestamp>,
    /// Only this event.
    pub position: Option<Position>,
}

/// An event that moved a variant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransactionRow {
    /// The event.
    pub position: Position,
    /// Where.
    pub warehouse: WarehouseNo,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// What kind of movement.
    pub kind: Kind,
    /// Why.
    pub reason: Option<Reason>,
    /// How many units it moved from one place to another.
    pub moved: i64,
    /// By how many units it changed what is on hand.
    pub on_hand_change: i64,
    /// What was available before it, in the order of recording.
    pub available_before: i64,
    /// What was available after it.
    pub available_after: i64,
}

/// Sums over all transactions that pass a filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TransactionSums {
    /// How many there are.
    pub count: u64,
    /// By how many units they changed what is on hand.
    pub on_hand_change: i64,
    /// How many units were reserved.
    pub reserved: i64,
    /// How many units were picked.
    pub picked: i64,
    /// By how many units adjustments changed what is on hand.
    pub adjusted: i64,
}

/// What of a movement arrives at, or leaves, the places below a code.
fn net(places_below: usize) -> String {
    format!(
        "(case when (places >> 4) & 15 < {places_below} then quantity else 0 end
          - case when places & 15 < {places_below} then quantity else 0 end)"
    )
}

/// The last `limit` transactions that pass `filter`, in the order of occurrence.
pub(crate) async fn transactions(
    connection: &mut Connection<'_>,
    filter: &TransactionFilter,
    limit: usize,
) -> Result<Vec<TransactionRow>, sqlx::Error> {
    let mut conditions = conditions(filter);
    let clause = conditions.clause();
    let page = conditions.page(i64::try_from(limit).unwrap_or(i64::MAX), 0);
    // What there was after it, the event's last posting says. The variant is the first condition's.
    let sql = format!(
        "select e.position, e.occurred_at, m.warehouse, m.kind, m.reason, m.available, e.moved, e.on_hand, e.available
         from (
            select occurred_at, position, max(line) as line, cast(sum(quantity) as bigint) as moved,
                cast(sum({}) as bigint) as on_hand, cast(sum({}) as bigint) as available
            from movements{clause} group by occurred_at, position order by occurred_at desc, position desc{page}
         ) e
         cross join movements m
         where m.variant = $1 and m.occurred_at = e.occurred_at and m.position = e.position and m.line = e.line
         order by e.occurred_at desc, e.position desc",
        net(Bucket::ALL.len()),
        net(Bucket::Available as usize + 1),
    );
    let mut found = conditions.bind(query(AssertSqlSafe(sql))).fetch(connection);
    let mut rows = Vec::new();
    while let Some(row) = found.try_next().await? {
        rows.push(read(&row)?);
    }
    rows.reverse();
    Ok(rows)
}

/// The sums over all transactions that pass `filter`.
pub(crate) async fn sums(
    connection: &mut Connection<'_>,
    filter: &TransactionFilter,
) -> Result<TransactionSums, sqlx::Error> {
    let conditions = conditions(filter);
    let of_kind = |kind: Kind, what: &str| {
        let code = kind.code();
        format!("cast(coalesce(sum(case when kind = {code} then {what} else 0 end), 0) as bigint)")
    };
    let on_hand = net(Bucket::ALL.len());
    let sql = format!(
        "select cast(coalesce(sum(case when places & {PLACES_REPEATED} = 0 then 1 else 0 end), 0) as bigint),
            cast(coalesce(sum({on_hand}), 0) as bigint), {}, {}, {}
         from movements{}",
        of_kind(Kind::Reservation, "quantity"),
        of_kind(Kind::Pick, "quantity"),
        of_kind(Kind::Adjust, &on_hand),
        conditions.clause(),
    );
    let row = conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_one(connection)
        .await?;
    Ok(TransactionSums {
        count: row.try_get::<i64>(0)?.cast_unsigned(),
        on_hand_change: row.try_get(1)?,
        reserved: row.try_get(2)?,
        picked: row.try_get(3)?,
        adjusted: row.try_get(4)?,
    })
}

fn conditions(filter: &TransactionFilter) -> Conditions {
    let mut conditions = Conditions::default();
    conditions.equals("variant", i64::from(filter.variant.0));
    if let Some(warehouses) = &filter.warehouses {
        conditions.one_of("warehouse", warehouses.iter().map(|no| i64::from(no.0)));
    }
    if let Some(kind) = filter.kind {
        conditions.equals("kind", i64::from(kind.code()));
    }
    if let Some(from) = filter.occurred_from {
        conditions.compare("occurred_at", ">=", from.micros());
    }
    if let Some(to) = filter.occurred_to {
        conditions.compare("occurred_at", "<=", to.micros());
    }
    if let Some(position) = filter.position {
        conditions.equals("position", position.0.cast_signed());
    }
    conditions
}

fn read(row: &Row) -> Result<TransactionRow, sqlx::Error> {
    let available_after: i64 = row.try_get(5)?;
    let available_change: i64 = row.try_get(8)?;
    Ok(TransactionRow {
        position: Position(row.try_get::<i64>(0)?.cast_unsigned()),
        occurred_at: Timestamp::from_micros(row.try_get(1)?),
        warehouse: WarehouseNo(row.try_get::<i64>(2)? as u32),
        kind: read_kind(row.try_get(3)?)?,
        reason: read_reason(row.try_get(4)?)?,
        moved: row.try_get(6)?,
        on_hand_change: row.try_get(7)?,
        available_before: available_after.wrapping_sub(available_change),
        available_after,
    })
}
