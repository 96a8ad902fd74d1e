//! Shipping one ledger: what the log has and the backup lacks, in order, each hash computed anew.

use bincard_ledger::Position;
use bincard_store::{Head, Reader};

use crate::backup::{Backup, end_of, hash_in};
use crate::chunk::{Chunk, Packer};
use crate::error::BackupError;

/// Ships one ledger. Any number of them may ship the same one at once: each chunk has one name, which the first one takes.
#[derive(Debug)]
pub struct Shipper {
    backup: Backup,
    reader: Reader,
    /// The end of the backup, once it was looked at.
    end: Option<Head>,
}

impl Shipper {
    /// A shipper of the log that `reader` reads.
    pub fn new(backup: Backup, reader: Reader) -> Shipper {
        Shipper {
            backup,
            reader,
            end: None,
        }
    }

    /// The end of the backup as far as it is known.
    pub fn end(&self) -> Option<Head> {
        self.end
    }

    /// The log that it ships.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Ships all there is, up to the log's head. `progress` is told of every position reached.
    ///
    /// # Errors
    /// [`BackupError`]; what was shipped by then stays, and a later call goes on from there.
    pub async fn ship(&mut self, mut progress: impl FnMut(Position)) -> Result<Head, BackupError> {
        let mut end = match self.end {
            Some(end) => end,
            None => self.look().await?,
        };
        loop {
            self.end = Some(end);
            let (reader, tenant) = (self.reader.clone(), self.backup.name());
            let packed = tokio::task::spawn_blocking(move || pack(&reader, end, None, &tenant)).await;
            let Some((last, bytes)) = packed.expect("packing does not panic")? else {
                return Ok(end);
            };
            let first = end.position.next();
            end = if self.backup.put(first, bytes).await? {
                last
            } else {
                // Another shipper was quicker, or an earlier attempt of this one succeeded without being told.
                let chunk = self.backup.read(first).await?;
                self.check(&chunk).await?
            };
            progress(end.position);
        }
    }

    /// Where the backup ends, if it is this log's.
    ///
    /// # Errors
    /// [`BackupError`]: another ledger's, another history, one that goes on where the log ends.
    pub async fn look(&self) -> Result<Head, BackupError> {
        let last = self.backup.last(self.reader.head().position).await?;
        match &last {
            None => Ok(end_of(None, self.reader.ledger())),
            Some(chunk) => self.check(chunk).await,
        }
    }

    /// Whether a chunk is of this log; its end.
    async fn check(&self, chunk: &Chunk) -> Result<Head, BackupError> {
        self.backup.check_ledger(chunk, self.reader.ledger())?;
        let at = chunk.last.position;
        if self.hash_at(at).await? == Some(chunk.last.hash) {
            return Ok(chunk.last);
        }
        let head = self.reader.head();
        let forked = BackupError::Forked {
            name: self.backup.name(),
            at,
        };
        if head.position >= at {
            return Err(forked);
        }
        let known = if head.position > chunk.before {
            hash_in(chunk, head.position)
        } else {
            match self.backup.chunk_with(head.position).await? {
                Some(chunk) => hash_in(&chunk, head.position),
                None => None,
            }
        };
        if head.position.0 > 0 && known != Some(head.hash) {
            return Err(forked);
        }
        Err(BackupError::Ahead {
            name: self.backup.name(),
            backup: at,
            log: head.position,
        })
    }

    async fn hash_at(&self, position: Position) -> Result<Option<bincard_store::Hash>, BackupError> {
        let reader = self.reader.clone();
        let asked = tokio::task::spawn_blocking(move || reader.hash_at(position)).await;
        Ok(asked.expect("reading does not panic")?)
    }

    /// Goes over the whole backup, and puts what is missing of it from the log. What is damaged is named and left.
    /// `progress` is told of every position reached.
    ///
    /// # Errors
    /// [`BackupError`] names the first object that is damaged.
    pub async fn check_all(&mut self, mut progress: impl FnMut(Position)) -> Result<Checked, BackupError> {
        let mut chunks = self.backup.chunks().await?;
        let mut checked = Checked::default();
        loop {
            match chunks.next().await {
                Ok(None) => return Ok(checked),
                Ok(Some(chunk)) => {
                    self.check(&chunk).await?;
                    checked.chunks += 1;
                    progress(chunk.last.position);
                }
                Err(BackupError::Missing { .. }) => {
                    self.fill(&chunks).await?;
                    checked.filled += 1;
                    checked.chunks = 0;
                    chunks = self.backup.chunks().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Puts the chunk that is missing before the one that `chunks` came to.
    async fn fill(&self, chunks: &crate::Chunks) -> Result<(), BackupError> {
        let (before, next) = chunks.at_gap(self.reader.ledger());
        let (reader, name) = (self.reader.clone(), self.backup.name());
        let packed = tokio::task::spawn_blocking(move || pack(&reader, before, Some(next), &name)).await;
        let packed = packed.expect("packing does not panic")?;
        if let Some((_, bytes)) = packed {
            self.backup.put(before.position.next(), bytes).await?;
        }
        Ok(())
    }
}

/// What a check of a whole backup went over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Checked {
    /// How many chunks are whole.
    pub chunks: u64,
    /// How many were missing, and were put there again.
    pub filled: u64,
}

/// The chunk after `before`, before position `next` where that is given; its end and its bytes. `None` at the head.
fn pack(
    reader: &Reader,
    before: Head,
    next: Option<Position>,
    name: &str,
) -> Result<Option<(Head, Vec<u8>)>, BackupError> {
    let mut packer = Packer::new(reader.ledger(), before);
    let mut commits = reader.commits(before.position)?.checking_chain();
    while !packer.is_full() {
        let Some(commit) = commits.next()? else { break };
        if next.is_some_and(|next| commit.first >= next) {
            break;
        }
        if !packer.push(&commit) {
            return Err(BackupError::Forked {
                name: name.to_owned(),
                at: before.position,
            });
        }
    }
    let last = packer.last();
    Ok(packer.finish().map(|bytes| (last, bytes)))
}
