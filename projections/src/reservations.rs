//! The view of reservations: what each order holds, and what became of what it held.
//!
//! A row a reservation, and a row a variant of it. Rows of reservations that are over stay as they ended. What has run
//! out by a query's own `now` and is not recorded as such yet counts as expired.

mod fold;
mod queries;

use bincard_ledger::{Position, StockEvent, Timestamp, VariantNo, WarehouseNo};

pub(crate) use fold::{Open, Reservations, Rows};
pub use queries::ReservationFilter;
pub(crate) use queries::{one, page, total};

/// How a reservation stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ReservationState {
    /// It holds something.
    Open,
    /// It holds nothing any more, and something of it was shipped.
    Shipped,
    /// It holds nothing any more: what it held was released.
    Released,
    /// It holds nothing any more: what it held ran out.
    Expired,
}

/// A reservation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReservationRow {
    /// Its id: the position of the event that made it.
    pub id: Position,
    /// Whose it is.
    pub order: String,
    /// Where.
    pub warehouse: WarehouseNo,
    /// When it runs out, or ran out.
    pub expires_at: Option<Timestamp>,
    /// How it stands.
    pub state: ReservationState,
    /// What it is of, in the order of variants.
    pub lines: Vec<ReservationLine>,
}

/// What became of the units of one variant that a reservation was asked for. All but the first sum to what it took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReservationLine {
    /// Of what.
    pub variant: VariantNo,
    /// How many units were asked for.
    pub requested: i64,
    /// Reserved now.
    pub reserved: i64,
    /// Picked now.
    pub picked: i64,
    /// Packed now.
    pub packed: i64,
    /// Gone to the customer.
    pub shipped: i64,
    /// Available again.
    pub released: i64,
    /// Available again because the reservation ran out.
    pub expired: i64,
}

impl ReservationLine {
    /// The lines of a reservation as the RESERVATION event `made` it, by variant, ascending.
    pub fn as_made(made: &StockEvent) -> Vec<ReservationLine> {
        let taken = made.postings.iter().map(|posting| ReservationLine {
            variant: posting.variant,
            requested: posting.quantity,
            reserved: posting.quantity,
            ..ReservationLine::default()
        });
        let mut lines: Vec<_> = taken.collect();
        for &(variant, units) in &made.noted {
            match lines.iter_mut().find(|line| line.variant == variant) {
                Some(line) => line.requested = line.requested.saturating_add(units),
                None => lines.push(ReservationLine {
                    variant,
                    requested: units,
                    ..ReservationLine::default()
                }),
            }
        }
        lines.sort_unstable_by_key(|line| line.variant);
        lines
    }

    /// How many units were asked for and not there.
    pub fn short(&self) -> i64 {
        let taken = [
            self.reserved,
            self.picked,
            self.packed,
            self.shipped,
            self.released,
            self.expired,
        ];
        taken.into_iter().fold(self.requested, i64::saturating_sub)
    }
}

impl ReservationRow {
    /// Lets what ran out by `now` be expired.
    pub(crate) fn run_out_by(mut self, now: Timestamp) -> ReservationRow {
        if self.expires_at.is_some_and(|at| at <= now) {
            for line in &mut self.lines {
                line.expired = line.expired.saturating_add(line.reserved);
                line.reserved = 0;
            }
            if self.state == ReservationState::Open {
                self.state = state_of(&self.lines, true);
            }
        }
        self
    }
}

/// How a reservation stands that has these lines; `ran_out` when an expiry was the last to take from it.
pub(crate) fn state_of(lines: &[ReservationLine], ran_out: bool) -> ReservationState {
    let any = |units: fn(&ReservationLine) -> i64| lines.iter().any(|line| units(line) > 0);
    if any(|line| line.reserved) || any(|line| line.picked) || any(|line| line.packed) {
        ReservationState::Open
    } else if any(|line| line.shipped) {
        ReservationState::Shipped
    } else if ran_out {
        ReservationState::Expired
    } else {
        ReservationState::Released
    }
}
