//! The seal on a ledger's folder whose log has moved elsewhere: a file that names where. So no chain ever forks.

use std::path::Path;

use super::names::MOVED;
use crate::disk::{self, Disk};
use crate::error::OpenError;

/// Where the ledger in a folder has moved; `None` when it is here.
///
/// # Errors
/// When the folder or the seal cannot be read.
pub fn destination(disk: &dyn Disk, dir: &Path) -> Result<Option<String>, OpenError> {
    // Without a folder there is no ledger yet.
    let names = disk.list(dir).unwrap_or_default();
    if !names.iter().any(|name| name == MOVED) {
        return Ok(None);
    }
    let path = dir.join(MOVED);
    let bytes = disk::read_whole(disk, &path).map_err(OpenError::io("read", &path))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

/// Seals the ledger in a folder: it has moved to `to`. Durable when this returns.
///
/// # Errors
/// When the seal cannot be written.
pub fn seal(disk: &dyn Disk, dir: &Path, to: &str) -> Result<(), OpenError> {
    disk::replace_whole(disk, dir, MOVED, to.as_bytes()).map_err(OpenError::io("seal", dir))
}

/// Takes the seal off: the ledger has moved here.
///
/// # Errors
/// When it cannot be removed.
pub fn unseal(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    if destination(disk, dir)?.is_none() {
        return Ok(());
    }
    let path = dir.join(MOVED);
    disk.remove(&path).map_err(OpenError::io("remove", &path))?;
    disk.sync_dir(dir).map_err(OpenError::io("sync the folder", dir))
}
