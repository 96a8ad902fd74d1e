//! Whether what a caller said must be so is so.

use crate::command::Conditions;
use crate::id::WarehouseNo;
use crate::rejection::{Mismatch, Rejection};
use crate::state::State;
use crate::time::Timestamp;

/// Checks `wanted` at a warehouse that exists. What has run out counts as available.
pub(super) fn check(
    state: &State,
    warehouse: WarehouseNo,
    wanted: &Conditions,
    now: Timestamp,
) -> Result<(), Rejection> {
    let present = state.warehouse(warehouse).map(|found| found.version);
    if let (Some(expected), Some(present)) = (wanted.version, present)
        && expected != present
    {
        return Err(Rejection::VersionMismatch { expected, present });
    }
    let mismatch = |&(variant, expected)| {
        let available = state.available_at(warehouse, variant, now);
        (available != expected).then_some(Mismatch {
            variant,
            expected,
            available,
        })
    };
    let lines: Vec<_> = wanted.available.iter().filter_map(mismatch).collect();
    if lines.is_empty() {
        Ok(())
    } else {
        Err(Rejection::AvailableMismatch { lines })
    }
}
