//! The HTTP API: one module a family of routes. Thin: it reads requests, asks the ledger, its views and the accounts,
//! and writes answers.

mod wire;
