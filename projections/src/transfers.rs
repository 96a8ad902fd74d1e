//! The view of transfers: what went from one warehouse to another, what arrived of it, and what is still on the way.
//!
//! A row a transfer, a row a variant of it, and a row an event of it. Rows of transfers that are over stay as they ended.
//! Only transfers that say where they go are here; stock that is on the way under a name alone is not.

mod fold;
mod queries;

use bincard_ledger::{Account, Place, Position, StockEvent, Timestamp, VariantNo, WarehouseNo};

pub(crate) use fold::Transfers;
pub use queries::TransferFilter;
pub(crate) use queries::{one, page, total};

/// How a transfer stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TransferState {
    /// Something is on the way.
    Open,
    /// Everything arrived.
    Received,
    /// What had not arrived was written off.
    Closed,
}

/// A transfer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransferRow {
    /// Its id: the position of the event that opened it.
    pub id: Position,
    /// What its caller calls it.
    pub name: Option<String>,
    /// Where it comes from.
    pub source: WarehouseNo,
    /// Where it goes.
    pub destination: WarehouseNo,
    /// How it stands.
    pub state: TransferState,
    /// When the event occurred that ended it.
    pub ended_at: Option<Timestamp>,
    /// What it is of, in the order of variants.
    pub lines: Vec<TransferLine>,
    /// Its events, in the order of the log.
    pub events: Vec<Position>,
}

/// What became of the units of one variant that were sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TransferLine {
    /// Of what.
    pub variant: VariantNo,
    /// Units that left the source.
    pub sent: i64,
    /// Units that arrived sound.
    pub received: i64,
    /// Units that arrived damaged.
    pub damaged: i64,
    /// Units that receipts found missing, and that did not turn up since.
    pub short: i64,
    /// Units that were written off.
    pub written_off: i64,
}

impl TransferLine {
    /// The lines of a transfer as the TRANSFER_OUT event `opened` it, by variant, ascending.
    pub fn as_opened(opened: &StockEvent) -> Vec<TransferLine> {
        // What a count had seen leave comes back beside it, and is not on the way.
        let transit = Place::Account(Account::Transit);
        let sent = opened.postings.iter().filter(|posting| posting.to == transit);
        let sent = sent.map(|posting| TransferLine {
            variant: posting.variant,
            sent: posting.quantity,
            ..TransferLine::default()
        });
        let mut lines: Vec<_> = sent.collect();
        lines.sort_unstable_by_key(|line| line.variant);
        lines
    }

    /// How many units are still on the way.
    pub fn in_transit(&self) -> i64 {
        let gone = [self.received, self.damaged, self.written_off];
        gone.into_iter().fold(self.sent, i64::saturating_sub)
    }
}
