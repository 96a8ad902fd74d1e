//! Who may do what, and how much: tenants, users, roles, sessions, API keys and rate limits.
//!
//! [`Accounts`] is the handle on them: in `accounts.db`, an SQLite file, or in PostgreSQL, where several nodes share
//! them. It finds the [`Caller`] behind a bearer token, in memory for nearly every request; [`Caller`] says what it may
//! do; [`RateLimits`] says whether it may do it now.
//!
//! This crate knows nothing of the ledger and nothing of HTTP. Warehouses are UUIDs here and nothing more.

mod access_token;
mod accounts;
mod authenticate;
mod caller;
mod clock;
mod database;
mod error;
mod keys;
mod limits;
mod moving;
mod names;
mod password;
mod role;
mod secret;
mod sessions;
mod tenants;
mod usernames;
mod users;

pub use accounts::{Accounts, Options};
pub use caller::{Caller, CallerKind};
pub use clock::{Clock, UnixMs};
pub use error::{AccessError, AuthError, LoginError, RefreshError};
pub use keys::{ApiKey, IssuedKey, NewKey};
pub use limits::{Decision, Quota, RateLimits};
pub use moving::Carried;
pub use names::TenantName;
pub use password::PasswordCost;
pub use role::{Plan, Role};
pub use secret::Secret;
pub use sessions::{Login, Tokens};
pub use tenants::Tenant;
pub use users::{FirstAdmin, NewUser, Page, User};
