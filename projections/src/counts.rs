//! The view of counts: what was found on the shelves, all that was submitted, and what came of it.
//!
//! A row a count, a row a variant that it names, a row a line that was submitted, and a row a line that was approved. How a
//! count was opened, by whom and whether it is blind is for the log to say.

mod fold;
mod queries;

use bincard_ledger::{Position, Timestamp, VariantNo, WarehouseNo};

pub(crate) use fold::Counts;
pub use queries::CountFilter;
pub(crate) use queries::{one, page, total};

/// How a count stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CountState {
    /// It is being counted.
    Open,
    /// What was counted is right.
    Approved,
    /// Nothing came of it.
    Cancelled,
}

/// A count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CountRow {
    /// Its id: the position of the event that opened it.
    pub id: Position,
    /// Where.
    pub warehouse: WarehouseNo,
    /// How it stands.
    pub state: CountState,
    /// The event that ended it, of an approval in parts the first; `None` while it is open.
    pub ended: Option<Position>,
    /// Of how many variants something was submitted.
    pub counted: u64,
}

/// A count, and what was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CountSheet {
    /// The count.
    pub count: CountRow,
    /// What was found, by variant, ascending.
    pub lines: Vec<SheetLine>,
}

/// What was found of one variant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SheetLine {
    /// Of what.
    pub variant: VariantNo,
    /// All that was submitted, not empty, in the order of the log: the last one counts.
    pub submissions: Vec<Submission>,
    /// How many units the approval expected; `None` before it. Movements that were recorded between submission and approval,
    /// and had occurred before the counting, are in it.
    pub approved: Option<i64>,
}

/// What was submitted of one variant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Submission {
    /// The event that did.
    pub event: Position,
    /// How many units were found.
    pub counted: i64,
    /// When they were counted.
    pub counted_at: Timestamp,
    /// How many units were on hand then by the books, as far as they were known when this was submitted.
    pub expected: i64,
}
