//! `bincard race` against the real server.

use anyhow::{Result, ensure};

use crate::support::Site;

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
            "60",
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
        ensure!(
            !out.contains(" 0 refused"),
            "nobody was refused: the race was not for scarce stock:\n{out}"
        );
    }
    Ok(())
}
