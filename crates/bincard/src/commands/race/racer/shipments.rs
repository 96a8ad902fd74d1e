//! A client's transfers: dispatched, and then received, whole or in part, or written off.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::{Value, json};

use super::Racer;
use super::send::Attempt;
use crate::commands::race::tally::{Moves, moves};

/// A transfer of this client's: what is on the way, by variant.
pub(super) struct Shipment {
    id: String,
    to: usize,
    on_the_way: BTreeMap<usize, i64>,
}

impl Racer<'_> {
    pub(super) async fn dispatch(&mut self) -> Result<()> {
        let (from, units) = (self.draw_warehouse(), self.draw_units(9));
        let to = (from + 1) % self.course.warehouses.len();
        let body = json!({
            "fromWarehouseId": self.course.warehouses[from], "toWarehouseId": self.course.warehouses[to],
            "lines": self.course.lines(&units),
        });
        let sent = moves(&units, "available", "transit");
        let attempt = self.attempt("dispatch", "/api/v1/transfers".to_owned(), body, from, sent);
        if let Some(answer) = self.send(attempt).await? {
            self.shipments.push(Shipment {
                id: answer.id()?,
                to,
                on_the_way: units,
            });
        }
        Ok(())
    }

    /// What is on the way arrives in part, some of it damaged and some missing; or is received and written off at once,
    /// of which one must be refused.
    pub(super) async fn unload(&mut self, mut shipment: Shipment) -> Result<()> {
        if self.random.below(3) == 0 {
            let arrived = self.receipt(
                &shipment,
                None,
                moves(&shipment.on_the_way, "transit", "available"),
            );
            let path = format!("/api/v1/transfers/{}/close", shipment.id);
            let lost = moves(&shipment.on_the_way, "transit", "adjustment");
            let mut closed = self.attempt("close", path, json!({ "reasonCode": "OTHER" }), shipment.to, lost);
            closed.refusals = arrived.refusals;
            return self.rival([arrived, closed], true).await;
        }
        let (mut lines, mut found) = (Vec::new(), Moves::new());
        for (variant, left) in &mut shipment.on_the_way {
            let received = self.random.below(left.unsigned_abs() + 1) as i64;
            let damaged = self.random.below((*left - received).unsigned_abs() + 1) as i64;
            let short = *left - received - damaged;
            let mut line = self.course.line(*variant);
            line["received"] = json!(received);
            line["damaged"] = json!(damaged);
            line["short"] = json!(short);
            lines.push(line);
            for (to, units) in [("available", received), ("held", damaged)] {
                if units > 0 {
                    found.insert((*variant, "transit", to), units);
                }
            }
            *left = short;
        }
        let attempt = self.receipt(&shipment, Some(lines), found);
        self.must(attempt).await?;
        shipment.on_the_way.retain(|_, left| *left > 0);
        if !shipment.on_the_way.is_empty() {
            self.shipments.push(shipment);
        }
        Ok(())
    }

    fn receipt(&self, shipment: &Shipment, lines: Option<Vec<Value>>, found: Moves) -> Attempt {
        let body = lines.map_or_else(|| json!({}), |lines| json!({ "lines": lines }));
        let path = format!("/api/v1/transfers/{}/receive", shipment.id);
        let mut attempt = self.attempt("receive", path, body, shipment.to, found);
        attempt.refusals = &["transfer-over", "over-receipt"];
        attempt
    }
}
