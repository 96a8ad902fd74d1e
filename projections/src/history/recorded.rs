//! Which position was the last one to be recorded by an instant.
//!
//! What was recorded later stands behind it: instants of recording never decrease with the position. The table `recorded`
//! has the first event of each stretch of positions, and leads to the stretch; its events are few enough to be looked at.

use std::sync::LazyLock;

use bincard_ledger::Timestamp;

use super::RECORDED_POSITIONS;
use crate::sql::{Connection, query};

/// The table `known`, behind `with`: its only row is the last position that was recorded at an instant or earlier, 0 where
/// there is none. `instant` is the instant's parameter.
///
/// Where the stretch ends exactly need not be said: what follows it was recorded later.
pub(super) fn known_table(instant: &str) -> String {
    format!(
        "known (position) as (
            select coalesce(max(events.position), 0)
            from (
                select position from recorded where recorded_at <= {instant}
                order by recorded_at desc, position desc limit 1
            ) as stretch cross join events
            where events.position >= stretch.position and events.position < stretch.position + {RECORDED_POSITIONS}
                and events.recorded_at <= {instant}
        )"
    )
}

static KNOWN_POSITION: LazyLock<String> =
    LazyLock::new(|| format!("with {} select position from known", known_table("$1")));

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
