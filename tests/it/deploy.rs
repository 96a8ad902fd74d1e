//! What `deploy/` has, as far as it can be held against the programs it is for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use bincard_testkit::nats::Nats;
use bincard_testkit::server::{Server, ServerOptions, bincard_binary};

use crate::support::{EMAIL, PASSWORD};

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file)
}

/// The figures that a file asks for.
fn figures_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|one: char| !one.is_ascii_alphanumeric() && one != '_');
    words
        .filter(|word| word.starts_with("bincard_"))
        .map(|word| {
            let ends = ["_bucket", "_sum", "_count"];
            let whole = ends.iter().find_map(|end| word.strip_suffix(end));
            whole.unwrap_or(word).to_owned()
        })
        .collect()
}

#[tokio::test]
async fn alerts_and_the_dashboard_ask_for_figures_that_there_are() -> Result<()> {
    let nats = Nats::start()?;
    let folder = bincard_testkit::scratch::folder("deploy")?;
    let mut options = ServerOptions::bincard(bincard_binary()?, folder.path().join("data"), EMAIL, PASSWORD);
    let backup = folder.path().join("backup");
    std::fs::create_dir(&backup)?;
    options.environment.extend([
        ("BINCARD_NATS_URL".to_owned(), nats.url().into()),
        ("BINCARD_SHIP_TO".to_owned(), backup.into_os_string()),
    ]);
    let server = Server::start(options)?;
    // An error says that one is installed already, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let metrics = reqwest::get(server.url("/metrics")?).await?.text().await?;
    let there: BTreeSet<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .collect();
    for file in ["alerts.yml", "grafana/bincard.json"] {
        let text = std::fs::read_to_string(deploy(file)).with_context(|| file.to_owned())?;
        let asked = figures_in(&text);
        ensure!(!asked.is_empty(), "{file} asks for nothing");
        for figure in asked {
            ensure!(
                there.contains(&*figure),
                "{file} asks for {figure}, which /metrics has not"
            );
        }
    }
    let dashboard = std::fs::read_to_string(deploy("grafana/bincard.json"))?;
    serde_json::from_str::<serde_json::Value>(&dashboard).context("the dashboard is no JSON")?;
    Ok(())
}
