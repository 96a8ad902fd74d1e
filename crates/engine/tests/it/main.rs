//! The engine through its public surface, on the real disk and on one that fails.

mod acts;
mod durability;
mod faults;
mod idempotency;
mod joint;
mod queue;
mod support;
