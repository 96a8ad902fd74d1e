//! Writing and merging runs, by a thread of its own or by the caller's.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bincard_ledger::LedgerId;
use hashbrown::HashTable;

use super::log_keys;
use super::merge::{self, Merge};
use super::run::{Entry, Run, RunWriter, Stretch};
use crate::disk::Disk;
use crate::segment::Reader;

/// How long to wait for the worker before looking again.
const CHANGE_WAIT: Duration = Duration::from_millis(20);
/// How long to leave the disk alone after it refused.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The keys of a stretch of the log, in memory.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) stretch: Stretch,
    pub(super) table: HashTable<Entry>,
}

/// What the index and its worker tell each other.
#[derive(Debug, Default)]
pub(super) struct Board {
    /// To be written, oldest first.
    pub(super) queue: VecDeque<Arc<Frozen>>,
    /// All runs, oldest first.
    pub(super) runs: Vec<Arc<Run>>,
    /// Why the oldest could not be written when last tried.
    pub(super) refused: Option<String>,
    pub(super) closing: bool,
}

#[derive(Debug)]
pub(super) struct Works {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) dir: PathBuf,
    pub(super) ledger: LedgerId,
    pub(super) reader: Reader,
    board: Mutex<Board>,
    wake: Condvar,
    /// Counts changes of the runs; moved under the board's lock, read without.
    changes: AtomicU64,
    changed: Condvar,
}

impl Works {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: PathBuf, reader: Reader, runs: Vec<Arc<Run>>) -> Works {
        let board = Mutex::new(Board {
            runs,
            ..Board::default()
        });
        Works {
            disk,
            dir,
            ledger: reader.ledger(),
            reader,
            board,
            wake: Condvar::new(),
            changes: AtomicU64::new(0),
            changed: Condvar::new(),
        }
    }

    pub(super) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wake(&self) {
        self.wake.notify_all();
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// To be called with the board's lock held.
    fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::Release);
        self.changed.notify_all();
    }

    /// Waits a moment for the worker; why it cannot go on, if it cannot.
    pub(super) fn wait_for_change(&self) -> Option<String> {
        let board = self.board();
        if board.refused.is_none() {
            let waited = self.changed.wait_timeout(board, CHANGE_WAIT);
            return waited.unwrap_or_else(PoisonError::into_inner).0.refused.clone();
        }
        board.refused.clone()
    }

    /// The worker's life.
    pub(super) fn run(&self) {
        while !self.board().closing {
            let outcome = self.work();
            let board = self.board();
            if board.closing {
                return;
            }
            let pause = match outcome {
                Ok(true) => continue,
                Ok(false) if !board.queue.is_empty() => continue,
                Ok(false) => None,
                Err(_) => Some(RETRY_AFTER),
            };
            // Woken without cause it looks again, and waits again.
            match pause {
                Some(pause) => drop(self.wake.wait_timeout(board, pause)),
                None => drop(self.wake.wait(board)),
            }
        }
    }

    /// Does the most urgent piece of work; whether there was any.
    pub(super) fn work(&self) -> io::Result<bool> {
        let outcome = self.work_once();
        if let Err(error) = &outcome {
            tracing::warn!(dir = %self.dir.display(), %error, "a run of keys cannot be written; trying again later");
        }
        self.board().refused = outcome.as_ref().err().map(ToString::to_string);
        outcome
    }

    fn work_once(&self) -> io::Result<bool> {
        if self.flush_one()? {
            return Ok(true);
        }
        let runs = self.board().runs.clone();
        if let Some(at) = runs.iter().position(|run| run.is_damaged()) {
            self.repair(&runs[at], at)?;
            return Ok(true);
        }
        match merge::due(&runs) {
            Some(from) => self.merge(from, &runs[from..]).map(|()| true),
            None => Ok(false),
        }
    }

    /// Writes the oldest waiting keys as a run.
    fn flush_one(&self) -> io::Result<bool> {
        let Some(frozen) = self.board().queue.front().cloned() else {
            return Ok(false);
        };
        let entries: Vec<Entry> = frozen.table.iter().copied().collect();
        let run = self.write(frozen.stretch, entries)?;
        let mut board = self.board();
        board.runs.push(Arc::new(run));
        board.queue.pop_front();
        self.note_change();
        Ok(true)
    }

    pub(super) fn write(&self, stretch: Stretch, mut entries: Vec<Entry>) -> io::Result<Run> {
        entries.sort_unstable();
        let mut writer =
            RunWriter::create(&*self.disk, &self.dir, stretch, self.ledger, entries.len() as u64)?;
        entries.into_iter().try_for_each(|entry| writer.push(entry))?;
        writer.finish(&*self.disk, &self.dir)
    }

    /// Makes one run of those from index `from` on. Keys that come to be written in between go first.
    fn merge(&self, from: usize, sources: &[Arc<Run>]) -> io::Result<()> {
        let mut merge = Merge::start(&*self.disk, &self.dir, self.ledger, sources)?;
        while merge.step()? {
            if self.board().closing {
                return Ok(());
            }
            self.flush_one()?;
        }
        let merged = Arc::new(merge.finish(&*self.disk, &self.dir)?);
        let mut board = self.board();
        board.runs.splice(from..from + sources.len(), [merged]);
        self.note_change();
        drop(board);
        for source in sources {
            // The merged run is durable. An old one that stays is found to be covered at the next start, and removed.
            self.disk.remove(&self.dir.join(source.stretch.name()))?;
        }
        Ok(())
    }

    /// Makes a damaged run again from the log.
    fn repair(&self, run: &Run, at: usize) -> io::Result<()> {
        tracing::warn!(dir = %self.dir.display(), ?run, "a run of keys is damaged; making it again from the log");
        let mut entries = Vec::with_capacity(run.entries as usize);
        log_keys(
            &self.reader,
            run.stretch.from,
            run.stretch.to,
            |hash, position| {
                entries.push((hash, position.0));
                Ok(())
            },
        )
        .map_err(io::Error::other)?;
        let repaired = Arc::new(self.write(run.stretch, entries)?);
        let mut board = self.board();
        board.runs[at] = repaired;
        self.note_change();
        Ok(())
    }

    /// Does all there is to do.
    pub(super) fn work_off(&self) -> io::Result<()> {
        while self.work()? {}
        Ok(())
    }
}
