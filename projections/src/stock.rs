//! The view of stock on hand: what lies in each bucket of every variant at every warehouse, now.
//!
//! "Now" is the view's checkpoint. Reservations with an expiry are kept beside the buckets, so that a query can count
//! what has run out by its own `now` but is not recorded as such yet: it is available, and no longer reserved.
//!
//! Beside it stands the version that each warehouse's stream has come to, for who wants to write only if nothing came in
//! between.
//!
//! Single keys are answered from memory, pages from the database.

mod fold;
mod memory;
mod queries;

use bincard_ledger::{Bucket, Buckets, Position, VariantNo, WarehouseNo};

pub(crate) use fold::{Rows, Standing, Stock};
pub use queries::StockFilter;
pub(crate) use queries::{page, standing, total};

/// Where stock of one variant lies. Pages are ordered by it: by warehouse, then by variant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StockKey {
    /// Where.
    pub warehouse: WarehouseNo,
    /// What.
    pub variant: VariantNo,
}

/// The stock of one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StockRow {
    /// Where and what.
    pub key: StockKey,
    /// What lies in each bucket, run-out reservations counted as available.
    pub buckets: Buckets,
    /// The last event that changed it; 0 when there was none.
    pub changed: Position,
}

/// `buckets`, of which `run_out` units are no longer reserved but available.
pub(crate) fn with_run_out(mut buckets: Buckets, run_out: i64) -> Buckets {
    buckets.0[Bucket::Available as usize] = buckets.0[Bucket::Available as usize].saturating_add(run_out);
    buckets.0[Bucket::Reserved as usize] = buckets.0[Bucket::Reserved as usize].saturating_sub(run_out);
    buckets
}
