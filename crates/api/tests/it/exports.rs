//! Lists as a whole: every row once, in constant memory, as CSV and as lines of JSON, and movements page by page.

use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{Answer, Server, event};

const STOCK: &str = "/api/v1/stock";
const MOVEMENTS: &str = "/api/v1/movements";
const EVENTS: &str = "/api/v1/stock-events";

async fn export(server: &Server, path: &str, accept: &str) -> Answer {
    let head = server.get("/api/v1/ledger", &server.admin).await.expect(200);
    let headers = [
        ("accept", accept),
        ("ledger-min-position", head.header("ledger-position")),
    ];
    server
        .call_with(Method::GET, path, &server.viewer, None, &headers)
        .await
}

/// Rows of CSV, as a reader of RFC 4180 sees them, by the names of the header.
fn rows(answer: &Answer) -> Vec<Value> {
    let text = answer.text();
    let mut records = vec![vec![String::new()]];
    let mut chars = text.chars().peekable();
    let mut is_quoted = false;
    while let Some(c) = chars.next() {
        let record = records.last_mut().unwrap();
        match c {
            '"' if is_quoted && chars.peek() == Some(&'"') => {
                chars.next();
                record.last_mut().unwrap().push('"');
            }
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => record.push(String::new()),
            '\n' if !is_quoted => records.push(vec![String::new()]),
            other => record.last_mut().unwrap().push(other),
        }
    }
    assert_eq!(records.pop(), Some(vec![String::new()]), "the last row is ended");
    let header = records.remove(0);
    let row = |record: Vec<String>| {
        assert_eq!(record.len(), header.len(), "{record:?}");
        Value::Object(
            header
                .iter()
                .cloned()
                .zip(record.into_iter().map(Value::from))
                .collect(),
        )
    };
    records.into_iter().map(row).collect()
}

/// A warehouse with more variants than are read at once, one unit each.
async fn large() -> (Server, String) {
    let server = Server::start().await;
    let warehouse = server.warehouse("WH,1").await;
    let variants: String = (0..1_200)
        .map(|n| format!("{{\"sku\":\"S-{n}\",\"name\":\"n\"}}\n"))
        .collect();
    let made = server
        .bulk("/api/v1/variants/bulk", &server.admin, &variants)
        .await
        .expect(200);
    let lines: String = made
        .lines()
        .iter()
        .map(|made| {
            format!(
                "{}\n",
                event("INBOUND", &warehouse, made["id"].as_str().unwrap(), 1)
            )
        })
        .collect();
    server
        .bulk(&format!("{EVENTS}/bulk"), &server.admin, &lines)
        .await
        .expect(200);
    (server, warehouse)
}

#[tokio::test]
async fn every_row_is_exported_once_however_many_there_are() {
    let (server, warehouse) = large().await;
    for (path, id) in [(STOCK, "variantId"), (MOVEMENTS, "eventId"), (EVENTS, "id")] {
        let csv = export(&server, path, "text/csv").await.expect(200);
        assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
        assert_eq!(csv.header("vary"), "accept");
        let position = csv.header("ledger-position");
        let file = csv.header("content-disposition");
        assert!(file.contains(&format!("-at-{position}.")), "{file} at {position}");
        assert!(
            file.starts_with("attachment; filename=\"") && file.ends_with(".csv\""),
            "{file}"
        );
        let rows = rows(&csv);
        assert!(
            rows.iter().all(|row| row["warehouseCode"] == "WH,1"),
            "it is quoted"
        );
        let ndjson = export(&server, path, "application/x-ndjson").await.expect(200);
        let lines = ndjson.lines();
        let ids = |rows: &[Value]| {
            rows.iter()
                .map(|row| row[id].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(&rows), ids(&lines), "{path}");
        let mut distinct = ids(&rows);
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 1_200, "{path}");
        let filtered = export(
            &server,
            &format!("{path}?warehouseId={warehouse}"),
            "application/x-ndjson",
        )
        .await;
        assert_eq!(filtered.expect(200).lines().len(), 1_200);
        for paging in ["size=5", "page=1", "cursor=AAAA"] {
            let refused = export(&server, &format!("{path}?{paging}"), "text/csv").await;
            refused.expect_problem(400, "invalid-payload", "invalid payload");
        }
    }
}

#[tokio::test]
async fn an_export_has_what_was_recorded_when_it_began() {
    let (server, warehouse) = large().await;
    for path in [MOVEMENTS, EVENTS] {
        server.fetch_now(EVENTS, &server.admin).await.expect(200);
        let request = Request::get(format!("{path}?sort=occurredAt,asc"))
            .header("authorization", format!("Bearer {}", server.viewer))
            .header("accept", "application/x-ndjson");
        let response = server
            .routes
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let mut body = response.into_body();
        let mut read = body.frame().await.unwrap().unwrap().into_data().unwrap().to_vec();
        let before = read.iter().filter(|byte| **byte == b'\n').count();
        assert!(before < 1_000, "it is not all read at once");
        // Behind what was read already: the last variant, and now.
        let sku = server
            .fetch_now("/api/v1/variants?sku=S-1199", &server.admin)
            .await
            .json();
        let last = sku["content"][0]["id"].as_str().unwrap().to_owned();
        let late = server.receive(&warehouse, &last, 1).await;
        let undone = format!("{EVENTS}?variantId={last}&sort=occurredAt,asc&size=1");
        let undone = server.fetch_now(&undone, &server.admin).await.expect(200).json();
        let undone = undone["content"][0]["id"].as_str().unwrap().to_owned();
        assert_ne!(undone, late["id"]);
        if path == EVENTS {
            let path = format!("{EVENTS}/{undone}/reverse");
            server.post(&path, &server.admin, &json!({})).await.expect(201);
        }
        server.fetch_now(EVENTS, &server.admin).await.expect(200);
        read.extend_from_slice(&body.collect().await.unwrap().to_bytes());
        let expected = if path == MOVEMENTS { 1_200 } else { 1_201 };
        assert_eq!(
            read.iter().filter(|byte| **byte == b'\n').count(),
            expected,
            "{path}"
        );
        let read = String::from_utf8(read).unwrap();
        if path == EVENTS {
            let row = read.lines().find(|line| line.contains(&undone)).unwrap();
            let row: Value = serde_json::from_str(row).unwrap();
            assert_eq!(row["reversedById"], Value::Null, "it was undone since");
        }
    }
}

#[tokio::test]
async fn stock_is_exported_as_of_an_instant() {
    let server = Server::start().await;
    let (warehouse, variant) = (server.warehouse("WH-1").await, server.variant("=SUM(A1)").await);
    let mut early = event("INBOUND", &warehouse, &variant, 5);
    early["occurredAt"] = json!("2025-05-01T00:00:00Z");
    server.post(EVENTS, &server.admin, &early).await.expect(201);
    server
        .post(EVENTS, &server.admin, &event("OUTBOUND", &warehouse, &variant, 2))
        .await
        .expect(201);
    let past = export(&server, &format!("{STOCK}?asOf=2025-05-02T00:00:00Z"), "text/csv")
        .await
        .expect(200);
    assert_eq!(rows(&past)[0]["onHand"], "5");
    let now = export(
        &server,
        &format!("{STOCK}?warehouseId={warehouse}&variantId={variant}"),
        "text/csv",
    )
    .await;
    let now = now.expect(200);
    assert_eq!(
        (&rows(&now)[0]["onHand"], &rows(&now)[0]["variantSku"]),
        (&json!("3"), &json!("'=SUM(A1)"))
    );
    let unknown = export(&server, &format!("{STOCK}?sku=nothing"), "text/csv").await;
    unknown.expect_problem(404, "variant-not-found", "stock-variant-not-found");
    let lines = export(
        &server,
        &format!("{STOCK}?knownAt=2020-01-01T00:00:00Z"),
        "application/jsonl",
    )
    .await;
    assert_eq!(lines.expect(200).lines()[0]["onHand"], 0);
}

#[tokio::test]
async fn an_event_of_many_lines_is_as_many_rows() {
    let server = Server::start().await;
    let (warehouse, a, b) = (
        server.warehouse("W").await,
        server.variant("A").await,
        server.variant("B").await,
    );
    let body = json!({"type": "INBOUND", "warehouseId": warehouse, "notes": "two\nlines, \"quoted\"",
        "lines": [{"variantId": a, "quantity": 3}, {"variantId": b, "quantity": 4}]});
    let made = server.post(EVENTS, &server.admin, &body).await.expect(201).json();
    let path = format!("{EVENTS}/{}/reverse", made["id"].as_str().unwrap());
    let reversal = server
        .post(&path, &server.admin, &json!({}))
        .await
        .expect(201)
        .json();
    let csv = export(&server, &format!("{EVENTS}?sort=createdAt,asc"), "text/csv")
        .await
        .expect(200);
    let rows = rows(&csv);
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row["variantSku"].as_str().unwrap(),
                row["quantity"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(told, [("A", "3"), ("B", "4"), ("A", "-3"), ("B", "-4")]);
    assert_eq!(rows[1]["notes"], body["notes"]);
    assert_eq!(
        (&rows[1]["reversedById"], &rows[2]["reversesId"]),
        (&reversal["id"], &made["id"])
    );
    assert_eq!(rows[0]["lineId"], made["lines"][0]["id"]);
    assert_eq!(rows[0]["createdByUsername"], made["createdByUsername"]);
}

#[tokio::test]
async fn movements_are_listed_with_what_there_was_before_and_after() {
    let server = Server::start().await;
    let (warehouse, variant) = (server.warehouse("W").await, server.variant("A").await);
    for n in 1..=5 {
        server.receive(&warehouse, &variant, n).await;
    }
    let sold = server
        .post(EVENTS, &server.admin, &event("OUTBOUND", &warehouse, &variant, 6))
        .await
        .expect(201)
        .json();
    let newest = server
        .fetch_now(&format!("{MOVEMENTS}?sku=A&size=1"), &server.viewer)
        .await
        .expect(200)
        .json();
    let row = &newest["content"][0];
    assert_eq!(
        (
            &row["eventId"],
            &row["type"],
            &row["from"],
            &row["to"],
            &row["quantity"]
        ),
        (
            &sold["id"],
            &json!("OUTBOUND"),
            &json!("available"),
            &json!("customer"),
            &json!(6)
        )
    );
    assert_eq!(
        (&row["before"]["available"], &row["after"]["onHand"]),
        (&json!(15), &json!(9))
    );
    assert_eq!(newest["page"]["totalElements"], 6);
    let path = format!("{MOVEMENTS}?variantId={variant}&type=INBOUND&sort=occurredAt,asc&size=2");
    let mut quantities = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server
            .fetch_now(&format!("{path}{cursor}"), &server.viewer)
            .await
            .expect(200)
            .json();
        quantities.extend(
            page["content"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row["quantity"].as_i64().unwrap()),
        );
        let Some(next) = page["nextCursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(quantities, [1, 2, 3, 4, 5]);
    let refused = server.get(MOVEMENTS, &server.viewer).await;
    let problem = refused.expect_problem(400, "invalid-payload", "invalid payload");
    assert_eq!(problem["errors"][0]["parameter"], "variantId");
}
