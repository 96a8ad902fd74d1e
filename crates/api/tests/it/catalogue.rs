//! Products, warehouses, variants.

use axum::http::Method;
use bincard_access::Role;
use serde_json::{Value, json};

use crate::support::{Server, uuid};

#[tokio::test]
async fn things_are_created_changed_and_read_back() {
    let server = Server::start().await;
    let product = server
        .post("/api/v1/products", &server.manager, &json!({"name": "Laptop X"}))
        .await
        .expect(201);
    assert_eq!(product.header("location"), "/api/v1/products/1");
    assert_eq!(
        product.json(),
        json!({"id": 1, "name": "Laptop X", "active": true, "createdAt": "2025-06-01T12:00:00Z", "updatedAt": "2025-06-01T12:00:00Z"})
    );
    let body = json!({"sku": "X-RED", "name": "Laptop X, red", "productId": 1, "expiresAt": "2026-01-01T00:00:00.5Z"});
    let variant = server
        .post("/api/v1/variants", &server.manager, &body)
        .await
        .expect(201);
    let path = variant.header("location").to_owned();
    let created = variant.json();
    assert_eq!(
        (&created["productId"], &created["expiresAt"]),
        (&json!(1), &json!("2026-01-01T00:00:00.500000Z"))
    );
    assert_eq!(
        server.fetch_now(&path, &server.viewer).await.expect(200).json(),
        created,
        "read as created"
    );
    server.clock.advance_ms(1_000);
    let change = json!({"sku": "X-BLUE", "active": false, "productId": null, "expiresAt": null});
    let changed = server
        .patch(&path, &server.manager, &change)
        .await
        .expect(200)
        .json();
    let expected = json!({
        "id": created["id"], "sku": "X-BLUE", "name": "Laptop X, red", "productId": null, "expiresAt": null,
        "tracksLots": false, "active": false, "createdAt": "2025-06-01T12:00:00Z",
        "updatedAt": "2025-06-01T12:00:01Z"});
    assert_eq!(changed, expected);
    let same = server
        .patch(&path, &server.manager, &json!({}))
        .await
        .expect(200)
        .json();
    assert_eq!(same, expected, "an empty change changes nothing");
    let warehouse = server.warehouse("A").await;
    let path = format!("/api/v1/warehouses/{warehouse}");
    let changed = server
        .patch(&path, &server.manager, &json!({"code": "B", "name": "Bee"}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&changed["code"], &changed["name"], &changed["active"]),
        (&json!("B"), &json!("Bee"), &json!(true))
    );
    let changed = server
        .patch("/api/v1/products/1", &server.manager, &json!({"active": false}))
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&changed["name"], &changed["active"]),
        (&json!("Laptop X"), &json!(false))
    );
}

#[tokio::test]
async fn what_is_wrong_is_refused_by_name() {
    let server = Server::start().await;
    let (a, b) = (server.warehouse("A").await, server.warehouse("B").await);
    let (s, t) = (server.variant("S").await, server.variant("T").await);
    let problem = server
        .post(
            "/api/v1/warehouses",
            &server.manager,
            &json!({"code": "A", "name": "x"}),
        )
        .await
        .expect_problem(409, "code-taken", "stock-code-taken");
    assert_eq!(problem["takenBy"], json!(a));
    let path = format!("/api/v1/warehouses/{b}");
    server
        .patch(&path, &server.manager, &json!({"code": "A"}))
        .await
        .expect_problem(409, "code-taken", "stock-code-taken");
    let problem = server
        .patch(
            &format!("/api/v1/variants/{t}"),
            &server.manager,
            &json!({"sku": "S"}),
        )
        .await
        .expect_problem(409, "sku-taken", "stock-sku-taken");
    assert_eq!(problem["takenBy"], json!(s));
    server
        .post(
            "/api/v1/variants",
            &server.manager,
            &json!({"sku": "U", "name": "U", "productId": 7}),
        )
        .await
        .expect_problem(404, "product-not-found", "stock-product-not-found");
    for (path, body, code, pointer) in [
        ("/api/v1/products", json!({"name": ""}), "invalid-text", "/name"),
        (
            "/api/v1/products",
            json!({"name": "x", "id": 1}),
            "invalid-payload",
            "/id",
        ),
        (
            "/api/v1/products",
            json!({"name": "x", "idempotencyKey": "k"}),
            "invalid-payload",
            "/idempotencyKey",
        ),
        ("/api/v1/products", json!({}), "invalid-payload", "/name"),
        ("/api/v1/products", json!([]), "invalid-payload", ""),
        (
            "/api/v1/warehouses",
            json!({"code": " A", "name": "x"}),
            "invalid-text",
            "/code",
        ),
        (
            "/api/v1/variants",
            json!({"sku": "x".repeat(129), "name": "x"}),
            "invalid-text",
            "/sku",
        ),
        (
            "/api/v1/variants",
            json!({"sku": "x", "name": "x", "productId": "1"}),
            "invalid-payload",
            "/productId",
        ),
        (
            "/api/v1/variants",
            json!({"sku": "x", "name": "x", "expiresAt": 1}),
            "invalid-payload",
            "/expiresAt",
        ),
    ] {
        let problem =
            server
                .post(path, &server.manager, &body)
                .await
                .expect_problem(400, code, "invalid payload");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{path} {body}");
    }
    let null = json!({"name": null});
    server
        .patch("/api/v1/products/1", &server.manager, &null)
        .await
        .expect_problem(400, "invalid-payload", "invalid payload");
    for path in [
        "/api/v1/products/9",
        "/api/v1/products/x",
        "/api/v1/products/0",
        "/api/v1/products/-1",
    ] {
        server.get(path, &server.viewer).await.expect_problem(
            404,
            "product-not-found",
            "stock-product-not-found",
        );
    }
    for path in [
        "/api/v1/warehouses/x",
        &format!("/api/v1/warehouses/{s}"),
        &format!("/api/v1/warehouses/{}", uuid::Uuid::new_v4()),
    ] {
        server.get(path, &server.viewer).await.expect_problem(
            404,
            "warehouse-not-found",
            "stock-warehouse-not-found",
        );
    }
    server
        .get(&format!("/api/v1/variants/{a}"), &server.viewer)
        .await
        .expect_problem(404, "variant-not-found", "stock-variant-not-found");
}

#[tokio::test]
async fn a_creation_with_a_key_happens_once() {
    let server = Server::start().await;
    let send = async |body: &Value| {
        server
            .call_with(
                Method::POST,
                "/api/v1/products",
                &server.manager,
                Some(body),
                &[("idempotency-key", "k")],
            )
            .await
    };
    let first = send(&json!({"name": "A"})).await.expect(201);
    server.clock.advance_ms(5_000);
    let again = send(&json!({"name": "A"})).await.expect(201);
    assert_eq!(
        (again.json(), again.header("idempotency-replayed")),
        (first.json(), "true")
    );
    send(&json!({"name": "B"})).await.expect_problem(
        409,
        "idempotency-conflict",
        "stock-idempotency-conflict",
    );
}

#[tokio::test]
async fn lists_are_searched_and_paged() {
    let server = Server::start().await;
    let mut lines = String::new();
    for n in 0..30 {
        lines += &format!(
            "{{\"sku\":\"SKU-{n:02}\",\"name\":\"{} {n}\"}}\n",
            if n % 3 == 0 { "Désk" } else { "Chair" }
        );
    }
    server
        .bulk("/api/v1/variants/bulk", &server.manager, &lines)
        .await
        .expect(200);
    let skus = |page: &Value| -> Vec<String> {
        page["content"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["sku"].as_str().unwrap().to_owned())
            .collect()
    };
    let list = async |query: &str| {
        server
            .fetch_now(&format!("/api/v1/variants?{query}"), &server.viewer)
            .await
            .expect(200)
            .json()
    };
    assert_eq!(
        list("search=D%C3%89SK&size=50").await["page"]["totalElements"],
        10
    );
    assert_eq!(skus(&list("search=sku-1").await).len(), 10);
    assert_eq!(skus(&list("sku=SKU-07").await), ["SKU-07"]);
    assert_eq!(
        skus(&list("sku=sku-07").await),
        Vec::<String>::new(),
        "a SKU is looked for exactly"
    );
    assert_eq!(
        list("search=%25").await["page"]["totalElements"],
        0,
        "a search means nothing but itself"
    );
    let (mut seen, mut query) = (Vec::new(), "size=7".to_owned());
    loop {
        let page = list(&query).await;
        assert_eq!(page["page"]["totalElements"], 30);
        seen.extend(skus(&page));
        let Some(cursor) = page["nextCursor"].as_str() else {
            break;
        };
        query = format!("size=7&cursor={cursor}");
    }
    assert_eq!(seen, (0..30).map(|n| format!("SKU-{n:02}")).collect::<Vec<_>>());
    assert_eq!(skus(&list("size=7&page=4").await), ["SKU-28", "SKU-29"]);
    server
        .get(
            &format!(
                "/api/v1/products?cursor={}",
                list("size=7").await["nextCursor"].as_str().unwrap()
            ),
            &server.viewer,
        )
        .await
        .expect_problem(400, "invalid-payload", "invalid payload");
}

#[tokio::test]
async fn a_seller_sees_its_own_warehouses() {
    let server = Server::start().await;
    let (own, other) = (server.warehouse("OWN").await, server.warehouse("OTHER").await);
    let seller = server.key("default", Role::Seller, &[uuid(&own)]).await;
    let page = server
        .fetch_now("/api/v1/warehouses", &seller)
        .await
        .expect(200)
        .json();
    assert_eq!(
        (&page["content"][0]["id"], &page["page"]["totalElements"]),
        (&json!(own), &json!(1))
    );
    let all = server
        .fetch_now("/api/v1/warehouses?code=OTHER", &server.viewer)
        .await
        .expect(200)
        .json();
    assert_eq!(all["content"][0]["id"], json!(other));
    let nobody = server
        .key("default", Role::Seller, &[::uuid::Uuid::from_u128(1)])
        .await;
    assert_eq!(
        server.get("/api/v1/warehouses", &nobody).await.expect(200).json()["content"],
        json!([])
    );
}
