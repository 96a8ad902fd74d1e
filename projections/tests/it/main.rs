//! The views against naive filters and folds over the same events, through the crate's public surface.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up what it needs has failed"
)]

mod answers;
mod counts;
mod damage;
mod exceptions;
mod extensions;
mod kill;
mod known;
mod ledger;
mod long;
mod lots;
mod naive;
mod nodes;
mod nodes_ahead;
mod nodes_away;
mod pages;
mod rebuild;
mod reconcile;
mod reconcile_edges;
mod reconcile_file;
mod reconcile_nodes;
mod refold;
mod reservations;
mod slots;
mod spans;
mod transfers;
mod verify;
