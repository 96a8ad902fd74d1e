//! Two nodes over one PostgreSQL under load, beside one that feeds views, relaying to NATS, and what befalls them. After each trouble every acknowledged
//! event is there once, nothing that was refused is, the chain verifies, the views of every node agree with a replay, and
//! whoever follows has every event in order.
//!
//! Each trouble comes once; `BINCARD_TROUBLES=100` lets so many more come, in no particular order.

mod cluster;
mod feeds;
mod proxy;
mod trouble;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use cluster::Nodes;
use feeds::{Follower, check_nats};
use trouble::{ALL, Trouble};

use crate::kill_nine::requests::{Request, Script, Shop};
use crate::kill_nine::{Sent, check_log, check_views, outcome, settle};
use crate::support::{Answer, Client};

const CLIENTS: u64 = 12;
/// Of these, so many send every request to both nodes at once, under one key.
const TWINS: u64 = 3;
/// So many answers before something happens, and after it.
const ANSWERS: u64 = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_befalls_two_nodes_nothing_is_lost_and_nothing_doubled() -> Result<()> {
    let mut nodes = Nodes::start().await?;
    let shop = Arc::new(Shop::open(&nodes.admins[0], CLIENTS).await?);
    let mut sent: BTreeMap<String, Sent> = BTreeMap::new();
    let more: usize = std::env::var("BINCARD_TROUBLES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    // Five has no divisor in common with how many there are, so each comes after each other one by and by.
    let more = (0..more).map(|round| ALL[(round * 5 + round / ALL.len()) % ALL.len()]);
    for (round, trouble) in ALL.into_iter().chain(more).enumerate() {
        let name = format!("{round}-{trouble:?}");
        let troubled = async {
            sent.extend(load(&mut nodes, &shop, trouble, &name).await?);
            check(&nodes.admins, &shop, &mut sent).await
        };
        // The error before what was said, which is long.
        if let Err(error) = troubled.await {
            bail!("{name}: {error:#}\n{}", nodes.last_said());
        }
    }
    let head = nodes.admins[0].head().await?;
    check_nats(&nodes.nats.url(), head).await?;
    for (node, server) in nodes.servers.iter_mut().enumerate() {
        ensure!(
            server.stop(Duration::from_secs(30))?.success(),
            "node {node} ends in order"
        );
    }
    ensure!(
        nodes.projector.stop(Duration::from_secs(30))?.success(),
        "the projector ends in order"
    );
    nodes.verify()
}

/// Every node has what was acknowledged, by whichever node: a node hears of what the others append a little later, and is
/// asked to answer only when it has.
async fn check(admins: &[Client], shop: &Shop, sent: &mut BTreeMap<String, Sent>) -> Result<()> {
    let mut position = 0;
    for admin in admins {
        position = position.max(admin.head().await?);
    }
    for admin in admins {
        reached(admin, position).await?;
        check_log(admin, sent, position).await?;
        settle(admin, sent).await?;
        position = admin.head().await?;
    }
    for admin in admins {
        reached(admin, position).await?;
        check_views(admin, shop, sent, position).await?;
    }
    Ok(())
}

/// Waits until a node and its views have come so far, which after some troubles takes longer than a request may wait.
async fn reached(admin: &Client, position: u64) -> Result<()> {
    for path in [
        "/api/v1/ledger",
        "/api/v1/stock",
        "/api/v1/stock-events",
        "/api/v1/transfers",
        "/api/v1/lots",
    ] {
        while admin.get(path, position).await?.status == 503 {}
    }
    Ok(())
}

/// Clients of both nodes, and trouble in the middle; every node serves again at the end.
async fn load(
    nodes: &mut Nodes,
    shop: &Arc<Shop>,
    trouble: Trouble,
    name: &str,
) -> Result<BTreeMap<String, Sent>> {
    let followers: Vec<Follower> = nodes.admins.iter().cloned().map(Follower::start).collect();
    let (answered, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        // Twins ask both nodes, the others one.
        let mut admins = nodes.admins.clone();
        if client >= TWINS {
            admins = vec![admins.swap_remove(client as usize % nodes.admins.len())];
        }
        let (shop, answered, is_over) = (shop.clone(), answered.clone(), is_over.clone());
        let name = format!("{name}/{client}");
        clients.spawn(async move {
            let mut sent = Vec::new();
            let mut script = Script::new(&shop, client);
            for turn in 0.. {
                if is_over.load(Ordering::SeqCst) {
                    break;
                }
                let key = format!("{name}/{turn}");
                let request = script.next();
                let answer = ask(&admins, &request, &key).await?;
                answered.fetch_add(1, Ordering::SeqCst);
                let is_gone = match &answer {
                    Ok(answer) => {
                        script.answered(&request, answer)?;
                        false
                    }
                    Err(_) if trouble.kills_a_node() => true,
                    Err(error) => bail!("{key} was not answered by a node that lives: {error:#}"),
                };
                sent.push((key, outcome(request, answer)?));
                if is_gone {
                    break;
                }
            }
            anyhow::Ok(sent)
        });
    }
    let mut all = BTreeMap::new();
    {
        let mut happening = pin!(async {
            until(&answered, ANSWERS).await;
            trouble.begin(nodes).await?;
            let seen = answered.load(Ordering::SeqCst);
            until(&answered, seen + ANSWERS).await;
            anyhow::Ok(())
        });
        loop {
            tokio::select! {
                happened = &mut happening => break happened?,
                // One that ends early went with its node, or has something to say.
                Some(sent) = clients.join_next() => all.extend(sent??),
            }
        }
    }
    is_over.store(true, Ordering::SeqCst);
    while let Some(sent) = clients.join_next().await {
        all.extend(sent??);
    }
    trouble.end(nodes).await?;
    let mut position = 0;
    for node in 0..nodes.servers.len() {
        position = nodes.served(node).await?;
    }
    for follower in followers {
        follower.finish(position).await?;
    }
    Ok(all)
}

/// Sends a request under its key to all of these nodes at once. It is recorded once at most, and every node that says so says
/// the same; that answer, or whichever there is.
async fn ask(admins: &[Client], request: &Request, key: &str) -> Result<Result<Answer>> {
    let asked = admins.iter().map(|admin| {
        let (admin, path, body, key) = (
            admin.clone(),
            request.path.clone(),
            request.body.clone(),
            key.to_owned(),
        );
        tokio::spawn(async move { admin.post(&path, &body, Some(&key)).await })
    });
    let asked: Vec<_> = asked.collect();
    let mut answers = Vec::new();
    for answer in asked {
        answers.push(answer.await?);
    }
    let recorded: Vec<&Answer> = answers
        .iter()
        .flatten()
        .filter(|answer| answer.is_taken())
        .collect();
    if let [one, other] = recorded[..] {
        ensure!(one.id() == other.id(), "{key} is {one:?} and {other:?}");
        ensure!(
            one.replayed || other.replayed,
            "{key} was recorded twice: {one:?}"
        );
    }
    let rank = |answer: &Result<Answer>| match answer {
        Ok(answer) if answer.is_taken() => 0,
        // Whether it is recorded is open.
        Err(_) => 1,
        Ok(answer) if answer.status == 503 => 2,
        Ok(_) => 3,
    };
    answers.into_iter().min_by_key(rank).context("nobody was asked")
}

async fn until(answered: &AtomicU64, count: u64) {
    while answered.load(Ordering::SeqCst) < count {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

impl Nodes {
    /// Waits until a node records changes, and answers the position of one.
    async fn served(&self, node: usize) -> Result<u64> {
        let admin = &self.admins[node];
        let warehouses = loop {
            let answer = admin.get("/api/v1/warehouses", 0).await?;
            if answer.status == 200 {
                break answer;
            }
            ensure!(answer.status == 503, "{answer:?}");
        };
        let warehouse = warehouses.body["content"][0]["id"]
            .as_str()
            .context("no warehouse")?;
        loop {
            let name = json!({ "name": format!("now {}", Uuid::new_v4()) });
            let path = format!("/api/v1/warehouses/{warehouse}");
            let answer = admin.patch(&path, &name).await?;
            // 202: recorded, and the node's views have not come so far.
            if matches!(answer.status, 200 | 202) {
                return admin.head().await;
            }
            ensure!(answer.status == 503, "{answer:?}");
        }
    }
}
