//! Reconciliation: the log is replayed apart from the views, and what they should hold is held against what they do.
//!
//! A run is for one position of the log, fixed when it begins, while writes go on. First the log is folded up to there,
//! by the views' own folds, into digests: a number a stock key, a block of positions or a day, in memory. Then each view is
//! looked at in one read transaction, at the position that it stands at, which is the run's or a later one; the fold goes
//! on to there, and the digests of the view's rows are compared with it. Groups of rows whose digests differ are replayed
//! once more into a shadow, as a verification does with all rows, so that each row that differs is named with the first
//! event from which it does. A catalogue is small, and compared as a whole; so are exceptions, transfers and
//! counts.
//!
//! `verify` looks further (at the pages of the files and at indexes) and takes longer; it needs a stopped folder.

mod audit;
mod compare;
mod digest;
mod digested;
mod naming;
mod outside;
mod part;
mod past;
mod replay;
mod runs;
mod scan;
mod transit;
mod work;
mod worker;

pub use naming::KEPT_MAX;
pub use outside::{Agreed, Corrected, Correction, Explained, Measures, Source, SourceLine, Variance};
pub use part::Filter;
pub use runs::{Asked, Compared, Kept, Run, RunDifference, RunState, copy};
pub use worker::{Clock, Correct, Options, Phase, Reconciler, Reconciliations, RunProgress};
