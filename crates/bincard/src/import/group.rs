//! Rows to events: lines of one reference, kind and time make one event.
//!
//! A *run* is what stands together in the file under one reference. Its events are handed over when it ends (or grows
//! too large): first what comes in, then adjustments, then what goes out. So no SKU is ever lower after an event than
//! it is after some row of the file, and stock that never goes below zero row by row never does event by event.

use bincard_ledger::Kind;
use hashbrown::HashMap;

use super::catalogue::Catalogue;
use super::classify::Movement;
use super::key::{Identity, Parts};
use super::plan::{Chunk, PlannedEvent, PlannedRow};
use super::run::{Group, GroupKey, ROWS_MAX, Run};

/// Groups rows of one file.
#[derive(Debug)]
pub(crate) struct Grouper {
    source: String,
    parts: Parts,
    run: Run,
    /// Lines that were left out because they sum to zero.
    zero_lines: u64,
}

/// The place of a row in the run at hand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    group: usize,
    line: usize,
}

impl Grouper {
    pub(crate) fn new(source: &str) -> Grouper {
        Grouper {
            source: source.to_owned(),
            parts: Parts::default(),
            run: Run::default(),
            zero_lines: 0,
        }
    }

    /// Lines left out so far because they sum to zero.
    pub(crate) fn zero_lines(&self) -> u64 {
        self.zero_lines
    }

    /// Adds what a row moves, and answers where the row itself is to be [kept](Grouper::keep) or why it cannot be
    /// imported. Events that are complete before it go to `chunk`.
    pub(crate) fn add(
        &mut self,
        movement: &Movement<'_>,
        notes: impl FnOnce() -> Option<Box<str>>,
        catalogue: &mut Catalogue,
        chunk: &mut Chunk,
    ) -> Result<Slot, String> {
        if !self.run.is_named(movement) {
            self.finish(chunk);
            let moment = movement.reference.is_empty().then_some(movement.moment);
            self.run.named = Some((movement.reference.into(), moment));
        }
        let sku = catalogue.sku(movement.sku);
        let key = GroupKey {
            kind: movement.kind,
            reason: movement.reason,
            moment: movement.moment,
            depot: catalogue.depot(movement.warehouse_code, movement.warehouse_name),
        };
        if self.run.rows == ROWS_MAX || self.run.is_full(key, sku) {
            self.flush(chunk);
        }
        let run = &mut self.run;
        let at = *run.index.entry(key).or_insert_with(|| {
            run.groups.push(Group {
                key,
                warehouse_code: movement.warehouse_code.into(),
                notes: notes(),
                lines: Vec::new(),
                index: HashMap::default(),
                rows: Vec::new(),
            });
            run.groups.len() - 1
        });
        run.rows += 1;
        let line = run.groups[at].add(sku, movement.quantity)?;
        Ok(Slot { group: at, line })
    }

    /// Keeps the row that was added last, until its event is answered.
    pub(crate) fn keep(&mut self, slot: Slot, planned: PlannedRow) {
        self.run.groups[slot.group].rows.push((slot.line, planned));
    }

    /// Hands over the events of the last run: the file has ended.
    pub(crate) fn finish(&mut self, chunk: &mut Chunk) {
        self.flush(chunk);
        self.run.named = None;
    }

    fn flush(&mut self, chunk: &mut Chunk) {
        let reference = self.run.named.as_ref().map_or("", |(reference, _)| reference);
        let mut groups = std::mem::take(&mut self.run.groups);
        self.run.index.clear();
        self.run.rows = 0;
        groups.sort_by_key(|group| turn(group.key.kind));
        for mut group in groups {
            self.zero_lines += group.leave_out(&mut chunk.rejected);
            if group.lines.is_empty() {
                continue;
            }
            let identity = Identity {
                source: &self.source,
                reference,
                kind: group.key.kind,
                reason: group.key.reason,
                moment: group.key.moment,
                warehouse_code: &group.warehouse_code,
            };
            chunk.events.push(PlannedEvent {
                kind: group.key.kind,
                reason: group.key.reason,
                depot: group.key.depot,
                occurred_at: group.key.moment.at,
                notes: group.notes,
                key: self.parts.key(&identity),
                lines: group.lines,
                rows: group.rows.into_iter().map(|(_, planned)| planned).collect(),
            });
        }
    }
}

/// When events of this kind come within their run.
fn turn(kind: Kind) -> u8 {
    match kind {
        Kind::Inbound => 0,
        Kind::Adjust => 1,
        _ => 2,
    }
}
