//! The ledger, tested through what it offers to others.

mod arbitrary;
mod bytes;
mod golden;
mod journal;
mod model;
mod model_agrees;
