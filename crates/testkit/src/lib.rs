//! What tests and benches stand on: a private PostgreSQL and a way to it that breaks, a private NATS, certificates, the product's binary as a child process, an HTTP
//! load driver, and what a process has cost. Development only: nothing that ships depends on it.

pub mod certificates;
pub mod load;
pub mod nats;
pub mod postgres;
pub mod process;
pub mod scratch;
pub mod server;
pub mod wire;
