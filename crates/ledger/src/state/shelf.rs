//! What lies in the buckets of one stock key, in little memory.

use crate::id::{VariantNo, WarehouseNo};
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
    Buckets(Box<Buckets>),
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
            Shelf::Buckets(Box::new(buckets))
        }
    }

    pub(crate) fn buckets(&self) -> Buckets {
        match self {
            Shelf::Available(units) => Buckets::default().with(Bucket::Available, *units),
            Shelf::Buckets(buckets) => **buckets,
        }
    }

    pub(crate) fn available(&self) -> i64 {
        match self {
            Shelf::Available(units) => *units,
            Shelf::Buckets(buckets) => buckets.available(),
        }
    }

    /// The sum over all buckets.
    pub(crate) fn on_hand(&self) -> i64 {
        match self {
            Shelf::Available(units) => *units,
            Shelf::Buckets(buckets) => buckets.on_hand(),
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
            Shelf::Buckets(buckets) => **buckets = after,
            Shelf::Available(_) => *self = Shelf::new(after),
        }
        Some(())
    }
}
