//! Whether what a caller said must be so is so.

use crate::command::Conditions;
use crate::id::{Version, WarehouseNo};
use crate::rejection::{Mismatch, Rejection};
use crate::state::State;
use crate::time::Timestamp;

/// Checks `wanted` at a warehouse that exists. What has run out counts as available.
pub(super) fn check_all(
    state: &State,
    warehouse: WarehouseNo,
    wanted: &Conditions,
    now: Timestamp,
) -> Result<(), Rejection> {
    check_version(state, warehouse, wanted.version)?;
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

/// Checks the version that the stream of a warehouse that exists is to have come to.
pub(super) fn check_version(
    state: &State,
    warehouse: WarehouseNo,
    expected: Option<Version>,
) -> Result<(), Rejection> {
    let present = state.warehouse(warehouse).map(|found| found.version);
    present.map_or(Ok(()), |present| check(present, expected))
}

/// Checks the version that a stream is to have come to.
pub(super) fn check(present: Version, expected: Option<Version>) -> Result<(), Rejection> {
    match expected.filter(|expected| *expected != present) {
        None => Ok(()),
        Some(expected) => Err(Rejection::VersionMismatch { expected, present }),
    }
}
