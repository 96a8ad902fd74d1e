//! Measures the rival: its transaction alone, then over HTTP beside the bare handler.

use super::{Audit, POSTGRES_SETTINGS, Posted, Rival};
use crate::figures::{Figure, Figures};
use crate::sampling::{Catalogue, Movement, Movements, RankSampler, RequestWriter, Skew};
use crate::wire::{CreateStockEvent, Kind, NewLine, Reason};
use crate::{Size, peers};
use anyhow::{Context as _, ensure};
use bincard_testkit::load::{Load, Outcome, Until, latency_histogram};
use bincard_testkit::postgres::Postgres;
use bincard_testkit::process;
use hdrhistogram::Histogram;
use std::path::Path;
use std::time::{Duration, Instant};

/// So much is on hand of everything at first that a full run does not sell it out.
const ON_HAND_AT_FIRST: i64 = 1_000_000;
const TARGET: &str = "/api/v1/stock-events";

/// What one run of transactions without HTTP has measured.
#[derive(Debug, Clone)]
pub struct InProcess {
    /// Recorded events.
    pub created: u64,
    /// Refused requests.
    pub refused: u64,
    /// From the first begin to the last answer.
    pub wall: Duration,
    /// Latencies of all requests.
    pub latencies_ns: Histogram<u64>,
}

/// The names of the rows that others compare with: the rival's best without HTTP and over HTTP, on even load.
pub const IN_PROCESS_ROW: &str = "rival in process, 32 tasks, even";
/// See `IN_PROCESS_ROW`.
pub const HTTP_ROW: &str = "rival over HTTP, 64 connections, even";

/// The whole bench: a private PostgreSQL, the rival on it in process and over HTTP, the bare handler. Fails
/// when the rival's books are wrong afterwards, since then its speed is worth nothing.
///
/// # Errors
/// When something cannot be started, or an audit fails.
pub fn run(size: Size, peer: &Path) -> anyhow::Result<Figures> {
    let postgres = Postgres::start_with(POSTGRES_SETTINGS)?;
    let time = size.measure_for();
    let catalogue = Catalogue::made_up(size.pick(100, 10_000));
    let mut figures = Figures::new("The rival, and the ceiling")
        .against(IN_PROCESS_ROW)
        .against(HTTP_ROW);
    let runtime = tokio::runtime::Runtime::new().context("cannot start a runtime")?;
    for skew in [Skew::Even, Skew::Zipf(1.0), Skew::Zipf(2.0)] {
        for tasks in [8, 32] {
            let name = format!("rival in process, {tasks} tasks, {skew}");
            let figure = runtime.block_on(in_process(time, &postgres, &catalogue, tasks, skew))?;
            figures.push(Figure { name, ..figure });
        }
    }
    for (pool, skew) in [
        (16, Skew::Even),
        (32, Skew::Even),
        (32, Skew::Zipf(1.0)),
        (32, Skew::Zipf(2.0)),
    ] {
        let name = if pool == 32 {
            format!("rival over HTTP, 64 connections, {skew}")
        } else {
            format!("rival over HTTP, 64 connections, {skew}, pool of {pool}")
        };
        let outcome = runtime.block_on(over_http(time, &postgres, peer, &catalogue, pool, skew))?;
        figures.push(Figure::of_load(name, &outcome));
    }
    for connections in [64, 256] {
        let outcome = bare(size, peer, connections)?;
        figures.push(Figure::of_load(
            format!("bare handler, {connections} connections"),
            &outcome,
        ));
    }
    Ok(figures)
}

/// The bare handler under a closed loop.
///
/// # Errors
/// When it does not start or does not answer 201 to everything.
pub fn bare(size: Size, peer: &Path, connections: usize) -> anyhow::Result<Outcome> {
    let server = peers::start_bare(peer)?;
    let mut writer = RequestWriter::new(&Catalogue::made_up(10_000), Skew::Even, "bare");
    let mut load = Load::post(
        server.address()?,
        TARGET,
        connections,
        Until::Elapsed(size.measure_for() / 4),
    );
    load.drive(|_, request, draft| writer.fill(request, draft))?;
    load.until = Until::Elapsed(size.measure_for());
    load.server_pids = vec![server.pid()?];
    let outcome = load.drive(|_, request, draft| writer.fill(request, draft))?;
    ensure!(
        outcome.count(201) == outcome.answered && outcome.lost == 0,
        "not all answered: {outcome:?}"
    );
    Ok(outcome)
}

/// The rival's transaction without HTTP, from so many tasks for so long, on tables made anew.
///
/// # Errors
/// When anything is refused, or its books are wrong afterwards.
pub async fn in_process(
    time: Duration,
    postgres: &Postgres,
    catalogue: &Catalogue,
    tasks: u32,
    skew: Skew,
) -> anyhow::Result<Figure> {
    let rival = Rival::open(&postgres.socket_url("postgres"), tasks).await?;
    rival.fill(catalogue, ON_HAND_AT_FIRST).await?;
    let warmed = transactions(&rival, catalogue, tasks, skew, "warm", time / 4).await?;
    let cpu_before = own_and_postgres_cpu(postgres);
    let measured = transactions(&rival, catalogue, tasks, skew, "run", time).await?;
    let cpu_after = own_and_postgres_cpu(postgres);
    let audit = rival.audit(ON_HAND_AT_FIRST).await?;
    ensure_right(audit, warmed.created + measured.created)?;
    rival.close().await;
    ensure!(
        measured.refused == 0,
        "{} requests were refused",
        measured.refused
    );
    let created = u32::try_from(measured.created.max(1)).context("too many events to divide by")?;
    Ok(Figure {
        server_cpu: cpu_before
            .zip(cpu_after)
            .map(|(before, after)| (after - before) / created),
        ..Figure::new("", f64::from(created) / measured.wall.as_secs_f64())
    }
    .with_latency(&measured.latencies_ns))
}

fn own_and_postgres_cpu(postgres: &Postgres) -> Option<Duration> {
    process::cpu(&[std::process::id(), postgres.pid().ok()?])
}

/// The rival over HTTP, from 64 connections for so long, on tables made anew.
///
/// # Errors
/// As `in_process`.
pub async fn over_http(
    time: Duration,
    postgres: &Postgres,
    peer: &Path,
    catalogue: &Catalogue,
    pool: u32,
    skew: Skew,
) -> anyhow::Result<Outcome> {
    let url = postgres.socket_url("postgres");
    let rival = Rival::open(&url, 2).await?;
    rival.fill(catalogue, ON_HAND_AT_FIRST).await?;
    let server = peers::start_rival(peer, &url, pool)?;
    let mut load = Load::post(server.address()?, TARGET, 64, Until::Elapsed(time / 4));
    load.server_pids = vec![server.pid()?, postgres.pid()?];
    // The driver has the thread to itself; nothing else runs on this runtime meanwhile.
    let (warmed, measured) = tokio::task::block_in_place(|| -> anyhow::Result<_> {
        let mut writer = RequestWriter::new(catalogue, skew, "warm");
        let warmed = load.drive(|_, request, draft| writer.fill(request, draft))?;
        load.until = Until::Elapsed(time);
        let mut writer = RequestWriter::new(catalogue, skew, "run");
        Ok((
            warmed,
            load.drive(|_, request, draft| writer.fill(request, draft))?,
        ))
    })?;
    drop(server);
    ensure!(
        measured.count(201) == measured.answered && measured.lost == 0,
        "not all answered: {measured:?}"
    );
    ensure_right(
        rival.audit(ON_HAND_AT_FIRST).await?,
        warmed.answered + measured.answered,
    )?;
    rival.close().await;
    Ok(measured)
}

fn ensure_right(audit: Audit, created: u64) -> anyhow::Result<()> {
    let created = i64::try_from(created).context("too many events")?;
    let right = Audit {
        events: created,
        movements: created,
        below_zero: 0,
        drifted: 0,
    };
    ensure!(
        audit == right,
        "the rival's books are wrong: {audit:?} where {right:?} was acknowledged"
    );
    Ok(())
}

/// Runs the rival's transaction from so many tasks at once, for a time.
///
/// # Errors
/// What the database says.
pub async fn transactions(
    rival: &Rival,
    catalogue: &Catalogue,
    tasks: u32,
    skew: Skew,
    keys: &str,
    time: Duration,
) -> anyhow::Result<InProcess> {
    let sampler = RankSampler::new(catalogue.variants.len(), skew);
    let started_at = Instant::now();
    let mut running = Vec::new();
    for task in 0..tasks {
        let rival = rival.clone();
        let catalogue = catalogue.clone();
        let mut movements = Movements::new(&sampler, u64::from(task));
        let keys = format!("{keys}-{task}");
        running.push(tokio::spawn(async move {
            let mut done = InProcess {
                created: 0,
                refused: 0,
                wall: Duration::ZERO,
                latencies_ns: latency_histogram(),
            };
            for number in 0u64.. {
                let begun_at = Instant::now();
                if begun_at.duration_since(started_at) >= time {
                    break;
                }
                let request = request(&catalogue, movements.draw());
                match rival.post(Some(&format!("{keys}-{number}")), &request).await? {
                    Posted::Created(_) => done.created += 1,
                    Posted::Replayed(_) => anyhow::bail!("a fresh key was taken for a used one"),
                    Posted::Refused(_) => done.refused += 1,
                }
                let nanos = u64::try_from(begun_at.elapsed().as_nanos()).unwrap_or(u64::MAX);
                done.latencies_ns.saturating_record(nanos);
            }
            Ok(done)
        }));
    }
    let mut sum = InProcess {
        created: 0,
        refused: 0,
        wall: Duration::ZERO,
        latencies_ns: latency_histogram(),
    };
    for task in running {
        let done = task.await.context("a task broke down")??;
        sum.created += done.created;
        sum.refused += done.refused;
        sum.latencies_ns
            .add(&done.latencies_ns)
            .context("the histograms are alike")?;
    }
    sum.wall = started_at.elapsed();
    Ok(sum)
}

/// A movement as a request.
#[must_use]
pub fn request(catalogue: &Catalogue, movement: Movement) -> CreateStockEvent {
    let (kind, reason, notes) = if movement.is_outbound {
        (Kind::Outbound, Reason::Sale, "Web shop order")
    } else {
        (Kind::Inbound, Reason::Purchase, "Supplier restock")
    };
    CreateStockEvent {
        kind,
        warehouse_id: catalogue.warehouse,
        occurred_at: None,
        reason_code: Some(reason),
        notes: Some(notes.to_owned()),
        lines: vec![NewLine {
            variant_id: catalogue.variants[movement.rank],
            quantity: movement.quantity,
        }],
    }
}
