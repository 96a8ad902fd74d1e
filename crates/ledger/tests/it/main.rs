//! The ledger, tested through what it offers to others.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod arbitrary;
mod asking;
mod bytes;
mod catalogue_scenarios;
mod count_scenarios;
mod counts_agree;
mod exception_scenarios;
mod fingerprints;
mod golden;
mod golden_begun;
mod golden_counts;
mod golden_exceptions;
mod journal;
mod lot_bytes;
mod lot_scenarios;
mod lots_agree;
mod model;
mod model_agrees;
mod open_orders;
mod recall_bytes;
mod reservation_scenarios;
mod reversal_scenarios;
mod scenario;
mod scenarios;
mod slots;
mod transfer_bytes;
mod transfer_scenarios;
mod wrong_logs;
