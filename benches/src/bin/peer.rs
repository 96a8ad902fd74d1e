//! A contender as a process: `peer bare`, or `peer rival DATABASE_URL CONNECTIONS`. Started by benches.

use anyhow::{Context as _, bail};
use bincard_benches::{bare, peers, rival};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["bare"] => peers::serve(bare::routes()).await,
        ["rival", url, connections] => {
            let connections = connections.parse().context("CONNECTIONS is not a number")?;
            let rival = rival::Rival::open(url, connections).await?;
            peers::serve(rival::service::routes(rival)).await
        }
        _ => bail!("use: peer bare | peer rival DATABASE_URL CONNECTIONS"),
    }
}
