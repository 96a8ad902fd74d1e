//! The testkit proves itself here: what measures others must be right first.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

mod load;
mod postgres;
mod server;
