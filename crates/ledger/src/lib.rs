//! The inventory ledger's domain: what stock is, what may happen to it, and what did.
//!
//! Pure and synchronous: no I/O, no clock, no randomness, no async. Everything that can go wrong with stock is
//! decided here and nowhere else:
//!
//! - [`decide`] looks at a [`State`] and a [`Command`] and answers the [`Event`]s that follow, or a [`Rejection`];
//! - [`State::apply`] folds a [`Recorded`] event into the state, and never decides anything again.
//!
//! An event moves stock by [`Posting`]s from one [`Place`] to another, so that over all places, the outside
//! accounts included, every variant sums to zero.
//!
//! The crate also owns the bytes: how a [`Record`] and a state are written ([`codec`], [`snapshot`]), because a
//! log must be readable for ever by whatever reads this crate's types. Where those bytes lie is not its concern.

#![warn(clippy::arithmetic_side_effects, clippy::indexing_slicing)]

pub mod codec;
pub mod command;
pub mod count;
mod decide;
pub mod event;
mod expiry;
pub mod id;
pub mod place;
mod policy;
pub mod rejection;
pub mod snapshot;
pub mod state;
mod time;

pub use command::{
    CatalogueCommand, ClearCommand, CloseCommand, Command, Conditions, CountCommand, CountStep,
    ExtendCommand, FoundLine, IdempotencyKey, Line, LineLot, RecallCommand, ReceiveCommand, ReceivedLine,
    Request, ReverseCommand, StockCommand,
};
pub use count::{CountLine, Counting};
pub use decide::{
    CODE_LENGTH_MAX, Decision, QUANTITY_MAX, SKU_LENGTH_MAX, check_occurred, decide, expire_due, is_name,
    set_aside,
};
pub use event::{CatalogueEvent, Event, ExceptionType, Kind, Reason, Record, Recorded, StockEvent};
pub use id::{IdKind, LedgerId, Position, ProductNo, PublicIds, Stream, VariantNo, Version, WarehouseNo};
pub use place::{Account, Bucket, Buckets, Place, Posting};
pub use policy::NegativeStock;
pub use rejection::{Mismatch, Rejection, Shortage};
pub use state::{Inconsistent, State};
pub use time::Timestamp;
