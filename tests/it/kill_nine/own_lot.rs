//! A client's own lot: it comes in, is promised, recalled, looked through and used again. Nobody else touches it, so that
//! every step says what it moves, and what the ledger holds of it by itself.

use std::sync::atomic::Ordering;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::requests::{Move, Request, Shop};
use crate::support::Answer;

/// What is tried while the lot is recalled, and must never be recorded.
pub(crate) const FORBIDDEN: &str = "sell-recalled";

pub(super) struct OwnLot<'a> {
    shop: &'a Shop,
    code: String,
    id: String,
    order: String,
    /// How many steps are done.
    done: usize,
}

impl<'a> OwnLot<'a> {
    /// A lot that was never there.
    pub(super) fn new(shop: &'a Shop) -> OwnLot<'a> {
        let number = shop.lots_begun.fetch_add(1, Ordering::SeqCst);
        OwnLot {
            shop,
            code: format!("OWN-{number}"),
            id: String::new(),
            order: String::new(),
            done: 0,
        }
    }

    pub(super) fn next(&self) -> Request {
        match self.done {
            0 => self.change("lot-in", "INBOUND", 0, 5, &[("supplier", "available")]),
            1 => self.change("lot-in", "INBOUND", 1, 2, &[("supplier", "available")]),
            2 => self.reserve(),
            // What is held before the recall stays so behind it.
            3 => self.change("lot-hold", "HOLD", 0, 1, &[("available", "held")]),
            4 => self.recall("recall", [2, 2]),
            5 => self.give_back(),
            6 => {
                let and_held = [("supplier", "available"), ("available", "held")];
                self.change("lot-in", "INBOUND", 1, 3, &and_held)
            }
            7 => self.change("lot-free", "UNHOLD", 1, 1, &[("held", "available")]),
            // There is some, and it is not for sale.
            8 => self.change(FORBIDDEN, "OUTBOUND", 1, 1, &[("available", "customer")]),
            9 => self.recall("recall", [0, 1]),
            10 => self.recall("use-again", [3, 5]),
            _ => self.change("lot-out", "OUTBOUND", 0, 3, &[("available", "customer")]),
        }
    }

    /// Notes what was answered to the last request. Of a lot that nobody knows for sure how it stands there is no more.
    pub(super) fn answered(&mut self, request: &Request, answer: &Answer) -> Result<()> {
        let is_forbidden = request.act == FORBIDDEN;
        ensure!(
            !(is_forbidden && answer.is_taken()),
            "some of a recalled lot was sold: {answer:?}"
        );
        let is_as_expected = answer.is_taken() || is_forbidden && answer.status != 503;
        if !is_as_expected || request.act == "lot-out" {
            *self = OwnLot::new(self.shop);
            return Ok(());
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        if self.id.is_empty() {
            self.id = text(&answer.body["lines"][0]["lotId"]).context("goods in a lot without lotId")?;
        }
        if request.act == "lot-reserve" {
            self.order = text(&answer.body["id"]).context("a reservation without id")?;
        }
        self.done += 1;
        Ok(())
    }

    fn line(&self, units: i64) -> Value {
        json!({ "variantId": self.shop.recalled, "lot": self.code, "quantity": units })
    }

    fn moved(&self, warehouse: usize, units: i64, ways: &[(&str, &str)]) -> Vec<Move> {
        let variant = self.shop.recalled.as_str();
        let ways = ways.iter();
        ways.map(|(from, to)| self.shop.moved(warehouse, variant, from, to, units))
            .collect()
    }

    fn change(
        &self,
        act: &'static str,
        kind: &str,
        warehouse: usize,
        units: i64,
        ways: &[(&str, &str)],
    ) -> Request {
        let warehouse_id = &self.shop.warehouses[warehouse];
        Request {
            act,
            path: "/api/v1/stock-events".to_owned(),
            body: json!({ "type": kind, "warehouseId": warehouse_id, "lines": [self.line(units)] }),
            found_at: "/api/v1/stock-events",
            moves: self.moved(warehouse, units, ways),
            undoes: None,
        }
    }

    fn reserve(&self) -> Request {
        let body = json!({ "orderId": format!("order of {}", self.code), "warehouseId": self.shop.warehouses[0],
            "lines": [self.line(2)] });
        Request {
            act: "lot-reserve",
            path: "/api/v1/reservations".to_owned(),
            body,
            found_at: "/api/v1/reservations",
            moves: self.moved(0, 2, &[("available", "reserved")]),
            undoes: None,
        }
    }

    /// The order gives a unit back, which is held at once.
    fn give_back(&self) -> Request {
        Request {
            act: "lot-give-back",
            path: format!("/api/v1/reservations/{}/release", self.order),
            body: json!({ "from": "RESERVED", "lines": [self.line(1)] }),
            found_at: "/api/v1/stock-events",
            moves: self.moved(0, 1, &[("reserved", "available"), ("available", "held")]),
            undoes: None,
        }
    }

    /// All that is available is held, so many units at each warehouse; or what is held is available again.
    fn recall(&self, act: &'static str, units: [i64; 2]) -> Request {
        let (step, way) = if act == "recall" {
            ("recall", ("available", "held"))
        } else {
            ("release", ("held", "available"))
        };
        let there = (0..).zip(units).filter(|(_, units)| *units > 0);
        let moves = there.flat_map(|(warehouse, units)| self.moved(warehouse, units, &[way]));
        Request {
            act,
            path: format!("/api/v1/lots/{}/{step}", self.id),
            body: json!({}),
            found_at: "/api/v1/lots",
            moves: moves.collect(),
            undoes: None,
        }
    }
}
