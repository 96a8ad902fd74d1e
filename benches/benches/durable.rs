//! How fast the engine records: through the queue, the writer, and the segment log with every commit durable before
//! anybody is answered.
//!
//! First an order's steps, each beside as many plain OUTBOUNDs; then single requests, each caller sending its next when the
//! last is answered; then batches, each row beside a turn of the rival without HTTP. Commands are INBOUND and OUTBOUND of
//! one line with an idempotency key, over 10,000 variants taken evenly. Making the batches is not counted; everything from
//! handing them over to having all answers is. `--small` runs a hundredth, as a check; `orders`, `single` or `batched` runs
//! one part.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bincard_benches::driving::{self, Requests, VARIANTS, moves, run_batched, run_single};
use bincard_benches::rival::{POSTGRES_SETTINGS, measure};
use bincard_benches::sampling::{Catalogue, Skew};
use bincard_engine::{Engine, Ledger, Options};
use bincard_ledger::command::KeySpace;
use bincard_ledger::{Command, IdempotencyKey, Kind, Request};
use bincard_testkit::postgres::Postgres;
use hdrhistogram::Histogram;
use uuid::Uuid;

const CALLERS: [usize; 6] = [1, 16, 64, 256, 1_024, 4_096];
/// Callers and the size of their batches: at least one caller more than is decided and one more than is committed at a
/// time; small batches from so many that the writer does not wait for them.
const BATCHES: [(usize, usize); 4] = [(4, 256), (4, 1_024), (16, 1_024), (4, 8_192)];
/// What runs the rival's transactions at once: of 8 and 32, what it is fastest with.
const RIVAL_TASKS: usize = 32;
/// Callers and the size of their batches where an order's steps are measured.
const ORDER_BATCHES: (usize, usize) = (4, 256);
/// Slices of a step that take turns with as many OUTBOUNDs.
const ORDER_SLICES: usize = 8;

fn main() -> Result<()> {
    let small = std::env::args().any(|arg| arg == "--small" || arg == "--test");
    let (single, batched, orders) = if small {
        (300, 20_000, 10_000)
    } else {
        (60_000, 2_000_000, 400_000)
    };
    let parts = ["single", "batched", "orders"];
    let wants = |part| !std::env::args().any(|arg| parts.contains(&&*arg) && arg != part);
    if wants("orders") {
        print_orders(orders)?;
    }
    if !wants("single") && !wants("batched") {
        return Ok(());
    }
    println!(
        "| callers | batch | commands/s | × rival | p50 µs | p99 µs | p99.9 µs | commands/commit | bytes/event |"
    );
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let even = Requests::of(Skew::Even);
    for callers in CALLERS.into_iter().filter(|_| wants("single")) {
        let each = (single * callers.min(64) / 16 / callers).max(2);
        let bench = Bench::open()?;
        let requests = (0..callers).map(|caller| even.for_caller(caller, each)).collect();
        bench.print(callers, 1, None, |ledger| run_single(ledger, requests))?;
    }
    if !wants("batched") {
        return Ok(());
    }
    let rival = Rival::start(Duration::from_millis(if small { 100 } else { 4_000 }))?;
    for (callers, batch) in BATCHES {
        let bench = Bench::open()?;
        let batches = even.batches(callers, batch, batched);
        let before = rival.per_second()?;
        bench.print(callers, batch, Some(before), |ledger| {
            run_batched(ledger, batches)
        })?;
    }
    Ok(())
}

/// Reserves, picks, packs and ships `count` orders of one line, each step in slices that take turns with as many plain
/// OUTBOUNDs.
fn print_orders(count: usize) -> Result<()> {
    let (callers, batch) = ORDER_BATCHES;
    let bench = Bench::open()?;
    let ledger = bench.engine.ledger();
    println!("| step, {callers} callers × {batch} | commands/s | OUTBOUND beside it | × OUTBOUND |");
    println!("| --- | ---: | ---: | ---: |");
    let each = (count / ORDER_SLICES / callers / batch).max(1);
    let a_slice = each * callers * batch;
    let mut sold = 0;
    let took = |kind: Kind, first: usize| -> Result<Duration> {
        let batches = |caller: usize| {
            let first = |n: usize| first + (caller * each + n) * batch;
            let requests = |n| {
                (first(n)..first(n) + batch)
                    .map(|order| step(kind, order))
                    .collect()
            };
            (0..each).map(requests).collect()
        };
        let batches: Vec<Vec<Vec<Request>>> = (0..callers).map(batches).collect();
        let started = Instant::now();
        let (accepted, _) = run_batched(&ledger, batches)?;
        let took = started.elapsed();
        ensure!(
            accepted == a_slice as u64,
            "{kind}: {accepted} of {a_slice} were accepted"
        );
        Ok(took)
    };
    for kind in [Kind::Reservation, Kind::Pick, Kind::Pack, Kind::Ship] {
        let (mut of_step, mut beside) = (Duration::ZERO, Duration::ZERO);
        for slice in 0..ORDER_SLICES {
            beside += took(Kind::Outbound, sold)?;
            sold += a_slice;
            of_step += took(kind, slice * a_slice)?;
        }
        let rate = |took: Duration| (ORDER_SLICES * a_slice) as f64 / took.as_secs_f64();
        let (rate, beside) = (rate(of_step), rate(beside));
        println!("| {kind} | {rate:.0} | {beside:.0} | {:.2} |", rate / beside);
    }
    println!();
    drop(ledger);
    bench.engine.close();
    bench.folder.close().context("removing the scratch folder")
}

/// What an order's step of one line asks for, with a key.
fn step(kind: Kind, order: usize) -> Request {
    let mut command = moves(kind, (order % VARIANTS as usize) as u32 + 1, 1);
    if let Command::Stock(command) = &mut command
        && kind.needs_order()
    {
        command.order = Some(format!("order-{order}").into());
    }
    let text = format!("{kind}-{order:08x}").into();
    let space = KeySpace::Caller;
    Request {
        command,
        author: Uuid::nil(),
        on_behalf_of: None,
        key: Some(IdempotencyKey { space, text }),
    }
}

/// The same work done by hand on PostgreSQL, to be held against.
struct Rival {
    runtime: tokio::runtime::Runtime,
    postgres: Postgres,
    catalogue: Catalogue,
    turn: Duration,
}

impl Rival {
    fn start(turn: Duration) -> Result<Rival> {
        Ok(Rival {
            runtime: tokio::runtime::Runtime::new().context("cannot start a runtime")?,
            postgres: Postgres::start_with(POSTGRES_SETTINGS)?,
            catalogue: Catalogue::made_up(VARIANTS as usize),
            turn,
        })
    }

    /// Its events a second now.
    fn per_second(&self) -> Result<f64> {
        let Rival {
            runtime,
            postgres,
            catalogue,
            turn,
        } = self;
        let figure = measure::in_process(*turn, postgres, catalogue, RIVAL_TASKS as u32, Skew::Even);
        Ok(runtime.block_on(figure)?.per_second)
    }
}

struct Bench {
    engine: Engine,
    folder: tempfile::TempDir,
}

impl Bench {
    fn open() -> Result<Bench> {
        // Beside the target folder: the system's temporary folder may be memory, where nothing is durable.
        let folder = bincard_testkit::scratch::folder("durable").context("a scratch folder")?;
        let engine = Engine::open(folder.path(), Options::default())?;
        driving::furnish(&engine.ledger())?;
        Ok(Bench { engine, folder })
    }

    fn print(
        self,
        callers: usize,
        batch: usize,
        rival: Option<f64>,
        run: impl FnOnce(&Ledger) -> Result<(u64, Histogram<u64>)>,
    ) -> Result<()> {
        let ledger = self.engine.ledger();
        let commits_before = ledger.status().head.commit;
        let bytes_before = ledger.figures().commit_bytes();
        let started = Instant::now();
        let (commands, latencies) = run(&ledger)?;
        let took = started.elapsed();
        let status = ledger.status();
        let events = status.head.position.0 - 1 - 2 * u64::from(VARIANTS);
        ensure!(
            events == commands,
            "{commands} commands were accepted, {events} events recorded"
        );
        let micros = |quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
        let (p50, p99, p999) = (micros(0.5), micros(0.99), micros(0.999));
        let rate = commands as f64 / took.as_secs_f64();
        let per_commit = commands as f64 / (status.head.commit - commits_before) as f64;
        let record_bytes = (ledger.figures().commit_bytes() - bytes_before) as f64 / commands as f64;
        let ratio = rival.map_or_else(String::new, |rival| {
            format!("{:.0} (of {rival:.0})", rate / rival)
        });
        println!(
            "| {callers} | {batch} | {rate:.0} | {ratio} | {p50:.0} | {p99:.0} | {p999:.0} | {per_commit:.0} | {record_bytes:.0} |"
        );
        drop(ledger);
        self.engine.close();
        self.folder.close().context("removing the scratch folder")
    }
}
