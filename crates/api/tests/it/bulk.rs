//! Bulk requests: a result a line, in order; one bad line costs only itself.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use bincard_access::Role;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{Server, event, uuid};

const BULK: &str = "/api/v1/stock-events/bulk";

#[tokio::test]
async fn blank_lines_are_passed_over_however_many_there_are() {
    let server = Server::start().await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    let line = event("INBOUND", &w, &v, 1).to_string();
    for blanks in [
        " ".repeat(600_000) + "\n",
        "\r\n".repeat(300_000),
        "\n".repeat(600_000),
    ] {
        for body in [
            format!("{line}\n{blanks}{line}\n{line}"),
            format!("{blanks}{line}\n{line}\n{line}\n{blanks}"),
        ] {
            let answer = server.bulk(BULK, &server.manager, &body).await.expect(200);
            let statuses: Vec<Value> = answer
                .lines()
                .iter()
                .map(|result| result["status"].clone())
                .collect();
            assert_eq!(statuses, [json!(201), json!(201), json!(201)]);
        }
    }
}

#[tokio::test]
async fn every_line_has_its_own_result() {
    let server = Server::start().await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    let mut keyed = event("INBOUND", &w, &v, 10);
    keyed["idempotencyKey"] = json!("k1");
    let mut reused = event("INBOUND", &w, &v, 11);
    reused["idempotencyKey"] = json!("k1");
    let lines = [
        keyed.to_string(),
        String::new(),
        "{\"type\":".to_owned(),
        event("OUTBOUND", &w, &v, 4).to_string() + "\r",
        event("OUTBOUND", &w, &v, 7).to_string(),
        keyed.to_string(),
        reused.to_string(),
        format!("{{\"notes\":\"{}\"}}", "x".repeat(1 << 20)),
        event("ADJUST", &w, &v, -6).to_string(),
    ];
    let answer = server
        .bulk(BULK, &server.manager, &lines.join("\n"))
        .await
        .expect(200);
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let results = answer.lines();
    let seen: Vec<(i64, i64)> = results
        .iter()
        .map(|r| (r["line"].as_i64().unwrap(), r["status"].as_i64().unwrap()))
        .collect();
    assert_eq!(
        seen,
        [
            (1, 201),
            (3, 400),
            (4, 201),
            (5, 409),
            (6, 201),
            (7, 409),
            (8, 413),
            (9, 201)
        ]
    );
    assert_eq!(results[1]["problem"]["type"], "/problems/invalid-payload");
    assert_eq!(
        results[3]["problem"]["shortages"],
        json!([{"variantId": v, "variantSku": "S", "requested": 7, "available": 6}])
    );
    assert_eq!(
        (&results[4]["id"], &results[4]["replayed"]),
        (&results[0]["id"], &json!(true))
    );
    assert_eq!(results[5]["problem"]["detail"], "stock-idempotency-conflict");
    let event = server
        .get(
            &format!("/api/v1/stock-events/{}", results[2]["id"].as_str().unwrap()),
            &server.viewer,
        )
        .await;
    assert_eq!(event.expect(200).json()["lines"][0]["quantity"], -4);
    let stock = server
        .fetch_now(&format!("/api/v1/stock?warehouseId={w}&sku=S"), &server.viewer)
        .await
        .expect(200)
        .json();
    assert_eq!(stock["content"][0]["onHand"], 0);
}

#[tokio::test]
async fn lines_are_checked_as_single_requests_are() {
    let server = Server::start().await;
    let (own, other, v) = (
        server.warehouse("OWN").await,
        server.warehouse("OTHER").await,
        server.variant("S").await,
    );
    let user = server.user("default", "uma", Role::Viewer).await;
    let seller = server.key("default", Role::Seller, &[uuid(&own)]).await;
    let mut named = event("INBOUND", &own, &v, 1);
    named["userId"] = json!(user);
    let lines = format!(
        "{}\n{}\n{named}",
        event("INBOUND", &own, &v, 1),
        event("INBOUND", &other, &v, 1)
    );
    let statuses = async |token: &str| {
        let answer = server.bulk(BULK, token, &lines).await.expect(200);
        answer
            .lines()
            .iter()
            .map(|result| result["status"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(statuses(&seller).await, [201, 403, 403]);
    assert_eq!(statuses(&server.manager).await, [201, 201, 403]);
    assert_eq!(statuses(&server.admin).await, [201, 201, 201]);
    let page = server
        .fetch_now("/api/v1/stock-events?size=1&sort=createdAt,desc", &server.viewer)
        .await
        .expect(200)
        .json();
    assert_eq!(page["content"][0]["createdByUsername"], "uma");
    named["userId"] = json!(uuid::Uuid::new_v4());
    let answer = server
        .bulk(BULK, &server.admin, &named.to_string())
        .await
        .expect(200);
    assert_eq!(answer.lines()[0]["problem"]["errors"][0]["pointer"], "/userId");
}

#[tokio::test]
async fn the_head_of_a_bulk_request_is_checked() {
    let server = Server::start().await;
    let send = async |name: &str, value: &str| {
        let request = Request::post(BULK)
            .header("authorization", format!("Bearer {}", server.manager))
            .header(name, value);
        server.send(request.body(Body::from("{}")).unwrap()).await
    };
    send("content-type", "application/json").await.expect_problem(
        415,
        "unsupported-media-type",
        "unsupported-media-type",
    );
    send("idempotency-key", "k")
        .await
        .expect_problem(400, "invalid-payload", "invalid payload");
    assert_eq!(
        server.bulk(BULK, &server.manager, "").await.expect(200).bytes,
        b""
    );
    assert_eq!(
        server
            .bulk(BULK, &server.manager, "\n \n\r\n")
            .await
            .expect(200)
            .bytes,
        b""
    );
}

/// However the lines are cut into pieces on their way, the results are the same.
#[tokio::test]
async fn lines_may_arrive_in_any_pieces() {
    let server = Server::start().await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    let mut text = String::new();
    for n in 0..1500 {
        let kind = if n % 7 == 6 { "OUTBOUND" } else { "INBOUND" };
        text += &event(kind, &w, &v, 1 + n % 3).to_string();
        text += if n % 11 == 0 { "\n\n" } else { "\n" };
    }
    let whole: Vec<Value> = server
        .bulk(BULK, &server.manager, &text)
        .await
        .expect(200)
        .lines();
    assert_eq!(whole.len(), 1500);
    for piece_bytes in [1, 7, 100, 4096] {
        let bytes = Bytes::from(text.clone());
        let pieces = (0..bytes.len())
            .step_by(piece_bytes)
            .map(move |at| bytes.slice(at..(at + piece_bytes).min(bytes.len())));
        let pieces: Vec<_> = pieces.map(Ok::<_, std::io::Error>).collect();
        let request = Request::post(BULK)
            .header("authorization", format!("Bearer {}", server.manager))
            .body(Body::from_stream(stream::iter(pieces)));
        let results = server.send(request.unwrap()).await.expect(200).lines();
        let lines = |results: &[Value]| {
            results
                .iter()
                .map(|r| (r["line"].clone(), r["status"].clone()))
                .collect::<Vec<_>>()
        };
        assert_eq!(lines(&results), lines(&whole), "in pieces of {piece_bytes}");
        let positions: Vec<u64> = results
            .iter()
            .map(|result| result["position"].as_u64().unwrap())
            .collect();
        assert!(positions.is_sorted(), "in order");
    }
}

/// A stretch of lines that never go to the ledger is done before the stretch ahead of it, and still comes after it.
#[tokio::test]
async fn results_keep_the_order_of_lines() {
    let server = Server::start().await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    let good = event("INBOUND", &w, &v, 1).to_string() + "\n";
    let text = (good.repeat(700) + &"{}\n".repeat(1_400)).repeat(3);
    let results = server
        .bulk(BULK, &server.manager, &text)
        .await
        .expect(200)
        .lines();
    let lines: Vec<u64> = results
        .iter()
        .map(|result| result["line"].as_u64().unwrap())
        .collect();
    assert_eq!(lines, (1..=6_300).collect::<Vec<_>>());
}

/// Results come while lines are still being sent; and lines are read no further ahead than results are taken.
#[tokio::test]
async fn results_stream_and_push_back() {
    let server = Server::start().await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    let line = event("INBOUND", &w, &v, 1).to_string() + "\n";
    let (sender, mut pieces) = tokio::sync::mpsc::channel::<Bytes>(1);
    let body = Body::from_stream(
        stream::poll_fn(move |context| pieces.poll_recv(context)).map(Ok::<_, std::io::Error>),
    );
    let request = Request::post(BULK)
        .header("authorization", format!("Bearer {}", server.manager))
        .body(body);
    let response = server.routes.clone().oneshot(request.unwrap()).await.unwrap();
    let mut results = response.into_body();
    sender.send(Bytes::from(line.clone())).await.unwrap();
    let first = results.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(
        first.starts_with(b"{\"line\":1,\"status\":201"),
        "before the second line was sent"
    );
    let many = Bytes::from(line.repeat(512));
    let mut sent = 0;
    while tokio::time::timeout(Duration::from_millis(200), sender.send(many.clone()))
        .await
        .is_ok()
    {
        sent += 1;
        assert!(sent < 50, "nobody reads results, and yet lines are read");
    }
    drop(sender);
    let rest = results.collect().await.unwrap().to_bytes();
    assert_eq!(rest.iter().filter(|byte| **byte == b'\n').count(), sent * 512);
}

#[tokio::test]
async fn catalogues_are_created_in_bulk() {
    let server = Server::start().await;
    let statuses = async |path: &str, lines: &str| {
        let answer = server.bulk(path, &server.manager, lines).await.expect(200);
        answer
            .lines()
            .iter()
            .map(|result| result["status"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    let products = "{\"name\":\"Laptop\"}\n{\"name\":\"\"}\n{\"name\":\"Desk\",\"idempotencyKey\":\"p\"}\n{\"name\":\"Desk\",\"idempotencyKey\":\"p\"}";
    assert_eq!(
        statuses("/api/v1/products/bulk", products).await,
        [201, 400, 201, 201]
    );
    let warehouses = "{\"code\":\"A\",\"name\":\"A\"}\n{\"code\":\"A\",\"name\":\"B\"}\n{\"code\":\"B\"}";
    assert_eq!(
        statuses("/api/v1/warehouses/bulk", warehouses).await,
        [201, 409, 400]
    );
    let variants = "{\"sku\":\"S\",\"name\":\"S\",\"productId\":1}\n{\"sku\":\"T\",\"name\":\"T\",\"productId\":9}\n{\"sku\":\"S\",\"name\":\"S\"}";
    assert_eq!(statuses("/api/v1/variants/bulk", variants).await, [201, 404, 409]);
    let page = server
        .fetch_now("/api/v1/products", &server.viewer)
        .await
        .expect(200)
        .json();
    assert_eq!(page["page"]["totalElements"], 2);
}
