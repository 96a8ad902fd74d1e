//! Reading a log while it grows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bincard_ledger::{LedgerId, Position, Recorded, Stream, Version};

use super::cursor::{Commit, Commits};
use super::scan::CHUNK_BYTES;
use super::shared::{Sealed, Shared};
use super::verify::{self, Verified};
use super::{Head, names};
use crate::chain::Hash;
use crate::error::ReadError;

/// How much is read at once to find one event.
const POINT_CHUNK_BYTES: usize = 16 << 10;

/// Reads a log up to its durable head. Clones share everything and cost nothing.
#[derive(Clone, Debug)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>) -> Reader {
        Reader { shared }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The ledger's identity.
    pub fn ledger(&self) -> LedgerId {
        self.shared.ledger
    }

    /// The last durable commit.
    pub fn head(&self) -> Head {
        *self.shared.head()
    }

    /// The commits that hold anything after a position, in order. The first may begin before it.
    ///
    /// # Errors
    /// When the place cannot be found; see [`ReadError`].
    pub fn commits(&self, after: Position) -> Result<Commits, ReadError> {
        Commits::open(self.shared.clone(), after, CHUNK_BYTES)
    }

    /// At most `limit` events after a position, in order.
    ///
    /// # Errors
    /// [`ReadError`]; nothing damaged is ever given.
    pub fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        let mut events = Vec::new();
        let mut commits = self.commits(after)?;
        while events.len() < limit {
            let Some(commit) = commits.next()? else { break };
            each_record(&commit, |position, record| {
                if position > after && events.len() < limit {
                    events.push(decode(&commit, position, record)?);
                }
                Ok(())
            })?;
        }
        Ok(events)
    }

    /// The event at a position; `None` beyond the head.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn event(&self, position: Position) -> Result<Option<Recorded>, ReadError> {
        let Some(before) = position.0.checked_sub(1) else {
            return Ok(None);
        };
        if position > self.head().position {
            return Ok(None);
        }
        let mut commits = Commits::open(self.shared.clone(), Position(before), POINT_CHUNK_BYTES)?;
        let Some(commit) = commits.next()? else {
            return Ok(None);
        };
        let mut found = None;
        each_record(&commit, |at, record| {
            if at == position {
                found = Some(decode(&commit, at, record)?);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// At most `limit` events of a stream after a version, in order. Segments without any are passed over.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read_stream(
        &self,
        stream: Stream,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Recorded>, ReadError> {
        let mut events = Vec::new();
        let head = self.head().position;
        for (first, last) in self.stretches(stream, after)? {
            let mut commits = self.commits(Position(first.0 - 1))?;
            while let Some(commit) = commits.next()?
                && commit.first <= last.min(head)
                && events.len() < limit
            {
                each_record(&commit, |position, record| {
                    let head = record
                        .head()
                        .map_err(|source| ReadError::Decode { position, source })?;
                    if head.stream == stream && head.version > after && events.len() < limit {
                        events.push(decode(&commit, position, record)?);
                    }
                    Ok(())
                })?;
            }
        }
        Ok(events)
    }

    /// From where to where the segments reach that hold anything of a stream after a version.
    fn stretches(&self, stream: Stream, after: Version) -> Result<Vec<(Position, Position)>, ReadError> {
        let (sealed, active) = {
            let layout = self.shared.layout();
            let span = layout.active.index.span(stream);
            let has = span.is_some_and(|span| span.last > after);
            (
                layout.sealed.clone(),
                has.then_some((layout.active.header.first, Position(u64::MAX))),
            )
        };
        let mut stretches = Vec::new();
        for Sealed { header, summary } in &sealed {
            let index = self.shared.sealed_index(&Sealed {
                header: header.clone(),
                summary: *summary,
            })?;
            if index.span(stream).is_some_and(|span| span.last > after) {
                stretches.push((header.first, summary.last));
            }
        }
        stretches.extend(active);
        Ok(stretches)
    }

    /// The chain's hash at a position, when a commit ends there.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn hash_at(&self, position: Position) -> Result<Option<Hash>, ReadError> {
        let head = self.head();
        let Some(before) = position.0.checked_sub(1) else {
            return Ok(Some(Hash::genesis(self.ledger())));
        };
        if position >= head.position {
            return Ok((position == head.position).then_some(head.hash));
        }
        let mut commits = Commits::open(self.shared.clone(), Position(before), POINT_CHUNK_BYTES)?;
        let commit = commits.next()?;
        Ok(commit
            .filter(|commit| commit.last() == position)
            .map(|commit| commit.hash))
    }

    /// Waits until the head has reached a position, at most for `timeout`; the head then.
    pub fn wait_for(&self, position: Position, timeout: Duration) -> Head {
        let deadline = Instant::now() + timeout;
        let mut head = self.shared.head();
        while head.position < position {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.shared.advanced().wait_timeout(head, left);
            head = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
        *head
    }

    /// Calls `listener` with every new head from now on, on the thread that commits: it must be quick, such as
    /// sending into a `watch` channel.
    pub fn on_advance(&self, listener: impl Fn(Head) + Send + Sync + 'static) {
        self.shared.listen(Box::new(listener));
    }

    /// Reads the whole log and checks all there is to check: every sector, every hash, positions, stream versions,
    /// that every record decodes. `progress` is called now and then with the position reached.
    ///
    /// # Errors
    /// [`ReadError`] names the first thing that is wrong.
    pub fn verify(&self, progress: impl FnMut(Position)) -> Result<Verified, ReadError> {
        verify::verify(self, progress)
    }

    /// How many bytes the log takes on the disk, without the room prepared for what comes.
    pub fn size_bytes(&self) -> u64 {
        let layout = self.shared.layout();
        let sealed: u64 = layout.sealed.iter().map(|sealed| sealed.header.size_bytes).sum();
        sealed + layout.active.end_byte
    }

    /// The segments' files, the active one last: for backups, which may copy sealed ones at any time.
    pub fn segment_paths(&self) -> Vec<std::path::PathBuf> {
        let last = self.shared.layout().active.header.segment;
        (1..=last)
            .map(|segment| names::segment_path(&self.shared.dir, segment))
            .collect()
    }
}

/// Goes over a commit's records with their positions.
pub(crate) fn each_record<'a>(
    commit: &Commit<'a>,
    mut visit: impl FnMut(Position, bincard_ledger::codec::RawRecord<'a>) -> Result<(), ReadError>,
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

fn decode(
    commit: &Commit<'_>,
    position: Position,
    record: bincard_ledger::codec::RawRecord<'_>,
) -> Result<Recorded, ReadError> {
    let record = record
        .decode()
        .map_err(|source| ReadError::Decode { position, source })?;
    Ok(Recorded {
        position,
        recorded_at: commit.recorded_at,
        record,
    })
}
