//! Reading a log while it grows, wherever it is kept.

use std::time::Duration;

use bincard_ledger::codec::{BodyRef, DecodeError, RawRecord};
use bincard_ledger::{LedgerId, Position, Recorded, Stream, Timestamp, Version};

use crate::chain::Hash;
use crate::contract::{Head, StoreError};
use crate::error::ReadError;
use crate::snapshots::{Snapshot, Snapshots};
use crate::verify::{self, Verified};
use crate::{postgres, segment};

/// One whole commit, checked.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// Its number.
    pub commit: u64,
    /// The position of its first record.
    pub first: Position,
    /// How many records it has.
    pub count: u32,
    /// Its hash.
    pub hash: Hash,
    /// When its records were recorded.
    pub recorded_at: Timestamp,
    /// Its body, as it was committed.
    pub body: &'a [u8],
}

impl<'a> Commit<'a> {
    /// The position of its last record.
    pub fn last(&self) -> Position {
        Position(self.first.0 + u64::from(self.count) - 1)
    }

    /// Its records, not decoded yet.
    ///
    /// # Errors
    /// When the body is of a newer program.
    pub fn records(&self) -> Result<BodyRef<'a>, DecodeError> {
        BodyRef::parse(self.body)
    }
}

/// A cursor over the commits of a log, up to the durable head and on from there when it has moved.
#[derive(Debug)]
pub enum Commits {
    /// Of segment files.
    Segment(segment::Commits),
    /// Of a log in PostgreSQL.
    Postgres(postgres::Commits),
}

impl Commits {
    /// Makes the cursor compute every commit's hash as well. What is read from PostgreSQL always is.
    #[must_use]
    pub fn checking_chain(self) -> Commits {
        match self {
            Commits::Segment(commits) => Commits::Segment(commits.checking_chain()),
            Commits::Postgres(commits) => Commits::Postgres(commits),
        }
    }

    /// The next commit; `None` at the durable head, from where a later call goes on.
    ///
    /// # Errors
    /// [`ReadError`] where the log is damaged or cannot be read; nothing beyond is given.
    #[expect(
        clippy::should_implement_trait,
        reason = "lends its buffer, which an Iterator cannot"
    )]
    pub fn next(&mut self) -> Result<Option<Commit<'_>>, ReadError> {
        match self {
            Commits::Segment(commits) => commits.next(),
            Commits::Postgres(commits) => commits.next(),
        }
    }
}

/// Reads a log up to its durable head. Clones share everything and cost nothing. Every call may wait for the disk or the
/// database, but for [`Reader::head`] and [`Reader::ledger`].
#[derive(Clone, Debug)]
pub enum Reader {
    /// Of segment files.
    Segment(segment::Reader),
    /// Of a log in PostgreSQL.
    Postgres(postgres::Reader),
}

impl Reader {
    /// The ledger's identity.
    pub fn ledger(&self) -> LedgerId {
        match self {
            Reader::Segment(reader) => reader.ledger(),
            Reader::Postgres(reader) => reader.ledger(),
        }
    }

    /// The last durable commit that this process knows of.
    pub fn head(&self) -> Head {
        match self {
            Reader::Segment(reader) => reader.head(),
            Reader::Postgres(reader) => reader.head(),
        }
    }

    /// The commits that hold anything after a position, in order. The first may begin before it.
    ///
    /// # Errors
    /// When the place cannot be found; see [`ReadError`].
    pub fn commits(&self, after: Position) -> Result<Commits, ReadError> {
        Ok(match self {
            Reader::Segment(reader) => Commits::Segment(reader.commits(after)?),
            Reader::Postgres(reader) => Commits::Postgres(reader.commits(after)),
        })
    }

    /// At most `limit` events after a position, in order.
    ///
    /// # Errors
    /// [`ReadError`]; nothing damaged is ever given.
    pub fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        read(self.commits(after)?, after, limit)
    }

    /// The event at a position; `None` beyond the head.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn event(&self, position: Position) -> Result<Option<Recorded>, ReadError> {
        match self {
            Reader::Segment(reader) => reader.event(position),
            Reader::Postgres(reader) => reader.event(position),
        }
    }

    /// At most `limit` events of a stream after a version, in order.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read_stream(
        &self,
        stream: Stream,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Recorded>, ReadError> {
        match self {
            Reader::Segment(reader) => reader.read_stream(stream, after, limit),
            Reader::Postgres(reader) => reader.read_stream(stream, after, limit),
        }
    }

    /// The chain's hash at a position, when a commit ends there.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn hash_at(&self, position: Position) -> Result<Option<Hash>, ReadError> {
        match self {
            Reader::Segment(reader) => reader.hash_at(position),
            Reader::Postgres(reader) => reader.hash_at(position),
        }
    }

    /// Waits until the head has reached a position, at most for `timeout`; the head then.
    pub fn wait_for(&self, position: Position, timeout: Duration) -> Head {
        match self {
            Reader::Segment(reader) => reader.wait_for(position, timeout),
            Reader::Postgres(reader) => reader.wait_for(position, timeout),
        }
    }

    /// Calls `listener` with every new head from now on, on the thread that brings the news: it must be quick, such as
    /// sending into a `watch` channel.
    pub fn on_advance(&self, listener: impl Fn(Head) + Send + Sync + 'static) {
        match self {
            Reader::Segment(reader) => reader.on_advance(listener),
            Reader::Postgres(reader) => reader.on_advance(listener),
        }
    }

    /// Reads the whole log and checks all there is to check: checksums, every hash, positions, stream versions, that
    /// every record decodes. `progress` is called now and then with the position reached.
    ///
    /// # Errors
    /// [`ReadError`] names the first thing that is wrong.
    pub fn verify(&self, progress: impl FnMut(Position)) -> Result<Verified, ReadError> {
        verify::verify(self, progress)
    }

    /// Keeps a state folded from the log up to a position; older ones but the newest few go.
    ///
    /// # Errors
    /// When it cannot be kept; the log is not touched.
    pub fn put_snapshot(&self, position: Position, hash: Hash, bytes: &[u8]) -> Result<(), StoreError> {
        match self {
            Reader::Segment(reader) => {
                let put = Snapshots::new(reader).put(position, hash, bytes);
                put.map_err(StoreError::Snapshot)
            }
            Reader::Postgres(reader) => Ok(reader.put_snapshot(position, hash, bytes)?),
        }
    }

    /// The newest snapshot that is whole and of this very chain.
    ///
    /// # Errors
    /// When snapshots or the log cannot be read.
    pub fn snapshot(&self) -> Result<Option<Snapshot>, ReadError> {
        match self {
            Reader::Segment(reader) => Snapshots::new(reader).latest(),
            Reader::Postgres(reader) => reader.snapshot(),
        }
    }

    /// How far the log was relayed when that was kept last; `None` when it never was.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn relayed(&self) -> Result<Option<Position>, ReadError> {
        match self {
            Reader::Segment(reader) => reader.relayed(),
            Reader::Postgres(reader) => reader.relayed(),
        }
    }

    /// Keeps how far the log was relayed.
    ///
    /// # Errors
    /// When it cannot be kept; the log is not touched.
    pub fn put_relayed(&self, position: Position) -> Result<(), ReadError> {
        match self {
            Reader::Segment(reader) => reader.put_relayed(position),
            Reader::Postgres(reader) => reader.put_relayed(position),
        }
    }
}

impl From<segment::Reader> for Reader {
    fn from(reader: segment::Reader) -> Reader {
        Reader::Segment(reader)
    }
}

/// At most `limit` of the events after a position, from a cursor that was opened there.
pub(crate) fn read(mut commits: Commits, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
    let mut events = Vec::new();
    while events.len() < limit {
        let Some(commit) = commits.next()? else { break };
        each_record(&commit, |position, record| {
            if position > after && events.len() < limit {
                events.push(decode(position, record)?);
            }
            Ok(())
        })?;
    }
    Ok(events)
}

/// Goes over a commit's records with their positions.
pub(crate) fn each_record<'a>(
    commit: &Commit<'a>,
    mut visit: impl FnMut(Position, RawRecord<'a>) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let wrong = |position| move |source| ReadError::Decode { position, source };
    let body = commit.records().map_err(wrong(commit.first))?;
    let mut position = commit.first;
    for record in body.records() {
        visit(position, record.map_err(wrong(position))?)?;
        position = position.next();
    }
    Ok(())
}

pub(crate) fn decode(position: Position, raw: RawRecord<'_>) -> Result<Recorded, ReadError> {
    let record = raw
        .decode()
        .map_err(|source| ReadError::Decode { position, source })?;
    Ok(Recorded {
        position,
        recorded_at: raw.recorded_at(),
        record,
    })
}
