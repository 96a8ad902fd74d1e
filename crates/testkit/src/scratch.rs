//! Scratch folders that lie on a real disk, so that a sync there costs what a sync costs.

use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Makes a scratch folder that is removed on drop: in the system's temporary folder, or in `/var/tmp` where
/// that one is kept in memory, because a "durable" figure taken in memory would be a lie.
///
/// # Errors
/// What the file system says when the folder cannot be made.
pub fn folder(prefix: &str) -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(prefix).tempdir_in(parent())
}

/// Where `folder` makes its folders.
#[must_use]
pub fn parent() -> PathBuf {
    let system = std::env::temp_dir();
    let on_disk = Path::new("/var/tmp");
    if is_in_memory(&system) && on_disk.is_dir() && !is_in_memory(on_disk) {
        return on_disk.to_owned();
    }
    system
}

/// Whether a folder lies on a file system that is kept in memory. Known on Linux only; false elsewhere.
#[must_use]
pub fn is_in_memory(folder: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        const TMPFS: i128 = 0x0102_1994;
        const RAMFS: i128 = 0x8584_58f6;
        rustix::fs::statfs(folder).is_ok_and(|found| matches!(i128::from(found.f_type), TMPFS | RAMFS))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        false
    }
}
