//! A client's orders: reserved, and then picked, packed, shipped or given back.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::Racer;
use super::send::Attempt;
use crate::commands::race::tally::{Moves, Recorded, moves};

/// A reservation of this client's: what it holds, by variant and bucket.
pub(super) struct Order {
    id: String,
    warehouse: usize,
    holds: BTreeMap<(usize, &'static str), i64>,
}

impl Racer<'_> {
    pub(super) async fn reserve(&mut self) -> Result<()> {
        let (warehouse, units) = (self.draw_warehouse(), self.draw_units(9));
        let is_partial = self.random.below(3) == 0;
        let body = json!({
            "orderId": self.key(""), "warehouseId": self.course.warehouses[warehouse], "partial": is_partial,
            "lines": self.course.lines(&units),
        });
        let key = self.key("");
        let attempt = self.attempt(
            "reserve",
            "/api/v1/reservations".to_owned(),
            body,
            warehouse,
            Moves::new(),
        );
        let Some(answer) = self.exchange(&attempt, &key).await? else {
            self.tally.refuse("reserve", key);
            return Ok(());
        };
        // Of a partial reservation, the answer tells how much there was.
        let mut reserved = BTreeMap::new();
        for line in answer.body["lines"]
            .as_array()
            .context("a reservation without lines")?
        {
            let variant = self.course.variant_of(line)?;
            let got = line["reserved"].as_i64().context("a line without reserved")?;
            let wanted = units.get(&variant).copied().unwrap_or_default();
            let fits = if is_partial {
                (0..=wanted).contains(&got)
            } else {
                got == wanted
            };
            ensure!(fits, "{wanted} were to be reserved: {}", answer.body);
            if got > 0 {
                reserved.insert(variant, got);
            }
        }
        let moves = moves(&reserved, "available", "reserved");
        self.tally.accept("reserve", key, Recorded { warehouse, moves });
        let holds = reserved
            .iter()
            .map(|(variant, units)| ((*variant, "reserved"), *units));
        self.orders.push(Order {
            id: answer.id()?,
            warehouse,
            holds: holds.collect(),
        });
        Ok(())
    }

    /// The next step of an order: pick, pack or ship some of it, or give some back; or ship and release the same units at
    /// once, of which one must be refused.
    pub(super) async fn carry_on(&mut self, mut order: Order) -> Result<()> {
        let held: Vec<_> = order
            .holds
            .iter()
            .map(|(place, units)| (*place, *units))
            .collect();
        let Some(((variant, from), units)) = self.random.choose(&held) else {
            return Ok(());
        };
        let some = 1 + self.random.below(units.unsigned_abs()) as i64;
        let (act, to) = match from {
            _ if self.random.below(6) == 0 => ("release", "available"),
            "reserved" => ("pick", "picked"),
            "picked" => ("pack", "packed"),
            _ => ("ship", "customer"),
        };
        if act == "ship" && self.random.below(3) == 0 {
            let all = BTreeMap::from([(variant, units)]);
            let rivals = [("ship", "customer"), ("release", "available")]
                .map(|(act, to)| self.order_step(&order, act, &all, "packed", to));
            self.rival(rivals, true).await?;
            order.holds.remove(&(variant, "packed"));
        } else {
            let attempt = self.order_step(&order, act, &BTreeMap::from([(variant, some)]), from, to);
            self.must(attempt).await?;
            if units == some {
                order.holds.remove(&(variant, from));
            } else {
                order.holds.insert((variant, from), units - some);
            }
            if to != "available" && to != "customer" {
                *order.holds.entry((variant, to)).or_default() += some;
            }
        }
        if !order.holds.is_empty() {
            self.orders.push(order);
        }
        Ok(())
    }

    fn order_step(
        &self,
        order: &Order,
        act: &'static str,
        units: &BTreeMap<usize, i64>,
        from: &'static str,
        to: &'static str,
    ) -> Attempt {
        let mut body = json!({ "lines": self.course.lines(units) });
        if act == "release" {
            body["from"] = json!(from.to_uppercase());
        }
        let path = format!("/api/v1/reservations/{}/{act}", order.id);
        let mut attempt = self.attempt(act, path, body, order.warehouse, moves(units, from, to));
        attempt.refusals = &["insufficient-stock", "nothing-held", "reservation-over"];
        attempt
    }
}
