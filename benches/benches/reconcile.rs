//! How fast a full reconciliation reads and folds a log, beside a replay of that log into the ledger's state, and what
//! writers notice of one. `--events N` sets how many single-line events the log has (a million when left out; ten million
//! is what the floor is stated for), `--small` does just enough to see that it works, `alone` leaves the writers out. The
//! server is the `bincard` of this profile, which is built first, or the one that `BINCARD_BIN` names.

use bincard_benches::{Size, number_after, reconcile};

#[expect(clippy::print_stdout, reason = "a bench prints its tables")]
fn main() -> anyhow::Result<()> {
    let plan = reconcile::Plan::of(Size::from_arguments(), number_after("--events")?);
    let alone = std::env::args().any(|argument| argument == "alone");
    let binary = if alone {
        None
    } else {
        Some(bincard_testkit::server::bincard_binary()?)
    };
    for table in reconcile::run(plan, binary.as_deref())? {
        println!("{table}");
    }
    Ok(())
}
