//! The API as its callers see it: whole requests and whole answers, over a real ledger in a folder of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod authorisation;
mod bad_input;
mod bulk;
mod catalogue;
mod conditional;
mod counts;
mod described;
mod edges;
mod exceptions;
mod exports;
mod full_disk;
mod garbage;
mod ledger;
mod listener;
mod lots;
mod pointers;
mod recalls;
mod reconciliations;
mod reconciliations_outside;
mod reservations;
mod reversals;
mod signing_in;
mod slots;
mod stock_events;
mod support;
mod tidy;
mod transfers;
mod warehouse;
mod warehouse_adjustments;
mod warehouse_dialect;
mod warehouse_inventory;
mod warehouse_transactions;
