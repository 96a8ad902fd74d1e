//! What can go wrong with a backup, named for whoever has to act on it.

use bincard_ledger::{LedgerId, Position};
use bincard_store::ReadError;

/// Why a backup could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The address is of no place that backups could go to.
    #[error("{address:?} is no place for backups: {what}")]
    Address {
        /// What was given, without anything secret.
        address: String,
        /// What is wrong with it.
        what: String,
    },
    /// The folder cannot be used.
    #[error("{folder:?} is no place for backups: {what}")]
    Folder {
        /// What was given.
        folder: String,
        /// Why it cannot be used.
        what: String,
    },
    /// The place did not do as asked.
    #[error("cannot {doing} {name}")]
    Place {
        /// What was being done.
        doing: &'static str,
        /// With which object or folder.
        name: String,
        /// What it said.
        source: object_store::Error,
    },
    /// The log could not be read.
    #[error("the log cannot be read")]
    Read(#[from] ReadError),
    /// An object is not what was put there.
    #[error(
        "the backup is damaged in {name}: {what}. Where the ledger still is, remove that object and run `bincard ship \
         --check`: it fills the gap"
    )]
    Damaged {
        /// Which object.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// An object is gone.
    #[error(
        "the backup lacks an object: after position {after} comes {name}. Where the ledger still is, `bincard ship --check` \
         fills the gap"
    )]
    Missing {
        /// The last position before the gap.
        after: Position,
        /// The first position after it.
        next: Position,
        /// The object that begins there.
        name: String,
    },
    /// The place has the backup of another ledger under this name.
    #[error(
        "{name} is of another ledger ({}) than this one ({}): name another place",
        hex(found),
        hex(expected)
    )]
    AnotherLedger {
        /// Which object.
        name: String,
        /// Whose it is.
        found: LedgerId,
        /// Whose it should be.
        expected: LedgerId,
    },
    /// The backup holds another history than the log.
    #[error(
        "the backup at {name} ends at position {at} with a hash that this log does not have: it holds another history, as \
         when a ledger was restored to an earlier position and went on from there. Both are kept: ship this log to another \
         place"
    )]
    Forked {
        /// Where.
        name: String,
        /// The position that the backup ends at.
        at: Position,
    },
    /// The backup goes on where the log ends.
    #[error(
        "the backup at {name} goes on to position {backup}, and this log ends at {log}: it has lost events, or was restored \
         to an earlier position. Nothing was shipped: restore the log from the backup, or ship it to another place"
    )]
    Ahead {
        /// Where.
        name: String,
        /// The position that the backup ends at.
        backup: Position,
        /// The position that the log ends at.
        log: Position,
    },
    /// The place writes over what is there, so that two shippers would spoil each other's backup.
    #[error(
        "{place} writes over objects that are there although it is asked not to (`If-None-Match: *`): backups are not safe in \
         it. Name another place"
    )]
    Overwrites {
        /// Which.
        place: String,
    },
    /// A copy of the accounts is not what was put there.
    #[error(
        "{name} is damaged: its bytes are not those that its name says. Remove it, and the copy before it is taken"
    )]
    DamagedAccounts {
        /// Which object.
        name: String,
    },
}

fn hex(ledger: &LedgerId) -> String {
    uuid::Uuid::from_bytes(ledger.0).simple().to_string()
}
