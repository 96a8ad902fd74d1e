//! Nodes over one PostgreSQL that do different things.

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use bincard_testkit::postgres::Postgres;
use bincard_testkit::server::{Server, ServerOptions, bincard_binary};
use serde_json::json;

use crate::support::{Client, EMAIL, PASSWORD};

pub(crate) struct Node {
    pub(crate) server: Server,
    _folder: tempfile::TempDir,
}

/// Starts a node, ready or not.
pub(crate) fn start(postgres: &Postgres, roles: &str) -> Result<Node> {
    let folder = bincard_testkit::scratch::folder("node")?;
    let mut options = ServerOptions::bincard(bincard_binary()?, folder.path(), EMAIL, PASSWORD);
    options.arguments.extend(["--roles".into(), roles.into()]);
    let database = postgres.tcp_url("postgres");
    options
        .environment
        .push(("BINCARD_DATABASE_URL".to_owned(), database.into()));
    // Its views are fed elsewhere, or nowhere yet.
    options.ready_path = Some("/healthz".to_owned());
    Ok(Node {
        server: Server::start(options)?,
        _folder: folder,
    })
}

fn bincard(postgres: &Postgres, folder: &std::path::Path, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(bincard_binary()?);
    command
        .args(arguments)
        .arg("--data-dir")
        .arg(folder)
        .env("BINCARD_DATABASE_URL", postgres.tcp_url("postgres"));
    command.output().context("the binary could not be run")
}

/// The key that a command has made.
fn key_in(made: &std::process::Output) -> Result<String> {
    let said = String::from_utf8(made.stdout.clone())?;
    let key = said.split_whitespace().find(|word| word.starts_with("bck_"));
    Ok(key.with_context(|| format!("no key in {said}"))?.to_owned())
}

async fn status(node: &Node, path: &str) -> Result<u16> {
    Ok(reqwest::get(node.server.url(path)?).await?.status().as_u16())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_nodes_answer_and_another_feeds_the_views_of_every_tenant() -> Result<()> {
    let postgres = Postgres::start()?;
    let api = start(&postgres, "api")?;
    let admin = Client::log_in(&api.server.url("")?).await?;
    // It records, and has no views to answer from.
    let warehouse = json!({ "code": "WH-1", "name": "Halle 1" });
    let made = admin.create("/api/v1/warehouses", &warehouse).await?;
    ensure!(status(&api, "/readyz").await? == 503, "no view is built");
    let asked = admin.get("/api/v1/warehouses", 1).await?;
    ensure!(asked.status == 503, "{asked:?}");
    // A change is recorded as well, and says so although nobody can show it.
    let path = format!("/api/v1/warehouses/{made}");
    let changed = admin.patch(&path, &json!({ "code": "WH-1A" })).await?;
    let recorded = json!({ "status": "recorded", "position": 2 });
    ensure!(changed.status == 202 && changed.body == recorded, "{changed:?}");

    let mut projector = start(&postgres, "projector,worker")?;
    while admin.get("/api/v1/warehouses", 2).await?.status == 503 {}
    let listed = admin.get("/api/v1/warehouses", 2).await?;
    ensure!(listed.body["content"][0]["code"] == "WH-1A", "{listed:?}");
    while status(&api, "/readyz").await? != 200 {}
    ensure!(status(&projector, "/healthz").await? == 200, "it lives");
    ensure!(
        status(&projector, "/api/v1/warehouses").await? == 404,
        "it answers nobody"
    );
    ensure!(status(&projector, "/docs").await? == 404, "it answers nobody");

    // A tenant that only the other node ever heard of.
    let elsewhere = bincard_testkit::scratch::folder("elsewhere")?;
    for arguments in [
        &["tenant", "add", "acme"][..],
        &["key", "create", "shop", "--role", "ADMIN", "--tenant", "acme"],
    ] {
        let done = bincard(&postgres, elsewhere.path(), arguments)?;
        ensure!(done.status.success(), "{done:?}");
        if arguments[0] == "key" {
            let key = key_in(&done)?;
            let (http, url) = (reqwest::Client::new(), api.server.url("/api/v1/warehouses")?);
            let made = http.post(&url).bearer_auth(&key).json(&warehouse).send().await?;
            ensure!(made.status() == 201, "{made:?}");
            loop {
                let asked = http.get(&url).bearer_auth(&key).header("Ledger-Min-Position", 1);
                let answer = asked.send().await?;
                if answer.status() == 200 {
                    break;
                }
                ensure!(answer.status() == 503, "{answer:?}");
            }
        }
    }

    // Beside nodes that run: what a command asks of views, whoever feeds them does.
    for arguments in [
        &["rebuild", "stock"][..],
        &["verify"],
        &["reconcile"],
        &["verify", "--tenant", "acme"],
    ] {
        let done = bincard(&postgres, elsewhere.path(), arguments)?;
        ensure!(done.status.success(), "{arguments:?}: {done:?}");
    }
    let metrics = reqwest::get(projector.server.url("/metrics")?)
        .await?
        .text()
        .await?;
    ensure!(
        metrics.contains("tenant=\"acme\""),
        "the projector has opened the other tenant's ledger: {metrics}"
    );
    ensure!(
        projector
            .server
            .stop(std::time::Duration::from_secs(30))?
            .success(),
        "the projector ends in order"
    );
    // What is recorded now is in the views when somebody feeds them: here, a command.
    let other = json!({ "code": "WH-2", "name": "Halle 2" });
    admin.create("/api/v1/warehouses", &other).await?;
    let done = bincard(&postgres, elsewhere.path(), &["verify"])?;
    ensure!(done.status.success(), "{done:?}");
    let listed = admin.get("/api/v1/warehouses", 3).await?;
    ensure!(listed.body["content"][1]["code"] == "WH-2", "{listed:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_told_to_end_does_not_wait_for_a_database_that_is_away() -> Result<()> {
    let postgres = Postgres::start()?;
    let mut node = start(&postgres, "api,projector,worker")?;
    let admin = Client::log_in(&node.server.url("")?).await?;
    let warehouse = json!({ "code": "WH-1", "name": "Halle 1" });
    admin.create("/api/v1/warehouses", &warehouse).await?;
    while admin.get("/api/v1/warehouses", 1).await?.status == 503 {}
    let elsewhere = bincard_testkit::scratch::folder("elsewhere")?;
    let made = bincard(
        &postgres,
        elsewhere.path(),
        &["key", "create", "shop", "--role", "ADMIN"],
    )?;
    let key = key_in(&made)?;
    drop(postgres);
    // Requests that wait for it do not hold the end up, either.
    let mut asked = tokio::task::JoinSet::new();
    for no in 0..8 {
        let admin = admin.clone();
        let body = json!({ "code": format!("WH-{no}"), "name": "Halle" });
        asked.spawn(async move { admin.post("/api/v1/warehouses", &body, None).await });
    }
    while status(&node, "/readyz").await? == 200 {}
    // A key that nobody can look at is not counted as a guess at one: of those more than ten a minute are refused.
    let url = node.server.url("/api/v1/warehouses")?;
    let mut with_a_key = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let asked = reqwest::Client::new().get(&url).bearer_auth(&key);
        with_a_key.spawn(asked.send());
    }
    while let Some(answer) = with_a_key.join_next().await {
        let status = answer??.status();
        ensure!(status == 503, "{status}");
    }
    let ended = node.server.stop(std::time::Duration::from_secs(10))?;
    ensure!(ended.success(), "{ended}: {}", node.server.stderr());
    while let Some(answer) = asked.join_next().await {
        // One that never began is not answered.
        if let Ok(answer) = answer? {
            ensure!(answer.status == 503, "{answer:?}");
        }
    }
    Ok(())
}

#[test]
fn roles_that_are_none_or_have_nobody_to_share_with_are_refused() -> Result<()> {
    let folder = bincard_testkit::scratch::folder("alone")?;
    for (roles, what) in [
        ("api,worker", "without a database"),
        ("api,cook", "\"cook\""),
        ("", "\"\""),
    ] {
        let mut command = Command::new(bincard_binary()?);
        command.args(["serve", "--listen", "127.0.0.1:0", "--roles", roles, "--data-dir"]);
        let done = command.arg(folder.path()).output()?;
        let said = String::from_utf8(done.stderr)?;
        ensure!(
            done.status.code() == Some(2) && said.contains("roles: ") && said.contains(what),
            "{roles}: {said}"
        );
    }
    Ok(())
}
