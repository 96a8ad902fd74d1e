//! `bincard race`: many clients take the same stock at once, in every way there is, and afterwards every unit must be
//! accounted for.
//!
//! It works on a running server, on warehouses and variants that it makes for the purpose and deactivates at the end.
//! Users run it against their own installation; so do the tests.

mod audit;
mod client;
mod counted;
mod one_version;
mod racer;
mod recalled;
mod tally;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use serde_json::{Value, json};

use audit::{Left, audit};
use client::Client;
use one_version::write_on_one_version;
use racer::Racer;
use tally::{ACTS, Moves, Recorded, Tally};

/// Let many clients take the same stock at once, and check that every unit is accounted for.
///
/// They buy, sell, correct, undo, hold, count, reserve, pick, pack, ship, release, recall lots, and move goods between two
/// warehouses.
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

/// Lots that are raced for besides, in the order in which they expire.
const LOTS: [(&str, &str); 3] = [
    ("LOT-C", "2100-01-01T00:00:00Z"),
    ("LOT-A", "2101-01-01T00:00:00Z"),
    ("LOT-B", "2102-01-01T00:00:00Z"),
];

/// Where the race takes place.
struct Course {
    warehouses: [String; 2],
    /// What they race for, by id: variants, [`LOTS`] of one variant, and a variant that is counted meanwhile.
    variants: Vec<String>,
    /// The variant of the lots.
    in_lots: String,
    /// Each one's number, by its id.
    numbers: BTreeMap<String, usize>,
    /// Tells this race's idempotency keys from another's.
    name: String,
    /// The log's last position before the first event of the race.
    begins_after: u64,
}

impl Course {
    /// The number of the variant or lot with an id.
    fn variant(&self, id: &Value) -> Result<usize> {
        let number = id.as_str().and_then(|id| self.numbers.get(id));
        number
            .copied()
            .with_context(|| format!("{id} is no variant of the race"))
    }

    /// The number of what an answered line is of.
    fn variant_of(&self, line: &Value) -> Result<usize> {
        let lot = &line["lotId"];
        self.variant(if lot.is_null() { &line["variantId"] } else { lot })
    }

    /// The number of the variant that is counted: nothing of it is promised or sent.
    fn counted(&self) -> usize {
        self.variants.len().saturating_sub(1)
    }

    /// The numbers of the lots, in the order in which they expire.
    fn lots(&self) -> std::ops::Range<usize> {
        self.counted().saturating_sub(LOTS.len())..self.counted()
    }

    /// Names what a number stands for in a line.
    fn line(&self, number: usize) -> Value {
        let lot = number.checked_sub(self.lots().start);
        match lot.and_then(|lot| LOTS.get(lot)) {
            Some((code, _)) => json!({ "variantId": self.in_lots, "lot": code }),
            None => json!({ "variantId": self.variants[number] }),
        }
    }

    /// Lines of a request.
    fn lines(&self, units: &BTreeMap<usize, i64>) -> Value {
        let line = |(variant, units): (&usize, &i64)| {
            let mut line = self.line(*variant);
            line["quantity"] = json!(units);
            line
        };
        units.iter().map(line).collect()
    }
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
    let (course, opening) = prepare(&client, args).await.context("preparing the race")?;
    let course = Arc::new(course);
    let raced = race_and_audit(&client, &course, opening, args, seed).await;
    deactivate(&client, &course)
        .await
        .context("deactivating the race's warehouses and variants")?;
    let (tally, left) = raced.with_context(|| format!("the race with --seed {seed}"))?;
    Ok(report(args, &tally, &left, seed))
}

/// Makes what is raced for, and brings the opening stock to the first of the warehouses: at least one unit of what would not
/// be there without, the lots and what is counted.
async fn prepare(client: &Client, args: &Race) -> Result<(Course, Tally)> {
    let name = format!("RACE-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
    let mut warehouses = [String::new(), String::new()];
    for (number, id) in warehouses.iter_mut().enumerate() {
        let warehouse = json!({ "code": format!("{name}-{number}"), "name": "Scratch warehouse of a race" });
        *id = client.create("/api/v1/warehouses", &warehouse).await?;
    }
    let variant = async |what: &str, tracks_lots: bool| {
        let variant = json!({ "sku": format!("{name}-{what}"), "name": "Scratch variant of a race",
            "tracksLots": tracks_lots });
        client.create("/api/v1/variants", &variant).await
    };
    let mut variants = Vec::new();
    for number in 0..args.variants {
        variants.push(variant(&number.to_string(), false).await?);
    }
    let (in_lots, counted) = (variant("LOTS", true).await?, variant("COUNTED", false).await?);
    let begins_after = client.position();
    let plain = variants.iter().filter(|_| args.stock > 0);
    let plain = plain.map(|id| json!({ "variantId": id, "quantity": args.stock }));
    let mut lines: Vec<Value> = plain.collect();
    lines.extend(LOTS.map(|(code, expires_at)| {
        json!({ "variantId": in_lots, "lot": code, "expiresAt": expires_at, "quantity": args.stock.max(1) })
    }));
    lines.push(json!({ "variantId": counted, "quantity": args.stock.max(1) }));
    let inbound = json!({ "type": "INBOUND", "warehouseId": warehouses[0], "reasonCode": "PURCHASE",
        "lines": lines });
    let key = format!("{name}/opening");
    let answer = client
        .post("/api/v1/stock-events", &inbound, Some(&key), None)
        .await?;
    let taken = answer.body["lines"].as_array().filter(|_| answer.status == 201);
    let taken = taken.with_context(|| format!("the opening stock was not taken: {}", answer.body))?;
    for line in taken {
        variants.extend(line["lotId"].as_str().map(str::to_owned));
    }
    variants.push(counted);
    let course = Course {
        warehouses,
        numbers: variants.iter().cloned().zip(0..).collect(),
        variants,
        in_lots,
        name,
        begins_after,
    };
    let mut moves = Moves::new();
    for line in taken {
        let units = line["quantity"].as_i64().context("a line without quantity")?;
        moves.insert((course.variant_of(line)?, "supplier", "available"), units);
    }
    let mut tally = Tally::default();
    tally.accept("opening", key, Recorded { warehouse: 0, moves });
    Ok((course, tally))
}

async fn race_and_audit(
    client: &Client,
    course: &Arc<Course>,
    opening: Tally,
    args: &Race,
    seed: u64,
) -> Result<(Tally, Left)> {
    let mut total = opening;
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..args.clients {
        let (client, course, turns) = (client.clone(), course.clone(), args.requests);
        clients.spawn(async move { Racer::new(&client, &course, number, seed).run(turns).await });
    }
    while let Some(tally) = clients.join_next().await {
        total.add(tally.context("a client of the race broke off")??);
    }
    total.add(write_on_one_version(client, course, args.clients).await?);
    let left = audit(client, course, &total).await?;
    Ok((total, left))
}

async fn deactivate(client: &Client, course: &Course) -> Result<()> {
    let inactive = json!({ "active": false });
    for warehouse in &course.warehouses {
        client
            .patch(&format!("/api/v1/warehouses/{warehouse}"), &inactive)
            .await?;
    }
    let of_lots = course.lots();
    let variants = course.variants.iter().enumerate();
    let variants = variants.filter(|(number, _)| !of_lots.contains(number));
    for variant in variants.map(|(_, id)| id).chain([&course.in_lots]) {
        client
            .patch(&format!("/api/v1/variants/{variant}"), &inactive)
            .await?;
    }
    Ok(())
}

fn report(args: &Race, tally: &Tally, left: &Left, seed: u64) -> String {
    let mut report = format!(
        "{} clients, {} requests each, {} variants and {} lots with {} units each, 2 warehouses, seed {seed}\n\n\
         {:10}{:>10}{:>10}\n",
        args.clients,
        args.requests,
        args.variants,
        LOTS.len(),
        args.stock,
        "",
        "recorded",
        "refused",
    );
    let mut sums = [0, 0];
    let rows = ACTS.map(|act| (act, tally.count(act)));
    for (act, [recorded, refused]) in rows {
        sums = [sums[0] + recorded, sums[1] + refused];
        // Writing to a String cannot fail.
        let _ = writeln!(report, "{act:10}{recorded:>10}{refused:>10}");
    }
    let _ = writeln!(
        report,
        "{:10}{:>10}{:>10}\n\n{} units left at the warehouses and {} on the way\n\
         nothing oversold, every unit accounted for",
        "all", sums[0], sums[1], left.on_hand, left.in_transit,
    );
    report
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

    /// One of them, or none where there are none.
    fn choose<T: Copy>(&mut self, some: &[T]) -> Option<T> {
        let at = self.below(some.len() as u64) as usize;
        some.get(at).copied()
    }
}
