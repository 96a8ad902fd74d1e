//! Lists of events: filtered, sorted, counted, paged.
//!
//! A list without filters is read straight off an index. A filtered one first asks the counts (by day of occurrence,
//! or by block of positions) where there is anything at all, and reads only there: so a rare kind is found without
//! reading the whole history, a total is a sum over a small table, and a page far in is reached by passing over days.
//! A list of one variant's events is read off its movements.

mod conditions;
mod list;
mod total;

use crate::sql::Connection;
use bincard_ledger::{Kind, Position, Reason, Timestamp, VariantNo, WarehouseNo};

use super::EventRow;
use list::List;
use total::total;

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
    connection: &mut Connection<'_>,
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
    let mut rows = List::new(filter, sort, start, limit as i64 + 1)
        .read(connection)
        .await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| EventCursor {
        occurred_at: last.occurred_at,
        position: last.position,
    });
    Ok(EventPage { rows, next, total })
}
