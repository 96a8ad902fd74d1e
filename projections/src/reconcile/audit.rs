//! The audit: a small part of the views is compared with the log again and again, as long as there is nothing else to do.
//! While much is recorded it makes way, and looks now and then.
//!
//! It keeps a fold of its own of each view, apart from the projector's, and lets it follow the view: so a part costs what
//! its rows cost, however long the log. The catalogue, exceptions, transfers and counts are left
//! to reconciliations.

use std::collections::HashSet;

use bincard_ledger::Position;
use bincard_store::Reader;

use super::compare::Bench;
use super::digest::Group;
use super::digested::{Digested, Fold};
use super::part::Part;
use super::replay::{Pace, read};
use crate::error::Error;
use crate::generation::{Folder, Home};
use crate::history::History;
use crate::name::ViewName;
use crate::reservations::Reservations;
use crate::stock::Stock;
use crate::verify::Verified;

/// The most events that a fold takes before the audit rests.
const EVENTS_AT_ONCE: u64 = 65_536;
/// The most parts that keys are divided into, and the fewest variants of one.
const KEY_PARTS_MAX: u32 = 256;
const VARIANTS_MIN: u32 = 16;
/// A generation that differs in so many places is not looked at any more: it has to be built anew.
const TOLD_MAX: usize = 16;

/// The folds that follow the views.
pub(super) struct Audit {
    stock: Audited<Stock>,
    history: Audited<History>,
    reservations: Audited<Reservations>,
}

struct Audited<V: Digested> {
    fold: Fold<V>,
    at: Position,
    /// Counts the parts that were looked at.
    turn: i64,
    /// What was told of a generation, and is not told again.
    told: (u64, HashSet<Group>),
    is_damage_told: bool,
}

impl Audit {
    pub(super) fn new() -> Audit {
        Audit {
            stock: Audited::new(),
            history: Audited::new(),
            reservations: Audited::new(),
        }
    }

    /// Looks at the next part of each view. Answers what is wrong and was not told before.
    pub(super) async fn look(
        &mut self,
        home: &Home,
        scratch: &Folder,
        reader: &Reader,
        go_on: &(dyn Fn() -> Result<(), Error> + Sync),
    ) -> Vec<Verified> {
        let found = [
            self.stock.look(home, scratch, reader, go_on).await,
            self.history.look(home, scratch, reader, go_on).await,
            self.reservations.look(home, scratch, reader, go_on).await,
        ];
        found.into_iter().flatten().collect()
    }
}

impl<V: Digested> Audited<V> {
    fn new() -> Audited<V> {
        Audited {
            fold: Fold::empty(),
            at: Position(0),
            turn: 0,
            told: (0, HashSet::new()),
            is_damage_told: false,
        }
    }

    async fn look(
        &mut self,
        home: &Home,
        scratch: &Folder,
        reader: &Reader,
        go_on: &(dyn Fn() -> Result<(), Error> + Sync),
    ) -> Option<Verified> {
        // A view that is not there, or is behind, is not the audit's concern: it looks again the next time.
        match self.try_to_look(home, scratch, reader, go_on).await {
            Ok(found) => found.filter(|found| !found.is_well()),
            Err(Error::Stopped) => None,
            Err(error) => {
                tracing::warn!(view = %V::NAME, error = %error.chain(), "the audit begins anew");
                *self = Audited::new();
                None
            }
        }
    }

    async fn try_to_look(
        &mut self,
        home: &Home,
        scratch: &Folder,
        reader: &Reader,
        go_on: &(dyn Fn() -> Result<(), Error> + Sync),
    ) -> Result<Option<Verified>, Error> {
        let tell = |_: ViewName, _: u64| go_on();
        let mut bench = Bench {
            home,
            scratch,
            reader,
            part: Part::All,
            tell: &tell,
            folded: &|_| go_on(),
        };
        go_on()?;
        let Some(generation) = home.live(V::NAME).await? else {
            return Ok(None);
        };
        if self.told.0 != generation {
            self.told = (generation, HashSet::new());
            self.is_damage_told = false;
        }
        if self.told.1.len() >= TOLD_MAX || self.is_damage_told {
            return Ok(None);
        }
        let mut standing = match bench.begin::<V>(generation).await {
            Ok(standing) => standing,
            // It may just be swapped for another generation.
            Err(error) if error.is_unreadable() => return Ok(None),
            Err(error) => return Err(error),
        };
        let (through, checkpoint) = bench.through(V::NAME, standing.position);
        let until = Position(self.at.0.saturating_add(EVENTS_AT_ONCE)).min(through);
        let (fold, at) = (&mut self.fold, &mut self.at);
        read(reader, *at, until, Pace::Polite, |batch, reached| {
            fold.take(batch)?;
            *at = reached;
            go_on()
        })?;
        if self.at != through {
            // The fold is on its way, or the view behind it.
            return Ok(None);
        }
        bench.part = self.next_part();
        let told = &mut self.told.1;
        let found = bench.compare_part(&mut standing, &self.fold, through, |group| told.insert(*group));
        let mut found = found.await?;
        if checkpoint.is_some() {
            self.is_damage_told = true;
            found.note(checkpoint);
        }
        self.is_damage_told |= !found.damage.is_empty();
        standing.close(V::NAME).await;
        Ok(Some(found))
    }

    /// The part to look at now: all keys, blocks and days in turn.
    fn next_part(&mut self) -> Part {
        let variants = self.fold.carry().variant_max();
        let key_parts = if V::has_keys() {
            (variants / VARIANTS_MIN + 1).min(KEY_PARTS_MAX)
        } else {
            0
        };
        let block_parts = V::blocks(self.at);
        let parts = i64::from(key_parts) + block_parts + i64::from(V::has_days());
        let turn = self.turn % parts.max(1);
        self.turn = turn + 1;
        match u32::try_from(turn) {
            Ok(no) if no < key_parts => {
                let width = variants / key_parts + 1;
                // The last part has what no event ever named, too.
                let last = if no + 1 == key_parts {
                    u32::MAX
                } else {
                    (no + 1) * width - 1
                };
                Part::Variants(no * width, last)
            }
            _ if turn < i64::from(key_parts) + block_parts => Part::Block(turn - i64::from(key_parts)),
            _ => Part::Days,
        }
    }
}
