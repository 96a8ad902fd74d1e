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

    async fn found(&self, id: &str) -> Value {
        let path = format!("{COUNTS}/{id}");
        let found = self.server.fetch_now(&path, &self.server.manager).await;
        found.expect(200).json()
    }

    async fn listed(&self, query: &str) -> Vec<Value> {
        let path = format!("{COUNTS}?{query}");
        let listed = self.server.fetch_now(&path, &self.server.viewer).await;
        let listed = listed.expect(200).json();
        assert_eq!(
            listed["page"]["totalElements"].as_u64().unwrap() as usize,
            listed["content"].as_array().unwrap().len()
        );
        let content = listed["content"].as_array().unwrap();
        content.iter().map(|one| one["id"].clone()).collect()
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

/// What a line says: counted, expected, variance; and the same of all that was submitted.
fn said(line: &Value) -> (Value, Vec<Value>) {
    let of = |one: &Value| json!([one["counted"], one["expected"], one["variance"]]);
    (
        of(line),
        line["history"].as_array().unwrap().iter().map(of).collect(),
    )
}

#[tokio::test]
async fn a_blind_count_tells_what_was_expected_when_it_is_approved_and_not_before() {
    let shop = Shop::open().await;
    let server = &shop.server;
    let other = server.variant("B").await;
    server.receive(&shop.warehouse, &other, 4).await;
    let named = json!({
        "warehouseId": shop.warehouse, "variantIds": [shop.variant, other], "blind": true, "notes": "evening",
    });
    let id = shop.count(&named).await;
    let open = shop.found(&id).await;
    for (field, is) in [
        ("state", json!("OPEN")),
        ("warehouseId", json!(shop.warehouse)),
        ("warehouseCode", json!("WH-1")),
        ("blind", json!(true)),
        ("variantIds", json!([shop.variant, other])),
        ("notes", json!("evening")),
        ("createdAt", json!("2025-06-01T12:00:00Z")),
        ("endedAt", Value::Null),
        ("endedById", Value::Null),
        ("lines", json!([])),
        ("submissions", json!([])),
    ] {
        assert_eq!(open[field], is, "{field}");
    }
    server.clock.advance_ms(60_000);
    let first = json!({"notes": "by torchlight", "lines": [
        {"variantId": shop.variant, "counted": 9}, {"variantId": other, "counted": 4},
    ]});
    let first = shop.step(&id, "lines", Some(&first)).await.expect(201).json();
    server.clock.advance_ms(60_000);
    let again = json!({"lines": [{"variantId": shop.variant, "counted": 8}]});
    let again = shop.step(&id, "lines", Some(&again)).await.expect(201).json();
    server.clock.advance_ms(60_000);
    // It left before the recount: what is expected of that is one less than it seemed.
    shop.sell(1, Some("2025-06-01T12:01:30Z")).await;

    let blind = shop.found(&id).await;
    assert_eq!(
        said(&blind["lines"][0]),
        (
            json!([8, null, null]),
            vec![json!([9, null, null]), json!([8, null, null])]
        )
    );
    assert_eq!(
        said(&blind["lines"][1]),
        (json!([4, null, null]), vec![json!([4, null, null])])
    );
    let history = &blind["lines"][0]["history"];
    assert_eq!(history[0]["eventId"], first["id"]);
    assert_eq!(history[1]["eventId"], again["id"]);
    assert_eq!(blind["lines"][0]["countedAt"], "2025-06-01T12:02:00Z");
    let submissions = &blind["submissions"];
    assert_eq!(submissions.as_array().unwrap().len(), 2);
    assert_eq!(
        (&submissions[0]["eventId"], &submissions[0]["notes"]),
        (&first["id"], &json!("by torchlight"))
    );
    assert_eq!(submissions[0]["createdById"], first["createdById"]);

    let approved = shop.step(&id, "approve", Some(&json!({"notes": "right"}))).await;
    let approved = approved.expect(201).json();
    assert_eq!(approved["lines"][0]["quantity"], -1);
    let told = shop.found(&id).await;
    assert_eq!(
        (&told["state"], &told["endedAt"], &told["endedNotes"]),
        (
            &json!("APPROVED"),
            &json!("2025-06-01T12:03:00Z"),
            &json!("right")
        )
    );
    assert_eq!(told["endedById"], approved["createdById"]);
    // The line has what was posted; its history has what was known at the time.
    assert_eq!(
        said(&told["lines"][0]),
        (json!([8, 9, -1]), vec![json!([9, 10, -1]), json!([8, 10, -2])])
    );
    // What differs in nothing was counted all the same.
    assert_eq!(
        said(&told["lines"][1]),
        (json!([4, 4, 0]), vec![json!([4, 4, 0])])
    );
    assert_eq!(shop.on_hand().await, 8);
}

#[tokio::test]
async fn a_count_that_is_not_blind_tells_what_was_expected_at_once() {
    let shop = Shop::open().await;
    let id = shop.count(&json!({"warehouseId": shop.warehouse})).await;
    let lines = json!({"lines": [{"variantId": shop.variant, "counted": 12}]});
    shop.step(&id, "lines", Some(&lines)).await.expect(201);
    let open = shop.found(&id).await;
    assert_eq!(
        (&open["blind"], &open["variantIds"]),
        (&json!(false), &Value::Null)
    );
    let expected = (json!([12, 10, 2]), vec![json!([12, 10, 2])]);
    assert_eq!(said(&open["lines"][0]), expected);
    shop.step(&id, "cancel", Some(&json!({"notes": "the wrong shelf"})))
        .await
        .expect(201);
    let cancelled = shop.found(&id).await;
    assert_eq!(
        (&cancelled["state"], &cancelled["endedNotes"]),
        (&json!("CANCELLED"), &json!("the wrong shelf"))
    );
    assert_eq!(said(&cancelled["lines"][0]), expected);
    assert_eq!(shop.on_hand().await, 10);

    // A blind count that nobody approved keeps what was expected to itself.
    let blind = json!({"warehouseId": shop.warehouse, "blind": true});
    let id = shop.count(&blind).await;
    shop.step(&id, "lines", Some(&lines)).await.expect(201);
    shop.step(&id, "cancel", None).await.expect(201);
    let cancelled = shop.found(&id).await;
    assert_eq!(said(&cancelled["lines"][0]).0, json!([12, null, null]));
}

#[tokio::test]
async fn counts_are_listed_by_warehouse_state_and_variant_page_by_page() {
    let shop = Shop::open().await;
    let server = &shop.server;
    let (elsewhere, other) = (server.warehouse("WH-2").await, server.variant("B").await);
    let (here, variant) = (&shop.warehouse, &shop.variant);
    let of = |variant: &str| json!({"warehouseId": here, "variantIds": [variant]});
    let cancelled = shop.count(&of(&other)).await;
    shop.step(&cancelled, "cancel", None).await.expect(201);
    let approved = shop.count(&of(variant)).await;
    let lines = json!({"lines": [{"variantId": variant, "counted": 10}]});
    shop.step(&approved, "lines", Some(&lines)).await.expect(201);
    shop.step(&approved, "approve", None).await.expect(201);
    let open = shop.count(&of(&other)).await;
    let all_there = shop.count(&json!({"warehouseId": elsewhere})).await;

    for (query, wanted) in [
        (String::new(), vec![&all_there, &open, &approved, &cancelled]),
        (
            "sort=createdAt,asc".into(),
            vec![&cancelled, &approved, &open, &all_there],
        ),
        (format!("warehouseId={elsewhere}"), vec![&all_there]),
        ("state=OPEN".into(), vec![&all_there, &open]),
        ("state=APPROVED".into(), vec![&approved]),
        (format!("state=CANCELLED&warehouseId={here}"), vec![&cancelled]),
        (format!("variantId={variant}"), vec![&all_there, &approved]),
        (
            format!("variantId={other}&warehouseId={here}"),
            vec![&open, &cancelled],
        ),
    ] {
        let wanted: Vec<Value> = wanted.iter().map(|id| json!(id)).collect();
        assert_eq!(shop.listed(&query).await, wanted, "{query}");
    }
    let path = format!("{COUNTS}?state=APPROVED");
    let listed = server.fetch_now(&path, &server.viewer).await.expect(200).json();
    let one = &listed["content"][0];
    assert_eq!((&one["variants"], &one["counted"]), (&json!(1), &json!(1)));

    let mut found = Vec::new();
    let mut path = format!("{COUNTS}?size=3");
    loop {
        let page = server.fetch_now(&path, &server.viewer).await.expect(200).json();
        assert_eq!(page["page"]["totalElements"], 4);
        found.extend(
            page["content"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["id"].clone()),
        );
        let Some(cursor) = page["nextCursor"].as_str() else {
            break;
        };
        path = format!("{COUNTS}?size=3&cursor={cursor}");
    }
    assert_eq!(found, [all_there, open, approved, cancelled]);
    let bad = server.get(&format!("{COUNTS}?state=SHUT"), &server.viewer).await;
    let bad = bad.expect(400).json();
    assert_eq!(bad["errors"][0]["detail"], "must be OPEN, APPROVED or CANCELLED");
}
