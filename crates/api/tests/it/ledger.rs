//! The ledger itself, its feed and views; stock now and in the past; health, documentation.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{Server, event};

#[tokio::test]
async fn the_ledger_says_how_it_stands() {
    let server = Server::start().await;
    let empty = server
        .get("/api/v1/ledger", &server.viewer)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&empty["head"]["position"], &empty["head"]["recordedAt"]),
        (&json!(0), &Value::Null)
    );
    server.warehouse("A").await;
    let one = server
        .get("/api/v1/ledger", &server.viewer)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&one["head"]["position"], &one["head"]["recordedAt"]),
        (&json!(1), &json!("2025-06-01T12:00:00Z"))
    );
    assert_ne!(one["head"]["hash"], empty["head"]["hash"]);
    let names: Vec<&str> = one["views"]
        .as_array()
        .unwrap()
        .iter()
        .map(|view| view["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
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
}

#[tokio::test]
async fn the_feed_has_every_event_from_where_it_is_asked() {
    let server = Server::start().await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    let mut body = event("OUTBOUND", &w, &v, 2);
    body["notes"] = json!("two \"of\" five\n");
    server.receive(&w, &v, 5).await;
    let sent = server.call_with(
        Method::POST,
        "/api/v1/stock-events",
        &server.admin,
        Some(&body),
        &[("idempotency-key", "k")],
    );
    let recorded = sent.await.expect(201).json();
    let all = server
        .get("/api/v1/ledger/events", &server.viewer)
        .await
        .expect(200);
    assert_eq!(
        (all.header("content-type"), all.header("ledger-position")),
        ("application/x-ndjson", "4")
    );
    let all = all.lines();
    let types: Vec<&str> = all.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        ["WAREHOUSE_CREATED", "VARIANT_CREATED", "INBOUND", "OUTBOUND"]
    );
    let last = &all[3];
    assert_eq!(
        (&last["position"], &last["version"], &last["stream"]),
        (&json!(4), &json!(2), &json!(w))
    );
    assert_eq!(
        (&last["id"], &last["idempotencyKey"], &last["notes"]),
        (&recorded["id"], &json!("k"), &body["notes"])
    );
    assert_eq!(
        last["postings"],
        json!([{"variantId": v, "from": "available", "to": "customer", "quantity": 2}])
    );
    let some = server
        .get("/api/v1/ledger/events?after=1&limit=2", &server.viewer)
        .await
        .expect(200)
        .lines();
    assert_eq!(some, all[1..3]);
    assert_eq!(
        server
            .get("/api/v1/ledger/events?after=99", &server.viewer)
            .await
            .expect(200)
            .bytes,
        b""
    );
    server
        .get("/api/v1/ledger/events?after=x", &server.viewer)
        .await
        .expect_problem(400, "invalid-payload", "invalid payload");
}

#[tokio::test]
async fn a_followed_feed_streams_on_until_the_server_stops() {
    let server = Server::start().await;
    server.warehouse("A").await;
    let request = Request::get("/api/v1/ledger/events?follow=true")
        .header("authorization", format!("Bearer {}", server.viewer));
    let response = server
        .routes
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let mut feed = response.into_body();
    let mut next = async || {
        let frame = tokio::time::timeout(Duration::from_secs(10), feed.frame())
            .await
            .expect("it streams");
        frame.map(|frame| serde_json::from_slice::<Value>(&frame.unwrap().into_data().unwrap()).unwrap())
    };
    assert_eq!(next().await.unwrap()["type"], "WAREHOUSE_CREATED");
    server.variant("S").await;
    assert_eq!(next().await.unwrap()["type"], "VARIANT_CREATED");
    // Closing waits for whoever uses the ledger: the feed has to end first.
    let app = server.app.clone();
    let closing = tokio::spawn(async move { app.close().await });
    assert_eq!(next().await, None);
    drop(feed);
    closing.await.unwrap();
    server
        .get("/api/v1/ledger", &server.viewer)
        .await
        .expect_problem(503, "stopped", "stopped");
}

#[tokio::test]
async fn stock_is_told_now_and_as_it_was_and_as_it_was_believed_to_be() {
    let server = Server::start().await;
    let (w1, w2) = (server.warehouse("A").await, server.warehouse("B").await);
    let (s, t) = (server.variant("S").await, server.variant("T").await);
    let occurred = async |warehouse: &str, variant: &str, quantity: i64, at: &str| {
        let mut body = event("INBOUND", warehouse, variant, quantity);
        body["occurredAt"] = json!(at);
        server
            .post("/api/v1/stock-events", &server.manager, &body)
            .await
            .expect(201);
    };
    occurred(&w1, &s, 10, "2025-02-01T00:00:00Z").await;
    occurred(&w1, &t, 3, "2025-02-01T00:00:00Z").await;
    occurred(&w2, &s, 7, "2025-03-01T00:00:00Z").await;
    server.clock.advance_ms(3_600_000);
    occurred(&w1, &s, 5, "2025-02-15T00:00:00Z").await;
    let on_hand = async |query: &str| -> Vec<i64> {
        let page = server
            .fetch_now(&format!("/api/v1/stock?{query}"), &server.viewer)
            .await
            .expect(200)
            .json();
        assert_eq!(
            page["page"]["totalElements"],
            page["content"].as_array().unwrap().len()
        );
        page["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["onHand"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(on_hand("").await, [15, 3, 7]);
    assert_eq!(on_hand(&format!("warehouseId={w1}")).await, [15, 3]);
    assert_eq!(on_hand("sku=S").await, [15, 7]);
    assert_eq!(on_hand(&format!("warehouseId={w1}&variantId={s}")).await, [15]);
    assert_eq!(
        on_hand(&format!("warehouseId={w2}&variantId={t}")).await,
        Vec::<i64>::new()
    );
    let one = format!("warehouseId={w1}&variantId={s}");
    for query in [one.clone(), format!("{one}&size=1")] {
        assert_eq!(on_hand(&format!("{query}&asOf=2025-02-10T00:00:00Z")).await, [10]);
        assert_eq!(on_hand(&format!("{query}&asOf=2025-02-20T00:00:00Z")).await, [15]);
        assert_eq!(
            on_hand(&format!("{query}&knownAt=2025-06-01T12:30:00Z")).await,
            [10]
        );
        assert_eq!(
            on_hand(&format!(
                "{query}&asOf=2025-02-20T00:00:00Z&knownAt=2025-06-01T12:30:00Z"
            ))
            .await,
            [10]
        );
        assert_eq!(on_hand(&format!("{query}&asOf=2025-01-01T00:00:00Z")).await, [0]);
    }
    let first = server
        .get("/api/v1/stock?size=2", &server.viewer)
        .await
        .expect(200)
        .json();
    assert_eq!(
        first["page"],
        json!({"number": 0, "size": 2, "totalElements": 3, "totalPages": 2})
    );
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = server
        .get(&format!("/api/v1/stock?size=2&cursor={cursor}"), &server.viewer)
        .await
        .expect(200)
        .json();
    assert_eq!(
        second["content"],
        server
            .get("/api/v1/stock?size=2&page=1", &server.viewer)
            .await
            .expect(200)
            .json()["content"]
    );
    assert_eq!(second["content"][0]["warehouseCode"], "B");
    server
        .get("/api/v1/stock?sku=NONE", &server.viewer)
        .await
        .expect_problem(404, "variant-not-found", "stock-variant-not-found");
    server
        .get(&format!("/api/v1/stock?sku=S&variantId={t}"), &server.viewer)
        .await
        .expect_problem(400, "invalid-payload", "invalid payload");
}

#[tokio::test]
async fn a_view_is_rebuilt_on_demand_while_it_answers() {
    let server = Server::start().await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    server.receive(&w, &v, 5).await;
    server
        .fetch_now("/api/v1/stock", &server.viewer)
        .await
        .expect(200);
    for view in ["stock", "history", "catalogue", "reservations"] {
        let begun = server
            .call(
                Method::POST,
                &format!("/api/v1/views/{view}/rebuild"),
                &server.admin,
                None,
            )
            .await;
        assert_eq!(
            begun.expect(202).json(),
            json!({"view": view, "status": "rebuilding"})
        );
        let page = server
            .fetch_now("/api/v1/stock", &server.viewer)
            .await
            .expect(200)
            .json();
        assert_eq!(page["content"][0]["onHand"], 5);
    }
    let path = "/api/v1/views/nothing/rebuild";
    server
        .call(Method::POST, path, &server.admin, None)
        .await
        .expect_problem(404, "view-not-found", "view-not-found");
}

#[tokio::test]
async fn tenants_see_nothing_of_each_other() {
    let server = Server::start().await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    server.receive(&w, &v, 5).await;
    server.app.accounts().tenant_add("other").await.unwrap();
    let stranger = server.key("other", bincard_access::Role::Admin, &[]).await;
    for path in [
        "/api/v1/stock-events",
        "/api/v1/stock",
        "/api/v1/warehouses",
        "/api/v1/variants",
        "/api/v1/users",
    ] {
        let page = server.get(path, &stranger).await.expect(200).json();
        assert_eq!(
            (&page["content"], &page["page"]["totalElements"]),
            (&json!([]), &json!(0)),
            "{path}"
        );
    }
    let ledger = server.get("/api/v1/ledger", &stranger).await.expect(200).json();
    assert_eq!(ledger["head"]["position"], 0);
}

#[tokio::test]
async fn requests_have_ids_and_failures_are_told_alike() {
    let server = Server::start().await;
    let answer = server
        .call_with(Method::GET, "/nowhere", "", None, &[("x-request-id", "abc-1")])
        .await;
    assert_eq!(answer.header("x-request-id"), "abc-1");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    answer.expect_problem(404, "not-found", "not-found");
    let answer = server
        .call(Method::PUT, "/api/v1/stock-events", &server.admin, None)
        .await;
    assert_eq!(answer.header("allow"), "POST,GET,HEAD");
    answer.expect_problem(405, "method-not-allowed", "method-not-allowed");
}

#[tokio::test]
async fn health_and_metrics_are_told_to_whoever_runs_the_server() {
    let server = Server::start().await;
    assert_eq!(
        server.get("/healthz", "").await.expect(200).json(),
        json!({"status": "ok"})
    );
    assert_eq!(
        server.get("/readyz", "").await.expect(200).json(),
        json!({"status": "ready", "ledgersOpen": 0})
    );
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    server.receive(&w, &v, 5).await;
    server
        .post(
            "/api/v1/stock-events",
            &server.admin,
            &event("OUTBOUND", &w, &v, 6),
        )
        .await
        .expect(409);
    server
        .fetch_now("/api/v1/stock", &server.viewer)
        .await
        .expect(200);
    let text = server.get("/metrics", "").await.expect(200).text();
    for line in [
        "bincard_http_requests_total{route=\"/api/v1/stock-events\",method=\"POST\",status=\"201\"} 1",
        "bincard_http_requests_total{route=\"/api/v1/stock-events\",method=\"POST\",status=\"409\"} 1",
        "bincard_http_request_duration_seconds_count{route=\"/api/v1/stock-events\"} 2",
        "bincard_ledger_position{tenant=\"default\"} 3",
        "bincard_decisions_accepted_total{tenant=\"default\"} 3",
        "bincard_rejections_total{tenant=\"default\",code=\"insufficient-stock\"} 1",
        "bincard_view_behind_events{tenant=\"default\",view=\"stock\"} 0",
        "bincard_http_requests_in_flight 1",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
    for name in [
        "bincard_batch_requests_bucket",
        "bincard_commit_seconds_bucket",
        "bincard_queue_depth",
    ] {
        assert!(text.contains(name), "{name}");
    }
    let proxied = server
        .call_with(
            Method::GET,
            "/metrics",
            "",
            None,
            &[("x-forwarded-for", "203.0.113.9")],
        )
        .await;
    proxied.expect_problem(403, "forbidden", "Forbidden");
}

#[tokio::test]
async fn the_documentation_is_whole_and_needs_nothing_from_elsewhere() {
    let server = Server::start().await;
    let document = server.get("/openapi.json", "").await.expect(200).json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(
        server.get("/docs", "").await.expect(307).header("location"),
        "/docs/"
    );
    let page = server.get("/docs/", "").await.expect(200);
    assert!(
        page.header("content-security-policy")
            .starts_with("default-src 'self'")
    );
    for part in page
        .text()
        .split(['"', '\''])
        .filter(|part| part.starts_with("./"))
    {
        server.get(&format!("/docs/{}", &part[2..]), "").await.expect(200);
    }
    assert!(!page.text().contains("https://"), "{}", page.text());
    server
        .get("/docs/nothing.js", "")
        .await
        .expect_problem(404, "not-found", "not-found");
    let page = server
        .get("/problems/insufficient-stock", "")
        .await
        .expect(200)
        .text();
    assert!(page.starts_with("# There is not enough stock"), "{page}");
    server
        .get("/problems/nothing", "")
        .await
        .expect_problem(404, "not-found", "not-found");
}
