//! The log in segment files: the embedded default.
//!
//! [`Log::open`] recovers a ledger's folder and splits it into the one [`Appender`], which makes commits durable, and
//! a [`Reader`], which anybody may clone. What is where on the disk, and why, is told in `docs/format.md`.

mod append;
mod cursor;
mod header;
mod index;
mod moved;
mod names;
mod open;
mod read;
mod repair;
mod scan;
mod shared;
mod spare;
mod tail;

use std::path::Path;
use std::sync::Arc;

use bincard_ledger::{LedgerId, Position};

pub use append::Appender;
pub use cursor::Commits;
pub use moved::{destination as moved_to, seal, unseal};
pub(crate) use open::draw_id;
pub use read::Reader;
pub use repair::{Repaired, repair};

use crate::disk::Disk;
use crate::error::OpenError;

/// How a log is kept.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The size of new segments, a multiple of 4096. No body can be larger than a segment holds.
    pub segment_bytes: u64,
    /// The id to give a ledger that is made; drawn at random when `None`. For a ledger that moves here from
    /// elsewhere, and for tests.
    pub ledger: Option<LedgerId>,
    /// Whether segments are prepared and indexes written by threads in the background. Without, everything
    /// happens on the caller's thread, in an order that repeats: for simulations.
    pub background: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: 64 << 20,
            ledger: None,
            background: true,
        }
    }
}

/// An open log.
#[derive(Debug)]
pub struct Opened {
    /// Makes commits; there is one.
    pub appender: Appender,
    /// Reads; clone it at will. The folder stays locked until the appender and all readers are dropped.
    pub reader: Reader,
    /// The ledger's identity.
    pub ledger: LedgerId,
    /// What opening found.
    pub recovered: Recovery,
}

/// What opening a log found and did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovery {
    /// Whether the ledger was made just now.
    pub created: bool,
    /// How many commits of the last segment were read and checked.
    pub commits_checked: u64,
    /// How many index files were missing or damaged and made again.
    pub indexes_rebuilt: u32,
    /// The torn commit that was cut off; it had never been acknowledged.
    pub torn: Option<Torn>,
}

/// The remains of a commit that a crash interrupted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Torn {
    /// The position that the commit's first record would have had.
    pub position: Position,
    /// In which segment.
    pub segment: u64,
    /// Where the commit began in that.
    pub byte: u64,
    /// How many bytes of it were there.
    pub bytes: u64,
}

/// A ledger's log.
#[derive(Debug)]
pub struct Log;

impl Log {
    /// Opens the ledger in folder `dir`, making it when there is none, and recovers from a crash: a torn last commit
    /// is cut off, and logged; anything else that is damaged or missing is an error that names it.
    ///
    /// # Errors
    /// [`OpenError::Moved`] when it has moved away, [`OpenError::Locked`] when it is open already, [`OpenError::Corrupt`] when something acknowledged is damaged
    /// or missing. Nothing is changed then.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, options: Options) -> Result<Opened, OpenError> {
        if let Some(to) = moved::destination(&*disk, dir)? {
            return Err(OpenError::Moved {
                dir: dir.to_owned(),
                to,
            });
        }
        open::open(disk, dir, options)
    }

    /// [`Log::open`], also of a ledger that has moved away: to go on with a move, or to move it back.
    ///
    /// # Errors
    /// As there.
    pub fn open_moved(disk: Arc<dyn Disk>, dir: &Path, options: Options) -> Result<Opened, OpenError> {
        open::open(disk, dir, options)
    }
}
