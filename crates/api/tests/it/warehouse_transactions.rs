//! Transactions: listed, and recorded by hand.

use axum::http::Method;
use bincard_access::Role;
use serde_json::{Value, json};

use crate::warehouse::{INVENTORY, Store, expect_error};

#[tokio::test]
async fn the_documented_transactions_are_answered_as_documented() {
    let store = Store::open().await;
    let server = &store.server;
    let user = server.user("default", "user", Role::Manager).await;
    let picker = server.user("default", "picker", Role::Manager).await;
    let step = async |kind: &str, user: uuid::Uuid| {
        let lines = json!([{"variantId": store.wine, "quantity": 12}]);
        let (path, body) = match kind {
            "RESERVATION" => (
                "/api/v1/reservations".to_owned(),
                json!({"orderId": "order_456", "warehouseId": store.warehouse, "lines": lines, "userId": user}),
            ),
            _ => {
                let held = server
                    .fetch_now("/api/v1/reservations", &server.viewer)
                    .await
                    .json();
                let id = held["content"][0]["id"].as_str().unwrap();
                (format!("/api/v1/reservations/{id}/pick"), json!({"userId": user}))
            }
        };
        server.post(&path, &server.admin, &body).await.expect(201).json()["id"].clone()
    };
    let reserved = step("RESERVATION", user).await;
    server.clock.advance_ms(1_800_000);
    let picked = step("PICK", picker).await;
    let path = store.path("transactions?from=2025-10-25T09:00:00Z");
    let list = server.fetch_now(&path, &server.viewer).await.expect(200);
    assert!(list.header("ledger-position").parse::<u64>().unwrap() > 0);
    let documented = json!({
        "transactions": [
            {
                "id": reserved, "type": "RESERVATION", "quantity": 12,
                "previousAvailable": 100, "newAvailable": 88,
                "orderId": "order_456", "userId": user, "reason": null,
                "createdAt": "2025-10-25T09:00:00Z"
            },
            {
                "id": picked, "type": "PICK", "quantity": 12,
                "previousAvailable": 88, "newAvailable": 88,
                "orderId": "order_456", "userId": picker, "reason": null,
                "createdAt": "2025-10-25T09:30:00Z"
            }
        ],
        "summary": {"totalTransactions": 2, "netChange": 0, "reservations": 12, "picks": 12, "adjustments": 0}
    });
    assert_eq!(list.json(), documented);

    // All there is, the INBOUND of the native routes included.
    let list = async |query: &str| {
        server
            .fetch_now(&store.path(&format!("transactions{query}")), &server.viewer)
            .await
            .expect(200)
            .json()
    };
    let types = |list: &Value| -> Vec<String> {
        let rows = list["transactions"].as_array().unwrap().iter();
        rows.map(|row| row["type"].as_str().unwrap().to_owned()).collect()
    };
    let all = list("").await;
    assert_eq!(types(&all), ["INBOUND", "RESERVATION", "PICK"]);
    assert_eq!(all["summary"]["netChange"], 100);
    assert_eq!(types(&list("?type=PICK").await), ["PICK"]);
    assert_eq!(types(&list("?type=ADJUSTMENT").await), Vec::<String>::new());
    assert_eq!(
        types(&list("?to=2025-10-25T09:00:00Z").await),
        ["INBOUND", "RESERVATION"]
    );
    assert_eq!(
        types(&list("?from=2025-10-25&to=2025-10-25").await),
        ["INBOUND", "RESERVATION", "PICK"]
    );
    assert_eq!(types(&list("?to=2025-10-24").await), Vec::<String>::new());
    let with_an_offset = list("?from=2025-10-25T11:15:00+02:00").await;
    assert_eq!(
        types(&with_an_offset),
        ["PICK"],
        "a plus sign that nobody escaped"
    );
    let last = list("?limit=1").await;
    assert_eq!(types(&last), ["PICK"], "the last ones");
    assert_eq!(last["summary"]["totalTransactions"], 3, "the summary is of all");
    assert_eq!(types(&list("?location=WH-A").await).len(), 3);
    let wrong = server
        .get(
            &store.path("transactions?type=ADJUST&from=today&limit=501"),
            &server.viewer,
        )
        .await;
    let details = json!({
        "type": "must be RESERVATION, RELEASE, PICK, PACK, SHIP, ADJUSTMENT or another type of stock event",
        "from": "must be a date such as 2025-02-10, or an instant such as 2025-02-10T08:00:00Z",
        "limit": "must be 1 to 500",
    });
    expect_error(wrong, 400, "INVALID_REQUEST", details);
}

#[tokio::test]
async fn a_transaction_that_takes_from_two_reservations_is_one() {
    let store = Store::open().await;
    for quantity in [2, 3] {
        let body = json!({"skuId": "WINE-CAB-001", "type": "RESERVATION", "quantity": quantity, "reason": "by hand", "orderId": "o"});
        store.transact(body).await.expect(200);
    }
    let body = json!({"skuId": "WINE-CAB-001", "type": "RELEASE", "quantity": 5, "reason": "cancelled", "orderId": "o"});
    store.transact(body).await.expect(200);
    let list = store
        .server
        .fetch_now(&store.path("transactions?type=RELEASE"), &store.server.viewer)
        .await
        .json();
    let [row] = &list["transactions"].as_array().unwrap()[..] else {
        panic!("{list}")
    };
    assert_eq!(
        (
            &row["quantity"],
            &row["previousAvailable"],
            &row["newAvailable"],
            &row["reason"]
        ),
        (&json!(5), &json!(95), &json!(100), &json!("cancelled"))
    );
    assert_eq!(list["summary"]["totalTransactions"], 1);
}

#[tokio::test]
async fn the_documented_manual_transaction_is_answered_as_documented() {
    let store = Store::open().await;
    let server = &store.server;
    let admin = server.user("default", "boss", Role::Admin).await;
    server.clock.advance_ms(5_400_000);
    let body = json!({
        "skuId": store.wine, "type": "ADJUSTMENT", "quantity": -5,
        "reason": "Physical count discrepancy", "userId": admin
    });
    let answer = store.transact(body).await.expect(200);
    let id = answer.json()["transaction"]["id"].clone();
    assert_eq!(
        answer.json(),
        json!({
            "success": true,
            "transaction": {"id": id, "type": "ADJUSTMENT", "quantity": -5, "createdAt": "2025-10-25T10:30:00Z"}
        })
    );
    let list = server
        .fetch_now(&store.path("transactions?type=ADJUSTMENT"), &server.viewer)
        .await
        .json();
    assert_eq!(
        list["transactions"][0],
        json!({
            "id": id, "type": "ADJUSTMENT", "quantity": -5, "previousAvailable": 100, "newAvailable": 95,
            "orderId": null, "userId": admin, "reason": "Physical count discrepancy",
            "createdAt": "2025-10-25T10:30:00Z"
        })
    );
    assert_eq!(list["summary"]["adjustments"], -5);
}

#[tokio::test]
async fn every_type_of_transaction_is_recorded_by_hand() {
    let store = Store::open().await;
    let server = &store.server;
    let of = |kind: &str, quantity: i64| json!({"skuId": "WINE-CAB-001", "type": kind, "quantity": quantity, "reason": "by hand", "orderId": "order-1"});
    for (kind, quantity) in [
        ("RESERVATION", 12),
        ("PICK", 8),
        ("PACK", 5),
        ("SHIP", 3),
        ("RELEASE", 4),
        ("ADJUSTMENT", 2),
    ] {
        let body = of(kind, quantity);
        let key = [("idempotency-key", kind)];
        let path = format!("{INVENTORY}/transaction");
        let answer = server
            .call_with(Method::POST, &path, &server.manager, Some(&body), &key)
            .await
            .expect(200);
        let told = &answer.json()["transaction"];
        assert_eq!(
            (&told["type"], &told["quantity"]),
            (&json!(kind), &json!(quantity))
        );
        let again = server
            .call_with(Method::POST, &path, &server.manager, Some(&body), &key)
            .await
            .expect(200);
        assert_eq!(
            (again.header("idempotency-replayed"), again.json()),
            ("true", answer.json())
        );
    }
    let path = format!("/api/v1/stock?variantId={}", store.wine);
    let stock = server.fetch_now(&path, &server.viewer).await.json()["content"][0].clone();
    let buckets = ["available", "reserved", "picked", "packed"].map(|name| stock[name].as_i64().unwrap());
    assert_eq!(buckets, [94, 0, 3, 2]);
    let list = server
        .fetch_now(&store.path("transactions"), &server.viewer)
        .await
        .json();
    assert_eq!(
        list["summary"],
        json!({"totalTransactions": 7, "netChange": 99, "reservations": 12, "picks": 8, "adjustments": 2})
    );

    let mut orderless = of("PICK", 1);
    orderless.as_object_mut().unwrap().remove("orderId");
    let details = json!({"orderId": "PICK acts on what an order holds: name the order"});
    expect_error(store.transact(orderless).await, 422, "VALIDATION_ERROR", details);
    let short = json!({"shortages": [
        {"variantId": store.wine, "variantSku": "WINE-CAB-001", "from": "picked", "requested": 9, "available": 3}
    ]});
    expect_error(store.transact(of("PACK", 9)).await, 409, "CONFLICT", short);
    let mut long = of("RESERVATION", 1);
    long["reason"] = json!("x".repeat(501));
    let details = json!({"reason": "notes are at most 500 characters long"});
    expect_error(store.transact(long).await, 422, "VALIDATION_ERROR", details);
    let wrong = store
        .transact(json!({"skuId": "WINE-CAB-001", "type": "INBOUND", "quantity": 1, "reason": " "}))
        .await;
    let details = json!({"type": "Must be RESERVATION, RELEASE, PICK, PACK, SHIP or ADJUSTMENT", "reason": "Required field"});
    expect_error(wrong, 422, "VALIDATION_ERROR", details);
}

#[tokio::test]
async fn what_a_count_had_seen_is_told_once_and_changes_nothing_available() {
    let store = Store::open().await;
    let server = &store.server;
    let promise = json!({
        "orderId": "early", "warehouseId": store.warehouse,
        "lines": [{"variantId": store.wine, "quantity": 4}],
    });
    let made = server
        .post("/api/v1/reservations", &server.admin, &promise)
        .await
        .expect(201);
    let reservation = made.json()["id"].as_str().unwrap().to_owned();
    for step in ["pick", "pack"] {
        let path = format!("/api/v1/reservations/{reservation}/{step}");
        server.post(&path, &server.admin, &json!({})).await.expect(201);
    }
    server.clock.advance_ms(1_800_000);
    let count = json!({"warehouseId": store.warehouse, "variantIds": [store.wine]});
    let opened = server
        .post("/api/v1/counts", &server.manager, &count)
        .await
        .expect(201);
    let count = opened.json()["id"].as_str().unwrap().to_owned();
    server.clock.advance_ms(60_000);
    let found = json!({"lines": [{"variantId": store.wine, "counted": 90}]});
    for (step, body) in [("lines", &found), ("approve", &json!({}))] {
        let path = format!("/api/v1/counts/{count}/{step}");
        server.post(&path, &server.manager, body).await.expect(201);
    }
    let late = "2025-10-25T09:10:00Z";
    let ship = format!("/api/v1/reservations/{reservation}/ship");
    let shipped = json!({"occurredAt": late});
    server.post(&ship, &server.admin, &shipped).await.expect(201);
    for (kind, quantity) in [("OUTBOUND", 5), ("INBOUND", 6), ("ADJUST", -7), ("ADJUST", 8)] {
        let body = json!({
            "type": kind, "warehouseId": store.warehouse, "occurredAt": late,
            "lines": [{"variantId": store.wine, "quantity": quantity}],
        });
        let event = server
            .post("/api/v1/stock-events", &server.admin, &body)
            .await
            .expect(201);
        assert_eq!(event.json()["seenByCount"], json!([store.wine]), "{kind}");
        let undo = format!(
            "/api/v1/stock-events/{}/reverse",
            event.json()["id"].as_str().unwrap()
        );
        if quantity == -7 {
            server.post(&undo, &server.admin, &json!({})).await.expect(201);
        }
    }
    let list = server
        .fetch_now(
            &store.path("transactions?from=2025-10-25T09:10:00Z"),
            &server.viewer,
        )
        .await
        .expect(200)
        .json();
    let told = list["transactions"].as_array().unwrap().iter().map(|row| {
        let change = row["newAvailable"].as_i64().unwrap() - row["previousAvailable"].as_i64().unwrap();
        (
            row["type"].as_str().unwrap(),
            row["quantity"].as_i64().unwrap(),
            change,
        )
    });
    // The shipped goods were on no shelf: what the count found stays, and so they are free by the books.
    let expected = [
        ("SHIP", 4, 4),
        ("OUTBOUND", -5, 0),
        ("INBOUND", 6, 0),
        ("ADJUSTMENT", -7, 0),
        ("ADJUSTMENT", 8, 0),
        ("COUNT_APPROVED", -10, -10),
        ("REVERSAL", 7, 0),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert_eq!(list["summary"]["netChange"], -10);
    assert_eq!(list["summary"]["adjustments"], 0);
}
