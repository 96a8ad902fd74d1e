//! The one writer of a log.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use bincard_ledger::codec::{Body, BodyRef};
use bincard_ledger::{Stream, Version};

use super::Options;
use super::header::{HEADER_BYTES, Header};
use super::index::{self, Index, Mark, Summary, Versions};
use super::names;
use super::shared::{Active, Sealed, Shared};
use super::spare::{self, Spare};
use crate::block::Blocks;
use crate::commit::{self, BODY_BYTES_MAX, CommitHead};
use crate::contract::Head;
use crate::disk::{self, Disk, DiskFile};
use crate::error::CommitError;
use crate::sector::Salt;

/// A commit body's space in a block: what is left of 4096 bytes by the stamps.
const BLOCK_PAYLOAD_BYTES: u64 = 3968;

/// Makes commits durable, one after another. There is one of it a log, and one write is in flight at most.
#[derive(Debug)]
pub struct Appender {
    shared: Arc<Shared>,
    options: Options,
    file: Box<dyn DiskFile>,
    path: PathBuf,
    segment: u64,
    segment_bytes: u64,
    salt: Salt,
    end_byte: u64,
    epoch: u32,
    head: Head,
    versions: Versions,
    /// The records of the commit being made: each stream's version before it, to go back to.
    undo: Vec<(Stream, Version)>,
    seen: Vec<(Stream, Version)>,
    blocks: Blocks,
    spare: Option<Spare>,
    sealing: Option<JoinHandle<()>>,
    stopped: Option<Arc<str>>,
}

impl Appender {
    pub(crate) fn new(
        shared: Arc<Shared>,
        options: Options,
        file: Box<dyn DiskFile>,
        epoch: u32,
        versions: Versions,
    ) -> Appender {
        let layout = shared.layout();
        let (head, end_byte, header) = (layout.head, layout.active.end_byte, layout.active.header.clone());
        drop(layout);
        Appender {
            path: names::segment_path(&shared.dir, header.segment),
            segment: header.segment,
            segment_bytes: header.size_bytes,
            salt: header.salt(),
            shared,
            options,
            file,
            end_byte,
            epoch,
            head,
            versions,
            undo: Vec::new(),
            seen: Vec::new(),
            blocks: Blocks::default(),
            spare: None,
            sealing: None,
            stopped: None,
        }
    }

    /// The end of the log: the last commit that is durable.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The last version of a stream; 0 when it has no events.
    pub fn version(&self, stream: Stream) -> Version {
        self.versions.get(&stream).copied().unwrap_or_default()
    }

    /// The largest body that a commit of this log may have, in bytes.
    pub fn body_bytes_max(&self) -> usize {
        let blocks = (self.options.segment_bytes - HEADER_BYTES) / commit::size_bytes(0) as u64;
        let room = blocks.saturating_mul(BLOCK_PAYLOAD_BYTES) - commit::HEADER_BYTES as u64;
        usize::try_from(room).unwrap_or(usize::MAX).min(BODY_BYTES_MAX)
    }

    /// Appends a body, all or nothing. It is durable when this returns, and readers see it. An empty body changes
    /// nothing.
    ///
    /// # Errors
    /// After [`CommitError::Io`] it is unknown whether the commit was made, until the log is opened again; this
    /// appender answers [`CommitError::Stopped`] from then on. With every other error nothing was written and the
    /// appender goes on.
    pub fn commit(&mut self, body: &Body) -> Result<Head, CommitError> {
        if let Some(why) = &self.stopped {
            return Err(CommitError::Stopped { why: why.clone() });
        }
        if body.is_empty() {
            return Ok(self.head);
        }
        self.check(body)?;
        let result = self.check_versions(body).and_then(|()| self.write(body));
        if result.is_err() {
            for (stream, version) in self.undo.drain(..).rev() {
                self.versions.insert(stream, version);
            }
        }
        if let Err(error @ CommitError::Io { source, .. }) = &result {
            let why = format!("{error}: {source}");
            tracing::error!(why, position = self.head.position.0 + 1, "the log has stopped");
            self.stopped = Some(why.into());
        }
        result
    }

    fn check(&self, body: &Body) -> Result<(), CommitError> {
        let (bytes, bytes_max) = (body.as_bytes().len(), self.body_bytes_max());
        if bytes > bytes_max {
            return Err(CommitError::TooLarge { bytes, bytes_max });
        }
        if body.recorded_at() < self.head.recorded_at {
            return Err(CommitError::BackInTime {
                head: self.head.recorded_at,
                found: body.recorded_at(),
            });
        }
        Ok(())
    }

    /// Every record must continue its stream. Goes through the records once and leaves `versions` as they will be.
    fn check_versions(&mut self, body: &Body) -> Result<(), CommitError> {
        self.undo.clear();
        self.seen.clear();
        let mut current: Option<(Stream, Version)> = None;
        for record in BodyRef::parse(body.as_bytes())?.records() {
            let head = record?.head()?;
            let last = match current {
                Some((stream, version)) if stream == head.stream => version,
                _ => {
                    self.note(current);
                    let version = self.version(head.stream);
                    self.undo.push((head.stream, version));
                    version
                }
            };
            let (stream, expected, found) = (head.stream, last.next(), head.version);
            if found != expected {
                return Err(CommitError::OutOfOrder {
                    stream,
                    expected,
                    found,
                });
            }
            if current.is_none_or(|(stream, _)| stream != head.stream) {
                self.seen.push((stream, found));
            }
            current = Some((stream, found));
        }
        self.note(current);
        Ok(())
    }

    /// The end of a row of records of one stream.
    fn note(&mut self, row: Option<(Stream, Version)>) {
        if let Some((stream, version)) = row {
            self.versions.insert(stream, version);
            self.seen.push((stream, version));
        }
    }

    fn write(&mut self, body: &Body) -> Result<Head, CommitError> {
        let bytes = body.as_bytes();
        let size = commit::size_bytes(bytes.len()) as u64;
        if self.end_byte + size > self.segment_bytes {
            self.begin_segment()?;
        }
        let first = self.head.position.next();
        let head = CommitHead {
            commit: self.head.commit + 1,
            first,
            count: body.count(),
            previous: self.head.hash,
            hash: self.head.hash.follow(first, bytes),
        };
        let packed = commit::pack(
            &mut self.blocks,
            &head,
            bytes,
            self.epoch,
            self.salt,
            self.end_byte,
        );
        self.file
            .write_at(packed, self.end_byte)
            .map_err(|source| CommitError::Io {
                doing: "write to",
                path: self.path.clone(),
                source,
            })?;
        self.publish(&head, body, size);
        self.prepare_spare();
        Ok(self.head)
    }

    fn publish(&mut self, head: &CommitHead, body: &Body, size: u64) {
        self.head = Head {
            position: head.last(),
            commit: head.commit,
            hash: head.hash,
            recorded_at: body.recorded_at(),
        };
        let byte = self.end_byte;
        self.end_byte += size;
        let mut layout = self.shared.layout_mut();
        layout.active.index.note_commit(Mark {
            first: head.first,
            commit: head.commit,
            byte,
        });
        for (stream, version) in self.seen.drain(..) {
            layout.active.index.note_record(stream, version);
        }
        layout.active.end_byte = self.end_byte;
        layout.head = self.head;
        drop(layout);
        self.shared.heads.announce(self.head);
    }

    /// Starts making the next segment once this one is filled by a quarter, so that small ledgers never pay for it.
    fn prepare_spare(&mut self) {
        if self.options.background && self.spare.is_none() && self.end_byte > self.segment_bytes / 4 {
            let Shared { disk, dir, .. } = &*self.shared;
            self.spare = Spare::start(disk.clone(), dir, self.segment + 1, self.options.segment_bytes);
        }
    }

    /// Goes over to the next segment and seals this one. Until the next one's header is written nothing of the log
    /// has been touched, so a full disk is met here, and met again or not at the next commit.
    fn begin_segment(&mut self) -> Result<(), CommitError> {
        let header = Header {
            ledger: self.shared.ledger,
            segment: self.segment + 1,
            size_bytes: self.options.segment_bytes,
            first_commit: self.head.commit + 1,
            first: self.head.position.next(),
            previous: self.head.hash,
            previous_at: self.head.recorded_at,
        };
        let path = names::spare_path(&self.shared.dir, header.segment);
        let file = self.next_file(&header).map_err(|source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => CommitError::Full {
                path: path.clone(),
                source,
            },
            _ => CommitError::Io {
                doing: "make",
                path: path.clone(),
                source,
            },
        })?;
        spare::take_into_use(&*self.shared.disk, &self.shared.dir, &*file, &header).map_err(|source| {
            CommitError::Io {
                doing: "set up",
                path,
                source,
            }
        })?;
        self.seal(&header);
        self.segment = header.segment;
        self.segment_bytes = header.size_bytes;
        self.salt = header.salt();
        self.path = names::segment_path(&self.shared.dir, header.segment);
        self.end_byte = HEADER_BYTES;
        self.file = file;
        Ok(())
    }

    fn next_file(&mut self, header: &Header) -> io::Result<Box<dyn DiskFile>> {
        if let Some(spare) = self.spare.take().filter(|spare| spare.segment == header.segment) {
            match spare.finish() {
                Ok(file) => return Ok(file),
                Err(error) => {
                    tracing::warn!(%error, "the next segment was not made in the background; trying again")
                }
            }
        }
        let path = names::spare_path(&self.shared.dir, header.segment);
        spare::make(&*self.shared.disk, &path, header.size_bytes)
    }

    /// The next segment stands: this one gets its index, and readers learn of both.
    fn seal(&mut self, next: &Header) {
        let summary = Summary {
            segment: self.segment,
            last_commit: self.head.commit,
            last: self.head.position,
            end_byte: self.end_byte,
            hash: self.head.hash,
            recorded_at: self.head.recorded_at,
        };
        let active = Active {
            header: next.clone(),
            index: Index::default(),
            end_byte: HEADER_BYTES,
        };
        let mut layout = self.shared.layout_mut();
        let Active { header, index, .. } = std::mem::replace(&mut layout.active, active);
        layout.sealed.push(Sealed { header, summary });
        drop(layout);
        let versions = self.versions_before();
        let (disk, dir, ledger) = (
            self.shared.disk.clone(),
            names::log_dir(&self.shared.dir),
            self.shared.ledger,
        );
        let work = move || {
            write_index(
                &*disk,
                dir,
                index::encode(ledger, &summary, &index, &versions),
                &summary,
            )
        };
        self.finish_sealing();
        if self.options.background {
            // Without a thread there is no index, and opening makes it.
            self.sealing = thread::Builder::new()
                .name("bincard-seal".to_owned())
                .spawn(work)
                .ok();
        } else {
            work();
        }
    }

    /// The versions without those of the commit being made, which goes into the next segment.
    fn versions_before(&self) -> Versions {
        let mut versions = self.versions.clone();
        for (stream, version) in self.undo.iter().rev() {
            if *version == Version(0) {
                versions.remove(stream);
            } else {
                versions.insert(*stream, *version);
            }
        }
        versions
    }

    fn finish_sealing(&mut self) {
        if let Some(Err(_)) = self.sealing.take().map(JoinHandle::join) {
            tracing::warn!("the thread that writes indexes panicked; opening makes the index again");
        }
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        self.finish_sealing();
        if let Some(spare) = self.spare.take()
            && let Err(error) = spare.finish()
        {
            tracing::debug!(%error, "the spare segment was not made");
        }
    }
}

/// An index that cannot be written is made again by opening.
fn write_index(disk: &dyn Disk, log: PathBuf, bytes: Vec<u8>, summary: &Summary) {
    let name = names::file_name(summary.segment, names::INDEX);
    if let Err(error) = disk::replace_whole(disk, &log, &name, &bytes) {
        tracing::warn!(name, %error, "a segment's index cannot be written; the next start will make it");
    }
}
