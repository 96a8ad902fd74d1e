//! The real binary, driven as users and accidents drive it.

mod kill_nine;
mod race;
mod support;
