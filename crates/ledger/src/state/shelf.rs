//! What lies in the buckets of one stock key, and for whom, in little memory.

use smallvec::SmallVec;

use super::orders::NO_SLOT;
use crate::id::{Position, VariantNo, WarehouseNo};
use crate::place::{Bucket, Buckets, Place, Posting};

/// Where stock of one variant lies: a warehouse and the variant, ordered by the one and then the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct StockKey(u64);

impl StockKey {
    pub(crate) fn new(warehouse: WarehouseNo, variant: VariantNo) -> StockKey {
        StockKey(u64::from(warehouse.0) << 32 | u64::from(variant.0))
    }

    pub(crate) fn warehouse(self) -> WarehouseNo {
        WarehouseNo((self.0 >> 32) as u32)
    }

    pub(crate) fn variant(self) -> VariantNo {
        VariantNo(self.0 as u32)
    }
}

/// The buckets of one stock key. Most keys never have anything but free stock, and a million of them should fit a
/// processor's cache: so the other buckets lie elsewhere, from the first time that one of them is used.
#[derive(Clone, Debug)]
pub(crate) enum Shelf {
    /// So many units available, and nothing in any other bucket.
    Available(i64),
    /// Whatever there is.
    Buckets(Box<Used>),
}

/// What lies in more than one bucket.
#[derive(Clone, Debug)]
pub(crate) struct Used {
    pub(super) buckets: Buckets,
    /// Reservations that hold some of it, in the order of reserving. One that does no more is crossed out, and goes when there
    /// is no room left: taking it out of the middle would move all that came after it.
    holders: SmallVec<[Holder; 2]>,
}

/// Where a reservation stands. Packed, for two of them to fit beside the buckets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(Rust, packed(4))]
pub(super) struct Holder {
    pub(super) reservation: Position,
    /// The slot of its order, or none where it is crossed out.
    pub(super) slot: u32,
}

impl Used {
    fn new(buckets: Buckets) -> Box<Used> {
        let holders = SmallVec::new();
        Box::new(Used { buckets, holders })
    }
}

impl Default for Shelf {
    fn default() -> Shelf {
        Shelf::Available(0)
    }
}

impl Shelf {
    pub(crate) fn new(buckets: Buckets) -> Shelf {
        let available = Buckets::default().with(Bucket::Available, buckets.available());
        if buckets == available {
            Shelf::Available(buckets.available())
        } else {
            Shelf::Buckets(Used::new(buckets))
        }
    }

    pub(crate) fn buckets(&self) -> Buckets {
        match self {
            Shelf::Available(units) => Buckets::default().with(Bucket::Available, *units),
            Shelf::Buckets(used) => used.buckets,
        }
    }

    pub(crate) fn available(&self) -> i64 {
        match self {
            Shelf::Available(units) => *units,
            Shelf::Buckets(used) => used.buckets.available(),
        }
    }

    /// The sum over all buckets.
    pub(crate) fn on_hand(&self) -> i64 {
        match self {
            Shelf::Available(units) => *units,
            Shelf::Buckets(used) => used.buckets.on_hand(),
        }
    }

    /// Carries `posting` out, which leaves `floor` or more where it takes from what is available; `None`, and nothing done,
    /// when it would leave less, another bucket would fall below zero or one would overflow.
    #[inline]
    pub(crate) fn post(&mut self, posting: &Posting, floor: i64) -> Option<()> {
        const AVAILABLE: Place = Place::Bucket(Bucket::Available);
        match (&mut *self, posting.from, posting.to) {
            (Shelf::Available(units), Place::Account(_), AVAILABLE) => {
                *units = units.checked_add(posting.quantity)?;
                Some(())
            }
            (Shelf::Available(units), AVAILABLE, Place::Account(_)) => {
                *units = units
                    .checked_sub(posting.quantity)
                    .filter(|left| *left >= floor)?;
                Some(())
            }
            _ => self.post_any(posting, floor),
        }
    }

    fn post_any(&mut self, posting: &Posting, floor: i64) -> Option<()> {
        let after = self.buckets().after(posting, floor)?;
        match self {
            Shelf::Buckets(used) => used.buckets = after,
            Shelf::Available(_) => *self = Shelf::new(after),
        }
        Some(())
    }

    /// Notes that a reservation, which was made after all others, holds some of this; `None` when nothing of this is held.
    pub(super) fn note_holder(&mut self, holder: Holder) -> Option<()> {
        let Shelf::Buckets(used) = self else {
            return None;
        };
        let holders = &mut used.holders;
        if holders.len() == holders.capacity() {
            holders.retain(|one| one.slot != NO_SLOT);
            // With as much room as there are holders, looking through them costs no more than noting them.
            holders.reserve(holders.len());
        }
        holders.push(holder);
        Some(())
    }

    /// Notes that a reservation holds none of this any more.
    pub(super) fn forget_holder(&mut self, reservation: Position) {
        if let Shelf::Buckets(used) = self
            && let Ok(at) = used
                .holders
                .binary_search_by_key(&reservation, |one| one.reservation)
            && let Some(holder) = used.holders.get_mut(at)
        {
            holder.slot = NO_SLOT;
        }
    }

    /// Reservations that hold some of this, last made first.
    pub(super) fn holders(&self) -> impl Iterator<Item = Holder> {
        let holders = match self {
            Shelf::Available(_) => &[][..],
            Shelf::Buckets(used) => &used.holders,
        };
        holders.iter().rev().copied().filter(|one| one.slot != NO_SLOT)
    }

    /// Puts holders in the order of reserving, which were noted in another one.
    pub(super) fn sort_holders(&mut self) {
        if let Shelf::Buckets(used) = self {
            used.holders.sort_unstable();
        }
    }
}
