//! Opening a ledger's folder: lock, check what lies there, recover the tail.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bincard_ledger::{LedgerId, Position, Timestamp};

use super::append::Appender;
use super::header::{HEADER_BYTES, Header};
use super::index::{self, IndexFile, Summary, Versions};
use super::names;
use super::read::Reader;
use super::scan::{End, scan};
use super::shared::{Active, Layout, Sealed, Shared};
use super::spare;
use super::tail::{Tail, judge};
use super::{Opened, Options, Recovery, Torn};
use crate::block::{BLOCK_BYTES, Blocks};
use crate::chain::Hash;
use crate::contract::Head;
use crate::disk::{self, Access, Disk, DiskFile, UNFINISHED};
use crate::error::{Corruption, OpenError};
use crate::{keys, snapshots};

/// Room for a header and one commit of one block.
const SEGMENT_BYTES_MIN: u64 = 2 * BLOCK_BYTES as u64;
/// How much of a torn tail is zeroed at once.
const ZERO_BLOCKS: u64 = 256;

/// The work of opening, and what it has found so far.
struct Opening {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: Options,
    versions: Versions,
    recovered: Recovery,
}

pub(crate) fn open(disk: Arc<dyn Disk>, dir: &Path, options: Options) -> Result<Opened, OpenError> {
    let Options { segment_bytes, .. } = options;
    if segment_bytes < SEGMENT_BYTES_MIN || !segment_bytes.is_multiple_of(BLOCK_BYTES as u64) {
        return Err(OpenError::SegmentSize {
            segment_bytes,
            min_bytes: SEGMENT_BYTES_MIN,
        });
    }
    let log = names::log_dir(dir);
    for folder in [dir, &log, &keys::dir(dir), &snapshots::dir(dir)] {
        disk.create_dir(folder)
            .map_err(OpenError::io("make the folder", folder))?;
    }
    let lock_path = dir.join(names::LOCK);
    let lock = disk.lock(&lock_path).map_err(|source| match source.kind() {
        io::ErrorKind::WouldBlock => OpenError::Locked { dir: dir.to_owned() },
        _ => OpenError::Io {
            doing: "lock",
            path: lock_path.clone(),
            source,
        },
    })?;
    let recovered = Recovery {
        created: false,
        commits_checked: 0,
        indexes_rebuilt: 0,
        torn: None,
    };
    let mut opening = Opening {
        disk,
        dir: dir.to_owned(),
        options,
        versions: Versions::new(),
        recovered,
    };
    let headers = opening.headers()?;
    let sealed = opening.sealed(&headers)?;
    opening.check_identity(headers[0].ledger)?;
    let last = headers
        .last()
        .expect("a ledger has a first segment: it was made if there was none");
    let (file, active, end, epoch) = opening.active(last.clone())?;
    let head = Head {
        position: end.position,
        commit: end.commit,
        hash: end.hash,
        recorded_at: end.recorded_at,
    };
    opening.check_nothing_is_ahead(&head)?;
    let ledger = last.ledger;
    let layout = Layout { sealed, active, head };
    let Opening {
        disk,
        dir,
        options,
        versions,
        recovered,
    } = opening;
    let shared = Arc::new(Shared::new(disk, dir, ledger, layout, lock));
    let appender = Appender::new(shared.clone(), options, file, epoch, versions);
    Ok(Opened {
        appender,
        reader: Reader::new(shared),
        ledger,
        recovered,
    })
}

impl Opening {
    /// The headers of all segments, in order; makes the first segment when there is none.
    fn headers(&mut self) -> Result<Vec<Header>, OpenError> {
        let log = names::log_dir(&self.dir);
        // A name that an earlier life of this program left without syncing could still vanish in a power loss.
        self.disk
            .sync_dir(&log)
            .map_err(OpenError::io("sync the folder", &log))?;
        let listed = self.disk.list(&log).map_err(OpenError::io("list", &log))?;
        for name in listed
            .iter()
            .filter(|name| name.ends_with(names::SPARE) || name.ends_with(UNFINISHED))
        {
            let path = log.join(name);
            self.disk.remove(&path).map_err(OpenError::io("remove", &path))?;
        }
        let numbered =
            |ending: &'static str| listed.iter().filter_map(move |name| names::number(name, ending));
        let segments: Vec<u64> = numbered(names::SEGMENT).collect();
        let count = segments.len() as u64;
        let missing = (1..=count).find(|number| segments[*number as usize - 1] != *number);
        // An index is written only when the next segment stands.
        let index_last = numbered(names::INDEX)
            .max()
            .filter(|number| *number >= count)
            .map(|number| number + 1);
        if let Some(number) = missing.or(index_last) {
            return Err(self.missing(number));
        }
        if count == 0 {
            return Ok(vec![self.first_segment()?]);
        }
        let headers: Vec<Header> = segments
            .iter()
            .map(|number| self.header(*number))
            .collect::<Result<_, _>>()?;
        for header in &headers {
            if header.ledger != headers[0].ledger {
                return Err(self.corrupt(header, 0, "the segment belongs to another ledger"));
            }
        }
        Ok(headers)
    }

    fn missing(&self, segment: u64) -> OpenError {
        OpenError::Corrupt(Corruption {
            path: names::segment_path(&self.dir, segment),
            segment,
            byte: 0,
            position: Position(0),
            what: "the segment is missing".to_owned(),
        })
    }

    fn corrupt(&self, header: &Header, byte: u64, what: &str) -> OpenError {
        OpenError::Corrupt(Corruption {
            path: names::segment_path(&self.dir, header.segment),
            segment: header.segment,
            byte,
            position: header.first,
            what: what.to_owned(),
        })
    }

    fn first_segment(&mut self) -> Result<Header, OpenError> {
        let traces =
            keys::positions(&*self.disk, &self.dir)?.max(snapshots::positions(&*self.disk, &self.dir)?);
        if traces.is_some() || self.identity()?.is_some() {
            return Err(self.missing(1));
        }
        let ledger = self.options.ledger.unwrap_or_else(draw_id);
        let header = Header {
            ledger,
            segment: 1,
            size_bytes: self.options.segment_bytes,
            first_commit: 1,
            first: Position(1),
            previous: Hash::genesis(ledger),
            previous_at: Timestamp::MIN,
        };
        let path = names::spare_path(&self.dir, 1);
        let file =
            spare::make(&*self.disk, &path, header.size_bytes).map_err(OpenError::io("make", &path))?;
        spare::take_into_use(&*self.disk, &self.dir, &*file, &header)
            .map_err(OpenError::io("set up", &path))?;
        self.recovered.created = true;
        Ok(header)
    }

    /// What the folder says it is; written once the first segment stands.
    fn identity(&self) -> Result<Option<Vec<u8>>, OpenError> {
        let path = self.dir.join(names::IDENTITY);
        match disk::read_whole(&*self.disk, &path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(OpenError::io("read", &path)(error)),
        }
    }

    fn check_identity(&self, ledger: LedgerId) -> Result<(), OpenError> {
        let expected = format!("bincard ledger {}\n", uuid::Uuid::from_bytes(ledger.0).simple());
        if self.identity()?.is_some_and(|found| found == expected.as_bytes()) {
            return Ok(());
        }
        // Segments carry the ledger's id under checksums of their own; this file only says that there was one.
        disk::replace_whole(&*self.disk, &self.dir, names::IDENTITY, expected.as_bytes())
            .map_err(OpenError::io("write", &self.dir.join(names::IDENTITY)))
    }

    fn header(&self, segment: u64) -> Result<Header, OpenError> {
        let path = names::segment_path(&self.dir, segment);
        let file = self
            .disk
            .open(&path, Access::Read)
            .map_err(OpenError::io("open", &path))?;
        let mut block = vec![0; BLOCK_BYTES];
        let read = file
            .read_at(&mut block, 0)
            .map_err(OpenError::io("read", &path))?;
        let size = file.size_bytes().map_err(OpenError::io("measure", &path))?;
        Header::read(&block[..read], segment, size, &path)
    }

    /// What the sealed segments hold, checked to follow one another.
    fn sealed(&mut self, headers: &[Header]) -> Result<Vec<Sealed>, OpenError> {
        let mut end = headers
            .first()
            .map(End::before)
            .map(|end| (end.commit, end.position, end.hash));
        let genesis = headers.first().map(|first| Hash::genesis(first.ledger));
        let mut sealed = Vec::with_capacity(headers.len());
        if let Some(first) = headers.first()
            && (end != Some((0, Position(0), first.previous)) || Some(first.previous) != genesis)
        {
            return Err(self.corrupt(first, 0, "the first segment does not begin the log"));
        }
        for pair in headers.windows(2) {
            let [header, next] = pair else { continue };
            let found = self.sealed_one(header, next)?;
            end = Some((found.summary.last_commit, found.summary.last, found.summary.hash));
            if end != Some((next.first_commit - 1, Position(next.first.0 - 1), next.previous)) {
                return Err(self.corrupt(next, 0, "the segment does not follow the one before it"));
            }
            self.versions = found.versions;
            sealed.push(Sealed {
                header: header.clone(),
                summary: found.summary,
            });
        }
        Ok(sealed)
    }

    /// One sealed segment's index file, read or made again.
    fn sealed_one(&mut self, header: &Header, next: &Header) -> Result<IndexFile, OpenError> {
        let path = names::index_path(&self.dir, header.segment);
        match disk::read_whole(&*self.disk, &path) {
            Ok(bytes) => {
                let found = index::decode(&bytes, header.ledger, header.segment);
                // One that does not match its neighbours is as good as none: the segment decides.
                if let Some(found) = found.filter(|found| found.summary.hash == next.previous) {
                    return Ok(found);
                }
                tracing::warn!(path = %path.display(), "the index is damaged; making it again");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::info!(path = %path.display(), "the index is missing; making it again");
            }
            Err(error) => return Err(OpenError::io("read", &path)(error)),
        }
        self.index_again(header, next)
    }

    fn index_again(&mut self, header: &Header, next: &Header) -> Result<IndexFile, OpenError> {
        let path = names::segment_path(&self.dir, header.segment);
        let file = self
            .disk
            .open(&path, Access::Read)
            .map_err(OpenError::io("open", &path))?;
        let mut versions = self.versions.clone();
        let (index, end, flaw) = scan(&*file, &path, header, next.first_commit - 1, Some(&mut versions))?;
        if let Some(flaw) = flaw {
            let (segment, position) = (header.segment, end.position.next());
            return Err(Corruption {
                path,
                segment,
                byte: flaw.byte,
                position,
                what: flaw.what,
            }
            .into());
        }
        let summary = summary(header.segment, &end);
        let bytes = index::encode(header.ledger, &summary, &index, &versions);
        let name = names::file_name(header.segment, names::INDEX);
        if let Err(error) = disk::replace_whole(&*self.disk, &names::log_dir(&self.dir), &name, &bytes) {
            tracing::warn!(name, %error, "the index cannot be written; opening will be slow again");
        }
        self.recovered.indexes_rebuilt += 1;
        Ok(IndexFile {
            summary,
            index,
            versions,
        })
    }

    /// Recovers the last segment.
    fn active(&mut self, header: Header) -> Result<(Box<dyn DiskFile>, Active, End, u32), OpenError> {
        let path = names::segment_path(&self.dir, header.segment);
        let file = self
            .disk
            .open(&path, Access::Write)
            .map_err(OpenError::io("open", &path))?;
        file.settle().map_err(OpenError::io("settle", &path))?;
        let (index, end, flaw) = scan(&*file, &path, &header, u64::MAX, Some(&mut self.versions))?;
        self.recovered.commits_checked = end.commit + 1 - header.first_commit;
        let tail = judge(&*file, &path, &header, &end, flaw)?;
        self.cut_off(&*file, &path, &header, &end, tail)?;
        let epoch = tail.epoch_max.checked_add(1).ok_or_else(|| {
            self.corrupt(
                &header,
                end.byte,
                "the segment has been recovered too often for its format",
            )
        })?;
        Ok((
            file,
            Active {
                header,
                index,
                end_byte: end.byte,
            },
            end,
            epoch,
        ))
    }

    fn cut_off(
        &mut self,
        file: &dyn DiskFile,
        path: &Path,
        header: &Header,
        end: &End,
        tail: Tail,
    ) -> Result<(), OpenError> {
        if tail.torn_bytes > 0 {
            let position = end.position.next();
            let torn = Torn {
                position,
                segment: header.segment,
                byte: end.byte,
                bytes: tail.torn_bytes,
            };
            tracing::warn!(
                path = %path.display(), byte = torn.byte, bytes = torn.bytes, position = torn.position.0,
                "a commit that was never acknowledged is torn; it is cut off"
            );
            self.recovered.torn = Some(torn);
        }
        let dirty = tail.dirty_end.next_multiple_of(BLOCK_BYTES as u64);
        let blocks = ((dirty - end.byte) / BLOCK_BYTES as u64).min(ZERO_BLOCKS);
        let zeros = Blocks::zeroed(blocks as usize);
        let mut at = end.byte;
        while at < dirty {
            let size = (dirty - at).min(zeros.as_bytes().len() as u64);
            file.write_at(&zeros.as_bytes()[..size as usize], at)
                .map_err(OpenError::io("write", path))?;
            at += size;
        }
        Ok(())
    }

    /// Snapshots and key runs are made of durable commits only: one beyond the head says that the head was lost.
    fn check_nothing_is_ahead(&self, head: &Head) -> Result<(), OpenError> {
        let traces =
            keys::positions(&*self.disk, &self.dir)?.max(snapshots::positions(&*self.disk, &self.dir)?);
        match traces {
            Some(known) if known > head.position => Err(OpenError::Corrupt(Corruption {
                path: names::log_dir(&self.dir),
                segment: 0,
                byte: HEADER_BYTES,
                position: head.position.next(),
                what: format!(
                    "the log ends at position {}, but a snapshot or key file beside it was made at {known}; \
                     if the log was put back to an older state on purpose, remove the folders keys and snapshots",
                    head.position
                ),
            })),
            _ => Ok(()),
        }
    }
}

pub(crate) fn summary(segment: u64, end: &End) -> Summary {
    Summary {
        segment,
        last_commit: end.commit,
        last: end.position,
        end_byte: end.byte,
        hash: end.hash,
        recorded_at: end.recorded_at,
    }
}

/// 16 random bytes. A version 4 UUID has 122 random bits; two are hashed so that none of the id's bits is fixed.
pub(crate) fn draw_id() -> LedgerId {
    let mut hasher = blake3::Hasher::new();
    hasher
        .update(uuid::Uuid::new_v4().as_bytes())
        .update(uuid::Uuid::new_v4().as_bytes());
    let mut id = [0; 16];
    hasher.finalize_xof().fill(&mut id);
    LedgerId(id)
}
