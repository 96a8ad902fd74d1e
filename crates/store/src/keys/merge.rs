//! Making one run of several neighbours, and knowing which.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bincard_ledger::LedgerId;

use super::run::{Entry, Run, RunWriter, Stretch};
use crate::disk::Disk;

/// The most runs to merge at once.
const SOURCES_MAX: usize = 16;
/// How many entries are merged before the caller gets to do something else.
const STEP_ENTRIES: usize = 32 << 10;

/// From which run on all should become one, if any should: no run may be smaller than all younger ones together.
/// So there are few runs (each is larger than the rest), and a key is moved a logarithmic number of times.
pub(super) fn due(runs: &[Arc<Run>]) -> Option<usize> {
    let mut younger = 0;
    let mut from = None;
    for (index, run) in runs.iter().enumerate().rev() {
        if younger >= run.entries {
            from = Some(index);
        }
        younger += run.entries;
    }
    // The youngest ones first, when there are too many.
    from.map(|from| from.max(runs.len().saturating_sub(SOURCES_MAX)))
}

/// One run being read from its beginning.
struct Source {
    run: Arc<Run>,
    block: usize,
    entries: Vec<Entry>,
    at: usize,
}

impl Source {
    fn peek(&mut self) -> io::Result<Option<Entry>> {
        if self.at == self.entries.len() {
            if self.block == self.run.block_count() {
                return Ok(None);
            }
            self.entries.clear();
            self.at = 0;
            let read = self.run.read_block(self.block, &mut self.entries)?;
            read.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a block of a key run is damaged"))?;
            self.block += 1;
        }
        Ok(self.entries.get(self.at).copied())
    }
}

/// A merge under way.
pub(super) struct Merge {
    sources: Vec<Source>,
    heads: Vec<Option<Entry>>,
    writer: RunWriter,
}

impl Merge {
    pub(super) fn start(
        disk: &dyn Disk,
        dir: &Path,
        ledger: LedgerId,
        runs: &[Arc<Run>],
    ) -> io::Result<Merge> {
        let (Some(first), Some(last)) = (runs.first(), runs.last()) else {
            return Err(io::Error::other("there is nothing to merge"));
        };
        let stretch = Stretch {
            from: first.stretch.from,
            to: last.stretch.to,
        };
        let entries = runs.iter().map(|run| run.entries).sum();
        let writer = RunWriter::create(disk, dir, stretch, ledger, entries)?;
        let mut sources: Vec<Source> = runs
            .iter()
            .map(|run| Source {
                run: run.clone(),
                block: 0,
                entries: Vec::new(),
                at: 0,
            })
            .collect();
        let heads = sources.iter_mut().map(Source::peek).collect::<io::Result<_>>()?;
        Ok(Merge {
            sources,
            heads,
            writer,
        })
    }

    /// Merges some more; whether there is anything left.
    pub(super) fn step(&mut self) -> io::Result<bool> {
        for _ in 0..STEP_ENTRIES {
            let heads = self.heads.iter().enumerate();
            let least = heads
                .filter_map(|(source, head)| head.map(|head| (head, source)))
                .min();
            let Some((entry, source)) = least else {
                return Ok(false);
            };
            self.writer.push(entry)?;
            self.sources[source].at += 1;
            self.heads[source] = self.sources[source].peek()?;
        }
        Ok(true)
    }

    pub(super) fn finish(self, disk: &dyn Disk, dir: &Path) -> io::Result<Run> {
        self.writer.finish(disk, dir)
    }
}
