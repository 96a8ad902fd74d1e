//! `bincard race` against the real server.

use anyhow::{Context, Result, ensure};

use crate::support::Site;

const ACTS: [&str; 22] = [
    "inbound",
    "outbound",
    "adjust",
    "if-match",
    "fefo",
    "hold",
    "unhold",
    "reserve",
    "pick",
    "pack",
    "ship",
    "release",
    "dispatch",
    "receive",
    "close",
    "reverse",
    "count",
    "submit",
    "approve",
    "late",
    "recall",
    "use-again",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_for_hot_stock_oversells_nothing() -> Result<()> {
    let site = Site::start()?;
    let admin = site.admin().await?;
    let url = site.server.url("")?;
    for (variants, stock) in [("1", "200"), ("3", "400"), ("20", "50")] {
        let arguments = [
            "race",
            "--url",
            &url,
            "--key",
            admin.token(),
            "--clients",
            "24",
            "--requests",
            "150",
        ];
        let output = std::process::Command::new(bincard_testkit::server::bincard_binary()?)
            .args(arguments)
            .args(["--variants", variants, "--stock", stock])
            .output()?;
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        ensure!(output.status.success(), "the race failed:\n{out}{err}");
        ensure!(out.contains("nothing oversold"), "no verdict in:\n{out}");
        for act in ACTS {
            ensure!(count(&out, act)?[0] > 0, "the race was without {act}:\n{out}");
        }
        for act in ["outbound", "if-match", "all"] {
            ensure!(
                count(&out, act)?[1] > 0,
                "no {act} was refused: the race was not for scarce stock:\n{out}"
            );
        }
    }
    Ok(())
}

/// How often an act was recorded and refused, by the report.
fn count(report: &str, act: &str) -> Result<[u64; 2]> {
    let mut rows = report
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows
        .find(|row| row.len() == 3 && row[0] == act)
        .with_context(|| format!("no row of {act} in:\n{report}"))?;
    Ok([row[1].parse()?, row[2].parse()?])
}
