//! kill -9 under load, again and again: after each start every acknowledged event is there once, none that was refused
//! is there, what was neither is there at most once, the log's chain verifies, and the views agree with a replay.

mod own_lot;
mod recalled;
pub(crate) mod requests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::support::{Answer, Client, Site};
use own_lot::FORBIDDEN;
use recalled::{Part, Recalled};
use requests::{ACTS, Move, Request, Script, Shop};

const CLIENTS: u64 = 24;
const ROUNDS: u64 = 5;
/// So many recorded requests, at most, are asked for one by one.
const ASKED_FOR: usize = 400;
const BUCKETS: [&str; 5] = ["available", "reserved", "picked", "packed", "held"];

#[derive(Clone, Debug)]
pub(crate) struct Sent {
    request: Request,
    /// The id that was answered; `None` while nobody knows.
    acknowledged: Option<String>,
    refused: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_and_nothing_refused_appears() -> Result<()> {
    let mut site = Site::start()?;
    let admin = site.admin().await?;
    let shop = Arc::new(Shop::open(&admin, CLIENTS).await?);
    let mut sent: BTreeMap<String, Sent> = BTreeMap::new();
    for round in 0..ROUNDS {
        let admin = site.admin().await?;
        // Later and later in the load, so that start-up, small and large batches are all hit.
        let answers_before_kill = 20 + 420 * round;
        sent.extend(load_until_killed(&mut site, &admin, &shop, round, answers_before_kill).await?);
        site.server.start_again()?;
        check_round(&mut site, &shop, &mut sent)
            .await
            .with_context(|| format!("after kill {round}"))?;
    }
    for act in ACTS {
        let mut of_act = sent.values().filter(|sent| sent.request.act == act);
        ensure!(
            of_act.any(|sent| sent.acknowledged.is_some()),
            "the load was without {act}"
        );
    }
    for act in ["outbound", FORBIDDEN] {
        let mut of_act = sent.values().filter(|sent| sent.request.act == act);
        ensure!(of_act.any(|sent| sent.refused), "no {act} was refused");
    }
    Ok(())
}

async fn check_round(site: &mut Site, shop: &Shop, sent: &mut BTreeMap<String, Sent>) -> Result<()> {
    let admin = site.admin().await?;
    check_log(&admin, sent, 0).await?;
    settle(&admin, sent).await?;
    check_log(&admin, sent, 0).await?;
    check_views(&admin, shop, sent, admin.head().await?).await?;
    site.server.stop(Duration::from_secs(30))?;
    let verify = site.bincard(&["verify"])?;
    let said =
        String::from_utf8_lossy(&verify.stdout).into_owned() + &String::from_utf8_lossy(&verify.stderr);
    ensure!(verify.status.success(), "verify found a difference:\n{said}");
    site.server.start_again()?;
    Ok(())
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
            let mut script = Script::new(&shop, client);
            for turn in 0.. {
                let key = format!("{round}/{client}/{turn}");
                let request = script.next();
                let answer = admin.post(&request.path, &request.body, Some(&key)).await;
                if answered.fetch_add(1, Ordering::SeqCst) + 1 == answers_before_kill {
                    enough.notify_one();
                }
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
    enough.notified().await;
    site.server.kill_9()?;
    let mut all = BTreeMap::new();
    while let Some(sent) = clients.join_next().await {
        all.extend(sent??);
    }
    Ok(all)
}

pub(crate) fn outcome(request: Request, answer: Result<Answer>) -> Result<Sent> {
    let mut sent = Sent {
        request,
        acknowledged: None,
        refused: false,
    };
    if let Ok(answer) = answer {
        match answer.status {
            _ if answer.is_taken() => {
                sent.acknowledged = Some(id_of(&answer)?);
                sent.request.told(&answer)?;
            }
            _ if is_refused(&sent.request, &answer) => sent.refused = true,
            // Outcome unknown, or being stopped: the server says that it does not know.
            503 => {}
            _ => anyhow::bail!("an answer to {:?} that nobody expects: {answer:?}", sent.request),
        }
    }
    Ok(sent)
}

/// Whether a request was refused for what the ledger holds: there is too little, or the lot is out of use.
fn is_refused(request: &Request, answer: &Answer) -> bool {
    answer.status == 409 || answer.status == 400 && request.act == FORBIDDEN
}

fn id_of(answer: &Answer) -> Result<String> {
    Ok(answer.id().context("an answer without id")?.to_owned())
}

/// Compares the log, which has come to `min_position`, with what was answered: what is there, how often, and what it moves.
pub(crate) async fn check_log(
    admin: &Client,
    sent: &BTreeMap<String, Sent>,
    min_position: u64,
) -> Result<()> {
    let feed = admin.feed(min_position).await?;
    let (lots, active) = lots_of(admin, feed.len() as u64).await?;
    let undoing = sent
        .iter()
        .filter_map(|(key, sent)| Some((sent.request.undoes.as_deref()?, key.as_str())));
    let undoing: BTreeMap<&str, &str> = undoing.collect();
    let mut found: BTreeMap<&str, Vec<Vec<Move>>> = BTreeMap::new();
    let mut dispatched: Option<(&Value, Vec<Move>)> = None;
    let mut recalled = Recalled::default();
    // Whose the last event was, and what the request moves that those are of which stand before its own.
    let (mut last, mut begun) = (None, Vec::new());
    for (index, event) in feed.iter().enumerate() {
        ensure!(
            event["position"].as_u64() == Some(index as u64 + 1),
            "a gap in the feed at {event}"
        );
        let mut moves = moves_of(event, &lots)?;
        match recalled.follow(event, &lots)? {
            Part::Own => {}
            Part::Before => {
                begun.extend(moves);
                continue;
            }
            Part::Behind => {
                let key: &str = last.with_context(|| format!("{event} stands behind nothing"))?;
                let whole = found.get_mut(key).and_then(|times| times.last_mut());
                let whole = whole.context("found before")?;
                whole.extend(moves);
                whole.sort();
                continue;
            }
        }
        if let Some((out, sent)) = dispatched.take() {
            let is_its = event["type"] == "TRANSFER_EXPECTED" && event["aboutId"] == out["id"];
            ensure!(is_its, "{out} is followed by {event}");
            // The key of a dispatch stands in the second of its events, what it moves in the first.
            moves = sent;
        }
        if event["type"] == "TRANSFER_OUT" {
            dispatched = Some((event, moves));
        } else if event["type"] == "REVERSAL" {
            // The log knows it by what it undoes, and not by its caller's key.
            let undone = event["aboutId"].as_str().context("a reversal of nothing")?;
            let key = *undoing
                .get(undone)
                .with_context(|| format!("nobody undid {undone}"))?;
            found.entry(key).or_default().push(moves);
            last = Some(key);
        } else if let Some(key) = event["idempotencyKey"].as_str() {
            moves.append(&mut begun);
            moves.sort();
            found.entry(key).or_default().push(moves);
            last = Some(key);
        }
    }
    ensure!(dispatched.is_none(), "half a dispatch: {dispatched:?}");
    ensure!(begun.is_empty(), "half a recall: {begun:?}");
    recalled.finish(&active)?;
    let foreign = found.keys().find(|key| !sent.contains_key(**key));
    ensure!(foreign.is_none(), "{foreign:?} is there and was never sent");
    // All are looked for in the log; by their own ids some hundred of them.
    let every = sent.len() / ASKED_FOR + 1;
    for (number, (key, sent)) in sent.iter().enumerate() {
        let found = found.get(key.as_str()).map(Vec::as_slice).unwrap_or_default();
        let mut asked = sent.request.moves.clone();
        asked.sort();
        let is_told = sent.request.act != "approve" || sent.acknowledged.is_some();
        ensure!(
            !is_told || found.iter().all(|moves| *moves == asked),
            "{key} asked for {:?} and has become {found:?}",
            sent.request
        );
        let times = found.len();
        match (&sent.acknowledged, sent.refused) {
            (Some(id), _) => {
                ensure!(times == 1, "{key} was acknowledged and is there {times} times");
                if number % every != 0 {
                    continue;
                }
                let answer = admin
                    .get(&format!("{}/{id}", sent.request.found_at), feed.len() as u64)
                    .await?;
                ensure!(
                    answer.status == 200,
                    "{key} was acknowledged as {id}, which answers {answer:?}"
                );
            }
            (None, true) => ensure!(times == 0, "{key} was refused and is there"),
            (None, false) => ensure!(times <= 1, "{key} is there {times} times"),
        }
    }
    Ok(())
}

/// The variant of each lot, and whether it is in use.
async fn lots_of(
    admin: &Client,
    position: u64,
) -> Result<(BTreeMap<String, String>, BTreeMap<String, bool>)> {
    let (mut variants, mut active) = (BTreeMap::new(), BTreeMap::new());
    let first = "/api/v1/lots?size=500";
    let mut path = first.to_owned();
    loop {
        let page = admin.get(&path, position).await?;
        let lots = page.body["content"]
            .as_array()
            .context("a list without content")?;
        for lot in lots {
            let text = |field: &str| lot[field].as_str().map(str::to_owned);
            let named = text("id").zip(text("variantId")).zip(lot["active"].as_bool());
            let ((id, variant), is_active) = named.with_context(|| format!("half a lot: {lot}"))?;
            variants.insert(id.clone(), variant);
            active.insert(id, is_active);
        }
        match page.body["nextCursor"].as_str() {
            Some(cursor) => path = format!("{first}&cursor={cursor}"),
            None => return Ok((variants, active)),
        }
    }
}

/// What an event of the feed moves.
fn moves_of(event: &Value, lots: &BTreeMap<String, String>) -> Result<Vec<Move>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let postings = event["postings"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let moves = postings.iter().map(|posting| {
        Some(Move {
            warehouse: text(&event["warehouseId"])?,
            variant: text(&posting["variantId"]).map(|id| lots.get(&id).cloned().unwrap_or(id))?,
            from: text(&posting["from"])?,
            to: text(&posting["to"])?,
            units: posting["quantity"].as_i64()?,
        })
    });
    let mut moves = moves
        .collect::<Option<Vec<Move>>>()
        .with_context(|| format!("postings that nobody understands: {event}"))?;
    moves.sort();
    // What several lots of a variant make up is one move.
    let mut merged: Vec<Move> = Vec::new();
    for one in moves {
        match merged.last_mut() {
            Some(last)
                if Move {
                    units: last.units,
                    ..one.clone()
                } == *last =>
            {
                last.units += one.units
            }
            _ => merged.push(one),
        }
    }
    Ok(merged)
}

/// Sends again, under their keys, the requests whose outcome is unknown, and some of the acknowledged ones.
pub(crate) async fn settle(admin: &Client, sent: &mut BTreeMap<String, Sent>) -> Result<()> {
    for (number, (key, sent)) in sent.iter_mut().enumerate() {
        let is_unknown = sent.acknowledged.is_none() && !sent.refused;
        if !is_unknown && (sent.refused || number % 50 != 0) {
            continue;
        }
        let answer = admin
            .post(&sent.request.path, &sent.request.body, Some(key))
            .await?;
        match &sent.acknowledged {
            Some(id) if answer.is_taken() => {
                ensure!(answer.replayed, "{key} was recorded again");
                ensure!(id_of(&answer)? == *id, "{key} has become another event");
            }
            None if answer.is_taken() => {
                sent.acknowledged = Some(id_of(&answer)?);
                sent.request.told(&answer)?;
            }
            None if is_refused(&sent.request, &answer) => sent.refused = true,
            _ => anyhow::bail!("{key} sent again answers {answer:?}"),
        }
    }
    Ok(())
}

/// What the acknowledged requests leave is what the views say at `position`: of stock, of transfers, and how many events
/// there are.
pub(crate) async fn check_views(
    admin: &Client,
    shop: &Shop,
    sent: &BTreeMap<String, Sent>,
    position: u64,
) -> Result<()> {
    let acknowledged: Vec<&Request> = sent
        .values()
        .filter(|sent| sent.acknowledged.is_some())
        .map(|sent| &sent.request)
        .collect();
    let left = |place: &dyn Fn(&Move, &str) -> bool| -> i64 {
        let moves = acknowledged.iter().flat_map(|request| &request.moves);
        moves
            .map(|one| one.units * (i64::from(place(one, &one.to)) - i64::from(place(one, &one.from))))
            .sum()
    };
    for variant in shop.all() {
        for warehouse in &shop.warehouses {
            let path = format!("/api/v1/stock?warehouseId={warehouse}&variantId={variant}");
            let stock = admin.get(&path, position).await?;
            for bucket in BUCKETS {
                let found = stock.body["content"][0][bucket].as_i64().unwrap_or_default();
                let expected = left(&|one, place| {
                    place == bucket && one.warehouse == *warehouse && one.variant == *variant
                });
                ensure!(
                    found == expected,
                    "{bucket} of {variant} is {found}, acknowledged requests leave {expected}"
                );
            }
        }
        let path = format!("/api/v1/transfers?state=OPEN&size=500&variantId={variant}");
        let open = admin.get(&path, position).await?;
        ensure!(open.body["nextCursor"].is_null(), "more transfers than one page");
        let transfers = open.body["content"]
            .as_array()
            .context("a list without content")?;
        let lines = transfers
            .iter()
            .filter_map(|transfer| transfer["lines"].as_array());
        let found: i64 = lines
            .flatten()
            .filter(|line| line["variantId"] == variant.as_str())
            .filter_map(|line| line["inTransit"].as_i64())
            .sum();
        let expected = left(&|one, place| place == "transit" && one.variant == *variant);
        ensure!(
            found == expected,
            "{found} of {variant} are on the way, acknowledged requests leave {expected}"
        );
    }
    let listed = admin.get("/api/v1/stock-events?size=1", position).await?;
    let total = listed.body["page"]["totalElements"].as_u64();
    let expected = acknowledged.iter().map(|request| request.events()).sum();
    ensure!(
        total == Some(expected),
        "{expected} events are acknowledged, the list has {total:?}"
    );
    Ok(())
}
