//! The one way to files: every byte that the store reads or writes goes through [`Disk`], so that a simulated disk
//! can stand in for the real one and tear, lose, misplace and corrupt.
//!
//! The contract is small and strict. `write_at` is durable when it returns. Names (a created, renamed or removed
//! file) are durable only after `sync_dir` of their folder. A write that failed leaves its range unknown: it may hold
//! the old bytes, the new ones, or sectors of both, and what a read shows need not be what survives a power loss,
//! until [`DiskFile::settle`].

mod real;

pub use real::RealDisk;

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::path::Path;

/// What a file is opened for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    Write,
}

/// Held for as long as a lock file is ours; dropping it gives the lock back.
pub type DiskLock = Box<dyn Any + Send + Sync>;

/// A place for files.
pub trait Disk: Send + Sync + Debug {
    /// Makes a folder and its parents, durably. One that exists is fine.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes a file of `size_bytes` zeros, really allocated, replacing one of that name. Content and size are durable
    /// when it returns, the name is not. Fails with [`io::ErrorKind::StorageFull`] when there is no room.
    fn create(&self, path: &Path, size_bytes: u64) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file that exists.
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name in the same folder, replacing what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The names of the files in a folder, in order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes the exclusive lock on a file, making the file if need be. [`io::ErrorKind::WouldBlock`] when another has it.
    fn lock(&self, path: &Path) -> io::Result<DiskLock>;
}

/// An open file.
pub trait DiskFile: Send + Sync + Debug {
    /// How long it is.
    fn size_bytes(&self) -> io::Result<u64>;
    /// Reads as much as there is, at most `buffer`, from byte `at`; fewer bytes only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at byte `at`; durable when it returns.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;
    /// Makes what a read shows and what survives a power loss the same. After a write that failed in an earlier life
    /// of the program the two may differ: the system's cache can show bytes that never reached the disk.
    fn settle(&self) -> io::Result<()>;
}

/// Reads a file whole.
pub(crate) fn read_whole(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Access::Read)?;
    let size = usize::try_from(file.size_bytes()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; size];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Puts a whole file in place: written beside, made durable, renamed, so that it is there whole or not at all.
pub(crate) fn replace_whole(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let beside = dir.join(format!("{name}{UNFINISHED}"));
    let file = disk.create(&beside, 0)?;
    file.write_at(bytes, 0)?;
    disk.rename(&beside, &dir.join(name))?;
    disk.sync_dir(dir)
}

/// Ends the names of files that are not whole yet; whatever has it is thrown away at the next start.
pub(crate) const UNFINISHED: &str = ".tmp";
