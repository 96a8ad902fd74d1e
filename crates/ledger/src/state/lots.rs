//! Lots: which ones there are of a variant, and in which order they are taken.
//!
//! A lot is known by a number of the variants', so that all that is said of a variant's stock (buckets, reservations,
//! what is on the way) is said of each lot in the same words. What is free is taken by expiry, then by first receipt,
//! which the numbers have the order of.

use std::collections::BTreeSet;
use std::hash::BuildHasher;

use hashbrown::HashTable;

use super::text_hash::TextHash;
use super::{Shelf, State, StockKey, Tracking, Variant};
use crate::id::{VariantNo, WarehouseNo};
use crate::place::{Bucket, Place, Posting};
use crate::time::Timestamp;

/// The lots of all variants.
#[derive(Clone, Debug, Default)]
pub(super) struct Lots {
    /// By variant and code. The codes stand in the list of variants only.
    by_code: HashTable<VariantNo>,
    /// Those that have anything at a warehouse, by the warehouse and the variant, in the order of taking.
    there: BTreeSet<(StockKey, Timestamp, VariantNo)>,
}

/// The code of a lot alone is no key: two variants may have lots of one code.
fn hash(text_hash: TextHash, of: VariantNo, code: &str) -> u64 {
    const MUL: u64 = 0x9E37_79B9_7F4A_7C15;
    text_hash.hash_one(code) ^ u64::from(of.0).wrapping_mul(MUL)
}

/// Where a lot stands in the order of taking: what does not expire comes last.
fn order(lot: &Variant) -> Timestamp {
    lot.expires_at.unwrap_or(Timestamp::MAX)
}

impl State {
    /// The lot of a variant that has this code.
    pub fn lot_by_code(&self, of: VariantNo, code: &str) -> Option<VariantNo> {
        let is_it = |no: &VariantNo| {
            let lot = self.variant(*no);
            lot.is_some_and(|lot| lot.tracking == Tracking::LotOf(of) && &*lot.sku == code)
        };
        let found = self.lots.by_code.find(hash(self.text_hash, of, code), is_it);
        found.copied()
    }

    /// The variant that a number is of: a lot's variant, or the number itself.
    pub fn variant_of(&self, no: VariantNo) -> VariantNo {
        match self.variant(no).map(|variant| variant.tracking) {
            Some(Tracking::LotOf(of)) => of,
            _ => no,
        }
    }

    /// Whether there is any lot.
    pub(crate) fn has_lots(&self) -> bool {
        !self.lots.by_code.is_empty()
    }

    /// Whether a number is of a lot that is out of use.
    pub(crate) fn is_recalled(&self, no: VariantNo) -> bool {
        let found = self.variant(no);
        found.is_some_and(|found| !found.active && matches!(found.tracking, Tracking::LotOf(_)))
    }

    /// How many units of a lot out of use are held at a warehouse because of that.
    pub(crate) fn set_aside(&self, warehouse: WarehouseNo, lot: VariantNo) -> i64 {
        let units = self.set_aside.get(&StockKey::new(warehouse, lot));
        units.copied().unwrap_or_default()
    }

    /// Takes note of a movement into or out of what is held, if it is of a lot out of use; carried out already. What leaves
    /// is what was set aside, as long as there is any.
    pub(super) fn note_set_aside(&mut self, warehouse: WarehouseNo, posting: &Posting) {
        let key = StockKey::new(warehouse, posting.variant);
        let (available, held) = (Place::Bucket(Bucket::Available), Place::Bucket(Bucket::Held));
        if posting.from == held {
            if let Some(units) = self.set_aside.remove(&key) {
                let left = units.saturating_sub(posting.quantity);
                if left > 0 {
                    self.set_aside.insert(key, left);
                }
            }
        } else if posting.from == available && posting.to == held && self.is_recalled(posting.variant) {
            let units = self.set_aside.entry(key).or_default();
            *units = units.saturating_add(posting.quantity);
        }
    }

    /// The lots of a variant that have anything at a warehouse, in whichever bucket, in the order of taking.
    pub fn lots_at(&self, warehouse: WarehouseNo, of: VariantNo) -> impl Iterator<Item = VariantNo> + '_ {
        let key = StockKey::new(warehouse, of);
        let all = (key, Timestamp::MIN, VariantNo(0))..=(key, Timestamp::MAX, VariantNo(u32::MAX));
        self.lots.there.range(all).map(|&(_, _, lot)| lot)
    }

    /// Whether there is anything of a variant, or of its lots: at a warehouse or on the way.
    pub(crate) fn has_stock(&self, variant: VariantNo) -> bool {
        let at_a_warehouse = self.warehouse_numbers().any(|warehouse| {
            let own = self.stock.get(&StockKey::new(warehouse, variant));
            own.is_some_and(|shelf| !shelf.is_empty()) || self.lots_at(warehouse, variant).next().is_some()
        });
        let by_name = || self.transits().map(|(_, no, _)| no);
        let open = || {
            self.transfers()
                .flat_map(|(_, one)| one.lines.iter().map(|line| line.variant))
        };
        at_a_warehouse || by_name().chain(open()).any(|no| self.variant_of(no) == variant)
    }

    /// Adds the number of a lot.
    pub(super) fn add_lot(&mut self, of: VariantNo, lot: Variant) -> Result<(), &'static str> {
        if self.lot_by_code(of, &lot.sku).is_some() {
            return Err("the variant has a lot of this code");
        }
        self.variants.push(lot);
        let no = u32::try_from(self.variants.len()).map_err(|_| "there are more than numbers go")?;
        let State {
            lots,
            variants,
            text_hash,
            ..
        } = self;
        let hash_of = |no: &VariantNo| {
            let lot = super::index_of(no.0).and_then(|index| variants.get(index));
            lot.map_or(0, |lot| match lot.tracking {
                Tracking::LotOf(of) => hash(*text_hash, of, &lot.sku),
                Tracking::Whole | Tracking::InLots => 0,
            })
        };
        let no = VariantNo(no);
        lots.by_code.insert_unique(hash_of(&no), no, hash_of);
        Ok(())
    }

    /// Gives a lot another expiry, and its place in the order of taking wherever there is any of it.
    pub(super) fn change_lot(
        &mut self,
        no: VariantNo,
        expires_at: Option<Timestamp>,
    ) -> Result<(), &'static str> {
        let lot = super::index_of(no.0).and_then(|index| self.variants.get_mut(index));
        let lot = lot.ok_or("there is no such lot")?;
        let Tracking::LotOf(of) = lot.tracking else {
            return Err("it changes a lot that is none");
        };
        let before = order(lot);
        lot.expires_at = expires_at;
        let after = order(lot);
        for warehouse in self.warehouse_numbers() {
            let key = StockKey::new(warehouse, of);
            if self.lots.there.remove(&(key, before, no)) {
                self.lots.there.insert((key, after, no));
            }
        }
        Ok(())
    }

    /// Takes note of whether there is anything of a number at a warehouse, if it is a lot's: to be called when that
    /// has changed.
    #[inline]
    pub(crate) fn note_lot(&mut self, warehouse: WarehouseNo, no: VariantNo) -> Result<(), &'static str> {
        if self.lots.by_code.is_empty() {
            return Ok(());
        }
        let variant = self.variant(no).ok_or("there is no such variant")?;
        let of = match variant.tracking {
            Tracking::Whole => return Ok(()),
            Tracking::InLots => return Err("it moves stock that lies in lots, and names none"),
            Tracking::LotOf(of) => of,
        };
        let entry = (StockKey::new(warehouse, of), order(variant), no);
        let shelf = self.stock.get(&StockKey::new(warehouse, no));
        if shelf.is_some_and(|shelf| !shelf.is_empty()) {
            self.lots.there.insert(entry);
        } else {
            self.lots.there.remove(&entry);
        }
        Ok(())
    }
}

impl Shelf {
    /// Whether there is nothing in any bucket.
    fn is_empty(&self) -> bool {
        match self {
            Shelf::Available(units) => *units == 0,
            Shelf::Buckets(used) => used.buckets.is_empty(),
        }
    }
}
