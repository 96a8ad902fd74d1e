//! `bincard race`: many clients take the same stock at once, and afterwards every unit must be accounted for.
//!
//! It works on a running server, on a warehouse and variants that it makes for the purpose and deactivates at the end.
//! Users run it against their own installation; so do the tests.

mod client;
mod tally;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use client::{Answer, Client};
use tally::Tally;

/// Let many clients take the same stock at once, and check that every unit is accounted for.
#[derive(Args, Debug)]
pub(crate) struct Race {
    /// The running server.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// An API key or access token of an ADMIN or MANAGER whose plan has no request limit.
    #[arg(long, env = "BINCARD_KEY", hide_env_values = true)]
    key: String,
    /// How many clients race.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1024))]
    clients: u32,
    /// How many requests each client makes.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    requests: u32,
    /// How many variants they race for: the fewer, the hotter.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    variants: u32,
    /// What each variant starts with.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(i64).range(0..=1_000_000_000))]
    stock: i64,
    /// The seed of what the clients do; drawn at random and printed when not given.
    #[arg(long)]
    seed: Option<u64>,
}

/// Where the race takes place.
struct Course {
    warehouse: String,
    variants: Vec<String>,
    /// Tells this race's idempotency keys from another's.
    name: String,
}

impl Race {
    /// Races, and prints a report; an error when a unit is not accounted for.
    pub(crate) fn run(&self) -> Result<()> {
        let report = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(hold(self))?;
        super::write_out(&report)
    }
}

async fn hold(args: &Race) -> Result<String> {
    let seed = args.seed.unwrap_or_else(|| {
        u64::from_le_bytes(
            uuid::Uuid::new_v4().as_bytes()[..8]
                .try_into()
                .unwrap_or_default(),
        )
    });
    let client = Client::new(&args.url, &args.key)?;
    let course = Arc::new(prepare(&client, args).await.context("preparing the race")?);
    let raced = race(&client, &course, args, seed).await;
    let checked = match raced {
        Ok(tally) => check(&client, &course, args, &tally).await.map(|()| tally),
        Err(error) => Err(error),
    };
    deactivate(&client, &course)
        .await
        .context("deactivating the race's warehouse and variants")?;
    let tally = checked.with_context(|| format!("the race with --seed {seed}"))?;
    Ok(report(args, &tally, seed))
}

async fn prepare(client: &Client, args: &Race) -> Result<Course> {
    let name = format!("RACE-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
    let warehouse = json!({ "code": name, "name": "Scratch warehouse of a race" });
    let warehouse = client.create("/api/v1/warehouses", &warehouse).await?;
    let mut variants = Vec::new();
    for number in 0..args.variants {
        let variant = json!({ "sku": format!("{name}-{number}"), "name": "Scratch variant of a race" });
        variants.push(client.create("/api/v1/variants", &variant).await?);
    }
    if args.stock > 0 {
        for some in variants.chunks(1_000) {
            let lines: Vec<Value> = some
                .iter()
                .map(|id| json!({ "variantId": id, "quantity": args.stock }))
                .collect();
            let inbound = json!({ "type": "INBOUND", "warehouseId": warehouse, "reasonCode": "PURCHASE", "lines": lines });
            let answer = client.post("/api/v1/stock-events", &inbound, None).await?;
            ensure!(
                answer.status == 201,
                "the opening stock was not taken: {}",
                answer.body
            );
        }
    }
    Ok(Course {
        warehouse,
        variants,
        name,
    })
}

async fn race(client: &Client, course: &Arc<Course>, args: &Race, seed: u64) -> Result<Tally> {
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..args.clients {
        let (client, course) = (client.clone(), course.clone());
        let requests = args.requests;
        clients.spawn(async move { run_client(&client, &course, number, requests, seed).await });
    }
    let mut total = Tally::default();
    while let Some(tally) = clients.join_next().await {
        total.add(&tally.context("a client of the race broke off")??);
    }
    Ok(total)
}

/// One client's requests. Each is sent under a key; some twice at once, which must be one event.
async fn run_client(
    client: &Client,
    course: &Course,
    number: u32,
    requests: u32,
    seed: u64,
) -> Result<Tally> {
    let mut random = Random(seed ^ u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut tally = Tally::default();
    for turn in 0..requests {
        let (event, changes) = draw(course, &mut random);
        let key = format!("{}/{seed}/{number}/{turn}", course.name);
        let answer = if random.below(8) == 0 {
            let (first, second) = tokio::join!(
                client.post("/api/v1/stock-events", &event, Some(&key)),
                client.post("/api/v1/stock-events", &event, Some(&key)),
            );
            same_answer(first?, second?)?
        } else {
            client.post("/api/v1/stock-events", &event, Some(&key)).await?
        };
        match answer.status {
            201 => tally.accept(answer.id()?, &changes),
            409 => tally.refuse(&answer)?,
            status => bail!("{status} for {event}: {}", answer.body),
        }
    }
    Ok(tally)
}

/// A request sent twice under one key is recorded once: both answers name the same event, or both are refused. Between
/// the two, other clients may have brought stock, so a refused and an accepted answer may stand side by side.
fn same_answer(first: Answer, second: Answer) -> Result<Answer> {
    match (first.status, second.status) {
        (201, 201) => ensure!(
            first.id()? == second.id()?,
            "one key, two events: {} and {}",
            first.body,
            second.body
        ),
        (201, 409) | (409, 409) => {}
        (409, 201) => return Ok(second),
        (a, b) => bail!("{a} and {b} for one key: {} and {}", first.body, second.body),
    }
    Ok(first)
}

/// A request of one of the kinds that change stock, and the changes per variant that follow if it is accepted.
fn draw(course: &Course, random: &mut Random) -> (Value, BTreeMap<String, i64>) {
    let (kind, reason, sign) = match random.below(20) {
        0..=9 => ("OUTBOUND", "SALE", -1),
        10..=14 => ("ADJUST", "DAMAGE", -1),
        15..=16 => ("ADJUST", "COUNT_CORRECTION", 1),
        _ => ("INBOUND", "PURCHASE", 1),
    };
    let lines_max = course.variants.len().min(3) as u64;
    let mut changes = BTreeMap::new();
    for _ in 0..=random.below(lines_max) {
        let variant = &course.variants[random.below(course.variants.len() as u64) as usize];
        let quantity = if sign > 0 {
            1 + random.below(3)
        } else {
            1 + random.below(9)
        };
        changes.insert(variant.clone(), sign * quantity as i64);
    }
    let signed = |change: i64| if kind == "OUTBOUND" { -change } else { change };
    let lines: Vec<Value> = changes
        .iter()
        .map(|(id, change)| json!({ "variantId": id, "quantity": signed(*change) }))
        .collect();
    let event =
        json!({ "type": kind, "warehouseId": course.warehouse, "reasonCode": reason, "lines": lines });
    (event, changes)
}

/// Every unit is accounted for: in the stock view, in the events one by one, and never below zero on the way.
async fn check(client: &Client, course: &Course, args: &Race, tally: &Tally) -> Result<()> {
    for variant in &course.variants {
        let expected = args.stock + tally.change_of(variant);
        ensure!(
            expected >= 0,
            "oversold: accepted events leave {expected} of variant {variant}"
        );
        let path = format!(
            "/api/v1/stock?warehouseId={}&variantId={variant}",
            course.warehouse
        );
        let page = client.read(&path, client.position()).await?;
        let row = &page["content"][0];
        for field in ["onHand", "available"] {
            // A variant that nothing ever happened to has no row.
            let found = if row.is_null() {
                0
            } else {
                row[field]
                    .as_i64()
                    .with_context(|| format!("no {field} in {page}"))?
            };
            ensure!(
                found == expected,
                "{field} of variant {variant} is {found}; the accepted events leave {expected}"
            );
        }
    }
    check_history(client, course, args, tally).await
}

/// Reads every event of the race's warehouse back in order of recording and follows the stock through it.
async fn check_history(client: &Client, course: &Course, args: &Race, tally: &Tally) -> Result<()> {
    let mut stock: BTreeMap<String, i64> = course.variants.iter().map(|id| (id.clone(), 0)).collect();
    let mut found = 0_u64;
    let first = format!(
        "/api/v1/stock-events?warehouseId={}&sort=createdAt,asc&size=500",
        course.warehouse
    );
    let mut path = first.clone();
    loop {
        let page = client.read(&path, client.position()).await?;
        for event in page["content"].as_array().context("a page without content")? {
            found += 1;
            for line in event["lines"].as_array().context("an event without lines")? {
                let (id, quantity) = (line["variantId"].as_str(), line["quantity"].as_i64());
                let (id, quantity) = id
                    .zip(quantity)
                    .with_context(|| format!("a line without quantity: {line}"))?;
                let left = stock.entry(id.to_owned()).or_default();
                *left += quantity;
                ensure!(
                    *left >= 0,
                    "the history of variant {id} falls to {left} at event {}",
                    event["id"]
                );
            }
        }
        match page["nextCursor"].as_str() {
            Some(cursor) => path = format!("{first}&cursor={cursor}"),
            None => break,
        }
    }
    let opening = if args.stock > 0 {
        u64::from(args.variants).div_ceil(1_000)
    } else {
        0
    };
    let expected = opening + tally.accepted();
    ensure!(
        found == expected,
        "{found} events are in the history; {expected} were accepted"
    );
    for variant in &course.variants {
        let expected = args.stock + tally.change_of(variant);
        let left = stock.get(variant).copied().unwrap_or_default();
        ensure!(
            left == expected,
            "the history of variant {variant} ends at {left}, not {expected}"
        );
    }
    Ok(())
}

async fn deactivate(client: &Client, course: &Course) -> Result<()> {
    let inactive = json!({ "active": false });
    client
        .patch(&format!("/api/v1/warehouses/{}", course.warehouse), &inactive)
        .await?;
    for variant in &course.variants {
        client
            .patch(&format!("/api/v1/variants/{variant}"), &inactive)
            .await?;
    }
    Ok(())
}

fn report(args: &Race, tally: &Tally, seed: u64) -> String {
    format!(
        "{} clients, {} requests each, {} variants with {} units each, seed {seed}\n\
         {} accepted, {} refused for want of stock, {} settled by their key\n\
         nothing oversold, every unit accounted for\n",
        args.clients,
        args.requests,
        args.variants,
        args.stock,
        tally.accepted(),
        tally.refused(),
        u64::from(args.clients) * u64::from(args.requests) - tally.accepted() - tally.refused(),
    )
}

/// SplitMix64 (Steele, Lea and Flood 2014): a race needs variety and a seed, not secrecy.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}
