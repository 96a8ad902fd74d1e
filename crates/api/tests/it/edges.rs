//! Requests that no well-behaved client makes, and what the document says that any client may meet.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use bincard_access::Role;
use bincard_api::TrustedProxies;
use serde_json::{Value, json};

use crate::support::{PASSWORD, Server, event};

const EVENTS: &str = "/api/v1/stock-events";

#[tokio::test]
async fn a_path_that_is_not_text_leads_to_nothing_in_the_words_of_its_family() {
    let server = Server::start().await;
    for (method, path, code, detail) in [
        (
            Method::GET,
            "/api/v1/warehouses/%ff",
            "warehouse-not-found",
            "stock-warehouse-not-found",
        ),
        (
            Method::GET,
            "/api/v1/variants/%ff",
            "variant-not-found",
            "stock-variant-not-found",
        ),
        (
            Method::GET,
            "/api/v1/products/%ff",
            "product-not-found",
            "stock-product-not-found",
        ),
        (
            Method::GET,
            "/api/v1/stock-events/%ff%00",
            "event-not-found",
            "stock-event-not-found",
        ),
        (
            Method::POST,
            "/api/v1/views/%ff/rebuild",
            "view-not-found",
            "view-not-found",
        ),
        (
            Method::GET,
            "/api/v1/users/%ff",
            "user-not-found",
            "user-not-found",
        ),
        (
            Method::DELETE,
            "/api/v1/keys/%ff",
            "key-not-found",
            "key-not-found",
        ),
        (Method::GET, "/api/v1/ledger/%ff", "not-found", "not-found"),
        (Method::GET, "/docs/%ff", "not-found", "not-found"),
        (Method::GET, "/problems/%ff", "not-found", "not-found"),
    ] {
        let answer = server.call(method, path, &server.admin, None).await;
        answer.expect_problem(404, code, detail);
    }
    let refused = server.get("/api/v1/users/%ff", &server.viewer).await;
    refused.expect_problem(403, "forbidden", "Forbidden");
}

#[test]
fn the_document_says_what_any_client_may_meet() {
    let document = serde_json::to_value(bincard_api::openapi()).unwrap();
    let says = |method: &str, path: &str, status: u16| {
        !document["paths"][path][method]["responses"][status.to_string()].is_null()
    };
    for (method, path, statuses) in [
        ("post", EVENTS, &[401, 413, 415, 429, 503, 507][..]),
        ("post", "/api/v1/stock-events/bulk", &[401, 415, 429, 503]),
        (
            "patch",
            "/api/v1/warehouses/{id}",
            &[401, 413, 415, 429, 503, 507],
        ),
        ("get", "/api/v1/warehouses", &[401, 429, 503]),
        ("get", "/api/v1/users", &[401, 429]),
        ("post", "/api/v1/users", &[401, 413, 415, 429, 503, 507]),
        ("delete", "/api/v1/keys/{id}", &[401, 429, 503, 507]),
        ("post", "/api/auth/login", &[401, 413, 415, 429, 503, 507]),
        ("get", "/api/auth/session", &[401, 429]),
    ] {
        for status in statuses {
            assert!(says(method, path, *status), "{method} {path} {status}");
        }
    }
    assert!(!says("get", "/healthz", 401) && !says("get", "/healthz", 429));
    assert!(!says("get", "/api/v1/users", 413) && !says("get", "/api/v1/users", 507));
    for (kind, single) in [
        ("Event", "NewEvent"),
        ("Product", "NewProduct"),
        ("Warehouse", "NewWarehouse"),
        ("Variant", "NewVariant"),
    ] {
        let schemas = &document["components"]["schemas"];
        assert!(
            schemas[single]["properties"]["idempotencyKey"].is_null(),
            "{single}"
        );
        assert!(
            schemas[format!("Bulk{kind}")]["properties"]["idempotencyKey"].is_object(),
            "{kind}"
        );
    }
    assert_eq!(
        document["paths"][EVENTS]["post"]["responses"]["507"]["content"]["application/problem+json"]["schema"]
            ["$ref"],
        "#/components/schemas/Problem"
    );
}

#[tokio::test]
async fn a_cursor_made_by_hand_counts_within_bounds_or_is_refused() {
    let server = Server::start().await;
    let (a, b) = (server.warehouse("A").await, server.warehouse("B").await);
    let v = server.variant("S").await;
    for warehouse in [&a, &b, &a] {
        server.receive(warehouse, &v, 1).await;
    }
    for list in [EVENTS, "/api/v1/stock", "/api/v1/warehouses"] {
        let page = server.fetch_now(&format!("{list}?size=1"), &server.viewer).await;
        let cursor = page.expect(200).json()["nextCursor"].as_str().unwrap().to_owned();
        let ask = async |cursor: &str| {
            server
                .get(&format!("{list}?size=1&cursor={cursor}"), &server.viewer)
                .await
        };
        ask(&cursor).await.expect(200);
        for (word, value) in [
            (0, -1),
            (0, i64::MIN),
            (0, 1 << 41),
            (1, -1),
            (1, i64::MAX),
            (1, (1 << 40) + 1),
        ] {
            let problem = ask(&with_word(&cursor, word, value)).await.expect_problem(
                400,
                "invalid-payload",
                "invalid payload",
            );
            assert_eq!(
                problem["errors"][0]["parameter"], "cursor",
                "{list} {word} {value}"
            );
        }
        ask(&with_word(&cursor, 1, 1 << 40)).await.expect(200);
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// `cursor` with another number in one place: base64 of a mark of four bytes and zigzag varints.
fn with_word(cursor: &str, place: usize, value: i64) -> String {
    let bits: Vec<bool> = cursor
        .bytes()
        .map(|byte| ALPHABET.iter().position(|digit| *digit == byte).unwrap())
        .flat_map(|digit| (0..6).rev().map(move |bit| digit >> bit & 1 == 1))
        .collect();
    let bytes: Vec<u8> = bits
        .chunks_exact(8)
        .map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit)))
        .collect();
    let (mark, rest) = bytes.split_at(4);
    let mut words: Vec<Vec<u8>> = rest
        .split_inclusive(|byte| *byte < 0x80)
        .map(<[u8]>::to_vec)
        .collect();
    let mut left = (value << 1 ^ value >> 63).cast_unsigned();
    words[place].clear();
    while left >= 0x80 {
        words[place].push(left.to_le_bytes()[0] | 0x80);
        left >>= 7;
    }
    words[place].push(left.to_le_bytes()[0]);
    let forged = [mark, &words.concat()].concat();
    let mut bits: Vec<bool> = forged
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1 == 1))
        .collect();
    bits.resize(bits.len().next_multiple_of(6), false);
    bits.chunks_exact(6)
        .map(|bits| char::from(ALPHABET[bits.iter().fold(0, |digit, bit| digit << 1 | usize::from(*bit))]))
        .collect()
}

#[tokio::test]
async fn a_compressed_body_is_refused_as_one() {
    let server = Server::start().await;
    let body = event(
        "INBOUND",
        &server.warehouse("A").await,
        &server.variant("S").await,
        1,
    );
    for path in [
        EVENTS,
        "/api/v1/stock-events/bulk",
        "/api/v1/products",
        "/api/v1/users",
    ] {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {}", server.admin))
            .header("content-encoding", "gzip")
            .body(Body::from(body.to_string()));
        let answer = server.send(request.unwrap()).await;
        assert_eq!(answer.header("accept-encoding"), "identity", "{path}");
        let problem = answer.expect_problem(415, "unsupported-media-type", "unsupported-media-type");
        assert_eq!(problem["errors"][0]["header"], "Content-Encoding");
    }
    let plain = [("content-encoding", "identity")];
    let answer = server
        .call_with(Method::POST, EVENTS, &server.admin, Some(&body), &plain)
        .await;
    answer.expect(201);
}

#[tokio::test]
async fn a_page_of_another_scheme_is_not_ours() {
    let server = Server::start().await;
    server.user("default", "uma", Role::Admin).await;
    let login = json!({"email": "uma", "password": PASSWORD});
    let login = server
        .post("/api/auth/login", "", &login)
        .await
        .expect(200)
        .json();
    let cookie = format!(
        "session_token={}",
        login["data"]["access_token"].as_str().unwrap()
    );
    let mut count = 0;
    for (origin, proto, status) in [
        ("http://bincard.example", None, 201),
        ("https://bincard.example", None, 403),
        ("https://bincard.example", Some("https"), 201),
        ("http://bincard.example", Some("https"), 403),
        ("ftp://bincard.example", None, 403),
    ] {
        count += 1;
        let mut headers = vec![
            ("cookie", &*cookie),
            ("host", "bincard.example"),
            ("origin", origin),
        ];
        headers.extend(proto.map(|proto| ("x-forwarded-proto", proto)));
        let body = json!({"name": format!("Product {count}")});
        let answer = server
            .call_with(Method::POST, "/api/v1/products", "", Some(&body), &headers)
            .await;
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{origin} {proto:?}: {}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn a_number_beyond_all_bounds_is_named_by_its_place() {
    let server = Server::start().await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    let digits = "9".repeat(400);
    for endless in [digits.clone(), format!("-{digits}"), "1e999".to_owned()] {
        let body = event("INBOUND", &w, &v, 77_777)
            .to_string()
            .replace("77777", &endless);
        let request = Request::post(EVENTS)
            .header("authorization", format!("Bearer {}", server.manager))
            .header("content-type", "application/json")
            .body(Body::from(body));
        let problem =
            server
                .send(request.unwrap())
                .await
                .expect_problem(400, "invalid-payload", "invalid payload");
        let errors: &Value = &problem["errors"];
        assert_eq!(
            *errors,
            json!([{"pointer": "/lines/0/quantity", "detail": "must be a whole number of at most 19 digits, -2^63 to 2^63 - 1"}])
        );
    }
    let texts = format!(r#"{{"name":"a \" {digits} \\","no":{digits}}}"#);
    let request = Request::post("/api/v1/products")
        .header("authorization", format!("Bearer {}", server.admin))
        .body(Body::from(texts));
    let problem =
        server
            .send(request.unwrap())
            .await
            .expect_problem(400, "invalid-payload", "invalid payload");
    assert_eq!(problem["errors"][0]["pointer"], "/no");
}

/// Tests count as coming from this machine, on which the proxy is said to run.
#[tokio::test]
async fn behind_a_trusted_proxy_requests_without_credentials_are_counted_by_who_sent_them() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let trusted = TrustedProxies::parse("127.0.0.1").unwrap();
    let server = Server::start_with(folder, |options| options.trusted_proxies = trusted).await;
    let ask = async |from: &str| {
        let from = [("x-forwarded-for", from)];
        let answer = server.call_with(Method::GET, EVENTS, "", None, &from);
        answer.await.status.as_u16()
    };
    for _ in 0..10 {
        assert_eq!(ask("203.0.113.9").await, 401);
    }
    assert_eq!(ask("203.0.113.9").await, 429);
    assert_eq!(ask("203.0.113.10").await, 401);
}
