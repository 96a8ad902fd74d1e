//! How many events pass a filter: sums over the counts by day, and over rows where a window cuts a day.

use crate::sql::{Connection, query};
use bincard_ledger::Timestamp;
use sqlx::AssertSqlSafe;

use super::EventFilter;
use super::conditions::{filter_content, filter_variant};
use crate::filter::Conditions;
use crate::fold::{day_of, day_span};

/// How many events pass the filter.
pub(super) async fn total(connection: &mut Connection<'_>, filter: &EventFilter) -> Result<i64, sqlx::Error> {
    let counts_rows = filter.variant.is_some() && (filter.kinds.is_some() || filter.reason.is_some());
    let from = filter.occurred_from.map_or(i64::MIN, Timestamp::micros);
    let to = filter.occurred_to.map_or(i64::MAX, Timestamp::micros);
    if from > to {
        return Ok(0);
    }
    if counts_rows {
        return count_events(connection, filter, from, to).await;
    }
    // Whole days are counted by their rows, what sticks out of them by its events.
    let first_day = if day_span(day_of(from)).0 >= from {
        day_of(from)
    } else {
        day_of(from) + 1
    };
    let last_day = if day_span(day_of(to)).1 <= to {
        day_of(to)
    } else {
        day_of(to) - 1
    };
    if first_day > last_day {
        return count_events(connection, filter, from, to).await;
    }
    let mut total = count_days(connection, filter, first_day, last_day).await?;
    if filter.occurred_from.is_some() && from < day_span(first_day).0 {
        total += count_events(connection, filter, from, day_span(first_day).0 - 1).await?;
    }
    if filter.occurred_to.is_some() && to > day_span(last_day).1 {
        total += count_events(connection, filter, day_span(last_day).1 + 1, to).await?;
    }
    Ok(total)
}

/// How many events of whole days pass the filter.
async fn count_days(
    connection: &mut Connection<'_>,
    filter: &EventFilter,
    first: i64,
    last: i64,
) -> Result<i64, sqlx::Error> {
    let mut conditions = Conditions::default();
    let (table, day) = if filter.variant.is_some() {
        ("stock_days", "day")
    } else {
        ("event_days", "slot")
    };
    if let Some(variant) = filter.variant {
        conditions.equals("variant", i64::from(variant.0));
    }
    filter_content(&mut conditions, filter, "");
    if filter.occurred_from.is_some() {
        conditions.compare(day, ">=", first);
    }
    if filter.occurred_to.is_some() {
        conditions.compare(day, "<=", last);
    }
    let sql = format!(
        "select cast(coalesce(sum(events), 0) as bigint) from {table}{}",
        conditions.clause()
    );
    conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_one(connection)
        .await?
        .try_get(0)
}

/// How many events from one instant to another, both included, pass the filter.
pub(super) async fn count_events(
    connection: &mut Connection<'_>,
    filter: &EventFilter,
    from: i64,
    to: i64,
) -> Result<i64, sqlx::Error> {
    let mut conditions = Conditions::default();
    filter_variant(&mut conditions, filter, "");
    conditions.compare("occurred_at", ">=", from);
    conditions.compare("occurred_at", "<=", to);
    let single = filter.warehouses.as_ref().is_some_and(|list| list.len() == 1);
    filter_content(
        &mut conditions,
        filter,
        if single || filter.variant.is_some() {
            ""
        } else {
            "+"
        },
    );
    let table = if filter.variant.is_some() {
        "movements"
    } else {
        "events"
    };
    let sql = format!("select count(*) from {table}{}", conditions.clause());
    conditions
        .bind(query(AssertSqlSafe(sql)))
        .fetch_one(connection)
        .await?
        .try_get(0)
}
