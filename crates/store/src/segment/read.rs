//! Reading a log while it grows.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bincard_ledger::{LedgerId, Position, Recorded, Stream, Version};

use super::cursor;
use super::names;
use super::scan::CHUNK_BYTES;
use super::shared::{Sealed, Shared};
use crate::chain::Hash;
use crate::contract::Head;
use crate::disk;
use crate::error::ReadError;
use crate::reader::{self, Commits, decode, each_record};
use crate::verify::Verified;

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
        self.shared.heads.get()
    }

    /// The commits that hold anything after a position, in order. The first may begin before it.
    ///
    /// # Errors
    /// When the place cannot be found; see [`ReadError`].
    pub fn commits(&self, after: Position) -> Result<cursor::Commits, ReadError> {
        cursor::Commits::open(self.shared.clone(), after, CHUNK_BYTES)
    }

    /// At most `limit` events after a position, in order.
    ///
    /// # Errors
    /// [`ReadError`]; nothing damaged is ever given.
    pub fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        reader::read(Commits::Segment(self.commits(after)?), after, limit)
    }

    /// How far the log was relayed when that was kept last. What cannot be understood is passed over: a checkpoint is never
    /// the truth.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn relayed(&self) -> Result<Option<Position>, ReadError> {
        let path = self.shared.dir.join(names::RELAYED);
        let bytes = match disk::read_whole(&*self.shared.disk, &path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(ReadError::io("read", &path))?,
        };
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        let position = text.trim_end().parse().ok().map(Position);
        if position.is_none() {
            tracing::warn!(path = %path.display(), "how far the log was relayed is damaged; passed over");
        }
        Ok(position)
    }

    /// Keeps how far the log was relayed.
    ///
    /// # Errors
    /// What the disk says; the log is not touched.
    pub fn put_relayed(&self, position: Position) -> Result<(), ReadError> {
        let (dir, text) = (&self.shared.dir, format!("{position}\n"));
        let put = disk::replace_whole(&*self.shared.disk, dir, names::RELAYED, text.as_bytes());
        put.map_err(ReadError::io("write", &dir.join(names::RELAYED)))
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
        let mut commits = cursor::Commits::open(self.shared.clone(), Position(before), POINT_CHUNK_BYTES)?;
        let Some(commit) = commits.next()? else {
            return Ok(None);
        };
        let mut found = None;
        each_record(&commit, |at, record| {
            if at == position {
                found = Some(decode(at, record)?);
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
                        events.push(decode(position, record)?);
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
        let mut commits = cursor::Commits::open(self.shared.clone(), Position(before), POINT_CHUNK_BYTES)?;
        let commit = commits.next()?;
        Ok(commit
            .filter(|commit| commit.last() == position)
            .map(|commit| commit.hash))
    }

    /// Waits until the head has reached a position, at most for `timeout`; the head then.
    pub fn wait_for(&self, position: Position, timeout: Duration) -> Head {
        self.shared.heads.wait_for(position, timeout)
    }

    /// Calls `listener` with every new head from now on, on the thread that commits: it must be quick, such as
    /// sending into a `watch` channel.
    pub fn on_advance(&self, listener: impl Fn(Head) + Send + Sync + 'static) {
        self.shared.heads.listen(Box::new(listener));
    }

    /// Checks the whole log; see [`reader::Reader::verify`].
    ///
    /// # Errors
    /// [`ReadError`] names the first thing that is wrong.
    pub fn verify(&self, progress: impl FnMut(Position)) -> Result<Verified, ReadError> {
        reader::Reader::Segment(self.clone()).verify(progress)
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
