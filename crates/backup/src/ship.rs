//! Shipping one ledger: what the log has and the backup lacks, in order, each hash computed anew.

use bincard_ledger::Position;
use bincard_store::{Head, Reader};

use crate::backup::{Backup, hash_in};
use crate::chunk::{Chunk, Packer};
use crate::error::BackupError;

/// Ships one ledger. Any number of them may ship the same one at once: each chunk has one name, which the first one takes.
#[derive(Debug)]
pub struct Shipper {
    backup: Backup,
    reader: Reader,
    /// The end of the backup, once it was looked at.
    end: Option<End>,
    /// Whether the place is known to keep what is there.
    is_place_proven: bool,
}

/// The end of a backup.
#[derive(Clone, Copy, Debug)]
struct End {
    head: Head,
    /// Where its last chunk begins; `None` when there is none.
    chunk: Option<Position>,
}

impl Shipper {
    /// A shipper of the log that `reader` reads.
    pub fn new(backup: Backup, reader: Reader) -> Shipper {
        Shipper {
            backup,
            reader,
            end: None,
            is_place_proven: false,
        }
    }

    /// The end of the backup as far as it is known.
    pub fn end(&self) -> Option<Head> {
        self.end.map(|end| end.head)
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
        let mut end = self.go_on().await?;
        loop {
            self.end = Some(end);
            let (reader, name, before) = (self.reader.clone(), self.backup.name(), end.head);
            let packed = tokio::task::spawn_blocking(move || pack(&reader, before, None, &name)).await;
            let Some((last, bytes)) = packed.expect("packing does not panic")? else {
                return Ok(end.head);
            };
            let first = before.position.next();
            end = if self.put(first, bytes).await? {
                End {
                    head: last,
                    chunk: Some(first),
                }
            } else {
                // Another shipper was quicker, or an earlier attempt of this one succeeded without being told.
                let chunk = self.backup.read(first).await?;
                self.check(&chunk).await?
            };
            progress(end.head.position);
        }
    }

    /// Looks where the backup ends, if it is this log's.
    ///
    /// # Errors
    /// [`BackupError`]: another ledger's, another history, one that goes on where the log ends.
    pub async fn look(&mut self) -> Result<Head, BackupError> {
        let last = self.backup.last(self.reader.head().position).await?;
        let end = match &last {
            None => End {
                head: Head::empty(self.reader.ledger()),
                chunk: None,
            },
            Some(chunk) => self.check(chunk).await?,
        };
        self.end = Some(end);
        Ok(end.head)
    }

    /// Where to go on. What is known of the end is held against the log each time, and against the names at the place when
    /// there is something to put: either may have been restored, or have lost something, since the last time.
    async fn go_on(&mut self) -> Result<End, BackupError> {
        if let Some(end) = self.end {
            let at = end.head.position;
            let is_same_log = self.hash_at(at).await? == Some(end.head.hash);
            let is_over = self.reader.head().position <= at;
            if is_same_log && (is_over || self.backup.ends_with(end.chunk).await?) {
                return Ok(end);
            }
        }
        self.end = None;
        self.look().await?;
        Ok(self.end.expect("it was looked for just now"))
    }

    /// Puts a chunk where there is none; `false` when there is one. The first is put twice: a place that takes it twice writes
    /// over what is there.
    async fn put(&mut self, first: Position, bytes: Vec<u8>) -> Result<bool, BackupError> {
        if self.is_place_proven {
            return self.backup.put(first, bytes).await;
        }
        let is_put = self.backup.put(first, bytes.clone()).await?;
        if is_put && self.backup.put(first, bytes).await? {
            let place = self.backup.place_name();
            return Err(BackupError::Overwrites { place });
        }
        self.is_place_proven = true;
        Ok(is_put)
    }

    /// Whether a chunk is of this log; its end.
    async fn check(&self, chunk: &Chunk) -> Result<End, BackupError> {
        self.backup.check_ledger(chunk, self.reader.ledger())?;
        let at = chunk.last.position;
        if self.hash_at(at).await? == Some(chunk.last.hash) {
            return Ok(End {
                head: chunk.last,
                chunk: Some(chunk.before.next()),
            });
        }
        let head = self.reader.head();
        let forked = BackupError::Forked {
            name: self.backup.name(),
            at,
        };
        if head.position >= at {
            return Err(forked);
        }
        let around = self.backup.chunk_before(head.position).await?;
        let known = around.and_then(|chunk| hash_in(&chunk, head.position));
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

    /// Goes over the whole backup, which was found to be this log's, and puts what is missing of it from the log. What is
    /// damaged is named and left. `progress` is told of every position reached.
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
                    checked.chunks += 1;
                    progress(chunk.last.position);
                }
                Err(BackupError::Missing { after, next, name }) => {
                    let before = chunks.end(self.reader.ledger());
                    if !self.fill(before, next).await? {
                        return Err(BackupError::Missing { after, next, name });
                    }
                    checked.filled += 1;
                    chunks.filled(before.position.next());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Puts what is missing between `before` and the chunk that begins at `next`; `false` when the log lacks it, too.
    async fn fill(&mut self, before: Head, next: Position) -> Result<bool, BackupError> {
        let (reader, name) = (self.reader.clone(), self.backup.name());
        let packed = tokio::task::spawn_blocking(move || pack(&reader, before, Some(next), &name)).await;
        let Some((_, bytes)) = packed.expect("packing does not panic")? else {
            return Ok(false);
        };
        self.put(before.position.next(), bytes).await?;
        Ok(true)
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
