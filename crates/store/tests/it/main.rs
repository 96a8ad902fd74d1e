//! The store from outside: conformance, crashes, lies, real files.

mod conformance;
mod crash;
mod flips;
mod golden;
mod keys;
mod lies;
mod model;
mod postgres;
mod real;
mod repair;
mod sealed;
