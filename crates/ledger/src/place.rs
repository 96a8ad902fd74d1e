//! Where stock is, and what moving it means.

use std::fmt;

use crate::id::{Position, VariantNo};

/// A bucket of a variant's stock at a warehouse. On hand is the sum of all five.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Bucket {
    /// Free to be sold, reserved or moved.
    Available = 0,
    /// Promised to an order, still on the shelf.
    Reserved = 1,
    /// Taken from the shelf for an order.
    Picked = 2,
    /// Packed for an order, not yet gone.
    Packed = 3,
    /// There, but not to be used: quality hold, recall, damage.
    Held = 4,
}

impl Bucket {
    /// All buckets, in the order of [`Buckets`].
    pub const ALL: [Bucket; 5] = [
        Bucket::Available,
        Bucket::Reserved,
        Bucket::Picked,
        Bucket::Packed,
        Bucket::Held,
    ];
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bucket::Available => "available",
            Bucket::Reserved => "reserved",
            Bucket::Picked => "picked",
            Bucket::Packed => "packed",
            Bucket::Held => "held",
        })
    }
}

/// An account outside a warehouse that stock comes from or goes to. What an account holds may be negative.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Account {
    /// Where received goods come from.
    Supplier = 8,
    /// Where issued goods go to.
    Customer = 9,
    /// What counts and corrections found or missed.
    Adjustment = 10,
    /// On the way between two warehouses, under the id of one transfer.
    Transit = 11,
}

/// Where a posting takes from or puts to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Place {
    /// A bucket at the event's warehouse.
    Bucket(Bucket),
    /// An outside account.
    Account(Account),
}

impl Place {
    /// The code that stands for this place in records: stable for ever.
    pub const fn code(self) -> u8 {
        match self {
            Place::Bucket(bucket) => bucket as u8,
            Place::Account(account) => account as u8,
        }
    }

    /// The place that `code` stands for.
    pub const fn from_code(code: u8) -> Option<Place> {
        Some(match code {
            0 => Place::Bucket(Bucket::Available),
            1 => Place::Bucket(Bucket::Reserved),
            2 => Place::Bucket(Bucket::Picked),
            3 => Place::Bucket(Bucket::Packed),
            4 => Place::Bucket(Bucket::Held),
            8 => Place::Account(Account::Supplier),
            9 => Place::Account(Account::Customer),
            10 => Place::Account(Account::Adjustment),
            11 => Place::Account(Account::Transit),
            _ => return None,
        })
    }
}

/// One movement: `quantity` units of `variant` leave `from` and arrive at `to`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Posting {
    /// What moves.
    pub variant: VariantNo,
    /// Where it leaves.
    pub from: Place,
    /// Where it arrives.
    pub to: Place,
    /// How many whole units move; 1 or more.
    pub quantity: i64,
    /// Whose units they are, where they leave or enter `reserved`, `picked` or `packed`: the position of the event
    /// that made the reservation. `None` in that event itself, and where no reservation is concerned.
    pub reservation: Option<Position>,
}

impl Posting {
    /// By how much this posting changes what is in `bucket`.
    pub fn change_of(&self, bucket: Bucket) -> i64 {
        let place = Place::Bucket(bucket);
        self.change(self.from == place, self.to == place)
    }

    /// By how much this posting changes what is on hand at the warehouse.
    pub fn change_on_hand(&self) -> i64 {
        let inside = |place| matches!(place, Place::Bucket(_));
        self.change(inside(self.from), inside(self.to))
    }

    fn change(&self, leaves: bool, arrives: bool) -> i64 {
        match (leaves, arrives) {
            (true, false) => self.quantity.saturating_neg(),
            (false, true) => self.quantity,
            (true, true) | (false, false) => 0,
        }
    }
}

/// What lies in each bucket, in whole units, in the order of [`Bucket::ALL`]. Available alone may be below zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Buckets(pub [i64; 5]);

impl Buckets {
    /// The units in one bucket.
    pub const fn of(&self, bucket: Bucket) -> i64 {
        let Buckets([available, reserved, picked, packed, held]) = *self;
        match bucket {
            Bucket::Available => available,
            Bucket::Reserved => reserved,
            Bucket::Picked => picked,
            Bucket::Packed => packed,
            Bucket::Held => held,
        }
    }

    /// These buckets with `units` in `bucket`.
    #[must_use]
    pub const fn with(mut self, bucket: Bucket, units: i64) -> Buckets {
        let Buckets([available, reserved, picked, packed, held]) = &mut self;
        *match bucket {
            Bucket::Available => available,
            Bucket::Reserved => reserved,
            Bucket::Picked => picked,
            Bucket::Packed => packed,
            Bucket::Held => held,
        } = units;
        self
    }

    /// Free stock.
    pub const fn available(&self) -> i64 {
        self.of(Bucket::Available)
    }

    /// The sum over all buckets. In a ledger it fits: what would make it too large is refused.
    pub fn on_hand(&self) -> i64 {
        self.0.iter().fold(0, |sum, units| sum.saturating_add(*units))
    }

    /// Whether there is nothing in any bucket.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 5]
    }

    /// These buckets after `posting`, which leaves `floor` or more where it takes from what is available; `None` when it
    /// would leave less, another bucket would fall below zero or on hand would overflow.
    #[must_use]
    pub fn after(mut self, posting: &Posting, floor: i64) -> Option<Buckets> {
        if let Place::Bucket(bucket) = posting.from {
            let floor = if bucket == Bucket::Available { floor } else { 0 };
            let left = self.of(bucket).checked_sub(posting.quantity)?;
            self = self.with(bucket, Some(left).filter(|left| *left >= floor)?);
        }
        if let Place::Bucket(bucket) = posting.to {
            let more = self.of(bucket).checked_add(posting.quantity)?;
            self = self.with(bucket, more);
        }
        let on_hand = self.0.iter().try_fold(0i64, |sum, units| sum.checked_add(*units));
        on_hand.map(|_| self)
    }
}
