//! Recalls of lots over HTTP: in one step nothing of a lot can be used anywhere, and who has some of it is named.

use axum::http::Method;
use bincard_access::Role;
use serde_json::{Value, json};

use crate::support::{Answer, Server};

struct Recall {
    server: Server,
    north: String,
    south: String,
    milk: String,
    lot: String,
}

impl Recall {
    /// 6 of a lot in the north, of which one is damaged, 4 in the south, and 5 of another lot, which expires later.
    async fn open() -> Recall {
        let server = Server::start().await;
        let create = json!({"sku": "MILK", "name": "Milk", "tracksLots": true});
        let milk = server.post("/api/v1/variants", &server.manager, &create).await;
        let milk = milk.expect(201).json()["id"].as_str().unwrap().to_owned();
        let (north, south) = (server.warehouse("NORTH").await, server.warehouse("SOUTH").await);
        let mut recall = Recall {
            server,
            north,
            south,
            milk,
            lot: String::new(),
        };
        let received = recall
            .record("INBOUND", &recall.north, 6, Some("BAD"), None)
            .await;
        recall.lot = received["lines"][0]["lotId"].as_str().unwrap().to_owned();
        recall.record("HOLD", &recall.north, 1, Some("BAD"), None).await;
        recall
            .record("INBOUND", &recall.south, 4, Some("BAD"), None)
            .await;
        recall
            .record("INBOUND", &recall.north, 5, Some("GOOD"), None)
            .await;
        recall
    }

    async fn record(
        &self,
        kind: &str,
        warehouse: &str,
        quantity: i64,
        lot: Option<&str>,
        reason: Option<&str>,
    ) -> Value {
        let mut line = json!({"variantId": self.milk, "quantity": quantity});
        if let Some(lot) = lot {
            line["lot"] = lot.into();
        }
        let mut event = json!({"type": kind, "warehouseId": warehouse, "lines": [line]});
        if let Some(reason) = reason {
            event["reasonCode"] = reason.into();
        }
        let server = &self.server;
        let recorded = server.post("/api/v1/stock-events", &server.manager, &event).await;
        recorded.expect(201).json()
    }

    async fn step(&self, step: &str, body: &Value) -> Value {
        let path = format!("/api/v1/lots/{}/{step}", self.lot);
        let answer = self.server.post(&path, &self.server.manager, body).await;
        answer.expect(200).json()
    }

    async fn send(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let (server, body) = (&self.server, json!({}));
        server
            .call_with(Method::POST, path, &server.manager, Some(&body), headers)
            .await
    }

    /// Available and held of the lot, in the north and in the south.
    async fn stock(&self) -> [(i64, i64); 2] {
        let server = &self.server;
        let found = server
            .fetch_now("/api/v1/stock?lots=true&sku=MILK", &server.viewer)
            .await;
        let found = found.expect(200).json();
        let at = |warehouse: &str| {
            let mut rows = found["content"].as_array().unwrap().iter();
            let row = rows.find(|row| row["lot"] == "BAD" && row["warehouseId"] == *warehouse);
            let row = row.unwrap();
            (row["available"].as_i64().unwrap(), row["held"].as_i64().unwrap())
        };
        [at(&self.north), at(&self.south)]
    }
}

#[tokio::test]
async fn one_request_holds_a_lot_everywhere_and_names_the_orders_that_have_some_of_it() {
    let recall = Recall::open().await;
    let server = &recall.server;
    let reserve = json!({"orderId": "O-1", "warehouseId": recall.north,
        "lines": [{"variantId": recall.milk, "quantity": 3, "lot": "BAD"}]});
    let reserved = server
        .post("/api/v1/reservations", &server.manager, &reserve)
        .await;
    let order = reserved.expect(201).json()["id"].as_str().unwrap().to_owned();
    let pick = json!({"lines": [{"variantId": recall.milk, "quantity": 1, "lot": "BAD"}]});
    let path = format!("/api/v1/reservations/{order}/pick");
    server.post(&path, &server.manager, &pick).await.expect(201);
    let other = json!({"orderId": "O-2", "warehouseId": recall.north,
        "lines": [{"variantId": recall.milk, "quantity": 1, "lot": "GOOD"}]});
    server
        .post("/api/v1/reservations", &server.manager, &other)
        .await
        .expect(201);

    let answer = recall.step("recall", &json!({"notes": "glass"})).await;
    assert_eq!(
        (&answer["lot"]["lot"], &answer["lot"]["active"]),
        (&json!("BAD"), &json!(false))
    );
    assert_eq!(answer["lot"]["id"], *recall.lot);
    let stock: Vec<_> = answer["stock"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                &row["warehouseCode"],
                &row["available"],
                &row["held"],
                &row["reserved"],
            )
        })
        .collect();
    assert_eq!(
        stock,
        [
            (&json!("NORTH"), &json!(0), &json!(3), &json!(2)),
            (&json!("SOUTH"), &json!(0), &json!(4), &json!(0)),
        ]
    );
    assert_eq!(
        answer["reservations"],
        json!([{"id": order, "orderId": "O-1", "warehouseId": recall.north, "warehouseCode": "NORTH",
            "reserved": 2, "picked": 1, "packed": 0}])
    );
    assert_eq!(answer["totalReservations"], 1);
    // The document promises that the whole list is there, too.
    let path = format!("/api/v1/reservations?variantId={}&state=OPEN", recall.lot);
    let listed = server.fetch_now(&path, &server.viewer).await.expect(200).json();
    assert_eq!(listed["page"]["totalElements"], 1);
    let events = server
        .fetch_now("/api/v1/stock-events?type=HOLD&size=2", &server.viewer)
        .await;
    let events = events.expect(200).json();
    assert!(
        events["content"]
            .as_array()
            .unwrap()
            .iter()
            .all(|event| event["notes"] == "glass"),
        "{events}"
    );

    // Nothing of it is chosen, and what comes is held, whatever it comes from.
    let sold = recall.record("OUTBOUND", &recall.north, 4, None, None).await;
    assert_eq!(sold["lines"].as_array().unwrap().len(), 1, "{sold}");
    assert_eq!(sold["lines"][0]["lot"], "GOOD");
    recall
        .record("INBOUND", &recall.south, 2, Some("BAD"), None)
        .await;
    assert_eq!(recall.stock().await, [(0, 3), (0, 6)]);
    let path = format!("/api/v1/reservations/{order}/release");
    server
        .call(Method::POST, &path, &server.manager, None)
        .await
        .expect(201);
    assert_eq!(recall.stock().await, [(0, 6), (0, 6)]);

    // What goes back to where it came from is given free for that alone.
    recall.record("UNHOLD", &recall.south, 1, Some("BAD"), None).await;
    recall
        .record("ADJUST", &recall.south, -1, Some("BAD"), Some("RETURN"))
        .await;

    let answer = recall.step("release", &json!({})).await;
    assert_eq!(answer["lot"]["active"], true);
    assert_eq!(
        (&answer["reservations"], &answer["totalReservations"]),
        (&json!([]), &json!(0))
    );
    // The one that was held before still is.
    assert_eq!(recall.stock().await, [(5, 1), (5, 0)]);
    let sold = recall.record("OUTBOUND", &recall.north, 5, None, None).await;
    assert_eq!(sold["lines"][0]["lot"], "BAD");
}

#[tokio::test]
async fn a_recalled_lot_that_is_changed_to_active_has_what_was_set_aside_available() {
    let recall = Recall::open().await;
    let server = &recall.server;
    recall.step("recall", &json!({})).await;
    recall
        .record("INBOUND", &recall.south, 2, Some("BAD"), None)
        .await;
    assert_eq!(recall.stock().await, [(0, 6), (0, 6)]);
    // What names no lot gives nothing of it free, and is told that it was looked for in what is held.
    let line = json!({"variantId": recall.milk, "quantity": 1});
    let unhold = json!({"type": "UNHOLD", "warehouseId": recall.south, "lines": [line]});
    let refused = server
        .post("/api/v1/stock-events", &server.manager, &unhold)
        .await;
    let refused = refused.expect_problem(409, "insufficient-stock", "stock-insufficient");
    assert_eq!(
        refused["shortages"],
        json!([{"variantId": recall.milk, "variantSku": "MILK", "from": "held", "requested": 1, "available": 0}])
    );
    let path = format!("/api/v1/lots/{}", recall.lot);
    let change = json!({"active": true});
    let changed = server
        .call(Method::PATCH, &path, &server.manager, Some(&change))
        .await;
    assert_eq!(changed.expect(200).json()["active"], true);
    // As after a release, which has nothing left to do.
    assert_eq!(recall.stock().await, [(5, 1), (6, 0)]);
    recall.step("release", &json!({})).await;
    assert_eq!(recall.stock().await, [(5, 1), (6, 0)]);
}

#[tokio::test]
async fn a_recall_that_is_asked_for_again_changes_nothing() {
    let recall = Recall::open().await;
    let server = &recall.server;
    let path = format!("/api/v1/lots/{}/recall", recall.lot);
    let key = [("idempotency-key", "notice-7")];
    let first = recall.send(&path, &key).await.expect(200);
    let again = recall.send(&path, &key).await.expect(200);
    assert_eq!(first.header("ledger-position"), again.header("ledger-position"));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(first.json(), again.json());
    let without = server.post(&path, &server.manager, &json!({})).await.expect(200);
    assert_eq!(without.header("ledger-position"), first.header("ledger-position"));
    assert_eq!(without.json(), first.json());
    // A key is of one request, and a release is another.
    let path = format!("/api/v1/lots/{}/release", recall.lot);
    let refused = recall.send(&path, &key).await;
    refused.expect_problem(409, "idempotency-conflict", "stock-idempotency-conflict");
    let version = [("if-match", "\"1\"")];
    let refused = recall.send(&path, &version).await;
    refused.expect_problem(400, "invalid-payload", "invalid payload");
}

#[tokio::test]
async fn what_cannot_be_recalled_is_refused() {
    let recall = Recall::open().await;
    let server = &recall.server;
    let path = format!("/api/v1/lots/{}/recall", recall.milk);
    let refused = server.post(&path, &server.manager, &json!({})).await;
    refused.expect_problem(404, "lot-not-found", "stock-lot-not-found");
    let path = format!("/api/v1/lots/{}/recall", recall.lot);
    let seller = server
        .key("default", Role::Seller, &[crate::support::uuid(&recall.north)])
        .await;
    let refused = server.post(&path, &seller, &json!({})).await;
    refused.expect(403);
    let long = json!({"notes": "x".repeat(501)});
    let refused = server
        .post(&path, &server.manager, &long)
        .await
        .expect(400)
        .json();
    assert_eq!(refused["errors"][0]["pointer"], "/notes");
    assert_eq!(recall.stock().await, [(5, 1), (4, 0)]);
}
