//! What holds wherever accounts are kept, in an SQLite file.

use crate::support::in_file as scratch;

#[path = "either.rs"]
mod either;
