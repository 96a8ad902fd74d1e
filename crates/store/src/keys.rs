//! The index of idempotency keys: for ever, in little memory, and free for a key that is new.
//!
//! Young keys are in a table in memory; a full table becomes a sorted run in a file, and runs are merged in the
//! background, so that there are few. Of a run only a filter is in memory. The index is never the truth: it names
//! positions that may hold a key, by its hash, and the caller compares with the log. What is missing or damaged is
//! made again from the log.

pub(crate) mod filter;
mod merge;
mod run;
mod work;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bincard_ledger::command::IdempotencyKey;
use bincard_ledger::{LedgerId, Position};
use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::disk::{Disk, UNFINISHED};
use crate::error::{OpenError, ReadError};
use crate::segment::Reader;
use run::{Entry, Run, Stretch};
use work::{Frozen, Works};

/// How many full tables may wait to be written.
const WAITING_MAX: usize = 8;

/// How a key index is kept.
#[derive(Clone, Copy, Debug)]
pub struct KeyOptions {
    /// How many keys are kept in memory before they become a run.
    pub young_keys_max: usize,
    /// Whether a thread writes and merges runs. Without, [`KeyIndex::maintain`] does, in an order that repeats: for
    /// simulations.
    pub background: bool,
}

impl Default for KeyOptions {
    fn default() -> KeyOptions {
        // Seven eighths of 256 Ki: as many as a hash table of that size takes before it grows.
        KeyOptions {
            young_keys_max: 224 << 10,
            background: true,
        }
    }
}

/// The positions that may hold a key, newest last; nearly always none or one.
pub type Candidates = SmallVec<[Position; 2]>;

/// Runs could not be written for so long that no more keys should be taken in. Nothing is lost.
#[derive(Debug, thiserror::Error)]
#[error("the index of idempotency keys in {} cannot be written: {why}", dir.display())]
pub struct Backlog {
    /// The folder.
    pub dir: PathBuf,
    /// What the system said.
    pub why: String,
}

/// Finds where an idempotency key was used. Keys are put in by the one thread that decides.
#[derive(Debug)]
pub struct KeyIndex {
    young: HashTable<Entry>,
    /// What `young` covers: after this position…
    young_from: Position,
    /// …up to this one.
    young_to: Position,
    /// Full tables that are not runs yet, oldest first; the first `queued` of them are with the worker.
    waiting: VecDeque<Arc<Frozen>>,
    queued: usize,
    runs: Vec<Arc<Run>>,
    /// The worker's changes to the runs that `runs` has already.
    changes_seen: u64,
    options: KeyOptions,
    works: Arc<Works>,
    worker: Option<JoinHandle<()>>,
}

impl KeyIndex {
    /// Opens the index beside a log: takes the runs that are whole and follow one another, removes what they do not need,
    /// and reads the rest of the log's keys.
    ///
    /// # Errors
    /// When the folder or the log cannot be read, or a run cannot be written.
    pub fn open(reader: &Reader, options: KeyOptions) -> Result<KeyIndex, OpenError> {
        let shared = reader.shared();
        let (disk, dir) = (shared.disk.clone(), dir(&shared.dir));
        let runs = open_runs(&*disk, &dir, reader.ledger())?;
        let covered = runs.last().map_or(Position(0), |run| run.stretch.to);
        let works = Arc::new(Works::new(disk, dir, reader.clone(), runs.clone()));
        let mut index = KeyIndex {
            young: HashTable::new(),
            young_from: covered,
            young_to: covered,
            waiting: VecDeque::new(),
            queued: 0,
            runs,
            changes_seen: 0,
            options,
            works,
            worker: None,
        };
        index.replay(reader)?;
        if options.background {
            let works = index.works.clone();
            let thread = thread::Builder::new().name("bincard-keys".to_owned());
            let worker = thread.spawn(move || works.run());
            index.worker = Some(worker.map_err(OpenError::io("start a thread for", &index.works.dir))?);
        }
        Ok(index)
    }

    fn replay(&mut self, reader: &Reader) -> Result<(), OpenError> {
        let to = reader.head().position;
        let dir = self.works.dir.clone();
        log_keys(reader, self.young_from, to, |hash, position| {
            self.insert(hash, position);
            if self.young.len() < self.options.young_keys_max {
                return Ok(());
            }
            self.freeze();
            self.hand_over(to);
            let written = self.works.work();
            self.take_runs();
            written
                .map(drop)
                .map_err(ReadError::io("write a run of keys in", &dir))
        })?;
        Ok(())
    }

    /// The positions that may hold a key of this hash, newest last. For a new key this reads nothing from the disk, but
    /// for the rare false hit of a filter.
    ///
    /// # Errors
    /// When neither a run nor, in its place, the log can be read.
    pub fn candidates(&self, hash: u64) -> Result<Candidates, ReadError> {
        self.probe(hash).candidates()
    }

    /// Begins to look for a hash: what memory says, and which files are to be asked. Whoever shares the index need not
    /// hold it while those are read.
    pub fn probe(&self, hash: u64) -> Probe {
        let mut found = Candidates::new();
        let tables = self
            .waiting
            .iter()
            .map(|frozen| &frozen.table)
            .chain([&self.young]);
        for table in tables {
            found.extend(
                table
                    .iter_hash(hash)
                    .filter(|entry| entry.0 == hash)
                    .map(|entry| Position(entry.1)),
            );
        }
        let runs = self.runs.iter().filter(|run| run.may_contain(hash));
        Probe {
            hash,
            found,
            runs: runs.cloned().collect(),
            works: self.works.clone(),
        }
    }

    /// Whether each of many hashes may be known: appends an answer a hash to `out`. "No" is certain. Cheaper than one
    /// by one, because the memory that they need is fetched at once.
    pub fn screen(&self, hashes: &[u64], out: &mut Vec<bool>) {
        let start = out.len();
        let tables = || {
            self.waiting
                .iter()
                .map(|frozen| &frozen.table)
                .chain([&self.young])
        };
        out.extend(hashes.iter().map(|hash| tables().any(|table| has(table, *hash))));
        for run in &self.runs {
            for (hash, out) in hashes.iter().zip(&mut out[start..]) {
                *out |= run.may_contain(*hash);
            }
        }
    }

    /// Takes in a key's hash. Positions must never go back, and no key before them may be left out.
    pub fn insert(&mut self, hash: u64, position: Position) {
        self.young
            .insert_unique(hash, (hash, position.0), |entry| entry.0);
        self.young_to = self.young_to.max(position);
    }

    /// Hands full tables to the worker, as far as the log is durable; to be called after each batch. It waits for
    /// nothing, unless more tables are full than memory should hold.
    ///
    /// # Errors
    /// [`Backlog`] when so many wait because runs cannot be written. The keys stay in memory; call it again.
    pub fn maintain(&mut self, durable: Position) -> Result<(), Backlog> {
        if self.young.len() >= self.options.young_keys_max {
            self.freeze();
        }
        if self.waiting.is_empty() && self.works.changes() == self.changes_seen && !self.has_damage() {
            return Ok(());
        }
        self.hand_over(durable);
        if !self.options.background {
            // A refusal is on the board, and in the log of the program.
            drop(self.works.work_off());
        }
        loop {
            self.take_runs();
            if self.queued < WAITING_MAX {
                return Ok(());
            }
            if let Some(why) = self.works.wait_for_change() {
                return Err(Backlog {
                    dir: self.works.dir.clone(),
                    why,
                });
            }
        }
    }

    fn has_damage(&self) -> bool {
        self.runs.iter().any(|run| run.is_damaged())
    }

    fn freeze(&mut self) {
        let stretch = Stretch {
            from: self.young_from,
            to: self.young_to,
        };
        let capacity = self.young.len();
        let table = std::mem::replace(&mut self.young, HashTable::with_capacity(capacity));
        self.young_from = self.young_to;
        self.waiting.push_back(Arc::new(Frozen { stretch, table }));
    }

    /// Only what is durable may become a run: a run is believed at the next start.
    fn hand_over(&mut self, durable: Position) {
        let mut board = self.works.board();
        while let Some(frozen) = self
            .waiting
            .get(self.queued)
            .filter(|frozen| frozen.stretch.to <= durable)
        {
            board.queue.push_back(frozen.clone());
            self.queued += 1;
        }
        drop(board);
        self.works.wake();
    }

    /// Takes over the runs as they are now, and lets go of tables that are in them.
    fn take_runs(&mut self) {
        let board = self.works.board();
        self.runs.clone_from(&board.runs);
        self.changes_seen = self.works.changes();
        drop(board);
        let covered = self.runs.last().map_or(Position(0), |run| run.stretch.to);
        while self
            .waiting
            .front()
            .is_some_and(|frozen| frozen.stretch.to <= covered)
        {
            self.waiting.pop_front();
            self.queued -= 1;
        }
    }

    /// How many keys there are.
    pub fn key_count(&self) -> u64 {
        let tables = self
            .waiting
            .iter()
            .map(|frozen| frozen.table.len())
            .sum::<usize>()
            + self.young.len();
        self.runs.iter().map(|run| run.entries).sum::<u64>() + tables as u64
    }

    /// How much memory the index takes.
    pub fn memory_bytes(&self) -> usize {
        let tables = self
            .waiting
            .iter()
            .map(|frozen| frozen.table.allocation_size())
            .sum::<usize>();
        let runs: usize = self.runs.iter().map(|run| run.memory_bytes()).sum();
        runs + tables + self.young.allocation_size()
    }

    /// Waits until all work that is due has been done.
    ///
    /// # Errors
    /// When a run cannot be written.
    pub fn settle(&mut self) -> io::Result<()> {
        // Two at the same work would disturb each other.
        self.stop_worker();
        self.works.board().closing = false;
        let worked = self.works.work_off();
        self.take_runs();
        if self.options.background {
            let works = self.works.clone();
            self.worker = Some(
                thread::Builder::new()
                    .name("bincard-keys".to_owned())
                    .spawn(move || works.run())?,
            );
        }
        worked
    }

    fn stop_worker(&mut self) {
        self.works.board().closing = true;
        self.works.wake();
        if let Some(Err(_)) = self.worker.take().map(JoinHandle::join) {
            tracing::error!("the thread that writes runs of keys panicked");
        }
    }
}

impl Drop for KeyIndex {
    fn drop(&mut self) {
        self.stop_worker();
    }
}

/// A look-up of a hash that has begun.
#[derive(Debug)]
pub struct Probe {
    hash: u64,
    found: Candidates,
    runs: SmallVec<[Arc<Run>; 2]>,
    works: Arc<Works>,
}

impl Probe {
    /// What [`KeyIndex::candidates`] answers for the hash, as of when the look-up began.
    ///
    /// # Errors
    /// When neither a run nor, in its place, the log can be read.
    pub fn candidates(mut self) -> Result<Candidates, ReadError> {
        for run in &self.runs {
            let before = self.found.len();
            let dir = &self.works.dir;
            if run
                .find(self.hash, &mut self.found)
                .map_err(ReadError::io("read a run of keys in", dir))?
                .is_err()
            {
                self.found.truncate(before);
                from_log(&self.works, run, self.hash, &mut self.found)?;
            }
        }
        self.found.sort_unstable();
        Ok(self.found)
    }
}

/// Slow and right, until the damaged run has been made again.
fn from_log(works: &Works, run: &Run, hash: u64, found: &mut Candidates) -> Result<(), ReadError> {
    works.wake();
    let Stretch { from, to } = run.stretch;
    log_keys(&works.reader, from, to, |other, position| {
        found.extend((other == hash).then_some(position));
        Ok(())
    })
}

fn has(table: &HashTable<Entry>, hash: u64) -> bool {
    table.find(hash, |entry| entry.0 == hash).is_some()
}

/// Calls `visit` with the hash and position of every key after a position, up to another.
fn log_keys(
    reader: &Reader,
    after: Position,
    to: Position,
    mut visit: impl FnMut(u64, Position) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let ledger = reader.ledger();
    let mut commits = reader.commits(after)?;
    while let Some(commit) = commits.next()?
        && commit.first <= to
    {
        crate::reader::each_record(&commit, |position, record| {
            let head = record
                .head()
                .map_err(|source| ReadError::Decode { position, source })?;
            match head.key {
                Some((space, text, _)) if position > after && position <= to => visit(
                    IdempotencyKey {
                        space,
                        text: text.into(),
                    }
                    .hash(ledger),
                    position,
                ),
                _ => Ok(()),
            }
        })?;
    }
    Ok(())
}

/// The runs that follow one another from the beginning of the log; all other files are removed.
fn open_runs(disk: &dyn Disk, dir: &Path, ledger: LedgerId) -> Result<Vec<Arc<Run>>, OpenError> {
    disk.sync_dir(dir)
        .map_err(OpenError::io("sync the folder", dir))?;
    let names = disk.list(dir).map_err(OpenError::io("list", dir))?;
    let mut stretches: Vec<Stretch> = names.iter().filter_map(|name| Stretch::parse(name)).collect();
    // Of those that begin at the same place, the longest first: the others were merged into it.
    stretches.sort_unstable_by_key(|stretch| (stretch.from, std::cmp::Reverse(stretch.to)));
    let mut runs: Vec<Arc<Run>> = Vec::new();
    for stretch in stretches {
        let covered = runs.last().map_or(Position(0), |run| run.stretch.to);
        if stretch.from != covered {
            continue;
        }
        match Run::open(disk, dir, stretch, ledger).map_err(OpenError::io("open a run of keys in", dir))? {
            Ok(run) => runs.push(Arc::new(run)),
            Err(_) => {
                tracing::warn!(dir = %dir.display(), ?stretch, "a run of keys is damaged; its keys are read from the log");
            }
        }
    }
    let used = |name: &String| runs.iter().any(|run| run.stretch.name() == *name);
    for name in names
        .iter()
        .filter(|name| Stretch::parse(name).is_some() || name.ends_with(UNFINISHED))
    {
        if !used(name) {
            let path = dir.join(name);
            disk.remove(&path).map_err(OpenError::io("remove", &path))?;
        }
    }
    Ok(runs)
}

/// The last position that a run in a ledger's folder covers.
pub(crate) fn positions(disk: &dyn Disk, ledger_dir: &Path) -> Result<Option<Position>, OpenError> {
    let dir = dir(ledger_dir);
    let names = disk.list(&dir).map_err(OpenError::io("list", &dir))?;
    Ok(names
        .iter()
        .filter_map(|name| Stretch::parse(name))
        .map(|stretch| stretch.to)
        .max())
}

pub(crate) fn dir(ledger_dir: &Path) -> PathBuf {
    ledger_dir.join("keys")
}
