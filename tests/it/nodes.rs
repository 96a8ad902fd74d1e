//! Two nodes over one PostgreSQL under load, and what befalls them: a node is killed, one is stopped and wakes up late,
//! sessions end, the database crashes. After each, every acknowledged event is there once, nothing that was refused is,
//! the chain verifies, and the views of every node agree with a replay.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bincard_testkit::postgres::Postgres;
use bincard_testkit::server::{Server, ServerOptions, bincard_binary};
use serde_json::json;
use tokio::task::JoinSet;

use crate::kill_nine::requests::{Script, Shop};
use crate::kill_nine::{Sent, check_log, check_views, outcome, settle};
use crate::support::{Client, EMAIL, PASSWORD};

const CLIENTS: u64 = 12;
/// So many answers before something happens, and after it.
const ANSWERS: u64 = 150;

struct Nodes {
    servers: Vec<Server>,
    /// A client of each node; it logs in again only where the node was started again.
    admins: Vec<Client>,
    folders: Vec<tempfile::TempDir>,
    postgres: Postgres,
}

impl Nodes {
    async fn start(count: usize) -> Result<Nodes> {
        let postgres = Postgres::start()?;
        let (mut servers, mut admins, mut folders) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..count {
            let folder = bincard_testkit::scratch::folder("node")?;
            let mut options = ServerOptions::bincard(bincard_binary()?, folder.path(), EMAIL, PASSWORD);
            let url = postgres.tcp_url("postgres");
            options
                .environment
                .push(("BINCARD_DATABASE_URL".to_owned(), url.into()));
            let server = Server::start(options)?;
            admins.push(Client::log_in(&server.url("")?).await?);
            servers.push(server);
            folders.push(folder);
        }
        Ok(Nodes {
            servers,
            admins,
            folders,
            postgres,
        })
    }

    fn signal_node(&self, node: usize, signal: &str) -> Result<()> {
        send_signal(signal, self.servers[node].pid()?)
    }

    /// Processes of the database that serve a session of a node.
    fn sessions(&self) -> Result<Vec<u32>> {
        let children = format!(
            "/proc/{}/task/{}/children",
            self.postgres.pid(),
            self.postgres.pid()
        );
        let children = std::fs::read_to_string(children).context("the database has no children")?;
        let children = children.split_whitespace().map(|pid| Ok(pid.parse::<u32>()?));
        let is_session = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("postgres postgres 127.0.0.1")
        };
        Ok(children
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .filter(is_session)
            .collect())
    }

    fn verify(&self, node: usize) -> Result<()> {
        let output = Command::new(bincard_binary()?)
            .args(["verify", "--data-dir"])
            .arg(self.folders[node].path())
            .env("BINCARD_DATABASE_URL", self.postgres.tcp_url("postgres"))
            .output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        ensure!(output.status.success(), "verify found a difference:\n{said}");
        Ok(())
    }
}

fn send_signal(signal: &str, pid: u32) -> Result<()> {
    let sent = Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(pid.to_string())
        .status()?;
    ensure!(sent.success(), "process {pid} could not be sent {signal}");
    Ok(())
}

/// What befalls the nodes.
const TROUBLES: [&str; 4] = [
    "kill -9 of a node",
    "a node that stops and wakes",
    "sessions that end",
    "a crash of the database",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_befalls_two_nodes_nothing_is_lost_and_nothing_doubled() -> Result<()> {
    let mut nodes = Nodes::start(2).await?;
    let shop = Arc::new(Shop::open(&nodes.admins[0], CLIENTS).await?);
    let mut sent: BTreeMap<String, Sent> = BTreeMap::new();
    for trouble in TROUBLES {
        sent.extend(load(&mut nodes, &shop, trouble).await.with_context(|| trouble)?);
        check(&nodes.admins, &shop, &mut sent)
            .await
            .with_context(|| format!("after {trouble}"))?;
    }
    for (node, server) in nodes.servers.iter_mut().enumerate() {
        ensure!(
            server.stop(Duration::from_secs(30))?.success(),
            "node {node} ends in order"
        );
    }
    nodes.verify(0)?;
    nodes.verify(1)
}

/// Every node has what was acknowledged, by whichever node: a node hears of what the others append a little later, and is
/// asked to answer only when it has.
async fn check(admins: &[Client], shop: &Shop, sent: &mut BTreeMap<String, Sent>) -> Result<()> {
    let mut position = 0;
    for admin in admins {
        position = position.max(admin.head().await?);
    }
    for admin in admins {
        check_log(admin, sent, position).await?;
        settle(admin, sent).await?;
        position = admin.head().await?;
    }
    for admin in admins {
        check_views(admin, shop, sent, position).await?;
    }
    Ok(())
}

/// Clients of both nodes, and trouble in the middle; every node serves again at the end.
async fn load(nodes: &mut Nodes, shop: &Arc<Shop>, trouble: &str) -> Result<BTreeMap<String, Sent>> {
    let admins = nodes.admins.clone();
    let (answered, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let admin = admins[client as usize % admins.len()].clone();
        let (shop, answered, is_over) = (shop.clone(), answered.clone(), is_over.clone());
        let name = format!("{trouble}/{client}").replace(' ', "-");
        clients.spawn(async move {
            let mut sent = Vec::new();
            let mut script = Script::new(&shop, client);
            for turn in 0.. {
                if is_over.load(Ordering::SeqCst) {
                    break;
                }
                let key = format!("{name}/{turn}");
                let request = script.next();
                let answer = admin.post(&request.path, &request.body, Some(&key)).await;
                answered.fetch_add(1, Ordering::SeqCst);
                if let Ok(answer) = &answer {
                    script.answered(&request, answer)?;
                }
                let is_gone = answer.is_err();
                sent.push((key, outcome(request, answer)?));
                if is_gone {
                    break;
                }
            }
            anyhow::Ok(sent)
        });
    }
    until(&answered, ANSWERS).await;
    cause(nodes, trouble).await?;
    let seen = answered.load(Ordering::SeqCst);
    until(&answered, seen + ANSWERS).await;
    is_over.store(true, Ordering::SeqCst);
    let mut all = BTreeMap::new();
    while let Some(sent) = clients.join_next().await {
        all.extend(sent??);
    }
    if trouble == TROUBLES[0] {
        nodes.servers[0].start_again()?;
        nodes.admins[0] = Client::log_in(&nodes.servers[0].url("")?).await?;
    }
    for admin in &nodes.admins {
        // It is served again: a change that needs the log.
        loop {
            let name = json!({ "name": format!("after {trouble}") });
            let answer = admin
                .patch(&format!("/api/v1/warehouses/{}", shop.warehouses[0]), &name)
                .await?;
            if answer.status == 200 {
                break;
            }
            ensure!(answer.status == 503, "{answer:?}");
        }
    }
    Ok(all)
}

async fn until(answered: &AtomicU64, count: u64) {
    while answered.load(Ordering::SeqCst) < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn cause(nodes: &mut Nodes, trouble: &str) -> Result<()> {
    match trouble {
        "kill -9 of a node" => nodes.servers[0].kill_9()?,
        "a node that stops and wakes" => {
            nodes.signal_node(1, "STOP")?;
            // Longer than a session may idle while it holds the head.
            tokio::time::sleep(Duration::from_secs(3)).await;
            nodes.signal_node(1, "CONT")?;
        }
        "sessions that end" => {
            for session in nodes.sessions()? {
                // One that ended by itself meanwhile is as good.
                drop(send_signal("TERM", session));
            }
        }
        "a crash of the database" => {
            let session = *nodes.sessions()?.first().context("nodes have sessions")?;
            send_signal("KILL", session)?;
        }
        other => anyhow::bail!("nobody knows how to cause {other}"),
    }
    Ok(())
}
