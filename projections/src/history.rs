//! The view of movement history and of stock by day.
//!
//! Both stand in one database, because stock as of an instant is answered from both at one position. The tables:
//!
//! - `events`: a row a stock event, by position. Bodies (lines, notes, keys) are not copied: the log has them.
//! - `event_days` and `event_blocks`: how many events there are a day of occurrence, and a block of positions, by
//!   warehouse, kind and reason. They answer totals, and say which stretches of the log a filtered list may pass over.
//! - `recorded`: every thousandth position and its instant of recording, to find the position of an instant.
//! - `movements`: a row a posting, clustered by variant and occurrence, with what its key holds after it.
//! - `stock_days`: by how much the events of a day of occurrence changed each bucket of a key; `stock_spans`: the same of
//!   16 and of 256 days, so that stock as of a day is the sum of a few rows however many days went before it. What a key's
//!   last 16 days come to stands in `keys` until it moves on a later day: a row that every event wrote to would cost too much.
//! - `lots`: the variants of lots. Movements of a lot stand under its variant, with the lot's number beside the places.
//! - `keys`: what each key holds, and `marks`: what it held every `MARK_MOVEMENTS` of its movements ago, by position.
//!   A movement is found by its position without an index of its own, from the span of occurrences between two marks.
//!
//! Only `movements`, `stock_days` and `stock_spans` are written at random places, and a batch is sorted before it is written.

mod as_of;
mod events;
mod fold;
mod movements;
mod queries;
mod question;
mod recorded;
mod transactions;

use bincard_ledger::{Bucket, Buckets, Kind, Place, Position, Reason, Timestamp, VariantNo, WarehouseNo};

pub use as_of::{AsOf, LotsFilter, StockAsOf};
pub(crate) use as_of::{as_of_one, as_of_page, as_of_total, lots_as_of_page, lots_as_of_total};
pub(crate) use events::events;
pub use events::{EventCursor, EventFilter, EventOrder, EventPage, EventSort, EventStart};
pub(crate) use fold::{History, Rows};
pub(crate) use movements::movements;
pub use movements::{MovementCursor, MovementFilter, MovementPage};
pub(crate) use question::{answer_of, question};
pub use transactions::{TransactionFilter, TransactionRow, TransactionSums};
pub(crate) use transactions::{sums, transactions};

use crate::stock::StockKey;

/// How many days a row of `stock_spans` is about, the longest first, each a multiple of the next. A span begins on a day
/// whose number since 1970-01-01 is a multiple of its days.
pub(crate) const SPANS: [i64; 2] = [256, SPAN_DAYS];
/// The days of the shortest spans.
pub(crate) const SPAN_DAYS: i64 = 16;

/// How many movements of a key lie between two marks.
pub(crate) const MARK_MOVEMENTS: i64 = 64;
/// How many positions share a row of `event_blocks`.
pub(crate) const BLOCK_POSITIONS: i64 = 16_384;
/// How many positions, about, lie between two rows of `recorded`.
pub(crate) const RECORDED_POSITIONS: i64 = 64;

/// An event of the history, without its lines and texts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventRow {
    /// Its place in the log.
    pub position: Position,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// At which warehouse.
    pub warehouse: WarehouseNo,
    /// What kind of movement.
    pub kind: Kind,
    /// Why.
    pub reason: Option<Reason>,
}

/// A movement of one variant: a posting of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MovementRow {
    /// The event.
    pub position: Position,
    /// Which of the event's postings, from 0.
    pub line: u16,
    /// Where and what.
    pub key: StockKey,
    /// Which lot of it.
    pub lot: Option<VariantNo>,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// What kind of movement.
    pub kind: Kind,
    /// Why.
    pub reason: Option<Reason>,
    /// Where it left.
    pub from: Place,
    /// Where it arrived.
    pub to: Place,
    /// How many units.
    pub quantity: i64,
    /// What the key held after it, in the order of recording.
    pub after: Buckets,
}

impl MovementRow {
    /// By how much it changed each bucket.
    pub fn change(&self) -> Buckets {
        let mut change = Buckets::default();
        for bucket in Bucket::ALL {
            let place = Place::Bucket(bucket);
            change.0[bucket as usize] =
                i64::from(self.to == place) * self.quantity - i64::from(self.from == place) * self.quantity;
        }
        change
    }

    /// What the key held before it, in the order of recording.
    pub fn before(&self) -> Buckets {
        let mut before = self.after;
        let change = self.change();
        for bucket in Bucket::ALL {
            before.0[bucket as usize] = before.0[bucket as usize].wrapping_sub(change.0[bucket as usize]);
        }
        before
    }
}

/// How a movement's places stand in `movements.places`: 4 bits from, 4 bits to, and this bit where an earlier posting
/// of the same event moves the same variant. Rows without it are the distinct events of a variant.
pub(crate) const PLACES_REPEATED: i64 = 256;

/// Above so many bits of the same column stands the number of the lot that moved; 0 where it was of none.
pub(crate) const PLACES_LOT: u32 = 16;

/// The number of a reason in the tables; 0 where there is none.
pub(crate) fn reason_column(reason: Option<Reason>) -> i64 {
    reason.map_or(0, |reason| i64::from(reason.code()))
}

/// The kind that a column stands for.
pub(crate) fn read_kind(column: i64) -> Result<Kind, sqlx::Error> {
    let kind = u8::try_from(column).ok().and_then(Kind::from_code);
    kind.ok_or_else(|| sqlx::Error::Decode(format!("there is no kind {column}").into()))
}

/// The reason that a column stands for.
pub(crate) fn read_reason(column: i64) -> Result<Option<Reason>, sqlx::Error> {
    if column == 0 {
        return Ok(None);
    }
    let reason = u8::try_from(column).ok().and_then(Reason::from_code);
    reason
        .map(Some)
        .ok_or_else(|| sqlx::Error::Decode(format!("there is no reason {column}").into()))
}

/// The place that half of the column `places` stands for.
pub(crate) fn read_place(column: i64) -> Result<Place, sqlx::Error> {
    let place = Place::from_code((column & 0xF) as u8);
    place.ok_or_else(|| sqlx::Error::Decode(format!("there are no places {column}").into()))
}
