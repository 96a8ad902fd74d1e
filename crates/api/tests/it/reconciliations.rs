//! Reconciliations through the API: what is wrong with a view is found, named and put right.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::support::{Server, uuid};

const PATH: &str = "/api/v1/reconciliations";

/// Asks for a reconciliation and waits for its end.
async fn reconcile(server: &Server, body: Value) -> Value {
    let begun = server.post(PATH, &server.manager, &body).await.expect(202);
    let path = begun.header("location").to_owned();
    assert_eq!(path, format!("{PATH}/{}", begun.json()["id"]));
    over(server, &path).await
}

async fn over(server: &Server, path: &str) -> Value {
    loop {
        let run = server.get(path, &server.manager).await.expect(200).json();
        if !["WAITING", "RUNNING"].contains(&run["state"].as_str().unwrap()) {
            return run;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn tamper(folder: &tempfile::TempDir, view: &str, statement: &'static str) {
    let file = folder.path().join(format!("ledgers/default/views/{view}.1.db"));
    let mut connection = SqliteConnectOptions::new()
        .filename(file)
        .connect()
        .await
        .unwrap();
    let done = sqlx::query(statement).execute(&mut connection).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "{statement}");
    connection.close().await.unwrap();
}

#[tokio::test]
async fn exactly_what_was_changed_behind_the_views_is_found_and_a_rebuild_puts_it_right() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let server = Server::start_with(folder.clone(), |_| ()).await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    let received = server.receive(&w, &v, 5).await;
    let id = received["id"].as_str().unwrap();
    let run = reconcile(&server, json!({})).await;
    assert_eq!(
        (&run["state"], &run["differing"]),
        (&json!("AGREES"), &json!(0)),
        "{run}"
    );
    assert_eq!((&run["position"], &run["progress"]), (&json!(3), &Value::Null));
    let views: Vec<_> = run["views"]
        .as_array()
        .unwrap()
        .iter()
        .map(|view| &view["view"])
        .collect();
    assert_eq!(
        views,
        ["stock", "history", "catalogue", "reservations", "exceptions"]
    );

    tamper(&folder, "stock", "update stock set available = 9").await;
    tamper(&folder, "history", "delete from movements").await;
    tamper(&folder, "catalogue", "update variants set name = 'Another'").await;
    let run = reconcile(&server, json!({})).await;
    assert_eq!(
        (&run["state"], &run["differing"]),
        (&json!("DIFFERS"), &json!(3)),
        "{run}"
    );
    assert_eq!(run["views"][0]["repair"], "POST /api/v1/views/stock/rebuild");
    assert_eq!(run["views"][3]["repair"], Value::Null);
    let path = format!("{PATH}/{}/differences", run["id"]);
    let found = server.get(&path, &server.manager).await.expect(200).json();
    assert_eq!(found["page"]["totalElements"], 3);
    let stock = json!({
        "no": 1, "view": "stock", "table": "stock", "key": "warehouse 1, variant 1",
        "warehouseId": w, "warehouseCode": "A", "variantId": v, "variantSku": "S",
        "field": "available", "expected": "5", "found": "9",
        "firstEvent": {"position": 3, "id": id}, "repair": "POST /api/v1/views/stock/rebuild",
    });
    assert_eq!(found["content"][0], stock);
    let movement = &found["content"][1];
    assert_eq!(
        (&movement["table"], &movement["found"]),
        (&json!("movements"), &Value::Null)
    );
    assert_eq!(movement["firstEvent"]["position"], 3);
    let name = &found["content"][2];
    assert_eq!(
        (&name["view"], &name["field"], &name["found"]),
        (&json!("catalogue"), &json!("name"), &json!("\"Another\""))
    );

    // A page at a time, in order.
    let mut path = format!("{path}?size=2");
    let first = server.get(&path, &server.manager).await.expect(200).json();
    path += &format!("&cursor={}", first["nextCursor"].as_str().unwrap());
    let second = server.get(&path, &server.manager).await.expect(200).json();
    assert_eq!(
        (&second["content"][0]["no"], &second["nextCursor"]),
        (&json!(3), &Value::Null)
    );

    // In the past, too, nothing that was changed goes unnoticed; elsewhere all is well.
    let past = reconcile(
        &server,
        json!({"knownAt": "2025-06-02T00:00:00Z", "warehouseId": w, "variantId": v}),
    )
    .await;
    assert_eq!(
        (&past["state"], &past["warehouseId"]),
        (&json!("DIFFERS"), &json!(w))
    );
    let other = server.variant("T").await;
    let filtered = reconcile(&server, json!({"variantId": other})).await;
    assert_eq!(filtered["state"], "AGREES");

    for view in ["stock", "history", "catalogue"] {
        let path = format!("/api/v1/views/{view}/rebuild");
        server
            .call(Method::POST, &path, &server.admin, None)
            .await
            .expect(202);
    }
    while folder.path().join("ledgers/default/views/stock.1.db").exists()
        || folder.path().join("ledgers/default/views/history.1.db").exists()
        || folder
            .path()
            .join("ledgers/default/views/catalogue.1.db")
            .exists()
    {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let run = reconcile(&server, json!({})).await;
    assert_eq!(
        (&run["state"], &run["views"][0]["generation"]),
        (&json!("AGREES"), &json!(2)),
        "{run}"
    );

    let list = server
        .get(&format!("{PATH}?size=1"), &server.manager)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&list["content"][0]["id"], &list["page"]["totalElements"]),
        (&run["id"], &json!(5))
    );
}

#[tokio::test]
async fn the_audit_counts_what_was_changed_behind_a_view() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let every = |options: &mut bincard_api::Options| options.audit_every = Some(Duration::from_millis(1));
    let server = Server::start_with(folder.clone(), every).await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    server.receive(&w, &v, 5).await;
    server
        .fetch_now("/api/v1/stock", &server.viewer)
        .await
        .expect(200);
    let counted = async |view: &str| {
        let text = server.get("/metrics", &server.admin).await.expect(200).text();
        let line = format!("bincard_view_divergence_total{{tenant=\"default\",view=\"{view}\"}} ");
        let count = text
            .lines()
            .find_map(|one| one.strip_prefix(&line).map(str::to_owned));
        count.unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(counted("stock").await, 0);
    tamper(&folder, "stock", "update stock set held = 2").await;
    while counted("stock").await == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!((counted("stock").await, counted("history").await), (1, 0));
}

#[tokio::test]
async fn what_is_asked_for_must_make_sense() {
    let server = Server::start().await;
    for (body, pointer) in [
        (json!({"asOf": "yesterday"}), "/asOf"),
        (json!({"views": ["stock"]}), "/views"),
    ] {
        let refused = server.post(PATH, &server.manager, &body).await;
        let problem = refused.expect_problem(400, "invalid-payload", "invalid payload");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let nowhere = json!({"warehouseId": uuid::Uuid::new_v4()});
    server.post(PATH, &server.manager, &nowhere).await.expect(404);
    for path in ["/7", "/0", "/x", "/7/differences", "/99999999999999999999"] {
        let none = server.get(&format!("{PATH}{path}"), &server.manager).await;
        none.expect_problem(404, "reconciliation-not-found", "reconciliation-not-found");
    }
    let id = reconcile(&server, json!({})).await["id"].clone();
    let path = format!("{PATH}/{id}/cancel");
    let over = server
        .call(Method::POST, &path, &server.manager, None)
        .await
        .expect(202)
        .json();
    assert_eq!(over["state"], "AGREES");
    assert!(uuid(over["createdById"].as_str().unwrap()) != uuid::Uuid::nil());
}
