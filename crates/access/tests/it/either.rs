//! What holds wherever accounts are kept. This file is there twice, once for each database.

use super::scratch;

mod authenticate;
mod keys;
mod limits;
mod login;
mod processes;
mod refresh;
mod roles;
mod tenants;
mod usernames;
mod users;
