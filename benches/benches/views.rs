//! How fast views come up from a log, and what reads and starts cost on it. `--events N` sets how many single-line events
//! the log has (a million when left out; ten million is what the floors are stated for), `--small` does just enough to
//! see that it works. The server is the `bincard` of this profile, which is built first, or the one that `BINCARD_BIN`
//! names.

use bincard_benches::{Size, number_after, views};

#[expect(clippy::print_stdout, reason = "a bench prints its tables")]
fn main() -> anyhow::Result<()> {
    let events = number_after("--events")?;
    let binary = bincard_testkit::server::bincard_binary()?;
    for table in views::run(views::Plan::of(Size::from_arguments(), events), &binary)? {
        println!("{table}");
    }
    Ok(())
}
