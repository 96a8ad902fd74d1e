//! What the appender and the readers of one log share: where everything lies, and how far it is durable.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bincard_ledger::{LedgerId, Position};

use super::header::{HEADER_BYTES, Header};
use super::index::{self, Index, Mark, Summary};
use super::names;
use super::scan::scan;
use crate::contract::Head;
use crate::disk::{self, Access, Disk, DiskFile, DiskLock};
use crate::error::{Corruption, OpenError, ReadError};
use crate::heads::Heads;

/// How many sealed segments' files and indexes are kept at hand.
const RECENT_MAX: usize = 16;

/// A segment that is never written again.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) header: Header,
    pub(crate) summary: Summary,
}

/// The segment that is being written.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) header: Header,
    pub(crate) index: Index,
    /// Where the last durable commit ends.
    pub(crate) end_byte: u64,
}

/// Where everything lies.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) sealed: Vec<Sealed>,
    pub(crate) active: Active,
    pub(crate) head: Head,
}

/// One segment, as a reader sees it at a moment.
#[derive(Clone, Debug)]
pub(crate) struct Extent {
    pub(crate) header: Header,
    /// Where its durable commits end.
    pub(crate) end_byte: u64,
    pub(crate) sealed: bool,
}

impl Layout {
    /// The segment with this number.
    pub(crate) fn extent(&self, segment: u64) -> Option<Extent> {
        if segment == self.active.header.segment {
            let Active { header, end_byte, .. } = &self.active;
            return Some(Extent {
                header: header.clone(),
                end_byte: *end_byte,
                sealed: false,
            });
        }
        let sealed = self.sealed.get(usize::try_from(segment).ok()?.checked_sub(1)?)?;
        let end_byte = sealed.summary.end_byte;
        Some(Extent {
            header: sealed.header.clone(),
            end_byte,
            sealed: true,
        })
    }

    /// The number of the segment that holds a position, or will.
    pub(crate) fn segment_of(&self, position: Position) -> u64 {
        if position >= self.active.header.first {
            return self.active.header.segment;
        }
        let after = self
            .sealed
            .partition_point(|sealed| sealed.header.first <= position);
        after.max(1) as u64
    }
}

/// A sealed segment's file and index, kept open.
#[derive(Clone, Debug)]
struct Recent {
    segment: u64,
    file: Arc<dyn DiskFile>,
    index: Option<Arc<Index>>,
}

pub(crate) struct Shared {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    pub(crate) ledger: LedgerId,
    layout: RwLock<Layout>,
    /// The head again, for those who wait for it.
    pub(crate) heads: Heads,
    recent: Mutex<VecDeque<Recent>>,
    /// Given back when the last handle is dropped.
    _lock: DiskLock,
}

impl Shared {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        ledger: LedgerId,
        layout: Layout,
        lock: DiskLock,
    ) -> Shared {
        Shared {
            disk,
            dir,
            ledger,
            heads: Heads::new(layout.head),
            layout: RwLock::new(layout),
            recent: Mutex::default(),
            _lock: lock,
        }
    }

    // A panic while one of these is held leaves nothing half changed: every change is a few plain stores.
    pub(crate) fn layout(&self) -> RwLockReadGuard<'_, Layout> {
        self.layout.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn layout_mut(&self) -> RwLockWriteGuard<'_, Layout> {
        self.layout.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A segment's file, for reading.
    pub(crate) fn file(&self, segment: u64) -> Result<Arc<dyn DiskFile>, ReadError> {
        if let Some(recent) = self.recall(segment) {
            return Ok(recent.file);
        }
        let path = names::segment_path(&self.dir, segment);
        let file = self
            .disk
            .open(&path, Access::Read)
            .map_err(ReadError::io("open", &path))?;
        let file: Arc<dyn DiskFile> = Arc::from(file);
        self.keep(Recent {
            segment,
            file: file.clone(),
            index: None,
        });
        Ok(file)
    }

    /// The last mark at or before a position in a segment.
    pub(crate) fn mark_before(&self, segment: u64, position: Position) -> Result<Mark, ReadError> {
        let (header, mark) = {
            let layout = self.layout();
            if layout.active.header.segment == segment {
                (
                    layout.active.header.clone(),
                    layout.active.index.mark_before(position),
                )
            } else {
                let sealed = layout.sealed[segment as usize - 1].clone();
                drop(layout);
                let index = self.sealed_index(&sealed)?;
                (sealed.header, index.mark_before(position))
            }
        };
        let start = Mark {
            first: header.first,
            commit: header.first_commit,
            byte: HEADER_BYTES,
        };
        Ok(mark.unwrap_or(start))
    }

    /// A sealed segment's index: kept, read, or made again.
    pub(crate) fn sealed_index(&self, sealed: &Sealed) -> Result<Arc<Index>, ReadError> {
        let segment = sealed.header.segment;
        if let Some(index) = self.recall(segment).and_then(|recent| recent.index) {
            return Ok(index);
        }
        let file = self.file(segment)?;
        let path = names::index_path(&self.dir, segment);
        let from_file = disk::read_whole(&*self.disk, &path)
            .ok()
            .and_then(|bytes| index::decode(&bytes, self.ledger, segment))
            .filter(|found| found.summary == sealed.summary);
        let index = match from_file {
            Some(found) => Arc::new(found.index),
            None => Arc::new(self.index_again(sealed, &*file)?),
        };
        self.keep(Recent {
            segment,
            file,
            index: Some(index.clone()),
        });
        Ok(index)
    }

    fn index_again(&self, sealed: &Sealed, file: &dyn DiskFile) -> Result<Index, ReadError> {
        let path = names::segment_path(&self.dir, sealed.header.segment);
        let scanned = scan(file, &path, &sealed.header, sealed.summary.last_commit, None);
        let (index, end, flaw) = scanned.map_err(|error| match error {
            OpenError::Io { doing, path, source } => ReadError::Io { doing, path, source },
            other => ReadError::Corrupt(self.corruption(&sealed.header, 0, Position(0), other.to_string())),
        })?;
        match flaw {
            None if end.hash == sealed.summary.hash => Ok(index),
            None => Err(self
                .corruption(
                    &sealed.header,
                    end.byte,
                    end.position,
                    "its end does not match".into(),
                )
                .into()),
            Some(flaw) => Err(self
                .corruption(&sealed.header, flaw.byte, end.position.next(), flaw.what)
                .into()),
        }
    }

    /// Names damage in a segment.
    pub(crate) fn corruption(
        &self,
        header: &Header,
        byte: u64,
        position: Position,
        what: String,
    ) -> Corruption {
        let path = names::segment_path(&self.dir, header.segment);
        Corruption {
            path,
            segment: header.segment,
            byte,
            position,
            what,
        }
    }

    fn recall(&self, segment: u64) -> Option<Recent> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().find(|recent| recent.segment == segment).cloned()
    }

    fn keep(&self, entry: Recent) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|old| old.segment != entry.segment);
        if recent.len() == RECENT_MAX {
            recent.pop_front();
        }
        recent.push_back(entry);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("dir", &self.dir)
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}
