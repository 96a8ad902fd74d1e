//! Accounts through their public surface, each test on a file of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod authenticate;
mod file;
mod keys;
mod limits;
mod login;
mod refresh;
mod roles;
mod support;
mod tenants;
mod usernames;
mod users;
