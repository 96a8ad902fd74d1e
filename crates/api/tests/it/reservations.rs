//! Reservations as their callers see them: from promising to shipping, in part, for a time, and refused.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::Server;

const RESERVATIONS: &str = "/api/v1/reservations";

struct Shop {
    server: Server,
    warehouse: String,
    variants: [String; 2],
}

impl Shop {
    /// Ten units each of two variants.
    async fn open() -> Shop {
        let server = Server::start().await;
        let warehouse = server.warehouse("WH-1").await;
        let variants = [server.variant("A").await, server.variant("B").await];
        for variant in &variants {
            server.receive(&warehouse, variant, 10).await;
        }
        Shop {
            server,
            warehouse,
            variants,
        }
    }

    fn lines(&self, quantities: &[i64]) -> Value {
        let line = |(variant, quantity)| json!({"variantId": variant, "quantity": quantity});
        self.variants.iter().zip(quantities).map(line).collect()
    }

    fn order(&self, quantities: &[i64]) -> Value {
        json!({"orderId": "order-1", "warehouseId": self.warehouse, "lines": self.lines(quantities)})
    }

    async fn reserve(&self, body: &Value) -> Value {
        let made = self.server.post(RESERVATIONS, &self.server.manager, body).await;
        made.expect(201).json()
    }

    async fn step(&self, id: &Value, step: &str, body: Option<&Value>) -> crate::support::Answer {
        let path = format!("{RESERVATIONS}/{}/{step}", id.as_str().unwrap());
        self.server
            .call(Method::POST, &path, &self.server.manager, body)
            .await
    }

    async fn now(&self, id: &Value) -> Value {
        let path = format!("{RESERVATIONS}/{}", id.as_str().unwrap());
        self.server
            .fetch_now(&path, &self.server.viewer)
            .await
            .expect(200)
            .json()
    }

    /// Requested, reserved, picked, packed, shipped, released, expired and short, of each line.
    async fn units(&self, id: &Value) -> Vec<[i64; 8]> {
        units(&self.now(id).await)
    }

    async fn available(&self, variant: usize) -> i64 {
        let path = format!("/api/v1/stock?variantId={}", self.variants[variant]);
        let stock = self
            .server
            .fetch_now(&path, &self.server.viewer)
            .await
            .expect(200)
            .json();
        stock["content"][0]["available"].as_i64().unwrap()
    }
}

fn units(reservation: &Value) -> Vec<[i64; 8]> {
    let fields = [
        "requested",
        "reserved",
        "picked",
        "packed",
        "shipped",
        "released",
        "expired",
        "short",
    ];
    let lines = reservation["lines"].as_array().unwrap().iter();
    lines
        .map(|line| fields.map(|field| line[field].as_i64().unwrap()))
        .collect()
}

#[tokio::test]
async fn an_order_is_reserved_picked_packed_and_shipped_in_steps() {
    let shop = Shop::open().await;
    let made = shop.reserve(&shop.order(&[6, 2])).await;
    let id = &made["id"];
    assert_eq!(made["state"], "OPEN");
    assert_eq!(
        (&made["orderId"], &made["expiresAt"]),
        (&json!("order-1"), &Value::Null)
    );
    assert_eq!(units(&made), [[6, 6, 0, 0, 0, 0, 0, 0], [2, 2, 0, 0, 0, 0, 0, 0]]);
    assert_eq!(shop.now(id).await, made, "it is found as it was answered");
    assert_eq!(shop.available(0).await, 4);

    let some = json!({"lines": shop.lines(&[4])});
    let picked = shop.step(id, "pick", Some(&some)).await.expect(201);
    assert!(picked.header("location").starts_with("/api/v1/stock-events/"));
    let picked = picked.json();
    assert_eq!((&picked["type"], &picked["reservationId"]), (&json!("PICK"), id));
    assert_eq!(picked["lines"].as_array().unwrap().len(), 1);
    shop.step(id, "pick", None).await.expect(201);
    assert_eq!(
        shop.units(id).await,
        [[6, 0, 6, 0, 0, 0, 0, 0], [2, 0, 2, 0, 0, 0, 0, 0]]
    );
    let nothing = shop.step(id, "pick", None).await;
    nothing.expect_problem(409, "nothing-held", "nothing-held");
    shop.step(id, "pack", Some(&json!({}))).await.expect(201);
    let shipped = shop.step(id, "ship", Some(&some)).await.expect(201).json();
    assert_eq!(shipped["lines"][0]["quantity"], -4);
    shop.step(id, "ship", None).await.expect(201);
    let over = shop.now(id).await;
    assert_eq!(over["state"], "SHIPPED");
    assert_eq!(units(&over), [[6, 0, 0, 0, 6, 0, 0, 0], [2, 0, 0, 0, 2, 0, 0, 0]]);
    let refused = shop.step(id, "release", None).await;
    refused.expect_problem(409, "reservation-over", "reservation-over");
    assert_eq!(shop.available(0).await, 4);
}

#[tokio::test]
async fn a_cancelled_order_gives_back_all_that_it_holds() {
    let shop = Shop::open().await;
    let id = &shop.reserve(&shop.order(&[6, 2])).await["id"];
    shop.step(id, "pick", Some(&json!({"lines": shop.lines(&[3])})))
        .await
        .expect(201);
    shop.step(
        id,
        "release",
        Some(&json!({"from": "PICKED", "lines": shop.lines(&[1])})),
    )
    .await
    .expect(201);
    assert_eq!(
        shop.units(id).await,
        [[6, 3, 2, 0, 0, 1, 0, 0], [2, 2, 0, 0, 0, 0, 0, 0]]
    );
    shop.step(id, "release", None).await.expect(201);
    let over = shop.now(id).await;
    assert_eq!(over["state"], "RELEASED");
    assert_eq!(units(&over), [[6, 0, 0, 0, 0, 6, 0, 0], [2, 0, 0, 0, 0, 2, 0, 0]]);
    assert_eq!((shop.available(0).await, shop.available(1).await), (10, 10));
}

#[tokio::test]
async fn what_is_short_refuses_the_whole_or_is_told_of_a_part() {
    let shop = Shop::open().await;
    let mut order = shop.order(&[12, 3]);
    let refused = shop.server.post(RESERVATIONS, &shop.server.manager, &order).await;
    let problem = refused.expect_problem(409, "insufficient-stock", "stock-insufficient");
    assert_eq!(problem["shortages"][0]["available"], 10);
    order["partial"] = json!(true);
    let headers = [("idempotency-key", "once")];
    let send = async || {
        let token = &shop.server.manager;
        shop.server
            .call_with(Method::POST, RESERVATIONS, token, Some(&order), &headers)
            .await
            .expect(201)
    };
    let made = send().await;
    assert_eq!(
        units(&made.json()),
        [[12, 10, 0, 0, 0, 0, 0, 2], [3, 3, 0, 0, 0, 0, 0, 0]]
    );
    shop.step(&made.json()["id"], "pick", None).await.expect(201);
    let again = send().await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json(), made.json(), "the first answer again");
}

#[tokio::test]
async fn what_runs_out_is_available_at_its_instant_unless_it_was_extended() {
    let shop = Shop::open().await;
    let mut order = shop.order(&[6]);
    order["expiresAt"] = json!("2025-06-01T12:10:00Z");
    let id = &shop.reserve(&order).await["id"];
    let later = json!({"expiresAt": "2025-06-01T12:30:00Z"});
    let extended = shop.step(id, "extend", Some(&later)).await.expect(201).json();
    assert_eq!(
        (&extended["type"], &extended["reservationId"]),
        (&json!("EXTEND"), id)
    );
    shop.server.clock.advance_ms(20 * 60_000);
    assert_eq!(shop.available(0).await, 4);
    shop.server.clock.advance_ms(10 * 60_000);
    assert_eq!(shop.available(0).await, 10);
    let over = shop.now(id).await;
    assert_eq!(over["state"], "EXPIRED");
    assert_eq!(units(&over), [[6, 0, 0, 0, 0, 0, 6, 0]]);
    let refused = shop.step(id, "pick", None).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    order["expiresAt"] = json!("2025-06-01T12:00:00Z");
    let refused = shop.server.post(RESERVATIONS, &shop.server.manager, &order).await;
    refused.expect_problem(400, "expiry-passed", "invalid payload");
}

#[tokio::test]
async fn another_quantity_than_expected_refuses_the_whole() {
    let shop = Shop::open().await;
    let mut order = shop.order(&[1, 1]);
    order["lines"][0]["expectedAvailable"] = json!(9);
    let refused = shop.server.post(RESERVATIONS, &shop.server.manager, &order).await;
    let problem = refused.expect_problem(412, "available-mismatch", "available-mismatch");
    let expected =
        json!([{"variantId": shop.variants[0], "variantSku": "A", "expected": 9, "available": 10}]);
    assert_eq!(problem["lines"], expected);
    order["lines"][0]["expectedAvailable"] = json!(10);
    shop.reserve(&order).await;
}

#[tokio::test]
async fn reservations_are_listed_by_order_warehouse_variant_and_state() {
    let shop = Shop::open().await;
    let server = &shop.server;
    let first = shop.reserve(&shop.order(&[1])).await["id"].clone();
    let second = shop.reserve(&shop.order(&[1, 1])).await["id"].clone();
    let mut other = shop.order(&[1]);
    other["orderId"] = json!("order-2");
    let third = shop.reserve(&other).await["id"].clone();
    shop.step(&third, "release", None).await.expect(201);
    let list = async |query: &str| {
        let path = format!("{RESERVATIONS}?{query}");
        let page = server.fetch_now(&path, &server.viewer).await.expect(200).json();
        let ids: Vec<Value> = page["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].clone())
            .collect();
        assert_eq!(
            page["page"]["totalElements"].as_u64().unwrap() as usize,
            ids.len(),
            "{query}"
        );
        ids
    };
    assert_eq!(list("").await, [&third, &second, &first].map(Clone::clone));
    assert_eq!(
        list("sort=createdAt,asc").await,
        [&first, &second, &third].map(Clone::clone)
    );
    assert_eq!(
        list("orderId=order-1&state=OPEN").await,
        [&second, &first].map(Clone::clone)
    );
    assert_eq!(list("state=RELEASED").await, std::slice::from_ref(&third));
    assert_eq!(
        list(&format!("variantId={}", shop.variants[1])).await,
        std::slice::from_ref(&second)
    );
    assert_eq!(
        list(&format!("warehouseId={}&state=SHIPPED", shop.warehouse)).await,
        Vec::<Value>::new()
    );
    let page = server
        .fetch_now(&format!("{RESERVATIONS}?size=2"), &server.viewer)
        .await
        .expect(200)
        .json();
    let cursor = page["nextCursor"].as_str().unwrap();
    let rest = server
        .get(&format!("{RESERVATIONS}?size=2&cursor={cursor}"), &server.viewer)
        .await;
    assert_eq!(rest.expect(200).json()["content"][0]["id"], first);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let shop = Shop::open().await;
    let id = shop.reserve(&shop.order(&[1])).await["id"].clone();
    for (step, body, pointer) in [
        ("pick", json!({"lines": []}), "/lines"),
        ("pick", json!({"from": "PICKED"}), "/from"),
        ("release", json!({"from": "HELD"}), "/from"),
        ("extend", json!({}), "/expiresAt"),
        (
            "ship",
            json!({"lines": [{"variantId": shop.variants[0]}]}),
            "/lines/0/quantity",
        ),
    ] {
        let refused = shop.step(&id, step, Some(&body)).await;
        let problem = refused.expect_problem(400, "invalid-payload", "invalid payload");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let event = shop.server.receive(&shop.warehouse, &shop.variants[0], 1).await["id"].clone();
    let refused = shop.step(&event, "pick", None).await;
    refused.expect_problem(404, "reservation-not-found", "stock-reservation-not-found");
}
