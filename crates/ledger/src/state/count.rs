//! Open counts, and when stock keys were counted last.

use std::collections::BTreeMap;

use super::{State, StockKey};
use crate::count::{CountLine, Counting};
use crate::event::{Kind, StockEvent};
use crate::id::{Position, VariantNo, WarehouseNo};
use crate::place::{Account, Place, Posting};
use crate::time::Timestamp;

/// Stands for everything at a warehouse: variants are numbered from 1.
const EVERYTHING: VariantNo = VariantNo(0);

/// When something moved, as counts have it.
#[derive(Clone, Copy)]
pub(crate) struct Moved {
    /// When it occurred, by what it says.
    pub(crate) occurred_at: Timestamp,
    /// When what it goes on with was begun: it cannot have moved before, whatever it says.
    pub(crate) begun_at: Timestamp,
}

impl Moved {
    /// Whether it was over at `at`, of what is recorded after the counting then.
    fn is_before(self, at: Timestamp) -> bool {
        self.occurred_at < at && self.begun_at <= at
    }
}

/// A count that is open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Count {
    /// Where.
    pub warehouse: WarehouseNo,
    /// What is to be counted, ascending; `None` for everything there.
    pub variants: Option<Vec<VariantNo>>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// What was found, by variant.
    pub(crate) lines: BTreeMap<VariantNo, CountLine>,
    /// By how much what is on hand changed since it was opened, by variant and then by when.
    pub(crate) moved: BTreeMap<VariantNo, Vec<(Timestamp, i64)>>,
}

impl Count {
    /// A count of nothing yet.
    pub(crate) fn new(
        warehouse: WarehouseNo,
        variants: Option<Vec<VariantNo>>,
        opened_at: Timestamp,
    ) -> Count {
        Count {
            warehouse,
            variants,
            opened_at,
            lines: BTreeMap::new(),
            moved: BTreeMap::new(),
        }
    }

    /// Whether a variant is to be counted.
    pub fn includes(&self, variant: VariantNo) -> bool {
        let listed = |all: &Vec<VariantNo>| all.binary_search(&variant).is_ok();
        self.variants.as_ref().is_none_or(listed)
    }

    /// What was found so far, by variant; what is expected is as it is known now.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = &CountLine> {
        self.lines.values()
    }

    /// By how much what is on hand changed after `at`.
    pub(crate) fn moved_after(&self, variant: VariantNo, at: Timestamp) -> i64 {
        let moved = self.moved.get(&variant).map_or(&[][..], Vec::as_slice);
        let first = moved.partition_point(|(when, _)| *when <= at);
        let after = moved.get(first..).unwrap_or_default().iter();
        after.fold(0, |sum, (_, change)| sum.saturating_add(*change))
    }

    /// Takes a movement in that is recorded last.
    fn note(&mut self, variant: VariantNo, when: Moved, change: i64) {
        let moved = self.moved.entry(variant).or_default();
        // Nothing is counted before the count was opened.
        let at = when.occurred_at.max(when.begun_at).max(self.opened_at);
        let place = moved.partition_point(|(when, _)| *when <= at);
        moved.insert(place, (at, change));
        if let Some(line) = self.lines.get_mut(&variant)
            && when.is_before(line.at)
        {
            line.expected = line.expected.saturating_add(change);
        }
    }
}

impl State {
    /// The open count that this event opened.
    pub fn count(&self, id: Position) -> Option<&Count> {
        self.counts.get(&id)
    }

    /// All open counts.
    pub fn counts(&self) -> impl Iterator<Item = (Position, &Count)> {
        self.counts.iter().map(|(id, count)| (*id, count))
    }

    /// When a variant was counted last at a warehouse, by a count that was approved.
    pub fn counted_at(&self, warehouse: WarehouseNo, variant: VariantNo) -> Option<Timestamp> {
        self.counted.get(&StockKey::new(warehouse, variant)).copied()
    }

    /// Whether what moved was seen by the last count of a variant. Nearly nothing is that late, and then nothing is looked
    /// up.
    pub(crate) fn was_seen(&self, warehouse: WarehouseNo, variant: VariantNo, when: Moved) -> bool {
        when.occurred_at < self.counted_max
            && self
                .counted_at(warehouse, variant)
                .is_some_and(|at| when.is_before(at))
    }

    /// When that was begun which these postings of an event go on with, as far as a variant is concerned: the last of the
    /// order's reservations that they take from was made, or the transfer that they receive was sent. The earliest instant
    /// where they go on with nothing.
    pub(crate) fn begun_at(
        &self,
        order: Option<&str>,
        transfer: Option<Position>,
        postings: &[Posting],
        variant: VariantNo,
    ) -> Timestamp {
        if let Some(transfer) = transfer.and_then(|id| self.transfer(id)) {
            return transfer.sent_at;
        }
        let Some(order) = order else { return Timestamp::MIN };
        let of_it = postings.iter().filter(|posting| posting.variant == variant);
        let made_at = |id| {
            let reservations = self.reservations(order);
            let at = reservations.binary_search_by_key(&id, |one| one.id).ok()?;
            reservations.get(at).map(|one| one.made_at)
        };
        of_it
            .filter_map(|posting| made_at(posting.reservation?))
            .fold(Timestamp::MIN, Timestamp::max)
    }

    /// Whether it matters to a count that what orders hold or transfers bring of these variants was not begun before `at`:
    /// they were counted earlier than that, or may have been.
    pub(crate) fn is_told_from(
        &self,
        warehouse: WarehouseNo,
        mut variants: impl Iterator<Item = VariantNo>,
        at: Timestamp,
    ) -> bool {
        variants.any(|variant| {
            let open = self.count_of(warehouse, Some(variant));
            let opened_at = open.and_then(|id| self.count(id)).map(|count| count.opened_at);
            let counted_at = self.counted_at(warehouse, variant);
            [opened_at, counted_at]
                .into_iter()
                .flatten()
                .any(|earlier| earlier < at)
        })
    }

    /// How many units were on hand at `at`, which is not before the count was opened.
    pub(crate) fn expected(&self, count: &Count, variant: VariantNo, at: Timestamp) -> i64 {
        let moved = count.moved_after(variant, at);
        self.on_hand(count.warehouse, variant).saturating_sub(moved)
    }

    /// The open count that a stock key is under, or any at the warehouse where `variant` is `None`.
    pub(crate) fn count_of(&self, warehouse: WarehouseNo, variant: Option<VariantNo>) -> Option<Position> {
        let key = |variant| StockKey::new(warehouse, variant);
        let (first, last) = (key(EVERYTHING), key(VariantNo(u32::MAX)));
        let (of, id) = self.counting.range(first..=last).next()?;
        match variant {
            Some(variant) if *of != first => self.counting.get(&key(variant)).copied(),
            _ => Some(*id),
        }
    }

    /// Adds an open count, unless another one is of the same stock.
    pub(crate) fn add_count(&mut self, id: Position, count: Count) -> Result<(), &'static str> {
        let of: Vec<_> = match &count.variants {
            None => vec![None],
            Some(variants) => variants.iter().copied().map(Some).collect(),
        };
        for variant in of {
            if self.count_of(count.warehouse, variant).is_some() {
                return Err("it opens a count of what is being counted");
            }
            let key = StockKey::new(count.warehouse, variant.unwrap_or(EVERYTHING));
            self.counting.insert(key, id);
        }
        self.counts.insert(id, count);
        Ok(())
    }

    fn remove_count(&mut self, id: Position) -> Option<Count> {
        let count = self.counts.remove(&id)?;
        let everything = [EVERYTHING];
        for variant in count.variants.as_deref().unwrap_or(&everything) {
            self.counting.remove(&StockKey::new(count.warehouse, *variant));
        }
        Some(count)
    }

    /// Takes in what an event moves, which was not carried out yet, for the counts that are open there.
    pub(super) fn note_moved(&mut self, event: &StockEvent, recorded_at: Timestamp) {
        if self.count_of(event.warehouse, None).is_none() {
            return;
        }
        let transfer = event.about.filter(|_| event.kind == Kind::TransferIn);
        for posting in &event.postings {
            let (variant, change) = (posting.variant, posting.change_on_hand());
            let open = self.count_of(event.warehouse, Some(variant));
            let Some(id) = open.filter(|_| change != 0) else {
                continue;
            };
            let occurred_at = match event.count.as_deref() {
                Some(Counting::Undone { at, .. }) => *at,
                _ => event.occurred_at.min(recorded_at),
            };
            let when = Moved {
                occurred_at,
                begun_at: self.begun_at(event.order.as_deref(), transfer, &event.postings, variant),
            };
            if let Some(count) = self.counts.get_mut(&id) {
                count.note(variant, when, change);
            }
        }
    }

    pub(super) fn open_count(
        &mut self,
        id: Position,
        event: &StockEvent,
        recorded_at: Timestamp,
    ) -> Result<(), &'static str> {
        let Some(Counting::Opened { variants, .. }) = event.count.as_deref() else {
            return Err("it opens a count and does not say of what");
        };
        if !event.postings.is_empty() {
            return Err("it opens a count and moves stock");
        }
        let mut variants = variants.clone();
        if let Some(variants) = &mut variants {
            variants.sort_unstable();
        }
        self.add_count(id, Count::new(event.warehouse, variants, recorded_at))
    }

    /// Finds the open count that an event is about, and the lines that it has.
    fn lines_of<'e>(
        &mut self,
        event: &'e StockEvent,
    ) -> Result<(Position, &mut Count, &'e [CountLine]), &'static str> {
        let id = event.about.ok_or("it is about no count")?;
        let Some(Counting::Lines(lines)) = event.count.as_deref() else {
            return Err("it is about a count and has no lines");
        };
        match self.counts.get_mut(&id) {
            Some(count) if count.warehouse == event.warehouse => Ok((id, count, lines)),
            _ => Err("there is no such count"),
        }
    }

    pub(super) fn take_counted(
        &mut self,
        event: &StockEvent,
        recorded_at: Timestamp,
    ) -> Result<(), &'static str> {
        let (_, count, lines) = self.lines_of(event)?;
        let is_of_it = |line: &CountLine| {
            count.includes(line.variant) && line.at >= count.opened_at && line.at <= recorded_at
        };
        if lines.is_empty() || !event.postings.is_empty() || !lines.iter().all(is_of_it) {
            return Err("it counts what is not to be counted, or when");
        }
        // What was expected is as it says: what can have been before the counting was not always told as it is now.
        count.lines.extend(lines.iter().map(|line| (line.variant, *line)));
        Ok(())
    }

    /// Makes what was counted right, and forgets the count when all of it is. Its postings were carried out.
    pub(super) fn approve_count(&mut self, event: &StockEvent) -> Result<(), &'static str> {
        let (id, count, lines) = self.lines_of(event)?;
        let mut changes: BTreeMap<VariantNo, i64> = BTreeMap::new();
        for posting in &event.postings {
            let adjustment = Place::Account(Account::Adjustment);
            if posting.from != adjustment && posting.to != adjustment {
                return Err("it approves a count and moves what no count does");
            }
            let change = changes.entry(posting.variant).or_default();
            *change = change.saturating_add(posting.change_on_hand());
        }
        for line in lines {
            let found = count.lines.remove(&line.variant);
            if found.map(|found| (found.at, found.counted)) != Some((line.at, line.counted)) {
                return Err("it approves what was not counted");
            }
            if changes.remove(&line.variant).unwrap_or_default() != line.variance() {
                return Err("it corrects by something else than the variance");
            }
        }
        if lines.is_empty() || !changes.is_empty() {
            return Err("it corrects what was not counted");
        }
        if count.lines.is_empty() {
            self.remove_count(id);
        }
        for line in lines {
            self.add_counted(StockKey::new(event.warehouse, line.variant), line.at);
        }
        Ok(())
    }

    pub(super) fn cancel_count(&mut self, event: &StockEvent) -> Result<(), &'static str> {
        let id = event.about.ok_or("it is about no count")?;
        match self.remove_count(id) {
            Some(count) if count.warehouse == event.warehouse && event.postings.is_empty() => Ok(()),
            _ => Err("there is no such count"),
        }
    }

    /// Notes that a key was counted; the instants of one key only grow.
    pub(crate) fn add_counted(&mut self, key: StockKey, at: Timestamp) {
        self.counted.insert(key, at);
        self.counted_max = self.counted_max.max(at);
    }
}
