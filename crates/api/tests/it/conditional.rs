//! Writes that happen only if what their callers saw is still so.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Server, event};

const EVENTS: &str = "/api/v1/stock-events";
const RESERVATIONS: &str = "/api/v1/reservations";

struct Shop {
    server: Server,
    warehouse: String,
    variant: String,
}

impl Shop {
    /// Ten units of one variant.
    async fn open() -> Shop {
        let server = Server::start().await;
        let (warehouse, variant) = (server.warehouse("WH-1").await, server.variant("A").await);
        server.receive(&warehouse, &variant, 10).await;
        Shop {
            server,
            warehouse,
            variant,
        }
    }

    async fn post_if(&self, path: &str, tag: &str, body: &Value) -> Answer {
        let headers = [("if-match", tag)];
        let token = &self.server.manager;
        self.server
            .call_with(Method::POST, path, token, Some(body), &headers)
            .await
    }

    fn sale(&self, quantity: i64) -> Value {
        event("OUTBOUND", &self.warehouse, &self.variant, quantity)
    }

    fn sale_expecting(&self, quantity: i64, available: i64) -> Value {
        let mut sale = self.sale(quantity);
        sale["lines"][0]["expectedAvailable"] = json!(available);
        sale
    }

    async fn stock(&self) -> Answer {
        let path = format!("/api/v1/stock?warehouseId={}", self.warehouse);
        self.server
            .fetch_now(&path, &self.server.viewer)
            .await
            .expect(200)
    }

    async fn head(&self) -> Value {
        let ledger = self
            .server
            .get("/api/v1/ledger", &self.server.viewer)
            .await
            .expect(200);
        ledger.json()["head"]["position"].clone()
    }
}

#[tokio::test]
async fn what_is_read_is_the_condition_of_the_next_write() {
    let shop = Shop::open().await;
    let read = shop.stock().await;
    assert_eq!(read.header("etag"), "\"1\"");
    let sold = shop
        .post_if(EVENTS, read.header("etag"), &shop.sale(3))
        .await
        .expect(201);
    assert_eq!(sold.header("etag"), "\"2\"");
    let head = shop.head().await;
    let late = shop.post_if(EVENTS, read.header("etag"), &shop.sale(3)).await;
    assert_eq!(late.header("etag"), "\"2\"");
    let problem = late.expect_problem(412, "version-mismatch", "version-mismatch");
    assert_eq!(
        (&problem["expected"], &problem["present"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(shop.head().await, head, "nothing is appended");
    shop.post_if(EVENTS, sold.header("etag"), &shop.sale(1))
        .await
        .expect(201);
    shop.post_if(EVENTS, "*", &shop.sale(1)).await.expect(201);
    let read = shop.stock().await;
    assert_eq!(
        (read.header("etag"), &read.json()["content"][0]["available"]),
        ("\"4\"", &json!(5))
    );
}

#[tokio::test]
async fn stock_of_one_warehouse_now_has_a_tag_and_no_other() {
    let shop = Shop::open().await;
    let empty = shop.server.warehouse("WH-2").await;
    let (warehouse, variant) = (&shop.warehouse, &shop.variant);
    for (query, tag) in [
        (
            format!("warehouseId={warehouse}&variantId={variant}"),
            Some("\"1\""),
        ),
        (format!("warehouseId={warehouse}&page=7"), Some("\"1\"")),
        (format!("warehouseId={empty}"), Some("\"0\"")),
        (format!("warehouseId={warehouse}&asOf=2025-06-01T12:00:00Z"), None),
        (format!("variantId={variant}"), None),
        (String::new(), None),
    ] {
        let read = shop
            .server
            .fetch_now(&format!("/api/v1/stock?{query}"), &shop.server.viewer)
            .await
            .expect(200);
        assert_eq!(
            read.headers.get("etag").map(|tag| tag.to_str().unwrap()),
            tag,
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_line_says_how_much_is_to_be_available() {
    let shop = Shop::open().await;
    let token = &shop.server.manager;
    let head = shop.head().await;
    let problem = shop.server.post(EVENTS, token, &shop.sale_expecting(3, 9)).await;
    let problem = problem.expect_problem(412, "available-mismatch", "available-mismatch");
    assert_eq!(
        problem["lines"],
        json!([{"variantId": shop.variant, "variantSku": "A", "expected": 9, "available": 10}])
    );
    assert_eq!(shop.head().await, head);
    shop.server
        .post(EVENTS, token, &shop.sale_expecting(3, 10))
        .await
        .expect(201);
    let lines = format!(
        "{}\n{}\n{}\n",
        shop.sale_expecting(1, 7),
        shop.sale_expecting(1, 7),
        shop.sale_expecting(1, 6)
    );
    let results = shop
        .server
        .bulk(&format!("{EVENTS}/bulk"), token, &lines)
        .await
        .expect(200)
        .lines();
    let statuses: Vec<_> = results
        .iter()
        .map(|result| result["status"].as_u64().unwrap())
        .collect();
    assert_eq!(statuses, [201, 412, 201]);
    assert_eq!(results[1]["problem"]["lines"][0]["available"], 6);
    let mut wrong = shop.sale(1);
    wrong["lines"][0]["expectedAvailable"] = json!("7");
    let problem = shop.server.post(EVENTS, token, &wrong).await.expect_problem(
        400,
        "invalid-payload",
        "invalid payload",
    );
    assert_eq!(problem["errors"][0]["pointer"], "/lines/0/expectedAvailable");
}

#[tokio::test]
async fn every_write_at_one_warehouse_takes_a_version() {
    let shop = Shop::open().await;
    let lines = json!([{"variantId": shop.variant, "quantity": 2}]);
    let order = json!({"orderId": "o", "warehouseId": shop.warehouse, "lines": lines});
    shop.post_if(RESERVATIONS, "\"0\"", &order).await.expect_problem(
        412,
        "version-mismatch",
        "version-mismatch",
    );
    let made = shop.post_if(RESERVATIONS, "\"1\"", &order).await.expect(201);
    assert_eq!(made.header("etag"), "\"2\"");
    let path = format!("{RESERVATIONS}/{}", made.json()["id"].as_str().unwrap());
    let mut version = 2;
    for (step, body) in [
        ("extend", json!({"expiresAt": null})),
        ("pick", json!({})),
        ("pack", json!({})),
        (
            "ship",
            json!({"lines": [{"variantId": shop.variant, "quantity": 1}]}),
        ),
        ("release", json!({})),
    ] {
        let path = format!("{path}/{step}");
        let stale = format!("\"{}\"", version - 1);
        shop.post_if(&path, &stale, &body)
            .await
            .expect_problem(412, "version-mismatch", "version-mismatch");
        shop.post_if(&path, "\"2", &body)
            .await
            .expect_problem(400, "invalid-payload", "invalid payload");
        let done = shop
            .post_if(&path, &format!("\"{version}\""), &body)
            .await
            .expect(201);
        version += 1;
        assert_eq!(done.header("etag"), format!("\"{version}\""), "{step}");
    }
    let received = shop.server.receive(&shop.warehouse, &shop.variant, 1).await;
    let path = format!("{EVENTS}/{}/reverse", received["id"].as_str().unwrap());
    let problem = shop.post_if(&path, "\"7\"", &json!({})).await.expect_problem(
        412,
        "version-mismatch",
        "version-mismatch",
    );
    assert_eq!(problem["present"], 8);
    assert_eq!(
        shop.post_if(&path, "\"8\"", &json!({}))
            .await
            .expect(201)
            .header("etag"),
        "\"9\""
    );
}

#[tokio::test]
async fn what_cannot_be_a_version_is_refused_in_words() {
    let shop = Shop::open().await;
    for tag in ["1", "W/\"1\"", "\"1\", \"2\"", "\"x\"", ""] {
        let refused = shop.post_if(EVENTS, tag, &shop.sale(1)).await;
        let problem = refused.expect_problem(400, "invalid-payload", "invalid payload");
        assert_eq!(problem["errors"][0]["header"], "If-Match", "{tag}");
    }
    let path = format!("{EVENTS}/bulk");
    let refused = shop.post_if(&path, "\"1\"", &shop.sale(1)).await;
    // A bulk request is not JSON either; that is said first.
    assert!(refused.status.is_client_error());
    assert_eq!(shop.stock().await.header("etag"), "\"1\"");
}

#[tokio::test]
async fn a_request_that_happened_is_answered_again_whatever_has_come_since() {
    let shop = Shop::open().await;
    let headers = [("if-match", "\"1\""), ("idempotency-key", "sale-1")];
    let token = &shop.server.manager;
    let send = async |headers: &[(&str, &str)]| {
        let body = shop.sale(3);
        shop.server
            .call_with(Method::POST, EVENTS, token, Some(&body), headers)
            .await
    };
    let first = send(&headers).await.expect(201);
    let again = send(&headers).await.expect(201);
    assert_eq!(
        (again.header("idempotency-replayed"), again.header("etag")),
        ("true", "\"2\"")
    );
    assert_eq!(again.json(), first.json());
    let other = [("if-match", "\"2\""), ("idempotency-key", "sale-1")];
    send(&other)
        .await
        .expect_problem(409, "idempotency-conflict", "stock-idempotency-conflict");
}

#[tokio::test]
async fn of_many_who_saw_the_same_version_one_writes() {
    let shop = Shop::open().await;
    for round in 1..=10 {
        let tag = format!("\"{round}\"");
        let sale = event("INBOUND", &shop.warehouse, &shop.variant, 1);
        let all = (0..6).map(|_| shop.post_if(EVENTS, &tag, &sale));
        let statuses: Vec<_> = futures_util::future::join_all(all).await;
        let mut statuses: Vec<_> = statuses.iter().map(|answer| answer.status.as_u16()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 412, 412, 412, 412, 412], "round {round}");
    }
    assert_eq!(shop.stock().await.json()["content"][0]["onHand"], 20);
}

#[tokio::test]
async fn a_transfer_a_count_and_an_exception_take_the_version_of_their_warehouse() {
    let shop = Shop::open().await;
    let (server, here) = (&shop.server, &shop.warehouse);
    let there = server.warehouse("WH-2").await;
    let record = json!({"negativeStock": "record"});
    let path = format!("/api/v1/warehouses/{there}");
    server.patch(&path, &server.admin, &record).await.expect(200);
    let refused = async |path: &str, body: &Value, present: u64| {
        let head = shop.head().await;
        let stale = format!("\"{}\"", present - 1);
        let answer = shop.post_if(path, &stale, body).await;
        assert_eq!(answer.header("etag"), format!("\"{present}\""), "{path}");
        let problem = answer.expect_problem(412, "version-mismatch", "version-mismatch");
        assert_eq!(
            (&problem["expected"], &problem["present"]),
            (&json!(present - 1), &json!(present))
        );
        assert_eq!(shop.head().await, head, "{path} appended nothing");
        let weak = shop.post_if(path, "W/\"1\"", body).await;
        weak.expect_problem(400, "invalid-payload", "invalid payload");
    };
    // A dispatch is of the version of what it leaves, and answers the one to which it brought it.
    let lines = json!([{"variantId": shop.variant, "quantity": 4}]);
    let shipment = json!({"fromWarehouseId": here, "toWarehouseId": there, "lines": lines});
    refused("/api/v1/transfers", &shipment, 1).await;
    let sent = shop
        .post_if("/api/v1/transfers", "\"1\"", &shipment)
        .await
        .expect(201);
    assert_eq!(sent.header("etag"), "\"2\"");
    let transfer = format!("/api/v1/transfers/{}", sent.json()["id"].as_str().unwrap());
    // What happens to it then is of where it goes, which was told of it already.
    let lines = json!([{"variantId": shop.variant, "received": 3}]);
    let count = json!({"warehouseId": there});
    let mut version = 1;
    for (path, body) in [
        (format!("{transfer}/receive"), json!({"lines": lines})),
        (format!("{transfer}/close"), json!({"reasonCode": "OTHER"})),
        ("/api/v1/counts".to_owned(), count),
    ] {
        refused(&path, &body, version).await;
        let done = shop
            .post_if(&path, &format!("\"{version}\""), &body)
            .await
            .expect(201);
        version += 1;
        assert_eq!(done.header("etag"), format!("\"{version}\""), "{path}");
        if path == "/api/v1/counts" {
            let count = format!("/api/v1/counts/{}", done.json()["id"].as_str().unwrap());
            let found = json!({"lines": [{"variantId": shop.variant, "counted": 3}]});
            for (step, body) in [("lines", found), ("approve", json!({}))] {
                let path = format!("{count}/{step}");
                refused(&path, &body, version).await;
                let done = shop
                    .post_if(&path, &format!("\"{version}\""), &body)
                    .await
                    .expect(201);
                version += 1;
                assert_eq!(done.header("etag"), format!("\"{version}\""), "{path}");
            }
        }
    }
    let tag = format!("\"{version}\"");
    let again = shop
        .post_if("/api/v1/counts", &tag, &json!({"warehouseId": there}))
        .await;
    let again = again.expect(201);
    version += 1;
    let cancel = format!("/api/v1/counts/{}/cancel", again.json()["id"].as_str().unwrap());
    refused(&cancel, &json!({}), version).await;
    shop.post_if(&cancel, &format!("\"{version}\""), &json!({}))
        .await
        .expect(201);
    version += 1;
    let sale = event("OUTBOUND", &there, &shop.variant, 9);
    let sold = shop
        .post_if(EVENTS, &format!("\"{version}\""), &sale)
        .await
        .expect(201);
    version += 1;
    let clear = format!("/api/v1/exceptions/{}/clear", sold.json()["id"].as_str().unwrap());
    refused(&clear, &json!({}), version).await;
    let cleared = shop
        .post_if(&clear, &format!("\"{version}\""), &json!({}))
        .await
        .expect(201);
    assert_eq!(cleared.header("etag"), format!("\"{}\"", version + 1));
}

#[tokio::test]
async fn another_version_is_another_request_under_the_same_key() {
    let shop = Shop::open().await;
    let lines = json!([{"variantId": shop.variant, "quantity": 4}]);
    let there = shop.server.warehouse("WH-2").await;
    let shipment = json!({"fromWarehouseId": shop.warehouse, "toWarehouseId": there, "lines": lines});
    let sent = shop
        .post_if("/api/v1/transfers", "\"1\"", &shipment)
        .await
        .expect(201)
        .json();
    let receive = format!("/api/v1/transfers/{}/receive", sent["id"].as_str().unwrap());
    let send = async |headers: &[(&str, &str)]| {
        let token = &shop.server.manager;
        let body = json!({});
        let answer = shop
            .server
            .call_with(Method::POST, &receive, token, Some(&body), headers);
        answer.await
    };
    let first = [("if-match", "\"1\""), ("idempotency-key", "dock")];
    send(&first).await.expect(201);
    let again = send(&first).await.expect(201);
    assert_eq!(
        (again.header("idempotency-replayed"), again.header("etag")),
        ("true", "\"2\"")
    );
    for other in [
        &[("idempotency-key", "dock")][..],
        &[("if-match", "\"2\""), ("idempotency-key", "dock")],
    ] {
        send(other)
            .await
            .expect_problem(409, "idempotency-conflict", "stock-idempotency-conflict");
    }
}

#[tokio::test]
async fn the_warehouse_family_takes_and_answers_versions() {
    let shop = Shop::open().await;
    let inventory = format!("/api/warehouse/inventory?location={}", shop.warehouse);
    let read = shop
        .server
        .fetch_now(&inventory, &shop.server.viewer)
        .await
        .expect(200);
    assert_eq!(read.header("etag"), "\"1\"");
    let everywhere = shop
        .server
        .fetch_now("/api/warehouse/inventory", &shop.server.viewer)
        .await;
    assert!(!everywhere.expect(200).headers.contains_key("etag"));
    let adjust = format!("/api/warehouse/inventory/{}/adjust", shop.variant);
    let transaction = "/api/warehouse/inventory/transaction".to_owned();
    let less = json!({"quantity": -1, "reason": "DAMAGE"});
    let by_hand = json!({"skuId": "A", "type": "RESERVATION", "quantity": 2, "reason": "r", "orderId": "o"});
    for (version, path, body) in [(1, adjust, less), (2, transaction, by_hand)] {
        let head = shop.head().await;
        let stale = format!("\"{}\"", version - 1);
        let refused = shop.post_if(&path, &stale, &body).await.expect(412);
        assert_eq!(refused.header("etag"), format!("\"{version}\""));
        let details = json!({"expected": version - 1, "present": version});
        crate::warehouse::expect_error(refused, 412, "CONFLICT", details);
        assert_eq!(shop.head().await, head, "{path} appended nothing");
        let wrong = shop.post_if(&path, "1", &body).await.expect(400);
        assert!(wrong.json()["error"]["details"]["If-Match"].is_string());
        let done = shop
            .post_if(&path, &format!("\"{version}\""), &body)
            .await
            .expect(200);
        assert_eq!(done.header("etag"), format!("\"{}\"", version + 1), "{path}");
    }
}

#[tokio::test]
async fn a_slot_is_changed_only_at_the_version_of_the_catalogue_that_its_caller_saw() {
    let shop = Shop::open().await;
    let (server, token) = (&shop.server, &shop.server.manager);
    let slot = format!("/api/v1/slots/{}/{}", shop.warehouse, shop.variant);
    let pick_order = format!("/api/warehouse/inventory/{}/pick-order", shop.variant);
    let look = async || {
        let found = server.get(&slot, &server.viewer).await.expect(200);
        found.header("etag").to_owned()
    };
    let send = async |path: &str, tag: &str, body: &Value| {
        let headers = [("if-match", tag)];
        let answer = server.call_with(Method::PATCH, path, token, Some(body), &headers);
        answer.await
    };
    // A warehouse and a variant, and stock, which is no matter of the catalogue's.
    assert_eq!(look().await, "\"2\"");
    let bodies = [
        (&*slot, json!({"bin": "A-1"})),
        (&*pick_order, json!({"pickOrder": 7})),
        (&*slot, json!({"maxLevel": 9})),
    ];
    for (version, (path, body)) in (2..).zip(bodies) {
        let head = shop.head().await;
        let (stale, present) = (format!("\"{}\"", version - 1), format!("\"{version}\""));
        let refused = send(path, &stale, &body).await.expect(412);
        assert_eq!(refused.header("etag"), present, "{path}");
        if path == slot {
            let problem = refused.expect_problem(412, "version-mismatch", "version-mismatch");
            assert_eq!(
                (&problem["expected"], &problem["present"]),
                (&json!(version - 1), &json!(version))
            );
        } else {
            let details = json!({"expected": version - 1, "present": version});
            crate::warehouse::expect_error(refused, 412, "CONFLICT", details);
        }
        assert_eq!(shop.head().await, head, "{path} appended nothing");
        send(path, "7", &body).await.expect(400);
        let done = send(path, &present, &body).await.expect(200);
        let next = format!("\"{}\"", version + 1);
        assert_eq!(done.header("etag"), next, "{path}");
        assert_eq!(look().await, next);
    }
    // Whatever else is new in the catalogue counts, too.
    server.variant("B").await;
    let stale = send(&slot, "\"5\"", &json!({"bin": "B-1"})).await.expect(412);
    assert_eq!(stale.header("etag"), "\"6\"");
    send(&slot, "*", &json!({"bin": "B-1"})).await.expect(200);
    // What changes nothing is at the version that there is.
    let same = send(&slot, "\"7\"", &json!({})).await.expect(200);
    assert_eq!(same.header("etag"), "\"7\"");
}
