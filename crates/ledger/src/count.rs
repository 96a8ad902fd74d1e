//! Counts: what somebody found on the shelves, and what follows from it.
//!
//! A count is an observation of what is on hand, at the instant of counting. What was *expected* at that instant is what
//! was on hand by everything that had occurred before it, whenever that was recorded; nothing is frozen meanwhile, and
//! goods come and go. The variance is what was counted minus what was expected, and approving the count posts it.
//!
//! Before and after: a movement occurred at the instant that it says, or when it was recorded where it claims to lie ahead
//! of that. What occurred at the very instant of counting was before it if it was recorded before the count was
//! submitted. So two things must be known without history, and only of what is counted:
//!
//! - of a count that is open, what moved since it was opened, because what is submitted now may have been counted a while
//!   ago;
//! - of a stock key, when it was counted last by a count that was approved. What is recorded after that and occurred
//!   before was seen by whoever counted, so it carries its own compensation: on hand stays what was counted plus what
//!   happened after.
//!
//! What cannot be is not believed, whatever a movement says. Nothing of a reservation has left before the reservation was
//! made, which is when the ledger recorded it: until then the goods were nobody's. And nothing of a transfer has arrived
//! before it was sent, which is a fact and occurred when its dispatch says. So a SHIP of what was promised after the
//! counting is after it, and is never compensated; of several reservations of one variant in one event the last one counts.
//! What goes on with nothing (an INBOUND, OUTBOUND, ADJUST or TRANSFER_OUT) is believed, however much it moves: what the
//! books had before a count is no measure of what there was. What moves between buckets (a HOLD, PICK or RELEASE, say)
//! changes nothing on hand and is before and after no count.
//!
//! A reversal puts the books right about the time of what it undoes, and so is before a count that this was before: on hand
//! stays as counted. Of what occurred after the counting it moves everything back.
//!
//! Goods in lots are counted lot by lot, and all of this is so of each lot. A late line that names none is taken from the
//! lots that there are when it is recorded, in their order.
//!
//! A count is of a whole warehouse or of some variants, and a stock key is under one open count at most. A variant may be
//! counted again; the last submission counts, and all of them stay in the log. What was not counted stays as it was.
//!
//! What is missing is taken from what is available; then from what is reserved, the reservation last made first, each by a
//! RELEASE that is an exception to be seen to; then from what is held, picked and packed. Where more has left since the
//! counting than was counted, a warehouse that records negative stock records it, and another one refuses the approval.

use crate::id::VariantNo;
use crate::time::Timestamp;

/// The most variants of one count that have been counted: what an approval posts is appended at once.
pub const COUNTED_MAX: usize = 50_000;
/// The most units that can be counted of one variant.
pub const UNITS_MAX: i64 = 1_000_000_000_000;
/// The most lines of one event of an approval.
pub(crate) const APPROVED_LINES_MAX: usize = 1_000;

/// What was found of one variant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CountLine {
    /// Of what.
    pub variant: VariantNo,
    /// When it was counted.
    pub at: Timestamp,
    /// How many units were found on hand.
    pub counted: i64,
    /// How many units were on hand then by the books, as far as they were known when this was recorded.
    pub expected: i64,
}

impl CountLine {
    /// How many units more were found than there were by the books. In a ledger it fits.
    pub fn variance(&self) -> i64 {
        self.counted.saturating_sub(self.expected)
    }
}

/// What an event has to do with counting.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Counting {
    /// Of a COUNT_OPENED.
    Opened {
        /// Whether those who count are not told what is expected.
        is_blind: bool,
        /// What is to be counted; `None` for everything at the warehouse.
        variants: Option<Vec<VariantNo>>,
    },
    /// Of a COUNTED what was found, of a COUNT_APPROVED what is right from now on.
    Lines(Vec<CountLine>),
    /// Of a movement: the variants whose units a count had seen move already. It carries their compensation.
    Seen(Vec<VariantNo>),
    /// Of a REVERSAL while a count of what it moves is open.
    Undone {
        /// When what it undoes occurred.
        at: Timestamp,
        /// As of a movement.
        seen: Vec<VariantNo>,
    },
}
