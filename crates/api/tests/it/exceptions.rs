//! Stock below zero as its callers see it: where it is recorded, what tells of it, and how that is cleared.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::Server;

const EXCEPTIONS: &str = "/api/v1/exceptions";

struct Shop {
    server: Server,
    warehouse: String,
    variant: String,
}

impl Shop {
    /// Three units at a warehouse that records what falls below zero.
    async fn open() -> Shop {
        let server = Server::start().await;
        let body = json!({"code": "WH-1", "name": "One", "negativeStock": "record"});
        let made = server.post("/api/v1/warehouses", &server.admin, &body).await;
        let made = made.expect(201).json();
        assert_eq!(made["negativeStock"], "record");
        let warehouse = made["id"].as_str().unwrap().to_owned();
        let variant = server.variant("A").await;
        server.receive(&warehouse, &variant, 3).await;
        Shop {
            server,
            warehouse,
            variant,
        }
    }

    fn event(&self, kind: &str, quantity: i64) -> Value {
        json!({
            "type": kind, "warehouseId": self.warehouse,
            "lines": [{"variantId": self.variant, "quantity": quantity}],
        })
    }

    async fn record(&self, kind: &str, quantity: i64) -> Value {
        let body = self.event(kind, quantity);
        let made = self
            .server
            .post("/api/v1/stock-events", &self.server.manager, &body)
            .await;
        made.expect(201).json()
    }

    async fn list(&self, query: &str) -> Vec<Value> {
        let path = format!("{EXCEPTIONS}?{query}");
        let found = self.server.fetch_now(&path, &self.server.viewer).await;
        let found = found.expect(200).json();
        found["content"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn what_left_is_recorded_and_put_on_the_list_until_it_is_cleared() {
    let shop = Shop::open().await;
    let (server, variant) = (&shop.server, &shop.variant);
    let key = [("Idempotency-Key", "sale-1")];
    let sale = shop.event("OUTBOUND", 5);
    let sent = server
        .call_with(
            Method::POST,
            "/api/v1/stock-events",
            &server.manager,
            Some(&sale),
            &key,
        )
        .await;
    let sold = sent.expect(201).json();
    let below = json!([{"variantId": variant, "variantSku": "A", "units": 2}]);
    assert_eq!(sold["belowZero"], below);
    let again = server
        .call_with(
            Method::POST,
            "/api/v1/stock-events",
            &server.manager,
            Some(&sale),
            &key,
        )
        .await;
    assert_eq!(again.expect(201).json(), sold, "the same answer for ever");

    let id = sold["id"].as_str().unwrap();
    let found = shop.list("state=OPEN").await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["id"], *id);
    assert_eq!(
        (&found[0]["type"], &found[0]["state"]),
        (&json!("negative-stock"), &json!("OPEN"))
    );
    let line = |available: i64| json!([{"variantId": variant, "variantSku": "A", "units": 2, "available": available}]);
    assert_eq!(found[0]["lines"], line(-2));

    // It does not clear itself when the stock is back, and says what there is now.
    shop.record("INBOUND", 7).await;
    let path = format!("{EXCEPTIONS}/{id}");
    let open = server.fetch_now(&path, &server.viewer).await.expect(200).json();
    assert_eq!((&open["state"], &open["lines"]), (&json!("OPEN"), &line(5)));

    let clear = format!("{path}/clear");
    let notes = json!({"notes": "the delivery was booked late"});
    let key = [("Idempotency-Key", "clear-1")];
    let cleared = server
        .call_with(Method::POST, &clear, &server.manager, Some(&notes), &key)
        .await;
    let cleared = cleared.expect(201).json();
    assert_eq!(cleared["type"], "EXCEPTION_CLEARED");
    assert_eq!(cleared["clearsId"], *id);
    let again = server
        .call_with(Method::POST, &clear, &server.manager, Some(&notes), &key)
        .await;
    assert_eq!(again.expect(201).json(), cleared);
    let second = server.post(&clear, &server.manager, &json!({})).await;
    assert_eq!(second.expect(409).json()["type"], "/problems/exception-cleared");
    let seen = server.fetch_now(&path, &server.viewer).await.expect(200).json();
    assert_eq!(seen["state"], "CLEARED");
    assert_eq!(seen["clearedNotes"], "the delivery was booked late");
    assert_eq!(shop.list("state=OPEN").await, Vec::<Value>::new());
    assert_eq!(shop.list("state=CLEARED").await, [seen]);
}

#[tokio::test]
async fn what_is_promised_is_there_and_elsewhere_nothing_falls_below_zero() {
    let shop = Shop::open().await;
    let server = &shop.server;
    let promise = json!({
        "orderId": "order-1", "warehouseId": shop.warehouse,
        "lines": [{"variantId": shop.variant, "quantity": 4}],
    });
    let refused = server
        .post("/api/v1/reservations", &server.manager, &promise)
        .await;
    assert_eq!(refused.expect(409).json()["shortages"][0]["available"], 3);

    let path = format!("/api/v1/warehouses/{}", shop.warehouse);
    let forbid = json!({"negativeStock": "forbid"});
    let changed = server
        .call(Method::PATCH, &path, &server.manager, Some(&forbid))
        .await;
    assert_eq!(changed.expect(200).json()["negativeStock"], "forbid");
    let body = shop.event("OUTBOUND", 4);
    let refused = server.post("/api/v1/stock-events", &server.manager, &body).await;
    assert_eq!(refused.expect(409).json()["detail"], "stock-insufficient");
    let wrong = json!({"negativeStock": "sometimes"});
    let refused = server
        .call(Method::PATCH, &path, &server.manager, Some(&wrong))
        .await;
    assert_eq!(
        refused.expect(400).json()["errors"][0]["pointer"],
        "/negativeStock"
    );
}

#[tokio::test]
async fn lists_are_by_warehouse_variant_and_type_and_in_pages() {
    let shop = Shop::open().await;
    let server = &shop.server;
    let mut made = Vec::new();
    for quantity in [4, 1, 1] {
        made.push(shop.record("OUTBOUND", quantity).await["id"].clone());
    }
    shop.record("ADJUST", -1).await;
    let ids = |found: &[Value]| -> Vec<Value> { found.iter().map(|one| one["id"].clone()).collect() };
    let (warehouse, variant) = (&shop.warehouse, &shop.variant);
    let all = shop
        .list(&format!(
            "warehouseId={warehouse}&variantId={variant}&type=negative-stock&sort=createdAt,asc"
        ))
        .await;
    assert_eq!(all.len(), 4);
    assert_eq!(ids(&all)[..3], made[..]);
    assert_eq!(all[3]["eventType"], "ADJUST");
    let other = server.variant("B").await;
    assert_eq!(
        shop.list(&format!("variantId={other}")).await,
        Vec::<Value>::new()
    );
    let first = server
        .fetch_now(&format!("{EXCEPTIONS}?size=3&sort=createdAt,asc"), &server.viewer)
        .await;
    let first = first.expect(200).json();
    assert_eq!(
        (
            first["page"]["totalElements"].as_u64(),
            ids(first["content"].as_array().unwrap())
        ),
        (Some(4), made)
    );
    let cursor = first["nextCursor"].as_str().unwrap();
    let rest = shop
        .list(&format!("size=3&sort=createdAt,asc&cursor={cursor}"))
        .await;
    assert_eq!(rest, all[3..]);
    let wrong = server
        .fetch_now(
            &format!("{EXCEPTIONS}?type=bad-weather&state=SLEEPING"),
            &server.viewer,
        )
        .await;
    assert_eq!(wrong.expect(400).json()["errors"].as_array().unwrap().len(), 2);
    let inbound = shop.record("INBOUND", 1).await;
    let path = format!("{EXCEPTIONS}/{}", inbound["id"].as_str().unwrap());
    let none = server.fetch_now(&path, &server.viewer).await;
    assert_eq!(none.expect(404).json()["type"], "/problems/exception-not-found");
}
