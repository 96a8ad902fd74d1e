//! How fast the views catch up with a log, are rebuilt, reconciled and read.
//!
//! `cargo bench -p bincard-projections`; the environment sets `BENCH_EVENTS`, `BENCH_SKUS` and `BENCH_WAREHOUSES`,
//! and with `BENCH_POSTGRES=1` the views are kept in a PostgreSQL of their own as well.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bincard_ledger::codec::Body;
use bincard_ledger::{
    CatalogueEvent, Event, Kind, LedgerId, Position, Posting, Reason, Record, StockEvent, Timestamp,
    VariantNo, Version, WarehouseNo,
};
use bincard_projections::history::{AsOf, EventFilter, EventSort, EventStart};
use bincard_projections::postgres::Database;
use bincard_projections::reconcile::{self, Asked, Phase, Reconciler, RunState};
use bincard_projections::stock::{StockFilter, StockKey};
use bincard_projections::{Place, Projector, Slice, ViewName, Views};
use bincard_store::Reader;
use bincard_store::disk::RealDisk;
use bincard_store::segment::{Appender, Log, Options};
use bincard_testkit::postgres::Postgres;
use smallvec::smallvec;
use uuid::Uuid;

/// 2025-01-01T00:00:00Z.
const START_MICROS: i64 = 1_735_689_600_000_000;
/// One event every so many microseconds: 10 million span 116 days.
const STEP_MICROS: i64 = 1_000_000;
const COMMIT_EVENTS: u32 = 4_096;

fn setting(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .with_context(|| format!("{name} is not a number: {text}")),
        Err(_) => Ok(default),
    }
}

struct Writer {
    appender: Appender,
    body: Body,
    versions: Vec<u64>,
    position: u64,
}

impl Writer {
    fn push(&mut self, event: Event) -> Result<()> {
        let stream = event.stream().code() as usize;
        self.versions[stream] += 1;
        let version = Version(self.versions[stream]);
        self.body.push(&Record {
            version,
            author: Uuid::nil(),
            on_behalf_of: None,
            key: None,
            event,
        });
        self.position += 1;
        if self.body.count() == COMMIT_EVENTS {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<()> {
        self.appender.commit(&self.body)?;
        self.body.clear(self.now());
        Ok(())
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_micros(START_MICROS + self.position as i64 * STEP_MICROS)
    }
}

/// The CPU time of this process, in seconds; 0 where it is not told. On a busy machine it says more than the clock.
fn cpu_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    ticks / TICKS_PER_SECOND
}

fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn stock_event(position: u64, warehouse: u64, variant: u64, kind: Kind, quantity: i64) -> Event {
    let (from, to) = kind.flow().expect("a kind whose lines say it");
    Event::Stock(StockEvent {
        kind,
        warehouse: WarehouseNo(warehouse as u32),
        occurred_at: Timestamp::from_micros(START_MICROS + position as i64 * STEP_MICROS),
        reason: (kind == Kind::Outbound).then_some(Reason::Sale),
        order: None,
        transfer: None,
        expires_at: None,
        about: None,
        noted: Vec::new(),
        counterpart: None,
        count: None,
        postings: smallvec![Posting {
            variant: VariantNo(variant as u32),
            from,
            to,
            quantity,
            reservation: None
        }],
        notes: None,
    })
}

fn write_log(writer: &mut Writer, events: u64, skus: u64, warehouses: u64) -> Result<()> {
    for no in 1..=warehouses as u32 {
        let (no, code, name) = (WarehouseNo(no), format!("WH-{no}").into(), "Warehouse".into());
        writer.push(Event::Catalogue(CatalogueEvent::WarehouseCreated {
            no,
            code,
            name,
        }))?;
    }
    for no in 1..=skus as u32 {
        let (no, sku, name) = (
            VariantNo(no),
            format!("SKU-{no:06}").into(),
            format!("Thing {no}").into(),
        );
        let event = CatalogueEvent::VariantCreated {
            tracks_lots: false,
            no,
            sku,
            name,
            product: None,
            expires_at: None,
        };
        writer.push(Event::Catalogue(event))?;
    }
    let mut state = 7;
    for _ in 0..events {
        let (warehouse, variant) = (random(&mut state) % warehouses + 1, random(&mut state) % skus + 1);
        let kind = if random(&mut state).is_multiple_of(3) {
            Kind::Inbound
        } else {
            Kind::Outbound
        };
        writer.push(stock_event(
            writer.position,
            warehouse,
            variant,
            kind,
            (random(&mut state) % 20 + 1) as i64,
        ))?;
    }
    writer.flush()
}

async fn timed<T, F: Future<Output = T>>(what: &str, times: u32, mut run: impl FnMut(u32) -> F) {
    let mut took: Vec<Duration> = Vec::new();
    for time in 0..times {
        let start = Instant::now();
        run(time).await;
        took.push(start.elapsed());
    }
    took.sort_unstable();
    println!(
        "{what}: median {:?} of {times}, slowest {:?}",
        took[took.len() / 2],
        took[took.len() - 1]
    );
}

async fn read(views: &Views, events: u64, skus: u64) -> Result<()> {
    let now = Timestamp::from_micros(START_MICROS);
    let key = |n: u64| StockKey {
        warehouse: WarehouseNo(1),
        variant: VariantNo((n % skus) as u32 + 1),
    };
    let start = Instant::now();
    let reads = 1_000_000;
    let mut found = 0;
    for n in 0..reads {
        found += u64::from(views.stock_row(key(n), now)?.value.is_some());
    }
    println!(
        "stock, one row from memory: {:.0}/s ({found} found)",
        reads as f64 / start.elapsed().as_secs_f64()
    );
    let one = Slice {
        after: None,
        skip: 0,
        limit: 1,
        with_total: false,
    };
    timed("stock, one row through SQL", 2_000, |n| {
        let filter = StockFilter {
            in_lots: false,
            warehouses: Some(vec![WarehouseNo(1)]),
            variant: Some(key(u64::from(n)).variant),
        };
        async move { views.stock_page(&filter, one, now).await.map(|_| ()) }
    })
    .await;
    let page = Slice {
        after: None,
        skip: 0,
        limit: 50,
        with_total: true,
    };
    timed("stock, page of 50 with total", 200, |_| {
        views.stock_page(
            const {
                &StockFilter {
                    in_lots: false,
                    warehouses: None,
                    variant: None,
                }
            },
            page,
            now,
        )
    })
    .await;
    let past = AsOf {
        as_of: Some(Timestamp::from_micros(
            START_MICROS + events as i64 / 2 * STEP_MICROS,
        )),
        known_at: None,
    };
    timed("stock as of, one key", 500, |n| {
        views.stock_as_of(key(u64::from(n)), past)
    })
    .await;
    let past = AsOf {
        as_of: None,
        known_at: past.as_of,
    };
    timed("stock known at, one key", 500, |n| {
        views.stock_as_of(key(u64::from(n)), past)
    })
    .await;
    let past = AsOf {
        as_of: past.known_at,
        known_at: past.known_at,
    };
    timed("stock as of and known at, one key", 500, |n| {
        views.stock_as_of(key(u64::from(n)), past)
    })
    .await;

    let all = EventFilter::default();
    let sort = EventSort::default();
    timed("events, first page of 20 with total", 200, |_| {
        views.events(&all, sort, EventStart::Skip(0), 20, true)
    })
    .await;
    timed("events, first page of 20", 500, |_| {
        views.events(&all, sort, EventStart::Skip(0), 20, false)
    })
    .await;
    let deep = views
        .events(
            &all,
            sort,
            EventStart::Skip((events / 50).min(200_000)),
            20,
            false,
        )
        .await?;
    if let Some(cursor) = deep.value.next {
        timed("events, ten-thousandth page of 20 by cursor", 500, |_| {
            views.events(&all, sort, EventStart::After(cursor), 20, false)
        })
        .await;
    }
    timed("events, ten-thousandth page of 20 by number", 20, |_| {
        views.events(&all, sort, EventStart::Skip(200_000), 20, true)
    })
    .await;
    let rare = EventFilter {
        kinds: Some(vec![Kind::Hold]),
        ..EventFilter::default()
    };
    timed("events, a kind that never occurred, with total", 20, |_| {
        views.events(&rare, sort, EventStart::Skip(0), 20, true)
    })
    .await;
    let sold = EventFilter {
        reason: Some(Reason::Sale),
        warehouses: Some(vec![WarehouseNo(1)]),
        ..EventFilter::default()
    };
    timed("events, by reason and warehouse, with total", 50, |_| {
        views.events(&sold, sort, EventStart::Skip(0), 20, true)
    })
    .await;
    let variant = EventFilter {
        variant: Some(VariantNo(1)),
        ..EventFilter::default()
    };
    timed("events of a variant, with total", 200, |_| {
        views.events(&variant, sort, EventStart::Skip(0), 20, true)
    })
    .await;
    Ok(())
}

/// A reconciliation: how fast the log is read and folded, and how fast rows are compared.
async fn reconcile(reconciler: &Reconciler, head: Position) -> Result<()> {
    let reconciliations = reconciler.reconciliations();
    let began_at = Instant::now();
    let id = reconciliations.start(&Asked::default()).await?;
    let mut folded_after = None;
    let run = loop {
        let (run, progress) = reconciliations.run(id).await?.context("the run is gone")?;
        if run.state.is_over() {
            break run;
        }
        if progress.is_some_and(|progress| progress.phase != Phase::Replaying) {
            folded_after.get_or_insert_with(|| began_at.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    anyhow::ensure!(run.state == RunState::Agrees, "{run:?}");
    let (whole, folding) = (began_at.elapsed(), folded_after.unwrap_or_default());
    let rows: u64 = run.compared.iter().map(|one| one.rows).sum();
    println!(
        "reconciled: {:.0} events/s read and folded ({folding:.2?}), {:.0} rows/s compared ({:.2?})",
        head.0 as f64 / folding.as_secs_f64(),
        rows as f64 / (whole - folding).as_secs_f64(),
        whole - folding
    );
    Ok(())
}

/// All views caught up in a PostgreSQL of its own, and the history, which has a row a movement, built alone.
async fn in_postgres(reader: Reader, movements: u64) -> Result<()> {
    let server = Postgres::start()?;
    let database = Database::new(&server.socket_url("postgres"))?;
    database.migrate()?;
    let head = reader.head().position;
    let start = Instant::now();
    let place = Place::Postgres {
        database,
        feeds: true,
        scratch: std::env::temp_dir(),
    };
    let projector = Projector::open(place, reader)?;
    let views = projector.views().clone();
    let long = Duration::from_secs(3_600);
    views.wait_for(&ViewName::ALL, head, long).await?;
    let rate = |start: Instant| movements as f64 / start.elapsed().as_secs_f64();
    println!(
        "in PostgreSQL: all views caught up, {:.0} movements/s",
        rate(start)
    );
    let start = Instant::now();
    views.rebuild(ViewName::History).await?.finished().await?;
    println!("in PostgreSQL: history rebuilt, {:.0} movements/s", rate(start));
    projector.close();
    Ok(())
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let (events, skus, warehouses) = (
        setting("BENCH_EVENTS", 1_000_000)?,
        setting("BENCH_SKUS", 10_000)?,
        setting("BENCH_WAREHOUSES", 1)?,
    );
    let folder = tempfile::Builder::new()
        .prefix("bincard-views-")
        .tempdir_in("/var/tmp")?;
    let options = Options {
        ledger: Some(LedgerId([7; 16])),
        ..Options::default()
    };
    let opened = Log::open(Arc::new(RealDisk), &folder.path().join("log"), options)?;
    let body = Body::new(Timestamp::from_micros(START_MICROS));
    let mut writer = Writer {
        appender: opened.appender,
        body,
        versions: vec![0; warehouses as usize + 1],
        position: 0,
    };
    write_log(&mut writer, events, skus, warehouses)?;
    let head = writer.appender.head().position;
    println!("{events} single-line events over {skus} SKUs at {warehouses} warehouses, head {head}");

    let (start, cpu) = (Instant::now(), cpu_seconds());
    let projector = Projector::open(&folder.path().join("views"), opened.reader.clone().into())?;
    let views = projector.views().clone();
    views
        .wait_for(&ViewName::ALL, head, Duration::from_secs(3_600))
        .await?;
    let took = start.elapsed();
    let rate = head.0 as f64 / took.as_secs_f64();
    let each = (cpu_seconds() - cpu) / head.0 as f64 * 1e6;
    println!("all views caught up: {rate:.0} events/s ({took:.2?}), {each:.2} µs of CPU an event");

    if setting("BENCH_POSTGRES", 0)? > 0 {
        in_postgres(opened.reader.clone().into(), events).await?;
    }
    for view in ViewName::ALL {
        let start = Instant::now();
        views.rebuild(view).await?.finished().await?;
        println!(
            "{view} rebuilt: {:.0} events/s ({:.2?})",
            head.0 as f64 / start.elapsed().as_secs_f64(),
            start.elapsed()
        );
    }
    let start = Timestamp::from_micros(START_MICROS);
    let options = reconcile::Options {
        clock: Arc::new(move || start),
        audit_every: None,
        correct: None,
    };
    let reconciler = Reconciler::open(
        folder.path(),
        &folder.path().join("views"),
        opened.reader.clone().into(),
        options,
    )?;
    reconcile(&reconciler, head).await?;
    reconciler.close();
    read(&views, events, skus).await?;

    let mut latencies = Vec::new();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(60)).await;
        let event = stock_event(writer.position, 1, 1, Kind::Inbound, 1);
        writer.push(event)?;
        writer.flush()?;
        let start = Instant::now();
        views
            .wait_for(&ViewName::ALL, Position(writer.position), Duration::from_secs(5))
            .await?;
        latencies.push(start.elapsed());
    }
    latencies.sort_unstable();
    println!(
        "a single event in all views after {:?} (median), {:?} (slowest of 100)",
        latencies[50], latencies[99]
    );
    let size: u64 = std::fs::read_dir(folder.path().join("views"))?
        .filter_map(|file| file.ok()?.metadata().ok())
        .map(|meta| meta.len())
        .sum();
    println!(
        "{:.0} bytes an event on disk in the views",
        size as f64 / head.0 as f64
    );
    tokio::task::spawn_blocking(move || projector.close()).await?;
    Ok(())
}
