//! The reading half of an import: rows to chunks, on a thread of its own.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::SyncSender;

use super::catalogue::Catalogue;
use super::classify::Classifier;
use super::group::Grouper;
use super::input::{Input, InputError, Next};
use super::mapping::Mapping;
use super::plan::{Chunk, GivenBack, PlannedRow};
use super::row::{Record, Row, Shape};
use super::totals::Totals;

/// The most rows of a chunk, whether they make events or not.
const CHUNK_ROWS_MAX: u64 = 20_000;

/// How a file is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadOptions {
    /// The most events of a chunk, but for those of one run.
    pub(crate) events_max: usize,
    /// Whether only the catalogue is wanted.
    pub(crate) catalogue_only: bool,
}

/// What is handed to the recording half.
#[derive(Debug)]
pub(crate) enum Message {
    /// The file is open; how rows stand in it.
    Opened(Shape),
    /// Ask the ledger for this.
    Chunk(Chunk),
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) totals: Totals,
    /// All rows, those that were rejected at once too.
    pub(crate) rows: u64,
    /// Lines of events that were left out because they sum to zero.
    pub(crate) zero_lines: u64,
    /// What ended it before the file's end.
    pub(crate) failure: Option<InputError>,
}

/// Reads `path` to its end and hands everything to `to`, until nobody listens there.
pub(crate) fn read(
    path: &Path,
    mapping: &Mapping,
    options: ReadOptions,
    bytes_read: Arc<AtomicU64>,
    to: &SyncSender<Message>,
) -> Reading {
    let input = match Input::open(path, mapping, bytes_read) {
        Ok(input) => input,
        Err(failure) => {
            return Reading {
                failure: Some(failure),
                ..Reading::default()
            };
        }
    };
    let mut reader = Reader {
        mapping,
        options,
        classifier: Classifier::new(mapping),
        catalogue: Catalogue::default(),
        grouper: Grouper::new(&mapping.source),
        chunk: Chunk::default(),
        reading: Reading::default(),
    };
    if to.send(Message::Opened(input.shape().clone())).is_ok() {
        reader.run(input, to);
    }
    reader.reading.zero_lines = reader.grouper.zero_lines();
    reader.reading
}

struct Reader<'m> {
    mapping: &'m Mapping,
    options: ReadOptions,
    classifier: Classifier<'m>,
    catalogue: Catalogue,
    grouper: Grouper,
    chunk: Chunk,
    reading: Reading,
}

impl Reader<'_> {
    fn run(&mut self, mut input: Input, to: &SyncSender<Message>) {
        loop {
            match input.next() {
                Ok(Some(next)) => {
                    self.reading.rows += 1;
                    self.chunk.rows += 1;
                    match next {
                        Next::Row(row) => self.take(row, &input),
                        Next::Unreadable(row, reason) => self.give_back(row, None, reason),
                    }
                }
                Ok(None) => {
                    self.grouper.finish(&mut self.chunk);
                    break;
                }
                // The run that was being read may go on in what could not be read: its rows wait for the next time.
                Err(failure) => {
                    self.reading.failure = Some(failure);
                    break;
                }
            }
            let is_full =
                self.chunk.events.len() >= self.options.events_max || self.chunk.rows >= CHUNK_ROWS_MAX;
            if is_full && !self.send(false, to) {
                return;
            }
        }
        self.send(true, to);
    }

    /// Sends what was gathered; `false` when nobody listens.
    fn send(&mut self, is_last: bool, to: &SyncSender<Message>) -> bool {
        let mut chunk = std::mem::take(&mut self.chunk);
        // Names may still come where only the catalogue is wanted: it is sent at the end, with the best there are.
        if !self.options.catalogue_only || is_last {
            (chunk.depots, chunk.variants) = self.catalogue.take_fresh();
        }
        chunk.is_empty() || to.send(Message::Chunk(chunk)).is_ok()
    }

    fn take(&mut self, row: Record, input: &Input) {
        let seen = Row {
            record: &row,
            layout: input.layout(),
            columns: &self.mapping.columns,
        };
        let verdict = self.classifier.classify(&seen).and_then(|verdict| {
            self.reading.totals.add(verdict.rule, verdict.figures)?;
            Ok(verdict)
        });
        let verdict = match verdict {
            Ok(verdict) => verdict,
            Err(error) => {
                self.give_back(row, None, error.to_string());
                return;
            }
        };
        let rule = verdict.rule;
        if let Some(entry) = verdict.entry {
            self.catalogue.enter(entry);
        }
        let Some(movement) = verdict.movement else {
            return;
        };
        if self.options.catalogue_only {
            self.catalogue
                .depot(movement.warehouse_code, movement.warehouse_name);
            return;
        }
        let notes = || self.mapping.notes.as_ref().and_then(|notes| notes.fill(&seen));
        let key = row.key.as_deref();
        match self
            .grouper
            .add(&movement, key, notes, &mut self.catalogue, &mut self.chunk)
        {
            Ok(slot) => self.grouper.keep(slot, PlannedRow { row, rule }),
            Err(reason) => self.give_back(row, Some(rule), reason),
        }
    }

    /// Gives back a row that cannot be imported: alone, or with its whole event where the file gives that event's key.
    fn give_back(&mut self, row: Record, rule: Option<usize>, reason: String) {
        let key = row.key.clone();
        let given_back = GivenBack { row, rule, reason };
        match key {
            None => self.chunk.rejected.push(given_back),
            Some(key) => self.grouper.spoil(&key, given_back, &mut self.chunk),
        }
    }
}
