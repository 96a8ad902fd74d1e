//! Reconciliations through the API: what is wrong with a view is found, named and put right.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::support::{Server, uuid};

pub(crate) const PATH: &str = "/api/v1/reconciliations";

/// Asks for a reconciliation and waits for its end.
pub(crate) async fn reconcile(server: &Server, body: Value) -> Value {
    let begun = server.post(PATH, &server.manager, &body).await.expect(202);
    let path = begun.header("location").to_owned();
    assert_eq!(path, format!("{PATH}/{}", begun.json()["id"]));
    over(server, &path).await
}

pub(crate) async fn over(server: &Server, path: &str) -> Value {
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
        [
            "stock",
            "history",
            "catalogue",
            "reservations",
            "exceptions",
            "transfers",
            "counts"
        ]
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

/// The lines of a run's source, as they were explained.
pub(crate) async fn variances(server: &Server, run: &Value) -> Vec<Value> {
    let path = format!("{PATH}/{}/variances", run["id"]);
    let page = server.get(&path, &server.manager).await.expect(200).json();
    page["content"].as_array().unwrap().clone()
}

async fn apply(server: &Server, run: &Value) -> Value {
    let path = format!("{PATH}/{}/apply", run["id"]);
    let applied = server.call(Method::POST, &path, &server.manager, None).await;
    applied.expect(200).json()
}

#[tokio::test]
async fn a_count_is_explained_line_by_line_and_corrects_the_ledger_once() {
    let server = Server::start().await;
    let w = server.warehouse("A").await;
    let (s, t, u) = (
        server.variant("S").await,
        server.variant("T").await,
        server.variant("U").await,
    );
    for variant in [&s, &t, &u] {
        server.receive(&w, variant, 10).await;
    }
    // Four of S are for an order, and three of them off the shelf.
    let lines = json!([{"variantId": s, "quantity": 4}]);
    let order = json!({"orderId": "o", "warehouseId": w, "lines": lines});
    let order = server
        .post("/api/v1/reservations", &server.admin, &order)
        .await
        .expect(201)
        .json();
    let pick = format!("/api/v1/reservations/{}/pick", order["id"].as_str().unwrap());
    let picked = json!({"lines": [{"variantId": s, "quantity": 3}]});
    server.post(&pick, &server.admin, &picked).await.expect(201);
    server.clock.advance_ms(3_600_000);
    let counted_at = "2025-06-01T13:00:00Z";
    server.clock.advance_ms(3_600_000);
    // What moves after the count is no part of the variance.
    server.receive(&w, &s, 5).await;
    let source = json!({"source": {"name": "cycle count 12", "reportedAt": counted_at, "lines": [
        {"warehouseCode": "A", "sku": "S", "quantity": 5},
        {"warehouseId": w, "variantId": t, "quantity": 10},
        {"warehouseCode": "A", "sku": "NONE", "quantity": 3},
        {"warehouseCode": "A", "sku": "U", "quantity": 12},
        {"warehouseCode": "A", "variantId": u, "quantity": 1},
    ]}});
    let run = reconcile(&server, source.clone()).await;
    assert_eq!(
        (&run["state"], &run["differing"]),
        (&json!("DIFFERS"), &json!(4)),
        "{run}"
    );
    assert_eq!(
        run["source"],
        json!({"name": "cycle count 12", "reportedAt": counted_at, "measures": "onHand"})
    );
    let found = variances(&server, &run).await;
    assert_eq!(found.len(), 5);
    assert_eq!(
        (&found[0]["reported"], &found[0]["variance"]),
        (&json!(5), &json!(-5))
    );
    assert_eq!(
        found[0]["explained"],
        json!({
            "ledgerAtReport": 10, "ledgerNow": 15, "movedSince": 5, "reserved": 0, "picked": -3, "packed": 0, "held": 0,
            "inTransit": 0, "unexplained": -2, "lastAgreed": null,
        })
    );
    assert_eq!(
        (&found[1]["variance"], &found[1]["explained"]["unexplained"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(
        (&found[2]["problem"], &found[2]["named"]),
        (&json!("there is no such variant"), &json!("A / NONE"))
    );
    assert_eq!(found[3]["explained"]["unexplained"], 2);
    assert_eq!(
        found[4]["problem"],
        "line 4 is of the same variant at the same warehouse"
    );

    let applied = apply(&server, &run).await;
    assert_eq!(
        applied,
        json!({"corrected": 2, "correctedBefore": 0, "refused": []})
    );
    let again = apply(&server, &run).await;
    assert_eq!(
        again,
        json!({"corrected": 0, "correctedBefore": 2, "refused": []})
    );
    let other = server.key("default", bincard_access::Role::Admin, &[]).await;
    let path = format!("{PATH}/{}/apply", run["id"]);
    let by_another = server
        .call(Method::POST, &path, &other, None)
        .await
        .expect(200)
        .json();
    assert_eq!(by_another["correctedBefore"], 2);
    let stock = server
        .fetch_now("/api/v1/stock?sku=S", &server.viewer)
        .await
        .expect(200)
        .json();
    assert_eq!(stock["content"][0]["onHand"], 13);
    let events = server
        .fetch_now(&format!("/api/v1/stock-events?variantId={u}"), &server.admin)
        .await
        .expect(200)
        .json();
    let last = &events["content"][0];
    assert_eq!(
        (&last["type"], &last["reasonCode"], &last["occurredAt"]),
        (&json!("ADJUST"), &json!("COUNT_CORRECTION"), &json!(counted_at))
    );

    // Counted again, only what orders hold is left to explain, and T is known to have agreed.
    let run = reconcile(&server, source).await;
    let found = variances(&server, &run).await;
    assert_eq!(
        (&found[0]["variance"], &found[0]["explained"]["unexplained"]),
        (&json!(-3), &json!(0))
    );
    assert_eq!(
        found[1]["explained"]["lastAgreed"],
        json!({"reconciliation": 1, "at": counted_at})
    );
    assert_eq!(found[3]["variance"], 0);
    assert_eq!(
        apply(&server, &run).await,
        json!({"corrected": 0, "correctedBefore": 0, "refused": []})
    );
}

#[tokio::test]
async fn a_channels_report_is_explained_and_not_applied_and_a_refused_correction_is_told() {
    let server = Server::start().await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    server.receive(&w, &v, 10).await;
    let order = json!({"orderId": "o", "warehouseId": w, "lines": [{"variantId": v, "quantity": 4}]});
    server
        .post("/api/v1/reservations", &server.admin, &order)
        .await
        .expect(201);
    let source = |measures: &str, quantity: i64| {
        let lines = json!([{"warehouseId": w, "variantId": v, "quantity": quantity}]);
        json!({"source": {"name": "shop", "measures": measures, "lines": lines}})
    };
    let run = reconcile(&server, source("available", 11)).await;
    let found = variances(&server, &run).await;
    let explained = &found[0]["explained"];
    assert_eq!(
        (
            &found[0]["variance"],
            &explained["reserved"],
            &explained["unexplained"]
        ),
        (&json!(5), &json!(4), &json!(1))
    );
    let path = format!("{PATH}/{}/apply", run["id"]);
    let refused = server.call(Method::POST, &path, &server.manager, None).await;
    refused.expect_problem(409, "nothing-to-apply", "nothing-to-apply");
    // Four of the ten are reserved: nine cannot be taken away.
    let run = reconcile(&server, source("onHand", 1)).await;
    let applied = apply(&server, &run).await;
    assert_eq!(
        (&applied["corrected"], &applied["refused"][0]["type"]),
        (&json!(0), &json!("/problems/insufficient-stock"))
    );
    for (body, pointer) in [
        (
            json!({"source": {"name": "", "lines": [{"sku": "S", "warehouseCode": "A", "quantity": 1}]}}),
            "/source/name",
        ),
        (json!({"source": {"name": "x", "lines": []}}), "/source/lines"),
        (
            json!({"source": {"name": "x", "lines": [{"warehouseCode": "A", "quantity": 1}]}}),
            "/source/lines/0/variantId",
        ),
        (
            json!({"source": {"name": "x", "lines": [{"sku": "S", "warehouseCode": "A", "quantity": 1}]}, "asOf": "2025-06-01T00:00:00Z"}),
            "/asOf",
        ),
    ] {
        let problem = server.post(PATH, &server.manager, &body).await;
        let problem = problem.expect_problem(400, "invalid-payload", "invalid payload");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}

#[tokio::test]
async fn a_long_count_is_corrected_to_its_end_and_each_line_says_by_which_event() {
    let server = Server::start().await;
    server.warehouse("A").await;
    let variants: String = (0..501)
        .map(|n| format!("{{\"sku\":\"S-{n}\",\"name\":\"n\"}}\n"))
        .collect();
    server
        .bulk("/api/v1/variants/bulk", &server.admin, &variants)
        .await
        .expect(200);
    let lines: Vec<_> = (0..501)
        .map(|n| json!({"warehouseCode": "A", "sku": format!("S-{n}"), "quantity": 1}))
        .collect();
    let run = reconcile(&server, json!({"source": {"name": "all", "lines": lines}})).await;
    let path = format!("{PATH}/{}", run["id"]);
    let applied = server
        .call(Method::POST, &format!("{path}/apply"), &server.manager, None)
        .await
        .expect(200);
    assert_eq!(applied.json()["corrected"], 501);
    let head = server.get("/api/v1/ledger", &server.admin).await.expect(200);
    assert_eq!(applied.header("ledger-position"), head.header("ledger-position"));
    let last = server
        .get(&format!("{path}/variances?size=1&page=500"), &server.manager)
        .await
        .expect(200)
        .json();
    let last = &last["content"][0];
    assert_eq!((&last["no"], &last["named"]), (&json!(501), &json!("A / S-500")));
    let events = "/api/v1/stock-events?size=1&sort=createdAt,desc";
    let events = server.fetch_now(events, &server.admin).await.expect(200).json();
    assert_eq!(
        last["correction"]["event"]["id"], events["content"][0]["id"],
        "{last}"
    );
}

#[tokio::test]
async fn what_was_not_compared_to_its_end_is_not_applied() {
    let server = Server::start().await;
    server.warehouse("A").await;
    server.variant("S").await;
    let lines = json!([{"warehouseCode": "A", "sku": "S", "quantity": 1}]);
    let source = json!({"source": {"name": "one", "lines": lines}});
    // Some run is cancelled before its turn has come.
    let cancelled = loop {
        for _ in 0..8 {
            server.post(PATH, &server.manager, &json!({})).await.expect(202);
        }
        let begun = server.post(PATH, &server.manager, &source).await.expect(202);
        let path = begun.header("location").to_owned();
        let cancel = format!("{path}/cancel");
        server
            .call(Method::POST, &cancel, &server.manager, None)
            .await
            .expect(202);
        let run = over(&server, &path).await;
        if run["state"] == "CANCELLED" {
            break path;
        }
    };
    let apply = format!("{cancelled}/apply");
    let refused = server.call(Method::POST, &apply, &server.manager, None).await;
    refused.expect(409);
    let second = server
        .get(&format!("{PATH}?size=1&page=1"), &server.manager)
        .await
        .expect(200)
        .json();
    let first = cancelled.rsplit('/').next().unwrap().parse::<u64>().unwrap();
    assert_eq!(second["content"][0]["id"], first - 1, "{second}");
}
