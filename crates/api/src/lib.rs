//! The HTTP API: one module a family of routes. Thin: it reads requests, asks the ledger, its views and the accounts,
//! and writes answers.
//!
//! [`App`] is what all requests share; [`serve`] serves it on a listener until it is told to stop; [`router`] is the
//! same without a listener. No rule of stock or of roles is decided here.

mod administration;
mod answer;
mod app;
mod asker;
mod auth;
mod body;
mod bulk;
mod catalogue;
mod counts;
mod docs;
mod exceptions;
mod export;
mod failure;
mod feeding;
mod figures;
mod following;
mod front;
mod health;
mod if_match;
mod ledger;
mod ledgers;
mod line_lot;
mod local;
mod movements;
mod problem;
mod proxies;
mod reconciliations;
mod rejected;
mod relay;
mod reservations;
mod route;
mod routes;
mod segment;
mod serve;
mod shipping;
mod stock;
mod stock_events;
mod tls;
mod trace;
mod transfers;
mod versions;
mod warehouse;
mod wire;

pub use app::{App, Options, Roles};
pub use ledger::{cloud_event, feed_line};
pub use ledgers::{LedgerError, Ledgers, OpenLedger};
pub use local::{Local, LocalAnswer};
pub use proxies::{InvalidProxy, TrustedProxies};
pub use routes::openapi;
pub use serve::{router, serve};
pub use shipping::{ShipAccountsError, ship_accounts};
pub use tls::{Certificates, TlsError};
