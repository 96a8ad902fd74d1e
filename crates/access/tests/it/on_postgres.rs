//! What holds wherever accounts are kept, in PostgreSQL.

use crate::support::in_postgres as scratch;

#[path = "either.rs"]
mod either;
