//! How fast nodes record over one log in PostgreSQL, every commit durable before anybody is answered, beside two things of
//! the same run and server: the rival's transactions, and nothing but the grouped insert of the same rows.
//!
//! Commands are INBOUND and OUTBOUND of one line with an idempotency key over 10,000 variants. `--small` runs a hundredth, as
//! a check.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bincard_benches::driving::{self, Requests, run_batched, run_single};
use bincard_benches::rival::{POSTGRES_SETTINGS, measure};
use bincard_benches::sampling::{Catalogue, Skew};
use bincard_engine::{Engine, Options};
use bincard_ledger::Request;
use bincard_store::postgres::Database;
use bincard_testkit::postgres::Postgres;
use hdrhistogram::Histogram;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

const RIVAL_TASKS: u32 = 32;

/// What is measured in every round, one after the other: what the machine does in between touches all alike.
const WORKS: &[Work] = &[
    Work::bare("bare insert, 1,024 rows a commit", 1_024),
    Work::nodes("one node, 4 callers × 1,024", 1, 1, 1_024, Skew::Even),
    Work::nodes("two nodes, one tenant", 2, 1, 1_024, Skew::Even),
    Work::nodes("one node, Zipf 2.0", 1, 1, 1_024, Skew::Zipf(2.0)),
    Work::nodes("two nodes, two tenants", 2, 2, 1_024, Skew::Even),
    Work::bare("bare insert, 8,192 rows a commit", 8_192),
    Work::nodes("one node, 4 callers × 8,192", 1, 1, 8_192, Skew::Even),
    Work::nodes("two nodes, one tenant, 8,192", 2, 1, 8_192, Skew::Even),
    Work::bare("bare insert, 1 row a commit", 1),
    Work::callers("one node, 1 caller", 1),
    Work::bare("bare insert, 64 rows a commit", 64),
    Work::callers("one node, 64 callers", 64),
    Work::callers("one node, 256 callers", 256),
];

struct Work {
    name: &'static str,
    what: What,
}

enum What {
    /// Nothing but inserts of so many rows a commit.
    Bare(usize),
    /// So many nodes over so many tenants, with four callers each that send batches.
    Nodes {
        nodes: usize,
        tenants: usize,
        batch: usize,
        skew: Skew,
    },
    /// One node and callers that send one command at a time.
    Callers(usize),
}

impl Work {
    const fn bare(name: &'static str, rows: usize) -> Work {
        let what = What::Bare(rows);
        Work { name, what }
    }

    const fn nodes(name: &'static str, nodes: usize, tenants: usize, batch: usize, skew: Skew) -> Work {
        let what = What::Nodes {
            nodes,
            tenants,
            batch,
            skew,
        };
        Work { name, what }
    }

    const fn callers(name: &'static str, callers: usize) -> Work {
        let what = What::Callers(callers);
        Work { name, what }
    }
}

/// Each work's figure over that of another one of the same round.
const RATIOS: &[(usize, usize, &str)] = &[
    (1, 0, "one node of the bare insert, 1,024"),
    (6, 5, "one node of the bare insert, 8,192"),
    (2, 1, "two nodes on one tenant of one node"),
    (7, 6, "two nodes on one tenant of one node, 8,192"),
    (3, 1, "one node, Zipf 2.0 of even"),
    (4, 1, "two nodes on two tenants of one node"),
];
/// p99 of callers over a commit's time, at this quantile, of the same round.
const LATENCY_RATIOS: &[(usize, usize, f64, &str)] = &[
    (9, 8, 0.99, "p99 of 1 caller in p99 of commits of 1 row"),
    (11, 10, 0.99, "p99 of 64 callers in p99 of commits of 64 rows"),
    (11, 10, 0.5, "p99 of 64 callers in p50 of commits of 64 rows"),
    (11, 8, 0.99, "p99 of 64 callers in p99 of commits of 1 row"),
];

fn main() -> Result<()> {
    let is_small = std::env::args().any(|arg| arg == "--small" || arg == "--test");
    let (rounds, commands, singles) = if is_small {
        (1, 8_192, 10)
    } else {
        // Many enough for a node's first steps, such as connecting, not to count.
        (5, 400_000, 2_000)
    };
    let bench = Bench::start(Duration::from_millis(if is_small { 100 } else { 4_000 }))?;
    let rival = bench.rival()?;
    println!("rival, {RIVAL_TASKS} tasks: {rival:.0}/s");
    let mut figures: Vec<Vec<Measured>> = Vec::new();
    for _ in 0..rounds {
        let of_round = WORKS.iter().map(|work| match work.what {
            What::Bare(rows) => bench.bare_insert(rows, commands.min(rows * singles)),
            What::Nodes {
                nodes,
                tenants,
                batch,
                skew,
            } => bench.engine_rate(nodes, tenants, batch, commands, skew),
            What::Callers(callers) => bench.single_rate(callers, singles.min(commands / callers)),
        });
        figures.push(of_round.collect::<Result<_>>()?);
    }
    println!("| work, median of {rounds} rounds | per second | × rival | p50 ms | p99 ms |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for (at, work) in WORKS.iter().enumerate() {
        let of = |figure: fn(&Measured) -> f64| median(figures.iter().map(|round| figure(&round[at])));
        let rate = of(|measured| measured.per_second);
        println!(
            "| {} | {rate:.0} | {:.1} | {:.2} | {:.2} |",
            work.name,
            rate / rival,
            of(|measured| measured.millis_at(0.5)),
            of(|measured| measured.millis_at(0.99)),
        );
    }
    println!();
    println!("| ratio | median | each round |");
    println!("| --- | ---: | --- |");
    for (over, under, name) in RATIOS {
        print_ratio(name, &figures, |round| {
            round[*over].per_second / round[*under].per_second
        });
    }
    for (over, under, quantile, name) in LATENCY_RATIOS {
        print_ratio(name, &figures, |round| {
            round[*over].millis_at(0.99) / round[*under].millis_at(*quantile)
        });
    }
    Ok(())
}

fn print_ratio(name: &str, figures: &[Vec<Measured>], ratio: impl Fn(&[Measured]) -> f64) {
    let ratios: Vec<f64> = figures.iter().map(|round| ratio(round)).collect();
    let each: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    println!("| {name} | {:.2} | {} |", median(ratios), each.join(", "));
}

fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

struct Measured {
    per_second: f64,
    latencies: Histogram<u64>,
}

impl Measured {
    fn millis_at(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1e6
    }
}

struct Bench {
    postgres: Postgres,
    turn: Duration,
}

impl Bench {
    fn start(turn: Duration) -> Result<Bench> {
        let postgres = Postgres::start_with(POSTGRES_SETTINGS)?;
        Ok(Bench { postgres, turn })
    }

    fn rival(&self) -> Result<f64> {
        let runtime = tokio::runtime::Runtime::new().context("cannot start a runtime")?;
        let catalogue = Catalogue::made_up(driving::VARIANTS as usize);
        let figure = measure::in_process(self.turn, &self.postgres, &catalogue, RIVAL_TASKS, Skew::Even);
        Ok(runtime.block_on(figure)?.per_second)
    }

    /// A database that is empty, and checkpoints that are over.
    fn database(&self) -> Result<String> {
        let name = "joint";
        self.run_sql("postgres", &format!("drop database if exists {name}"))?;
        self.run_sql("postgres", &format!("create database {name}"))?;
        self.run_sql("postgres", "checkpoint")?;
        let url = self.postgres.socket_url(name);
        Database::connect(&url)?.migrate()?;
        Ok(url)
    }

    fn run_sql(&self, database: &str, sql: &str) -> Result<()> {
        let url = self.postgres.socket_url(database);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let mut connection = PgConnection::connect(&url).await?;
            connection
                .execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())))
                .await?;
            Ok(connection.close().await?)
        })
    }

    /// Rows a second of one connection that does nothing but insert such rows as the log has, so many a commit.
    fn bare_insert(&self, batch: usize, rows: usize) -> Result<Measured> {
        let url = self.database()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let mut connection = PgConnection::connect(&url).await?;
            connection.execute("set search_path = bincard_log").await?;
            let record = [7u8; 57];
            let records = vec![record.as_slice(); batch];
            let mut latencies = Histogram::new(3)?;
            let (started, mut position) = (Instant::now(), 0);
            while position < rows {
                let asked = Instant::now();
                let keys: Vec<uuid::Uuid> = (0..batch).map(|_| uuid::Uuid::new_v4()).collect();
                let mut tx = connection.begin().await?;
                sqlx::query(
                    "insert into events (ledger, position, stream, version, key, crc, record)
                     select 1, $1 + place, 1, $1 + place, key, 7, record
                     from unnest($2::uuid[], $3::bytea[]) with ordinality as rows (key, record, place)",
                )
                .bind(position as i64)
                .bind(&keys)
                .bind(&records)
                .execute(&mut *tx)
                .await?;
                tx.commit().await?;
                latencies.record(asked.elapsed().as_nanos() as u64)?;
                position += batch;
            }
            let per_second = position as f64 / started.elapsed().as_secs_f64();
            connection.close().await?;
            Ok(Measured {
                per_second,
                latencies,
            })
        })
    }

    /// Opens so many nodes over so many tenants, each with warehouse and stock.
    fn nodes(&self, nodes: usize, tenants: usize) -> Result<Vec<Engine>> {
        let url = self.database()?;
        let open = |node: usize| {
            let tenant = format!("tenant-{}", node % tenants);
            let engine = Engine::open_in(&Database::connect(&url)?, &tenant, Options::default())?;
            if node < tenants {
                driving::furnish(&engine.ledger())?;
            }
            anyhow::Ok(engine)
        };
        (0..nodes).map(open).collect()
    }

    /// Commands a second of all nodes together, four callers a node.
    fn engine_rate(
        &self,
        nodes: usize,
        tenants: usize,
        batch: usize,
        commands: usize,
        skew: Skew,
    ) -> Result<Measured> {
        let engines = self.nodes(nodes, tenants)?;
        let requests = Requests::of(skew);
        let mut work: Vec<Vec<Vec<Vec<Request>>>> = Vec::new();
        let mut all = requests.batches(4 * nodes, batch, commands).into_iter();
        for _ in 0..nodes {
            work.push(all.by_ref().take(4).collect());
        }
        let started = Instant::now();
        let done = std::thread::scope(|scope| {
            let running: Vec<_> = engines
                .iter()
                .zip(work)
                .map(|(engine, work)| scope.spawn(move || run_batched(&engine.ledger(), work)))
                .collect();
            let joined = running
                .into_iter()
                .map(|node| node.join().map_err(|_| anyhow::anyhow!("a node panicked"))?);
            joined.collect::<Result<Vec<_>>>()
        })?;
        let took = started.elapsed().as_secs_f64();
        let mut latencies = Histogram::new(3)?;
        let mut accepted = 0;
        for (count, of_node) in done {
            accepted += count;
            latencies.add(of_node)?;
        }
        engines.into_iter().for_each(Engine::close);
        Ok(Measured {
            per_second: accepted as f64 / took,
            latencies,
        })
    }

    fn single_rate(&self, callers: usize, each: usize) -> Result<Measured> {
        let engine = self.nodes(1, 1)?.remove(0);
        let requests = Requests::of(Skew::Even);
        let work = (0..callers)
            .map(|caller| requests.for_caller(caller, each))
            .collect();
        let started = Instant::now();
        let (count, latencies) = run_single(&engine.ledger(), work)?;
        let per_second = count as f64 / started.elapsed().as_secs_f64();
        engine.close();
        Ok(Measured {
            per_second,
            latencies,
        })
    }
}
