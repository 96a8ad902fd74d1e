//! Where a problem points: to the field that the caller sent, by the name that the caller's request has for it; and by what
//! names it tells of variants and lots.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Server, event};

#[tokio::test]
async fn a_problem_points_to_what_was_sent() {
    let server = Server::start().await;
    let (here, there) = (server.warehouse("A").await, server.warehouse("B").await);
    let variant = server.variant("S").await;
    let milk = json!({"sku": "MILK", "name": "Milk", "tracksLots": true});
    let milk = server
        .post("/api/v1/variants", &server.admin, &milk)
        .await
        .expect(201)
        .json();
    let line =
        json!({"variantId": milk["id"], "quantity": 5, "lot": "L", "expiresAt": "2030-01-01T00:00:00Z"});
    let inbound = json!({"type": "INBOUND", "warehouseId": here, "lines": [line]});
    let recorded = server
        .post("/api/v1/stock-events", &server.admin, &inbound)
        .await
        .expect(201)
        .json();
    let lot = recorded["lines"][0]["lotId"].as_str().unwrap().to_owned();
    server.receive(&here, &variant, 10).await;
    let nobody = uuid::Uuid::new_v4().to_string();
    let all = json!({"warehouseId": here});
    let count = server
        .post("/api/v1/counts", &server.admin, &all)
        .await
        .expect(201)
        .json();
    let count = format!("/api/v1/counts/{}/lines", count["id"].as_str().unwrap());
    let counts = "/api/v1/counts".to_owned();
    let transfers = "/api/v1/transfers".to_owned();
    let events = "/api/v1/stock-events".to_owned();
    let found = |of: &Value, at: &str| json!({"lines": [{"variantId": of, "counted": 1, "countedAt": at}]});
    let sent = |from: &str, to: &str| json!({"fromWarehouseId": from, "toWarehouseId": to, "lines": [{"variantId": variant, "quantity": 1}]});
    let (far, noon) = ("2999-01-01T00:00:00Z", "2025-06-01T12:00:00Z");
    let of = json!(variant);
    let wrong_lot = |lot: &str| {
        let good = json!({"variantId": milk["id"], "quantity": 1, "lot": "M"});
        let wrong = json!({"variantId": milk["id"], "quantity": 1, "lot": lot});
        json!({"type": "INBOUND", "warehouseId": here, "lines": [good, wrong]})
    };
    let (post, patch) = (Method::POST, Method::PATCH);
    let listed = |ids: Value| json!({"warehouseId": there, "variantIds": ids});
    for (method, path, body, status, pointer) in [
        (
            &post,
            counts.clone(),
            listed(json!([variant, nobody])),
            404,
            Some("/variantIds/1"),
        ),
        (
            &post,
            counts.clone(),
            listed(json!([variant, variant])),
            400,
            Some("/variantIds/1"),
        ),
        (
            &post,
            counts.clone(),
            listed(json!([milk["id"]])),
            400,
            Some("/variantIds/0"),
        ),
        (&post, counts.clone(), listed(json!([])), 400, Some("/variantIds")),
        (
            &post,
            counts,
            json!({"warehouseId": nobody}),
            404,
            Some("/warehouseId"),
        ),
        (
            &post,
            count.clone(),
            found(&of, far),
            400,
            Some("/lines/0/countedAt"),
        ),
        (
            &post,
            count.clone(),
            found(&of, "0001-01-01T00:00:00+14:00"),
            409,
            Some("/lines/0/countedAt"),
        ),
        (
            &post,
            count.clone(),
            found(&json!(nobody), noon),
            404,
            Some("/lines/0/variantId"),
        ),
        (
            &post,
            count,
            found(&milk["id"], noon),
            400,
            Some("/lines/0/variantId"),
        ),
        (
            &post,
            transfers.clone(),
            sent(&nobody, &there),
            404,
            Some("/fromWarehouseId"),
        ),
        (
            &post,
            transfers.clone(),
            sent(&here, &nobody),
            404,
            Some("/toWarehouseId"),
        ),
        (&post, transfers, sent(&here, &here), 400, Some("/toWarehouseId")),
        (&post, events.clone(), wrong_lot(" "), 400, Some("/lines/1/lot")),
        (
            &post,
            events.clone(),
            wrong_lot(&"x".repeat(65)),
            400,
            Some("/lines/1/lot"),
        ),
        (
            &post,
            events,
            event("INBOUND", &nobody, &variant, 1),
            404,
            Some("/warehouseId"),
        ),
        (
            &patch,
            format!("/api/v1/variants/{lot}"),
            json!({"name": "x"}),
            404,
            None,
        ),
        (
            &patch,
            format!("/api/v1/slots/{here}/{lot}"),
            json!({"bin": "x"}),
            404,
            None,
        ),
        (
            &patch,
            format!("/api/v1/slots/{here}/{variant}"),
            json!({"bin": " "}),
            400,
            Some("/bin"),
        ),
        (
            &patch,
            format!("/api/v1/lots/{lot}"),
            json!({"expiresAt": "soon"}),
            400,
            Some("/expiresAt"),
        ),
    ] {
        let answer = server
            .call(method.clone(), &path, &server.admin, Some(&body))
            .await;
        let problem = answer.expect(status).json();
        assert_eq!(
            problem["errors"][0]["pointer"].as_str(),
            pointer,
            "{path}: {problem}"
        );
    }
}

#[tokio::test]
async fn what_is_short_is_told_by_its_names() {
    let server = Server::start().await;
    let here = server.warehouse("A").await;
    let tea = server.variant("TEA").await;
    let milk = json!({"sku": "MILK", "name": "Milk", "tracksLots": true});
    let milk = server
        .post("/api/v1/variants", &server.admin, &milk)
        .await
        .expect(201)
        .json();
    let line = |quantity: i64| json!({"variantId": milk["id"], "quantity": quantity, "lot": "L"});
    let asked = |kind: &str, lines: Value| json!({"type": kind, "warehouseId": here, "lines": lines});
    let events = "/api/v1/stock-events";
    let made = server
        .post(events, &server.admin, &asked("INBOUND", json!([line(5)])))
        .await
        .expect(201)
        .json();
    let body = asked("OUTBOUND", json!([line(9), {"variantId": tea, "quantity": 2}]));
    let problem = server.post(events, &server.admin, &body).await.expect(409).json();
    let lot = &made["lines"][0]["lotId"];
    let mut short = problem["shortages"].as_array().unwrap().clone();
    short.sort_by_key(|one| one["variantSku"].to_string());
    assert_eq!(
        json!(short),
        json!([
            {"variantId": milk["id"], "variantSku": "MILK", "lotId": lot, "lot": "L", "requested": 9, "available": 5},
            {"variantId": tea, "variantSku": "TEA", "requested": 2, "available": 0},
        ])
    );
    let adjust = json!({"quantity": -3, "reason": "DAMAGE", "location": "A"});
    let path = format!("/api/warehouse/inventory/{tea}/adjust");
    let error = server
        .post(&path, &server.admin, &adjust)
        .await
        .expect(409)
        .json();
    assert_eq!(error["error"]["details"]["shortages"][0]["variantSku"], "TEA");
    let expecting = json!([{"variantId": tea, "quantity": 1, "expectedAvailable": 1}]);
    let body = asked("INBOUND", expecting);
    let problem = server.post(events, &server.admin, &body).await.expect(412).json();
    assert_eq!(
        problem["lines"],
        json!([{"variantId": tea, "variantSku": "TEA", "expected": 1, "available": 0}])
    );
}

#[tokio::test]
async fn the_movements_of_a_lot_are_found_by_its_id_and_by_its_code() {
    let server = Server::start().await;
    let here = server.warehouse("A").await;
    let other = server.variant("TEA").await;
    let milk = json!({"sku": "MILK", "name": "Milk", "tracksLots": true});
    let milk = server
        .post("/api/v1/variants", &server.admin, &milk)
        .await
        .expect(201)
        .json();
    let line = |quantity: i64, lot: &str| json!({"variantId": milk["id"], "quantity": quantity, "lot": lot});
    let mut ids = Vec::new();
    for (kind, line) in [
        ("INBOUND", line(5, "L1")),
        ("INBOUND", line(7, "L2")),
        ("OUTBOUND", line(2, "L1")),
    ] {
        let body = json!({"type": kind, "warehouseId": here, "lines": [line]});
        let made = server
            .post("/api/v1/stock-events", &server.admin, &body)
            .await
            .expect(201)
            .json();
        ids.push(made["lines"][0]["lotId"].as_str().unwrap().to_owned());
    }
    let moved = async |query: &str| -> Vec<(Value, Value)> {
        let found = server
            .fetch_now(&format!("/api/v1/movements?{query}"), &server.viewer)
            .await;
        let page = found.expect(200).json();
        let rows = page["content"].as_array().unwrap().clone();
        assert_eq!(page["page"]["totalElements"], rows.len());
        rows.into_iter()
            .map(|row| (row["lot"].clone(), row["quantity"].clone()))
            .collect()
    };
    let (first, second) = (json!("L1"), json!("L2"));
    let of_first = vec![(first.clone(), json!(2)), (first, json!(5))];
    for query in [
        format!("variantId={}", ids[0]),
        "sku=MILK&lot=L1".to_owned(),
        format!("variantId={}&lot=L1", milk["id"].as_str().unwrap()),
        format!("variantId={}&lot=L1", ids[0]),
    ] {
        assert_eq!(moved(&query).await, of_first, "{query}");
    }
    assert_eq!(
        moved(&format!("variantId={}", ids[1])).await,
        [(second, json!(7))]
    );
    assert_eq!(moved("sku=MILK").await.len(), 3);
    for (query, status) in [
        ("sku=MILK&lot=L3".to_owned(), 404),
        (format!("variantId={other}&lot=L1"), 404),
        (format!("variantId={}&lot=L2", ids[0]), 400),
        ("lot=L1".to_owned(), 400),
    ] {
        let path = format!("/api/v1/movements?{query}");
        server.get(&path, &server.viewer).await.expect(status);
    }
}
