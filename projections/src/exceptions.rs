//! The view of exceptions: what somebody is to see to, and what was seen to.
//!
//! A row an exception, which is the event that made it, and a row a line of it. An exception stays open until somebody
//! clears it, whatever becomes of the stock meanwhile.

mod fold;
mod queries;

use bincard_ledger::{ExceptionType, Position, WarehouseNo};

pub use bincard_ledger::event::ExceptionLine;
pub(crate) use fold::Exceptions;
pub use queries::ExceptionFilter;
pub(crate) use queries::{one, page, total};

/// An exception.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExceptionRow {
    /// Its id: the position of the event that made it.
    pub id: Position,
    /// What it is about.
    pub kind: ExceptionType,
    /// Where.
    pub warehouse: WarehouseNo,
    /// The event that cleared it; `None` while it is open.
    pub cleared: Option<Position>,
    /// What it is of, in the order of the event.
    pub lines: Vec<ExceptionLine>,
}
