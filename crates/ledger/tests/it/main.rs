//! The ledger, tested through what it offers to others.

mod journal;
mod model;
mod model_agrees;
