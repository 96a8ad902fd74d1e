//! Who may do what, as a table: every route, by every role, at own and foreign warehouses, from the own and a foreign
//! tenant, and by nobody. A route that is missing from the table fails the test.

use axum::http::Method;
use bincard_access::Role;
use serde_json::Value;

use crate::described;
use crate::support::{Server, event, uuid};

/// The status that each caller gets.
struct Row {
    method: Method,
    /// The route as the document has it.
    route: &'static str,
    /// What is added to the route.
    query: &'static str,
    body: &'static str,
    admin: u16,
    manager: u16,
    /// At its own warehouse, where the route is about one.
    seller: u16,
    /// At another warehouse of its tenant.
    seller_elsewhere: u16,
    viewer: u16,
    nobody: u16,
    /// An ADMIN of another tenant, asking for this tenant's things.
    stranger: u16,
}

/// Reads a row of the table.
fn row(line: &'static str) -> Row {
    let (head, body) = line.split_once(" <- ").unwrap_or((line, ""));
    let words: Vec<&str> = head.split_whitespace().collect();
    let [
        method,
        target,
        admin,
        manager,
        seller,
        seller_elsewhere,
        viewer,
        nobody,
        stranger,
    ] = words[..]
    else {
        panic!("a row has nine words: {line}");
    };
    let (route, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let status = |text: &str| text.parse().unwrap();
    Row {
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        route,
        query,
        body,
        admin: status(admin),
        manager: status(manager),
        seller: status(seller),
        seller_elsewhere: status(seller_elsewhere),
        viewer: status(viewer),
        nobody: status(nobody),
        stranger: status(stranger),
    }
}

/// W, V, E, P, U and K stand for ids of a warehouse, a variant, an event there, a product, a user and a key; D for a
/// warehouse that is nobody's own; N for something new each time. A transfer goes from there to W. `{id}` in a route is the one that fits it.
const TABLE: &str = r#"
                                                   ADMIN MANAGER SELLER elsewhere VIEWER nobody stranger
POST   /api/v1/stock-events                        201   201     201    403       403    401    404 <- {"type":"INBOUND","warehouseId":"W","lines":[{"variantId":"V","quantity":1}]}
GET    /api/v1/stock-events?warehouseId=W          200   200     200    403       200    401    404
GET    /api/v1/stock-events                        200   200     403    403       200    401    200
GET    /api/v1/stock-events?variantId=V            200   200     403    403       200    401    404
GET    /api/v1/stock-events/{id}                   200   200     200    404       200    401    404
POST   /api/v1/stock-events/{id}/reverse           201   201     201    404       403    401    404
POST   /api/v1/stock-events/bulk                   200   200     200    200       403    401    200 <- {"type":"INBOUND","warehouseId":"W","lines":[{"variantId":"V","quantity":1}]}
GET    /api/v1/stock?warehouseId=W                 200   200     200    403       200    401    404
GET    /api/v1/stock?warehouseId=W&variantId=V     200   200     200    403       200    401    404
GET    /api/v1/stock?warehouseId=W&asOf=2025-06-01T00:00:00Z 200 200 200 403      200    401    404
GET    /api/v1/stock                               200   200     403    403       200    401    200
GET    /api/v1/movements?variantId=V&warehouseId=W  200   200     200    403       200    401    404
GET    /api/v1/movements?variantId=V               200   200     403    403       200    401    404
POST   /api/v1/reservations                        201   201     201    403       403    401    404 <- {"orderId":"N","warehouseId":"W","lines":[{"variantId":"V","quantity":1}]}
GET    /api/v1/reservations?warehouseId=W          200   200     200    403       200    401    404
GET    /api/v1/reservations                        200   200     403    403       200    401    200
GET    /api/v1/reservations/{id}                   200   200     200    404       200    401    404
POST   /api/v1/reservations/{id}/pick              201   201     201    404       403    401    404
POST   /api/v1/reservations/{id}/pack              409   409     409    404       403    401    404
POST   /api/v1/reservations/{id}/ship              409   409     409    404       403    401    404
POST   /api/v1/reservations/{id}/release           201   201     201    404       403    401    404
POST   /api/v1/reservations/{id}/extend            201   201     201    404       403    401    404 <- {"expiresAt":null}
GET    /api/v1/exceptions?warehouseId=W            200   200     200    403       200    401    404
GET    /api/v1/exceptions                          200   200     403    403       200    401    200
GET    /api/v1/exceptions?variantId=V&state=OPEN&type=negative-stock 200 200 403 403 200 401    404
GET    /api/v1/exceptions/{id}                     200   200     200    404       200    401    404
POST   /api/v1/exceptions/{id}/clear               201   201     403    403       403    401    404 <- {"notes":"N"}
POST   /api/v1/transfers                           201   201     201    403       403    401    404 <- {"fromWarehouseId":"W","toWarehouseId":"D","lines":[{"variantId":"V","quantity":1}]}
GET    /api/v1/transfers?fromWarehouseId=W         200   200     200    403       200    401    404
GET    /api/v1/transfers?toWarehouseId=W           200   200     200    403       200    401    404
GET    /api/v1/transfers                           200   200     403    403       200    401    200
GET    /api/v1/transfers/{id}                      200   200     200    404       200    401    404
POST   /api/v1/transfers/{id}/receive              201   201     201    404       403    401    404
POST   /api/v1/transfers/{id}/close                201   201     403    403       403    401    404 <- {"reasonCode":"OTHER"}
POST   /api/v1/counts                              201   201     403    403       403    401    404 <- {"warehouseId":"W","blind":true}
GET    /api/v1/counts?warehouseId=W                200   200     200    403       200    401    404
GET    /api/v1/counts                              200   200     403    403       200    401    200
GET    /api/v1/counts?variantId=V&state=OPEN       200   200     403    403       200    401    404
GET    /api/v1/counts/{id}                         200   200     200    404       200    401    404
POST   /api/v1/counts/{id}/lines                   201   201     201    404       403    401    404 <- {"lines":[{"variantId":"V","counted":3}]}
POST   /api/v1/counts/{id}/approve                 409   409     403    403       403    401    404
POST   /api/v1/counts/{id}/cancel                  201   201     403    403       403    401    404 <- {"notes":"N"}
GET    /api/v1/products                            200   200     200    200       200    401    200
POST   /api/v1/products                            201   201     403    403       403    401    201 <- {"name":"N"}
POST   /api/v1/products/bulk                       200   200     403    403       403    401    200 <- {"name":"N"}
GET    /api/v1/products/{id}                       200   200     200    200       200    401    404
PATCH  /api/v1/products/{id}                       200   200     403    403       403    401    404 <- {"name":"N"}
GET    /api/v1/warehouses                          200   200     200    200       200    401    200
POST   /api/v1/warehouses                          201   201     403    403       403    401    201 <- {"code":"N","name":"N"}
POST   /api/v1/warehouses/bulk                     200   200     403    403       403    401    200 <- {"code":"N","name":"N"}
GET    /api/v1/warehouses/{id}                     200   200     200    403       200    401    404
PATCH  /api/v1/warehouses/{id}                     200   200     403    403       403    401    404 <- {"name":"N"}
GET    /api/v1/variants                            200   200     200    200       200    401    200
POST   /api/v1/variants                            201   201     403    403       403    401    201 <- {"sku":"N","name":"N"}
POST   /api/v1/variants/bulk                       200   200     403    403       403    401    200 <- {"sku":"N","name":"N"}
GET    /api/v1/variants/{id}                       200   200     200    200       200    401    404
PATCH  /api/v1/variants/{id}                       200   200     403    403       403    401    404 <- {"name":"N"}
GET    /api/v1/lots                                200   200     200    200       200    401    200
GET    /api/v1/lots/{id}                           200   200     200    200       200    401    404
PATCH  /api/v1/lots/{id}                           200   200     403    403       403    401    404 <- {"active":true}
POST   /api/v1/lots/{id}/recall                    200   200     403    403       403    401    404 <- {"notes":"N"}
POST   /api/v1/lots/{id}/release                   200   200     403    403       403    401    404
GET    /api/v1/slots?warehouseId=W                 200   200     200    403       200    401    404
GET    /api/v1/slots                               200   200     403    403       200    401    200
GET    /api/v1/slots/{warehouseId}/{variantId}     200   200     200    403       200    401    404
PATCH  /api/v1/slots/{warehouseId}/{variantId}     200   200     403    403       403    401    404 <- {"bin":"N"}
GET    /api/v1/ledger                              200   200     200    200       200    401    200
GET    /api/v1/ledger/events                       200   200     403    403       200    401    200
POST   /api/v1/views/{view}/rebuild                202   403     403    403       403    401    202
POST   /api/v1/reconciliations                     202   202     403    403       403    401    202 <- {}
GET    /api/v1/reconciliations                     200   200     403    403       403    401    200
GET    /api/v1/reconciliations/{id}                200   200     403    403       403    401    200
POST   /api/v1/reconciliations/{id}/cancel         202   202     403    403       403    401    202
GET    /api/v1/reconciliations/{id}/differences    200   200     403    403       403    401    200
GET    /api/v1/reconciliations/{id}/variances      200   200     403    403       403    401    200
POST   /api/v1/reconciliations/{id}/apply          409   409     403    403       403    401    409
GET    /api/v1/users                               200   403     403    403       403    401    200
POST   /api/v1/users                               201   403     403    403       403    401    201 <- {"email":"N@example.com","username":"N","password":"long enough","role":"VIEWER"}
GET    /api/v1/users/{id}                          200   403     403    403       403    401    404
PATCH  /api/v1/users/{id}                          200   403     403    403       403    401    404 <- {"plan":"premium"}
GET    /api/v1/keys                                200   403     403    403       403    401    200
POST   /api/v1/keys                                201   403     403    403       403    401    201 <- {"name":"N","role":"VIEWER"}
DELETE /api/v1/keys/{id}                           204   403     403    403       403    401    404
GET    /api/warehouse/inventory?location=W         200   200     200    403       200    401    404
GET    /api/warehouse/inventory                    200   200     403    403       200    401    200
POST   /api/warehouse/inventory/transaction        200   200     200    403       403    401    404 <- {"skuId":"V","type":"ADJUSTMENT","quantity":1,"reason":"N","location":"W"}
PATCH  /api/warehouse/inventory/{skuId}/pick-order 200   200     403    403       403    401    404 <- {"pickOrder":5,"location":"W"}
POST   /api/warehouse/inventory/{skuId}/adjust     200   200     200    403       403    401    404 <- {"quantity":1,"reason":"RETURN","location":"W"}
GET    /api/warehouse/inventory/{skuId}/transactions?location=W 200 200 200 403   200    401    404
GET    /api/warehouse/inventory/{skuId}/transactions 200 200    403    403       200    401    404
POST   /api/warehouse/inventory/{skuId}/reconcile  200   200     403    403       403    401    404 <- {"location":"W"}
POST   /api/auth/login                             401   401     401    401       401    401    401 <- {"email":"nobody@example.com","password":"wrong"}
POST   /api/auth/refresh                           401   401     401    401       401    401    401 <- {"refresh_token":"bcr_wrong"}
POST   /api/auth/logout                            200   200     200    200       200    401    200
GET    /api/auth/session                           200   200     200    200       200    401    200
GET    /healthz                                    200   200     200    200       200    200    200
GET    /readyz                                     200   200     200    200       200    200    200
GET    /metrics                                    200   200     200    200       200    200    200
"#;

fn table() -> Vec<Row> {
    TABLE
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.contains("elsewhere"))
        .map(row)
        .collect()
}

#[test]
fn the_table_has_every_route_that_is_described_and_no_other() {
    let table = table();
    let described = described::operations();
    for (method, route) in &described {
        let has = table
            .iter()
            .any(|row| row.method == *method && row.route == route);
        assert!(has, "{method} {route} is missing from the table");
    }
    for row in &table {
        let is_described = described
            .iter()
            .any(|(method, route)| row.method == *method && row.route == route);
        assert!(
            is_described,
            "{} {} is in the table and not described",
            row.method, row.route
        );
    }
}

/// The things of the tenant `default` that rows are about.
struct Things {
    own: String,
    elsewhere: String,
    depot: String,
    variant: String,
    lot: String,
    own_event: String,
    elsewhere_event: String,
    product: String,
}

#[tokio::test]
async fn everybody_may_do_what_the_table_says() {
    let server = Server::start().await;
    let (own, elsewhere, variant) = (
        server.warehouse("OWN").await,
        server.warehouse("ELSEWHERE").await,
        server.variant("S").await,
    );
    let id = |event: Value| event["id"].as_str().unwrap().to_owned();
    // Products have small numbers in every tenant: take one that the stranger has not.
    let products: String = (0..100).map(|n| format!("{{\"name\":\"P{n}\"}}\n")).collect();
    let created = server
        .bulk("/api/v1/products/bulk", &server.admin, &products)
        .await
        .expect(200);
    let product = created.lines()[99]["id"].to_string();
    let lot = lot(&server, &own).await;
    let things = Things {
        own_event: id(server.receive(&own, &variant, 1).await),
        elsewhere_event: id(server.receive(&elsewhere, &variant, 1).await),
        product,
        own,
        elsewhere,
        depot: server.warehouse("DEPOT").await,
        variant,
        lot,
    };
    server.app.accounts().tenant_add("other").await.unwrap();
    let stranger = server.key("other", Role::Admin, &[]).await;
    let seller = server.key("default", Role::Seller, &[uuid(&things.own)]).await;
    server
        .fetch_now("/api/v1/variants", &server.admin)
        .await
        .expect(200);
    server.fetch_now("/api/v1/stock", &server.admin).await.expect(200);
    server
        .fetch_now("/api/v1/stock-events", &server.admin)
        .await
        .expect(200);
    let mut number = 0;
    for row in table() {
        for (who, token, expected) in [
            ("ADMIN", &server.admin, row.admin),
            ("MANAGER", &server.manager, row.manager),
            ("SELLER", &seller, row.seller),
            ("SELLER elsewhere", &seller, row.seller_elsewhere),
            ("VIEWER", &server.viewer, row.viewer),
            ("stranger", &stranger, row.stranger),
        ] {
            number += 1;
            // Signing in is counted by address, ten a minute.
            server.clock.advance_ms(if row.route.starts_with("/api/auth") {
                3_600_000
            } else {
                0
            });
            let status = call(&server, &row, &things, who, token, number).await;
            assert_eq!(
                status, expected,
                "{} {}{} as {who}",
                row.method, row.route, row.query
            );
        }
    }
}

#[tokio::test]
async fn nobody_may_do_anything_else() {
    let server = Server::start().await;
    let nowhere = uuid::Uuid::new_v4().to_string();
    let things = Things {
        own: nowhere.clone(),
        elsewhere: nowhere.clone(),
        depot: nowhere.clone(),
        variant: nowhere.clone(),
        lot: nowhere.clone(),
        own_event: nowhere.clone(),
        elsewhere_event: nowhere,
        product: "1".to_owned(),
    };
    for row in table() {
        server.clock.advance_ms(3_600_000);
        let status = call(&server, &row, &things, "nobody", "", 0).await;
        assert_eq!(
            status, row.nobody,
            "{} {}{} as nobody",
            row.method, row.route, row.query
        );
    }
}

/// A lot, by its id.
async fn lot(server: &Server, warehouse: &str) -> String {
    let create = serde_json::json!({"sku": "MILK", "name": "Milk", "tracksLots": true});
    let variant = server
        .post("/api/v1/variants", &server.admin, &create)
        .await
        .expect(201)
        .json();
    let mut receipt = event("INBOUND", warehouse, variant["id"].as_str().unwrap(), 1);
    receipt["lines"][0]["lot"] = "2026-07".into();
    let recorded = server
        .post("/api/v1/stock-events", &server.admin, &receipt)
        .await
        .expect(201)
        .json();
    recorded["lines"][0]["lotId"].as_str().unwrap().to_owned()
}

async fn call(server: &Server, row: &Row, things: &Things, who: &str, token: &str, number: usize) -> u16 {
    let is_elsewhere = who == "SELLER elsewhere";
    let warehouse = if is_elsewhere {
        &things.elsewhere
    } else {
        &things.own
    };
    let event = if is_elsewhere {
        &things.elsewhere_event
    } else {
        &things.own_event
    };
    let mut path = row
        .route
        .replace("{view}", "catalogue")
        .replace("{warehouseId}", warehouse)
        .replace("{variantId}", &things.variant)
        .replace("{skuId}", &things.variant);
    if path.contains("{id}") {
        let id = match row.route.split('/').nth(3).unwrap() {
            "stock-events" if row.route.ends_with("/reverse") => {
                undoable(server, warehouse, &things.variant).await
            }
            "stock-events" => event.clone(),
            "reservations" => reservation(server, warehouse, &things.variant, number).await,
            "counts" => count(server, warehouse).await,
            "exceptions" => exception(server, warehouse, &things.variant, number).await,
            "transfers" => transfer(server, things, warehouse).await,
            "products" => things.product.clone(),
            "warehouses" => warehouse.clone(),
            "variants" => things.variant.clone(),
            "lots" => things.lot.clone(),
            "users" => server
                .user("default", &format!("subject{number}{}", row.method), Role::Viewer)
                .await
                .to_string(),
            // They are counted from 1 in every ledger.
            "reconciliations" => "1".to_owned(),
            "keys" => key_id(server).await,
            other => panic!("what is {other}?"),
        };
        path = path.replace("{id}", &id);
    }
    if row.route == "/api/v1/counts" {
        // Of what is being counted no other count is opened.
        cancel(server, &count(server, warehouse).await).await;
    }
    let fill = |text: &str| {
        text.replace("=W", &format!("={warehouse}"))
            .replace("=V", &format!("={}", things.variant))
    };
    path += &fill(row.query);
    let body = row
        .body
        .replace("\"W\"", &format!("\"{warehouse}\""))
        .replace("\"D\"", &format!("\"{}\"", things.depot))
        .replace("\"V\"", &format!("\"{}\"", things.variant));
    let body = body.replace("\"N", &format!("\"new{number}"));
    if row.route.ends_with("/bulk") {
        let answer = server.bulk(&path, token, &body).await;
        if answer.status == 200 && row.route.contains("stock-events") {
            let expected = match who {
                "SELLER elsewhere" => 403,
                "stranger" => 404,
                _ => 201,
            };
            assert_eq!(answer.lines()[0]["status"], expected, "a line of {path} as {who}");
        }
        return answer.status.as_u16();
    }
    let body = (!body.is_empty()).then(|| serde_json::from_str::<Value>(&body).unwrap());
    server
        .call(row.method.clone(), &path, token, body.as_ref())
        .await
        .status
        .as_u16()
}

/// The id of a reservation made for this; any id where there is no such warehouse.
async fn reservation(server: &Server, warehouse: &str, variant: &str, number: usize) -> String {
    let lines = serde_json::json!([{"variantId": variant, "quantity": 1}]);
    let body =
        serde_json::json!({"orderId": format!("subject{number}"), "warehouseId": warehouse, "lines": lines});
    server
        .post(
            "/api/v1/stock-events",
            &server.admin,
            &serde_json::json!({"type": "INBOUND", "warehouseId": warehouse, "lines": lines}),
        )
        .await;
    let made = server.post("/api/v1/reservations", &server.admin, &body).await;
    match made.status.as_u16() {
        201 => made.json()["id"].as_str().unwrap().to_owned(),
        _ => warehouse.to_owned(),
    }
}

/// The id of an event recorded for this; any id where there is no such warehouse.
async fn undoable(server: &Server, warehouse: &str, variant: &str) -> String {
    let body = event("INBOUND", warehouse, variant, 1);
    let made = server.post("/api/v1/stock-events", &server.admin, &body).await;
    match made.status.as_u16() {
        201 => made.json()["id"].as_str().unwrap().to_owned(),
        _ => warehouse.to_owned(),
    }
}

/// The id of a count opened for this, after cancelling one that was open; any id where there is no such warehouse.
async fn count(server: &Server, warehouse: &str) -> String {
    let body = serde_json::json!({"warehouseId": warehouse});
    loop {
        let opened = server.post("/api/v1/counts", &server.admin, &body).await;
        match opened.status.as_u16() {
            201 => return opened.json()["id"].as_str().unwrap().to_owned(),
            409 => cancel(server, opened.json()["countId"].as_str().unwrap()).await,
            _ => return warehouse.to_owned(),
        }
    }
}

async fn cancel(server: &Server, count: &str) {
    let path = format!("/api/v1/counts/{count}/cancel");
    server.call(Method::POST, &path, &server.admin, None).await;
}

/// The id of an exception made for this; any id where there is no such warehouse.
async fn exception(server: &Server, warehouse: &str, variant: &str, number: usize) -> String {
    let policy = serde_json::json!({"negativeStock": "record"});
    let path = format!("/api/v1/warehouses/{warehouse}");
    server
        .call(Method::PATCH, &path, &server.admin, Some(&policy))
        .await;
    let taken = server
        .post(
            "/api/v1/stock-events",
            &server.admin,
            &serde_json::json!({
                "type": "ADJUST", "warehouseId": warehouse, "notes": format!("subject{number}"),
                "lines": [{"variantId": variant, "quantity": -1_000_000}],
            }),
        )
        .await;
    match taken.status.as_u16() {
        201 => {
            // What follows finds as much as it would have without this.
            let back = serde_json::json!({
                "type": "INBOUND", "warehouseId": warehouse, "lines": [{"variantId": variant, "quantity": 1_000_000}],
            });
            server
                .post("/api/v1/stock-events", &server.admin, &back)
                .await
                .expect(201);
            taken.json()["id"].as_str().unwrap().to_owned()
        }
        _ => warehouse.to_owned(),
    }
}

/// The id of a transfer to a warehouse made for this; any id where there is no such warehouse.
async fn transfer(server: &Server, things: &Things, warehouse: &str) -> String {
    let lines = serde_json::json!([{"variantId": things.variant, "quantity": 1}]);
    let inbound = serde_json::json!({"type": "INBOUND", "warehouseId": things.depot, "lines": lines});
    server.post("/api/v1/stock-events", &server.admin, &inbound).await;
    let body =
        serde_json::json!({"fromWarehouseId": things.depot, "toWarehouseId": warehouse, "lines": lines});
    let made = server.post("/api/v1/transfers", &server.admin, &body).await;
    match made.status.as_u16() {
        201 => made.json()["id"].as_str().unwrap().to_owned(),
        _ => warehouse.to_owned(),
    }
}

/// The id of a key made for this.
async fn key_id(server: &Server) -> String {
    let body = serde_json::json!({"name": "to be revoked", "role": "VIEWER"});
    let key = server
        .post("/api/v1/keys", &server.admin, &body)
        .await
        .expect(201);
    key.json()["id"].as_str().unwrap().to_owned()
}
