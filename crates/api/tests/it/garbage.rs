//! Bodies that say nonsense in one field after the other: each is told by the field that says it, and none is the
//! server's fault.

use axum::http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Server, event};

/// What stands in a field's place, one after the other.
fn nonsense() -> Vec<Value> {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    let huge = serde_json::from_str("1e300").unwrap();
    let strings = ["", " ", "\u{0}", "\u{202e}\u{7f}", "-1"].map(Value::from);
    let mut all = vec![
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        huge,
        json!(-1),
        json!(0),
        json!(0.5),
    ];
    all.extend(strings);
    all.extend([
        json!("x".repeat(900_000)),
        json!("2999-01-01T00:00:00Z"),
        json!("0001-01-01T00:00:00+14:00"),
        json!(uuid::Uuid::nil()),
        json!(true),
        json!({}),
        json!({"a": 1}),
        json!([]),
        json!([null]),
        deep,
    ]);
    all
}

/// The fields of a body as JSON pointers, lists by their first element.
fn fields(body: &Value, at: &str, all: &mut Vec<String>) {
    match body {
        Value::Object(object) => {
            for (name, value) in object {
                let at = format!("{at}/{name}");
                all.push(at.clone());
                fields(value, &at, all);
            }
        }
        Value::Array(list) => {
            if let Some(first) = list.first() {
                let at = format!("{at}/0");
                all.push(at.clone());
                fields(first, &at, all);
            }
        }
        _ => {}
    }
}

/// Where an answer says that something is wrong: pointers, or the names of fields in the warehouse family.
fn told(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    if let Some(details) = body["error"]["details"].as_object() {
        return details.keys().map(|name| format!("/{name}")).collect();
    }
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    let pointers = errors.iter().filter_map(|error| error["pointer"].as_str());
    pointers.map(str::to_owned).collect()
}

fn is_about(field: &str, told: &[String]) -> bool {
    told.iter()
        .any(|at| !at.is_empty() && (at.starts_with(field) || field.starts_with(at.as_str())))
}

#[tokio::test]
async fn nonsense_in_a_field_is_told_by_the_field() {
    let server = Server::start().await;
    let (here, there) = (server.warehouse("A").await, server.warehouse("B").await);
    let variant = server.variant("S").await;
    server.receive(&here, &variant, 1_000).await;
    let post = async |path: &str, body: Value| {
        let made = server.post(path, &server.admin, &body).await.expect(201).json();
        made["id"].as_str().unwrap().to_owned()
    };
    let now = "2025-06-01T12:00:00Z";
    let line = json!({"variantId": variant, "quantity": 1, "expectedAvailable": 5});
    let order = json!({
        "orderId": "o", "warehouseId": here, "expiresAt": "2030-01-01T00:00:00Z", "partial": false,
        "occurredAt": now, "notes": "n", "lines": [line]
    });
    let mut plain = order.clone();
    plain["lines"] = json!([{"variantId": variant, "quantity": 10}]);
    let reservation = post("/api/v1/reservations", plain).await;
    let shipment = json!({
        "transferId": "t", "fromWarehouseId": here, "toWarehouseId": there, "occurredAt": now, "notes": "n",
        "lines": [line]
    });
    let mut plain = shipment.clone();
    plain["lines"] = json!([{"variantId": variant, "quantity": 10}]);
    let transfer = post("/api/v1/transfers", plain).await;
    let count = post("/api/v1/counts", json!({"warehouseId": there})).await;
    let sell_all = event("OUTBOUND", &there, &variant, 3);
    server
        .patch(
            &format!("/api/v1/warehouses/{there}"),
            &server.admin,
            &json!({"negativeStock": "record"}),
        )
        .await
        .expect(200);
    let exception = post("/api/v1/stock-events", sell_all).await;
    let step = json!({"occurredAt": now, "notes": "n", "lines": [line]});
    let (pick, pack) = (step.clone(), step.clone());
    let mut release = step.clone();
    release["from"] = json!("PICKED");
    let found = json!({"variantId": variant, "received": 1, "damaged": 0, "short": 1});
    let receipt = json!({"warehouseId": there, "occurredAt": now, "notes": "n", "lines": [found]});
    let counted = json!({"variantId": variant, "counted": 1, "countedAt": now});
    let source = json!({"name": "c", "reportedAt": now, "measures": "onHand", "lines": [
        {"warehouseCode": "A", "sku": "S", "quantity": 1}
    ]});
    let (patch, send) = (Method::PATCH, Method::POST);
    let (r, t, c) = (
        format!("/api/v1/reservations/{reservation}"),
        format!("/api/v1/transfers/{transfer}"),
        format!("/api/v1/counts/{count}"),
    );
    let slot = format!("/api/v1/slots/{here}/{variant}");
    let sku = format!("/api/warehouse/inventory/{variant}");
    let requests = [
        (
            &send,
            "/api/v1/stock-events".to_owned(),
            json!({
                "type": "INBOUND", "warehouseId": here, "occurredAt": now, "reasonCode": "OTHER", "notes": "n", "lines": [line]
            }),
        ),
        (&send, "/api/v1/reservations".to_owned(), order),
        (&send, format!("{r}/pick"), pick),
        (&send, format!("{r}/pack"), pack),
        (&send, format!("{r}/release"), release),
        (
            &send,
            format!("{r}/extend"),
            json!({"expiresAt": "2031-01-01T00:00:00Z", "notes": "n"}),
        ),
        (&send, "/api/v1/transfers".to_owned(), shipment),
        (&send, format!("{t}/receive"), receipt),
        (
            &send,
            format!("{c}/lines"),
            json!({"notes": "n", "lines": [counted]}),
        ),
        (
            &send,
            "/api/v1/counts".to_owned(),
            json!({
                "warehouseId": here, "variantIds": [variant], "blind": true, "notes": "n"
            }),
        ),
        (&send, format!("{c}/approve"), json!({"notes": "n"})),
        (&send, format!("{c}/cancel"), json!({"notes": "n"})),
        (
            &send,
            format!("{t}/close"),
            json!({"reasonCode": "OTHER", "notes": "n"}),
        ),
        (
            &send,
            format!("/api/v1/exceptions/{exception}/clear"),
            json!({"notes": "n"}),
        ),
        (
            &send,
            "/api/v1/reconciliations".to_owned(),
            json!({"source": source}),
        ),
        (
            &patch,
            slot,
            json!({"bin": "A-1", "reorderPoint": 1, "maxLevel": 2}),
        ),
        (
            &send,
            format!("{sku}/adjust"),
            json!({
                "quantity": 1, "reason": "RETURN", "notes": "n", "location": "A"
            }),
        ),
        (
            &send,
            "/api/warehouse/inventory/transaction".to_owned(),
            json!({
                "skuId": variant, "type": "ADJUSTMENT", "quantity": 1, "reason": "r", "orderId": "o", "location": "A"
            }),
        ),
        (
            &patch,
            format!("{sku}/pick-order"),
            json!({"pickOrder": 1, "reason": "r", "location": "A"}),
        ),
        (&send, format!("{sku}/reconcile"), json!({"location": "A"})),
    ];
    for (method, path, body) in requests {
        let mut places = Vec::new();
        fields(&body, "", &mut places);
        for place in places {
            for value in nonsense() {
                let mut wrong = body.clone();
                *wrong.pointer_mut(&place).unwrap() = value.clone();
                let answer = server
                    .call(method.clone(), &path, &server.admin, Some(&wrong))
                    .await;
                let mut shown = value.to_string();
                shown.truncate(40);
                let about = format!("{method} {path} with {place} = {shown}: {}", answer.text());
                let status = answer.status.as_u16();
                if status == 202 {
                    // Only so many may wait.
                    let begun = format!("{path}/{}/cancel", answer.json()["id"]);
                    server
                        .call(Method::POST, &begun, &server.admin, None)
                        .await
                        .expect(202);
                }
                assert!(status < 500, "{about}");
                if matches!(status, 400 | 422) {
                    assert!(is_about(&place, &told(&answer)), "{about}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_character_nul_is_refused_by_the_field_that_has_it() {
    let server = Server::start().await;
    for list in [
        "variants?search",
        "variants?sku",
        "warehouses?code",
        "products?search",
        "reservations?orderId",
        "transfers?transferId",
        "lots?lot",
    ] {
        let path = format!("/api/v1/{list}=a%00b");
        let refused = server.get(&path, &server.viewer).await.expect(400).json();
        let (_, parameter) = list.split_once('?').unwrap();
        let errors = json!([{"parameter": parameter, "detail": "must not contain the character NUL"}]);
        assert_eq!(refused["errors"], errors, "{path}");
    }
    let sale = json!({"type": "INBOUND", "warehouseId": uuid::Uuid::nil(), "notes": "a\u{0}b",
        "lines": [{"variantId": uuid::Uuid::nil(), "quantity": 1}]});
    let refused = server.post("/api/v1/stock-events", &server.manager, &sale).await;
    let refused = refused.expect(400).json();
    assert_eq!(refused["errors"][0]["pointer"], "/notes", "{refused}");
}
