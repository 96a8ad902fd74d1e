//! What every event store promises, however it keeps a ledger.

use bincard_ledger::codec::Body;
use bincard_ledger::command::IdempotencyKey;
use bincard_ledger::{LedgerId, Position, Recorded, Stream, Timestamp, Version};

use crate::chain::Hash;
use crate::error::{BeginError, CommitError, ReadError};
use crate::keys::Backlog;
use crate::snapshots::Snapshot;

/// A handle on one ledger's log, with the right to append to it.
///
/// 1. What was acknowledged is there after a crash, a power loss and a restart. What was refused is not. What was
///    neither is there whole or not at all.
/// 2. Positions and versions have no gaps and no duplicates; a reader never sees N+1 before N.
/// 3. Nobody appends on a stale head: it is impossible or refused, and changes nothing.
/// 4. Damage is found and named, never served.
/// 5. Every commit is chained: `hash = BLAKE3(previous hash ‖ first position ‖ BLAKE3(body))`, from
///    [`Hash::genesis`] on; the same bodies give the same hashes in every implementation.
/// 6. Idempotency keys are found for ever.
///
/// The suite in [`crate::conformance`] holds implementations to it, as far as that can be done without crashing.
pub trait EventStore {
    /// The ledger's identity.
    fn ledger(&self) -> LedgerId;

    /// Takes the right to append, and gives what others appended since this handle last looked, in order. Where the
    /// log can have no other writer, nothing.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn begin(&mut self) -> Result<Vec<Recorded>, StoreError>;

    /// Appends all of a body or nothing; durable and seen by readers when it returns. An empty body changes
    /// nothing.
    ///
    /// # Errors
    /// See [`CommitError`]: of those, only [`CommitError::Io`] leaves open whether the body was appended.
    fn commit(&mut self, body: &Body) -> Result<Head, StoreError>;

    /// The end of the log.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn head(&self) -> Result<Head, StoreError>;

    /// At most `limit` events after a position, in order.
    ///
    /// # Errors
    /// When the log cannot be read, or is damaged there.
    fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, StoreError>;

    /// At most `limit` events of a stream after a version, in order.
    ///
    /// # Errors
    /// When the log cannot be read, or is damaged there.
    fn read_stream(&self, stream: Stream, after: Version, limit: usize) -> Result<Vec<Recorded>, StoreError>;

    /// The event at a position; `None` when there is none yet.
    ///
    /// # Errors
    /// When the log cannot be read, or is damaged there.
    fn event(&self, position: Position) -> Result<Option<Recorded>, StoreError>;

    /// Where an idempotency key was used.
    ///
    /// # Errors
    /// When the log or its index cannot be read.
    fn find_key(&self, key: &IdempotencyKey) -> Result<Option<FoundKey>, StoreError>;

    /// Keeps a state folded from the log up to a position; it replaces older ones.
    ///
    /// # Errors
    /// When it cannot be kept; the log is not touched.
    fn put_snapshot(&mut self, position: Position, hash: Hash, bytes: &[u8]) -> Result<(), StoreError>;

    /// The newest snapshot that is whole and of this log.
    ///
    /// # Errors
    /// When snapshots cannot be read.
    fn snapshot(&self) -> Result<Option<Snapshot>, StoreError>;
}

/// The end of the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The last position; 0 in an empty log.
    pub position: Position,
    /// The last commit's number; 0 in an empty log.
    pub commit: u64,
    /// The last commit's hash, which covers all before it.
    pub hash: Hash,
    /// When the last commit was recorded; [`Timestamp::MIN`] in an empty log.
    pub recorded_at: Timestamp,
}

impl Head {
    /// The end of a log that has nothing yet.
    pub fn empty(ledger: LedgerId) -> Head {
        Head {
            position: Position(0),
            commit: 0,
            hash: Hash::genesis(ledger),
            recorded_at: Timestamp::MIN,
        }
    }
}

/// Where an idempotency key was used, and for which request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FoundKey {
    /// The position of the event that carries the key: the last of its command's.
    pub position: Position,
    /// The fingerprint of the request that used it.
    pub fingerprint: u64,
}

/// Why a store did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A commit was not made.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// Something could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The right to append could not be taken.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// The commit was made, but the index of its keys cannot be written any more.
    #[error(transparent)]
    Keys(#[from] Backlog),
    /// A snapshot could not be kept.
    #[error("the snapshot cannot be kept")]
    Snapshot(#[source] std::io::Error),
}
