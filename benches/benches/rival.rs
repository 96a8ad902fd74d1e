//! The rival by itself and over HTTP, and the bare handler: what our own figures are held against.

use bincard_benches::{Size, rival};
use std::path::Path;

#[expect(clippy::print_stdout, reason = "a bench prints its table")]
fn main() -> anyhow::Result<()> {
    let peer = Path::new(env!("CARGO_BIN_EXE_peer"));
    println!("{}", rival::measure::run(Size::from_arguments(), peer)?);
    Ok(())
}
