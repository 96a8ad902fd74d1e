//! Putting damaged commits right, from a copy whose hash is the one that the log itself demands.
//!
//! Nothing is guessed. A commit is written again only where one is damaged, only with a body whose hash follows from the
//! commit before, and only when that hash is also what stands after it: in the commit that follows, in the next segment's
//! header, or, at the end of the log, in what is left of the damaged commit's own header. The file is copied aside before.

use std::io;
use std::path::{Path, PathBuf};

use bincard_ledger::codec::BodyRef;
use bincard_ledger::{LedgerId, Position};

use super::header::Header;
use super::names;
use super::scan::{CHUNK_BYTES, End, Read, Window, scan};
use super::tail::judge;
use crate::block::{BLOCK_BYTES, Blocks};
use crate::chain::Hash;
use crate::commit::{self, CommitHead};
use crate::disk::{Access, Disk, DiskFile, UNFINISHED};
use crate::error::{CopyError, OpenError, RepairError};
use crate::sector::{self, Found, SECTOR_BYTES};

/// The folder, in the ledger's, that damaged files are copied to before they are put right.
const ASIDE: &str = "damaged";

/// A commit that was written again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repaired {
    /// In which segment.
    pub segment: u64,
    /// Where in its file.
    pub byte: u64,
    /// The commit's first position.
    pub first: Position,
    /// Its last.
    pub last: Position,
    /// Where the file as it was is kept.
    pub kept: PathBuf,
}

/// Goes over every segment in a ledger's folder and writes damaged commits again, with the bodies that `copy` gives for
/// their first positions. What is not damaged is not touched. `told` is called with each that was written.
///
/// # Errors
/// [`RepairError`]; what was put right by then stays so.
pub fn repair(
    disk: &dyn Disk,
    dir: &Path,
    mut copy: impl FnMut(LedgerId, Position) -> Result<Option<Vec<u8>>, CopyError>,
    mut told: impl FnMut(Repaired),
) -> Result<(), RepairError> {
    let lock = dir.join(names::LOCK);
    let _lock = disk.lock(&lock).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked { dir: dir.to_owned() },
        _ => OpenError::io("lock", &lock)(source),
    })?;
    let log = names::log_dir(dir);
    let listed = disk.list(&log).map_err(OpenError::io("list", &log))?;
    let mut numbers: Vec<u64> = listed
        .iter()
        .filter_map(|name| names::number(name, names::SEGMENT))
        .collect();
    numbers.sort_unstable();
    let mut segments = Vec::new();
    for number in numbers {
        segments.push(Segment::open(disk, dir, number)?);
    }
    for (at, segment) in segments.iter().enumerate() {
        let next = segments.get(at + 1).map(|next| &next.header);
        let mut kept = None;
        while let Some(end) = segment.damage(next)? {
            let position = end.position.next();
            let body = copy(segment.header.ledger, position)
                .map_err(|source| RepairError::Copy { position, source })?;
            let body = body.ok_or(RepairError::NoCopy { position })?;
            let head = segment.proven(&end, next, &body)?;
            let aside = match &kept {
                Some(kept) => PathBuf::clone(kept),
                None => segment.keep(disk, dir)?,
            };
            segment.write(&end, &head, &body)?;
            told(Repaired {
                segment: segment.header.segment,
                byte: end.byte,
                first: head.first,
                last: head.last(),
                kept: aside.clone(),
            });
            kept = Some(aside);
        }
    }
    Ok(())
}

struct Segment {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    header: Header,
}

impl Segment {
    fn open(disk: &dyn Disk, dir: &Path, number: u64) -> Result<Segment, OpenError> {
        let path = names::segment_path(dir, number);
        let file = disk
            .open(&path, Access::Write)
            .map_err(OpenError::io("open", &path))?;
        file.settle().map_err(OpenError::io("settle", &path))?;
        let mut block = vec![0; BLOCK_BYTES];
        let read = file
            .read_at(&mut block, 0)
            .map_err(OpenError::io("read", &path))?;
        let size = file.size_bytes().map_err(OpenError::io("measure", &path))?;
        let header = Header::read(&block[..read], number, size, &path)?;
        Ok(Segment { path, file, header })
    }

    /// Where the first damaged commit begins, if there is one.
    fn damage(&self, next: Option<&Header>) -> Result<Option<End>, OpenError> {
        let last_commit = next.map_or(u64::MAX, |next| next.first_commit - 1);
        let (_, end, flaw) = scan(&*self.file, &self.path, &self.header, last_commit, None)?;
        let Some(flaw) = flaw else { return Ok(None) };
        if next.is_some() {
            return Ok(Some(end));
        }
        // The end of the log looks like damage until it is judged.
        match judge(&*self.file, &self.path, &self.header, &end, Some(flaw)) {
            Ok(_) => Ok(None),
            Err(OpenError::Corrupt(_)) => Ok(Some(end)),
            Err(error) => Err(error),
        }
    }

    /// The commit that a body makes after `end`, if the log says that this is what stood there.
    fn proven(&self, end: &End, next: Option<&Header>, body: &[u8]) -> Result<CommitHead, RepairError> {
        let first = end.position.next();
        let unproven = |why| RepairError::Unproven { position: first, why };
        let parsed = BodyRef::parse(body).map_err(|_| unproven("it cannot be read"))?;
        let head = CommitHead {
            commit: end.commit + 1,
            first,
            count: parsed.count(),
            previous: end.hash,
            hash: end.hash.follow(first, body),
        };
        let after = end.byte + commit::size_bytes(body.len()) as u64;
        if head.count == 0 || after > self.header.size_bytes {
            return Err(unproven("it does not fit where the damaged one stood"));
        }
        let demanded = match next {
            Some(next) if next.first_commit == head.commit + 1 => Some(next.previous),
            _ => match self.hash_before(after, head.commit + 1)? {
                Some(hash) => Some(hash),
                None => self.hash_left(end)?,
            },
        };
        match demanded {
            Some(hash) if hash == head.hash => Ok(head),
            Some(_) => Err(unproven("its hash is another one than the log demands")),
            None => Err(unproven(
                "neither the commit after it nor what is left of it tells its hash",
            )),
        }
    }

    /// The hash that the commit at a place names as the one before it.
    fn hash_before(&self, byte: u64, commit: u64) -> Result<Option<Hash>, OpenError> {
        let mut payload = Vec::new();
        let read = Window::new(CHUNK_BYTES)
            .read_commit(
                &*self.file,
                byte,
                self.header.size_bytes,
                commit,
                self.header.salt(),
                &mut payload,
            )
            .map_err(OpenError::io("read", &self.path))?;
        Ok(match read {
            Read::Commit(unpacked) => Some(unpacked.head.previous),
            Read::Flaw(..) => None,
        })
    }

    /// The hash in what is left of the damaged commit's own header. A hash that is right by chance does not exist, so no
    /// checksum is asked.
    fn hash_left(&self, end: &End) -> Result<Option<Hash>, OpenError> {
        let mut bytes = vec![0; SECTOR_BYTES];
        let read = self.file.read_at(&mut bytes, end.byte);
        read.map_err(OpenError::io("read", &self.path))?;
        Ok(commit::header_of(&bytes[sector::STAMP_BYTES..]).map(|head| head.hash))
    }

    /// Copies the file aside as it is.
    fn keep(&self, disk: &dyn Disk, dir: &Path) -> Result<PathBuf, OpenError> {
        let aside = dir.join(ASIDE);
        disk.create_dir(&aside)
            .map_err(OpenError::io("make the folder", &aside))?;
        let there = disk.list(&aside).map_err(OpenError::io("list", &aside))?;
        let mut name = names::file_name(self.header.segment, names::SEGMENT);
        let mut times = 1;
        while there.contains(&name) {
            times += 1;
            name = format!(
                "{}-{times}",
                names::file_name(self.header.segment, names::SEGMENT)
            );
        }
        let path = aside.join(&name);
        let beside = aside.join(format!("{name}{UNFINISHED}"));
        let copied = (|| -> io::Result<()> {
            let copy = disk.create(&beside, self.header.size_bytes)?;
            let mut blocks = Blocks::zeroed(CHUNK_BYTES / BLOCK_BYTES);
            let mut at = 0;
            while at < self.header.size_bytes {
                let left = (self.header.size_bytes - at).min(CHUNK_BYTES as u64) as usize;
                let piece = blocks.take(left / BLOCK_BYTES);
                self.file.read_at(piece, at)?;
                copy.write_at(piece, at)?;
                at += left as u64;
            }
            disk.rename(&beside, &path)?;
            disk.sync_dir(&aside)
        })();
        copied.map_err(OpenError::io("write", &path))?;
        Ok(path)
    }

    fn write(&self, end: &End, head: &CommitHead, body: &[u8]) -> Result<(), OpenError> {
        let epoch = self.epoch(end, head, commit::size_bytes(body.len()))?;
        let mut blocks = Blocks::default();
        let packed = commit::pack(&mut blocks, head, body, epoch, self.header.salt(), end.byte);
        self.file
            .write_at(packed, end.byte)
            .map_err(OpenError::io("write", &self.path))
    }

    /// The epoch that the damaged commit had, by its sectors that are whole; else the one of the commit before it, which is
    /// never later.
    fn epoch(&self, end: &End, head: &CommitHead, size: usize) -> Result<u32, OpenError> {
        let mut bytes = vec![0; size];
        let read = self.file.read_at(&mut bytes, end.byte);
        read.map_err(OpenError::io("read", &self.path))?;
        let (sectors, _) = bytes.as_chunks::<SECTOR_BYTES>();
        let mut epoch = end.epoch.max(1);
        for (index, bytes) in sectors.iter().enumerate() {
            let at = end.byte + (index * SECTOR_BYTES) as u64;
            if let Found::Stamped(stamp) = sector::look(bytes, self.header.salt(), at)
                && stamp.commit_low == head.commit as u32
            {
                epoch = epoch.max(stamp.epoch);
            }
        }
        Ok(epoch)
    }
}
