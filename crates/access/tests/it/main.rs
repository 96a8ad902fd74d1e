//! Accounts through their public surface, each test on a file of its own.

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
