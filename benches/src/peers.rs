//! The contenders as processes of their own, so that the server's cost can be told from the driver's.

use anyhow::Context as _;
use axum::Router;
use axum::serve::ListenerExt as _;
use bincard_testkit::server::{Server, ServerOptions};
use std::path::Path;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Starts the bare handler. `peer` is the program of that name in this package: a bench or an integration
/// test finds it as `env!("CARGO_BIN_EXE_peer")`.
///
/// # Errors
/// When it does not start.
pub fn start_bare(peer: &Path) -> anyhow::Result<Server> {
    start(peer, &["bare"])
}

/// Starts the rival on a database that has been filled, with a pool of so many connections.
///
/// # Errors
/// When it does not start.
pub fn start_rival(peer: &Path, database_url: &str, connections: u32) -> anyhow::Result<Server> {
    start(peer, &["rival", database_url, &connections.to_string()])
}

fn start(peer: &Path, arguments: &[&str]) -> anyhow::Result<Server> {
    let options = ServerOptions {
        binary: peer.to_owned(),
        arguments: arguments.iter().map(Into::into).collect(),
        environment: Vec::new(),
        ready_within: Duration::from_secs(60),
        ready_path: Some("/readyz".to_owned()),
    };
    Server::start(options).with_context(|| format!("cannot start the peer {}", arguments.join(" ")))
}

/// Serves routes on a free loopback port for ever, after saying which.
///
/// # Errors
/// When the port cannot be bound.
#[expect(clippy::print_stdout, reason = "the line tells the parent where to connect")]
pub async fn serve(routes: Router) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .context("cannot bind a loopback port")?;
    println!("listening on http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream: &mut TcpStream| {
        // Without it answers are only slower, so a socket that refuses is served all the same.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, routes).await.context("serving ended")
}
