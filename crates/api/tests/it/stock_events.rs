//! `/api/v1/stock-events`: the documented examples, errors and rules.

use axum::body::Body;
use axum::http::{Method, Request};
use bincard_access::Role;
use serde_json::{Value, json};

use crate::support::{Server, event, uuid};

const EVENTS: &str = "/api/v1/stock-events";

#[tokio::test]
async fn the_documented_example_is_answered_as_documented() {
    let server = Server::start().await;
    let (warehouse, variant) = (
        server.warehouse("WH-SAO-01").await,
        server.variant("LAPTOP-X-RED-256").await,
    );
    let body = json!({
        "type": "INBOUND",
        "warehouseId": warehouse,
        "occurredAt": "2025-02-10T08:00:00Z",
        "reasonCode": "PURCHASE",
        "notes": "Supplier restock",
        "lines": [{"variantId": variant, "quantity": 25}]
    });
    let answer = server.post(EVENTS, &server.manager, &body).await.expect(201);
    let created = answer.json();
    let id = created["id"].as_str().unwrap().to_owned();
    let line = created["lines"][0]["id"].as_str().unwrap().to_owned();
    let by = created["createdById"].as_str().unwrap().to_owned();
    assert_eq!(
        created,
        json!({
            "id": id,
            "type": "INBOUND",
            "warehouseId": warehouse,
            "warehouseCode": "WH-SAO-01",
            "occurredAt": "2025-02-10T08:00:00Z",
            "reasonCode": "PURCHASE",
            "notes": "Supplier restock",
            "createdById": by,
            "createdByUsername": "MANAGER key",
            "createdAt": "2025-06-01T12:00:00Z",
            "lines": [{"id": line, "variantId": variant, "variantSku": "LAPTOP-X-RED-256", "quantity": 25}]
        })
    );
    assert_eq!(answer.header("location"), format!("{EVENTS}/{id}"));
    assert_eq!(answer.header("ledger-position"), "3");
    assert_eq!(
        server
            .get(&format!("{EVENTS}/{id}"), &server.viewer)
            .await
            .expect(200)
            .json(),
        created
    );
    let page = server.fetch_now(EVENTS, &server.viewer).await.expect(200);
    assert_eq!(page.json()["content"], json!([created]));
    assert_eq!(page.header("ledger-position"), "3");
}

#[tokio::test]
async fn quantities_are_answered_with_their_signs() {
    let server = Server::start().await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    let quantity = async |kind: &str, quantity: i64| {
        let answer = server
            .post(EVENTS, &server.manager, &event(kind, &w, &v, quantity))
            .await
            .expect(201)
            .json();
        let fetched = server
            .get(
                &format!("{EVENTS}/{}", answer["id"].as_str().unwrap()),
                &server.viewer,
            )
            .await;
        assert_eq!(fetched.expect(200).json(), answer, "fetched as created");
        answer["lines"][0]["quantity"].as_i64().unwrap()
    };
    assert_eq!(quantity("INBOUND", 10).await, 10);
    assert_eq!(quantity("OUTBOUND", 4).await, -4);
    assert_eq!(quantity("ADJUST", -3).await, -3);
    assert_eq!(quantity("ADJUST", 2).await, 2);
}

#[tokio::test]
async fn what_is_left_out_happens_now_and_microseconds_are_kept() {
    let server = Server::start().await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    let now = server
        .post(EVENTS, &server.manager, &event("INBOUND", &w, &v, 1))
        .await
        .expect(201)
        .json();
    assert_eq!(now["occurredAt"], now["createdAt"]);
    let mut body = event("INBOUND", &w, &v, 1);
    body["occurredAt"] = json!("2025-02-10T09:00:00.123456+01:00");
    let then = server
        .post(EVENTS, &server.manager, &body)
        .await
        .expect(201)
        .json();
    assert_eq!(then["occurredAt"], "2025-02-10T08:00:00.123456Z");
}

#[tokio::test]
async fn everything_wrong_with_a_payload_is_named_by_pointer() {
    let server = Server::start().await;
    let body = json!({
        "type": "TRANSFER_OUT", "warehouseId": "here", "occurredAt": "yesterday", "reasonCode": "GIFT", "notes": 7,
        "colour": "red", "lines": [{"variantId": 1, "quantity": 1.5, "batch": "A"}, 3]
    });
    let problem = server.post(EVENTS, &server.manager, &body).await.expect_problem(
        400,
        "invalid-payload",
        "invalid payload",
    );
    let mut pointers: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "/colour",
            "/lines/0/batch",
            "/lines/0/quantity",
            "/lines/0/variantId",
            "/lines/1",
            "/notes",
            "/occurredAt",
            "/reasonCode",
            "/type",
            "/warehouseId"
        ]
    );
}

#[tokio::test]
async fn a_body_is_json_of_at_most_a_mebibyte() {
    let server = Server::start().await;
    let send = async |content_type: &str, body: String| {
        let request = Request::post(EVENTS).header("authorization", format!("Bearer {}", server.manager));
        server
            .send(
                request
                    .header("content-type", content_type)
                    .body(Body::from(body))
                    .unwrap(),
            )
            .await
    };
    let problem = send("application/json", "{\"type\": }".into())
        .await
        .expect_problem(400, "invalid-payload", "invalid payload");
    assert!(
        problem["errors"][0]["detail"]
            .as_str()
            .unwrap()
            .contains("line 1 column 10"),
        "{problem}"
    );
    send("application/json", String::new())
        .await
        .expect_problem(400, "invalid-payload", "invalid payload");
    send("application/json", " ".repeat((1 << 20) + 1))
        .await
        .expect_problem(413, "body-too-large", "body-too-large");
    send("text/csv", "{}".into()).await.expect_problem(
        415,
        "unsupported-media-type",
        "unsupported-media-type",
    );
}

/// Changes one thing of a good event, and says what comes of it.
#[tokio::test]
async fn each_rule_of_the_ledger_has_its_status_code_and_pointer() {
    let server = Server::start().await;
    let (w, v, other) = (
        server.warehouse("A").await,
        server.variant("S").await,
        server.variant("T").await,
    );
    let foreign = uuid::Uuid::new_v4().to_string();
    let closed = server.warehouse("CLOSED").await;
    let retired = server.variant("RETIRED").await;
    server
        .patch(
            &format!("/api/v1/warehouses/{closed}"),
            &server.admin,
            &json!({"active": false}),
        )
        .await
        .expect(200);
    server
        .patch(
            &format!("/api/v1/variants/{retired}"),
            &server.admin,
            &json!({"active": false}),
        )
        .await
        .expect(200);
    let stale = server.variant("STALE").await;
    server.receive(&w, &stale, 5).await;
    server
        .patch(
            &format!("/api/v1/variants/{stale}"),
            &server.admin,
            &json!({"expiresAt": "2025-01-01T00:00:00Z"}),
        )
        .await
        .expect(200);
    let line = |variant: &str, quantity: i64| json!({"variantId": variant, "quantity": quantity});
    let many: Vec<Value> = (0..1001).map(|_| line(&v, 1)).collect();
    for (change, status, code, detail, pointer) in [
        (json!({"lines": []}), 400, "no-lines", "invalid payload", "/lines"),
        (
            json!({"lines": many}),
            400,
            "too-many-lines",
            "invalid payload",
            "/lines",
        ),
        (
            json!({"lines": [line(&v, 0)]}),
            400,
            "invalid-quantity",
            "invalid payload",
            "/lines/0/quantity",
        ),
        (
            json!({"lines": [line(&v, -1)]}),
            400,
            "invalid-quantity",
            "invalid payload",
            "/lines/0/quantity",
        ),
        (
            json!({"lines": [line(&v, 1_000_000_001)]}),
            400,
            "invalid-quantity",
            "invalid payload",
            "/lines/0/quantity",
        ),
        (
            json!({"lines": [line(&v, 1), line(&other, 1), line(&v, 1)]}),
            400,
            "duplicate-variant",
            "invalid payload",
            "/lines/2/variantId",
        ),
        (
            json!({"type": "OUTBOUND", "reasonCode": "PURCHASE"}),
            400,
            "reason-mismatch",
            "invalid payload",
            "/reasonCode",
        ),
        (
            json!({"notes": "x".repeat(501)}),
            400,
            "notes-too-long",
            "invalid payload",
            "/notes",
        ),
        (
            json!({"occurredAt": "2025-06-01T12:05:00.000001Z"}),
            400,
            "occurs-in-future",
            "invalid payload",
            "/occurredAt",
        ),
        (
            json!({"warehouseId": foreign}),
            404,
            "warehouse-not-found",
            "stock-warehouse-not-found",
            "/warehouseId",
        ),
        (
            json!({"warehouseId": v}),
            404,
            "warehouse-not-found",
            "stock-warehouse-not-found",
            "/warehouseId",
        ),
        (
            json!({"warehouseId": closed}),
            400,
            "warehouse-inactive",
            "invalid payload",
            "/warehouseId",
        ),
        (
            json!({"lines": [line(&v, 1), line(&foreign, 1)]}),
            404,
            "variant-not-found",
            "stock-variant-not-found",
            "/lines/1/variantId",
        ),
        (
            json!({"lines": [line(&retired, 1)]}),
            400,
            "variant-inactive",
            "invalid payload",
            "/lines/0/variantId",
        ),
        (
            json!({"type": "OUTBOUND", "lines": [line(&stale, 1)]}),
            400,
            "variant-expired",
            "stock-variant-expired",
            "/lines/0/variantId",
        ),
    ] {
        let mut body = event("INBOUND", &w, &v, 1);
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let problem = server
            .post(EVENTS, &server.manager, &body)
            .await
            .expect_problem(status, code, detail);
        assert_eq!(
            problem["errors"][0]["pointer"].as_str().unwrap_or_default(),
            pointer,
            "{problem}"
        );
    }
    let mut discard = event("OUTBOUND", &w, &stale, 1);
    discard["reasonCode"] = json!("DISCARD_EXPIRED");
    server.post(EVENTS, &server.manager, &discard).await.expect(201);
}

#[tokio::test]
async fn what_is_not_there_is_not_taken_and_every_short_line_is_named() {
    let server = Server::start().await;
    let (w, a, b) = (
        server.warehouse("A").await,
        server.variant("S").await,
        server.variant("T").await,
    );
    server.receive(&w, &a, 3).await;
    let body = json!({"type": "OUTBOUND", "warehouseId": w, "lines": [
        {"variantId": a, "quantity": 4}, {"variantId": b, "quantity": 1}]});
    let problem = server.post(EVENTS, &server.manager, &body).await.expect_problem(
        409,
        "insufficient-stock",
        "stock-insufficient",
    );
    assert_eq!(
        problem["shortages"],
        json!([
            {"variantId": a, "variantSku": "S", "requested": 4, "available": 3},
            {"variantId": b, "variantSku": "T", "requested": 1, "available": 0},
        ])
    );
    let stock = server
        .fetch_now(
            &format!("/api/v1/stock?warehouseId={w}&variantId={a}"),
            &server.viewer,
        )
        .await
        .expect(200)
        .json();
    assert_eq!(stock["content"][0]["onHand"], 3, "nothing was taken");
}

#[tokio::test]
async fn a_key_makes_a_request_happen_once() {
    let server = Server::start().await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    let body = event("INBOUND", &w, &v, 5);
    let send = async |token: &str, body: &Value, key: &str| {
        server
            .call_with(
                Method::POST,
                EVENTS,
                token,
                Some(body),
                &[("idempotency-key", key)],
            )
            .await
    };
    let first = send(&server.manager, &body, "k1").await.expect(201);
    assert!(!first.headers.contains_key("idempotency-replayed"));
    server.clock.advance_ms(60_000);
    for token in [&server.manager, &server.admin] {
        let again = send(token, &body, "k1").await.expect(201);
        assert_eq!(again.header("idempotency-replayed"), "true");
        assert_eq!(again.json(), first.json(), "the first answer, whoever asks");
        assert_eq!(again.header("ledger-position"), first.header("ledger-position"));
    }
    let other = send(&server.manager, &event("INBOUND", &w, &v, 6), "k1").await;
    let problem = other.expect_problem(409, "idempotency-conflict", "stock-idempotency-conflict");
    assert_eq!(problem["eventId"], first.json()["id"]);
    send(&server.viewer, &body, "k1")
        .await
        .expect_problem(403, "forbidden", "Forbidden");
    let seller = server
        .key("default", Role::Seller, &[::uuid::Uuid::from_u128(1)])
        .await;
    send(&seller, &body, "k1")
        .await
        .expect_problem(403, "forbidden", "Forbidden");
    let outbound = event("OUTBOUND", &w, &v, 6);
    send(&server.manager, &outbound, "k2").await.expect_problem(
        409,
        "insufficient-stock",
        "stock-insufficient",
    );
    server.receive(&w, &v, 1).await;
    send(&server.manager, &outbound, "k2").await.expect(201);
    for wrong in ["", " ", "with blank", &"k".repeat(256)] {
        let problem = send(&server.manager, &body, wrong).await.expect_problem(
            400,
            "invalid-payload",
            "invalid payload",
        );
        assert_eq!(problem["errors"][0]["header"], "Idempotency-Key");
    }
}

#[tokio::test]
async fn only_an_admin_records_in_the_name_of_another() {
    let server = Server::start().await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    let user = server.user("default", "uma", Role::Viewer).await;
    let mut body = event("INBOUND", &w, &v, 5);
    body["userId"] = json!(user);
    let problem =
        server
            .post(EVENTS, &server.manager, &body)
            .await
            .expect_problem(403, "forbidden", "Forbidden");
    assert_eq!(problem["reason"], "on-behalf");
    let created = server.post(EVENTS, &server.admin, &body).await.expect(201).json();
    assert_eq!(
        (&created["createdById"], &created["createdByUsername"]),
        (&json!(user), &json!("uma"))
    );
    assert!(created["sentById"].is_string(), "both are recorded: {created}");
    let path = format!("{EVENTS}/{}", created["id"].as_str().unwrap());
    assert_eq!(
        server.get(&path, &server.viewer).await.expect(200).json(),
        created
    );
    server.app.accounts().tenant_add("other").await.unwrap();
    let foreign = server.user("other", "olaf", Role::Viewer).await;
    body["userId"] = json!(foreign);
    let problem = server.post(EVENTS, &server.admin, &body).await.expect_problem(
        400,
        "invalid-payload",
        "invalid payload",
    );
    assert_eq!(problem["errors"][0]["pointer"], "/userId");
}

#[tokio::test]
async fn a_seller_moves_and_sees_its_own_warehouses_only() {
    let server = Server::start().await;
    let (own, foreign, v) = (
        server.warehouse("OWN").await,
        server.warehouse("FOREIGN").await,
        server.variant("S").await,
    );
    let seller = server.key("default", Role::Seller, &[uuid(&own)]).await;
    let mine = server
        .post(EVENTS, &seller, &event("INBOUND", &own, &v, 2))
        .await
        .expect(201)
        .json();
    let problem = server
        .post(EVENTS, &seller, &event("INBOUND", &foreign, &v, 2))
        .await
        .expect_problem(403, "forbidden", "Forbidden");
    assert_eq!(problem["reason"], "warehouse");
    let theirs = server.receive(&foreign, &v, 2).await;
    let path = |event: &Value| format!("{EVENTS}/{}", event["id"].as_str().unwrap());
    server.get(&path(&mine), &seller).await.expect(200);
    server
        .get(&path(&theirs), &seller)
        .await
        .expect_problem(404, "event-not-found", "stock-event-not-found");
    let problem = server
        .get(EVENTS, &seller)
        .await
        .expect_problem(403, "forbidden", "Forbidden");
    assert_eq!(problem["reason"], "warehouse-required");
    server
        .get(&format!("{EVENTS}?warehouseId={foreign}"), &seller)
        .await
        .expect_problem(403, "forbidden", "Forbidden");
    let page = server
        .fetch_now(&format!("{EVENTS}?warehouseId={own}"), &seller)
        .await
        .expect(200)
        .json();
    assert_eq!(page["content"], json!([mine]));
}

#[tokio::test]
async fn an_id_that_leads_nowhere_is_not_found() {
    let server = Server::start().await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    let recorded = server.receive(&w, &v, 1).await;
    let line = recorded["lines"][0]["id"].as_str().unwrap();
    for id in [
        &w,
        &v,
        line,
        "1",
        "nothing",
        "0a0fa4e5-21f8-426c-8f8b-8c61d85f7b71",
    ] {
        server
            .get(&format!("{EVENTS}/{id}"), &server.admin)
            .await
            .expect_problem(404, "event-not-found", "stock-event-not-found");
    }
    server.app.accounts().tenant_add("other").await.unwrap();
    let stranger = server.key("other", Role::Admin, &[]).await;
    let path = format!("{EVENTS}/{}", recorded["id"].as_str().unwrap());
    server
        .get(&path, &stranger)
        .await
        .expect_problem(404, "event-not-found", "stock-event-not-found");
    let problem = server.post(EVENTS, &stranger, &event("INBOUND", &w, &v, 1)).await;
    problem.expect_problem(404, "warehouse-not-found", "stock-warehouse-not-found");
}

/// Twelve events over two warehouses and two variants, an hour apart.
async fn history(server: &Server) -> (String, String, String, String, Vec<Value>) {
    let (w1, w2) = (server.warehouse("A").await, server.warehouse("B").await);
    let (v1, v2) = (server.variant("S").await, server.variant("T").await);
    let mut events = Vec::new();
    for n in 0..12 {
        let mut body = event(
            if n % 3 == 2 && n % 4 != 0 {
                "OUTBOUND"
            } else {
                "INBOUND"
            },
            if n < 6 { &w1 } else { &w2 },
            &v1,
            1,
        );
        if n % 4 == 0 {
            body["lines"] = json!([{"variantId": v1, "quantity": 2}, {"variantId": v2, "quantity": 1}]);
        }
        if n % 2 == 0 && n % 3 != 2 {
            body["reasonCode"] = json!("PURCHASE");
        }
        // Recorded in one order, occurred in another.
        body["occurredAt"] = json!(format!("2025-03-01T{:02}:00:00Z", (n * 5) % 12));
        events.push(
            server
                .post(EVENTS, &server.manager, &body)
                .await
                .expect(201)
                .json(),
        );
    }
    (w1, w2, v1, v2, events)
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_counted() {
    let server = Server::start().await;
    let (w1, _, v1, v2, events) = history(&server).await;
    let ids = |events: &[Value]| events.iter().map(|event| event["id"].clone()).collect::<Vec<_>>();
    let listed = async |query: &str| {
        let page = server
            .fetch_now(&format!("{EVENTS}?size=50&{query}"), &server.viewer)
            .await
            .expect(200)
            .json();
        assert_eq!(
            page["page"]["totalElements"],
            page["content"].as_array().unwrap().len()
        );
        ids(page["content"].as_array().unwrap())
    };
    let expected = |keep: &dyn Fn(&Value) -> bool| {
        let mut kept: Vec<Value> = events.iter().filter(|event| keep(event)).cloned().collect();
        kept.sort_by_key(|event| std::cmp::Reverse(event["occurredAt"].as_str().unwrap().to_owned()));
        ids(&kept)
    };
    assert_eq!(listed("").await, expected(&|_| true));
    assert_eq!(
        listed("type=OUTBOUND").await,
        expected(&|event| event["type"] == "OUTBOUND")
    );
    assert_eq!(
        listed(&format!("warehouseId={w1}")).await,
        expected(&|event| event["warehouseId"] == json!(w1))
    );
    assert_eq!(
        listed("reasonCode=PURCHASE").await,
        expected(&|event| event["reasonCode"] == "PURCHASE")
    );
    let has = |event: &Value, v: &str| {
        event["lines"]
            .as_array()
            .unwrap()
            .iter()
            .any(|line| line["variantId"] == v)
    };
    assert_eq!(
        listed(&format!("variantId={v2}")).await,
        expected(&|event| has(event, &v2))
    );
    assert_eq!(listed(&format!("variantId={v1}")).await.len(), 12);
    let (from, to) = ("2025-03-01T02:00:00Z", "2025-03-01T07:00:00Z");
    let within = expected(&|event| (from..=to).contains(&event["occurredAt"].as_str().unwrap()));
    assert_eq!(
        listed(&format!("occurredFrom={from}&occurredTo={to}")).await,
        within
    );
    let both = expected(&|event| {
        event["type"] == "INBOUND" && event["warehouseId"] == json!(w1) && event["reasonCode"] == "PURCHASE"
    });
    assert_eq!(
        listed(&format!("type=INBOUND&warehouseId={w1}&reasonCode=PURCHASE")).await,
        both
    );
    let mut ascending = expected(&|_| true);
    ascending.reverse();
    assert_eq!(listed("sort=occurredAt,asc").await, ascending);
    assert_eq!(listed("sort=createdAt,asc").await, ids(&events));
    assert_eq!(listed("type=HOLD").await, Vec::<Value>::new());
}

#[tokio::test]
async fn pages_and_cursors_cover_a_list_once() {
    let server = Server::start().await;
    let (.., events) = history(&server).await;
    for sort in [
        "occurredAt,desc",
        "occurredAt,asc",
        "createdAt,desc",
        "createdAt,asc",
    ] {
        let whole = server
            .fetch_now(&format!("{EVENTS}?size=500&sort={sort}"), &server.viewer)
            .await
            .expect(200)
            .json();
        assert_eq!(whole["content"].as_array().unwrap().len(), events.len());
        assert_eq!(whole["nextCursor"], Value::Null);
        let (mut by_page, mut by_cursor, mut query) = (Vec::new(), Vec::new(), String::new());
        for number in 0..3 {
            let page = server
                .get(
                    &format!("{EVENTS}?size=5&sort={sort}&page={number}"),
                    &server.viewer,
                )
                .await
                .expect(200)
                .json();
            assert_eq!(
                page["page"],
                json!({"number": number, "size": 5, "totalElements": 12, "totalPages": 3})
            );
            by_page.extend(page["content"].as_array().unwrap().clone());
            let next = server
                .get(&format!("{EVENTS}?size=5&sort={sort}{query}"), &server.viewer)
                .await
                .expect(200)
                .json();
            assert_eq!(
                next["page"], page["page"],
                "a cursor knows its page and the total"
            );
            by_cursor.extend(next["content"].as_array().unwrap().clone());
            query = format!("&cursor={}", next["nextCursor"].as_str().unwrap_or_default());
        }
        assert_eq!(json!(by_page), whole["content"]);
        assert_eq!(json!(by_cursor), whole["content"]);
    }
}

#[tokio::test]
async fn a_list_refuses_what_it_does_not_understand() {
    let server = Server::start().await;
    server.warehouse("A").await;
    let first = server
        .fetch_now(&format!("{EVENTS}?size=1"), &server.viewer)
        .await
        .expect(200)
        .json();
    assert_eq!(first["page"]["totalElements"], 0);
    for (query, parameter) in [
        ("type=GIFT", "type"),
        ("reasonCode=X", "reasonCode"),
        ("warehouseId=A", "warehouseId"),
        ("variantId=1", "variantId"),
        ("occurredFrom=2025", "occurredFrom"),
        ("size=0", "size"),
        ("size=501", "size"),
        ("page=-1", "page"),
        ("sort=notes,asc", "sort"),
        ("sort=occurredAt,up", "sort"),
        ("cursor=abc", "cursor"),
        ("warehouse=A", "warehouse"),
        ("size=1&size=2", "size"),
    ] {
        let problem = server
            .get(&format!("{EVENTS}?{query}"), &server.viewer)
            .await
            .expect_problem(400, "invalid-payload", "invalid payload");
        assert_eq!(problem["errors"][0]["parameter"], parameter, "{query}");
    }
    let foreign = uuid::Uuid::new_v4();
    server
        .get(&format!("{EVENTS}?warehouseId={foreign}"), &server.viewer)
        .await
        .expect_problem(404, "warehouse-not-found", "stock-warehouse-not-found");
    server
        .get(&format!("{EVENTS}?variantId={foreign}"), &server.viewer)
        .await
        .expect_problem(404, "variant-not-found", "stock-variant-not-found");
}

#[tokio::test]
async fn a_read_waits_for_its_position_and_then_gives_up() {
    let server = Server::start().await;
    server.warehouse("A").await;
    let feed = "/api/v1/ledger/events";
    for path in [
        EVENTS,
        "/api/v1/stock",
        "/api/v1/warehouses",
        "/api/v1/ledger",
        feed,
    ] {
        let answer = server
            .call_with(
                Method::GET,
                path,
                &server.viewer,
                None,
                &[("ledger-min-position", "1000")],
            )
            .await;
        assert_eq!(answer.header("retry-after"), "1");
        answer.expect_problem(503, "view-behind", "view-behind");
        let answer = server
            .call_with(
                Method::GET,
                path,
                &server.viewer,
                None,
                &[("ledger-min-position", "soon")],
            )
            .await;
        answer.expect_problem(400, "invalid-payload", "invalid payload");
    }
}

#[tokio::test]
async fn what_is_held_is_on_hand_and_not_available_until_it_is_given_back() {
    let server = Server::start().await;
    let (w, v) = (server.warehouse("A").await, server.variant("X").await);
    server.receive(&w, &v, 5).await;
    let held = server
        .post(EVENTS, &server.manager, &event("HOLD", &w, &v, 3))
        .await
        .expect(201)
        .json();
    assert_eq!(
        (&held["type"], &held["lines"][0]["quantity"]),
        (&json!("HOLD"), &json!(3))
    );
    let path = format!("/api/v1/stock?warehouseId={w}&variantId={v}");
    let row = server.fetch_now(&path, &server.viewer).await.expect(200).json()["content"][0].clone();
    assert_eq!(
        (&row["onHand"], &row["available"], &row["held"]),
        (&json!(5), &json!(2), &json!(3))
    );
    let over = server
        .post(EVENTS, &server.manager, &event("OUTBOUND", &w, &v, 3))
        .await;
    over.expect_problem(409, "insufficient-stock", "stock-insufficient");
    let over = server
        .post(EVENTS, &server.manager, &event("UNHOLD", &w, &v, 4))
        .await;
    over.expect_problem(409, "insufficient-stock", "stock-insufficient");
    server
        .post(EVENTS, &server.manager, &event("UNHOLD", &w, &v, 3))
        .await
        .expect(201);
    server
        .post(EVENTS, &server.manager, &event("OUTBOUND", &w, &v, 5))
        .await
        .expect(201);
}
