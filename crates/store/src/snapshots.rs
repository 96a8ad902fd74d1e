//! Snapshots of whatever is folded from the log: written beside, checked by a hash, tied to the chain.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bincard_ledger::Position;

use crate::chain::Hash;
use crate::commit::part;
use crate::disk::{self, Disk, UNFINISHED};
use crate::error::{OpenError, ReadError};
use crate::segment::Reader;

const MAGIC: [u8; 8] = *b"BINCSNP1";
const HEADER_BYTES: usize = 112;
const ENDING: &str = ".snap";
/// How many snapshots are kept: should the newest be damaged, there is one before.
const KEPT: usize = 2;

/// A state of the log's fold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// The last position folded into it; a commit ends there.
    pub position: Position,
    /// The chain's hash at that position.
    pub hash: Hash,
    /// The fold, as its maker wrote it.
    pub bytes: Vec<u8>,
}

/// The snapshots of one ledger. May be used by any thread; writing one does not hold up the log.
#[derive(Clone, Debug)]
pub struct Snapshots {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    reader: Reader,
}

impl Snapshots {
    /// The snapshots beside a log.
    pub fn new(reader: &Reader) -> Snapshots {
        let shared = reader.shared();
        Snapshots {
            disk: shared.disk.clone(),
            dir: dir(&shared.dir),
            reader: reader.clone(),
        }
    }

    /// Keeps a snapshot, durably, and removes all but the two newest. One that was kept before at the same position is
    /// replaced.
    ///
    /// # Errors
    /// What the disk says. The log is not touched: a snapshot that cannot be kept costs a longer start.
    pub fn put(&self, position: Position, hash: Hash, bytes: &[u8]) -> io::Result<()> {
        let mut file = vec![0; HEADER_BYTES];
        file[..8].copy_from_slice(&MAGIC);
        file[8..24].copy_from_slice(&self.reader.ledger().0);
        file[24..32].copy_from_slice(&position.0.to_le_bytes());
        file[32..64].copy_from_slice(&hash.0);
        file[64..72].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        let check = check(&file, bytes);
        file[80..112].copy_from_slice(&check);
        file.extend_from_slice(bytes);
        disk::replace_whole(&*self.disk, &self.dir, &name(position), &file)?;
        let mut kept = self.kept()?;
        kept.sort_unstable();
        for old in kept.iter().rev().skip(KEPT) {
            self.disk.remove(&self.dir.join(name(*old)))?;
        }
        Ok(())
    }

    /// The newest snapshot that is whole and of this very chain; damaged ones are logged and passed over.
    ///
    /// # Errors
    /// When the folder or the log cannot be read.
    pub fn latest(&self) -> Result<Option<Snapshot>, ReadError> {
        let mut kept = self.kept().map_err(ReadError::io("list", &self.dir))?;
        kept.sort_unstable();
        for position in kept.into_iter().rev() {
            let path = self.dir.join(name(position));
            let bytes = disk::read_whole(&*self.disk, &path).map_err(ReadError::io("read", &path))?;
            match self.parse(bytes) {
                Some(snapshot) if snapshot.position == position && self.is_ours(&snapshot)? => {
                    return Ok(Some(snapshot));
                }
                _ => {
                    tracing::warn!(path = %path.display(), "the snapshot is damaged or of another log; passed over")
                }
            }
        }
        Ok(None)
    }

    fn is_ours(&self, snapshot: &Snapshot) -> Result<bool, ReadError> {
        Ok(self.reader.hash_at(snapshot.position)? == Some(snapshot.hash))
    }

    fn kept(&self) -> io::Result<Vec<Position>> {
        Ok(self
            .disk
            .list(&self.dir)?
            .iter()
            .filter_map(|name| position_of(name))
            .collect())
    }

    fn parse(&self, mut file: Vec<u8>) -> Option<Snapshot> {
        let (header, bytes) = file.split_at_checked(HEADER_BYTES)?;
        let whole = part::<8>(header, 0) == MAGIC
            && part(header, 8) == self.reader.ledger().0
            && u64::from_le_bytes(part(header, 64)) == bytes.len() as u64
            && part::<32>(header, 80) == check(header, bytes);
        if !whole {
            return None;
        }
        let (position, hash) = (
            Position(u64::from_le_bytes(part(header, 24))),
            Hash(part(header, 32)),
        );
        file.drain(..HEADER_BYTES);
        Some(Snapshot {
            position,
            hash,
            bytes: file,
        })
    }
}

/// The newest position that a snapshot in a ledger's folder names. Half-written ones are removed.
pub(crate) fn positions(disk: &dyn Disk, ledger_dir: &Path) -> Result<Option<Position>, OpenError> {
    let dir = dir(ledger_dir);
    let names = disk.list(&dir).map_err(OpenError::io("list", &dir))?;
    for name in names.iter().filter(|name| name.ends_with(UNFINISHED)) {
        let path = dir.join(name);
        disk.remove(&path).map_err(OpenError::io("remove", &path))?;
    }
    Ok(names.iter().filter_map(|name| position_of(name)).max())
}

pub(crate) fn dir(ledger_dir: &Path) -> PathBuf {
    ledger_dir.join("snapshots")
}

fn name(position: Position) -> String {
    format!("{:020}{ENDING}", position.0)
}

fn position_of(name: &str) -> Option<Position> {
    name.strip_suffix(ENDING)?.parse().ok().map(Position)
}

fn check(header: &[u8], bytes: &[u8]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&header[..80]).update(bytes);
    hasher.finalize().into()
}
