//! What recalls make of the lots that are raced for, worked out from all of the log's events.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Course;
use super::tally::{Moves, Recall, Tally};

/// Where recalls stand after some events.
#[derive(Default)]
pub(super) struct Recalled {
    /// Lots out of use.
    lots: BTreeSet<usize>,
    /// What is held of them because of that, by warehouse and lot.
    aside: BTreeMap<(usize, usize), i64>,
    /// What the last event made available of them, and at which warehouse: the next event must hold it.
    due: Option<(usize, Moves)>,
    /// Whether the last event was of a recall that is not whole yet.
    is_half: bool,
}

impl Recalled {
    pub(super) fn has(&self, lot: usize) -> bool {
        self.lots.contains(&lot)
    }

    /// Follows an event at no warehouse of the race.
    pub(super) fn follow_elsewhere(&mut self, event: &Value, course: &Course, tally: &Tally) -> Result<()> {
        ensure!(self.due.is_none(), "{:?} were to be held", self.due);
        let is_used = match event["type"].as_str() {
            Some("VARIANT_ACTIVATED") => true,
            Some("VARIANT_DEACTIVATED") => false,
            _ => return Ok(()),
        };
        let lot = course.variant(&event["variantId"]).ok();
        let Some(lot) = lot.filter(|lot| course.lots().contains(lot)) else {
            return Ok(());
        };
        let changed = if is_used {
            self.lots.remove(&lot)
        } else {
            self.lots.insert(lot)
        };
        ensure!(changed, "it is so already");
        self.end(event, (lot, is_used), tally)
    }

    /// Follows an event at a warehouse, which moves this and leaves as much available there. Answers whether it is a recall's,
    /// or follows from one, so that it is nobody's request for stock.
    pub(super) fn follow(
        &mut self,
        event: &Value,
        warehouse: usize,
        (moves, available): (&Moves, impl Fn(usize) -> i64),
        course: &Course,
        tally: &Tally,
    ) -> Result<bool> {
        let kind = event["type"].as_str().unwrap_or_default();
        let key = event["idempotencyKey"].as_str();
        let due = self.due.take();
        let is_of_it = match key {
            None => matches!(kind, "HOLD" | "UNHOLD"),
            Some(key) => tally.recall(key).is_some(),
        };
        let mut arrived = Moves::new();
        for ((lot, from, to), units) in moves {
            if !course.lots().contains(lot) {
                continue;
            }
            let aside = self.aside.entry((warehouse, *lot)).or_default();
            let is_out = self.lots.contains(lot);
            if is_out && *from == "available" {
                let is_fit = *to == "held" || matches!(kind, "ADJUST" | "REVERSAL");
                ensure!(is_fit, "some of a recalled lot goes where it must not");
            }
            if is_of_it && due.is_none() {
                let (is_fit, left) = if *from == "held" {
                    (*units == *aside, 0)
                } else {
                    (is_out, available(*lot))
                };
                ensure!(
                    is_fit && left == 0,
                    "a recall is of all there is: {aside} were held"
                );
            }
            if *from == "held" {
                *aside = (*aside - units).max(0);
            } else if is_out && *to == "held" && *from == "available" {
                *aside += units;
            } else if is_out && *to == "available" {
                *arrived.entry((*lot, "available", "held")).or_default() += units;
            }
        }
        if let Some((at, due)) = due {
            let is_fit = key.is_none() && kind == "HOLD" && at == warehouse && *moves == due;
            ensure!(is_fit, "{due:?} were to be held");
            return Ok(true);
        }
        if !arrived.is_empty() {
            self.due = Some((warehouse, arrived));
        }
        if !is_of_it {
            ensure!(!self.is_half, "half a recall stands before it");
            return Ok(false);
        }
        let mut lots = moves.keys().map(|(lot, _, _)| *lot);
        let lot = lots.next().context("a recall of nothing")?;
        ensure!(lots.next().is_none(), "a recall of several lots");
        self.end(event, (lot, kind == "UNHOLD"), tally)?;
        Ok(true)
    }

    /// Ends a recall with the event that has its key, which is the last one. It is of `what`: a lot, and whether it is over.
    fn end(&mut self, event: &Value, what: (usize, bool), tally: &Tally) -> Result<()> {
        self.is_half = event["idempotencyKey"].is_null();
        if let Some(key) = event["idempotencyKey"].as_str() {
            let asked = tally.recall(key).context("no client asked for this recall")?;
            let asked = (asked.lot, asked.is_over);
            ensure!(asked == what, "{asked:?} was asked for");
        }
        Ok(())
    }

    /// Holds what a client was answered at a position, which the log has come to, against how things stand there.
    pub(super) fn check(&self, recall: &Recall, available: i64) -> Result<()> {
        let aside = self.aside.iter().filter(|((_, lot), _)| *lot == recall.lot);
        let aside: i64 = aside.map(|(_, units)| units).sum();
        let is_so = if recall.is_over {
            !self.has(recall.lot) && aside == 0
        } else {
            self.has(recall.lot) && available == 0
        };
        ensure!(
            is_so,
            "{recall:?} was answered: {available} are available, {aside} held"
        );
        Ok(())
    }

    /// Nothing is missing at the end of the log.
    pub(super) fn finish(&self) -> Result<()> {
        ensure!(self.due.is_none() && !self.is_half, "half a recall ends the log");
        Ok(())
    }
}
