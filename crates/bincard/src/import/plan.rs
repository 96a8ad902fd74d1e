//! What an import asks of a ledger, a chunk at a time: catalogue entries, events in order, and rows that it gives back
//! without asking.

use bincard_ledger::{Kind, Reason, Timestamp};

use super::row::Record;

/// A SKU's number within one import.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct SkuNo(pub(crate) u32);

/// A warehouse's number within one import.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct DepotNo(pub(crate) u32);

/// A part of an import: what is handed over at once. What its events need stands in it or in one before it.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) depots: Vec<PlannedWarehouse>,
    pub(crate) variants: Vec<PlannedVariant>,
    pub(crate) events: Vec<PlannedEvent>,
    /// Rows that cannot be imported. The other rows of their events are.
    pub(crate) rejected: Vec<GivenBack>,
    /// Events that are refused before the ledger is asked.
    pub(crate) refused: Vec<RefusedEvent>,
    /// How many rows were read for it.
    pub(crate) rows: u64,
}

/// A warehouse that events name, made unless there is one with its code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PlannedWarehouse {
    pub(crate) no: DepotNo,
    pub(crate) code: Box<str>,
    pub(crate) name: Box<str>,
}

/// A SKU that rows name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PlannedVariant {
    pub(crate) no: SkuNo,
    pub(crate) sku: Box<str>,
    /// Its name; the SKU itself when rows have none.
    pub(crate) name: Box<str>,
    /// Whether it is made when there is none; else it must be there.
    pub(crate) create: bool,
}

/// A stock event to record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PlannedEvent {
    pub(crate) kind: Kind,
    pub(crate) reason: Option<Reason>,
    pub(crate) depot: DepotNo,
    pub(crate) occurred_at: Timestamp,
    pub(crate) notes: Option<Box<str>>,
    /// The idempotency key.
    pub(crate) key: Box<str>,
    /// Each SKU once, no quantity zero.
    pub(crate) lines: Vec<(SkuNo, i64)>,
    /// The rows it is made of.
    pub(crate) rows: Vec<PlannedRow>,
}

/// A row of an event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PlannedRow {
    pub(crate) row: Record,
    /// The number of the rule that took it.
    pub(crate) rule: usize,
}

/// A row that is not imported, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct GivenBack {
    pub(crate) row: Record,
    /// The number of the rule under which it is counted, if any.
    pub(crate) rule: Option<usize>,
    pub(crate) reason: String,
}

/// An event whose rows do not make one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RefusedEvent {
    /// The key that its rows came with.
    pub(crate) key: Box<str>,
    pub(crate) rows: Vec<GivenBack>,
}

impl Chunk {
    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
            && self.depots.is_empty()
            && self.variants.is_empty()
            && self.events.is_empty()
            && self.rejected.is_empty()
            && self.refused.is_empty()
    }
}
