//! Reading commits one after another out of a segment's file, in large pieces.

use std::io;
use std::path::Path;

use bincard_ledger::codec::BodyRef;
use bincard_ledger::{Position, Timestamp};

use super::header::{HEADER_BYTES, Header};
use super::index::{Index, Mark, Versions};
use crate::chain::Hash;
use crate::commit::{self, NoCommit, Unpacked};
use crate::disk::DiskFile;
use crate::error::OpenError;
use crate::sector::{SECTOR_BYTES, Salt};

/// How much is read at once where much is to be read.
pub(crate) const CHUNK_BYTES: usize = 1 << 20;

/// The piece of a file that was read last.
#[derive(Debug)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    start: u64,
    chunk_bytes: usize,
}

/// What stood at a place of a segment.
pub(crate) enum Read {
    Commit(Unpacked),
    /// No whole commit: what is wrong at which byte.
    Flaw(u64, &'static str),
}

impl Window {
    pub(crate) fn new(chunk_bytes: usize) -> Window {
        Window {
            bytes: Vec::new(),
            start: 0,
            chunk_bytes,
        }
    }

    /// Forgets what was read: another file comes next, or the same again.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// What the file holds from byte `at`, at least `need_bytes` unless `limit` or the file ends before.
    pub(crate) fn look(
        &mut self,
        file: &dyn DiskFile,
        at: u64,
        need_bytes: usize,
        limit: u64,
    ) -> io::Result<&[u8]> {
        let end = self.start + self.bytes.len() as u64;
        let wanted_end = at.saturating_add(need_bytes as u64).min(limit);
        if at < self.start || wanted_end > end {
            let left = limit.saturating_sub(at);
            let size = left.min(need_bytes.max(self.chunk_bytes) as u64) as usize;
            self.bytes.resize(size, 0);
            self.start = at;
            let read = file.read_at(&mut self.bytes, at);
            self.bytes.truncate(*read.as_ref().unwrap_or(&0));
            read?;
        }
        Ok(self.bytes.get((at - self.start) as usize..).unwrap_or_default())
    }

    /// Reads the commit at byte `at`, which has to end by `limit`.
    pub(crate) fn read_commit(
        &mut self,
        file: &dyn DiskFile,
        at: u64,
        limit: u64,
        commit: u64,
        salt: Salt,
        payload: &mut Vec<u8>,
    ) -> io::Result<Read> {
        let mut need = SECTOR_BYTES;
        loop {
            let bytes = self.look(file, at, need, limit)?;
            let available = bytes.len();
            match commit::unpack(bytes, commit, salt, at, payload) {
                Ok(unpacked) => return Ok(Read::Commit(unpacked)),
                Err(NoCommit::Flaw(byte, what)) => return Ok(Read::Flaw(byte, what)),
                Err(NoCommit::Short(size)) if need == size => {
                    return Ok(Read::Flaw(
                        at + available as u64,
                        "the segment ends within the commit",
                    ));
                }
                Err(NoCommit::Short(size)) => need = size,
            }
        }
    }
}

/// Where a row of commits ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct End {
    pub(crate) byte: u64,
    pub(crate) commit: u64,
    pub(crate) position: Position,
    pub(crate) hash: Hash,
    pub(crate) recorded_at: Timestamp,
    /// The epoch of the last commit; 0 when there is none.
    pub(crate) epoch: u32,
}

impl End {
    /// The end of an empty segment.
    pub(crate) fn before(header: &Header) -> End {
        End {
            byte: HEADER_BYTES,
            commit: header.first_commit - 1,
            position: Position(header.first.0 - 1),
            hash: header.previous,
            recorded_at: header.previous_at,
            epoch: 0,
        }
    }

    /// The end after one more commit, if that follows; what is wrong with it otherwise.
    pub(crate) fn follow(self, unpacked: &Unpacked, body: &[u8]) -> Result<End, String> {
        let head = &unpacked.head;
        if head.first != self.position.next() || head.previous != self.hash {
            return Err("the commit does not follow the one before it".to_owned());
        }
        if unpacked.epoch < self.epoch {
            return Err("the commit comes from before the last recovery".to_owned());
        }
        if head.hash != self.hash.follow(head.first, body) {
            return Err("the commit's hash does not match its body".to_owned());
        }
        let body = BodyRef::parse(body).map_err(|error| format!("the body cannot be read: {error}"))?;
        if body.count() != head.count {
            return Err("the body holds another number of records than its commit says".to_owned());
        }
        Ok(End {
            byte: self.byte + unpacked.size_bytes as u64,
            commit: head.commit,
            position: head.last(),
            hash: head.hash,
            recorded_at: body.recorded_at(),
            epoch: unpacked.epoch,
        })
    }
}

/// What was found wrong where a scan ended.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub(crate) byte: u64,
    pub(crate) what: String,
}

/// Goes over a segment's commits, checking everything, up to the first place that holds no valid one or after
/// commit `last_commit`. `versions` goes along: streams must go on from there, or, when it is `None`, from anywhere.
pub(crate) fn scan(
    file: &dyn DiskFile,
    path: &Path,
    header: &Header,
    last_commit: u64,
    mut versions: Option<&mut Versions>,
) -> Result<(Index, End, Option<Flaw>), OpenError> {
    let mut window = Window::new(CHUNK_BYTES);
    let (mut payload, mut index, mut end) = (Vec::new(), Index::default(), End::before(header));
    while end.commit < last_commit && end.byte < header.size_bytes {
        let read = window
            .read_commit(
                file,
                end.byte,
                header.size_bytes,
                end.commit + 1,
                header.salt(),
                &mut payload,
            )
            .map_err(OpenError::io("read", path))?;
        let unpacked = match read {
            Read::Commit(unpacked) => unpacked,
            Read::Flaw(byte, what) => {
                return Ok((
                    index,
                    end,
                    Some(Flaw {
                        byte,
                        what: what.to_owned(),
                    }),
                ));
            }
        };
        let body = unpacked.body(&payload);
        let next = end.follow(&unpacked, body).and_then(|next| {
            note_records(body, &mut index, versions.as_deref_mut())?;
            Ok(next)
        });
        match next {
            Ok(next) => {
                index.note_commit(Mark {
                    first: unpacked.head.first,
                    commit: next.commit,
                    byte: end.byte,
                });
                end = next;
            }
            Err(what) => return Ok((index, end, Some(Flaw { byte: end.byte, what }))),
        }
    }
    Ok((index, end, None))
}

fn note_records(body: &[u8], index: &mut Index, mut versions: Option<&mut Versions>) -> Result<(), String> {
    let cannot = |error| format!("a record cannot be read: {error}");
    for record in BodyRef::parse(body).map_err(cannot)?.records() {
        let head = record.and_then(|record| record.head()).map_err(cannot)?;
        if let Some(versions) = versions.as_deref_mut() {
            let last = versions.entry(head.stream).or_default();
            if head.version != last.next() {
                return Err(format!(
                    "{:?} goes on with version {} after {last}",
                    head.stream, head.version
                ));
            }
            *last = head.version;
        }
        index.note_record(head.stream, head.version);
    }
    Ok(())
}
