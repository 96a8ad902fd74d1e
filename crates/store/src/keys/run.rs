//! A run: the keys of a stretch of the log, sorted, in a file that is never changed.
//!
//! Layout: a header block; blocks of 255 entries with a checksum each; the first hash of every block; the filter.
//! The header is written last. The first hashes and the filter are kept in memory, entries are read when asked for.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use bincard_ledger::{LedgerId, Position};
use smallvec::SmallVec;

use super::filter::Filter;
use crate::block::BLOCK_BYTES;
use crate::commit::part;
use crate::disk::{Access, Disk, DiskFile, UNFINISHED};

const MAGIC: [u8; 8] = *b"BINCKEY1";
const ENTRY_BYTES: usize = 16;
const ENTRIES_PER_BLOCK: usize = 255;
/// How much is written at once.
const WRITE_BYTES: usize = 1 << 20;
const ENDING: &str = ".run";

/// A key's hash and the position of the record that has it.
pub(super) type Entry = (u64, u64);
/// Positions found for a hash.
pub(super) type Found = SmallVec<[Position; 2]>;

/// A stretch of the log: after `from`, up to and with `to`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Stretch {
    pub(super) from: Position,
    pub(super) to: Position,
}

impl Stretch {
    pub(super) fn name(self) -> String {
        format!("{:020}-{:020}{ENDING}", self.from.0, self.to.0)
    }

    pub(super) fn parse(name: &str) -> Option<Stretch> {
        let (from, to) = name.strip_suffix(ENDING)?.split_once('-')?;
        let stretch = Stretch {
            from: Position(from.parse().ok()?),
            to: Position(to.parse().ok()?),
        };
        (stretch.from < stretch.to && stretch.name() == name).then_some(stretch)
    }
}

/// One run, open.
pub(super) struct Run {
    pub(super) stretch: Stretch,
    pub(super) entries: u64,
    salt: u32,
    filter: Filter,
    fences: Vec<u64>,
    file: Box<dyn DiskFile>,
    /// A block was found damaged: the run has to be made again from the log.
    damaged: AtomicBool,
}

/// The file is not the whole run that it should be.
#[derive(Debug)]
pub(super) struct Damaged;

impl Run {
    /// Opens a run; `Ok(Err)` when its file is damaged.
    pub(super) fn open(
        disk: &dyn Disk,
        dir: &Path,
        stretch: Stretch,
        ledger: LedgerId,
    ) -> io::Result<Result<Run, Damaged>> {
        let file = disk.open(&dir.join(stretch.name()), Access::Read)?;
        let mut header = vec![0; BLOCK_BYTES];
        if file.read_at(&mut header, 0)? < BLOCK_BYTES {
            return Ok(Err(Damaged));
        }
        let entries = u64::from_le_bytes(part(&header, 48));
        let expected = Header {
            stretch,
            ledger,
            entries,
            check: u32::from_le_bytes(part(&header, 56)),
        };
        if entries == 0 || entries >> 48 != 0 || expected.bytes() != header[..] {
            return Ok(Err(Damaged));
        }
        let blocks = block_count(entries);
        let mut rest = vec![0; blocks * 8 + Filter::size_bytes(entries)];
        let at = ((blocks + 1) * BLOCK_BYTES) as u64;
        let read = file.read_at(&mut rest, at)?;
        if read < rest.len() || crc32c::crc32c(&rest) != expected.check {
            return Ok(Err(Damaged));
        }
        let (fences, filter) = rest.split_at(blocks * 8);
        let fences = fences
            .as_chunks::<8>()
            .0
            .iter()
            .map(|fence| u64::from_le_bytes(*fence))
            .collect();
        let Some(filter) = Filter::from_bytes(filter) else {
            return Ok(Err(Damaged));
        };
        let salt = salt(ledger, stretch);
        Ok(Ok(Run {
            stretch,
            entries,
            salt,
            filter,
            fences,
            file,
            damaged: AtomicBool::new(false),
        }))
    }

    pub(super) fn may_contain(&self, hash: u64) -> bool {
        self.filter.may_contain(hash)
    }

    /// The positions of a hash, from the disk.
    pub(super) fn find(&self, hash: u64, found: &mut Found) -> io::Result<Result<(), Damaged>> {
        // A hash that several keys share may go over the edge of a block.
        let first = self
            .fences
            .partition_point(|fence| *fence < hash)
            .saturating_sub(1);
        let mut entries = Vec::new();
        for block in (first..self.fences.len()).take_while(|block| self.fences[*block] <= hash) {
            entries.clear();
            if self.read_block(block, &mut entries)?.is_err() {
                return Ok(Err(Damaged));
            }
            let start = entries.partition_point(|entry| entry.0 < hash);
            found.extend(
                entries[start..]
                    .iter()
                    .take_while(|entry| entry.0 == hash)
                    .map(|entry| Position(entry.1)),
            );
        }
        Ok(Ok(()))
    }

    /// Appends a block's entries; marks the run when the block is damaged.
    pub(super) fn read_block(
        &self,
        block: usize,
        entries: &mut Vec<Entry>,
    ) -> io::Result<Result<(), Damaged>> {
        let mut bytes = [0; BLOCK_BYTES];
        let read = self
            .file
            .read_at(&mut bytes, ((block + 1) * BLOCK_BYTES) as u64)?;
        let (content, check) = bytes.split_at(BLOCK_BYTES - 4);
        if read < BLOCK_BYTES || check != block_check(self.salt, block, content).to_le_bytes() {
            self.damaged.store(true, Ordering::Release);
            return Ok(Err(Damaged));
        }
        let before = (block * ENTRIES_PER_BLOCK) as u64;
        let count = (self.entries - before).min(ENTRIES_PER_BLOCK as u64) as usize;
        let (pairs, _) = content.as_chunks::<ENTRY_BYTES>();
        entries.extend(pairs[..count].iter().map(|pair| {
            (
                u64::from_le_bytes(part(pair, 0)),
                u64::from_le_bytes(part(pair, 8)),
            )
        }));
        Ok(Ok(()))
    }

    pub(super) fn block_count(&self) -> usize {
        self.fences.len()
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.damaged.load(Ordering::Acquire)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.filter.as_bytes().len() + self.fences.len() * 8
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Run({}..={}, {} keys)",
            self.stretch.from, self.stretch.to, self.entries
        )
    }
}

struct Header {
    stretch: Stretch,
    ledger: LedgerId,
    entries: u64,
    /// Over first hashes and filter.
    check: u32,
}

impl Header {
    fn bytes(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK_BYTES];
        block[..8].copy_from_slice(&MAGIC);
        block[16..32].copy_from_slice(&self.ledger.0);
        block[32..40].copy_from_slice(&self.stretch.from.0.to_le_bytes());
        block[40..48].copy_from_slice(&self.stretch.to.0.to_le_bytes());
        block[48..56].copy_from_slice(&self.entries.to_le_bytes());
        block[56..60].copy_from_slice(&self.check.to_le_bytes());
        let check = crc32c::crc32c(&block[16..]);
        block[8..12].copy_from_slice(&check.to_le_bytes());
        block
    }
}

fn salt(ledger: LedgerId, stretch: Stretch) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&ledger.0), stretch.name().as_bytes())
}

fn block_check(salt: u32, block: usize, content: &[u8]) -> u32 {
    crc32c::crc32c_append(salt ^ block as u32, content)
}

fn block_count(entries: u64) -> usize {
    entries.div_ceil(ENTRIES_PER_BLOCK as u64) as usize
}

/// Writes a run of a known number of entries, which come in order.
pub(super) struct RunWriter {
    stretch: Stretch,
    ledger: LedgerId,
    entries: u64,
    salt: u32,
    file: Box<dyn DiskFile>,
    block: Vec<u8>,
    waiting: Vec<u8>,
    written_bytes: u64,
    fences: Vec<u64>,
    filter: Filter,
}

impl RunWriter {
    pub(super) fn create(
        disk: &dyn Disk,
        dir: &Path,
        stretch: Stretch,
        ledger: LedgerId,
        entries: u64,
    ) -> io::Result<RunWriter> {
        let file = disk.create(&dir.join(stretch.name() + UNFINISHED), 0)?;
        Ok(RunWriter {
            stretch,
            ledger,
            entries,
            salt: salt(ledger, stretch),
            file,
            block: Vec::with_capacity(BLOCK_BYTES),
            waiting: Vec::new(),
            written_bytes: BLOCK_BYTES as u64,
            fences: Vec::with_capacity(block_count(entries)),
            filter: Filter::new(entries),
        })
    }

    pub(super) fn push(&mut self, (hash, position): Entry) -> io::Result<()> {
        if self.block.is_empty() {
            self.fences.push(hash);
        }
        self.filter.insert(hash);
        self.block.extend_from_slice(&hash.to_le_bytes());
        self.block.extend_from_slice(&position.to_le_bytes());
        if self.block.len() == ENTRIES_PER_BLOCK * ENTRY_BYTES {
            self.end_block()?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        self.block.resize(BLOCK_BYTES - 4, 0);
        let check = block_check(self.salt, self.fences.len() - 1, &self.block);
        self.block.extend_from_slice(&check.to_le_bytes());
        self.waiting.append(&mut self.block);
        if self.waiting.len() >= WRITE_BYTES {
            self.write_waiting()
        } else {
            Ok(())
        }
    }

    fn write_waiting(&mut self) -> io::Result<()> {
        self.file.write_at(&self.waiting, self.written_bytes)?;
        self.written_bytes += self.waiting.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Puts the run in place, durably, and opens it.
    pub(super) fn finish(mut self, disk: &dyn Disk, dir: &Path) -> io::Result<Run> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        let start = self.waiting.len();
        self.waiting
            .extend(self.fences.iter().flat_map(|fence| fence.to_le_bytes()));
        self.waiting.extend_from_slice(self.filter.as_bytes());
        let check = crc32c::crc32c(&self.waiting[start..]);
        self.write_waiting()?;
        let header = Header {
            stretch: self.stretch,
            ledger: self.ledger,
            entries: self.entries,
            check,
        };
        self.file.write_at(&header.bytes(), 0)?;
        let name = self.stretch.name();
        disk.rename(&dir.join(format!("{name}{UNFINISHED}")), &dir.join(name))?;
        disk.sync_dir(dir)?;
        Ok(Run {
            stretch: self.stretch,
            entries: self.entries,
            salt: self.salt,
            filter: self.filter,
            fences: self.fences,
            file: self.file,
            damaged: AtomicBool::new(false),
        })
    }
}
