//! Our server over HTTP beside the bare handler and the rival. The server is the `bincard` of this profile, which is
//! built first, or the one that `BINCARD_BIN` names. `--rounds N` sets how often everybody has a turn (five times when
//! left out), `--small` does just enough to see that it works.

use bincard_benches::{Size, http, number_after};
use std::path::Path;

#[expect(clippy::print_stdout, reason = "a bench prints its tables")]
fn main() -> anyhow::Result<()> {
    let peer = Path::new(env!("CARGO_BIN_EXE_peer"));
    let rounds = number_after("--rounds")?;
    let binary = bincard_testkit::server::bincard_binary()?;
    for table in http::run(Size::from_arguments(), rounds, peer, &binary)? {
        println!("{table}");
    }
    Ok(())
}
