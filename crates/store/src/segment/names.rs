//! The names of files in a ledger's folder.

use std::path::{Path, PathBuf};

pub(crate) const LOCK: &str = "lock";
/// Says that a ledger was made here, and which: without it, a log that lost its only segment would look new.
pub(crate) const IDENTITY: &str = "ledger";
/// Says where a ledger has gone: nothing is appended here any more.
pub(crate) const MOVED: &str = "moved";
/// How far the log was relayed: a checkpoint, and never the truth.
pub(crate) const RELAYED: &str = "relayed";
pub(crate) const SEGMENT: &str = ".seg";
pub(crate) const INDEX: &str = ".idx";
/// A prepared segment that is not in use yet; nothing in it counts.
pub(crate) const SPARE: &str = ".new";

pub(crate) fn log_dir(dir: &Path) -> PathBuf {
    dir.join("log")
}

pub(crate) fn file_name(segment: u64, ending: &str) -> String {
    format!("{segment:010}{ending}")
}

pub(crate) fn segment_path(dir: &Path, segment: u64) -> PathBuf {
    log_dir(dir).join(file_name(segment, SEGMENT))
}

pub(crate) fn index_path(dir: &Path, segment: u64) -> PathBuf {
    log_dir(dir).join(file_name(segment, INDEX))
}

pub(crate) fn spare_path(dir: &Path, segment: u64) -> PathBuf {
    log_dir(dir).join(file_name(segment, SPARE))
}

/// The number in a name with that ending.
pub(crate) fn number(name: &str, ending: &str) -> Option<u64> {
    let digits = name.strip_suffix(ending)?;
    let number = digits.parse().ok()?;
    (file_name(number, "") == digits).then_some(number)
}
