//! The views against naive filters and folds over the same events, through the crate's public surface.

mod answers;
mod damage;
mod kill;
mod ledger;
mod long;
mod naive;
mod rebuild;
mod verify;
