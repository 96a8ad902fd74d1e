//! Measures our own server over HTTP: single POSTs, bulk and reads, beside the bare handler and the rival of the same
//! run. Every contender takes its turn in every round, and the round of the median speed is told, so that a disturbance
//! does not fall on one of them alone. Before each turn of ours its views have caught up, so that no turn pays for
//! another; while a turn lasts they work, and their work is part of the server's cost.

mod lag;

use crate::Size;
use crate::figures::{Figure, Figures, load_average};
use crate::peers;
use crate::product::{EVENTS, EVENTS_BULK, Product, Standing};
use crate::rival::{POSTGRES_SETTINGS, measure};
use crate::sampling::{Catalogue, Dice, RequestWriter, Skew};
use anyhow::{Context as _, ensure};
use bincard_testkit::load::{Draft, Load, Outcome, Pace, Until};
use bincard_testkit::postgres::Postgres;
use bincard_testkit::server::Server;
use lag::Lag;
use std::path::Path;
use std::time::{Duration, Instant};

/// So much is on hand of everything at first that a full run does not sell it out.
const ON_HAND_AT_FIRST: i64 = 1_000_000;
/// Connections of the rival and of the reads.
const CONNECTIONS: usize = 64;
const RIVAL_POOL: u32 = 32;
const RIVAL_TASKS: u32 = 32;

/// The rival's transaction without HTTP.
pub const RIVAL_ROW: &str = "rival in process";
/// The rival over HTTP.
pub const RIVAL_HTTP_ROW: &str = "rival over HTTP";
/// The bare handler of POSTs.
pub const BARE_ROW: &str = "bare POST, 256 connections";
/// The same at fewer connections.
pub const BARE_64_ROW: &str = "bare POST, 64 connections";
/// The bare handler of a read.
pub const BARE_READ_ROW: &str = "bare GET, 64 connections";
/// Our single POSTs, on even load.
pub const SINGLE_ROW: &str = "single POST, 256 connections, even";
/// The same with one hot SKU.
pub const SINGLE_HOT_ROW: &str = "single POST, 256 connections, Zipf 2.0";
/// Our single POSTs at half their greatest rate.
pub const HALF_ROW: &str = "single POST at half that rate, open loop";
/// Our bulk requests over several connections.
pub const BULK_ROW: &str = "bulk, 4 connections, lines a second";
/// Our reads of a row.
pub const READ_ROW: &str = "GET /stock, one row, 64 connections";

/// How much of everything is done.
struct Plan {
    rounds: u64,
    turn: Duration,
    half: Duration,
    variants: usize,
    bulk_requests: u64,
    bulk_lines: u64,
}

/// One contender's turns.
struct Turns {
    name: String,
    figures: Vec<Figure>,
}

/// The whole bench. Fails when a request is refused or the stock does not add up afterwards, since then its speed is
/// worth nothing.
///
/// # Errors
/// When something cannot be started, is refused, or comes out wrong.
pub fn run(size: Size, rounds: Option<u64>, peer: &Path, binary: &Path) -> anyhow::Result<Vec<Figures>> {
    let load_before = load_average();
    let plan = Plan {
        rounds: rounds.unwrap_or(size.pick(1, 5)).max(1),
        turn: size.pick(Duration::from_millis(150), Duration::from_secs(3)),
        half: size.pick(Duration::from_millis(500), Duration::from_secs(15)),
        variants: size.pick(100, 10_000),
        bulk_requests: size.pick(5, 60),
        bulk_lines: size.pick(100, 10_000),
    };
    let postgres = Postgres::start_with(POSTGRES_SETTINGS)?;
    let bare = peers::start_bare(peer)?;
    let product = Product::start(binary)?;
    let catalogue = product.stock_up(plan.variants, ON_HAND_AT_FIRST)?;
    let mut run = Run {
        head_at_first: product.settle()?.head,
        size,
        load_before,
        plan,
        peer,
        runtime: tokio::runtime::Runtime::new().context("cannot start a runtime")?,
        postgres,
        bare,
        product,
        catalogue,
        all: Vec::new(),
        recorded: 0,
        units: 0,
        drives: 0,
        settled_within: Duration::ZERO,
    };
    for _ in 0..run.plan.rounds {
        run.round()?;
    }
    let lag = run.at_half_rate()?;
    run.ensure_right()?;
    run.tables(&lag)
}

struct Run<'a> {
    size: Size,
    load_before: Option<String>,
    plan: Plan,
    peer: &'a Path,
    runtime: tokio::runtime::Runtime,
    postgres: Postgres,
    bare: Server,
    product: Product,
    catalogue: Catalogue,
    all: Vec<Turns>,
    head_at_first: u64,
    /// Events that the server has acknowledged, and what they changed on hand.
    recorded: u64,
    units: i64,
    /// Gives every drive idempotency keys of its own.
    drives: u64,
    /// The longest that the views took to catch up after a turn.
    settled_within: Duration,
}

impl Run<'_> {
    fn round(&mut self) -> anyhow::Result<()> {
        let turn = self.plan.turn;
        let rival = self.runtime.block_on(measure::in_process(
            turn,
            &self.postgres,
            &self.catalogue,
            RIVAL_TASKS,
            Skew::Even,
        ))?;
        self.add(RIVAL_ROW.to_owned(), rival);
        let rival = self.runtime.block_on(measure::over_http(
            turn,
            &self.postgres,
            self.peer,
            &self.catalogue,
            RIVAL_POOL,
            Skew::Even,
        ))?;
        self.add(RIVAL_HTTP_ROW.to_owned(), Figure::of_load("", &rival));
        for connections in [CONNECTIONS, 256] {
            let outcome = self.bare_posts(connections)?;
            let name = format!("bare POST, {connections} connections");
            self.add(name, Figure::of_load("", &outcome));
            for skew in [Skew::Even, Skew::Zipf(1.0), Skew::Zipf(2.0)] {
                let outcome = self.posts(connections, skew, Pace::ClosedLoop, turn)?;
                let name = format!("single POST, {connections} connections, {skew}");
                self.add(name, Figure::of_load("", &outcome));
            }
        }
        let bare = Load::read(self.bare.address()?, "", CONNECTIONS, Until::Elapsed(turn));
        let outcome = self.reads(bare, self.bare.pid()?)?;
        self.add(BARE_READ_ROW.to_owned(), Figure::of_load("", &outcome));
        self.settle()?;
        let ours = self.product.read_load("", CONNECTIONS, Until::Elapsed(turn))?;
        let outcome = self.reads(ours, self.product.pid()?)?;
        self.add(READ_ROW.to_owned(), Figure::of_load("", &outcome));
        for (connections, keyed) in [(1, true), (4, true), (4, false)] {
            let figure = self.bulk(connections, keyed)?;
            let keys = if keyed { "" } else { ", no keys" };
            let name = format!("bulk, {connections} connections{keys}, lines a second");
            self.add(name.replace("1 connections", "1 connection"), figure);
        }
        self.settle()
    }

    fn add(&mut self, name: String, figure: Figure) {
        match self.all.iter_mut().find(|turns| turns.name == name) {
            Some(turns) => turns.figures.push(figure),
            None => self.all.push(Turns {
                name,
                figures: vec![figure],
            }),
        }
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        let begun_at = Instant::now();
        self.product.settle()?;
        self.settled_within = self.settled_within.max(begun_at.elapsed());
        Ok(())
    }

    fn writer(&mut self, skew: Skew) -> RequestWriter {
        self.drives += 1;
        RequestWriter::new(&self.catalogue, skew, &format!("drive-{}", self.drives))
    }

    fn bare_posts(&mut self, connections: usize) -> anyhow::Result<Outcome> {
        self.settle()?;
        let mut writer = self.writer(Skew::Even);
        let mut load = Load::post(
            self.bare.address()?,
            EVENTS,
            connections,
            Until::Elapsed(self.plan.turn),
        );
        load.server_pids = vec![self.bare.pid()?];
        let outcome = load.drive(|_, request, draft| writer.fill(request, draft))?;
        ensure_all(&outcome, 201)?;
        Ok(outcome)
    }

    /// Single POSTs to our server, every one of which must be accepted.
    fn posts(
        &mut self,
        connections: usize,
        skew: Skew,
        pace: Pace,
        time: Duration,
    ) -> anyhow::Result<Outcome> {
        self.settle()?;
        let mut writer = self.writer(skew);
        let mut load = self
            .product
            .post_load(EVENTS, connections, Until::Elapsed(time))?;
        load.pace = pace;
        let outcome = load.drive(|_, request, draft| writer.fill(request, draft))?;
        ensure_all(&outcome, 201)?;
        self.recorded += outcome.answered;
        self.units += writer.units();
        Ok(outcome)
    }

    fn reads(&self, mut load: Load, pid: u32) -> anyhow::Result<Outcome> {
        load.server_pids = vec![pid];
        let mut dice = Dice::new(7);
        let variants = self.catalogue.variants.len() as u64;
        let start = format!(
            "/api/v1/stock?warehouseId={}&variantId=",
            self.catalogue.warehouse
        );
        let outcome = load.drive(|_, _, draft: &mut Draft| {
            let rank = usize::try_from(dice.below(variants)).expect("a rank that was made from a length");
            let mut variant = [0; 36];
            self.catalogue.variants[rank]
                .hyphenated()
                .encode_lower(&mut variant);
            draft.target.extend_from_slice(start.as_bytes());
            draft.target.extend_from_slice(&variant);
        })?;
        ensure_all(&outcome, 200)?;
        Ok(outcome)
    }

    /// A row in lines, not requests. What a line's own latency is nobody sees; the request's is told.
    fn bulk(&mut self, connections: usize, keyed: bool) -> anyhow::Result<Figure> {
        self.settle()?;
        let (requests, lines) = (self.plan.bulk_requests, self.plan.bulk_lines);
        let mut writer = self.writer(Skew::Even);
        // Made before the clock starts: writing 2 MB a request would be the driver's cost, not the server's.
        let bodies: Vec<Vec<u8>> = (0..requests)
            .map(|request| {
                let mut body = Vec::new();
                for line in 0..lines {
                    writer.write_line(keyed.then_some(request * lines + line), &mut body);
                }
                body
            })
            .collect();
        let load = self
            .product
            .bulk_load(EVENTS_BULK, connections, Until::Requests(requests))?;
        let before = self.product.standing()?.head;
        let outcome = load.drive(|_, request, draft| {
            draft
                .body
                .extend_from_slice(&bodies[usize::try_from(request).expect("a number of few")]);
        })?;
        ensure_all(&outcome, 200)?;
        let events = self.product.standing()?.head - before;
        ensure!(
            events == requests * lines,
            "{events} of {} lines were accepted",
            requests * lines
        );
        self.recorded += events;
        self.units += writer.units();
        let each = u32::try_from(events).context("too many lines to divide by")?;
        Ok(Figure {
            per_second: f64::from(each) / outcome.wall.as_secs_f64(),
            server_cpu: outcome.server_cpu.map(|cpu| cpu / each),
            ..Figure::of_load("", &outcome)
        })
    }

    /// Single POSTs at half the rate that they have reached, and how far the views fell behind meanwhile.
    fn at_half_rate(&mut self) -> anyhow::Result<Lag> {
        let per_second = self.median(SINGLE_ROW)?.per_second / 2.0;
        self.settle()?;
        let mut looks = self
            .product
            .read_load("/api/v1/ledger", 1, Until::Elapsed(self.plan.half))?;
        looks.pace = Pace::OpenLoop { per_second: 20.0 };
        let watcher = std::thread::spawn(move || -> anyhow::Result<Lag> {
            let mut lag = Lag::default();
            let mut failed = None;
            let began_at = Instant::now();
            looks.drive_and_watch(
                |_, _, _| (),
                |answer| match Standing::parse(answer.body) {
                    Ok(standing) => lag.look(began_at.elapsed(), &standing),
                    Err(error) => failed = Some(error),
                },
            )?;
            failed.map_or(Ok(lag), Err)
        });
        let time = self.plan.half;
        let driven = self.posts(256, Skew::Even, Pace::OpenLoop { per_second }, time);
        let watched = watcher
            .join()
            .map_err(|_| anyhow::anyhow!("the watch over the views broke down"))??;
        let driven = driven?;
        ensure!(
            self.size == Size::Small || driven.unsent == 0,
            "half the greatest rate was too much: {} were never sent",
            driven.unsent
        );
        self.add(HALF_ROW.to_owned(), Figure::of_load("", &driven));
        Ok(watched)
    }

    fn ensure_right(&mut self) -> anyhow::Result<()> {
        let events = self.product.settle()?.head - self.head_at_first;
        ensure!(
            events == self.recorded,
            "{events} events are in the log where {} were acknowledged",
            self.recorded
        );
        let at_first = ON_HAND_AT_FIRST * i64::try_from(self.plan.variants)?;
        let on_hand = self.product.units_on_hand(self.catalogue.warehouse)?;
        ensure!(
            on_hand == at_first + self.units,
            "{on_hand} units are on hand where {} were expected",
            at_first + self.units
        );
        Ok(())
    }

    /// The turn of the median speed.
    fn median(&self, name: &str) -> anyhow::Result<Figure> {
        let turns = self.all.iter().find(|turns| turns.name == name);
        let turns = turns.with_context(|| format!("{name} had no turn"))?;
        let mut figures = turns.figures.clone();
        figures.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
        let mut median = figures.swap_remove(figures.len() / 2);
        name.clone_into(&mut median.name);
        Ok(median)
    }

    fn table(&self, title: String) -> Figures {
        Figures::new(title).begun_under(self.load_before.clone())
    }

    fn tables(&self, lag: &Lag) -> anyhow::Result<Vec<Figures>> {
        let rounds = format!(
            "median of {} rounds of {:?} a turn",
            self.plan.rounds, self.plan.turn
        );
        let names: Vec<&str> = self.all.iter().map(|turns| turns.name.as_str()).collect();
        let of = |start: &str| -> Vec<&str> {
            names
                .iter()
                .copied()
                .filter(|name| name.starts_with(start))
                .collect()
        };
        let mut single = self
            .table(format!("Single POSTs, {rounds}"))
            .against(BARE_64_ROW)
            .against(BARE_ROW)
            .against(SINGLE_ROW)
            .against(RIVAL_HTTP_ROW);
        for name in [of("bare POST"), vec![RIVAL_HTTP_ROW], of("single POST")].concat() {
            single.push(self.median(name)?);
        }
        single.note(format!(
            "At half the greatest rate the views were at most {:.2} s ({} events) behind, in {} looks.",
            lag.most().as_secs_f64(),
            lag.events(),
            lag.looks()
        ));
        single.note(format!(
            "After a turn as fast as can be the views needed at most {:.2} s to catch up (bulk turns among them).",
            self.settled_within.as_secs_f64()
        ));
        let mut bulk = self
            .table(format!(
                "Bulk, {} lines a request, latencies of requests, median of {} rounds of {} lines",
                self.plan.bulk_lines,
                self.plan.rounds,
                self.plan.bulk_lines * self.plan.bulk_requests
            ))
            .against(RIVAL_ROW)
            .against(RIVAL_HTTP_ROW);
        for name in [vec![RIVAL_ROW, RIVAL_HTTP_ROW], of("bulk")].concat() {
            bulk.push(self.median(name)?);
        }
        let mut reads = self
            .table(format!("Reads, {rounds}"))
            .against(BARE_64_ROW)
            .against(BARE_READ_ROW);
        for name in [BARE_64_ROW, BARE_READ_ROW, READ_ROW] {
            reads.push(self.median(name)?);
        }
        Ok(vec![single, bulk, reads])
    }
}

fn ensure_all(outcome: &Outcome, status: u16) -> anyhow::Result<()> {
    ensure!(
        outcome.answered > 0 && outcome.count(status) == outcome.answered && outcome.lost == 0,
        "not all were answered {status}: {:?}, {} lost",
        outcome.by_status,
        outcome.lost
    );
    Ok(())
}
