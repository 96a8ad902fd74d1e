//! What a place has of one ledger: its chunks, in order.

use bincard_ledger::{LedgerId, Position};
use bincard_store::{Hash, Head};
use object_store::path::Path;

use crate::chunk::Chunk;
use crate::error::BackupError;
use crate::place::Place;

const ENDING: &str = ".commits";
/// The end is first looked for so many positions before where it should be.
const NEAR: u64 = 1 << 16;

/// The backup of one tenant's ledger.
#[derive(Clone, Debug)]
pub struct Backup {
    place: Place,
    tenant: String,
    dir: Path,
}

impl Backup {
    /// The backup of a tenant's ledger at a place, whether there is anything yet or not.
    pub fn new(place: &Place, tenant: &str) -> Backup {
        Backup {
            dir: place.path(&["ledgers", tenant]),
            place: place.clone(),
            tenant: tenant.to_owned(),
        }
    }

    /// Whose it is.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Where it lies, for people.
    pub fn name(&self) -> String {
        self.place.name_of(&self.dir)
    }

    pub(crate) fn place_name(&self) -> String {
        self.place.to_string()
    }

    fn path_of(&self, first: Position) -> Path {
        // Padded, so that names are in the order of positions.
        self.dir.clone().join(format!("{:020}{ENDING}", first.0).as_str())
    }

    /// The first positions of its chunks after a position, in order; what does not belong there is passed over.
    async fn firsts(&self, after: Position) -> Result<Vec<Position>, BackupError> {
        let offset = (after.0 > 0).then(|| self.path_of(after));
        let names = self.place.list(&self.dir, offset.as_ref()).await?;
        let first_of = |name: &String| {
            let digits = name.strip_suffix(ENDING)?;
            (digits.len() == 20).then_some(())?;
            digits.parse().ok().map(Position)
        };
        Ok(names.iter().filter_map(first_of).collect())
    }

    /// The last chunk, looked for around `near`.
    pub(crate) async fn last(&self, near: Position) -> Result<Option<Chunk>, BackupError> {
        let mut distance = NEAR;
        loop {
            let after = Position(near.0.saturating_sub(distance));
            if let Some(first) = self.firsts(after).await?.last() {
                return self.read(*first).await.map(Some);
            }
            if after.0 == 0 {
                return Ok(None);
            }
            distance = distance.saturating_mul(16);
        }
    }

    /// Whether a chunk that begins at a position is the last one still; or that there is none, where there was none.
    pub(crate) async fn ends_with(&self, last: Option<Position>) -> Result<bool, BackupError> {
        let before = last.map_or(0, |first| first.0.saturating_sub(1));
        Ok(self.firsts(Position(before)).await? == Vec::from_iter(last))
    }

    /// The end of the backup; `None` when there is nothing.
    ///
    /// # Errors
    /// When the place cannot be read, or the last chunk is damaged.
    pub async fn end(&self) -> Result<Option<Head>, BackupError> {
        Ok(self.last(Position(0)).await?.map(|chunk| chunk.last))
    }

    /// The chunk that begins at a position.
    pub(crate) async fn read(&self, first: Position) -> Result<Chunk, BackupError> {
        let path = self.path_of(first);
        let chunk = Chunk::decode(self.place.get(&path).await?);
        let chunk = chunk.and_then(|chunk| {
            if chunk.before.next() == first {
                Ok(chunk)
            } else {
                Err(format!("it begins at position {}", chunk.before.next()))
            }
        });
        chunk.map_err(|what| BackupError::Damaged {
            name: self.place.name_of(&path),
            what,
        })
    }

    /// Puts the chunk that begins at a position; `false` when there is one.
    pub(crate) async fn put(&self, first: Position, bytes: Vec<u8>) -> Result<bool, BackupError> {
        self.place.put_new(&self.path_of(first), bytes).await
    }

    /// Whether a chunk is of this ledger.
    pub(crate) fn check_ledger(&self, chunk: &Chunk, expected: LedgerId) -> Result<(), BackupError> {
        if chunk.ledger == expected {
            return Ok(());
        }
        Err(BackupError::AnotherLedger {
            name: self.place.name_of(&self.path_of(chunk.before.next())),
            found: chunk.ledger,
            expected,
        })
    }

    /// Its chunks from the beginning on.
    ///
    /// # Errors
    /// When the place cannot be listed.
    pub async fn chunks(&self) -> Result<Chunks, BackupError> {
        let mut firsts = self.firsts(Position(0)).await?;
        firsts.reverse();
        Ok(Chunks {
            backup: self.clone(),
            firsts,
            end: None,
        })
    }

    /// The body of the commit that begins at a position, if there is one.
    ///
    /// # Errors
    /// When its chunk cannot be read, is damaged, or is of another ledger.
    pub async fn body_at(&self, ledger: LedgerId, first: Position) -> Result<Option<Vec<u8>>, BackupError> {
        let Some(chunk) = self.chunk_before(first).await? else {
            return Ok(None);
        };
        self.check_ledger(&chunk, ledger)?;
        let mut commits = chunk.commits().filter_map(Result::ok);
        Ok(commits
            .find(|commit| commit.first == first)
            .map(|commit| commit.body.to_vec()))
    }

    /// The last chunk that does not begin after a position, which holds it if any does; checked by itself.
    pub(crate) async fn chunk_before(&self, position: Position) -> Result<Option<Chunk>, BackupError> {
        let firsts = self.firsts(Position(0)).await?;
        let after = firsts.partition_point(|first| *first <= position);
        let Some(first) = after.checked_sub(1).and_then(|at| firsts.get(at)) else {
            return Ok(None);
        };
        self.read(*first).await.map(Some)
    }
}

/// Reads a backup from its beginning, chunk by chunk: every byte by its hash, every chunk by the one before.
#[derive(Debug)]
pub struct Chunks {
    backup: Backup,
    /// Those still to come, the next one last.
    firsts: Vec<Position>,
    /// The end of what was read.
    end: Option<Head>,
}

impl Chunks {
    /// How many chunks are still to come.
    pub fn left(&self) -> usize {
        self.firsts.len()
    }

    /// The next one; `None` at the end.
    ///
    /// # Errors
    /// What is missing or damaged, by name.
    pub async fn next(&mut self) -> Result<Option<Chunk>, BackupError> {
        let (first, chunk) = loop {
            let Some(&first) = self.firsts.last() else {
                return Ok(None);
            };
            let end = self.end.map_or(Position(0), |end| end.position);
            let name = || self.backup.place.name_of(&self.backup.path_of(first));
            if first > end.next() {
                let (after, next, name) = (end, first, name());
                return Err(BackupError::Missing { after, next, name });
            }
            let chunk = self.backup.read(first).await?;
            let Some(end) = self.end.filter(|end| first <= end.position) else {
                break (first, chunk);
            };
            // Where an object was lost while shippers ran, what one puts in its place may reach into the next one's. What
            // both have is one history when they have the same hash at a position.
            if chunk.last.position <= end.position {
                self.firsts.pop();
                continue;
            }
            match chunk.behind(end) {
                Some(rest) => break (first, rest),
                None => {
                    let what = format!(
                        "it overlaps the one before it at position {}, and is of another history",
                        end.position
                    );
                    return Err(BackupError::Damaged { name: name(), what });
                }
            }
        };
        // The hash before the first one is the ledger's own, so that none is of another.
        let before = self.end(chunk.ledger);
        let begins = (chunk.previous, chunk.commit_before);
        if begins != (before.hash, before.commit) {
            return Err(BackupError::Damaged {
                name: self.backup.place.name_of(&self.backup.path_of(first)),
                what: "it does not follow the one before it".to_owned(),
            });
        }
        self.end = Some(chunk.last);
        self.firsts.pop();
        Ok(Some(chunk))
    }

    /// The end of what was read.
    pub(crate) fn end(&self, ledger: LedgerId) -> Head {
        self.end.unwrap_or_else(|| Head::empty(ledger))
    }

    /// Says that the chunk that was missing before the next one is there now.
    pub(crate) fn filled(&mut self, first: Position) {
        self.firsts.push(first);
    }
}

/// The hash of a commit that ends at a position, in a chunk.
pub(crate) fn hash_in(chunk: &Chunk, position: Position) -> Option<Hash> {
    let mut commits = chunk.commits().filter_map(Result::ok);
    commits
        .find(|commit| commit.head.position == position)
        .map(|commit| commit.head.hash)
}
