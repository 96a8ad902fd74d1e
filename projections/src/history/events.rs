//! Lists of events: filtered, sorted, counted, paged.
//!
//! A list without filters is read straight off an index. A filtered one first asks the counts (by day of occurrence,
//! or by block of positions) where there is anything at all, and reads only there: so a rare kind is found without
//! reading the whole history, a total is a sum over a small table, and a page far in is reached by passing over days.
//! A list of one variant's events is read off its movements.

use bincard_ledger::{Kind, Position, Reason, Timestamp, VariantNo, WarehouseNo};
use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row};

use super::{BLOCK_POSITIONS, EventRow, reason_column};
use crate::filter::Conditions;
use crate::fold::{DAY_MICROS, day_of};

/// Which events to list. A filter that is not set lets everything pass.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EventFilter {
    /// Only these kinds; an empty list lets none pass.
    pub kinds: Option<Vec<Kind>>,
    /// Only at these warehouses; an empty list lets none pass.
    pub warehouses: Option<Vec<WarehouseNo>>,
    /// Only events that move this variant.
    pub variant: Option<VariantNo>,
    /// Only for this reason.
    pub reason: Option<Reason>,
    /// Only what occurred at this instant or later.
    pub occurred_from: Option<Timestamp>,
    /// Only what occurred at this instant or earlier.
    pub occurred_to: Option<Timestamp>,
}

/// By what to sort events; ties are broken by position in the same direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventOrder {
    /// When they occurred.
    OccurredAt,
    /// When they were recorded, which is the order of positions.
    RecordedAt,
}

/// How to sort events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventSort {
    /// By what.
    pub order: EventOrder,
    /// Whether the latest come first.
    pub descending: bool,
}

impl Default for EventSort {
    fn default() -> EventSort {
        EventSort {
            order: EventOrder::OccurredAt,
            descending: true,
        }
    }
}

/// The last event of a page; the next page begins behind it, at the same cost however deep.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventCursor {
    /// When it occurred.
    pub occurred_at: Timestamp,
    /// Its place in the log.
    pub position: Position,
}

/// Where a page begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventStart {
    /// After so many events.
    Skip(u64),
    /// Behind the last event of another page.
    After(EventCursor),
}

/// A page of events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventPage {
    /// The events.
    pub rows: Vec<EventRow>,
    /// Where the next page begins; `None` when there is none.
    pub next: Option<EventCursor>,
    /// How many events pass the filter, where it was asked for.
    pub total: Option<u64>,
}

/// The page of at most `limit` events.
pub(crate) async fn events(
    connection: &mut SqliteConnection,
    filter: &EventFilter,
    sort: EventSort,
    start: EventStart,
    limit: usize,
    with_total: bool,
) -> Result<EventPage, sqlx::Error> {
    let total = if with_total {
        Some(total(connection, filter).await?.cast_unsigned())
    } else {
        None
    };
    let mut list = List {
        filter,
        sort,
        start,
        wanted: limit as i64 + 1,
        rows: Vec::new(),
    };
    if filter.variant.is_some() {
        list.read_movements(connection).await?;
    } else if list.sort.order == EventOrder::RecordedAt && list.has_window() {
        list.read_window(connection).await?;
    } else {
        list.read_slots(connection).await?;
    }
    let mut rows = list.rows;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| EventCursor {
        occurred_at: last.occurred_at,
        position: last.position,
    });
    Ok(EventPage { rows, next, total })
}

/// A window this small is sorted rather than looked for in the order of positions.
const SORTED_WINDOW_EVENTS: i64 = 20_000;
/// How many slots are asked for at once.
const SLOTS_AT_ONCE: i64 = 128;

/// A list under way.
struct List<'f> {
    filter: &'f EventFilter,
    sort: EventSort,
    start: EventStart,
    /// One more than the page takes, to see whether there is a next one.
    wanted: i64,
    rows: Vec<EventRow>,
}

/// A stretch of days or blocks, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stretch {
    first: i64,
    last: i64,
}

impl List<'_> {
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
    async fn read_slots(&mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
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

    /// The slot of an event.
    fn slot_of(&self, occurred_at: Timestamp, position: Position) -> i64 {
        match self.sort.order {
            EventOrder::OccurredAt => day_of(occurred_at.micros()),
            EventOrder::RecordedAt => position.0.cast_signed() / BLOCK_POSITIONS,
        }
    }

    /// The first and last slot that there may be anything in, as far as that is known.
    fn slot_bounds(&self) -> (Option<i64>, Option<i64>) {
        let mut bounds = match self.sort.order {
            EventOrder::OccurredAt => (
                self.filter.occurred_from.map(|at| day_of(at.micros())),
                self.filter.occurred_to.map(|at| day_of(at.micros())),
            ),
            EventOrder::RecordedAt => (None, None),
        };
        if let EventStart::After(cursor) = self.start {
            let slot = self.slot_of(cursor.occurred_at, cursor.position);
            if self.sort.descending {
                bounds.1 = Some(bounds.1.map_or(slot, |last| last.min(slot)));
            } else {
                bounds.0 = Some(bounds.0.map_or(slot, |first| first.max(slot)));
            }
        }
        bounds
    }

    /// Whether all of the slot's counted events are in the list: neither the window nor the cursor cuts it.
    fn is_whole(&self, slot: i64) -> bool {
        if let EventStart::After(cursor) = self.start
            && self.slot_of(cursor.occurred_at, cursor.position) == slot
        {
            return false;
        }
        if self.sort.order == EventOrder::RecordedAt {
            return true;
        }
        let (first, last) = day_span(slot);
        self.filter
            .occurred_from
            .is_none_or(|from| from.micros() <= first)
            && self.filter.occurred_to.is_none_or(|to| last <= to.micros())
    }

    /// The next slots that hold anything that passes the filter, and how much.
    async fn slots(
        &self,
        connection: &mut SqliteConnection,
        (first, last): (Option<i64>, Option<i64>),
    ) -> Result<Vec<(i64, i64)>, sqlx::Error> {
        let mut conditions = Conditions::default();
        if let Some(first) = first {
            conditions.compare("slot", ">=", first);
        }
        if let Some(last) = last {
            conditions.compare("slot", "<=", last);
        }
        filter_content(&mut conditions, self.filter, "");
        let table = match self.sort.order {
            EventOrder::OccurredAt => "event_days",
            EventOrder::RecordedAt => "event_blocks",
        };
        let sql = format!(
            "select slot, cast(sum(events) as bigint) from {table}{} group by slot order by slot {} limit {SLOTS_AT_ONCE}",
            conditions.clause(),
            self.direction(),
        );
        let rows = conditions
            .bind(sqlx::query(AssertSqlSafe(sql)))
            .fetch_all(connection)
            .await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect()
    }

    /// How many events of the list are in a slot that the window cuts.
    async fn count_in(&self, connection: &mut SqliteConnection, slot: i64) -> Result<i64, sqlx::Error> {
        let (first, last) = day_span(slot);
        let from = self
            .filter
            .occurred_from
            .map_or(first, |from| from.micros().max(first));
        let to = self.filter.occurred_to.map_or(last, |to| to.micros().min(last));
        count_events(connection, self.filter, from, to).await
    }

    /// Reads what is missing of the list from one stretch of slots, or from everywhere, after leaving `skip` out.
    async fn read_events(
        &mut self,
        connection: &mut SqliteConnection,
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
    async fn read_window(&mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
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
    async fn read_movements(&mut self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
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
        connection: &mut SqliteConnection,
        conditions: &Conditions,
        sql: String,
    ) -> Result<(), sqlx::Error> {
        let mut rows = conditions.bind(sqlx::query(AssertSqlSafe(sql))).fetch(connection);
        while let Some(row) = rows.try_next().await? {
            self.rows.push(read_event(&row)?);
        }
        Ok(())
    }
}

/// How many events pass the filter.
async fn total(connection: &mut SqliteConnection, filter: &EventFilter) -> Result<i64, sqlx::Error> {
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
    connection: &mut SqliteConnection,
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
        .bind(sqlx::query(AssertSqlSafe(sql)))
        .fetch_one(connection)
        .await?
        .try_get(0)
}

/// How many events from one instant to another, both included, pass the filter.
async fn count_events(
    connection: &mut SqliteConnection,
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
        .bind(sqlx::query(AssertSqlSafe(sql)))
        .fetch_one(connection)
        .await?
        .try_get(0)
}

/// The first and last microsecond of a day.
fn day_span(day: i64) -> (i64, i64) {
    let first = day.saturating_mul(DAY_MICROS);
    (first, first.saturating_add(DAY_MICROS - 1))
}

/// Warehouses, kinds and reason, which the counts have too.
fn filter_content(conditions: &mut Conditions, filter: &EventFilter, prefix: &str) {
    if let Some(warehouses) = &filter.warehouses {
        conditions.one_of(
            &format!("{prefix}warehouse"),
            warehouses.iter().map(|no| i64::from(no.0)),
        );
    }
    if let Some(kinds) = &filter.kinds {
        conditions.one_of(
            &format!("{prefix}kind"),
            kinds.iter().map(|kind| i64::from(kind.code())),
        );
    }
    if filter.reason.is_some() {
        conditions.equals(&format!("{prefix}reason"), reason_column(filter.reason));
    }
}

fn filter_variant(conditions: &mut Conditions, filter: &EventFilter, prefix: &str) {
    if let Some(variant) = filter.variant {
        conditions.equals(&format!("{prefix}variant"), i64::from(variant.0));
        conditions.compare(&format!("{prefix}places"), "<", super::PLACES_REPEATED);
    }
}

fn filter_window(conditions: &mut Conditions, filter: &EventFilter, column: &str) {
    if let Some(from) = filter.occurred_from {
        conditions.compare(column, ">=", from.micros());
    }
    if let Some(to) = filter.occurred_to {
        conditions.compare(column, "<=", to.micros());
    }
}

fn read_event(row: &SqliteRow) -> Result<EventRow, sqlx::Error> {
    Ok(EventRow {
        position: Position(row.try_get::<i64, _>(0)?.cast_unsigned()),
        occurred_at: Timestamp::from_micros(row.try_get(1)?),
        recorded_at: Timestamp::from_micros(row.try_get(2)?),
        warehouse: WarehouseNo(row.try_get::<i64, _>(3)? as u32),
        kind: super::read_kind(row.try_get(4)?)?,
        reason: super::read_reason(row.try_get(5)?)?,
    })
}
