//! The benches at small size, and the contenders' results: a rival that cheats would be no measure.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails where it stands"
)]

mod http;
mod reconcile;
mod rival;
mod views;
