//! The slots of a list: days of occurrence or blocks of positions, and how many events each of them holds.

use crate::sql::{Connection, query};
use bincard_ledger::{Position, Timestamp};
use sqlx::AssertSqlSafe;

use super::List;
use crate::filter::Conditions;
use crate::fold::{day_of, day_span};
use crate::history::BLOCK_POSITIONS;
use crate::history::events::conditions::filter_content;
use crate::history::events::total::count_events;
use crate::history::events::{EventOrder, EventStart};

/// How many slots are asked for at once.
pub(super) const SLOTS_AT_ONCE: i64 = 128;

/// A stretch of days or blocks, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stretch {
    pub(super) first: i64,
    pub(super) last: i64,
}

impl List<'_> {
    /// The slot of an event.
    fn slot_of(&self, occurred_at: Timestamp, position: Position) -> i64 {
        match self.sort.order {
            EventOrder::OccurredAt => day_of(occurred_at.micros()),
            EventOrder::RecordedAt => position.0.cast_signed() / BLOCK_POSITIONS,
        }
    }

    /// The first and last slot that there may be anything in, as far as that is known.
    pub(super) fn slot_bounds(&self) -> (Option<i64>, Option<i64>) {
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
    pub(super) fn is_whole(&self, slot: i64) -> bool {
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
    pub(super) async fn slots(
        &self,
        connection: &mut Connection<'_>,
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
            .bind(query(AssertSqlSafe(sql)))
            .fetch_all(connection)
            .await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect()
    }

    /// How many events of the list are in a slot that the window cuts.
    pub(super) async fn count_in(
        &self,
        connection: &mut Connection<'_>,
        slot: i64,
    ) -> Result<i64, sqlx::Error> {
        let (first, last) = day_span(slot);
        let from = self
            .filter
            .occurred_from
            .map_or(first, |from| from.micros().max(first));
        let to = self.filter.occurred_to.map_or(last, |to| to.micros().min(last));
        count_events(connection, self.filter, from, to).await
    }
}
