//! What happens to the variant that is counted while it moves: it comes and goes, now and earlier, and is counted.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::Racer;
use super::send::settle;
use crate::commands::race::tally::{Moves, moves};

/// A count of this client's: others cannot open one of the same stock meanwhile.
pub(super) struct Count {
    id: String,
    warehouse: usize,
    is_submitted: bool,
}

impl Racer<'_> {
    /// Some of it comes in, leaves, is held or no longer held.
    pub(super) async fn move_counted(&mut self) -> Result<()> {
        let counted = self.course.counted();
        let (warehouse, units) = (self.draw_warehouse(), 1 + self.random.below(5) as i64);
        let (act, kind, from, to) = match self.random.below(5) {
            0 | 1 => ("inbound", "INBOUND", "supplier", "available"),
            2 => ("outbound", "OUTBOUND", "available", "customer"),
            3 => ("hold", "HOLD", "available", "held"),
            _ => ("unhold", "UNHOLD", "held", "available"),
        };
        let units = BTreeMap::from([(counted, units)]);
        let body = json!({ "type": kind, "warehouseId": self.course.warehouses[warehouse],
            "lines": self.course.lines(&units) });
        let path = "/api/v1/stock-events".to_owned();
        let attempt = self.attempt(act, path, body, warehouse, moves(&units, from, to));
        if let Some(answer) = self.send(attempt).await? {
            let at = answer.body["createdAt"].as_str();
            self.earlier = Some(at.context("an event without createdAt")?.to_owned());
        }
        Ok(())
    }

    /// Some of it left a while ago: whoever counted since saw that it was gone, and the event says so.
    pub(super) async fn move_late(&mut self) -> Result<()> {
        let Some(earlier) = self.earlier.clone() else {
            return self.move_counted().await;
        };
        let counted = self.course.counted();
        let (warehouse, quantity) = (self.draw_warehouse(), 1 + self.random.below(5) as i64);
        let units = BTreeMap::from([(counted, quantity)]);
        let body = json!({ "type": "OUTBOUND", "warehouseId": self.course.warehouses[warehouse],
            "occurredAt": earlier, "lines": self.course.lines(&units) });
        let path = "/api/v1/stock-events".to_owned();
        let taken = moves(&units, "available", "customer");
        let mut attempt = self.attempt("late", path, body, warehouse, taken);
        let key = self.key("");
        let answer = self.exchange(&attempt, &key).await?;
        if answer
            .as_ref()
            .is_some_and(|answer| !answer.body["seenByCount"].is_null())
        {
            let back = (counted, "adjustment", "available");
            attempt.moves.insert(back, quantity);
        }
        settle(&mut self.tally, attempt, key, answer.as_ref())
    }

    /// Opens a count, says what was found, or lets that be right.
    pub(super) async fn count_step(&mut self) -> Result<()> {
        let counted = self.course.counted();
        let Some(count) = self.count.take() else {
            let warehouse = self.draw_warehouse();
            let body = json!({ "warehouseId": self.course.warehouses[warehouse],
                "variantIds": [self.course.variants[counted]] });
            let path = "/api/v1/counts".to_owned();
            let mut attempt = self.attempt("count", path, body, warehouse, Moves::new());
            attempt.refusals = &["count-overlaps"];
            if let Some(answer) = self.send(attempt).await? {
                self.count = Some(Count {
                    id: answer.id()?,
                    warehouse,
                    is_submitted: false,
                });
            }
            return Ok(());
        };
        if count.is_submitted && self.random.below(4) > 0 {
            return self.approve(count).await;
        }
        let line = json!({ "variantId": self.course.variants[counted], "counted": self.random.below(40) });
        let path = format!("/api/v1/counts/{}/lines", count.id);
        let body = json!({ "lines": [line] });
        let attempt = self.attempt("submit", path, body, count.warehouse, Moves::new());
        self.must(attempt).await?;
        self.count = Some(Count {
            is_submitted: true,
            ..count
        });
        Ok(())
    }

    /// Where more has left since the counting than was counted, it is counted again.
    async fn approve(&mut self, count: Count) -> Result<()> {
        let path = format!("/api/v1/counts/{}/approve", count.id);
        let mut attempt = self.attempt("approve", path, json!({}), count.warehouse, Moves::new());
        let key = self.key("");
        let answer = self.exchange(&attempt, &key).await?;
        for line in answer
            .iter()
            .flat_map(|answer| answer.body["lines"].as_array())
            .flatten()
        {
            let variant = self.course.variant_of(line)?;
            ensure!(variant == self.course.counted(), "{line} was not counted");
            let change = line["quantity"].as_i64().context("a line without quantity")?;
            let way = if change > 0 {
                (variant, "adjustment", "available")
            } else {
                (variant, "available", "adjustment")
            };
            *attempt.moves.entry(way).or_default() += change.abs();
        }
        if answer.is_none() {
            self.count = Some(Count {
                is_submitted: false,
                ..count
            });
        }
        settle(&mut self.tally, attempt, key, answer.as_ref())
    }

    /// Ends a count that is open when the race is over.
    pub(super) async fn give_up_count(&mut self) -> Result<()> {
        let Some(count) = self.count.take() else {
            return Ok(());
        };
        let path = format!("/api/v1/counts/{}/cancel", count.id);
        let key = self.key("/end");
        let attempt = self.attempt("cancel", path, json!({}), count.warehouse, Moves::new());
        let answer = self.exchange(&attempt, &key).await?;
        ensure!(answer.is_some(), "a count of its own could not be cancelled");
        settle(&mut self.tally, attempt, key, answer.as_ref())
    }
}
