//! Backups of ledgers: whole commits, copied into objects that are never changed, in a folder or an S3-compatible bucket.
//!
//! [`Place`] is where they go; [`Backup`] is what a place has of one ledger, a row of [`Chunk`]s that are chained like the
//! log itself, so that nothing has to be kept in step beside them: the end is found by listing. [`Shipper`] appends what
//! the log has and the backup lacks, [`Following`] does so for as long as a server runs, and [`Chunks`] reads all of it
//! back, checked. What an object looks like, byte by byte, is told in `docs/format.md`.

mod accounts;
mod backup;
mod chunk;
mod error;
mod follow;
mod place;
mod ship;

pub use backup::{Backup, Chunks};
pub use chunk::{Chunk, ShippedCommit};
pub use error::BackupError;
pub use follow::{Following, Options, Standing};
pub use place::Place;
pub use ship::{Checked, Shipper};
