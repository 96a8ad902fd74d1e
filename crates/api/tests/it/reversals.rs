//! Undoing an event: once and for ever, told apart from the same request sent again, and seen from both ends.

use axum::http::Method;
use bincard_access::Role;
use serde_json::{Value, json};

use crate::support::{Answer, Server, event, uuid};

const EVENTS: &str = "/api/v1/stock-events";

async fn reverse(
    server: &Server,
    id: &Value,
    token: &str,
    key: Option<&str>,
    body: Option<&Value>,
) -> Answer {
    let path = format!("{EVENTS}/{}/reverse", id.as_str().unwrap());
    let headers: Vec<_> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
    server.call_with(Method::POST, &path, token, body, &headers).await
}

async fn on_hand(server: &Server) -> i64 {
    let stock = server
        .fetch_now("/api/v1/stock", &server.viewer)
        .await
        .expect(200)
        .json();
    stock["content"][0]["onHand"].as_i64().unwrap()
}

async fn furnished() -> (Server, String, String) {
    let server = Server::start().await;
    let (warehouse, variant) = (server.warehouse("WH-1").await, server.variant("S").await);
    (server, warehouse, variant)
}

#[tokio::test]
async fn an_event_is_undone_once_and_both_name_each_other() {
    let (server, warehouse, variant) = furnished().await;
    let undone = server.receive(&warehouse, &variant, 7).await;
    let notes = json!({"notes": "Counted twice"});
    let made = reverse(&server, &undone["id"], &server.manager, None, Some(&notes))
        .await
        .expect(201);
    let reversal = made.json();
    assert_eq!(
        made.header("location"),
        format!("{EVENTS}/{}", reversal["id"].as_str().unwrap())
    );
    assert_eq!(
        (
            &reversal["type"],
            &reversal["reversesId"],
            &reversal["notes"],
            &reversal["lines"][0]["quantity"]
        ),
        (
            &json!("REVERSAL"),
            &undone["id"],
            &json!("Counted twice"),
            &json!(-7)
        )
    );
    assert_eq!(on_hand(&server).await, 0);

    let path = format!("{EVENTS}/{}", undone["id"].as_str().unwrap());
    let fetched = server.get(&path, &server.viewer).await.expect(200).json();
    assert_eq!(fetched["reversedById"], reversal["id"]);
    assert_eq!(fetched["lines"], undone["lines"], "the event itself is as it was");
    let listed = server
        .fetch_now(&format!("{EVENTS}?sort=createdAt,asc"), &server.viewer)
        .await
        .expect(200)
        .json();
    assert_eq!(listed["content"][0]["reversedById"], reversal["id"]);
    assert_eq!(listed["content"][1]["reversedById"], Value::Null);

    for key in [None, Some("late")] {
        let problem = reverse(&server, &undone["id"], &server.admin, key, None)
            .await
            .expect_problem(409, "already-reversed", "already-reversed");
        assert_eq!(problem["reversedById"], reversal["id"]);
    }
    let again = reverse(&server, &reversal["id"], &server.admin, None, None).await;
    again.expect_problem(409, "not-reversible", "not-reversible");
    assert_eq!(on_hand(&server).await, 0);
}

#[tokio::test]
async fn the_same_request_again_gets_the_first_answer_again() {
    let (server, warehouse, variant) = furnished().await;
    let undone = server.receive(&warehouse, &variant, 7).await;
    let notes = json!({"notes": "Wrong pallet"});
    let first = reverse(
        &server,
        &undone["id"],
        &server.manager,
        Some("undo-1"),
        Some(&notes),
    )
    .await
    .expect(201);
    assert!(!first.headers.contains_key("idempotency-replayed"));
    let again = reverse(
        &server,
        &undone["id"],
        &server.manager,
        Some("undo-1"),
        Some(&notes),
    )
    .await
    .expect(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json(), first.json());
    for (key, body) in [
        (Some("undo-2"), Some(&notes)),
        (Some("undo-1"), None),
        (None, Some(&notes)),
    ] {
        let problem = reverse(&server, &undone["id"], &server.manager, key, body)
            .await
            .expect_problem(409, "already-reversed", "already-reversed");
        assert_eq!(problem["reversedById"], first.json()["id"]);
    }
}

#[tokio::test]
async fn a_key_that_another_request_has_undoes_nothing() {
    let (server, warehouse, variant) = furnished().await;
    let body = event("INBOUND", &warehouse, &variant, 3);
    let headers = [("idempotency-key", "order-1")];
    let made = server
        .call_with(Method::POST, EVENTS, &server.admin, Some(&body), &headers)
        .await
        .expect(201)
        .json();
    let problem = reverse(&server, &made["id"], &server.admin, Some("order-1"), None)
        .await
        .expect_problem(409, "idempotency-conflict", "stock-idempotency-conflict");
    assert_eq!(problem["eventId"], made["id"]);
    assert_eq!(on_hand(&server).await, 3);
}

#[tokio::test]
async fn what_is_gone_or_held_by_an_order_is_not_undone() {
    let (server, warehouse, variant) = furnished().await;
    let undone = server.receive(&warehouse, &variant, 7).await;
    let sold = event("OUTBOUND", &warehouse, &variant, 5);
    server.post(EVENTS, &server.admin, &sold).await.expect(201);
    let problem = reverse(&server, &undone["id"], &server.admin, Some("k"), None)
        .await
        .expect_problem(409, "insufficient-stock", "stock-insufficient");
    assert_eq!(problem["shortages"][0]["available"], 2);
    let order =
        json!({"orderId": "o", "warehouseId": warehouse, "lines": [{"variantId": variant, "quantity": 2}]});
    let reservation = server
        .post("/api/v1/reservations", &server.admin, &order)
        .await
        .expect(201)
        .json();
    let refused = reverse(&server, &reservation["id"], &server.admin, None, None).await;
    refused.expect_problem(409, "not-reversible", "not-reversible");
    // The key of a refused request is not used up.
    server.receive(&warehouse, &variant, 100).await;
    reverse(&server, &undone["id"], &server.admin, Some("k"), None)
        .await
        .expect(201);
}

#[tokio::test]
async fn a_seller_undoes_at_its_own_warehouses_and_bad_requests_undo_nothing() {
    let (server, warehouse, variant) = furnished().await;
    let undone = server.receive(&warehouse, &variant, 7).await;
    let other = server.warehouse("WH-2").await;
    let stranger = server.key("default", Role::Seller, &[uuid(&other)]).await;
    let seller = server.key("default", Role::Seller, &[uuid(&warehouse)]).await;
    let refused = reverse(&server, &undone["id"], &stranger, None, None).await;
    refused.expect_problem(404, "event-not-found", "stock-event-not-found");
    let nonsense = json!({"note": "n"});
    let refused = reverse(&server, &undone["id"], &seller, None, Some(&nonsense)).await;
    refused.expect_problem(400, "invalid-payload", "invalid payload");
    let long = json!({"notes": "n".repeat(501)});
    let refused = reverse(&server, &undone["id"], &seller, None, Some(&long)).await;
    refused.expect_problem(400, "notes-too-long", "invalid payload");
    let refused = reverse(&server, &undone["id"], &seller, Some("not a key"), None).await;
    refused.expect_problem(400, "invalid-payload", "invalid payload");
    let nothing = json!("e3b0c442-98fc-8c14-9afb-f4c8996fb924");
    let refused = reverse(&server, &nothing, &seller, None, None).await;
    refused.expect_problem(404, "event-not-found", "stock-event-not-found");
    assert_eq!(on_hand(&server).await, 7);
    reverse(&server, &undone["id"], &seller, None, None)
        .await
        .expect(201);
}

#[tokio::test]
async fn of_many_who_undo_at_once_one_does() {
    let (server, warehouse, variant) = furnished().await;
    let undone = server.receive(&warehouse, &variant, 7).await;
    let all = (0..8).map(|n| {
        let key = format!("k{n}");
        let (server, undone) = (&server, &undone);
        async move {
            reverse(server, &undone["id"], &server.admin, Some(&key), None)
                .await
                .status
                .as_u16()
        }
    });
    let mut statuses = futures_util::future::join_all(all).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
    assert_eq!(on_hand(&server).await, 0);
}

#[tokio::test]
async fn what_a_count_had_seen_of_more_than_five_hundred_lines_is_undone_and_no_two_lines_have_one_id() {
    let server = Server::start().await;
    let warehouse = server.warehouse("WH-1").await;
    let create = json!({"sku": "S", "name": "S", "tracksLots": true});
    let variant = server.post("/api/v1/variants", &server.manager, &create).await;
    let variant = variant.expect(201).json()["id"].clone();
    let lots = |quantity: i64| {
        let line =
            |lot: i32| json!({"variantId": variant, "quantity": quantity, "lot": format!("L{lot:03}")});
        (0..600).map(line).collect::<Value>()
    };
    let record = async |kind: &str, quantity: i64| {
        let body = json!({"type": kind, "warehouseId": warehouse, "lines": lots(quantity)});
        let recorded = server.post(EVENTS, &server.manager, &body).await;
        recorded.expect(201).json()
    };
    let received = record("INBOUND", 3).await;
    let corrected = record("ADJUST", 2).await;
    server.clock.advance_ms(1_000);
    let count = json!({"warehouseId": warehouse});
    let count = server.post("/api/v1/counts", &server.manager, &count).await;
    let count = format!(
        "/api/v1/counts/{}",
        count.expect(201).json()["id"].as_str().unwrap()
    );
    let found = received["lines"].as_array().unwrap().iter();
    let found: Value = found
        .map(|line| json!({"variantId": line["lotId"], "counted": 5}))
        .collect();
    let step = async |step: &str, body: &Value| {
        let path = format!("{count}/{step}");
        server.post(&path, &server.manager, body).await.expect(201)
    };
    step("lines", &json!({"lines": found})).await;
    step("approve", &json!({})).await;

    // The count is right, so it changes nothing.
    let undone = reverse(&server, &corrected["id"], &server.manager, None, None).await;
    let undone = undone.expect(201).json();
    assert_eq!(undone["reversesId"], corrected["id"]);
    let lines = undone["lines"].as_array().unwrap();
    assert_eq!(lines.len(), 1_200, "each goes back, and is made up for");
    let ids: std::collections::HashSet<&str> =
        lines.iter().map(|line| line["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), lines.len());
    assert_eq!(on_hand(&server).await, 3_000);
}
