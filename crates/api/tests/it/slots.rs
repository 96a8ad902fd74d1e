//! Slots as their callers see them.

use serde_json::{Value, json};

use crate::support::Server;

async fn patch(server: &Server, path: &str, body: Value) -> Value {
    server
        .patch(path, &server.manager, &body)
        .await
        .expect(200)
        .json()
}

#[tokio::test]
async fn a_slot_says_what_was_said_of_it_and_takes_it_back() {
    let server = Server::start().await;
    let (warehouse, variant) = (server.warehouse("WH-1").await, server.variant("A").await);
    let path = format!("/api/v1/slots/{warehouse}/{variant}");
    let empty = json!({
        "warehouseId": warehouse, "warehouseCode": "WH-1", "variantId": variant, "variantSku": "A",
        "bin": null, "reorderPoint": null, "maxLevel": null,
        "pickOrder": null, "pickOrderReason": null, "updatedAt": null,
    });
    let found = server.fetch_now(&path, &server.viewer).await.expect(200);
    assert_eq!(found.json(), empty, "nothing was said of it yet");
    assert_eq!(patch(&server, &path, json!({})).await, empty, "and nothing is");

    let full = json!({"bin": "A-12-3", "reorderPoint": 20, "maxLevel": 20});
    let answer = server.patch(&path, &server.manager, &full).await.expect(200);
    assert_eq!(answer.header("ledger-position"), "3");
    let mut expected = empty.clone();
    expected["bin"] = json!("A-12-3");
    expected["reorderPoint"] = json!(20);
    expected["maxLevel"] = json!(20);
    expected["updatedAt"] = json!("2025-06-01T12:00:00Z");
    assert_eq!(answer.json(), expected);
    server.clock.advance_ms(1_000);
    expected["updatedAt"] = json!("2025-06-01T12:00:01Z");
    expected["maxLevel"] = Value::Null;
    assert_eq!(patch(&server, &path, json!({"maxLevel": null})).await, expected);
    assert_eq!(server.get(&path, &server.viewer).await.json(), expected);
    expected["bin"] = Value::Null;
    expected["reorderPoint"] = json!(0);
    assert_eq!(
        patch(&server, &path, json!({"bin": null, "reorderPoint": 0})).await,
        expected
    );

    let feed = server
        .get("/api/v1/ledger/events?after=2", &server.viewer)
        .await
        .expect(200);
    let told = feed.lines();
    assert_eq!(told[0]["type"], "SLOT_CHANGED");
    assert_eq!(told[0]["stream"], "catalogue");
    assert_eq!(
        (&told[0]["warehouseId"], &told[0]["variantId"]),
        (&json!(warehouse), &json!(variant))
    );
    assert_eq!(
        (&told[0]["bin"], &told[0]["reorderPoint"], &told[0]["maxLevel"]),
        (&json!("A-12-3"), &json!(20), &json!(20))
    );
    assert_eq!(told[1]["maxLevel"], Value::Null);
    assert!(told[1].get("bin").is_none(), "what stays is not told");
}

#[tokio::test]
async fn what_is_wrong_with_a_slot_is_named() {
    let server = Server::start().await;
    let (warehouse, variant) = (server.warehouse("WH-1").await, server.variant("A").await);
    let path = format!("/api/v1/slots/{warehouse}/{variant}");
    for (body, code, pointer) in [
        (
            json!({"reorderPoint": -1}),
            "number-out-of-range",
            "/reorderPoint",
        ),
        (
            json!({"maxLevel": 1_000_000_001}),
            "number-out-of-range",
            "/maxLevel",
        ),
        (
            json!({"reorderPoint": 9, "maxLevel": 8}),
            "number-out-of-range",
            "/reorderPoint",
        ),
        (json!({"bin": " A"}), "invalid-text", "/bin"),
        (json!({"bin": ""}), "invalid-text", "/bin"),
        (json!({"bin": "A".repeat(65)}), "invalid-text", "/bin"),
        (json!({"bin": 7}), "invalid-payload", "/bin"),
        (json!({"reorderPoint": 1.5}), "invalid-payload", "/reorderPoint"),
        (json!({"shelf": "A"}), "invalid-payload", "/shelf"),
    ] {
        let refused = server.patch(&path, &server.admin, &body).await;
        let problem = refused.expect_problem(400, code, "invalid payload");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
    let crossed = json!({"reorderPoint": 9, "maxLevel": 8});
    let refused = server.patch(&path, &server.admin, &crossed).await.json();
    assert_eq!(refused["errors"][1]["pointer"], "/maxLevel", "{refused}");
    let nowhere = format!("/api/v1/slots/{variant}/{variant}");
    let missing = server.get(&nowhere, &server.admin).await;
    missing.expect_problem(404, "warehouse-not-found", "stock-warehouse-not-found");
    let nothing = format!("/api/v1/slots/{warehouse}/{warehouse}");
    let missing = server.patch(&nothing, &server.admin, &json!({"bin": "A"})).await;
    missing.expect_problem(404, "variant-not-found", "stock-variant-not-found");
    let unnamed = server.get("/api/v1/slots/%FF/%FF", &server.admin).await;
    unnamed.expect_problem(404, "warehouse-not-found", "stock-warehouse-not-found");
}

#[tokio::test]
async fn slots_are_listed_once_something_lay_there_or_was_said_of_them() {
    let server = Server::start().await;
    let (one, two) = (server.warehouse("W1").await, server.warehouse("W2").await);
    let (a, b) = (server.variant("A").await, server.variant("B").await);
    server.receive(&one, &a, 5).await;
    server.receive(&one, &a, 5).await;
    server.receive(&two, &b, 5).await;
    patch(
        &server,
        &format!("/api/v1/slots/{two}/{a}"),
        json!({"bin": "Z-1"}),
    )
    .await;
    patch(
        &server,
        &format!("/api/v1/slots/{one}/{a}"),
        json!({"bin": "A-1"}),
    )
    .await;
    let list = async |query: &str| {
        let page = server
            .fetch_now(&format!("/api/v1/slots{query}"), &server.viewer)
            .await
            .expect(200);
        let page = page.json();
        let rows: Vec<String> = page["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let text = |field: &str| row[field].as_str().unwrap_or("-").to_owned();
                format!("{} {} {}", text("warehouseCode"), text("variantSku"), text("bin"))
            })
            .collect();
        (rows, page)
    };
    let (all, page) = list("").await;
    assert_eq!(all, ["W1 A A-1", "W2 A Z-1", "W2 B -"]);
    assert_eq!(
        page["page"],
        json!({"number": 0, "size": 20, "totalElements": 3, "totalPages": 1})
    );
    assert_eq!(
        list(&format!("?warehouseId={two}")).await.0,
        ["W2 A Z-1", "W2 B -"]
    );
    assert_eq!(list(&format!("?variantId={a}")).await.0, ["W1 A A-1", "W2 A Z-1"]);
    let (first, page) = list("?size=2").await;
    assert_eq!(first, ["W1 A A-1", "W2 A Z-1"]);
    let cursor = page["nextCursor"].as_str().unwrap();
    let (rest, page) = list(&format!("?size=2&cursor={cursor}")).await;
    assert_eq!(rest, ["W2 B -"]);
    assert_eq!(
        (&page["page"]["number"], &page["nextCursor"]),
        (&json!(1), &Value::Null)
    );
    assert_eq!(list("?size=2&page=1").await.0, ["W2 B -"]);
}
