//! Accounts through their public surface, each test on accounts of its own: what holds in either database, and what is
//! particular to one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::duplicate_mod, reason = "the same tests, once for each database")]

mod file;
mod on_postgres;
mod on_sqlite;
mod postgres;
mod proxy;
mod support;
