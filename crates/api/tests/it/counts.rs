//! Counts as their callers see them: opened, counted while goods come and go, approved, and what comes late.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::Server;

const COUNTS: &str = "/api/v1/counts";

struct Shop {
    server: Server,
    warehouse: String,
    variant: String,
}

impl Shop {
    /// Ten units.
    async fn open() -> Shop {
        let server = Server::start().await;
        let warehouse = server.warehouse("WH-1").await;
        let variant = server.variant("A").await;
        server.receive(&warehouse, &variant, 10).await;
        Shop {
            server,
            warehouse,
            variant,
        }
    }

    async fn count(&self, body: &Value) -> String {
        let opened = self.server.post(COUNTS, &self.server.manager, body).await;
        let opened = opened.expect(201).json();
        assert_eq!(opened["type"], "COUNT_OPENED");
        opened["id"].as_str().unwrap().to_owned()
    }

    async fn step(&self, id: &str, step: &str, body: Option<&Value>) -> crate::support::Answer {
        let path = format!("{COUNTS}/{id}/{step}");
        self.server
            .call(Method::POST, &path, &self.server.manager, body)
            .await
    }

    async fn sell(&self, quantity: i64, at: Option<&str>) -> Value {
        let mut body = json!({
            "type": "OUTBOUND", "warehouseId": self.warehouse,
            "lines": [{"variantId": self.variant, "quantity": quantity}],
        });
        if let Some(at) = at {
            body["occurredAt"] = json!(at);
        }
        let sold = self
            .server
            .post("/api/v1/stock-events", &self.server.manager, &body)
            .await;
        sold.expect(201).json()
    }

    async fn on_hand(&self) -> i64 {
        let path = format!("/api/v1/stock?variantId={}", self.variant);
        let stock = self.server.fetch_now(&path, &self.server.viewer).await;
        stock.expect(200).json()["content"][0]["onHand"].as_i64().unwrap()
    }
}

#[tokio::test]
async fn what_was_counted_is_right_and_what_happens_after_goes_on_from_there() {
    let shop = Shop::open().await;
    let id = shop
        .count(&json!({"warehouseId": shop.warehouse, "variantIds": [shop.variant], "blind": true}))
        .await;
    shop.server.clock.advance_ms(60_000);
    let lines = json!({"lines": [{"variantId": shop.variant, "counted": 8}]});
    let counted = shop.step(&id, "lines", Some(&lines)).await.expect(201).json();
    assert_eq!(
        (&counted["type"], &counted["countId"]),
        (&json!("COUNTED"), &json!(id))
    );
    assert_eq!(counted["lines"], json!([]), "nothing moves, and nothing is told");
    let counted_at = counted["occurredAt"].as_str().unwrap().to_owned();
    shop.server.clock.advance_ms(60_000);
    shop.sell(3, None).await;
    let approved = shop.step(&id, "approve", None).await.expect(201).json();
    assert_eq!(
        (&approved["type"], &approved["reasonCode"]),
        (&json!("COUNT_APPROVED"), &json!("COUNT_CORRECTION"))
    );
    assert_eq!(approved["lines"][0]["quantity"], -2);
    assert_eq!(shop.on_hand().await, 5);

    // It occurred a minute before the count, so whoever counted had seen it.
    assert!(counted_at.starts_with("2025-06-01T12:01:00"), "{counted_at}");
    let late = shop.sell(4, Some("2025-06-01T12:00:30Z")).await;
    assert_eq!(late["seenByCount"], json!([shop.variant]));
    assert_eq!(shop.on_hand().await, 5);
    let over = shop.step(&id, "approve", None).await.expect(409).json();
    assert_eq!(over["type"], "/problems/count-over");
}

#[tokio::test]
async fn a_shortage_takes_from_the_order_that_was_promised_last_and_is_to_be_seen_to() {
    let shop = Shop::open().await;
    let server = &shop.server;
    for order in ["first", "second"] {
        let promise = json!({
            "orderId": order, "warehouseId": shop.warehouse,
            "lines": [{"variantId": shop.variant, "quantity": 4}],
        });
        server
            .post("/api/v1/reservations", &server.manager, &promise)
            .await
            .expect(201);
    }
    let id = shop.count(&json!({"warehouseId": shop.warehouse})).await;
    let lines = json!({"lines": [{"variantId": shop.variant, "counted": 5}]});
    shop.step(&id, "lines", Some(&lines)).await.expect(201);
    shop.step(&id, "approve", Some(&json!({"notes": "evening"})))
        .await
        .expect(201);
    let found = server
        .fetch_now(
            "/api/v1/exceptions?type=count-shortage&state=OPEN",
            &server.viewer,
        )
        .await;
    let found = found.expect(200).json();
    let one = &found["content"][0];
    assert_eq!(found["page"]["totalElements"], 1);
    assert_eq!(
        (&one["eventType"], &one["orderId"]),
        (&json!("RELEASE"), &json!("second"))
    );
    assert_eq!(
        (&one["lines"][0]["units"], &one["lines"][0]["available"]),
        (&json!(3), &json!(0))
    );
    let reservation = one["lines"][0]["reservationId"].as_str().unwrap();
    let left = server
        .fetch_now(&format!("/api/v1/reservations/{reservation}"), &server.viewer)
        .await;
    assert_eq!(left.expect(200).json()["lines"][0]["reserved"], 1);
}

#[tokio::test]
async fn what_cannot_be_counted_is_refused_by_name() {
    let shop = Shop::open().await;
    let other = shop.server.variant("B").await;
    let id = shop
        .count(&json!({"warehouseId": shop.warehouse, "variantIds": [shop.variant]}))
        .await;
    let again = shop
        .server
        .post(
            COUNTS,
            &shop.server.manager,
            &json!({"warehouseId": shop.warehouse}),
        )
        .await;
    assert_eq!(again.expect(409).json()["countId"], json!(id));
    let line = |variant: &str, counted: i64| json!({"lines": [{"variantId": variant, "counted": counted}]});
    let too_early =
        json!({"lines": [{"variantId": shop.variant, "counted": 1, "countedAt": "2025-01-01T00:00:00Z"}]});
    for (body, status, code, pointer) in [
        (line(&other, 1), 409, "not-to-be-counted", "/lines/0/variantId"),
        (line(&shop.variant, -1), 400, "invalid-count", "/lines/0/counted"),
        (too_early, 409, "counted-too-early", "/lines/0/countedAt"),
        (json!({"lines": []}), 400, "no-lines", "/lines"),
        (
            json!({"lines": [{}]}),
            400,
            "invalid-payload",
            "/lines/0/variantId",
        ),
    ] {
        let problem = shop.step(&id, "lines", Some(&body)).await.expect(status).json();
        assert_eq!(problem["type"], format!("/problems/{code}"));
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
    let nothing = shop.step(&id, "approve", None).await.expect(409).json();
    assert_eq!(nothing["type"], "/problems/nothing-counted");
    shop.step(&id, "cancel", None).await.expect(201);
    let event = shop.server.receive(&shop.warehouse, &other, 1).await;
    let none = shop.step(event["id"].as_str().unwrap(), "cancel", None).await;
    assert_eq!(none.expect(404).json()["type"], "/problems/count-not-found");
}
