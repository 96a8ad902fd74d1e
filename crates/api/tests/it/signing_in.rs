//! Signing in, credentials, rates.

use axum::body::Body;
use axum::http::{Method, Request};
use bincard_access::{NewKey, Plan, Role, TenantName};
use serde_json::json;

use crate::support::{PASSWORD, Server, event};

#[tokio::test]
async fn signing_in_is_answered_as_documented() {
    let server = Server::start().await;
    let id = server.user("default", "uma", Role::Manager).await;
    let body = json!({"email": "uma@example.com", "password": PASSWORD});
    let answer = server.post("/api/auth/login", "", &body).await.expect(200);
    let login = answer.json();
    let (access, refresh) = (
        login["data"]["access_token"].as_str().unwrap(),
        login["data"]["refresh_token"].as_str().unwrap(),
    );
    assert_eq!(
        login,
        json!({"success": true, "data": {"access_token": access, "refresh_token": refresh, "expires_in": 900, "user": {
            "id": 1, "email": "uma@example.com", "first_name": "Uma", "last_name": "User", "role": "manager"}},
            "message": "Login successful"})
    );
    assert!(answer.header("set-cookie").starts_with(&format!(
        "session_token={access}; Path=/; HttpOnly; SameSite=Strict"
    )));
    let session = server.get("/api/auth/session", access).await.expect(200).json();
    assert_eq!(
        session,
        json!({"user": {"id": id, "email": "uma@example.com", "role": "MANAGER", "tenantId": "default"}, "expires": "2025-06-01T12:15:00Z"})
    );
    let refreshed = server
        .post("/api/auth/refresh", "", &json!({"refresh_token": refresh}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&refreshed["success"], &refreshed["data"]["expires_in"]),
        (&json!(true), &json!(900))
    );
    let newer = refreshed["data"]["access_token"].as_str().unwrap();
    let out = server
        .call(Method::POST, "/api/auth/logout", newer, None)
        .await
        .expect(200)
        .json();
    assert_eq!(
        out,
        json!({"success": true, "message": "Logged out successfully"})
    );
    let problem =
        server
            .get("/api/v1/ledger", newer)
            .await
            .expect_problem(401, "unauthenticated", "unauthenticated");
    assert_eq!(problem["reason"], "revoked");
}

#[tokio::test]
async fn a_refused_login_says_nothing_of_why() {
    let server = Server::start().await;
    server.user("default", "uma", Role::Manager).await;
    let mut answers = Vec::new();
    for (email, password) in [("uma@example.com", "wrong"), ("nobody@example.com", PASSWORD)] {
        let mut answer = server
            .post(
                "/api/auth/login",
                "",
                &json!({"email": email, "password": password}),
            )
            .await
            .expect(401)
            .json();
        let id = answer["request_id"].take();
        assert!(id.is_string());
        answers.push(answer);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(
        answers[0],
        json!({"success": false, "error": {"code": "AUTHENTICATION_REQUIRED",
            "message": "The e-mail address or the password is wrong", "details": {}},
            "timestamp": "2025-06-01T12:00:00Z", "request_id": null})
    );
    let invalid = server
        .post("/api/auth/login", "", &json!({"email": 7, "remember": true}))
        .await
        .expect(400)
        .json();
    assert_eq!(
        invalid["error"]["details"]["fields"],
        json!({"email": ["must be a string"], "password": ["is required"], "remember": ["there is no such field"]})
    );
}

#[tokio::test]
async fn a_refresh_token_used_after_its_successor_ends_the_session() {
    let server = Server::start().await;
    server.user("default", "uma", Role::Manager).await;
    let login = server
        .post(
            "/api/auth/login",
            "",
            &json!({"email": "uma", "password": PASSWORD}),
        )
        .await
        .expect(200)
        .json();
    let refresh = async |token: &str| {
        server
            .post("/api/auth/refresh", "", &json!({"refresh_token": token}))
            .await
    };
    let first = login["data"]["refresh_token"].as_str().unwrap();
    let second = refresh(first).await.expect(200).json();
    let third = refresh(second["data"]["refresh_token"].as_str().unwrap())
        .await
        .expect(200)
        .json();
    refresh(first).await.expect(401);
    refresh(third["data"]["refresh_token"].as_str().unwrap())
        .await
        .expect(401);
    server
        .get(
            "/api/auth/session",
            third["data"]["access_token"].as_str().unwrap(),
        )
        .await
        .expect(401);
}

#[tokio::test]
async fn credentials_that_prove_nothing_are_401_with_a_reason() {
    let server = Server::start().await;
    for (token, reason) in [("", "missing"), ("nonsense", "invalid"), ("bck_00_11", "invalid")] {
        let answer = server.get("/api/v1/ledger", token).await;
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        let problem = answer.expect_problem(401, "unauthenticated", "unauthenticated");
        assert_eq!(problem["reason"], reason, "{token}");
    }
    let session = server
        .get("/api/auth/session", "nonsense")
        .await
        .expect(401)
        .json();
    assert_eq!(session["error"]["code"], "UNAUTHORIZED");
    assert!(session["requestId"].is_string() && session["timestamp"].is_string());
}

#[tokio::test]
async fn a_cookie_reads_and_writes_from_own_pages_only() {
    let server = Server::start().await;
    server.user("default", "uma", Role::Admin).await;
    let login = server
        .post(
            "/api/auth/login",
            "",
            &json!({"email": "uma", "password": PASSWORD}),
        )
        .await
        .expect(200)
        .json();
    let cookie = format!(
        "theme=dark; session_token={}",
        login["data"]["access_token"].as_str().unwrap()
    );
    let send = async |method: Method, path: &str, origin: Option<&str>| {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("cookie", &cookie)
            .header("host", "stock.example:8080");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let body = Body::from(json!({"name": "Laptop"}).to_string());
        server
            .send(
                request
                    .header("content-type", "application/json")
                    .body(body)
                    .unwrap(),
            )
            .await
    };
    send(Method::GET, "/api/v1/ledger", None).await.expect(200);
    for origin in [
        None,
        Some("https://evil.example"),
        Some("https://stock.example"),
        Some("null"),
    ] {
        let problem = send(Method::POST, "/api/v1/products", origin)
            .await
            .expect_problem(403, "forbidden", "Forbidden");
        assert_eq!(problem["reason"], "origin");
        send(Method::POST, "/api/v1/stock-events", origin)
            .await
            .expect_problem(403, "forbidden", "Forbidden");
    }
    send(
        Method::POST,
        "/api/v1/products",
        Some("http://stock.example:8080"),
    )
    .await
    .expect(201);
}

#[tokio::test]
async fn a_plan_limits_its_requests() {
    let server = Server::start().await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    let tenant = TenantName::default_tenant();
    let new = NewKey {
        name: "person",
        role: Role::Manager,
        warehouses: &[],
        plan: Plan::Standard,
        expires_at: None,
        created_by: None,
    };
    let key = server.app.accounts().key_create(&tenant, new).await.unwrap();
    let key = key.secret.reveal();
    for used in 1..=100 {
        let answer = server.get("/api/v1/ledger", key).await.expect(200);
        assert_eq!(answer.header("x-ratelimit-limit"), "1000");
        assert_eq!(answer.header("x-ratelimit-remaining"), (1000 - used).to_string());
        assert_eq!(answer.header("x-ratelimit-reset"), "1748782800");
    }
    for answer in [
        server.get("/api/v1/ledger", key).await,
        server
            .post("/api/v1/stock-events", key, &event("INBOUND", &w, &v, 1))
            .await,
    ] {
        assert_eq!(
            (answer.header("retry-after"), answer.header("x-ratelimit-limit")),
            ("60", "100")
        );
        answer.expect_problem(429, "rate-limited", "rate-limited");
    }
    server.clock.advance_ms(60_000);
    server
        .post("/api/v1/stock-events", key, &event("INBOUND", &w, &v, 1))
        .await
        .expect(201);
    assert!(
        !server
            .get("/api/v1/ledger", &server.admin)
            .await
            .headers
            .contains_key("x-ratelimit-limit"),
        "service has no limit"
    );
}

#[tokio::test]
async fn an_address_without_credentials_is_limited() {
    let server = Server::start().await;
    for _ in 0..10 {
        server
            .post("/api/auth/login", "", &json!({"email": "a", "password": "b"}))
            .await
            .expect(401);
    }
    let answer = server
        .post("/api/auth/login", "", &json!({"email": "a", "password": "b"}))
        .await;
    assert_eq!(
        (answer.header("retry-after"), answer.header("x-ratelimit-limit")),
        ("60", "10")
    );
    assert_eq!(answer.expect(429).json()["error"]["code"], "RATE_LIMIT_EXCEEDED");
    server
        .get("/api/v1/ledger", "guessed")
        .await
        .expect_problem(429, "rate-limited", "rate-limited");
    server.get("/api/v1/ledger", &server.admin).await.expect(200);
    server.get("/healthz", "").await.expect(200);
}

#[tokio::test]
async fn an_admin_administers_users_and_keys_of_its_tenant() {
    let server = Server::start().await;
    let warehouse = server.warehouse("A").await;
    let body = json!({"email": "Sal@Example.com", "username": "sal", "password": PASSWORD, "role": "SELLER", "warehouseIds": [warehouse]});
    let user = server
        .post("/api/v1/users", &server.admin, &body)
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&user["email"], &user["warehouseIds"], &user["plan"]),
        (&json!("sal@example.com"), &json!([warehouse]), &json!("standard"))
    );
    let problem = server
        .post("/api/v1/users", &server.admin, &body)
        .await
        .expect_problem(409, "taken", "taken");
    assert!(problem["errors"][0]["pointer"].is_string(), "{problem}");
    let path = format!("/api/v1/users/{}", user["id"].as_str().unwrap());
    let changed = server
        .patch(
            &path,
            &server.admin,
            &json!({"role": "MANAGER", "plan": "premium"}),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&changed["role"], &changed["warehouseIds"], &changed["plan"]),
        (&json!("MANAGER"), &json!([]), &json!("premium"))
    );
    server
        .patch(&path, &server.admin, &json!({"active": false}))
        .await
        .expect(200);
    server
        .post(
            "/api/auth/login",
            "",
            &json!({"email": "sal", "password": PASSWORD}),
        )
        .await
        .expect(401);
    server
        .patch(&path, &server.admin, &json!({"role": "OWNER"}))
        .await
        .expect_problem(400, "invalid-payload", "invalid payload");
    let elsewhere = json!({"role": "SELLER", "warehouseIds": [uuid::Uuid::new_v4()]});
    let problem = server
        .patch(&path, &server.admin, &elsewhere)
        .await
        .expect_problem(400, "invalid-payload", "invalid payload");
    assert_eq!(problem["errors"][0]["pointer"], "/warehouseIds/0");
    let page = server
        .get("/api/v1/users", &server.admin)
        .await
        .expect(200)
        .json();
    assert_eq!(page["page"]["totalElements"], 1);

    let admin = server.user("default", "ada", Role::Admin).await;
    let path = format!("/api/v1/users/{admin}");
    server
        .patch(&path, &server.admin, &json!({"active": false}))
        .await
        .expect_problem(409, "last-admin", "last-admin");

    let made = server
        .post(
            "/api/v1/keys",
            &server.admin,
            &json!({"name": "till", "role": "VIEWER"}),
        )
        .await
        .expect(201)
        .json();
    let secret = made["secret"].as_str().unwrap();
    server.get("/api/v1/ledger", secret).await.expect(200);
    let listed = server
        .get("/api/v1/keys?size=500", &server.admin)
        .await
        .expect(200);
    assert!(!listed.text().contains(secret), "a key is shown once");
    let path = format!("/api/v1/keys/{}", made["id"].as_str().unwrap());
    server
        .call(Method::DELETE, &path, &server.admin, None)
        .await
        .expect(204);
    let problem =
        server
            .get("/api/v1/ledger", secret)
            .await
            .expect_problem(401, "unauthenticated", "unauthenticated");
    assert_eq!(problem["reason"], "revoked");
}

#[tokio::test]
async fn nobody_is_turned_away_for_good_while_the_accounts_are_away() {
    let server = Server::start().await;
    server.user("default", "uma", Role::Manager).await;
    let right = json!({"email": "uma@example.com", "password": PASSWORD});
    let login = server
        .post("/api/auth/login", "", &right)
        .await
        .expect(200)
        .json();
    let (access, refresh) = (&login["data"]["access_token"], &login["data"]["refresh_token"]);
    server.app.accounts().close().await.unwrap();
    server.clock.advance_ms(1_000);

    for token in [server.admin.as_str(), access.as_str().unwrap()] {
        let answer = server.get("/api/v1/ledger", token).await;
        assert_eq!(answer.header("retry-after"), "1");
        answer.expect_problem(503, "unavailable", "unavailable");
    }
    let again = json!({"refresh_token": refresh});
    for (path, body) in [("/api/auth/login", &right), ("/api/auth/refresh", &again)] {
        let answer = server.post(path, "", body).await.expect(503);
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(answer.json()["error"]["code"], "SERVICE_UNAVAILABLE");
    }
}
