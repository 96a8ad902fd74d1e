//! What the clients ask for while the server is killed: stock in and out, orders from the reservation to the shipment, and
//! transfers from the dispatch to the end.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::support::{Answer, Client};

/// The acts, each of which must have been recorded by the end.
pub(crate) const ACTS: [&str; 11] = [
    "inbound", "adjust", "outbound", "reserve", "pick", "pack", "ship", "release", "dispatch", "receive",
    "close",
];

/// Units of a variant that go from one place to another, as an event of a warehouse tells it.
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
    pub(crate) moves: Vec<Move>,
}

pub(crate) struct Shop {
    pub(crate) warehouses: [String; 2],
    pub(crate) variants: Vec<String>,
}

impl Shop {
    pub(crate) async fn open(admin: &Client) -> Result<Shop> {
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
        Ok(Shop { warehouses, variants })
    }

    fn variant(&self, number: u64) -> &str {
        &self.variants[(number % self.variants.len() as u64) as usize]
    }

    fn moved(&self, warehouse: usize, variant: &str, from: &str, to: &str, units: i64) -> Move {
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
    order: Option<(String, usize)>,
    transfer: Option<(String, usize)>,
}

impl<'a> Script<'a> {
    pub(crate) fn new(shop: &'a Shop, client: u64) -> Script<'a> {
        Script {
            shop,
            turn: client,
            order: None,
            transfer: None,
        }
    }

    /// The next request: mostly it fits the stock there is, sometimes it does not.
    pub(crate) fn next(&mut self) -> Request {
        self.turn += 1;
        match self.turn % 8 {
            0 | 1 => self.change("inbound", 0, &[7, 3]),
            2 => self.change("outbound", 0, &[4, 4]),
            3 => self.change("outbound", (self.turn / 8 % 2) as usize, &[9]),
            4 => self.change("adjust", 0, &[2]),
            5 | 6 => self.order_step(),
            _ => self.transfer_step(),
        }
    }

    /// Notes what was answered to the last request.
    pub(crate) fn answered(&mut self, request: &Request, answer: &Answer) -> Result<()> {
        let step = match request.act {
            "reserve" | "pick" | "pack" | "ship" | "release" => &mut self.order,
            "dispatch" | "receive" | "close" => &mut self.transfer,
            _ => return Ok(()),
        };
        *step = match (answer.status, step.take(), request.act) {
            (201, _, "reserve" | "dispatch") => {
                let id = answer.body["id"].as_str().context("an answer without id")?;
                Some((id.to_owned(), 1))
            }
            (201, Some((id, done)), _) if request.act != "release" && request.act != "close" => {
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
        }
    }
}
