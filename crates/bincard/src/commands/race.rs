//! `bincard race`: many clients take the same stock at once, in every way there is, and afterwards every unit must be
//! accounted for.
//!
//! It works on a running server, on warehouses and variants that it makes for the purpose and deactivates at the end.
//! Users run it against their own installation; so do the tests.

mod audit;
mod client;
mod one_version;
mod racer;
mod tally;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use audit::{Left, audit};
use client::Client;
use one_version::write_on_one_version;
use racer::Racer;
use tally::{ACTS, Recorded, Tally};

/// Let many clients take the same stock at once, and check that every unit is accounted for.
///
/// They buy, sell, correct, undo, reserve, pick, pack, ship, release, and move goods between two warehouses.
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
    warehouses: [String; 2],
    variants: Vec<String>,
    /// Each variant's number, by its id.
    numbers: BTreeMap<String, usize>,
    /// Tells this race's idempotency keys from another's.
    name: String,
    /// The log's last position before the first event of the race.
    begins_after: u64,
}

impl Course {
    /// The number of the variant with an id.
    fn variant(&self, id: &Value) -> Result<usize> {
        let number = id.as_str().and_then(|id| self.numbers.get(id));
        number
            .copied()
            .with_context(|| format!("{id} is no variant of the race"))
    }

    /// Lines of a request.
    fn lines(&self, units: &BTreeMap<usize, i64>) -> Value {
        units
            .iter()
            .map(|(variant, units)| json!({ "variantId": self.variants[*variant], "quantity": units }))
            .collect()
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
    let course = Arc::new(prepare(&client, args).await.context("preparing the race")?);
    let raced = race_and_audit(&client, &course, args, seed).await;
    deactivate(&client, &course)
        .await
        .context("deactivating the race's warehouses and variants")?;
    let (tally, left) = raced.with_context(|| format!("the race with --seed {seed}"))?;
    Ok(report(args, &tally, &left, seed))
}

async fn prepare(client: &Client, args: &Race) -> Result<Course> {
    let name = format!("RACE-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
    let mut warehouses = [String::new(), String::new()];
    for (number, id) in warehouses.iter_mut().enumerate() {
        let warehouse = json!({ "code": format!("{name}-{number}"), "name": "Scratch warehouse of a race" });
        *id = client.create("/api/v1/warehouses", &warehouse).await?;
    }
    let mut variants = Vec::new();
    for number in 0..args.variants {
        let variant = json!({ "sku": format!("{name}-{number}"), "name": "Scratch variant of a race" });
        variants.push(client.create("/api/v1/variants", &variant).await?);
    }
    let numbers = variants.iter().cloned().zip(0..).collect();
    Ok(Course {
        warehouses,
        variants,
        numbers,
        name,
        begins_after: client.position(),
    })
}

async fn race_and_audit(
    client: &Client,
    course: &Arc<Course>,
    args: &Race,
    seed: u64,
) -> Result<(Tally, Left)> {
    let mut total = open(client, course, args).await?;
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

/// The opening stock, at the first of the warehouses.
async fn open(client: &Client, course: &Course, args: &Race) -> Result<Tally> {
    let mut tally = Tally::default();
    if args.stock == 0 {
        return Ok(tally);
    }
    let units: BTreeMap<usize, i64> = (0..course.variants.len())
        .map(|number| (number, args.stock))
        .collect();
    let inbound = json!({ "type": "INBOUND", "warehouseId": course.warehouses[0], "reasonCode": "PURCHASE",
        "lines": course.lines(&units) });
    let key = format!("{}/opening", course.name);
    let answer = client
        .post("/api/v1/stock-events", &inbound, Some(&key), None)
        .await?;
    ensure!(
        answer.status == 201,
        "the opening stock was not taken: {}",
        answer.body
    );
    let moves = units
        .into_iter()
        .map(|(number, units)| ((number, "supplier", "available"), units));
    let recorded = Recorded {
        warehouse: 0,
        moves: moves.collect(),
    };
    tally.accept("opening", key, recorded);
    Ok(tally)
}

async fn deactivate(client: &Client, course: &Course) -> Result<()> {
    let inactive = json!({ "active": false });
    for warehouse in &course.warehouses {
        client
            .patch(&format!("/api/v1/warehouses/{warehouse}"), &inactive)
            .await?;
    }
    for variant in &course.variants {
        client
            .patch(&format!("/api/v1/variants/{variant}"), &inactive)
            .await?;
    }
    Ok(())
}

fn report(args: &Race, tally: &Tally, left: &Left, seed: u64) -> String {
    let mut report = format!(
        "{} clients, {} requests each, {} variants with {} units each, 2 warehouses, seed {seed}\n\n\
         {:10}{:>10}{:>10}\n",
        args.clients, args.requests, args.variants, args.stock, "", "recorded", "refused",
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
