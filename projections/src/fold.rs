//! What the folds of several views have in common.

use bincard_ledger::{Buckets, Place, Posting};

/// `buckets` after `posting`; `None` on overflow.
///
/// Unlike the ledger's own rule this takes a bucket below zero without a word: a fold records what happened and never
/// judges it.
pub(crate) fn moved(mut buckets: Buckets, posting: &Posting) -> Option<Buckets> {
    if let Place::Bucket(bucket) = posting.from {
        let left = &mut buckets.0[bucket as usize];
        *left = left.checked_sub(posting.quantity)?;
    }
    if let Place::Bucket(bucket) = posting.to {
        let there = &mut buckets.0[bucket as usize];
        *there = there.checked_add(posting.quantity)?;
    }
    Some(buckets)
}

/// Microseconds of a day.
pub(crate) const DAY_MICROS: i64 = 86_400_000_000;

/// The day of an instant: days since 1970-01-01 in UTC.
pub(crate) const fn day_of(micros: i64) -> i64 {
    micros.div_euclid(DAY_MICROS)
}

/// The first and last microsecond of a day.
pub(crate) fn day_span(day: i64) -> (i64, i64) {
    let first = day.saturating_mul(DAY_MICROS);
    (first, first.saturating_add(DAY_MICROS - 1))
}
