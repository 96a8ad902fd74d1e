//! What can go wrong, named for whoever has to act on it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bincard_ledger::codec::DecodeError;
use bincard_ledger::{Position, Stream, Timestamp, Version};

use crate::postgres::DatabaseError;

/// Damage found in a file: what was acknowledged and cannot be served.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{} is damaged at byte {byte} (position {position} of the log): {what}. \
     Nothing was changed; let `bincard verify --repair-from` put it right from a backup, or restore the ledger from one",
    path.display()
)]
pub struct Corruption {
    /// Which file.
    pub path: PathBuf,
    /// Which segment; 0 for a file that is not one.
    pub segment: u64,
    /// Where in the file.
    pub byte: u64,
    /// The first position of the log that is touched, as far as that can be said.
    pub position: Position,
    /// What is wrong.
    pub what: String,
}

/// What the seal on a ledger begins with that is not all there yet; what is to be done about it follows.
pub const NOWHERE_YET: &str = "nowhere yet, ";

/// What the seal on a ledger says, as the end of a sentence about it.
pub fn whereabouts(to: &str) -> String {
    match to.strip_prefix(NOWHERE_YET) {
        Some(why) => format!("is not whole: {why}"),
        None => format!("has moved to {to}"),
    }
}

/// Why a folder could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another handle in this one, has the ledger open.
    #[error("{} is in use by another process; stop that one first", dir.display())]
    Locked {
        /// The ledger's folder.
        dir: PathBuf,
    },
    /// The ledger was moved to another store, where it goes on.
    #[error("the ledger in {} {}", dir.display(), whereabouts(to))]
    Moved {
        /// The ledger's folder.
        dir: PathBuf,
        /// Where it is now.
        to: String,
    },
    /// Something that was acknowledged is damaged or missing.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// A file of a newer program.
    #[error("{} has format version {version}; this program reads version 1: use a newer program", path.display())]
    UnknownFormat {
        /// Which file.
        path: PathBuf,
        /// The version that it claims.
        version: u32,
    },
    /// The options cannot work.
    #[error(
        "a segment of {segment_bytes} bytes is too small or not a multiple of 4096; use at least {min_bytes}"
    )]
    SegmentSize {
        /// What was asked for.
        segment_bytes: u64,
        /// The least that works.
        min_bytes: u64,
    },
    /// The system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl OpenError {
    pub(crate) fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> OpenError + 'a {
        move |source| OpenError::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}

/// Why a commit was not made.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The body is larger than any commit may be. Nothing was written.
    #[error("a commit of {bytes} bytes is larger than {bytes_max}; split the batch")]
    TooLarge {
        /// The body's size.
        bytes: usize,
        /// The most there may be.
        bytes_max: usize,
    },
    /// A record does not continue its stream: its writer decided on a stale head. Nothing was written.
    #[error("{stream:?} continues with version {expected}, not {found}; decide again on the present head")]
    OutOfOrder {
        /// Which stream.
        stream: Stream,
        /// The version that comes next.
        expected: Version,
        /// The version that the record has.
        found: Version,
    },
    /// The body was recorded before the one before it. Nothing was written.
    #[error("recorded at {} µs, before the head at {} µs; time must not go back", found.micros(), head.micros())]
    BackInTime {
        /// When the head was recorded.
        head: Timestamp,
        /// When the body says it was.
        found: Timestamp,
    },
    /// The body is not one. Nothing was written.
    #[error("the body cannot be read back; this is a bug in what made it")]
    Malformed(#[from] DecodeError),
    /// The disk has no room for the next segment. Nothing was written, and a later commit may succeed.
    #[error("no room on the disk for {}: free some space", path.display())]
    Full {
        /// The file that could not be made.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A write failed: whether the commit is in the log is unknown until the log is opened again.
    #[error("cannot {doing} {}; the log has stopped, open it again to go on", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier write failed; nothing is written any more. Nothing was written for this commit.
    #[error("the log has stopped ({why}); open it again to go on")]
    Stopped {
        /// The failure that stopped it.
        why: Arc<str>,
    },
    /// Others appended what this writer has not seen. Nothing was written.
    #[error("another node has appended up to position {head}; decide again on that")]
    Overtaken {
        /// The end of the log.
        head: Position,
    },
    /// The database refused the commit or could not be reached. Nothing was written.
    #[error("PostgreSQL did not take the commit; nothing was written")]
    Database {
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection was lost at the end of a commit, and nobody could be asked what became of it.
    #[error(
        "the connection to PostgreSQL was lost; whether the commit was made will be seen when it answers again"
    )]
    Unknown {
        /// What was met last.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl CommitError {
    /// PostgreSQL said no, or could not be reached; nothing was written.
    pub(crate) fn database(source: sqlx::Error) -> CommitError {
        CommitError::Database {
            source: Box::new(source),
        }
    }

    /// A connection was lost, and what became of the commit could not be seen.
    pub(crate) fn unknown(source: impl std::error::Error + Send + Sync + 'static) -> CommitError {
        CommitError::Unknown {
            source: Box::new(source),
        }
    }

    /// The head could not be taken; nothing was written.
    pub(crate) fn begin(error: BeginError) -> CommitError {
        CommitError::Database {
            source: Box::new(error),
        }
    }
}

/// Why the right to append could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The ledger was moved to another store, where it goes on.
    #[error("this ledger {}", whereabouts(to))]
    Moved {
        /// Where.
        to: String,
    },
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// What should be read is damaged. It is never served.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// A record that is undamaged but unknown to this program.
    #[error("position {position} cannot be decoded; it may come from a newer program")]
    Decode {
        /// Which position.
        position: Position,
        /// What is wrong.
        source: DecodeError,
    },
    /// The system refused.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A row of the log in PostgreSQL that was acknowledged is damaged or missing. It is never served.
    #[error(
        "the log in PostgreSQL is damaged at position {position}: {what}. Nothing was changed; let `bincard verify \
         --repair-from` put it right from a backup, or restore the ledger from one"
    )]
    Damaged {
        /// Which position.
        position: Position,
        /// What is wrong.
        what: String,
    },
    /// PostgreSQL refused or could not be reached.
    #[error("PostgreSQL: cannot {doing}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        source: sqlx::Error,
    },
}

impl ReadError {
    pub(crate) fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ReadError + 'a {
        move |source| ReadError::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> OpenError {
        match error {
            ReadError::Corrupt(corruption) => OpenError::Corrupt(corruption),
            ReadError::Io { doing, path, source } => OpenError::Io { doing, path, source },
            // Not met in files.
            error @ (ReadError::Damaged { .. } | ReadError::Database { .. }) => OpenError::Io {
                doing: "read",
                path: PathBuf::from("PostgreSQL"),
                source: io::Error::other(error),
            },
            ReadError::Decode { position, source } => OpenError::Corrupt(Corruption {
                path: PathBuf::new(),
                segment: 0,
                byte: 0,
                position,
                what: format!("a record cannot be decoded: {source}"),
            }),
        }
    }
}

/// Why a copy could not be asked for.
pub type CopyError = Box<dyn std::error::Error + Send + Sync>;

/// Why a log could not be put right.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    /// The log cannot be read, or is damaged in a way that is not put right: in a header, or by a missing file.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log cannot be read from the database.
    #[error("the log cannot be read")]
    Read(#[from] ReadError),
    /// The database did not do as asked.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The copy could not be asked.
    #[error("the copy of the commit at position {position} cannot be read")]
    Copy {
        /// The commit's first position.
        position: Position,
        /// Why not.
        source: CopyError,
    },
    /// There is no copy of the commit.
    #[error(
        "the commit at position {position} is damaged, and there is no copy of it; it stays as it is. Name a backup that \
         reaches so far, or restore the ledger, which then ends before it"
    )]
    NoCopy {
        /// The commit's first position.
        position: Position,
    },
    /// The copy is not what stood there, or nobody can tell.
    #[error(
        "the commit at position {position} is damaged, and the copy is not proven to be what stood there: {why}; it stays as \
         it is. Restore the ledger from its backup"
    )]
    Unproven {
        /// The commit's first position.
        position: Position,
        /// What is missing.
        why: &'static str,
    },
}
