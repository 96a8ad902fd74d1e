//! Files of the operating system.
//!
//! Aligned writes go round the system's cache where the file system lets them (`O_DIRECT | O_DSYNC`, one system call a
//! durable write); all others, and all where it does not, are written through the cache and synced.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Access, Disk, DiskFile, DiskLock};
use crate::block::{BLOCK_BYTES, Blocks};

/// How much is zeroed at once while a file is prepared.
const ZERO_CHUNK_BYTES: usize = 1 << 20;

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

#[derive(Debug)]
struct RealFile {
    path: PathBuf,
    cached: File,
    /// The same file opened to go round the cache.
    direct: Option<File>,
    /// The file system took the flag but refuses the writes.
    direct_refused: AtomicBool,
}

impl Disk for RealDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.create_dir(parent)?;
        }
        match fs::create_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other?,
        }
        self.sync_dir(parent.unwrap_or(Path::new(".")))
    }

    fn create(&self, path: &Path, size_bytes: u64) -> io::Result<Box<dyn DiskFile>> {
        let cached = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        let file = RealFile::new(path, cached, size_bytes > 0)?;
        if size_bytes > 0 {
            file.fill_with_zeros(size_bytes)?;
        }
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        let write = access == Access::Write;
        let cached = OpenOptions::new().read(true).write(write).open(path)?;
        Ok(Box::new(RealFile::new(path, cached, write)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(fs::TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

impl RealFile {
    fn new(path: &Path, cached: File, direct: bool) -> io::Result<RealFile> {
        let direct = if direct { open_direct(path)? } else { None };
        Ok(RealFile {
            path: path.to_owned(),
            cached,
            direct,
            direct_refused: AtomicBool::new(false),
        })
    }

    /// Really written zeros: a later write then changes no metadata, which halves its time on ext4.
    fn fill_with_zeros(&self, size_bytes: u64) -> io::Result<()> {
        allocate(&self.cached, size_bytes)?;
        let zeros = Blocks::zeroed(ZERO_CHUNK_BYTES.div_ceil(BLOCK_BYTES));
        let mut at = 0;
        while at < size_bytes {
            let chunk = (size_bytes - at).min(ZERO_CHUNK_BYTES as u64);
            self.write_at(&zeros.as_bytes()[..chunk as usize], at)?;
            at += chunk;
        }
        self.cached.sync_all()
    }

    fn direct_for(&self, bytes: &[u8], at: u64) -> Option<&File> {
        let aligned = (bytes.as_ptr() as usize | bytes.len() | at as usize).is_multiple_of(BLOCK_BYTES);
        let usable = aligned && !self.direct_refused.load(Ordering::Relaxed);
        self.direct.as_ref().filter(|_| usable)
    }
}

impl DiskFile for RealFile {
    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.cached.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match file_read_at(&self.cached, &mut buffer[done..], at + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        if let Some(direct) = self.direct_for(bytes, at) {
            match write_all_at(direct, bytes, at) {
                // Refused before anything was written: this file system wants no direct writes.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.direct_refused.store(true, Ordering::Relaxed);
                    tracing::info!(path = %self.path.display(), "no direct writes here; going through the cache");
                }
                other => return other,
            }
        }
        write_all_at(&self.cached, bytes, at)?;
        self.cached.sync_data()
    }

    fn settle(&self) -> io::Result<()> {
        self.cached.sync_all()?;
        forget_cache(&self.cached)
    }
}

#[cfg(unix)]
fn file_read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, at)
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(target_os = "linux")]
fn open_direct(path: &Path) -> io::Result<Option<File>> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::DIRECT | rustix::fs::OFlags::DSYNC;
    match OpenOptions::new()
        .write(true)
        .custom_flags(flags.bits() as i32)
        .open(path)
    {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_path: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

#[cfg(target_os = "linux")]
fn allocate(file: &File, size_bytes: u64) -> io::Result<()> {
    use rustix::io::Errno;
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, size_bytes) {
        // The zeros written next allocate as well, only later.
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(size_bytes),
        other => other.map_err(io::Error::from),
    }
}

#[cfg(not(target_os = "linux"))]
fn allocate(file: &File, size_bytes: u64) -> io::Result<()> {
    file.set_len(size_bytes)
}

#[cfg(target_os = "linux")]
fn forget_cache(file: &File) -> io::Result<()> {
    rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed).map_err(io::Error::from)
}

#[cfg(not(target_os = "linux"))]
fn forget_cache(_file: &File) -> io::Result<()> {
    Ok(())
}
