//! Measures reconciliations: how fast a full one reads and folds the log, beside a replay of the same log into the
//! ledger's state, how fast it compares rows, what memory it takes, and what writers notice of it.

use crate::Size;
use crate::figures::{Figure, Figures, load_average};
use crate::product::{EVENTS, Product, ledger_folder};
use crate::sampling::{Catalogue, RequestWriter, Skew};
use crate::views::{self, Clock, mebibytes};
use anyhow::{Context as _, ensure};
use bincard_engine::{Engine, Options};
use bincard_ledger::{Position, Recorded, State, Timestamp};
use bincard_projections::reconcile::{self, Asked, Phase, Reconciler, RunState};
use bincard_projections::{Projector, ViewName};
use bincard_store::Reader;
use bincard_testkit::load::{Outcome, Pace, Until};
use bincard_testkit::process;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 64;
const PATH: &str = "/api/v1/reconciliations";
/// Far longer than catching up takes; whoever runs into it hangs.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(7_200);
/// How often to look how far a reconciliation is.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How long to wait for the state of a server to change.
const PAUSE: Duration = Duration::from_millis(20);

/// The log folded into the ledger's state by one thread.
pub const STATE_ROW: &str = "replay into the ledger's state, events a second";
/// The log read and folded by a reconciliation.
pub const FOLD_ROW: &str = "reconciliation: read and fold, events a second";
/// The rows of all views compared by it.
pub const ROWS_ROW: &str = "reconciliation: compare, rows a second";
/// Writers with nothing beside them.
pub const WRITERS_ROW: &str = "single POST, 64 connections";
/// Writers with a reconciliation beside them.
pub const BESIDE_ROW: &str = "single POST, 64 connections, a reconciliation beside";
/// Writers in no hurry, with nothing beside them.
pub const HALF_ROW: &str = "single POST at half that rate, open loop";
/// Writers in no hurry, with a reconciliation beside them.
pub const HALF_BESIDE_ROW: &str = "single POST at half that rate, open loop, a reconciliation beside";

/// What a run works on.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    log: views::Plan,
    /// How often each contender takes its turn.
    rounds: usize,
    /// How long a turn of the writers takes.
    turn: Duration,
}

impl Plan {
    /// By the size; a full run has a million events unless another number is given.
    #[must_use]
    pub fn of(size: Size, events: Option<u64>) -> Plan {
        Plan {
            log: views::Plan::of(size, events),
            rounds: size.pick(1, 3),
            turn: size.measure_for(),
        }
    }
}

/// The whole bench; without a binary, without the writers. Fails when a view does not agree with the log.
///
/// # Errors
/// When something cannot be started, or comes out wrong.
pub fn run(plan: Plan, binary: Option<&Path>) -> anyhow::Result<Vec<Figures>> {
    let load_before = load_average();
    let folder = bincard_testkit::scratch::folder("bincard-reconcile-").context("a scratch folder")?;
    views::write_log(&ledger_folder(folder.path()), plan.log)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start a runtime")?;
    let mut tables = vec![runtime.block_on(alone(&ledger_folder(folder.path()), plan))?];
    if let Some(binary) = binary {
        let product = Product::start_on(binary, folder)?;
        tables.push(beside(&product, plan)?);
    }
    Ok(tables
        .into_iter()
        .map(|table| table.begun_under(load_before.clone()))
        .collect())
}

/// Reconciles while nothing else runs.
async fn alone(ledger_folder: &Path, plan: Plan) -> anyhow::Result<Figures> {
    let engine = Engine::open(ledger_folder, Options::default())?;
    let reader = engine.ledger().reader().clone();
    let head = reader.head().position;
    ensure!(
        head == Position(plan.log.head()),
        "the log ends at {head} instead of {}",
        plan.log.head()
    );
    let views = ledger_folder.join("views");
    let projector = Projector::open(&views, reader.clone())?;
    projector
        .views()
        .wait_for(&ViewName::ALL, head, CATCH_UP_WITHIN)
        .await?;
    tokio::task::spawn_blocking(move || projector.close()).await?;

    let title = format!(
        "A full reconciliation of {} single-line events over {} SKUs, median of {} rounds",
        plan.log.events, plan.log.variants, plan.rounds
    );
    let mut figures = Figures::new(title).against(STATE_ROW);
    let started_at = Timestamp::from_micros(0);
    let options = reconcile::Options {
        clock: Arc::new(move || started_at),
        audit_every: None,
        correct: None,
    };
    let reconciler = Reconciler::open(ledger_folder, &views, reader.clone(), options)?;
    let mut turns = [Vec::new(), Vec::new(), Vec::new()];
    let mut memory = None;
    for _ in 0..plan.rounds {
        let clock = Clock::start();
        replay(&reader)?;
        turns[0].push(clock.stop(STATE_ROW, head.0));
        let counted_anew = process::forget_resident_max();
        let before = process::resident_bytes(std::process::id()).filter(|_| counted_anew);
        let [fold, compare] = reconcile_once(&reconciler, head).await?;
        let most = process::resident_bytes_max(std::process::id());
        let taken = before.zip(most).map(|(before, most)| most.saturating_sub(before));
        memory = memory.max(taken);
        turns[1].push(fold);
        turns[2].push(compare);
    }
    for mut turns in turns {
        turns.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
        figures.push(turns.swap_remove(turns.len() / 2));
    }
    figures.note(format!(
        "A reconciliation took at most {} beside what the process had before it.",
        mebibytes(memory)
    ));
    reconciler.close();
    tokio::task::spawn_blocking(move || engine.close()).await?;
    Ok(figures)
}

/// Folds the log into a state, as a start without a snapshot does.
fn replay(reader: &Reader) -> anyhow::Result<()> {
    /// Records that are decoded before they are applied.
    const CHUNK: usize = 16;
    let mut state = State::default();
    let mut commits = reader.commits(Position(0))?;
    let mut decoded = Vec::with_capacity(CHUNK);
    while let Some(commit) = commits.next()? {
        let recorded_at = commit.recorded_at;
        let body = commit.records()?;
        let mut records = body.records().peekable();
        while records.peek().is_some() {
            for record in records.by_ref().take(CHUNK) {
                decoded.push(record?.decode()?);
            }
            for record in &decoded {
                state.warm_event(&record.event);
            }
            for record in decoded.drain(..) {
                let position = state.head().next();
                state.apply(&Recorded {
                    position,
                    recorded_at,
                    record,
                })?;
            }
        }
    }
    ensure!(
        state.head() == reader.head().position,
        "the replay came to {}",
        state.head()
    );
    Ok(())
}

/// One full reconciliation: how fast it read and folded, and how fast it compared.
async fn reconcile_once(reconciler: &Reconciler, head: Position) -> anyhow::Result<[Figure; 2]> {
    let reconciliations = reconciler.reconciliations();
    let mut clock = Clock::start();
    let id = reconciliations.start(&Asked::default()).await?;
    let mut folded = None;
    let run = loop {
        if folded.is_none()
            && reconciliations
                .progress()
                .is_some_and(|progress| progress.run == id && progress.phase != Phase::Replaying)
        {
            let whole = std::mem::replace(&mut clock, Clock::start());
            folded = Some(whole.stop(FOLD_ROW, head.0));
        }
        let (run, _) = reconciliations.run(id).await?.context("the run is gone")?;
        if run.state.is_over() {
            break run;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    ensure!(run.state == RunState::Agrees, "the views do not agree: {run:?}");
    let rows = run.compared.iter().map(|one| one.rows).sum();
    // One that was over between two looks was compared within it.
    let folded = folded.unwrap_or_else(|| Clock::start().stop(FOLD_ROW, head.0));
    Ok([folded, clock.stop(ROWS_ROW, rows)])
}

/// What writers notice of a reconciliation: turns without one and with one, as fast as can be and at half of that.
fn beside(product: &Product, plan: Plan) -> anyhow::Result<Figures> {
    let catalogue = catalogue_of(product)?;
    let mut drives = 0;
    let mut turns = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    let mut write = |pace| -> anyhow::Result<Outcome> {
        drives += 1;
        product.settle()?;
        let mut writer = RequestWriter::new(&catalogue, Skew::Even, &format!("drive-{drives}"));
        let mut load = product.post_load(EVENTS, CONNECTIONS, Until::Elapsed(plan.turn))?;
        load.pace = pace;
        let outcome = load.drive(|_, request, draft| writer.fill(request, draft))?;
        ensure!(
            outcome.answered > 0 && outcome.count(201) == outcome.answered && outcome.lost == 0,
            "not all were accepted: {:?}, {} lost",
            outcome.by_status,
            outcome.lost
        );
        Ok(outcome)
    };
    for _ in 0..plan.rounds {
        let fastest = write(Pace::ClosedLoop)?;
        let half = Pace::OpenLoop {
            per_second: fastest.per_second() / 2.0,
        };
        turns[0].push(fastest);
        turns[1].push(while_reconciling(product, || write(Pace::ClosedLoop))?);
        turns[2].push(write(half)?);
        turns[3].push(while_reconciling(product, || write(half))?);
    }
    let title = format!(
        "Writers beside a full reconciliation of {} events, turn of the median p99 of {} of {:?}",
        plan.log.events, plan.rounds, plan.turn
    );
    let mut figures = Figures::new(title).against(WRITERS_ROW);
    let p99 = |outcome: &Outcome| outcome.latencies_ns().value_at_quantile(0.99);
    let names = [WRITERS_ROW, BESIDE_ROW, HALF_ROW, HALF_BESIDE_ROW];
    let mut p99s = Vec::new();
    for (name, mut turns) in names.into_iter().zip(turns) {
        turns.sort_by_key(p99);
        let turn = &turns[turns.len() / 2];
        p99s.push(Duration::from_nanos(p99(turn)).as_secs_f64());
        figures.push(Figure::of_load(name, turn));
    }
    figures.note(format!(
        "With a reconciliation beside them the writers' p99 is {:.2} times what it is without one as fast as can be, {:.2} \
         times at half of that.",
        p99s[1] / p99s[0],
        p99s[3] / p99s[2]
    ));
    Ok(figures)
}

/// Does something while one full reconciliation after the other is under way.
fn while_reconciling<T>(product: &Product, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reconciling = scope.spawn(|| -> anyhow::Result<()> {
            while !is_over.load(Ordering::Relaxed) {
                let run = product.create(PATH)?;
                let path = format!("{PATH}/{}", run["id"]);
                let mut is_cancelled = false;
                loop {
                    let run = product.read(&path)?;
                    match run["state"].as_str() {
                        Some("WAITING" | "RUNNING") => {}
                        Some("AGREES") => break,
                        Some("CANCELLED") if is_cancelled => break,
                        _ => anyhow::bail!("a reconciliation ended as {run}"),
                    }
                    if is_over.load(Ordering::Relaxed) && !is_cancelled {
                        product.create(&format!("{path}/cancel"))?;
                        is_cancelled = true;
                    }
                    std::thread::sleep(PAUSE);
                }
            }
            Ok(())
        });
        // It is under way before the work begins.
        let begun_at = Instant::now();
        while product.read(&format!("{PATH}?size=1"))?["content"][0]["state"] != "RUNNING"
            && begun_at.elapsed() < Duration::from_secs(1)
        {
            std::thread::sleep(Duration::from_millis(1));
        }
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        reconciling
            .join()
            .map_err(|_| anyhow::anyhow!("the reconciliations broke down"))??;
        done
    })
}

/// The warehouse and the variants that the log made.
fn catalogue_of(product: &Product) -> anyhow::Result<Catalogue> {
    product.settle()?;
    let first = "/api/v1/stock?size=500".to_owned();
    let (mut target, mut warehouse, mut variants) = (first.clone(), None, Vec::new());
    loop {
        let page = product.read(&target)?;
        for row in page["content"].as_array().context("rows")? {
            let id = |field: &str| -> anyhow::Result<uuid::Uuid> {
                Ok(row[field].as_str().context("an id")?.parse()?)
            };
            warehouse = Some(id("warehouseId")?);
            variants.push(id("variantId")?);
        }
        let Some(cursor) = page["nextCursor"].as_str() else {
            break;
        };
        target = format!("{first}&cursor={cursor}");
    }
    let warehouse = warehouse.context("there is no stock")?;
    Ok(Catalogue { warehouse, variants })
}

impl Product {
    /// Posts an empty body and answers what came of it, which must be 202.
    fn create(&self, target: &str) -> anyhow::Result<Value> {
        let load = self.post_load(target, 1, Until::Requests(1))?;
        let body = crate::product::once(&load, b"{}", 202)?;
        serde_json::from_slice(&body).with_context(|| format!("the answer of POST {target}"))
    }
}
