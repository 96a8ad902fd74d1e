//! What the folds of several views have in common.

use crate::sql::{self, Connection};
use bincard_ledger::{Buckets, CatalogueEvent, Place, Posting, VariantNo};
use foldhash::fast::FixedState;
use futures_util::TryStreamExt;
use hashbrown::HashMap;

/// `buckets` after `posting`; `None` on overflow.
///
/// Unlike the ledger's own rule this takes a bucket below zero without a word: a fold records what happened and never
/// judges it.
pub(crate) fn moved(mut buckets: Buckets, posting: &Posting) -> Option<Buckets> {
    if let Place::Bucket(bucket) = posting.from {
        let left = &mut buckets.0[bucket as usize];
        *left = left.checked_sub(posting.quantity)?;
    }
    if let Place::Bucket(bucket) = posting.to {
        let there = &mut buckets.0[bucket as usize];
        *there = there.checked_add(posting.quantity)?;
    }
    Some(buckets)
}

/// Microseconds of a day.
pub(crate) const DAY_MICROS: i64 = 86_400_000_000;

/// The day of an instant: days since 1970-01-01 in UTC.
pub(crate) const fn day_of(micros: i64) -> i64 {
    micros.div_euclid(DAY_MICROS)
}

/// The first and last microsecond of a day.
pub(crate) fn day_span(day: i64) -> (i64, i64) {
    let first = day.saturating_mul(DAY_MICROS);
    (first, first.saturating_add(DAY_MICROS - 1))
}

/// The variants of lots. What moves is of a lot's number; what a view says of a variant it says of all its lots.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lots(HashMap<VariantNo, VariantNo, FixedState>);

impl Lots {
    /// Takes note of a lot that comes to be, and answers it with its variant.
    pub(crate) fn hear(&mut self, event: &CatalogueEvent) -> Option<(VariantNo, VariantNo)> {
        let &CatalogueEvent::LotCreated { no, of, .. } = event else {
            return None;
        };
        self.add(no, of);
        Some((no, of))
    }

    /// Loads what `query` finds: lots and their variants.
    pub(crate) async fn load(
        &mut self,
        connection: &mut Connection<'_>,
        query: &'static str,
    ) -> Result<(), sqlx::Error> {
        let mut rows = sql::query(query).fetch(connection);
        while let Some(row) = rows.try_next().await? {
            let number = |column| row.try_get::<i64>(column).map(|no| VariantNo(no as u32));
            self.add(number(0)?, number(1)?);
        }
        Ok(())
    }

    /// All lots with their variants, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (VariantNo, VariantNo)> {
        self.0.iter().map(|(lot, variant)| (*lot, *variant))
    }

    fn add(&mut self, lot: VariantNo, variant: VariantNo) {
        self.0.insert(lot, variant);
    }

    /// The variant that a number is of: a lot's, or the number itself.
    pub(crate) fn variant_of(&self, no: VariantNo) -> VariantNo {
        if self.0.is_empty() {
            return no;
        }
        self.0.get(&no).copied().unwrap_or(no)
    }
}
