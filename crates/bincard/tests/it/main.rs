//! The binary, as people and scripts meet it.

mod commands;
mod ledger;
mod leftovers;
mod listings;
mod mapping;
mod moving;
mod online_retail;
mod program;
mod reconcile;
mod reconcile_excerpt;
mod server;
mod ship;
