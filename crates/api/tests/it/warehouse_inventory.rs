//! The inventory, the order of picking and reconciliation.

use std::sync::Arc;

use axum::http::Method;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::support::{Answer, Server};
use crate::warehouse::{INVENTORY, Store, expect_error};

fn items(answer: &Answer) -> Vec<String> {
    let list = answer.json();
    let of =
        |item: &Value| format!("{} {} {}", item["location"], item["sku"], item["pickOrder"]).replace('"', "");
    list["items"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn the_documented_inventory_is_answered_as_documented() {
    let store = Store::open().await;
    let server = &store.server;
    // 5 available, 10 reserved, 2 picked, 1 packed.
    store
        .adjust(json!({"quantity": -82, "reason": "COUNT_ADJUSTMENT"}))
        .await
        .expect(200);
    for (kind, quantity) in [("RESERVATION", 13), ("PICK", 3), ("PACK", 1)] {
        let body = json!({"skuId": store.wine, "type": kind, "quantity": quantity, "reason": "by hand", "orderId": "o"});
        store.transact(body).await.expect(200);
    }
    let slot = format!("/api/v1/slots/{}/{}", store.warehouse, store.wine);
    let body = json!({"bin": "A-12-3", "reorderPoint": 20});
    server.patch(&slot, &server.manager, &body).await.expect(200);
    for number in 1..15 {
        let variant = server.variant(&format!("LOW-{number}")).await;
        let slot = format!("/api/v1/slots/{}/{variant}", store.warehouse);
        let body = json!({"bin": format!("B-{number}"), "reorderPoint": 0});
        server.patch(&slot, &server.manager, &body).await.expect(200);
    }
    let enough = server.variant("ENOUGH").await;
    server.receive(&store.warehouse, &enough, 21).await;
    let slot = format!("/api/v1/slots/{}/{enough}", store.warehouse);
    server
        .patch(&slot, &server.manager, &json!({"reorderPoint": 20}))
        .await
        .expect(200);

    let answer = server
        .fetch_now(&format!("{INVENTORY}?lowStock=true&limit=20"), &server.viewer)
        .await
        .expect(200);
    assert!(answer.header("ledger-position").parse::<u64>().unwrap() > 0);
    let list = answer.json();
    assert_eq!(
        list["items"][0],
        json!({
            "id": store.wine,
            "sku": "WINE-CAB-001",
            "productName": "Cabernet Sauvignon 2020",
            "location": "Warehouse A",
            "quantityAvailable": 5,
            "quantityReserved": 10,
            "quantityPicked": 2,
            "quantityPacked": 1,
            "reorderPoint": 20,
            "isLowStock": true,
            "pickOrder": 1,
            "bin": "A-12-3"
        })
    );
    assert_eq!(
        list["pagination"],
        json!({"total": 15, "limit": 20, "offset": 0, "hasMore": false})
    );
    assert_eq!(list["items"].as_array().unwrap().len(), 15);
    let keys: Vec<_> = list.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["items", "pagination"]);
    let all = server.get(INVENTORY, &server.viewer).await.expect(200).json();
    assert_eq!(
        all["pagination"],
        json!({"total": 16, "limit": 50, "offset": 0, "hasMore": false})
    );
    let last = &all["items"][15];
    assert_eq!(
        (&last["sku"], &last["isLowStock"], &last["bin"]),
        (&json!("ENOUGH"), &json!(false), &Value::Null)
    );
}

#[tokio::test]
async fn the_inventory_is_filtered_and_paged_in_the_order_of_picking() {
    let store = Store::open().await;
    let server = &store.server;
    let elsewhere = server.warehouse("WH-B").await;
    for (sku, bin) in [("TWO", "A-2"), ("TEN", "A-10"), ("NONE", "")] {
        let variant = server.variant(sku).await;
        server.receive(&store.warehouse, &variant, 5).await;
        if !bin.is_empty() {
            let slot = format!("/api/v1/slots/{}/{variant}", store.warehouse);
            server
                .patch(&slot, &server.admin, &json!({"bin": bin}))
                .await
                .expect(200);
        }
    }
    server.receive(&elsewhere, &store.wine, 5).await;
    let list = async |query: &str| {
        server
            .fetch_now(&format!("{INVENTORY}{query}"), &server.viewer)
            .await
    };
    let here = [
        "Warehouse A TWO 1",
        "Warehouse A TEN 2",
        "Warehouse A WINE-CAB-001 3",
        "Warehouse A NONE 4",
    ];
    let there = "Warehouse WH-B WINE-CAB-001 1";
    assert_eq!(items(&list("").await), [&here[..], &[there]].concat());
    for location in [store.warehouse.as_str(), "WH-A", "Warehouse%20A"] {
        assert_eq!(
            items(&list(&format!("?location={location}")).await),
            here,
            "{location}"
        );
    }
    assert_eq!(items(&list("?search=cabernet").await), [here[2], there]);
    assert_eq!(items(&list("?search=variant%20t").await), [here[0], here[1]]);
    assert_eq!(items(&list("?search=tE").await), [here[1]]);
    assert!(items(&list("?search=%25").await).is_empty());
    let page = list("?limit=2&offset=1").await;
    assert_eq!(items(&page), here[1..3]);
    assert_eq!(
        page.json()["pagination"],
        json!({"total": 5, "limit": 2, "offset": 1, "hasMore": true})
    );
    assert_eq!(
        list("?limit=2&offset=3").await.json()["pagination"]["hasMore"],
        false
    );
    let beyond = list("?offset=99").await;
    assert!(items(&beyond).is_empty());
    assert_eq!(beyond.json()["pagination"]["total"], 5);

    let wrong = list("?limit=0&offset=-1&lowStock=yes&colour=red").await;
    let details = json!({
        "limit": "must be 1 to 500", "offset": "must be a whole number, 0 to 18446744073709551615",
        "lowStock": "must be true or false", "colour": "there is no such parameter; there are location, lowStock, search, limit, offset",
    });
    expect_error(wrong, 400, "INVALID_REQUEST", details);
    let nowhere = list("?location=Nowhere").await;
    expect_error(
        nowhere,
        404,
        "NOT_FOUND",
        json!({"location": "There is no such location"}),
    );
    let twin = json!({"code": "WH-C", "name": "Warehouse A"});
    server
        .post("/api/v1/warehouses", &server.admin, &twin)
        .await
        .expect(201);
    let unclear = list("?location=Warehouse%20A").await;
    let details = json!({"location": "Several warehouses have this name: name one of WH-A, WH-C"});
    expect_error(unclear, 422, "VALIDATION_ERROR", details);
}

#[tokio::test]
async fn a_pick_order_is_given_and_taken_back() {
    let store = Store::open().await;
    let server = &store.server;
    for sku in ["B", "C"] {
        let variant = server.variant(sku).await;
        server.receive(&store.warehouse, &variant, 1).await;
    }
    server.clock.advance_ms(5_400_000);
    let path = store.path("pick-order");
    let body = json!({"pickOrder": 5, "reason": "Moved to new bin"});
    let answer = server.patch(&path, &server.manager, &body).await.expect(200);
    assert_eq!(
        answer.json(),
        json!({
            "success": true,
            "skuId": store.wine,
            "oldPickOrder": 1,
            "newPickOrder": 5,
            "updatedAt": "2025-10-25T10:30:00Z"
        })
    );
    let list = server.fetch_now(INVENTORY, &server.viewer).await;
    assert_eq!(
        items(&list),
        ["Warehouse A B 1", "Warehouse A C 2", "Warehouse A WINE-CAB-001 5"]
    );
    let slot = format!("/api/v1/slots/{}/{}", store.warehouse, store.wine);
    let slot = server.get(&slot, &server.viewer).await.json();
    assert_eq!(
        (&slot["pickOrder"], &slot["pickOrderReason"]),
        (&json!(5), &json!("Moved to new bin"))
    );
    let position = answer.header("ledger-position").parse::<u64>().unwrap();
    let feed = format!("/api/v1/ledger/events?after={}", position - 1);
    let told = server.get(&feed, &server.viewer).await.lines();
    assert_eq!(
        (&told[0]["type"], &told[0]["pickOrderReason"]),
        (&json!("SLOT_CHANGED"), &json!("Moved to new bin"))
    );

    // What another one was given is left out by those that are counted.
    let by_sku = format!("{INVENTORY}/B/pick-order");
    let body = json!({"pickOrder": 2});
    let moved = server
        .patch(&by_sku, &server.manager, &body)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&moved["oldPickOrder"], &moved["newPickOrder"]),
        (&json!(1), &json!(2))
    );
    let list = server.fetch_now(INVENTORY, &server.viewer).await;
    assert_eq!(
        items(&list),
        ["Warehouse A C 1", "Warehouse A B 2", "Warehouse A WINE-CAB-001 5"]
    );
    let back = server
        .patch(&path, &server.manager, &json!({"pickOrder": null}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&back["oldPickOrder"], &back["newPickOrder"]),
        (&json!(5), &json!(1))
    );

    let patch = async |body: Value| server.patch(&path, &server.manager, &body).await;
    expect_error(
        patch(json!({})).await,
        422,
        "VALIDATION_ERROR",
        json!({"pickOrder": "Required field"}),
    );
    let details = json!({"pickOrder": "pickOrder is a whole number of 1 to 1000000000"});
    expect_error(
        patch(json!({"pickOrder": 0})).await,
        422,
        "VALIDATION_ERROR",
        details,
    );
    let details = json!({"pickOrder": "must be a whole number", "bin": "there is no such field"});
    expect_error(
        patch(json!({"pickOrder": "5", "bin": "A"})).await,
        400,
        "INVALID_REQUEST",
        details,
    );
}

#[tokio::test]
async fn the_documented_reconciliation_is_answered_as_documented() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let store = Store::stock(Server::start_with(folder.clone(), |_| ()).await).await;
    store
        .adjust(json!({"quantity": -3, "reason": "DAMAGE"}))
        .await
        .expect(200);
    let path = store.path("reconcile");
    let reconcile = async |server: &Server| server.post(&path, &server.manager, &json!({})).await.expect(200);
    let answer = reconcile(&store.server).await;
    assert!(answer.header("ledger-position").parse::<u64>().unwrap() > 0);
    let well = json!({
        "success": true,
        "skuId": store.wine,
        "reconciliation": {"previousAvailable": 97, "calculatedAvailable": 97, "difference": 0, "adjusted": false},
        "transactionsReviewed": 2
    });
    assert_eq!(answer.json(), well);
    // No body at all asks for the same.
    let bare = store
        .server
        .call(Method::POST, &path, &store.server.manager, None)
        .await;
    assert_eq!(bare.expect(200).json(), well);

    store.server.app.close().await;
    let file = folder.path().join("ledgers/default/views/stock.1.db");
    let mut view = SqliteConnectOptions::new()
        .filename(file)
        .connect()
        .await
        .unwrap();
    sqlx::query("update stock set available = 95")
        .execute(&mut view)
        .await
        .unwrap();
    view.close().await.unwrap();
    let server = Server::start_with(folder, |_| ()).await;
    let inventory = async || {
        server.fetch_now(INVENTORY, &server.viewer).await.json()["items"][0]["quantityAvailable"].clone()
    };
    assert_eq!(inventory().await, 95, "the view is wrong");
    assert_eq!(
        reconcile(&server).await.json(),
        json!({
            "success": true,
            "skuId": store.wine,
            "reconciliation": {"previousAvailable": 95, "calculatedAvailable": 97, "difference": 2, "adjusted": true},
            "transactionsReviewed": 2
        })
    );
    assert_eq!(inventory().await, 97);
    assert_eq!(reconcile(&server).await.json(), well);
}
