//! The read side: views of a ledger, built from its log by a projector, and rebuildable from it at any time.
//!
//! A [`Projector`] follows the log and folds it into seven views, each a SQLite file of its own:
//!
//! - [`stock`]: what is where now;
//! - [`history`]: what moved, and what was where at any time;
//! - [`catalogue`]: warehouses, products, variants and slots;
//! - [`reservations`]: what orders hold, and what became of it;
//! - [`exceptions`]: what somebody is to see to;
//! - [`transfers`]: what went from one warehouse to another, and what is on the way;
//! - [`counts`]: what was counted, and what came of it.
//!
//! A batch's rows and the position that they lead to are written in one transaction, so every event is in a view
//! exactly once, whatever is killed when. Every answer of [`Views`] carries the position that its view stood at.
//!
//! A view never authorises a write, and nothing here writes to the log. A view is never migrated either: its schema
//! lives with its code, and another schema, or damage, means a new generation of the file, built beside the live one
//! and swapped in. What cannot be rebuilt from the log does not belong here.

mod ask;
mod build;
pub mod catalogue;
pub mod counts;
mod each;
mod error;
pub mod exceptions;
mod filter;
mod fold;
mod generation;
pub mod history;
mod inventory;
mod lane;
mod name;
mod pace;
pub mod postgres;
mod projector;
pub mod reconcile;
mod refold;
pub mod reservations;
mod serving;
mod source;
mod sql;
mod sqlite;
pub mod stock;
pub mod transfers;
mod verify;
mod view;
mod views;
mod wal;

pub use error::Error;
pub use generation::Place;
pub use inventory::{InventoryFilter, InventoryRow};
pub use name::ViewName;
pub use projector::Projector;
pub use refold::{Refolded, stock_around};
pub use serving::{Replaced, ViewStatus};
pub use verify::{DIFFERENCES_MAX, Difference, FieldDifference, Verified, VerifyProgress, verify};
pub use views::{Answer, Page, Rebuild, Slice, Views};
