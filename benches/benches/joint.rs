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

fn main() -> Result<()> {
    let is_small = std::env::args().any(|arg| arg == "--small" || arg == "--test");
    let (commands, singles) = if is_small { (8_192, 10) } else { (200_000, 400) };
    let bench = Bench::start(Duration::from_millis(if is_small { 100 } else { 4_000 }))?;
    let rival = bench.rival()?;
    println!("rival, {RIVAL_TASKS} tasks: {rival:.0}/s");
    println!("| what | per second | × rival | × bare | p50 ms | p99 ms |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for batch in [1_024, 8_192] {
        let bare = bench.bare_insert(batch, commands)?;
        println!(
            "| bare insert, {batch} rows | {bare:.0} | {:.1} | 1 | | |",
            bare / rival
        );
        let one = bench.engine_rate(1, 1, batch, commands, Skew::Even)?;
        one.print(&format!("one node, 4 callers × {batch}"), rival, Some(bare));
    }
    let one = bench.engine_rate(1, 1, 1_024, commands, Skew::Even)?;
    one.print("one node again, 4 × 1,024", rival, None);
    bench
        .engine_rate(2, 1, 1_024, commands, Skew::Even)?
        .print("two nodes, one tenant", rival, None);
    bench
        .engine_rate(1, 1, 1_024, commands, Skew::Zipf(2.0))?
        .print("one node, Zipf 2.0", rival, None);
    bench
        .engine_rate(2, 2, 1_024, commands, Skew::Even)?
        .print("two nodes, two tenants", rival, None);
    let commit = bench.bare_insert(1, singles.max(10))?;
    println!(
        "| bare commit of one row | {commit:.0} | | | {:.2} | |",
        1e3 / commit
    );
    for callers in [1, 64, 256] {
        bench
            .single_rate(callers, singles)?
            .print(&format!("one node, {callers} callers"), rival, None);
    }
    Ok(())
}

struct Measured {
    per_second: f64,
    latencies: Histogram<u64>,
}

impl Measured {
    fn print(&self, name: &str, rival: f64, bare: Option<f64>) {
        let rate = self.per_second;
        let of_bare = bare.map_or_else(String::new, |bare| format!("{:.2}", rate / bare));
        let ms = |quantile| self.latencies.value_at_quantile(quantile) as f64 / 1e6;
        let (p50, p99) = (ms(0.5), ms(0.99));
        println!(
            "| {name} | {rate:.0} | {:.1} | {of_bare} | {p50:.2} | {p99:.2} |",
            rate / rival
        );
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
    fn bare_insert(&self, batch: usize, rows: usize) -> Result<f64> {
        let url = self.database()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let mut connection = PgConnection::connect(&url).await?;
            connection.execute("set search_path = bincard_log").await?;
            let record = [7u8; 57];
            let records = vec![record.as_slice(); batch];
            let (started, mut position) = (Instant::now(), 0);
            while position < rows {
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
                position += batch;
            }
            let rate = position as f64 / started.elapsed().as_secs_f64();
            connection.close().await?;
            Ok(rate)
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
