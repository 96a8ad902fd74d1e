//! Going over the log's commits in order.

use std::sync::Arc;

use bincard_ledger::Position;
use bincard_ledger::codec::BodyRef;

use super::header::HEADER_BYTES;
use super::scan::{Read, Window};
use super::shared::{Extent, Shared};
use crate::chain::Hash;
use crate::commit::Unpacked;
use crate::disk::DiskFile;
use crate::error::ReadError;
use crate::reader::Commit;

/// A cursor over the log's commits, up to the durable head and on from there when it has moved. Every commit it gives
/// was checked: its sectors' checksums, its number, its position, and that it names the hash of the one before.
#[derive(Debug)]
pub struct Commits {
    shared: Arc<Shared>,
    /// Commits that end at or before this position are passed over.
    after: Position,
    extent: Extent,
    file: Arc<dyn DiskFile>,
    byte: u64,
    commit: u64,
    position: Position,
    /// The hash of the commit before, where it is known.
    previous: Option<Hash>,
    checks_chain: bool,
    window: Window,
    payload: Vec<u8>,
}

impl Commits {
    pub(crate) fn open(
        shared: Arc<Shared>,
        after: Position,
        chunk_bytes: usize,
    ) -> Result<Commits, ReadError> {
        let (segment, target, extent) = {
            let layout = shared.layout();
            let target = Position(after.0.min(layout.head.position.0)).next();
            let segment = layout.segment_of(target);
            (
                segment,
                target,
                layout
                    .extent(segment)
                    .expect("the layout has the segments that it names"),
            )
        };
        let mark = shared.mark_before(segment, target)?;
        let file = shared.file(segment)?;
        let previous = (mark.byte == HEADER_BYTES).then_some(extent.header.previous);
        Ok(Commits {
            after,
            extent,
            file,
            byte: mark.byte,
            commit: mark.commit,
            position: mark.first,
            previous,
            checks_chain: false,
            window: Window::new(chunk_bytes),
            payload: Vec::new(),
            shared,
        })
    }

    /// Makes the cursor compute every commit's hash as well.
    #[must_use]
    pub fn checking_chain(mut self) -> Commits {
        self.checks_chain = true;
        self
    }

    /// The next commit; `None` at the durable head, from where a later call goes on.
    ///
    /// # Errors
    /// [`ReadError::Corrupt`] where the log is damaged; nothing beyond is given.
    #[expect(
        clippy::should_implement_trait,
        reason = "lends its buffer, which an Iterator cannot"
    )]
    pub fn next(&mut self) -> Result<Option<Commit<'_>>, ReadError> {
        loop {
            if self.byte >= self.extent.end_byte && !self.advance()? {
                return Ok(None);
            }
            let unpacked = self.read()?;
            self.step(&unpacked)?;
            if unpacked.head.last() > self.after {
                return self.commit_of(unpacked).map(Some);
            }
        }
    }

    fn commit_of(&self, unpacked: Unpacked) -> Result<Commit<'_>, ReadError> {
        let body = unpacked.body(&self.payload);
        let head = unpacked.head;
        let parsed = BodyRef::parse(body);
        let recorded_at = parsed
            .map_err(|source| ReadError::Decode {
                position: head.first,
                source,
            })?
            .recorded_at();
        let (commit, first, count, hash) = (head.commit, head.first, head.count, head.hash);
        Ok(Commit {
            commit,
            first,
            count,
            hash,
            recorded_at,
            body,
        })
    }

    /// Looks how far the log has come; whether there is more to read.
    fn advance(&mut self) -> Result<bool, ReadError> {
        loop {
            let segment = self.extent.header.segment;
            let (extent, next) = {
                let layout = self.shared.layout();
                (
                    layout.extent(segment).expect("segments stay"),
                    layout.extent(segment + 1),
                )
            };
            self.extent = extent;
            if self.byte < self.extent.end_byte {
                return Ok(true);
            }
            let Some(next) = next.filter(|_| self.extent.sealed) else {
                return Ok(false);
            };
            let header = &next.header;
            if header.first_commit != self.commit || header.first != self.position {
                return Err(self.corrupt(self.byte, "the segment ends before the next one begins"));
            }
            if self.previous.is_some_and(|previous| previous != header.previous) {
                return Err(self.corrupt(self.byte, "the next segment follows another hash"));
            }
            self.file = self.shared.file(header.segment)?;
            self.previous = Some(header.previous);
            self.byte = HEADER_BYTES;
            self.window.clear();
            self.extent = next;
        }
    }

    fn read(&mut self) -> Result<Unpacked, ReadError> {
        match self.read_once()? {
            Read::Commit(unpacked) => return Ok(unpacked),
            Read::Flaw(..) => self.window.clear(),
        }
        // What the system's cache shows may be older than what was written round it: look at the disk itself.
        let path = super::names::segment_path(&self.shared.dir, self.extent.header.segment);
        self.file.settle().map_err(ReadError::io("settle", &path))?;
        match self.read_once()? {
            Read::Commit(unpacked) => Ok(unpacked),
            Read::Flaw(byte, what) => Err(self.corrupt(byte, what)),
        }
    }

    fn read_once(&mut self) -> Result<Read, ReadError> {
        let Extent { header, end_byte, .. } = &self.extent;
        let path = || super::names::segment_path(&self.shared.dir, header.segment);
        self.window
            .read_commit(
                &*self.file,
                self.byte,
                *end_byte,
                self.commit,
                header.salt(),
                &mut self.payload,
            )
            .map_err(|source| ReadError::Io {
                doing: "read",
                path: path(),
                source,
            })
    }

    /// Checks that the commit follows, and goes behind it.
    fn step(&mut self, unpacked: &Unpacked) -> Result<(), ReadError> {
        let head = &unpacked.head;
        if head.first != self.position || self.previous.is_some_and(|previous| previous != head.previous) {
            return Err(self.corrupt(self.byte, "the commit does not follow the one before it"));
        }
        if self.checks_chain && head.hash != head.previous.follow(head.first, unpacked.body(&self.payload)) {
            return Err(self.corrupt(self.byte, "the commit's hash does not match its body"));
        }
        self.byte += unpacked.size_bytes as u64;
        self.commit += 1;
        self.position = head.last().next();
        self.previous = Some(head.hash);
        Ok(())
    }

    fn corrupt(&self, byte: u64, what: &str) -> ReadError {
        self.shared
            .corruption(&self.extent.header, byte, self.position, what.to_owned())
            .into()
    }
}
