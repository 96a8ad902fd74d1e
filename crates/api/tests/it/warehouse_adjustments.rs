//! Adjustments, and which warehouse is meant where none is named.

use std::sync::Arc;

use axum::http::Method;
use bincard_access::Role;
use serde_json::json;

use crate::support::{Server, uuid};
use crate::warehouse::{INVENTORY, Store, expect_error};

#[tokio::test]
async fn the_documented_adjustment_is_answered_as_documented() {
    let store = Store::open().await;
    let server = &store.server;
    let picker = server.user("default", "picker", Role::Seller).await;
    server.clock.advance_ms(5_400_000);
    let body = json!({"quantity": -3, "reason": "DAMAGE", "notes": "Broken bottles during picking", "userId": picker});
    let key = [("idempotency-key", "adjust-1")];
    let path = store.path("adjust");
    let answer = server
        .call_with(Method::POST, &path, &server.admin, Some(&body), &key)
        .await
        .expect(200);
    let id = answer.json()["transaction"]["id"].clone();
    let expected = json!({
        "success": true,
        "skuId": store.wine,
        "previousQuantity": 100,
        "newQuantity": 97,
        "adjustment": -3,
        "transaction": {"id": id, "type": "ADJUSTMENT", "createdAt": "2025-10-25T10:30:00Z"}
    });
    assert_eq!(answer.json(), expected);
    let native = format!("/api/v1/stock-events/{}", id.as_str().unwrap());
    let event = server.get(&native, &server.viewer).await.expect(200).json();
    assert_eq!(
        (&event["type"], &event["reasonCode"]),
        (&json!("ADJUST"), &json!("DAMAGE"))
    );
    assert_eq!(event["notes"], "Broken bottles during picking");
    assert_eq!(event["createdById"], picker.to_string());

    // Sent again, much later, it is the same answer.
    store
        .adjust(json!({"quantity": 10, "reason": "RETURN"}))
        .await
        .expect(200);
    server.clock.advance_ms(60_000);
    let again = server
        .call_with(Method::POST, &path, &server.admin, Some(&body), &key)
        .await
        .expect(200);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json(), expected);
    assert_eq!(store.available(&store.warehouse).await, 107);
    let other = json!({"quantity": -4, "reason": "DAMAGE"});
    let reused = server
        .call_with(Method::POST, &path, &server.admin, Some(&other), &key)
        .await;
    expect_error(reused, 409, "CONFLICT", json!({"transactionId": id}));
}

#[tokio::test]
async fn what_is_recorded_is_answered_even_while_the_history_is_missing() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let store = Store::stock(Server::start_with(folder.clone(), |_| ()).await).await;
    store.server.app.close().await;
    // A folder where the view's file should be: it can neither be opened nor be built anew.
    let views = folder.path().join("ledgers/default/views");
    for file in std::fs::read_dir(&views).unwrap() {
        let file = file.unwrap().path();
        if file.file_name().unwrap().to_str().unwrap().starts_with("history") {
            std::fs::remove_file(file).unwrap();
        }
    }
    for generation in 1..10 {
        std::fs::create_dir_all(views.join(format!("history.{generation}.db/in-the-way"))).unwrap();
    }
    let server = Server::start_with(folder, |options| {
        options.read_wait_max = std::time::Duration::from_millis(50);
    })
    .await;
    let body = json!({"quantity": -3, "reason": "DAMAGE"});
    let key = [("idempotency-key", "once")];
    let path = store.path("adjust");
    let answer = server
        .call_with(Method::POST, &path, &server.manager, Some(&body), &key)
        .await
        .expect(200);
    let told = answer.json();
    assert_eq!(
        (&told["previousQuantity"], &told["newQuantity"]),
        (&json!(100), &json!(97))
    );
    let again = server
        .call_with(Method::POST, &path, &server.manager, Some(&body), &key)
        .await
        .expect(200);
    assert_eq!(again.json(), told);
    let list = server
        .fetch_now(&store.path("transactions"), &server.viewer)
        .await;
    expect_error(list, 503, "SERVICE_UNAVAILABLE", json!({}));
}

#[tokio::test]
async fn a_seller_is_not_told_what_was_recorded_elsewhere_under_its_key() {
    let store = Store::open().await;
    let server = &store.server;
    let other = server.warehouse("WH-B").await;
    let seller = server.key("default", Role::Seller, &[uuid(&other)]).await;
    let body = json!({"quantity": 1, "reason": "RETURN"});
    let key = [("idempotency-key", "theirs")];
    let path = store.path("adjust");
    server
        .call_with(Method::POST, &path, &server.admin, Some(&body), &key)
        .await
        .expect(200);
    server.receive(&other, &store.wine, 5).await;
    let told = server
        .call_with(Method::POST, &path, &seller, Some(&body), &key)
        .await;
    expect_error(told, 403, "FORBIDDEN", json!({"reason": "warehouse"}));
}

#[tokio::test]
async fn a_reason_is_recorded_and_answered_as_it_was_sent() {
    let store = Store::open().await;
    for (reason, native, quantity) in [
        ("DAMAGE", "DAMAGE", -1),
        ("THEFT", "THEFT", -1),
        ("COUNT_ADJUSTMENT", "COUNT_CORRECTION", 1),
        ("RETURN", "RETURN", 1),
    ] {
        let answer = store
            .adjust(json!({"quantity": quantity, "reason": reason}))
            .await
            .expect(200)
            .json();
        let id = answer["transaction"]["id"].as_str().unwrap();
        let event = store
            .server
            .get(&format!("/api/v1/stock-events/{id}"), &store.server.viewer)
            .await
            .json();
        assert_eq!(event["reasonCode"], native);
        let list = store
            .server
            .fetch_now(&store.path("transactions"), &store.server.viewer)
            .await
            .json();
        let last = list["transactions"].as_array().unwrap().last().unwrap();
        assert_eq!(
            (&last["id"], &last["reason"], &last["quantity"]),
            (&json!(id), &json!(reason), &json!(quantity))
        );
    }
    let wrong = store.adjust(json!({"quantity": 1, "reason": "THEFT"})).await;
    expect_error(
        wrong,
        422,
        "VALIDATION_ERROR",
        json!({"reason": "reason THEFT goes with an ADJUST that only takes away: the quantities of all its lines are negative"}),
    );
}

#[tokio::test]
async fn what_is_wrong_with_an_adjustment_is_told_by_field() {
    let store = Store::open().await;
    let server = &store.server;
    for (body, status, code, details) in [
        (
            json!({}),
            422,
            "VALIDATION_ERROR",
            json!({"quantity": "Required field", "reason": "Required field"}),
        ),
        (
            json!({"quantity": -1, "reason": "GONE"}),
            422,
            "VALIDATION_ERROR",
            json!({"reason": "Must be DAMAGE, THEFT, COUNT_ADJUSTMENT or RETURN"}),
        ),
        (
            json!({"quantity": 0, "reason": "RETURN"}),
            422,
            "VALIDATION_ERROR",
            json!({"quantity": "a quantity is 1 to 1,000,000,000 (of an ADJUST either sign, never 0), not 0"}),
        ),
        (
            json!({"quantity": 1, "reason": "RETURN", "notes": "x".repeat(501)}),
            422,
            "VALIDATION_ERROR",
            json!({"notes": "notes are at most 500 characters long"}),
        ),
        (
            json!({"quantity": "1", "reason": 7, "colour": 1}),
            400,
            "INVALID_REQUEST",
            json!({"quantity": "must be a whole number", "reason": "must be a string", "colour": "there is no such field"}),
        ),
        (
            json!({"quantity": 1.5, "reason": "RETURN"}),
            400,
            "INVALID_REQUEST",
            json!({"quantity": "must be a whole number"}),
        ),
        (
            json!([]),
            400,
            "INVALID_REQUEST",
            json!({"body": "must be an object"}),
        ),
        (
            json!({"quantity": 1, "reason": "RETURN", "location": "nowhere"}),
            404,
            "NOT_FOUND",
            json!({"location": "There is no such location"}),
        ),
        (
            json!({"quantity": -101, "reason": "DAMAGE"}),
            409,
            "CONFLICT",
            json!({"shortages": [
                {"variantId": store.wine, "variantSku": "WINE-CAB-001", "requested": 101, "available": 100}
            ]}),
        ),
    ] {
        let answer = store.adjust(body.clone()).await;
        let error = expect_error(answer, status, code, details);
        if status == 422 {
            assert_eq!(error["error"]["message"], "Request validation failed", "{body}");
        }
    }
    let path = format!("{INVENTORY}/NO-SUCH/adjust");
    let body = json!({"quantity": 1, "reason": "RETURN"});
    let missing = server.post(&path, &server.admin, &body).await;
    expect_error(
        missing,
        404,
        "NOT_FOUND",
        json!({"skuId": "There is no such SKU"}),
    );
    let forbidden = json!({"quantity": 1, "reason": "RETURN", "userId": uuid::Uuid::nil()});
    expect_error(
        store.adjust(forbidden.clone()).await,
        403,
        "FORBIDDEN",
        json!({"reason": "on-behalf"}),
    );
    let path = store.path("adjust");
    let nobody = server.post(&path, &server.admin, &forbidden).await;
    expect_error(
        nobody,
        422,
        "VALIDATION_ERROR",
        json!({"userId": "there is no such user"}),
    );
    let nobody = json!({"quantity": 1, "reason": "RETURN", "userId": "user_123"});
    let nobody = server.post(&path, &server.admin, &nobody).await;
    expect_error(
        nobody,
        422,
        "VALIDATION_ERROR",
        json!({"userId": "There is no such user"}),
    );
    // What is out of use takes no adjustments: not valid here, where the native routes call it a bad request.
    let variant = format!("/api/v1/variants/{}", store.wine);
    server
        .patch(&variant, &server.admin, &json!({"active": false}))
        .await
        .expect(200);
    let inactive = store.adjust(body).await;
    expect_error(
        inactive,
        422,
        "VALIDATION_ERROR",
        json!({"skuId": "the variant is not active"}),
    );
    assert_eq!(
        store.available(&store.warehouse).await,
        100,
        "nothing was recorded"
    );
}

#[tokio::test]
async fn without_a_location_the_one_is_meant_where_the_sku_is_stocked() {
    let store = Store::open().await;
    let server = &store.server;
    let other = server.warehouse("WH-B").await;
    let new = server.variant("NEW").await;
    let body = json!({"quantity": 1, "reason": "RETURN"});
    let nowhere = server
        .post(&format!("{INVENTORY}/{new}/adjust"), &server.admin, &body)
        .await;
    let details =
        json!({"location": "The SKU is stocked nowhere yet: name a warehouse by its id, code or name"});
    expect_error(nowhere, 422, "VALIDATION_ERROR", details);

    let path = store.path("adjust");
    let all = json!({"quantity": -100, "reason": "DAMAGE"});
    let key = [("idempotency-key", "all-of-them")];
    let first = server
        .call_with(Method::POST, &path, &server.admin, Some(&all), &key)
        .await
        .expect(200);
    store.adjust(body.clone()).await.expect(200);
    assert_eq!(store.available(&store.warehouse).await, 1, "it is where it was");
    for location in ["WH-B", "Warehouse WH-B", other.as_str()] {
        let mut named = body.clone();
        named["location"] = json!(location);
        store.adjust(named).await.expect(200);
    }
    assert_eq!(store.available(&other).await, 3);
    let unclear = store.adjust(body.clone()).await;
    let details = json!({"location": "The SKU is stocked at several warehouses: name one of WH-A, WH-B"});
    expect_error(unclear, 422, "VALIDATION_ERROR", details.clone());
    // With a key that was not used it is as unclear, and with one that was, what it was used for is answered again.
    let fresh = [("idempotency-key", "fresh")];
    let unclear = server
        .call_with(Method::POST, &path, &server.admin, Some(&body), &fresh)
        .await;
    expect_error(unclear, 422, "VALIDATION_ERROR", details);
    let again = server
        .call_with(Method::POST, &path, &server.admin, Some(&all), &key)
        .await
        .expect(200);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json(), first.json());

    // A SELLER is meant its own ones only.
    let seller = server.key("default", Role::Seller, &[uuid(&other)]).await;
    server.post(&path, &seller, &body).await.expect(200);
    assert_eq!(store.available(&other).await, 4);
    let mut elsewhere = body;
    elsewhere["location"] = json!("WH-A");
    expect_error(
        server.post(&path, &seller, &elsewhere).await,
        403,
        "FORBIDDEN",
        json!({"reason": "warehouse"}),
    );
    let list = server.get(INVENTORY, &seller).await;
    expect_error(list, 403, "FORBIDDEN", json!({"reason": "warehouse-required"}));
}

#[tokio::test]
async fn where_a_sku_lies_counts_before_where_it_ever_lay_and_many_choices_are_not_all_named() {
    let store = Store::open().await;
    let server = &store.server;
    let other = server.warehouse("WH-B").await;
    server.receive(&other, &store.wine, 1).await;
    let mut gone = json!({"quantity": -1, "reason": "DAMAGE", "location": "WH-B"});
    store.adjust(gone.clone()).await.expect(200);
    gone.as_object_mut().unwrap().remove("location");
    store.adjust(gone.clone()).await.expect(200);
    assert_eq!(store.available(&store.warehouse).await, 99);
    for n in 10..31 {
        let warehouse = server.warehouse(&format!("WH-{n}")).await;
        server.receive(&warehouse, &store.wine, 1).await;
    }
    let unclear = store.adjust(gone).await.expect(422).json();
    let choices = unclear["error"]["details"]["location"].as_str().unwrap();
    assert!(choices.ends_with("WH-28, WH-A, …"), "{choices}");
}

#[tokio::test]
async fn a_location_is_no_way_to_look_at_another_warehouse_and_may_be_any_text() {
    let store = Store::open().await;
    let server = &store.server;
    let other = server.warehouse("WH-B").await;
    let seller = server.key("default", Role::Seller, &[uuid(&other)]).await;
    for name in ["WH-A", "Warehouse%20A", &*store.warehouse] {
        let path = format!("{INVENTORY}?location={name}");
        let refused = server.get(&path, &seller).await;
        expect_error(refused, 403, "FORBIDDEN", json!({"reason": "warehouse"}));
    }
    let long = json!({"quantity": 1, "reason": "RETURN", "location": "x".repeat(60_000)});
    store.adjust(long).await.expect(404);
}
