//! What the clients ask for while the server is killed: stock in and out, lots, holds, what undoes them, orders from the
//! reservation to the shipment, transfers from the dispatch to the end, counts, and recalls of lots.

use std::sync::atomic::AtomicU64;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::own_lot::OwnLot;
use crate::support::{Answer, Client};

/// The acts, each of which must have been recorded by the end.
#[rustfmt::skip]
pub(crate) const ACTS: [&str; 27] = [
    "inbound", "adjust", "outbound", "reserve", "pick", "pack", "ship", "release", "dispatch", "receive",
    "close", "lots-in", "lots-out", "hold", "unhold", "reverse", "count", "submit", "approve",
    "lot-in", "lot-reserve", "lot-hold", "recall", "lot-give-back", "lot-free", "use-again", "lot-out",
];

/// Units of a variant that go from one place to another, as an event of a warehouse tells it; those of all its lots in one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Move {
    pub(crate) warehouse: String,
    pub(crate) variant: String,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) units: i64,
}

/// A request, where its answer is found again, and what it moves when it is recorded.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) act: &'static str,
    pub(crate) path: String,
    pub(crate) body: Value,
    /// What the answer's id is an id of.
    pub(crate) found_at: &'static str,
    /// Of an approval only its answer tells.
    pub(crate) moves: Vec<Move>,
    /// The event that it undoes.
    pub(crate) undoes: Option<String>,
}

impl Request {
    /// How many stock events it is, when it is recorded.
    pub(crate) fn events(&self) -> u64 {
        let held = |one: &&Move| one.from == "available" && one.to == "held";
        match self.act {
            "dispatch" => 2,
            // One at each warehouse, and one of the catalogue.
            "recall" | "use-again" => self.moves.len() as u64,
            "hold" | "lot-hold" => 1,
            // What becomes available of a recalled lot is held by an event of its own.
            _ => 1 + self.moves.iter().filter(held).count() as u64,
        }
    }

    /// Takes in what the answer of an approval tells: surpluses become available, and what is missing was.
    pub(crate) fn told(&mut self, answer: &Answer) -> Result<()> {
        if self.act != "approve" {
            return Ok(());
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let lines = answer.body["lines"]
            .as_array()
            .context("an approval without lines")?;
        let moves = lines.iter().map(|line| {
            let change = line["quantity"].as_i64()?;
            let (from, to) = if change > 0 {
                ("adjustment", "available")
            } else {
                ("available", "adjustment")
            };
            Some(Move {
                warehouse: text(&answer.body["warehouseId"])?,
                variant: text(&line["variantId"])?,
                from: from.to_owned(),
                to: to.to_owned(),
                units: change.abs(),
            })
        });
        let moves = moves.collect::<Option<_>>();
        self.moves = moves.with_context(|| format!("an approval that nobody understands: {answer:?}"))?;
        Ok(())
    }
}

pub(crate) struct Shop {
    pub(crate) warehouses: [String; 2],
    pub(crate) variants: Vec<String>,
    /// The variant whose stock lies in lots.
    pub(crate) in_lots: String,
    /// Another one, of which each client has lots of its own.
    pub(crate) recalled: String,
    /// How many of these lots there were.
    pub(super) lots_begun: AtomicU64,
    /// A variant for each client that this one counts.
    pub(crate) counted: Vec<String>,
}

impl Shop {
    pub(crate) async fn open(admin: &Client, clients: u64) -> Result<Shop> {
        let mut warehouses = [String::new(), String::new()];
        for (number, id) in warehouses.iter_mut().enumerate() {
            let warehouse = json!({ "code": format!("WH-{number}"), "name": format!("Warehouse {number}") });
            *id = admin.create("/api/v1/warehouses", &warehouse).await?;
        }
        let mut variants = Vec::new();
        for number in 0..5 {
            let variant = json!({ "sku": format!("SKU-{number}"), "name": format!("Variant {number}") });
            variants.push(admin.create("/api/v1/variants", &variant).await?);
        }
        let mut in_lots = [String::new(), String::new()];
        for (id, sku) in in_lots.iter_mut().zip(["IN-LOTS", "RECALLED"]) {
            let variant = json!({ "sku": sku, "name": "In lots", "tracksLots": true });
            *id = admin.create("/api/v1/variants", &variant).await?;
        }
        let [in_lots, recalled] = in_lots;
        let mut counted = Vec::new();
        for client in 0..clients {
            let variant = json!({ "sku": format!("COUNTED-{client}"), "name": "Counted" });
            counted.push(admin.create("/api/v1/variants", &variant).await?);
        }
        Ok(Shop {
            warehouses,
            variants,
            in_lots,
            recalled,
            lots_begun: AtomicU64::new(0),
            counted,
        })
    }

    /// The ids of all variants.
    pub(crate) fn all(&self) -> impl Iterator<Item = &String> {
        let in_lots = [&self.in_lots, &self.recalled];
        self.variants.iter().chain(in_lots).chain(&self.counted)
    }

    fn variant(&self, number: u64) -> &str {
        &self.variants[(number % self.variants.len() as u64) as usize]
    }

    pub(super) fn moved(&self, warehouse: usize, variant: &str, from: &str, to: &str, units: i64) -> Move {
        Move {
            warehouse: self.warehouses[warehouse].clone(),
            variant: variant.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            units,
        }
    }
}

/// One client's requests, one after the other. An order and a transfer are carried on as long as each step is recorded.
pub(crate) struct Script<'a> {
    shop: &'a Shop,
    turn: u64,
    /// The variant that it counts.
    counted: &'a str,
    /// Its count, or the one that was left open, and how far that is.
    count: Option<(String, usize)>,
    /// What came in last, and what is to be moved back when that is undone.
    inbound: Option<(String, Vec<Move>)>,
    order: Option<(String, usize)>,
    transfer: Option<(String, usize)>,
    lot: OwnLot<'a>,
}

impl<'a> Script<'a> {
    pub(crate) fn new(shop: &'a Shop, client: u64) -> Script<'a> {
        Script {
            shop,
            turn: client,
            counted: &shop.counted[client as usize],
            count: None,
            inbound: None,
            order: None,
            transfer: None,
            lot: OwnLot::new(shop),
        }
    }

    /// The next request: mostly it fits the stock there is, sometimes it does not.
    pub(crate) fn next(&mut self) -> Request {
        self.turn += 1;
        match self.turn % 22 {
            0 | 1 | 8 => self.change("inbound", 0, &[7, 3]),
            2 | 10 => self.change("outbound", 0, &[4, 4]),
            3 => self.change("outbound", (self.turn / 22 % 2) as usize, &[9]),
            4 => self.change("adjust", 0, &[2]),
            5 | 6 | 13 => self.order_step(),
            7 => self.transfer_step(),
            11 => self.lots(),
            9 => self.hold("HOLD", "available", "held"),
            12 => self.hold("UNHOLD", "held", "available"),
            14 => self.undo(),
            15 => self.count_step(),
            _ => self.lot.next(),
        }
    }

    /// Notes what was answered to the last request.
    pub(crate) fn answered(&mut self, request: &Request, answer: &Answer) -> Result<()> {
        if request.act == "inbound" && answer.status == 201 {
            let id = answer.body["id"].as_str().context("an answer without id")?;
            self.inbound = Some((id.to_owned(), request.moves.clone()));
        }
        if request.act == "count" && answer.body["countId"].is_string() && answer.status == 409 {
            // One that a killed client left open.
            let id = answer.body["countId"].as_str().map(str::to_owned);
            self.count = id.map(|id| (id, 1));
            return Ok(());
        }
        if request.moves.iter().any(|one| one.variant == self.shop.recalled) {
            return self.lot.answered(request, answer);
        }
        let step = match request.act {
            "count" | "submit" | "approve" => &mut self.count,
            "reserve" | "pick" | "pack" | "ship" | "release" => &mut self.order,
            "dispatch" | "receive" | "close" => &mut self.transfer,
            _ => return Ok(()),
        };
        *step = match (answer.status, step.take(), request.act) {
            (201, _, "reserve" | "dispatch" | "count") => {
                let id = answer.body["id"].as_str().context("an answer without id")?;
                Some((id.to_owned(), 1))
            }
            (201, Some((id, done)), _) if !matches!(request.act, "release" | "close" | "approve") => {
                Some((id, done + 1))
            }
            _ => None,
        };
        Ok(())
    }

    fn change(&self, act: &'static str, warehouse: usize, quantities: &[i64]) -> Request {
        let (kind, sign, from, to) = match act {
            "inbound" => ("INBOUND", 1, "supplier", "available"),
            "adjust" => ("ADJUST", -1, "available", "adjustment"),
            _ => ("OUTBOUND", 1, "available", "customer"),
        };
        let lines = quantities.iter().zip(self.turn..);
        let lines = lines.map(|(units, number)| (self.shop.variant(number), *units));
        let (mut said, mut moves) = (Vec::new(), Vec::new());
        for (variant, units) in lines {
            said.push(json!({ "variantId": variant, "quantity": sign * units }));
            moves.push(self.shop.moved(warehouse, variant, from, to, units));
        }
        Request {
            act,
            path: "/api/v1/stock-events".to_owned(),
            body: json!({ "type": kind, "warehouseId": self.shop.warehouses[warehouse], "lines": said }),
            found_at: "/api/v1/stock-events",
            moves,
            undoes: None,
        }
    }

    /// A unit is set aside, and given back a few turns later.
    fn hold(&self, kind: &str, from: &str, to: &str) -> Request {
        let (act, variant) = (
            if kind == "HOLD" { "hold" } else { "unhold" },
            &self.shop.variants[0],
        );
        let line = json!({ "variantId": variant, "quantity": 1 });
        Request {
            act,
            path: "/api/v1/stock-events".to_owned(),
            body: json!({ "type": kind, "warehouseId": self.shop.warehouses[0], "lines": [line] }),
            found_at: "/api/v1/stock-events",
            moves: vec![self.shop.moved(0, variant, from, to, 1)],
            undoes: None,
        }
    }

    /// Goods come in to two lots, and every other time leave from whichever expires first.
    fn lots(&self) -> Request {
        let variant = self.shop.in_lots.as_str();
        let is_in = (self.turn / 22).is_multiple_of(2);
        let (act, kind, lines, moved) = if is_in {
            let lot = |code: &str, expires_at: &str, quantity: i64| json!({ "variantId": variant, "lot": code, "expiresAt": expires_at, "quantity": quantity });
            let lines = [
                lot("LATE", "2101-01-01T00:00:00Z", 3),
                lot("EARLY", "2100-01-01T00:00:00Z", 2),
            ];
            ("lots-in", "INBOUND", lines.to_vec(), ("supplier", "available", 5))
        } else {
            let line = json!({ "variantId": variant, "quantity": 3 });
            ("lots-out", "OUTBOUND", vec![line], ("available", "customer", 3))
        };
        let (from, to, units) = moved;
        Request {
            act,
            path: "/api/v1/stock-events".to_owned(),
            body: json!({ "type": kind, "warehouseId": self.shop.warehouses[0], "lines": lines }),
            found_at: "/api/v1/stock-events",
            moves: vec![self.shop.moved(0, variant, from, to, units)],
            undoes: None,
        }
    }

    /// What came in last goes back.
    fn undo(&mut self) -> Request {
        let Some((id, moves)) = self.inbound.take() else {
            return self.change("inbound", 0, &[7, 3]);
        };
        let back = moves.into_iter().map(|one| Move {
            from: one.to,
            to: one.from,
            ..one
        });
        Request {
            act: "reverse",
            path: format!("/api/v1/stock-events/{id}/reverse"),
            body: json!({}),
            found_at: "/api/v1/stock-events",
            moves: back.collect(),
            undoes: Some(id),
        }
    }

    /// The client's own variant is counted, and what was found is right.
    fn count_step(&self) -> Request {
        let warehouse = &self.shop.warehouses[0];
        let (act, path, body) = match &self.count {
            None => {
                let body = json!({ "warehouseId": warehouse, "variantIds": [self.counted] });
                ("count", "/api/v1/counts".to_owned(), body)
            }
            Some((id, 1)) => {
                let line = json!({ "variantId": self.counted, "counted": self.turn % 9 });
                let path = format!("/api/v1/counts/{id}/lines");
                ("submit", path, json!({ "lines": [line] }))
            }
            Some((id, _)) => ("approve", format!("/api/v1/counts/{id}/approve"), json!({})),
        };
        Request {
            act,
            path,
            body,
            found_at: if act == "count" {
                "/api/v1/counts"
            } else {
                "/api/v1/stock-events"
            },
            moves: Vec::new(),
            undoes: None,
        }
    }

    /// Five units of a variant are reserved, picked and packed, four shipped, and one given back.
    fn order_step(&self) -> Request {
        let Some((order, done)) = &self.order else {
            let variant = self.shop.variant(0);
            let body = json!({ "orderId": format!("order-{}", self.turn), "warehouseId": self.shop.warehouses[0],
                "lines": [{ "variantId": variant, "quantity": 5 }] });
            return Request {
                act: "reserve",
                path: "/api/v1/reservations".to_owned(),
                body,
                found_at: "/api/v1/reservations",
                moves: vec![self.shop.moved(0, variant, "available", "reserved", 5)],
                undoes: None,
            };
        };
        let (act, from, to, units) = match done {
            1 => ("pick", "reserved", "picked", 5),
            2 => ("pack", "picked", "packed", 5),
            3 => ("ship", "packed", "customer", 4),
            _ => ("release", "packed", "available", 1),
        };
        let variant = self.shop.variant(0);
        let mut body = json!({ "lines": [{ "variantId": variant, "quantity": units }] });
        if act == "release" {
            body["from"] = json!("PACKED");
        }
        Request {
            act,
            path: format!("/api/v1/reservations/{order}/{act}"),
            body,
            found_at: "/api/v1/stock-events",
            moves: vec![self.shop.moved(0, variant, from, to, units)],
            undoes: None,
        }
    }

    /// Four units are sent, of which two arrive sound, one is damaged, and one is written off.
    fn transfer_step(&self) -> Request {
        let shop = self.shop;
        let variant = shop.variant(1);
        let Some((transfer, done)) = &self.transfer else {
            let body = json!({ "fromWarehouseId": shop.warehouses[0], "toWarehouseId": shop.warehouses[1],
                "lines": [{ "variantId": variant, "quantity": 4 }] });
            return Request {
                act: "dispatch",
                path: "/api/v1/transfers".to_owned(),
                body,
                found_at: "/api/v1/transfers",
                moves: vec![shop.moved(0, variant, "available", "transit", 4)],
                undoes: None,
            };
        };
        let (act, body, moves) = if *done == 1 {
            let line = json!({ "variantId": variant, "received": 2, "damaged": 1, "short": 1 });
            let arrived = [("available", 2), ("held", 1)]
                .map(|(to, units)| shop.moved(1, variant, "transit", to, units));
            ("receive", json!({ "lines": [line] }), arrived.to_vec())
        } else {
            let lost = shop.moved(1, variant, "transit", "adjustment", 1);
            ("close", json!({ "reasonCode": "OTHER" }), vec![lost])
        };
        Request {
            act,
            path: format!("/api/v1/transfers/{transfer}/{act}"),
            body,
            found_at: "/api/v1/stock-events",
            moves,
            undoes: None,
        }
    }
}
