//! Open counts, and when stock keys were counted last.

use std::collections::BTreeMap;

use super::{State, StockKey};
use crate::count::{CountLine, Counting};
use crate::event::StockEvent;
use crate::id::{Position, VariantNo, WarehouseNo};
use crate::place::{Account, Place};
use crate::time::Timestamp;

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

    /// Takes a movement in that occurred at `at` and is recorded last.
    fn note(&mut self, variant: VariantNo, at: Timestamp, change: i64) {
        let moved = self.moved.entry(variant).or_default();
        let place = moved.partition_point(|(when, _)| *when <= at);
        moved.insert(place, (at, change));
        if let Some(line) = self.lines.get_mut(&variant)
            && at < line.at
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

    /// Whether what occurred at an instant was seen by the last count of a variant. Nearly nothing is that late, and then
    /// nothing is looked up.
    pub(crate) fn was_seen(
        &self,
        warehouse: WarehouseNo,
        variant: VariantNo,
        occurred_at: Timestamp,
    ) -> bool {
        occurred_at < self.counted_max
            && self
                .counted_at(warehouse, variant)
                .is_some_and(|at| occurred_at < at)
    }

    /// How many units were on hand at `at`, which is not before the count was opened.
    pub(crate) fn expected(&self, count: &Count, variant: VariantNo, at: Timestamp) -> i64 {
        let moved = count.moved_after(variant, at);
        self.on_hand(count.warehouse, variant).saturating_sub(moved)
    }

    /// The open count that a stock key is under, or any at the warehouse where `variant` is `None`.
    pub(crate) fn count_of(&self, warehouse: WarehouseNo, variant: Option<VariantNo>) -> Option<Position> {
        let is_it = |(_, count): &(&Position, &Count)| {
            count.warehouse == warehouse && variant.is_none_or(|variant| count.includes(variant))
        };
        self.counts.iter().find(is_it).map(|(id, _)| *id)
    }

    /// Takes in what an event moved, for the counts that are open there.
    pub(super) fn note_moved(&mut self, event: &StockEvent, recorded_at: Timestamp) {
        let at = event.occurred_at.min(recorded_at);
        for count in self.counts.values_mut() {
            if count.warehouse != event.warehouse {
                continue;
            }
            for posting in &event.postings {
                let change = posting.change_on_hand();
                if change != 0 && count.includes(posting.variant) {
                    count.note(posting.variant, at, change);
                }
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
        let overlaps = |count: &Count| match (&variants, &count.variants) {
            _ if count.warehouse != event.warehouse => false,
            (Some(variants), Some(_)) => variants.iter().any(|one| count.includes(*one)),
            (None, _) | (_, None) => true,
        };
        if self.counts.values().any(overlaps) {
            return Err("it opens a count of what is being counted");
        }
        self.counts
            .insert(id, Count::new(event.warehouse, variants, recorded_at));
        Ok(())
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
        let (id, count, lines) = self.lines_of(event)?;
        let is_of_it = |line: &CountLine| {
            count.includes(line.variant) && line.at >= count.opened_at && line.at <= recorded_at
        };
        if lines.is_empty() || !event.postings.is_empty() || !lines.iter().all(is_of_it) {
            return Err("it counts what is not to be counted, or when");
        }
        for line in lines {
            let count = self.counts.get(&id).ok_or("there is no such count")?;
            if line.expected != self.expected(count, line.variant, line.at) {
                return Err("it expects something else than was on hand");
            }
        }
        if let Some(count) = self.counts.get_mut(&id) {
            count.lines.extend(lines.iter().map(|line| (line.variant, *line)));
        }
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
            if count.lines.remove(&line.variant).as_ref() != Some(line) {
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
            self.counts.remove(&id);
        }
        for line in lines {
            self.add_counted(StockKey::new(event.warehouse, line.variant), line.at);
        }
        Ok(())
    }

    pub(super) fn cancel_count(&mut self, event: &StockEvent) -> Result<(), &'static str> {
        let id = event.about.ok_or("it is about no count")?;
        match self.counts.remove(&id) {
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
