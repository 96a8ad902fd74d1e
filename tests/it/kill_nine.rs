//! kill -9 under load, again and again: after each start every acknowledged event is there once, none that was refused
//! is there, what was neither is there at most once, and the views agree with a replay.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::support::{Answer, Client, Site};

const CLIENTS: u64 = 24;
const ROUNDS: u64 = 5;

#[derive(Clone, Debug)]
struct Sent {
    event: Value,
    /// The acknowledged event's id; `None` while nobody knows.
    acknowledged: Option<String>,
    refused: bool,
}

struct Shop {
    warehouse: String,
    variants: Vec<String>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_refused_appears() -> Result<()> {
    let mut site = Site::start()?;
    let admin = site.admin().await?;
    let shop = Arc::new(open_shop(&admin).await?);
    let mut sent: BTreeMap<String, Sent> = BTreeMap::new();
    for round in 0..ROUNDS {
        let admin = site.admin().await?;
        // Later and later in the load, so that start-up, small and large batches are all hit.
        let answers_before_kill = 20 + 300 * round;
        sent.extend(load_until_killed(&mut site, &admin, &shop, round, answers_before_kill).await?);
        site.server.start_again()?;
        let admin = site.admin().await?;
        check_log(&admin, &shop, &sent)
            .await
            .with_context(|| format!("after kill {round}"))?;
        settle(&admin, &mut sent).await?;
        check_views(&admin, &shop, &sent)
            .await
            .with_context(|| format!("after kill {round}"))?;
    }
    site.server.stop(std::time::Duration::from_secs(30))?;
    let verify = site.bincard(&["verify"])?;
    let said =
        String::from_utf8_lossy(&verify.stdout).into_owned() + &String::from_utf8_lossy(&verify.stderr);
    ensure!(verify.status.success(), "verify found a difference:\n{said}");
    Ok(())
}

async fn open_shop(admin: &Client) -> Result<Shop> {
    let warehouse = admin
        .create("/api/v1/warehouses", &json!({ "code": "WH-1", "name": "One" }))
        .await?;
    let mut variants = Vec::new();
    for number in 0..5 {
        let variant = json!({ "sku": format!("SKU-{number}"), "name": format!("Variant {number}") });
        variants.push(admin.create("/api/v1/variants", &variant).await?);
    }
    Ok(Shop { warehouse, variants })
}

async fn load_until_killed(
    site: &mut Site,
    admin: &Client,
    shop: &Arc<Shop>,
    round: u64,
    answers_before_kill: u64,
) -> Result<BTreeMap<String, Sent>> {
    let answered = Arc::new(AtomicU64::new(0));
    let enough = Arc::new(Notify::new());
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let (admin, shop, answered, enough) = (admin.clone(), shop.clone(), answered.clone(), enough.clone());
        clients.spawn(async move {
            let mut sent = Vec::new();
            for turn in 0.. {
                let key = format!("{round}/{client}/{turn}");
                let event = event(&shop, client + turn);
                let answer = admin.post("/api/v1/stock-events", &event, Some(&key)).await;
                if answered.fetch_add(1, Ordering::SeqCst) + 1 == answers_before_kill {
                    enough.notify_one();
                }
                let is_gone = answer.is_err();
                sent.push((key, outcome(event, answer)?));
                if is_gone {
                    break;
                }
            }
            anyhow::Ok(sent)
        });
    }
    enough.notified().await;
    site.server.kill_9()?;
    let mut all = BTreeMap::new();
    while let Some(sent) = clients.join_next().await {
        all.extend(sent??);
    }
    Ok(all)
}

/// Five kinds of event in turn: mostly they fit the stock there is, sometimes they do not.
fn event(shop: &Shop, turn: u64) -> Value {
    let variant = |n: u64| &shop.variants[(n % shop.variants.len() as u64) as usize];
    let (kind, quantities) = match turn % 5 {
        0 | 1 => ("INBOUND", vec![7, 3]),
        2 => ("ADJUST", vec![-2]),
        3 => ("OUTBOUND", vec![4, 4]),
        _ => ("OUTBOUND", vec![9]),
    };
    let lines: Vec<Value> = quantities
        .iter()
        .zip(turn..)
        .map(|(quantity, n)| json!({ "variantId": variant(n), "quantity": quantity }))
        .collect();
    json!({ "type": kind, "warehouseId": shop.warehouse, "lines": lines })
}

fn outcome(event: Value, answer: Result<Answer>) -> Result<Sent> {
    let mut sent = Sent {
        event,
        acknowledged: None,
        refused: false,
    };
    if let Ok(answer) = answer {
        match answer.status {
            201 => sent.acknowledged = Some(id_of(&answer)?),
            409 => sent.refused = true,
            // Outcome unknown, or being stopped: the server says that it does not know.
            503 => {}
            _ => anyhow::bail!("an answer that nobody expects: {answer:?}"),
        }
    }
    Ok(sent)
}

fn id_of(answer: &Answer) -> Result<String> {
    Ok(answer.body["id"]
        .as_str()
        .context("an event without id")?
        .to_owned())
}

/// Compares the log with what was answered.
async fn check_log(admin: &Client, shop: &Shop, sent: &BTreeMap<String, Sent>) -> Result<()> {
    let feed = admin.feed().await?;
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    for (index, event) in feed.iter().enumerate() {
        ensure!(
            event["position"].as_u64() == Some(index as u64 + 1),
            "a gap in the feed at {event}"
        );
        if let Some(key) = event["idempotencyKey"].as_str() {
            *times.entry(key).or_default() += 1;
        }
    }
    for (key, sent) in sent {
        let found = times.get(key.as_str()).copied().unwrap_or_default();
        match (&sent.acknowledged, sent.refused) {
            (Some(id), _) => {
                ensure!(found == 1, "{key} was acknowledged and is there {found} times");
                let event = admin.get(&format!("/api/v1/stock-events/{id}"), 0).await?;
                ensure!(
                    event.status == 200,
                    "{key} was acknowledged as {id}, which answers {event:?}"
                );
                ensure!(
                    event.body["warehouseId"] == shop.warehouse.as_str(),
                    "{key} has become {event:?}"
                );
            }
            (None, true) => ensure!(found == 0, "{key} was refused and is there"),
            (None, false) => ensure!(found <= 1, "{key} is there {found} times"),
        }
    }
    Ok(())
}

/// Sends again, under their keys, the events whose outcome is unknown, and some of the acknowledged ones.
async fn settle(admin: &Client, sent: &mut BTreeMap<String, Sent>) -> Result<()> {
    for (number, (key, sent)) in sent.iter_mut().enumerate() {
        let is_unknown = sent.acknowledged.is_none() && !sent.refused;
        if !is_unknown && number % 50 != 0 {
            continue;
        }
        let answer = admin.post("/api/v1/stock-events", &sent.event, Some(key)).await?;
        match (answer.status, &sent.acknowledged) {
            (201, Some(id)) => {
                ensure!(answer.replayed, "{key} was recorded again");
                ensure!(id_of(&answer)? == *id, "{key} has become another event");
            }
            (201, None) => (sent.acknowledged, sent.refused) = (Some(id_of(&answer)?), false),
            (409, None) => sent.refused = true,
            _ => anyhow::bail!("{key} sent again answers {answer:?}"),
        }
    }
    Ok(())
}

/// What the acknowledged events leave is what the stock view says, and what the history adds up to.
async fn check_views(admin: &Client, shop: &Shop, sent: &BTreeMap<String, Sent>) -> Result<()> {
    let head = admin.get("/api/v1/ledger", 0).await?;
    let position = head.body["head"]["position"]
        .as_u64()
        .with_context(|| format!("no head in {head:?}"))?;
    for variant in &shop.variants {
        let path = format!("/api/v1/stock?warehouseId={}&variantId={variant}", shop.warehouse);
        let stock = admin.get(&path, position).await?;
        let on_hand = stock.body["content"][0]["onHand"].as_i64().unwrap_or_default();
        let expected: i64 = sent
            .values()
            .filter(|sent| sent.acknowledged.is_some())
            .map(|sent| change_of(&sent.event, variant))
            .sum();
        ensure!(
            on_hand == expected,
            "on hand of {variant} is {on_hand}, acknowledged events leave {expected}"
        );
    }
    let listed = admin.get("/api/v1/stock-events?size=1", position).await?;
    let total = listed.body["page"]["totalElements"].as_u64();
    let ids: BTreeSet<_> = sent
        .values()
        .filter_map(|sent| sent.acknowledged.as_ref())
        .collect();
    ensure!(
        total == Some(ids.len() as u64),
        "{} events are acknowledged, the list has {total:?}",
        ids.len()
    );
    Ok(())
}

fn change_of(event: &Value, variant: &str) -> i64 {
    let sign = if event["type"] == "OUTBOUND" { -1 } else { 1 };
    let lines = event["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
    let of_variant = lines.iter().filter(|line| line["variantId"] == variant);
    of_variant
        .map(|line| sign * line["quantity"].as_i64().unwrap_or_default())
        .sum()
}
