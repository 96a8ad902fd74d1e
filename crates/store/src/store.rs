//! The event stores, whole: log, key index and snapshots in one handle.

use std::path::Path;
use std::sync::Arc;

use bincard_ledger::codec::Body;
use bincard_ledger::command::IdempotencyKey;
use bincard_ledger::{LedgerId, Position, Recorded, Stream, Version};

use crate::chain::Hash;
use crate::contract::{EventStore, FoundKey, Head, StoreError};
use crate::disk::Disk;
use crate::error::{OpenError, ReadError};
use crate::keys::{KeyIndex, KeyOptions};
use crate::postgres::{self, Database, DatabaseError};
use crate::segment::{Appender, Log, Opened, Options, Reader, Recovery};
use crate::snapshots::{Snapshot, Snapshots};

/// One ledger in a folder, for a caller that uses it from one thread. The engine takes the same parts apart.
#[derive(Debug)]
pub struct SegmentStore {
    appender: Appender,
    reader: Reader,
    keys: KeyIndex,
    snapshots: Snapshots,
    recovered: Recovery,
}

impl SegmentStore {
    /// Opens the ledger in a folder; see [`Log::open`].
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: Options,
        key_options: KeyOptions,
    ) -> Result<SegmentStore, OpenError> {
        let Opened {
            appender,
            reader,
            recovered,
            ..
        } = Log::open(disk, dir, options)?;
        let keys = KeyIndex::open(&reader, key_options)?;
        let snapshots = Snapshots::new(&reader);
        Ok(SegmentStore {
            appender,
            reader,
            keys,
            snapshots,
            recovered,
        })
    }

    /// Reads this log, also while it grows.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The index of its keys.
    pub fn keys(&self) -> &KeyIndex {
        &self.keys
    }

    /// What opening found.
    pub fn recovered(&self) -> &Recovery {
        &self.recovered
    }
}

impl EventStore for SegmentStore {
    fn ledger(&self) -> LedgerId {
        self.reader.ledger()
    }

    fn begin(&mut self) -> Result<Vec<Recorded>, StoreError> {
        // The folder is locked: there is no other writer.
        Ok(Vec::new())
    }

    fn commit(&mut self, body: &Body) -> Result<Head, StoreError> {
        let before = self.appender.head().position;
        let head = self.appender.commit(body)?;
        let ledger = self.ledger();
        let mut position = before;
        let parsed = bincard_ledger::codec::BodyRef::parse(body.as_bytes());
        let wrong = |position| move |source| ReadError::Decode { position, source };
        for record in parsed.map_err(wrong(head.position))?.records() {
            position = position.next();
            let record = record.and_then(|record| record.head()).map_err(wrong(position))?;
            if let Some((space, text, _)) = record.key {
                self.keys.insert(
                    IdempotencyKey {
                        space,
                        text: text.into(),
                    }
                    .hash(ledger),
                    position,
                );
            }
        }
        self.keys.maintain(head.position)?;
        Ok(head)
    }

    fn head(&self) -> Result<Head, StoreError> {
        Ok(self.reader.head())
    }

    fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        Ok(self.reader.read(after, limit)?)
    }

    fn read_stream(&self, stream: Stream, after: Version, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        Ok(self.reader.read_stream(stream, after, limit)?)
    }

    fn event(&self, position: Position) -> Result<Option<Recorded>, StoreError> {
        Ok(self.reader.event(position)?)
    }

    fn find_key(&self, key: &IdempotencyKey) -> Result<Option<FoundKey>, StoreError> {
        for position in self.keys.candidates(key.hash(self.ledger()))? {
            let recorded = self.reader.event(position)?.and_then(|event| event.record.key);
            if let Some(recorded) = recorded.filter(|recorded| recorded.key == *key) {
                return Ok(Some(FoundKey {
                    position,
                    fingerprint: recorded.fingerprint,
                }));
            }
        }
        Ok(None)
    }

    fn put_snapshot(&mut self, position: Position, hash: Hash, bytes: &[u8]) -> Result<(), StoreError> {
        self.snapshots
            .put(position, hash, bytes)
            .map_err(StoreError::Snapshot)
    }

    fn snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        Ok(self.snapshots.latest()?)
    }
}

/// One ledger in PostgreSQL, for a caller that uses it from one thread. The engine takes the same parts apart.
#[derive(Debug)]
pub struct PostgresStore {
    appender: postgres::Appender,
    reader: postgres::Reader,
}

impl PostgresStore {
    /// Opens a tenant's ledger, making it when there is none.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub fn open(database: &Database, tenant: &str) -> Result<PostgresStore, DatabaseError> {
        let postgres::Opened { appender, reader, .. } = database.open(tenant)?;
        Ok(PostgresStore { appender, reader })
    }

    /// Reads this log, also while it grows.
    pub fn reader(&self) -> &postgres::Reader {
        &self.reader
    }
}

impl EventStore for PostgresStore {
    fn ledger(&self) -> LedgerId {
        self.reader.ledger()
    }

    fn begin(&mut self) -> Result<Vec<Recorded>, StoreError> {
        let missed = self.appender.begin()?;
        self.reader.announce(self.appender.head());
        Ok(missed)
    }

    fn commit(&mut self, body: &Body) -> Result<Head, StoreError> {
        let head = self.appender.commit(body)?;
        self.reader.announce(head);
        Ok(head)
    }

    fn head(&self) -> Result<Head, StoreError> {
        let head = self.reader.look_ahead()?;
        self.reader.announce(head);
        Ok(head)
    }

    fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        Ok(self.reader.read(after, limit)?)
    }

    fn read_stream(&self, stream: Stream, after: Version, limit: usize) -> Result<Vec<Recorded>, StoreError> {
        Ok(self.reader.read_stream(stream, after, limit)?)
    }

    fn event(&self, position: Position) -> Result<Option<Recorded>, StoreError> {
        Ok(self.reader.event(position)?)
    }

    fn find_key(&self, key: &IdempotencyKey) -> Result<Option<FoundKey>, StoreError> {
        Ok(self.reader.find_key(key)?)
    }

    fn put_snapshot(&mut self, position: Position, hash: Hash, bytes: &[u8]) -> Result<(), StoreError> {
        Ok(self.reader.put_snapshot(position, hash, bytes)?)
    }

    fn snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        Ok(self.reader.snapshot()?)
    }
}
