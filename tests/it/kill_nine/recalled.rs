//! Follows recalls of lots through the log: what of it is whose, and that nothing of a recalled lot is promised or leaves.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// What an event is to the request that it follows from.
#[derive(PartialEq, Eq)]
pub(super) enum Part {
    /// It is the request's own.
    Own,
    /// It stands before the request's own.
    Before,
    /// It stands behind it: what became available of a recalled lot is held.
    Behind,
}

/// Units of a lot at a warehouse.
type Units = BTreeMap<(String, String), i64>;

/// Where recalls stand after some events.
#[derive(Default)]
pub(super) struct Recalled {
    /// Lots out of use.
    lots: BTreeSet<String>,
    /// What is available of any lot, by warehouse and lot.
    available: Units,
    /// What the last event made available of lots out of use: the next one must hold it.
    due: Units,
    /// The lot whose recall has begun in the log and is not whole yet.
    begun: Option<String>,
}

impl Recalled {
    /// Follows the next event; `lots` are the ids of all lots.
    pub(super) fn follow(&mut self, event: &Value, lots: &BTreeMap<String, String>) -> Result<Part> {
        let kind = event["type"].as_str().unwrap_or_default();
        let is_keyed = event["idempotencyKey"].is_string();
        let part = if !self.due.is_empty() {
            ensure!(
                kind == "HOLD" && !is_keyed,
                "{:?} of recalled lots are not held, but {event} follows",
                self.due
            );
            Part::Behind
        } else if !is_keyed && matches!(kind, "HOLD" | "UNHOLD") {
            Part::Before
        } else {
            Part::Own
        };
        let due = std::mem::take(&mut self.due);
        let id = event["variantId"].as_str().filter(|id| lots.contains_key(*id));
        match (kind, id) {
            ("VARIANT_DEACTIVATED", Some(id)) => {
                self.lots.insert(id.to_owned());
                self.begun = Some(id.to_owned());
            }
            ("VARIANT_ACTIVATED", Some(id)) => {
                ensure!(self.lots.remove(id), "{id} is used again, and was not out of use");
            }
            _ => {}
        }
        let held = self.follow_postings(event, lots)?;
        if part == Part::Behind {
            ensure!(held == due, "{due:?} were to be held: {event}");
        }
        if is_keyed && let Some(lot) = self.begun.take() {
            let left = self.available.iter().filter(|((_, of), _)| *of == lot);
            let left: i64 = left.map(|(_, units)| units).sum();
            ensure!(
                left == 0,
                "{left} are available of {lot} behind its recall: {event}"
            );
        }
        Ok(part)
    }

    /// Follows what an event moves of lots, and answers what of it went from what is available to what is held.
    fn follow_postings(&mut self, event: &Value, lots: &BTreeMap<String, String>) -> Result<Units> {
        let mut held = Units::new();
        let warehouse = event["warehouseId"].as_str().unwrap_or_default();
        for posting in event["postings"].as_array().into_iter().flatten() {
            let lot = posting["variantId"].as_str().context("a posting of nothing")?;
            if !lots.contains_key(lot) {
                continue;
            }
            let key = (warehouse.to_owned(), lot.to_owned());
            let units = posting["quantity"].as_i64().context("a posting of no units")?;
            let (from, to) = (posting["from"].as_str(), posting["to"].as_str());
            if from == Some("available") {
                *self.available.entry(key.clone()).or_default() -= units;
            }
            if to == Some("available") {
                *self.available.entry(key.clone()).or_default() += units;
            }
            if !self.lots.contains(lot) {
                continue;
            }
            let is_fit = matches!(
                (from, to),
                (Some("supplier" | "reserved" | "held"), Some("available"))
                    | (Some("available"), Some("held"))
            );
            ensure!(is_fit, "some of a recalled lot goes where it must not: {event}");
            match (from, to) {
                (_, Some("held")) => *held.entry(key).or_default() += units,
                (from, _) if from != Some("held") => *self.due.entry(key).or_default() += units,
                _ => {}
            }
        }
        Ok(held)
    }

    /// Nothing is missing at the end of the log, and the lots are out of use that it says; `active` has all lots.
    pub(super) fn finish(&self, active: &BTreeMap<String, bool>) -> Result<()> {
        ensure!(
            self.due.is_empty() && self.begun.is_none(),
            "half a recall ends the log"
        );
        for (lot, active) in active {
            ensure!(
                *active != self.lots.contains(lot),
                "the lot {lot} is {}in use, the log says otherwise",
                if *active { "" } else { "not " }
            );
        }
        Ok(())
    }
}
