//! The family's errors, rates and versions.

use axum::http::Method;
use bincard_access::Role;
use serde_json::json;

use crate::support::PASSWORD;
use crate::warehouse::{INVENTORY, Store, expect_error};

#[tokio::test]
async fn the_documented_errors_are_answered_as_documented() {
    let store = Store::open().await;
    let server = &store.server;
    server.clock.advance_ms(5_400_000);
    let path = format!("{INVENTORY}/transaction");
    let body = json!({"skuId": store.wine, "type": "PICK", "quantity": 0, "orderId": "o"});
    let id = [("x-request-id", "req_abc123")];
    let answer = server
        .call_with(Method::POST, &path, &server.admin, Some(&body), &id)
        .await
        .expect(422);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(
        answer.json(),
        json!({
            "error": {
                "code": "VALIDATION_ERROR",
                "message": "Request validation failed",
                "details": {"quantity": "Must be a positive integer", "reason": "Required field"}
            },
            "timestamp": "2025-10-25T10:30:00Z",
            "requestId": "req_abc123"
        })
    );

    // A session that expired at nine.
    server.user("default", "uma", Role::Manager).await;
    let login = json!({"email": "uma@example.com", "password": PASSWORD});
    let login = server
        .post("/api/auth/login", "", &login)
        .await
        .expect(200)
        .json();
    let token = login["data"]["access_token"].as_str().unwrap();
    server.clock.advance_ms(900_000);
    let id = [("x-request-id", "req_def456")];
    let answer = server
        .call_with(Method::GET, INVENTORY, token, None, &id)
        .await
        .expect(401);
    assert_eq!(
        answer.json(),
        json!({
            "error": {
                "code": "UNAUTHORIZED",
                "message": "Invalid or expired session",
                "details": {"session": "Session expired at 2025-10-25T10:45:00Z"}
            },
            "timestamp": "2025-10-25T10:45:00Z",
            "requestId": "req_def456"
        })
    );
    expect_error(
        server.get(INVENTORY, "").await,
        401,
        "UNAUTHORIZED",
        json!({"session": "No session"}),
    );

    // A hundred a minute.
    let login = json!({"email": "uma@example.com", "password": PASSWORD});
    let login = server
        .post("/api/auth/login", "", &login)
        .await
        .expect(200)
        .json();
    let token = login["data"]["access_token"].as_str().unwrap();
    for used in 1..=100 {
        let answer = server.get(INVENTORY, token).await.expect(200);
        assert_eq!(answer.header("x-ratelimit-limit"), "1000");
        assert_eq!(answer.header("x-ratelimit-remaining"), (1000 - used).to_string());
        assert!(answer.header("x-ratelimit-reset").parse::<u64>().is_ok());
    }
    let answer = server.get(INVENTORY, token).await;
    assert_eq!(answer.header("retry-after"), "60");
    let details = json!({"limit": 100, "resetAt": "2025-10-25T10:46:00Z", "retryAfter": 60});
    let error = expect_error(answer, 429, "RATE_LIMIT_EXCEEDED", details);
    assert_eq!(error["error"]["message"], "Too many requests");
}

#[tokio::test]
async fn the_version_that_is_asked_for_is_answered_by_its_name() {
    let store = Store::open().await;
    let server = &store.server;
    let v1 = [("accept", "application/vnd.leora.v1+json")];
    server.fetch_now(INVENTORY, &server.viewer).await.expect(200);
    for path in [INVENTORY, "/api/auth/session"] {
        let answer = server
            .call_with(Method::GET, path, &server.viewer, None, &v1)
            .await
            .expect(200);
        assert_eq!(answer.header("content-type"), "application/vnd.leora.v1+json");
        let plain = server.get(path, &server.viewer).await;
        assert_eq!(plain.header("content-type"), "application/json");
        assert_eq!(plain.json(), answer.json());
        let v9 = [("accept", "application/vnd.leora.v9+json")];
        let unknown = server
            .call_with(Method::GET, path, &server.viewer, None, &v9)
            .await;
        let details = json!({"Accept": "The only version is application/vnd.leora.v1+json"});
        expect_error(unknown, 406, "INVALID_REQUEST", details);
    }
    let path = store.path("adjust");
    let refused = server
        .call_with(Method::POST, &path, &server.admin, Some(&json!({})), &v1)
        .await
        .expect(422);
    assert_eq!(refused.header("content-type"), "application/vnd.leora.v1+json");
    // Other families have no versions.
    let native = server
        .call_with(Method::GET, "/api/v1/stock", &server.viewer, None, &v1)
        .await
        .expect(200);
    assert_eq!(native.header("content-type"), "application/json");
    let nothing = server.get("/api/warehouse/nothing", &server.viewer).await;
    expect_error(nothing, 404, "NOT_FOUND", json!({}));
    let method = server.call(Method::DELETE, INVENTORY, &server.viewer, None).await;
    expect_error(method, 405, "INVALID_REQUEST", json!({}));
}
