//! Reconciliations with the outside: what transfers explain, and corrections that are asked for at once.

use std::sync::Arc;

use axum::http::Method;
use serde_json::{Value, json};

use crate::reconciliations::{PATH, over, reconcile, variances};
use crate::support::{Server, event};

const HOUR_MS: i64 = 3_600_000;

/// What explains the only line of a report, by name, where it is not 0.
async fn explained(
    server: &Server,
    warehouse: &str,
    measures: &str,
    quantity: i64,
    at: Option<&str>,
) -> Value {
    let source = json!({"name": "report", "measures": measures, "reportedAt": at, "lines": [
        {"warehouseCode": warehouse, "sku": "S", "quantity": quantity},
    ]});
    let run = reconcile(server, json!({"source": source})).await;
    let line = &variances(server, &run).await[0];
    let parts = line["explained"].as_object().unwrap().iter();
    let parts = parts.filter(|(name, units)| {
        let is_part = !["ledgerAtReport", "ledgerNow", "movedSince", "lastAgreed"].contains(&name.as_str());
        is_part && **units != 0
    });
    let parts: serde_json::Map<_, _> = parts.map(|(name, units)| (name.clone(), units.clone())).collect();
    let sum: i64 = parts.values().map(|units| units.as_i64().unwrap()).sum();
    assert_eq!(line["variance"], sum, "the parts are the variance: {line}");
    Value::Object(parts)
}

#[tokio::test]
async fn what_is_on_the_way_explains_what_is_found_at_either_end_and_no_more() {
    let server = Server::start().await;
    let (north, south) = (server.warehouse("NORTH").await, server.warehouse("SOUTH").await);
    let (v, other) = (server.variant("S").await, server.variant("T").await);
    server.receive(&north, &v, 10).await;
    server.receive(&north, &other, 10).await;
    // 13:00: four are on their way, and some of another variant, which is nobody's concern here.
    server.clock.advance_ms(HOUR_MS);
    let lines = json!([{"variantId": v, "quantity": 4}, {"variantId": other, "quantity": 5}]);
    let shipment = json!({"fromWarehouseId": north, "toWarehouseId": south, "lines": lines});
    let sent = server.post("/api/v1/transfers", &server.manager, &shipment).await;
    let sent = sent.expect(201).json();
    server.clock.advance_ms(HOUR_MS);
    // By the ledger there are six at NORTH, and none at SOUTH.
    for measures in ["onHand", "available"] {
        for (warehouse, quantity, expected) in [
            ("NORTH", 6, json!({})),
            ("NORTH", 9, json!({"inTransit": 3})),
            ("NORTH", 10, json!({"inTransit": 4})),
            ("NORTH", 12, json!({"inTransit": 4, "unexplained": 2})),
            ("NORTH", 5, json!({"unexplained": -1})),
            ("SOUTH", 4, json!({"inTransit": 4})),
            ("SOUTH", 5, json!({"inTransit": 4, "unexplained": 1})),
        ] {
            let found = explained(&server, warehouse, measures, quantity, None).await;
            assert_eq!(found, expected, "{quantity} at {warehouse}, {measures}");
        }
    }
    // 14:00: three of them arrive, and one of those is damaged. At 15:00 the last one is given up.
    let step = async |step: &str, body: &Value| {
        let path = format!("/api/v1/transfers/{}/{step}", sent["id"].as_str().unwrap());
        let done = server
            .call(Method::POST, &path, &server.manager, Some(body))
            .await;
        done.expect(201);
    };
    let found = json!({"lines": [
        {"variantId": v, "received": 2, "damaged": 1},
        {"variantId": other, "received": 5},
    ]});
    step("receive", &found).await;
    let after_receipt = explained(&server, "SOUTH", "onHand", 9, None).await;
    assert_eq!(after_receipt, json!({"inTransit": 1, "unexplained": 5}));
    server.clock.advance_ms(HOUR_MS);
    step("close", &json!({"reasonCode": "OTHER"})).await;
    assert_eq!(
        explained(&server, "NORTH", "onHand", 9, None).await,
        json!({"unexplained": 3})
    );
    // What counts is what was on the way when it was reported, whatever became of it.
    server.clock.advance_ms(HOUR_MS);
    for (at, expected) in [
        ("2025-06-01T12:30:00Z", json!({"unexplained": -1})),
        ("2025-06-01T13:30:00Z", json!({"inTransit": 3})),
        ("2025-06-01T14:30:00Z", json!({"inTransit": 1, "unexplained": 2})),
        ("2025-06-01T15:30:00Z", json!({"unexplained": 3})),
    ] {
        let found = explained(&server, "NORTH", "onHand", 9, Some(at)).await;
        assert_eq!(found, expected, "{at}");
    }
}

/// A server with ten units each of S and T at A, and the body of a count of them.
async fn counted(folder: &Arc<tempfile::TempDir>, quantities: [i64; 2]) -> (Server, Value) {
    let server = Server::start_with(folder.clone(), |_| ()).await;
    let w = server.warehouse("A").await;
    for sku in ["S", "T"] {
        let variant = server.variant(sku).await;
        server.receive(&w, &variant, 10).await;
    }
    server.clock.advance_ms(HOUR_MS);
    let lines = ["S", "T"].into_iter().zip(quantities);
    let lines: Value = lines
        .map(|(sku, quantity)| json!({"warehouseCode": "A", "sku": sku, "quantity": quantity}))
        .collect();
    let source = json!({"name": "count", "reportedAt": "2025-06-01T12:30:00Z", "lines": lines});
    (server, json!({"source": source, "apply": true}))
}

#[tokio::test]
async fn a_count_that_is_to_be_applied_corrects_each_line_once_and_says_what_became_of_it() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let (server, count) = counted(&folder, [8, 10]).await;
    let run = reconcile(&server, count.clone()).await;
    assert_eq!(
        (&run["state"], &run["differing"], &run["apply"]),
        (&json!("DIFFERS"), &json!(1), &json!(true)),
        "{run}"
    );
    let found = variances(&server, &run).await;
    assert_eq!(found[0]["explained"]["unexplained"], -2);
    assert_eq!(found[1]["correction"], Value::Null);
    assert_eq!(found[0]["correction"]["refused"], Value::Null);
    let event = &found[0]["correction"]["event"];
    let path = format!("/api/v1/stock-events/{}", event["id"].as_str().unwrap());
    let event = server.get(&path, &server.manager).await.expect(200).json();
    assert_eq!(
        (&event["type"], &event["reasonCode"], &event["occurredAt"]),
        (
            &json!("ADJUST"),
            &json!("COUNT_CORRECTION"),
            &json!("2025-06-01T12:30:00Z")
        )
    );
    assert_eq!(event["createdById"], run["createdById"], "{event}");
    // Asked for again in its own words, or anew, nothing more is recorded.
    let path = format!("{PATH}/{}/apply", run["id"]);
    let again = server.call(Method::POST, &path, &server.manager, None).await;
    assert_eq!(
        again.expect(200).json(),
        json!({"corrected": 0, "correctedBefore": 1, "refused": []})
    );
    let anew = reconcile(&server, count).await;
    assert_eq!(
        (&anew["state"], &anew["differing"]),
        (&json!("AGREES"), &json!(0))
    );
    let stock = server.fetch_now("/api/v1/stock?sku=S", &server.viewer).await;
    assert_eq!(stock.expect(200).json()["content"][0]["onHand"], 8);
}

#[tokio::test]
async fn a_correction_that_the_ledger_refuses_is_told_with_its_line_and_the_others_are_made() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let (server, _) = counted(&folder, [10, 10]).await;
    let stock = server.fetch_now("/api/v1/stock?sku=S", &server.viewer).await;
    let row = stock.expect(200).json()["content"][0].clone();
    let lines = json!([{"variantId": row["variantId"], "quantity": 7}]);
    let order = json!({"orderId": "o", "warehouseId": row["warehouseId"], "lines": lines});
    server
        .post("/api/v1/reservations", &server.admin, &order)
        .await
        .expect(201);
    let lines = json!([
        {"warehouseCode": "A", "sku": "S", "quantity": 1},
        {"warehouseCode": "A", "sku": "T", "quantity": 11},
    ]);
    let count = json!({"source": {"name": "count", "lines": lines}, "apply": true});
    let run = reconcile(&server, count).await;
    let found = variances(&server, &run).await;
    assert_eq!(
        found[0]["correction"],
        json!({"event": null, "refused": "/problems/insufficient-stock"})
    );
    assert!(found[1]["correction"]["event"]["position"].is_u64(), "{found:?}");
    for (body, pointer) in [
        (json!({"apply": true}), "/apply"),
        (json!({"apply": "yes"}), "/apply"),
        (
            json!({"apply": true, "source": {"name": "shop", "measures": "available", "lines": [
                {"warehouseCode": "A", "sku": "S", "quantity": 1}]}}),
            "/apply",
        ),
    ] {
        let problem = server.post(PATH, &server.manager, &body).await;
        let problem = problem.expect_problem(400, "invalid-payload", "invalid payload");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    // What could never be corrected is refused before anything is compared, all of it by its place.
    let long = "x".repeat(129);
    let source = json!({"name": "count", "reportedAt": "2025-06-01T13:06:00Z", "lines": [
        {"warehouseCode": "A", "sku": "S", "quantity": 1_000_000_000},
        {"warehouseCode": "A", "sku": "S", "quantity": 1_000_000_001},
        {"warehouseCode": "A", "sku": "S", "quantity": -1_000_000_001},
        {"warehouseCode": "A", "sku": long, "quantity": 1},
        {"warehouseCode": "x".repeat(65), "sku": "S\n", "quantity": 1},
        {"warehouseCode": " A", "sku": "", "quantity": 1},
    ]});
    let wrong = async |body: Value| {
        let problem = server.post(PATH, &server.manager, &body).await;
        let problem = problem.expect_problem(400, "invalid-payload", "invalid payload");
        let errors = problem["errors"].as_array().unwrap().iter();
        let pointers = errors.map(|one| one["pointer"].as_str().unwrap().replace("/source/", ""));
        pointers.collect::<Vec<_>>().join(" ")
    };
    let names = "lines/3/sku lines/4/warehouseCode lines/4/sku lines/5/warehouseCode lines/5/sku";
    assert_eq!(
        wrong(json!({"source": source, "apply": true})).await,
        format!("reportedAt lines/1/quantity lines/2/quantity {names}")
    );
    assert_eq!(
        wrong(json!({"source": source})).await,
        format!("reportedAt {names}")
    );
    let seller = server.post(PATH, &server.viewer, &json!({"apply": true})).await;
    seller.expect(403);
    over(&server, &format!("{PATH}/{}", run["id"])).await;
}

#[tokio::test]
async fn lots_are_on_the_way_under_their_variant() {
    let server = Server::start().await;
    let (north, south) = (server.warehouse("NORTH").await, server.warehouse("SOUTH").await);
    let create = json!({"sku": "S", "name": "S", "tracksLots": true});
    let v = server.post("/api/v1/variants", &server.manager, &create).await;
    let v = v.expect(201).json()["id"].clone();
    let receipt = json!({"type": "INBOUND", "warehouseId": north, "lines": [
        {"variantId": v, "quantity": 10, "lot": "L"},
    ]});
    server
        .post("/api/v1/stock-events", &server.manager, &receipt)
        .await
        .expect(201);
    let shipment =
        json!({"fromWarehouseId": north, "toWarehouseId": south, "lines": [{"variantId": v, "quantity": 4}]});
    server
        .post("/api/v1/transfers", &server.manager, &shipment)
        .await
        .expect(201);
    assert_eq!(
        explained(&server, "SOUTH", "onHand", 5, None).await,
        json!({"inTransit": 4, "unexplained": 1})
    );
}

#[tokio::test]
async fn what_arrived_before_it_left_takes_nothing_from_what_else_was_on_the_way_however_long_ago() {
    let server = Server::start().await;
    let (north, south) = (server.warehouse("NORTH").await, server.warehouse("SOUTH").await);
    let (v, other) = (server.variant("S").await, server.variant("T").await);
    server.receive(&north, &v, 10).await;
    let send = async |quantity: i64| {
        let lines = json!([{"variantId": v, "quantity": quantity}]);
        let shipment = json!({"fromWarehouseId": north, "toWarehouseId": south, "lines": lines});
        let sent = server.post("/api/v1/transfers", &server.manager, &shipment).await;
        sent.expect(201).json()["id"].as_str().unwrap().to_owned()
    };
    let receive = async |transfer: &str, at: Value| {
        let path = format!("/api/v1/transfers/{transfer}/receive");
        let body = json!({"occurredAt": at});
        server.post(&path, &server.manager, &body).await.expect(201);
    };
    // 13:00, and it arrives at 16:00. At 15:00 another one leaves that is said to have arrived at 13:15.
    server.clock.advance_ms(HOUR_MS);
    let first = send(4).await;
    server.clock.advance_ms(2 * HOUR_MS);
    let second = send(3).await;
    receive(&second, json!("2025-06-01T13:15:00Z")).await;
    server.clock.advance_ms(HOUR_MS);
    receive(&first, Value::Null).await;
    let on_the_way = json!({"inTransit": 4, "unexplained": 2});
    let at = Some("2025-06-01T13:30:00Z");
    assert_eq!(explained(&server, "NORTH", "onHand", 12, at).await, on_the_way);
    // Long after they were over.
    let lines: String = (0..1_100)
        .map(|_| format!("{}\n", event("INBOUND", &south, &other, 1)))
        .collect();
    server
        .bulk("/api/v1/stock-events/bulk", &server.admin, &lines)
        .await
        .expect(200);
    assert_eq!(explained(&server, "NORTH", "onHand", 12, at).await, on_the_way);
}
