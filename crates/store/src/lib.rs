//! The event store: a ledger's log, append-only, ordered, chained by hashes, durable when a commit returns.
//!
//! [`EventStore`] is the contract; [`conformance`] is the suite that every implementation passes. [`segment`] keeps the
//! log in files: [`segment::Log::open`] gives the one [`segment::Appender`] and a [`segment::Reader`] to clone, which is
//! what the engine uses, so that it can decide on one thread while another writes. Beside the log lie what makes it
//! quick and is never the truth: [`keys`], the index of idempotency keys, and [`snapshots`].
//!
//! All files are reached through [`disk`]; [`sim`] is a disk that fails as real ones do, and as they must not.
//! What the records in a commit mean is the business of `bincard-ledger`.

mod block;
mod chain;
mod commit;
pub mod conformance;
mod contract;
pub mod disk;
mod error;
mod heads;
pub mod keys;
pub mod moving;
pub mod postgres;
mod reader;
mod sector;
pub mod segment;
pub mod sim;
pub mod snapshots;
mod store;
mod verify;

pub use chain::Hash;
pub use commit::BODY_BYTES_MAX;
pub use contract::{EventStore, FoundKey, Head, StoreError};
pub use error::{
    BeginError, CommitError, CopyError, Corruption, NOWHERE_YET, OpenError, ReadError, RepairError,
    whereabouts,
};
pub use reader::{Commit, Commits, Reader};
pub use snapshots::Snapshot;
pub use store::{PostgresStore, SegmentStore};
pub use verify::Verified;
