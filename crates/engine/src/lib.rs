//! The write side of one ledger: one thread decides, one thread makes durable, everybody else waits for an answer.
//!
//! Requests wait in a bounded queue. The *writer* takes whatever waits, decides it against the state it owns, and
//! encodes what follows into the body of one commit. The *committer* makes that body durable while the writer decides
//! the next one, and only then answers: what was recorded, what was refused, and what was known already. So an answer
//! never rests on anything that a crash could take back. After a failed commit the engine is stopped for good: only
//! opening the ledger again, which reads the log, says what is true.
//!
//! A log in PostgreSQL has no committer: the writer takes the log's head, decides on all that any node appended, and
//! commits, one batch after another. It goes on when the database is back.
//!
//! [`Engine`] owns the threads; [`Ledger`] is the handle that callers clone.

mod committer;
mod engine;
mod figures;
mod joint;
mod keys;
mod ledger;
mod names;
mod queue;
mod recovery;
mod snapshots;
mod writer;

pub use engine::{Clock, Engine, OpenError, Options};
pub use figures::{Figures, Histogram, HistogramReading};
pub use ledger::{Ledger, Receipt, Refusal, Status};
pub use names::{Names, VariantName, WarehouseName};
pub use recovery::{RecoveryError, replay};
pub use snapshots::{SnapshotError, take_snapshot};
