//! Rows to events: lines of one reference, kind and time make one event.
//!
//! A *run* is what stands together in the file under one reference. Its events are handed over when it ends (or grows
//! too large): first what comes in, then adjustments, then what goes out. So no SKU is ever lower after an event than
//! it is after some row of the file, and stock that never goes below zero row by row never does event by event.
//!
//! Rows that an earlier import gave back because their event was refused carry that event's key. They make that event,
//! whatever was mended in them, or none: were part of it imported apart from the rest, the rest could never follow; and
//! were its key made anew, importing the original file again would record it a second time.

use bincard_ledger::Kind;

use super::catalogue::Catalogue;
use super::classify::Movement;
use super::key::{Identity, Parts, is_key};
use super::plan::{Chunk, GivenBack, PlannedEvent, PlannedRow, RefusedEvent};
use super::run::{Group, GroupKey, LINES_MAX, Name, ROWS_MAX, Run};

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
    /// imported. `key` is that of its event where the file gives it. Events that are complete before it go to `chunk`.
    pub(crate) fn add(
        &mut self,
        movement: &Movement<'_>,
        key: Option<&str>,
        notes: impl FnOnce() -> Option<Box<str>>,
        catalogue: &mut Catalogue,
        chunk: &mut Chunk,
    ) -> Result<Slot, String> {
        let name = self.run.name.as_ref();
        if name.is_none_or(|name| !name.is_of(movement, key)) {
            self.finish(chunk);
            self.run.name = Some(Name::of(movement, key));
        }
        let sku = catalogue.sku(movement.sku);
        let of = GroupKey {
            kind: movement.kind,
            reason: movement.reason,
            moment: movement.moment,
            depot: catalogue.depot(movement.warehouse_code, movement.warehouse_name),
        };
        if self.run.is_full(of, sku) {
            self.flush(true, chunk);
        }
        let at = self.run.group(of, movement.warehouse_code, notes);
        self.run.rows += 1;
        let line = self.run.groups[at].add(sku, movement.quantity)?;
        Ok(Slot { group: at, line })
    }

    /// Keeps the row that was added last, until its event is answered.
    pub(crate) fn keep(&mut self, slot: Slot, planned: PlannedRow) {
        self.run.groups[slot.group].rows.push((slot.line, planned));
    }

    /// Notes a row that cannot be imported, of an event whose key the file gives: the whole event is refused.
    pub(crate) fn spoil(&mut self, key: &str, given_back: GivenBack, chunk: &mut Chunk) {
        let name = Name::Key(key.into());
        if self.run.name.as_ref() != Some(&name) {
            self.finish(chunk);
            self.run.name = Some(name);
        }
        if self.run.rows == ROWS_MAX {
            self.flush(true, chunk);
        }
        self.run.rows += 1;
        self.run.spoilt.push(given_back);
    }

    /// Hands over the events of the last run: the file has ended.
    pub(crate) fn finish(&mut self, chunk: &mut Chunk) {
        self.flush(false, chunk);
        self.run.name = None;
    }

    /// Hands over what was gathered. `is_cut`: the run goes on after it.
    fn flush(&mut self, is_cut: bool, chunk: &mut Chunk) {
        let (groups, spoilt) = self.run.take();
        match self.run.name.clone() {
            Some(Name::Key(key)) => self.hand_over_whole(key, groups, spoilt, is_cut, chunk),
            Some(Name::Reference(reference, _)) => self.hand_over(&reference, groups, chunk),
            None => {}
        }
    }

    fn hand_over(&mut self, reference: &str, mut groups: Vec<Group>, chunk: &mut Chunk) {
        groups.sort_by_key(|group| turn(group.key.kind));
        for mut group in groups {
            self.zero_lines += group.leave_out(&mut chunk.rejected);
            if group.lines.is_empty() {
                continue;
            }
            let key = self.parts.key(&Identity {
                source: &self.source,
                reference,
                kind: group.key.kind,
                reason: group.key.reason,
                moment: group.key.moment,
                warehouse_code: &group.warehouse_code,
            });
            chunk.events.push(planned(group, key));
        }
    }

    /// Hands over the event with this key, or refuses it.
    fn hand_over_whole(
        &mut self,
        key: Box<str>,
        mut groups: Vec<Group>,
        mut spoilt: Vec<GivenBack>,
        is_cut: bool,
        chunk: &mut Chunk,
    ) {
        if groups.is_empty() && spoilt.is_empty() {
            return;
        }
        let zero_lines: u64 = groups.iter_mut().map(|group| group.leave_out(&mut spoilt)).sum();
        let is_first = self.parts.is_first(&key);
        let fault = if !is_key(&key) {
            "its import_key is none that an import writes: it must be as it was, or blank for a row of no such event"
                .to_owned()
        } else if !is_first {
            "other rows with this import_key stand further up: rows of one event must stand together"
                .to_owned()
        } else if is_cut {
            format!(
                "the rows with this import_key are more than one event takes: {LINES_MAX} SKUs, {ROWS_MAX} rows"
            )
        } else if let Some(first) = spoilt.iter().map(|one| one.row.line).min() {
            format!("line {first} is of the same event and cannot be imported: an event is imported whole")
        } else if groups.len() > 1 {
            "the rows with this import_key no longer make one event: they differ in kind, reason, time or warehouse"
                .to_owned()
        } else {
            self.zero_lines += zero_lines;
            let groups = groups.into_iter().filter(|group| !group.lines.is_empty());
            chunk
                .events
                .extend(groups.map(|group| planned(group, key.clone())));
            return;
        };
        let others = groups.into_iter().flat_map(|group| group.rows);
        let others = others.map(|(_, planned)| GivenBack {
            row: planned.row,
            rule: Some(planned.rule),
            reason: fault.clone(),
        });
        let mut rows: Vec<GivenBack> = others.chain(spoilt).collect();
        rows.sort_by_key(|one| one.row.line);
        chunk.refused.push(RefusedEvent { key, rows });
    }
}

fn planned(group: Group, key: Box<str>) -> PlannedEvent {
    PlannedEvent {
        kind: group.key.kind,
        reason: group.key.reason,
        depot: group.key.depot,
        occurred_at: group.key.moment.at,
        notes: group.notes,
        key,
        lines: group.lines,
        rows: group.rows.into_iter().map(|(_, planned)| planned).collect(),
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
