//! Making the next segment's file before it is needed.
//!
//! A file being made has a name of its own and counts for nothing. It gets its header, then its real name, durably,
//! before the first commit goes into it; so a segment file always has a header, and losing a spare loses nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::header::Header;
use super::names;
use crate::block::Blocks;
use crate::disk::{Disk, DiskFile};

/// Makes an empty file for a segment.
pub(crate) fn make(disk: &dyn Disk, path: &Path, size_bytes: u64) -> io::Result<Box<dyn DiskFile>> {
    disk.create(path, size_bytes).inspect_err(|_| {
        // A half-made file would keep the room that is missing. When it cannot be removed, the next start does it.
        if let Err(error) = disk.remove(path) {
            tracing::debug!(path = %path.display(), %error, "the half-made segment stays for now");
        }
    })
}

/// Gives a prepared file its header and its name.
pub(crate) fn take_into_use(
    disk: &dyn Disk,
    dir: &Path,
    file: &dyn DiskFile,
    header: &Header,
) -> io::Result<()> {
    let mut block = Blocks::default();
    header.write(block.take(1));
    file.write_at(block.as_bytes(), 0)?;
    disk.rename(
        &names::spare_path(dir, header.segment),
        &names::segment_path(dir, header.segment),
    )?;
    disk.sync_dir(&names::log_dir(dir))
}

/// A spare being made by a thread.
#[derive(Debug)]
pub(crate) struct Spare {
    pub(crate) segment: u64,
    maker: JoinHandle<io::Result<Box<dyn DiskFile>>>,
}

impl Spare {
    /// Starts making the spare for a segment; `None` when no thread is to be had.
    pub(crate) fn start(disk: Arc<dyn Disk>, dir: &Path, segment: u64, size_bytes: u64) -> Option<Spare> {
        let path = names::spare_path(dir, segment);
        let work = move || make(&*disk, &path, size_bytes);
        let maker = thread::Builder::new()
            .name("bincard-spare".to_owned())
            .spawn(work)
            .ok()?;
        Some(Spare { segment, maker })
    }

    /// Waits for it.
    pub(crate) fn finish(self) -> io::Result<Box<dyn DiskFile>> {
        self.maker
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread that makes segments panicked")))
    }
}
