//! Which position was the last one to be recorded by an instant.
//!
//! What was recorded later stands behind it: instants of recording never decrease with the position. So the position is
//! found by halves. The table `recorded` leads to a stretch of positions, and the events of the stretch are looked at one
//! by one, each time in the middle of those that are left: ten for a stretch, however many events it holds.

use std::sync::LazyLock;

use bincard_ledger::Timestamp;

use super::RECORDED_POSITIONS;
use crate::sql::{Connection, query};

// A half must be whole down to the last position.
const _: () = assert!(RECORDED_POSITIONS.cast_unsigned().is_power_of_two());

/// The table `known`, behind `with recursive`: its only row is the last position that was recorded at an instant or
/// earlier, 0 where there is none. `instant` is the instant's parameter.
///
/// A step goes from an event that was recorded by then to the first one that stands at least `step` positions on, unless
/// that was recorded later: the last one that was recorded by then is less than `step` positions on after it either way.
/// Many positions have no event. Where the stretch ends need not be said: what follows it was recorded later.
pub(super) fn known_tables(instant: &str) -> String {
    let half = RECORDED_POSITIONS / 2;
    format!(
        "found (position, step) as (
            select position, cast({half} as bigint)
            from (
                select position from recorded where recorded_at <= {instant}
                order by recorded_at desc, position desc limit 1
            ) as stretch
            union all
            select
                coalesce(
                    (
                        select case when events.recorded_at <= {instant} then events.position end
                        from events where events.position >= found.position + found.step
                        order by events.position limit 1
                    ),
                    found.position
                ),
                found.step / 2
            from found where found.step > 0
        ), known (position) as (
            select coalesce(max(position), 0) from found
        )"
    )
}

static KNOWN_POSITION: LazyLock<String> =
    LazyLock::new(|| format!("with recursive {} select position from known", known_tables("$1")));

/// The last position that was recorded at an instant or earlier; 0 when there is none.
pub(super) async fn known_position(
    connection: &mut Connection<'_>,
    known_at: Timestamp,
) -> Result<i64, sqlx::Error> {
    query(KNOWN_POSITION.as_str())
        .bind(known_at.micros())
        .fetch_one(connection)
        .await?
        .try_get(0)
}
