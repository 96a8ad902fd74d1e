//! The shapes of requests and answers, as the OpenAPI document describes them.
//!
//! Requests are read and answers written elsewhere, by hand; the tests hold every answer against the document, so that
//! the two cannot part.

#![expect(
    dead_code,
    reason = "these types are for the document that is derived from them"
)]

mod administration;
mod auth;
mod catalogue;
mod counts;
mod exceptions;
mod health;
mod ledger;
mod page;
mod parameters;
mod problem;
mod reconciliations;
mod reservations;
mod stock;
mod stock_events;
mod transfers;
mod warehouse;

pub(crate) use administration::*;
pub(crate) use auth::*;
pub(crate) use catalogue::*;
pub(crate) use counts::*;
pub(crate) use exceptions::*;
pub(crate) use health::*;
pub(crate) use ledger::*;
pub(crate) use parameters::*;
pub(crate) use problem::*;
pub(crate) use reconciliations::*;
pub(crate) use reservations::*;
pub(crate) use stock::*;
pub(crate) use stock_events::*;
pub(crate) use transfers::*;
pub(crate) use warehouse::*;
