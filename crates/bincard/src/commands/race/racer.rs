//! One client of the race: it takes stock in every way there is, and carries on what it began.

mod counts;
mod orders;
mod send;
mod shipments;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::client::Client;
use super::tally::{Moves, Recall, Tally, moves};
use super::{Course, Random};
use counts::Count;
use orders::Order;
pub(super) use send::{Attempt, check, recorded, settle};
use shipments::Shipment;

/// Orders and transfers that a client carries on at a time, and events that it may still undo.
const OPEN_MAX: usize = 4;

/// An event of this client's that can be undone.
struct Undoable {
    id: String,
    warehouse: usize,
    moves: Moves,
}

pub(super) struct Racer<'a> {
    client: &'a Client,
    course: &'a Course,
    random: Random,
    /// What this client's keys begin with.
    name: String,
    turn: u32,
    orders: Vec<Order>,
    shipments: Vec<Shipment>,
    undoable: Vec<Undoable>,
    count: Option<Count>,
    /// When something was recorded a while ago, as it was answered.
    earlier: Option<String>,
    tally: Tally,
}

impl<'a> Racer<'a> {
    pub(super) fn new(client: &'a Client, course: &'a Course, number: u32, seed: u64) -> Racer<'a> {
        Racer {
            client,
            course,
            random: Random(seed ^ u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            name: format!("{}/{seed}/{number}", course.name),
            turn: 0,
            orders: Vec::new(),
            shipments: Vec::new(),
            undoable: Vec::new(),
            count: None,
            earlier: None,
            tally: Tally::default(),
        }
    }

    pub(super) async fn run(mut self, turns: u32) -> Result<Tally> {
        for turn in 0..turns {
            self.turn = turn;
            match self.random.below(29) {
                0..=5 => self.change("outbound", -1).await?,
                6..=7 => self.change("adjust", -1).await?,
                8 => self.change("adjust", 1).await?,
                9..=10 => self.change("inbound", 1).await?,
                11 => self.change_unchanged().await?,
                12..=15 => match self.orders.pop() {
                    Some(order) if self.random.below(4) > 0 => self.carry_on(order).await?,
                    Some(order) if self.orders.len() + 1 >= OPEN_MAX => self.carry_on(order).await?,
                    taken => {
                        self.orders.extend(taken);
                        self.reserve().await?;
                    }
                },
                16..=18 => match self.shipments.pop() {
                    Some(shipment) if self.random.below(4) > 0 => self.unload(shipment).await?,
                    Some(shipment) if self.shipments.len() + 1 >= OPEN_MAX => self.unload(shipment).await?,
                    taken => {
                        self.shipments.extend(taken);
                        self.dispatch().await?;
                    }
                },
                19 => match self.undoable.pop() {
                    Some(event) => self.undo(event).await?,
                    None => self.change("outbound", -1).await?,
                },
                20 => self.change("hold", -1).await?,
                21 => self.change("unhold", 1).await?,
                22 => self.take_by_expiry().await?,
                23 => self.move_counted().await?,
                24 => self.move_late().await?,
                25 => self.recall().await?,
                _ => self.count_step().await?,
            }
        }
        self.give_up_count().await?;
        Ok(self.tally)
    }

    /// Stock comes, goes or is corrected.
    async fn change(&mut self, act: &'static str, sign: i64) -> Result<()> {
        let attempt = self.draw_change(act, sign);
        let (warehouse, moves) = (attempt.warehouse, attempt.moves.clone());
        if let Some(answer) = self.send(attempt).await? {
            self.undoable.truncate(OPEN_MAX - 1);
            self.undoable.push(Undoable {
                id: answer.id()?,
                warehouse,
                moves,
            });
        }
        Ok(())
    }

    /// Writes on the condition that nobody wrote to the warehouse since this client looked, and looks again once when
    /// somebody did.
    async fn change_unchanged(&mut self) -> Result<()> {
        let mut attempt = self.draw_change("outbound", -1);
        (attempt.act, attempt.refusals) = (
            "if-match",
            &["version-mismatch", "insufficient-stock", "lot-inactive"],
        );
        let warehouse = &self.course.warehouses[attempt.warehouse];
        let path = format!("/api/v1/stock?warehouseId={warehouse}&size=1");
        let stock = self.client.read(&path, 0).await?;
        let mut seen = stock.tag.context("stock of a warehouse without an ETag")?;
        let key = self.key("");
        for again in [true, false] {
            let (path, body) = (&attempt.path, &attempt.body);
            let answer = self.client.post(path, body, Some(&key), Some(&seen)).await?;
            if again && answer.code() == "version-mismatch" {
                seen = answer.tag.context("a version mismatch without an ETag")?;
                continue;
            }
            if answer.status == 201 {
                let (before, after) = (version_of(Some(&seen))?, version_of(answer.tag.as_deref())?);
                ensure!(
                    after == before + 1,
                    "written on version {before}, and it made version {after}"
                );
            }
            self.settle(attempt, key, &answer)?;
            break;
        }
        Ok(())
    }

    /// Undoes an event; every other time twice at once, of which one must be refused.
    async fn undo(&mut self, event: Undoable) -> Result<()> {
        let back = event.moves.iter();
        let back: Moves = back
            .map(|((variant, from, to), units)| ((*variant, *to, *from), *units))
            .collect();
        let attempt = || {
            let path = format!("/api/v1/stock-events/{}/reverse", event.id);
            let mut attempt = self.attempt("reverse", path, json!({}), event.warehouse, back.clone());
            attempt.refusals = &["insufficient-stock", "already-reversed"];
            attempt
        };
        let (one, other) = (attempt(), attempt());
        if self.random.below(2) == 0 {
            self.rival([one, other], false).await
        } else {
            self.send(one).await.map(drop)
        }
    }

    /// A request of one of the kinds that change stock.
    fn draw_change(&mut self, act: &'static str, sign: i64) -> Attempt {
        let (warehouse, units) = (
            self.draw_warehouse(),
            self.draw_units(if sign > 0 { 3 } else { 9 }),
        );
        let (kind, reason, outside) = match (act, sign) {
            ("inbound", _) => ("INBOUND", "PURCHASE", "supplier"),
            ("outbound", _) => ("OUTBOUND", "SALE", "customer"),
            ("hold", _) => ("HOLD", "OTHER", "held"),
            ("unhold", _) => ("UNHOLD", "OTHER", "held"),
            (_, 1) => ("ADJUST", "COUNT_CORRECTION", "adjustment"),
            _ => ("ADJUST", "DAMAGE", "adjustment"),
        };
        let said = if kind == "ADJUST" { sign } else { 1 };
        let lines = units
            .iter()
            .map(|(variant, units)| (*variant, said * units))
            .collect();
        let body = json!({ "type": kind, "warehouseId": self.course.warehouses[warehouse], "reasonCode": reason,
            "lines": self.course.lines(&lines) });
        let moved = if sign > 0 {
            moves(&units, outside, "available")
        } else {
            moves(&units, "available", outside)
        };
        self.attempt(act, "/api/v1/stock-events".to_owned(), body, warehouse, moved)
    }

    /// Sells of the lots without naming one: what expires first leaves first.
    async fn take_by_expiry(&mut self) -> Result<()> {
        let (warehouse, units) = (self.draw_warehouse(), 1 + self.random.below(9));
        let body = json!({ "type": "OUTBOUND", "warehouseId": self.course.warehouses[warehouse],
            "reasonCode": "SALE", "lines": [{ "variantId": self.course.in_lots, "quantity": units }] });
        let path = "/api/v1/stock-events".to_owned();
        let mut attempt = self.attempt("fefo", path, body, warehouse, Moves::new());
        let key = self.key("");
        let answer = self.exchange(&attempt, &key).await?;
        for line in answer
            .iter()
            .flat_map(|answer| answer.body["lines"].as_array())
            .flatten()
        {
            let taken = line["quantity"].as_i64().context("a line without quantity")?;
            let lot = self.course.variant_of(line)?;
            attempt.moves.insert((lot, "available", "customer"), -taken);
        }
        settle(&mut self.tally, attempt, key, answer.as_ref())
    }

    /// Recalls a lot, or lets it be used again, which is asked for more often; now and then twice at once under one key. Who
    /// asked first does not matter: it is done or was done before.
    async fn recall(&mut self) -> Result<()> {
        let lots: Vec<usize> = self.course.lots().collect();
        let lot = self.random.choose(&lots).context("a race without lots")?;
        let is_over = self.random.below(3) > 0;
        let step = if is_over { "release" } else { "recall" };
        let path = format!("/api/v1/lots/{}/{step}", self.course.variants[lot]);
        let (key, body) = (self.key(""), json!({}));
        let send = || self.client.post(&path, &body, Some(&key), None);
        let answers = if self.random.below(8) == 0 {
            let (first, second) = tokio::join!(send(), send());
            vec![first?, second?]
        } else {
            vec![send().await?]
        };
        let mut positions = Vec::new();
        for answer in answers {
            ensure!(
                answer.status == 200 && answer.body["lot"]["id"] == self.course.variants[lot],
                "{} for {path}: {}",
                answer.status,
                answer.body
            );
            positions.push(answer.position.context("a recall without Ledger-Position")?);
        }
        self.tally.note_recall(key, Recall { lot, is_over }, &positions);
        Ok(())
    }

    fn draw_warehouse(&mut self) -> usize {
        self.random.below(self.course.warehouses.len() as u64) as usize
    }

    /// Some units of one to three variants or lots.
    fn draw_units(&mut self, units_max: u64) -> BTreeMap<usize, i64> {
        let variants = self.course.counted() as u64;
        let mut units = BTreeMap::new();
        for _ in 0..=self.random.below(variants.min(3)) {
            let variant = self.random.below(variants) as usize;
            units.insert(variant, 1 + self.random.below(units_max) as i64);
        }
        units
    }

    fn key(&self, more: &str) -> String {
        format!("{}/{}{more}", self.name, self.turn)
    }
}

fn version_of(tag: Option<&str>) -> Result<u64> {
    let tag = tag.context("a write without an ETag")?;
    tag.trim_matches('"')
        .parse()
        .with_context(|| format!("an ETag that is no version: {tag}"))
}
