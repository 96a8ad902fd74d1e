//! Lots over HTTP: goods come in by lot, leave by expiry, and are told apart wherever they are shown.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::Server;

struct Dairy {
    server: Server,
    warehouse: String,
    depot: String,
    milk: String,
}

impl Dairy {
    async fn open() -> Dairy {
        let server = Server::start().await;
        let create = json!({"sku": "MILK", "name": "Milk", "tracksLots": true});
        let milk = server
            .post("/api/v1/variants", &server.manager, &create)
            .await
            .expect(201)
            .json();
        assert_eq!(milk["tracksLots"], true);
        let (warehouse, depot) = (server.warehouse("DAIRY").await, server.warehouse("DEPOT").await);
        let milk = milk["id"].as_str().unwrap().to_owned();
        Dairy {
            server,
            warehouse,
            depot,
            milk,
        }
    }

    fn line(&self, quantity: i64, lot: Option<&str>) -> Value {
        let mut line = json!({"variantId": self.milk, "quantity": quantity});
        if let Some(lot) = lot {
            line["lot"] = lot.into();
        }
        line
    }

    async fn record(&self, kind: &str, lines: Value) -> Value {
        let event = json!({"type": kind, "warehouseId": self.warehouse, "lines": lines});
        let recorded = self
            .server
            .post("/api/v1/stock-events", &self.server.manager, &event)
            .await;
        recorded.expect(201).json()
    }

    /// August came in first, and July expires first.
    async fn stock(&self) {
        let mut august = self.line(5, Some("2025-08"));
        august["expiresAt"] = "2025-08-31T00:00:00Z".into();
        self.record("INBOUND", json!([august])).await;
        let mut july = self.line(3, Some("2025-07"));
        july["expiresAt"] = "2025-07-31T00:00:00Z".into();
        self.record("INBOUND", json!([july])).await;
    }

    async fn get(&self, path: &str) -> Value {
        self.server
            .fetch_now(path, &self.server.viewer)
            .await
            .expect(200)
            .json()
    }
}

/// The lots and quantities of lines.
fn lots(lines: &Value) -> Vec<(&str, i64)> {
    let lines = lines.as_array().unwrap().iter();
    lines
        .map(|line| {
            (
                line["lot"].as_str().unwrap_or("none"),
                line["quantity"].as_i64().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn goods_that_name_no_lot_leave_by_expiry_and_every_answer_says_of_which_lots() {
    let dairy = Dairy::open().await;
    dairy.stock().await;
    let sold = dairy.record("OUTBOUND", json!([dairy.line(4, None)])).await;
    assert_eq!(lots(&sold["lines"]), [("2025-07", -3), ("2025-08", -1)]);
    assert!(
        sold["lines"]
            .as_array()
            .unwrap()
            .iter()
            .all(|line| line["variantId"] == *dairy.milk)
    );
    let read = dairy
        .get(&format!("/api/v1/stock-events/{}", sold["id"].as_str().unwrap()))
        .await;
    assert_eq!(read["lines"], sold["lines"]);
    // The variant is the sum of its lots, and the list of stock has no lots in it unless they are asked for.
    dairy
        .record("INBOUND", json!([dairy.line(2, Some("2025-07"))]))
        .await;
    let whole = dairy
        .get(&format!("/api/v1/stock?warehouseId={}", dairy.warehouse))
        .await;
    assert_eq!(whole["page"]["totalElements"], 1);
    assert_eq!(
        (&whole["content"][0]["onHand"], &whole["content"][0]["lot"]),
        (&json!(6), &Value::Null)
    );
    let path = format!("/api/v1/stock?lots=true&sku=MILK&warehouseId={}", dairy.warehouse);
    let by_lot = dairy.get(&path).await;
    let rows: Vec<_> = by_lot["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["lot"], &row["available"]))
        .collect();
    assert_eq!(
        rows,
        [(&json!("2025-08"), &json!(4)), (&json!("2025-07"), &json!(2))]
    );
    let movements = dairy.get("/api/v1/movements?sku=MILK").await;
    let moved: Vec<_> = movements["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["lot"].clone())
        .collect();
    assert_eq!(moved.len(), 5);
    assert!(moved.iter().all(Value::is_string), "{moved:?}");
}

#[tokio::test]
async fn an_order_holds_lots_and_a_transfer_takes_them_along() {
    let dairy = Dairy::open().await;
    dairy.stock().await;
    let reserve = json!({"orderId": "O-1", "warehouseId": dairy.warehouse, "lines": [dairy.line(4, None)]});
    let reserved = dairy
        .server
        .post("/api/v1/reservations", &dairy.server.manager, &reserve)
        .await
        .expect(201)
        .json();
    let held: Vec<_> = reserved["lines"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (&line["lot"], &line["reserved"]))
        .collect();
    assert_eq!(
        held,
        [(&json!("2025-08"), &json!(1)), (&json!("2025-07"), &json!(3))]
    );
    let held = dairy
        .get(&format!("/api/v1/reservations?variantId={}", dairy.milk))
        .await;
    assert_eq!(held["page"]["totalElements"], 1, "its lots are the variant's");
    let path = format!("/api/v1/reservations/{}/pick", reserved["id"].as_str().unwrap());
    let pick = json!({"lines": [dairy.line(1, Some("2025-08"))]});
    let picked = dairy
        .server
        .post(&path, &dairy.server.manager, &pick)
        .await
        .expect(201)
        .json();
    assert_eq!(lots(&picked["lines"]), [("2025-08", 1)]);
    let send = json!({"fromWarehouseId": dairy.warehouse, "toWarehouseId": dairy.depot, "lines": [dairy.line(4, None)]});
    let sent = dairy
        .server
        .post("/api/v1/transfers", &dairy.server.manager, &send)
        .await
        .expect(201)
        .json();
    assert_eq!(sent["lines"][0]["lot"], "2025-08");
    let path = format!("/api/v1/transfers/{}/receive", sent["id"].as_str().unwrap());
    let found = json!({"lines": [{"variantId": dairy.milk, "lot": "2025-08", "received": 3, "damaged": 1}]});
    dairy
        .server
        .post(&path, &dairy.server.manager, &found)
        .await
        .expect(201);
    let there = dairy
        .get(&format!("/api/v1/stock?lots=true&warehouseId={}", dairy.depot))
        .await;
    assert_eq!(
        (
            &there["content"][0]["lot"],
            &there["content"][0]["available"],
            &there["content"][0]["held"]
        ),
        (&json!("2025-08"), &json!(3), &json!(1))
    );
}

#[tokio::test]
async fn a_lot_is_listed_changed_and_taken_out_of_use() {
    let dairy = Dairy::open().await;
    dairy.stock().await;
    let all = dairy
        .get("/api/v1/lots?sku=MILK&expiresBy=2025-08-01T00:00:00Z")
        .await;
    assert_eq!(all["page"]["totalElements"], 1);
    let lot = &all["content"][0];
    assert_eq!(
        (&lot["lot"], &lot["variantSku"], &lot["id"]),
        (&json!("2025-07"), &json!("MILK"), &lot["lotId"])
    );
    let path = format!("/api/v1/lots/{}", lot["id"].as_str().unwrap());
    assert_eq!(&dairy.get(&path).await, lot);
    let change = json!({"active": false, "expiresAt": "2025-07-15T00:00:00Z"});
    let changed = dairy
        .server
        .patch(&path, &dairy.server.manager, &change)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&changed["active"], &changed["expiresAt"]),
        (&json!(false), &json!("2025-07-15T00:00:00Z"))
    );
    let sold = dairy.record("OUTBOUND", json!([dairy.line(1, None)])).await;
    assert_eq!(lots(&sold["lines"]), [("2025-08", -1)]);
    let named = json!({"type": "OUTBOUND", "warehouseId": dairy.warehouse, "lines": [dairy.line(1, Some("2025-07"))]});
    let refused = dairy
        .server
        .post("/api/v1/stock-events", &dairy.server.manager, &named)
        .await;
    let refused = refused.expect_problem(400, "lot-inactive", "invalid payload");
    assert_eq!(refused["errors"][0]["pointer"], "/lines/0/lot");
    assert_eq!(refused["errors"][0]["detail"], "the lot is not in use");
    let mut by_id = named.clone();
    by_id["lines"] = json!([{"variantId": lot["id"], "quantity": 1}]);
    let refused = dairy
        .server
        .post("/api/v1/stock-events", &dairy.server.manager, &by_id)
        .await;
    let refused = refused.expect_problem(400, "lot-inactive", "invalid payload");
    assert_eq!(refused["errors"][0]["pointer"], "/lines/0/variantId");
    let mut thrown = named;
    thrown["reasonCode"] = "DISCARD_EXPIRED".into();
    dairy
        .server
        .post("/api/v1/stock-events", &dairy.server.manager, &thrown)
        .await
        .expect(201);
    // The number of a lot is no variant.
    let path = format!("/api/v1/variants/{}", lot["id"].as_str().unwrap());
    dairy.server.get(&path, &dairy.server.viewer).await.expect(404);
}

#[tokio::test]
async fn what_is_wrong_about_lots_is_refused_by_name() {
    let dairy = Dairy::open().await;
    dairy.stock().await;
    let salt = dairy.server.variant("SALT").await;
    let late = json!({"variantId": dairy.milk, "quantity": 1, "lot": "2025-07", "expiresAt": "2026-01-01T00:00:00Z"});
    let nowhere = json!({"variantId": dairy.milk, "quantity": 1, "expiresAt": "2026-01-01T00:00:00Z"});
    for (kind, line, status, code, pointer) in [
        ("INBOUND", dairy.line(1, None), 400, "lot-missing", "/lines/0/lot"),
        (
            "OUTBOUND",
            dairy.line(1, Some("nope")),
            404,
            "lot-not-found",
            "/lines/0/lot",
        ),
        ("INBOUND", late, 409, "lot-expiry-mismatch", "/lines/0/expiresAt"),
        (
            "INBOUND",
            json!({"variantId": salt, "quantity": 1, "lot": "x"}),
            400,
            "lot-not-tracked",
            "/lines/0/lot",
        ),
        ("INBOUND", nowhere, 400, "invalid-payload", "/lines/0/expiresAt"),
        (
            "INBOUND",
            json!({"variantId": dairy.milk, "quantity": 1, "lot": ""}),
            400,
            "invalid-text",
            "/lines/0/lot",
        ),
    ] {
        let event = json!({"type": kind, "warehouseId": dairy.warehouse, "lines": [line]});
        let answer = dairy
            .server
            .post("/api/v1/stock-events", &dairy.server.manager, &event)
            .await
            .expect(status)
            .json();
        assert_eq!(answer["type"], format!("/problems/{code}"), "{answer}");
        assert_eq!(answer["errors"][0]["pointer"], pointer, "{answer}");
    }
    let path = format!("/api/v1/variants/{}", dairy.milk);
    let change = dairy
        .server
        .patch(&path, &dairy.server.manager, &json!({"tracksLots": false}))
        .await;
    change.expect_problem(409, "variant-has-stock", "variant-has-stock");
    for wrong in ["lots=true&asOf=2025-06-01T00:00:00Z", "lot=2025-07"] {
        let path = format!("/api/v1/stock?{wrong}");
        dairy.server.get(&path, &dairy.server.viewer).await.expect(400);
    }
    let unknown = "/api/v1/stock?sku=MILK&lot=nope";
    let unknown = dairy.server.get(unknown, &dairy.server.viewer).await;
    unknown.expect_problem(404, "lot-not-found", "stock-lot-not-found");
}

#[tokio::test]
async fn the_past_is_known_by_lot_too() {
    let dairy = Dairy::open().await;
    let server = &dairy.server;
    dairy.stock().await;
    server.clock.advance_ms(3_600_000);
    dairy.record("OUTBOUND", json!([dairy.line(4, None)])).await;
    // Recorded at 13:00, of eleven o'clock.
    let mut late =
        json!({"type": "INBOUND", "warehouseId": dairy.depot, "occurredAt": "2025-06-01T11:00:00Z"});
    late["lines"] = json!([dairy.line(7, Some("2025-08"))]);
    server
        .post("/api/v1/stock-events", &server.manager, &late)
        .await
        .expect(201);
    let ask = async |query: &str| {
        let path = format!("/api/v1/stock?sku=MILK&{query}");
        let found = server.fetch_now(&path, &server.viewer).await.expect(200).json();
        let rows = found["content"].as_array().unwrap().iter();
        let rows: Vec<_> = rows
            .map(|row| {
                let text = |name: &str| row[name].as_str().unwrap().to_owned();
                (
                    text("warehouseCode"),
                    text("lot"),
                    row["available"].as_i64().unwrap(),
                )
            })
            .collect();
        (rows, found)
    };
    let row = |warehouse: &str, lot: &str, units| (warehouse.to_owned(), lot.to_owned(), units);
    let (noon, now) = ("2025-06-01T12:30:00Z", "2025-06-01T13:30:00Z");
    let then = [
        row("DAIRY", "2025-08", 5),
        row("DAIRY", "2025-07", 3),
        row("DEPOT", "2025-08", 7),
    ];
    let left = [
        row("DAIRY", "2025-08", 4),
        row("DAIRY", "2025-07", 0),
        row("DEPOT", "2025-08", 7),
    ];
    assert_eq!(ask(&format!("lots=true&asOf={noon}")).await.0, then);
    assert_eq!(ask(&format!("lots=true&asOf={now}")).await.0, left);
    assert_eq!(ask(&format!("lots=true&knownAt={now}")).await.0, left);
    assert_eq!(ask(&format!("lots=true&knownAt={noon}")).await.0, then[..2]);
    let both = format!("lots=true&asOf={now}&knownAt={noon}");
    assert_eq!(ask(&both).await.0, then[..2]);
    assert_eq!(
        ask(&format!("lot=2025-08&asOf={noon}")).await.0,
        [then[0].clone(), then[2].clone()]
    );
    let here = format!("lot=2025-08&asOf={noon}&warehouseId={}", dairy.depot);
    assert_eq!(ask(&here).await.0, then[2..]);
    assert_eq!(ask("lot=2025-08&asOf=2025-05-01T00:00:00Z").await.0, []);
    // The present of a lot, and of its variant.
    assert_eq!(ask("lot=2025-08").await.0, [left[0].clone(), left[2].clone()]);
    let here = format!("lot=2025-08&warehouseId={}", dairy.depot);
    assert_eq!(ask(&here).await.0, left[2..]);
    // Page by page, and as a whole.
    let (mut rows, mut cursor) = (Vec::new(), String::new());
    loop {
        let (page, found) = ask(&format!("lots=true&asOf={noon}&size=1{cursor}")).await;
        assert_eq!(found["page"]["totalElements"], 3);
        rows.extend(page);
        match found["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(rows, then);
    assert_eq!(
        ask(&format!("lots=true&asOf={noon}&size=1&page=1")).await.0,
        then[1..2]
    );
    let headers = [("accept", "application/x-ndjson")];
    let path = format!("/api/v1/stock?sku=MILK&lots=true&asOf={noon}");
    let whole = server.call_with(Method::GET, &path, &server.viewer, None, &headers);
    assert_eq!(whole.await.expect(200).lines().len(), 3);
}
