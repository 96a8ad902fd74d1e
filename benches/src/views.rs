//! Measures the read side: how fast all views come up from a log, how fast each is built anew, what a page costs at the
//! beginning and deep inside of a history, how long a start takes, and what memory it leaves taken. (What single
//! queries cost without HTTP is measured where the views are made.)

use crate::Size;
use crate::figures::{Figure, Figures, load_average};
use crate::product::{EVENTS, Product, ledger_folder};
use crate::rival::{POSTGRES_SETTINGS, measure};
use crate::sampling::{Catalogue, Movements, RankSampler, Skew};
use anyhow::{Context as _, ensure};
use bincard_engine::{Engine, Ledger, Options};
use bincard_ledger::command::KeySpace;
use bincard_ledger::{
    CatalogueCommand, Command, IdempotencyKey, Kind, Line, Position, Reason, Request, StockCommand,
    VariantNo, WarehouseNo,
};
use bincard_projections::{Projector, ViewName};
use bincard_testkit::load::{Load, Outcome, Until};
use bincard_testkit::postgres::Postgres;
use bincard_testkit::process;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

const ON_HAND_AT_FIRST: i64 = 1_000_000;
const PAGE_SIZE: u64 = 20;
/// The page that is held against the first one, counted from 0, where the history is that long.
const DEEP_PAGE: u64 = 9_999;
/// What is committed at once. Divides a million, so that all commits are as large and a page costs what its depth costs:
/// fetching an event reads the commit that it is in.
const BATCH: u64 = 8_000;
const WAREHOUSE: WarehouseNo = WarehouseNo(1);
const DAY_MICROS: i64 = 86_400_000_000;
/// Far longer than catching up takes; whoever runs into it hangs.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(7_200);

/// The rival's events a second, which catching up is held against.
pub const RIVAL_ROW: &str = "rival in process";
/// All views from nothing to the head.
pub const CATCH_UP_ROW: &str = "all views catching up, events a second";
/// The present stock of one key.
pub const ONE_ROW: &str = "GET /stock, one row";
/// The first page of the history.
pub const FIRST_PAGE_ROW: &str = "first page of 20 events";
/// A page deep inside, by cursor.
pub const DEEP_PAGE_ROW: &str = "deep page of 20 events, by cursor";

/// What a run works on.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Single-line events in the log, beside those that make the catalogue and stock it up.
    pub events: u64,
    /// SKUs that they are about, evenly.
    pub variants: u32,
    /// One more SKU has a history of so many days, one event each.
    pub days: u32,
    /// Requests of a kind of read on each connection in each of the rounds.
    pub reads: u64,
    /// How often reads and starts take turns.
    pub rounds: usize,
    /// How long the rival runs.
    pub rival: Duration,
}

impl Plan {
    /// By the size; a full run has a million events unless another number is given.
    #[must_use]
    pub fn of(size: Size, events: Option<u64>) -> Plan {
        Plan {
            events: events.unwrap_or(size.pick(2_000, 1_000_000)),
            variants: size.pick(50, 10_000),
            days: size.pick(300, 3_650),
            reads: size.pick(5, 2_000),
            rounds: size.pick(1, 5),
            rival: size.pick(Duration::from_millis(150), Duration::from_secs(5)),
        }
    }

    /// The SKU of the long history, which stands behind the others.
    fn long_lived(&self) -> u32 {
        self.variants + 1
    }

    /// Where the events of the long history begin: behind a warehouse, the variants and their first stock.
    fn first_day(&self) -> u64 {
        1 + 2 * u64::from(self.long_lived())
    }

    /// Where the log ends.
    pub(crate) fn head(&self) -> u64 {
        self.first_day() + u64::from(self.days) + self.events
    }
}

/// The whole bench. Fails when a view is wrong.
///
/// # Errors
/// When something cannot be started, or comes out wrong.
pub fn run(plan: Plan, binary: &Path) -> anyhow::Result<Vec<Figures>> {
    let load_before = load_average();
    let folder = bincard_testkit::scratch::folder("bincard-views-").context("a scratch folder")?;
    let units = write_log(&ledger_folder(folder.path()), plan)?;
    let runtime = tokio::runtime::Runtime::new().context("cannot start a runtime")?;
    let building = runtime.block_on(build(&ledger_folder(folder.path()), plan))?;
    let mut product = Product::start_on(binary, folder)?;
    let mut serving = read(&product, plan)?;
    let warehouse = warehouse_id(&product)?;
    let on_hand = product.units_on_hand(warehouse)?;
    ensure!(
        on_hand == units,
        "{on_hand} units are on hand where {units} were recorded"
    );
    note_starts(&mut serving, &mut product, plan)?;
    let empty = Product::start(binary)?;
    let resident = mebibytes(process::resident_bytes(empty.pid()?));
    serving.note(format!(
        "Resident after the start on an empty folder: {resident}."
    ));
    Ok(vec![building, serving]
        .into_iter()
        .map(|table| table.begun_under(load_before.clone()))
        .collect())
}

/// Records the plan's events through the engine, and answers how many units are on hand in the end. Closing it leaves a
/// recent snapshot.
pub(crate) fn write_log(folder: &Path, plan: Plan) -> anyhow::Result<i64> {
    std::fs::create_dir_all(folder)?;
    let engine = Engine::open(folder, Options::default())?;
    let ledger = engine.ledger();
    let warehouse = CatalogueCommand::CreateWarehouse {
        code: "WH-1".into(),
        name: "Bench".into(),
        negative_stock: None,
    };
    let variant = |no| CatalogueCommand::CreateVariant {
        tracks_lots: false,
        sku: format!("SKU-{no:05}").into(),
        name: format!("Variant {no}").into(),
        product: None,
        expires_at: None,
    };
    let mut first = vec![request(Command::Catalogue(warehouse), None)];
    let variants = 1..=plan.long_lived();
    first.extend(
        variants
            .clone()
            .map(|no| request(Command::Catalogue(variant(no)), None)),
    );
    first.extend(variants.map(|no| request(moves(Kind::Inbound, no, ON_HAND_AT_FIRST), None)));
    accept(&ledger, first)?;
    let mut units = ON_HAND_AT_FIRST * i64::from(plan.long_lived());
    let now = ledger.status().head.recorded_at;
    let mut days = Vec::new();
    for day in (1..=plan.days).rev() {
        let mut receipt = StockCommand::new(Kind::Inbound, WAREHOUSE, [line(plan.long_lived(), 1)]);
        receipt.occurred_at = Some(now.saturating_add_micros(-DAY_MICROS * i64::from(day)));
        receipt.reason = Some(Reason::Other);
        days.push(request(Command::Stock(receipt), None));
        units += 1;
    }
    accept(&ledger, days)?;

    let sampler = RankSampler::new(plan.variants as usize, Skew::Even);
    let mut movements = Movements::new(&sampler, 11);
    let mut written = 0;
    while written < plan.events {
        let end = plan.events.min(written + BATCH);
        let mut batch = Vec::new();
        for number in written..end {
            let movement = movements.draw();
            let variant = u32::try_from(movement.rank + 1).context("more variants than there are numbers")?;
            let kind = if movement.is_outbound {
                Kind::Outbound
            } else {
                Kind::Inbound
            };
            units += if movement.is_outbound {
                -movement.quantity
            } else {
                movement.quantity
            };
            batch.push(request(moves(kind, variant, movement.quantity), Some(number)));
        }
        accept(&ledger, batch)?;
        written = end;
    }
    drop(ledger);
    engine.close();
    Ok(units)
}

fn accept(ledger: &Ledger, requests: Vec<Request>) -> anyhow::Result<()> {
    for outcome in ledger.submit_batch_blocking(requests) {
        outcome?;
    }
    Ok(())
}

fn request(command: Command, key: Option<u64>) -> Request {
    Request {
        command,
        author: Uuid::nil(),
        on_behalf_of: None,
        key: key.map(|number| IdempotencyKey {
            space: KeySpace::Caller,
            text: format!("order-{number:09}").into(),
        }),
    }
}

fn moves(kind: Kind, variant: u32, quantity: i64) -> Command {
    Command::Stock(StockCommand::new(kind, WAREHOUSE, [line(variant, quantity)]))
}

fn line(variant: u32, quantity: i64) -> Line {
    Line {
        variant: VariantNo(variant),
        quantity,
    }
}

/// Builds all views from nothing, then each anew beside itself.
async fn build(ledger_folder: &Path, plan: Plan) -> anyhow::Result<Figures> {
    let title = format!(
        "Views from a log of {} single-line events over {} SKUs",
        plan.events, plan.variants
    );
    let mut figures = Figures::new(title).against(RIVAL_ROW);
    let postgres = Postgres::start_with(POSTGRES_SETTINGS)?;
    let catalogue = Catalogue::made_up(plan.variants as usize);
    let rival = measure::in_process(plan.rival, &postgres, &catalogue, 32, Skew::Even).await?;
    drop(postgres);
    figures.push(Figure {
        name: RIVAL_ROW.to_owned(),
        ..rival
    });

    let engine = Engine::open(ledger_folder, Options::default())?;
    let head = engine.ledger().status().head.position;
    ensure!(
        head == Position(plan.head()),
        "the log ends at {head} instead of {}",
        plan.head()
    );
    let clock = Clock::start();
    let projector = Projector::open(&ledger_folder.join("views"), engine.ledger().reader().clone())?;
    let views = projector.views().clone();
    views.wait_for(&ViewName::ALL, head, CATCH_UP_WITHIN).await?;
    figures.push(clock.stop(CATCH_UP_ROW, head.0));
    for view in ViewName::ALL {
        let clock = Clock::start();
        views.rebuild(view).await?.finished().await?;
        figures.push(clock.stop(&format!("{view} built anew, events a second"), head.0));
    }
    drop(views);
    tokio::task::spawn_blocking(move || {
        projector.close();
        engine.close();
    })
    .await?;
    Ok(figures)
}

/// What something took of time and of this process's CPU.
pub(crate) struct Clock {
    started_at: Instant,
    cpu_before: Option<Duration>,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock {
            started_at: Instant::now(),
            cpu_before: process::cpu(&[std::process::id()]),
        }
    }

    /// A row of so many things that were done since the start.
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub(crate) fn stop(self, name: &str, things: u64) -> Figure {
        let took = self.started_at.elapsed();
        let cpu_after = process::cpu(&[std::process::id()]);
        let cpu = self.cpu_before.zip(cpu_after);
        let things = things as f64;
        Figure {
            server_cpu: cpu.map(|(before, after)| after.saturating_sub(before).div_f64(things)),
            ..Figure::new(name, things / took.as_secs_f64())
        }
    }
}

/// One kind of read, and its turns.
struct Read {
    name: &'static str,
    target: String,
    connections: usize,
    turns: Vec<Outcome>,
}

/// What asks for single rows at a time. With one connection, whether the system has client and server on one core or wakes
/// another one each time changes the time of such an answer by a factor of three, and so every ratio.
const ROW_CONNECTIONS: usize = 8;

/// Reads over HTTP: pages one after the other on one connection, so that a latency is what the answer takes, and single
/// rows on several, so that their rates tell what they cost.
fn read(product: &Product, plan: Plan) -> anyhow::Result<Figures> {
    product.settle()?;
    let deep = DEEP_PAGE.min((plan.events / PAGE_SIZE).saturating_sub(2)).max(1);
    let before = product.read(&format!("{EVENTS}?size={PAGE_SIZE}&page={}", deep - 1))?;
    let cursor = before["nextCursor"]
        .as_str()
        .context("the history has no page so deep")?;
    let by_cursor = format!("{EVENTS}?size={PAGE_SIZE}&cursor={cursor}");
    ensure!(
        product.read(&by_cursor)?["content"]
            == product.read(&format!("{EVENTS}?size={PAGE_SIZE}&page={deep}"))?["content"],
        "page {deep} is another by cursor than by number"
    );
    let first = product.read(&format!("{EVENTS}?size={PAGE_SIZE}"))?;
    let cursor = first["nextCursor"]
        .as_str()
        .context("the history has one page only")?;
    let row = &product.read("/api/v1/stock?size=1")?["content"][0];
    let [warehouse, variant] = ["warehouseId", "variantId"].map(|id| row[id].as_str().unwrap_or_default());
    let one_row = format!("/api/v1/stock?warehouseId={warehouse}&variantId={variant}");
    let head = product.settle()?.head;
    let [middle, late] = [head / 2, head / 4 * 3].map(|position| event(product, position));
    let [middle, late] = [instant(&middle?, "recordedAt")?, instant(&late?, "recordedAt")?];
    let day = |share: u64| event(product, plan.first_day() + u64::from(plan.days) * share / 16);
    let [long_ago, later] = [day(12)?, day(13)?];
    let [occurred, known] = [instant(&long_ago, "occurredAt")?, instant(&later, "recordedAt")?];
    let long_lived = long_ago["postings"][0]["variantId"]
        .as_str()
        .context("an event has no variant")?;
    let long_lived = format!("/api/v1/stock?warehouseId={warehouse}&variantId={long_lived}");

    let on = |connections, name, target| Read {
        name,
        target,
        connections,
        turns: Vec::new(),
    };
    let of = |name, target| on(1, name, target);
    let row = |name, target| on(ROW_CONNECTIONS, name, target);
    let mut reads = [
        row(ONE_ROW, one_row.clone()),
        row("the same, asOf", format!("{one_row}&asOf={middle}")),
        row("the same, knownAt", format!("{one_row}&knownAt={middle}")),
        row(
            "the same, both",
            format!("{one_row}&asOf={middle}&knownAt={late}"),
        ),
        row("one row of a long history", long_lived.clone()),
        row("the same, asOf", format!("{long_lived}&asOf={occurred}")),
        row("the same, knownAt", format!("{long_lived}&knownAt={known}")),
        row(
            "the same, both",
            format!("{long_lived}&asOf={occurred}&knownAt={known}"),
        ),
        of("GET /stock, first page of 20", "/api/v1/stock".to_owned()),
        of(FIRST_PAGE_ROW, format!("{EVENTS}?size={PAGE_SIZE}")),
        of(
            "second page of 20 events, by cursor",
            format!("{EVENTS}?size={PAGE_SIZE}&cursor={cursor}"),
        ),
        of(DEEP_PAGE_ROW, by_cursor),
        of(
            "events of one variant, first page of 20",
            format!("{EVENTS}?size={PAGE_SIZE}&variantId={variant}"),
        ),
    ];
    for _ in 0..plan.rounds {
        for read in &mut reads {
            let requests = plan.reads * read.connections as u64;
            let load: Load = product.read_load(&read.target, read.connections, Until::Requests(requests))?;
            let outcome = load.drive(|_, _, _| ())?;
            ensure!(
                outcome.count(200) == requests && outcome.lost == 0,
                "{} was not always answered: {:?}",
                read.target,
                outcome.by_status
            );
            read.turns.push(outcome);
        }
    }
    let title = format!(
        "Reads over HTTP, rows on {ROW_CONNECTIONS} connections and pages on one, {} events in the log (deep is page {}), \
         median of {} rounds",
        plan.events,
        deep + 1,
        plan.rounds
    );
    let mut figures = Figures::new(title).against(FIRST_PAGE_ROW);
    for mut read in reads {
        read.turns
            .sort_by(|one, other| one.per_second().total_cmp(&other.per_second()));
        figures.push(Figure::of_load(read.name, &read.turns[read.turns.len() / 2]));
    }
    Ok(figures)
}

/// The event at a position.
fn event(product: &Product, position: u64) -> anyhow::Result<Value> {
    let after = position - 1;
    product.read(&format!("/api/v1/ledger/events?after={after}&limit=1"))
}

/// When an event occurred or was recorded.
fn instant(event: &Value, field: &str) -> anyhow::Result<String> {
    let at = event[field].as_str().context("an event has no instant")?;
    Ok(at.to_owned())
}

fn note_starts(figures: &mut Figures, product: &mut Product, plan: Plan) -> anyhow::Result<()> {
    let mut starts = Vec::new();
    for _ in 0..plan.rounds {
        starts.push(product.restart()?);
    }
    starts.sort_unstable();
    let [median, slowest] =
        [starts[starts.len() / 2], starts[starts.len() - 1]].map(|took| took.as_secs_f64());
    figures.note(format!(
        "From the start of the process until ready, with {} events and a recent snapshot: {median:.2} s, \
         at most {slowest:.2} s of {} starts.",
        plan.events, plan.rounds
    ));
    let resident = mebibytes(process::resident_bytes(product.pid()?));
    figures.note(format!("Resident after that start: {resident}."));
    let head = product.settle()?.head;
    ensure!(
        head == plan.head(),
        "after its starts the log ends at {head} instead of {}",
        plan.head()
    );
    Ok(())
}

pub(crate) fn mebibytes(bytes: Option<u64>) -> String {
    match bytes {
        #[expect(clippy::cast_precision_loss, reason = "memory stays far below 2^53 bytes")]
        Some(bytes) => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        None => "not told by this system".to_owned(),
    }
}

fn warehouse_id(product: &Product) -> anyhow::Result<Uuid> {
    let list = product.read("/api/v1/warehouses")?;
    let id = list["content"][0]["id"].as_str().context("a warehouse's id")?;
    Ok(id.parse()?)
}
