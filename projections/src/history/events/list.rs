//! How a list of events is read: straight off an index, or slot by slot where the counts say that there is anything.

mod slots;

use crate::sql::{Connection, Row, query};
use bincard_ledger::{Position, Timestamp, WarehouseNo};
use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;

use super::conditions::{filter_content, filter_variant, filter_window};
use super::total::total;
use super::{EventFilter, EventOrder, EventSort, EventStart};
use crate::filter::Conditions;
use crate::fold::day_span;
use crate::history::{BLOCK_POSITIONS, EventRow, read_kind, read_reason};
use slots::{SLOTS_AT_ONCE, Stretch};

/// A window this small is sorted rather than looked for in the order of positions.
const SORTED_WINDOW_EVENTS: i64 = 20_000;

/// A list under way.
pub(super) struct List<'f> {
    filter: &'f EventFilter,
    sort: EventSort,
    start: EventStart,
    /// One more than the page takes, to see whether there is a next one.
    wanted: i64,
    rows: Vec<EventRow>,
}

impl<'f> List<'f> {
    /// A list of at most `wanted` events.
    pub(super) fn new(filter: &'f EventFilter, sort: EventSort, start: EventStart, wanted: i64) -> List<'f> {
        List {
            filter,
            sort,
            start,
            wanted,
            rows: Vec::new(),
        }
    }

    /// Reads it.
    pub(super) async fn read(
        mut self,
        connection: &mut Connection<'_>,
    ) -> Result<Vec<EventRow>, sqlx::Error> {
        if self.filter.variant.is_some() {
            self.read_movements(connection).await?;
        } else if self.sort.order == EventOrder::RecordedAt && self.has_window() {
            self.read_window(connection).await?;
        } else {
            self.read_slots(connection).await?;
        }
        Ok(self.rows)
    }

    fn has_window(&self) -> bool {
        self.filter.occurred_from.is_some() || self.filter.occurred_to.is_some()
    }

    fn direction(&self) -> &'static str {
        if self.sort.descending { "desc" } else { "asc" }
    }

    fn left(&self) -> i64 {
        self.wanted - self.rows.len() as i64
    }

    /// Reads a list that is ordered by occurrence, or by position without a window, slot by slot.
    async fn read_slots(&mut self, connection: &mut Connection<'_>) -> Result<(), sqlx::Error> {
        let mut skip = match self.start {
            EventStart::Skip(count) => i64::try_from(count).unwrap_or(i64::MAX),
            EventStart::After(_) => 0,
        };
        if skip == 0 && self.reads_index_only() {
            return self.read_events(connection, None, 0).await;
        }
        let mut bounds = self.slot_bounds();
        let mut run: Option<(Stretch, i64)> = None;
        loop {
            let slots = self.slots(connection, bounds).await?;
            for &(slot, count) in &slots {
                let passes_over = skip > 0 && run.is_none();
                // What a slot that is cut holds of the list is not known without counting.
                let sure = match self.is_whole(slot) {
                    true => count,
                    false if passes_over => self.count_in(connection, slot).await?,
                    false => 0,
                };
                if passes_over && skip >= sure {
                    skip -= sure;
                    continue;
                }
                run = match run {
                    Some((stretch, events)) if stretch.first - 1 == slot => Some((
                        Stretch {
                            first: slot,
                            ..stretch
                        },
                        events + sure,
                    )),
                    Some((stretch, events)) if stretch.last + 1 == slot => Some((
                        Stretch {
                            last: slot,
                            ..stretch
                        },
                        events + sure,
                    )),
                    other => {
                        if let Some((stretch, _)) = other {
                            self.read_events(connection, Some(stretch), std::mem::take(&mut skip))
                                .await?;
                        }
                        Some((
                            Stretch {
                                first: slot,
                                last: slot,
                            },
                            sure,
                        ))
                    }
                };
                if let Some((stretch, events)) = run
                    && events >= self.left() + skip
                {
                    self.read_events(connection, Some(stretch), std::mem::take(&mut skip))
                        .await?;
                    run = None;
                }
                if self.left() <= 0 {
                    return Ok(());
                }
            }
            let Some(&(last, _)) = slots.last().filter(|_| slots.len() as i64 == SLOTS_AT_ONCE) else {
                break;
            };
            if self.sort.descending {
                bounds.1 = Some(last - 1);
            } else {
                bounds.0 = Some(last + 1);
            }
        }
        if let Some((stretch, _)) = run {
            self.read_events(connection, Some(stretch), skip).await?;
        }
        Ok(())
    }

    /// Whether an index gives the list as it is, so that there is nothing to pass over.
    fn reads_index_only(&self) -> bool {
        let by_occurrence = self.sort.order == EventOrder::OccurredAt;
        let warehouses = self.filter.warehouses.as_ref().map(Vec::len);
        self.filter.kinds.is_none()
            && self.filter.reason.is_none()
            && (warehouses.is_none() || (warehouses == Some(1) && by_occurrence))
    }

    /// Reads what is missing of the list from one stretch of slots, or from everywhere, after leaving `skip` out.
    async fn read_events(
        &mut self,
        connection: &mut Connection<'_>,
        stretch: Option<Stretch>,
        skip: i64,
    ) -> Result<(), sqlx::Error> {
        let mut conditions = Conditions::default();
        // A plus sign keeps an index from being chosen for a column that would give the wrong order.
        let (order, other) = match self.sort.order {
            EventOrder::OccurredAt => ("occurred_at", "position"),
            EventOrder::RecordedAt => ("position", ""),
        };
        match (self.sort.order, stretch) {
            (EventOrder::OccurredAt, stretch) => {
                let span = stretch.map(|of| (day_span(of.first).0, day_span(of.last).1));
                let from = self.filter.occurred_from.map(Timestamp::micros);
                let to = self.filter.occurred_to.map(Timestamp::micros);
                if let Some(from) = span.map(|span| span.0).into_iter().chain(from).max() {
                    conditions.compare("occurred_at", ">=", from);
                }
                if let Some(to) = span.map(|span| span.1).into_iter().chain(to).min() {
                    conditions.compare("occurred_at", "<=", to);
                }
            }
            (EventOrder::RecordedAt, Some(of)) => {
                conditions.compare("position", ">=", of.first * BLOCK_POSITIONS);
                conditions.compare("position", "<", (of.last + 1) * BLOCK_POSITIONS);
            }
            (EventOrder::RecordedAt, None) => {}
        }
        self.behind_cursor(&mut conditions, "");
        let single = self.sort.order == EventOrder::OccurredAt
            && self
                .filter
                .warehouses
                .as_ref()
                .is_some_and(|list| list.len() == 1);
        filter_content(&mut conditions, self.filter, if single { "" } else { "+" });
        let direction = self.direction();
        let then = if other.is_empty() {
            String::new()
        } else {
            format!(", {other} {direction}")
        };
        let clause = conditions.clause();
        let page = conditions.page(self.left(), skip);
        let sql = format!(
            "select position, occurred_at, recorded_at, warehouse, kind, reason from events{clause}
             order by {order} {direction}{then}{page}"
        );
        self.fetch(connection, &conditions, sql).await
    }

    /// Reads a list ordered by position of what occurred in a window.
    async fn read_window(&mut self, connection: &mut Connection<'_>) -> Result<(), sqlx::Error> {
        let few = total(connection, self.filter).await? <= SORTED_WINDOW_EVENTS;
        // Few events are found by occurrence and sorted; many are met soon enough in the order of positions.
        let (occurred_at, position) = if few {
            ("occurred_at", "+position")
        } else {
            ("+occurred_at", "position")
        };
        let mut conditions = Conditions::default();
        filter_window(&mut conditions, self.filter, occurred_at);
        self.behind_cursor(&mut conditions, if few { "+" } else { "" });
        let single = few
            && self
                .filter
                .warehouses
                .as_ref()
                .is_some_and(|list| list.len() == 1);
        filter_content(&mut conditions, self.filter, if single { "" } else { "+" });
        let skip = match self.start {
            EventStart::Skip(count) => i64::try_from(count).unwrap_or(i64::MAX),
            EventStart::After(_) => 0,
        };
        let (clause, direction) = (conditions.clause(), self.direction());
        let page = conditions.page(self.left(), skip);
        let sql = format!(
            "select position, occurred_at, recorded_at, warehouse, kind, reason from events{clause}
             order by {position} {direction}{page}"
        );
        self.fetch(connection, &conditions, sql).await
    }

    /// Reads a list of one variant's events.
    async fn read_movements(&mut self, connection: &mut Connection<'_>) -> Result<(), sqlx::Error> {
        let mut conditions = Conditions::default();
        filter_variant(&mut conditions, self.filter, "m.");
        filter_window(&mut conditions, self.filter, "m.occurred_at");
        filter_content(&mut conditions, self.filter, "m.");
        self.behind_cursor(&mut conditions, "m.");
        let skip = match self.start {
            EventStart::Skip(count) => i64::try_from(count).unwrap_or(i64::MAX),
            EventStart::After(_) => 0,
        };
        let direction = self.direction();
        let order = match self.sort.order {
            EventOrder::OccurredAt => format!("m.occurred_at {direction}, m.position {direction}"),
            EventOrder::RecordedAt => format!("m.position {direction}"),
        };
        let clause = conditions.clause();
        let page = conditions.page(self.left(), skip);
        let sql = format!(
            "select m.position, m.occurred_at, e.recorded_at, m.warehouse, m.kind, m.reason
             from movements m cross join events e{clause} and e.position = m.position
             order by {order}{page}"
        );
        self.fetch(connection, &conditions, sql).await
    }

    fn behind_cursor(&self, conditions: &mut Conditions, prefix: &str) {
        let EventStart::After(cursor) = self.start else {
            return;
        };
        let (occurred_at, position) = (format!("{prefix}occurred_at"), format!("{prefix}position"));
        let (at, place) = (cursor.occurred_at.micros(), cursor.position.0.cast_signed());
        match (self.sort.order, self.sort.descending) {
            (EventOrder::OccurredAt, true) => conditions.before(&occurred_at, at, &position, place),
            (EventOrder::OccurredAt, false) => conditions.after(&occurred_at, at, &position, place),
            (EventOrder::RecordedAt, true) => conditions.compare(&position, "<", place),
            (EventOrder::RecordedAt, false) => conditions.compare(&position, ">", place),
        }
    }

    async fn fetch(
        &mut self,
        connection: &mut Connection<'_>,
        conditions: &Conditions,
        sql: String,
    ) -> Result<(), sqlx::Error> {
        let mut rows = conditions.bind(query(AssertSqlSafe(sql))).fetch(connection);
        while let Some(row) = rows.try_next().await? {
            self.rows.push(read_event(&row)?);
        }
        Ok(())
    }
}

fn read_event(row: &Row) -> Result<EventRow, sqlx::Error> {
    Ok(EventRow {
        position: Position(row.try_get::<i64>(0)?.cast_unsigned()),
        occurred_at: Timestamp::from_micros(row.try_get(1)?),
        recorded_at: Timestamp::from_micros(row.try_get(2)?),
        warehouse: WarehouseNo(row.try_get::<i64>(3)? as u32),
        kind: read_kind(row.try_get(4)?)?,
        reason: read_reason(row.try_get(5)?)?,
    })
}
