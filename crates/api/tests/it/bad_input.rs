//! Every route with everything wrong that its description lets one think of: parameters, ids, headers, credentials and
//! bodies. What is answered is what the description says (which `Server::send` holds), is never the server's fault, and
//! says where the fault is.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request};
use bincard_access::Role;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::described;
use crate::support::{Answer, Server, event};

/// What bodies and paths are filled with where nothing is to be wrong.
struct Things {
    warehouse: String,
    other_warehouse: String,
    variant: String,
    event: String,
    reservation: String,
    transfer: String,
    count: String,
    exception: String,
    lot: String,
    user: String,
}

impl Things {
    async fn make(server: &Server) -> Things {
        let (warehouse, other_warehouse) = (server.warehouse("A").await, server.warehouse("B").await);
        let variant = server.variant("S").await;
        let id = |answer: Answer| answer.expect(201).json()["id"].as_str().unwrap().to_owned();
        let post = async |path: &str, body: Value| server.post(path, &server.admin, &body).await;
        let received = server.receive(&warehouse, &variant, 1_000_000).await;
        let lines = json!([{"variantId": variant, "quantity": 10}]);
        let order = json!({"orderId": "o", "warehouseId": warehouse, "lines": lines});
        let shipment =
            json!({"fromWarehouseId": warehouse, "toWarehouseId": other_warehouse, "lines": lines});
        let milk = json!({"sku": "MILK", "name": "Milk", "tracksLots": true});
        let milk = id(post("/api/v1/variants", milk).await);
        let mut receipt = event("INBOUND", &warehouse, &milk, 1);
        receipt["lines"][0]["lot"] = json!("L");
        let receipt = post("/api/v1/stock-events", receipt).await.expect(201).json();
        post("/api/v1/products", json!({"name": "P"})).await.expect(201);
        let third = server.warehouse("C").await;
        let policy = json!({"negativeStock": "record"});
        let path = format!("/api/v1/warehouses/{third}");
        server.patch(&path, &server.admin, &policy).await.expect(200);
        let sale = event("OUTBOUND", &third, &variant, 1);
        Things {
            exception: id(post("/api/v1/stock-events", sale).await),
            event: received["id"].as_str().unwrap().to_owned(),
            reservation: id(post("/api/v1/reservations", order).await),
            transfer: id(post("/api/v1/transfers", shipment).await),
            count: id(post("/api/v1/counts", json!({"warehouseId": other_warehouse})).await),
            lot: receipt["lines"][0]["lotId"].as_str().unwrap().to_owned(),
            user: server.user("default", "uma", Role::Viewer).await.to_string(),
            warehouse,
            other_warehouse,
            variant,
        }
    }

    /// What stands in a field of this name.
    fn named(&self, name: &str) -> Option<Value> {
        Some(match name {
            "warehouseId" | "fromWarehouseId" => json!(self.warehouse),
            "toWarehouseId" => json!(self.other_warehouse),
            "warehouseIds" => json!([self.warehouse]),
            "location" => json!("Warehouse A"),
            "expectedAvailable" => json!(null),
            "reasonCode" => json!("OTHER"),
            "variantId" | "skuId" => json!(self.variant),
            "productId" => json!(1),
            "userId" => json!(self.user),
            "expiresAt" => json!("2030-01-01T00:00:00Z"),
            "occurredAt" | "countedAt" | "reportedAt" | "asOf" | "knownAt" => json!("2025-06-01T00:00:00Z"),
            "email" => json!("somebody@example.com"),
            _ => return None,
        })
    }

    /// An id that leads to something for `{name}` in `path`.
    fn id_in(&self, path: &str, name: &str) -> String {
        let family = path.split('/').nth(3).unwrap_or_default();
        let id = match (name, family) {
            ("{warehouseId}", _) | (_, "warehouses") => &self.warehouse,
            ("{variantId}" | "{skuId}", _) | (_, "variants") => &self.variant,
            (_, "stock-events") => &self.event,
            (_, "exceptions") => &self.exception,
            (_, "reservations") => &self.reservation,
            (_, "transfers") => &self.transfer,
            (_, "counts") => &self.count,
            (_, "lots") => &self.lot,
            (_, "products" | "reconciliations") => "1",
            (_, "views") => "catalogue",
            (_, "users") => &self.user,
            (_, "keys") => "00000000-0000-4000-8000-000000000000",
            _ => panic!("what is {name} in {path}?"),
        };
        id.to_owned()
    }

    /// `path` with ids that lead to something, but for the part `wrong`, which is another.
    fn filled(&self, path: &str, wrong: Option<(&str, &str)>) -> String {
        let fill = |part: &str| match wrong {
            _ if !part.starts_with('{') => part.to_owned(),
            Some((name, id)) if name == part => id.to_owned(),
            _ => self.id_in(path, part),
        };
        path.split('/').map(fill).collect::<Vec<_>>().join("/")
    }

    /// A body as its schema wants it, with every field there is.
    fn sample(&self, name: &str, schema: &Value) -> Value {
        if let Some(value) = self.named(name) {
            return value;
        }
        if let Some(reference) = schema["$ref"].as_str() {
            return self.sample("", described::schema(reference));
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let choice = choices.iter().find(|choice| choice["type"] != "null");
            return self.sample("", choice.unwrap());
        }
        if let Some(words) = schema["enum"].as_array() {
            return words[0].clone();
        }
        match kind_of(schema) {
            "integer" | "number" => json!(1),
            "boolean" => json!(false),
            "array" => json!([self.sample(name, &schema["items"])]),
            "object" => {
                let fields = schema["properties"].as_object().into_iter().flatten();
                let fields = fields.map(|(name, schema)| (name.clone(), self.sample(name, schema)));
                Value::Object(Map::from_iter(fields))
            }
            _ if schema["format"] == "uuid" => json!(self.variant),
            _ => json!("text"),
        }
    }
}

/// The type that a schema names, besides `null`.
fn kind_of(schema: &Value) -> &str {
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| **kind != "null").unwrap(),
        kind => kind,
    };
    kind.as_str().unwrap_or_default()
}

/// One operation of the document.
struct Operation {
    method: Method,
    path: String,
    described: &'static Value,
}

impl Operation {
    fn all() -> Vec<Operation> {
        let operations = described::operations().into_iter();
        let all = operations.map(|(method, path)| Operation {
            described: described::operation(&method, &path).unwrap(),
            method,
            path,
        });
        all.collect()
    }

    fn parameters(&self, place: &str) -> impl Iterator<Item = &'static Value> {
        let all = self.described["parameters"].as_array().into_iter().flatten();
        all.filter(move |parameter| parameter["in"] == place)
    }

    /// The type of its body, and the body's schema.
    fn body(&self) -> Option<(&'static str, &'static Value)> {
        let content = self.described["requestBody"]["content"].as_object()?;
        let (content_type, body) = content.iter().next()?;
        Some((content_type, &body["schema"]))
    }

    /// A body that it takes, if it takes one.
    fn sample(&self, things: &Things) -> Option<Value> {
        self.body().map(|(_, schema)| things.sample("", schema))
    }
}

/// Sends a request with this query and body, a bulk body as one line; the answer is not the server's fault.
async fn send(
    server: &Server,
    operation: &Operation,
    target: &str,
    headers: &[(&str, HeaderValue)],
    body: Option<String>,
) -> Answer {
    // Signing in is counted by address, ten a minute.
    server.clock.advance_ms(60_000);
    // What must be the only one of its name is.
    let body = body.map(|body| body.replace("\"text\"", &format!("\"text {}\"", server.clock.now().0)));
    let mut request = Request::builder()
        .method(operation.method.clone())
        .uri(target)
        .body(Body::from(body.unwrap_or_default()))
        .unwrap();
    let known = request.headers_mut();
    if let Some((content_type, _)) = operation.body() {
        known.insert("content-type", HeaderValue::from_static(content_type));
    }
    let bearer = format!("Bearer {}", server.admin);
    known.insert("authorization", bearer.parse().unwrap());
    for (name, value) in headers {
        known.insert(name.parse::<axum::http::HeaderName>().unwrap(), value.clone());
    }
    let answer = server.send(request).await;
    let status = answer.status.as_u16();
    let mut shown = target.to_owned();
    shown.truncate(120);
    let about = format!("{} {shown} {headers:?}: {}", operation.method, answer.text());
    assert!(status < 500 || status == 503, "{about}");
    if status == 400 {
        assert!(
            !places(&answer).is_empty(),
            "nowhere is said what is wrong: {about}"
        );
    }
    answer
}

/// Where an answer says that something is wrong.
fn places(answer: &Answer) -> Vec<String> {
    let body = answer.json();
    if let Some(details) = body["error"]["details"].as_object() {
        return details.keys().cloned().collect();
    }
    let errors = body["errors"].as_array().cloned().unwrap_or_default();
    let place = |error: &Value| {
        let places = ["pointer", "parameter", "header"].into_iter();
        places
            .filter_map(|place| error[place].as_str())
            .next()
            .map(str::to_owned)
    };
    errors.iter().filter_map(place).collect()
}

#[tokio::test]
async fn a_wrong_parameter_is_refused_by_its_name() {
    let server = Server::start().await;
    let things = Things::make(&server).await;
    let long = "x".repeat(5_000);
    for operation in Operation::all() {
        let path = things.filled(&operation.path, None);
        let body = operation.sample(&things).map(|body| body.to_string());
        let has_query = operation.parameters("query").next().is_some();
        for parameter in operation.parameters("query") {
            let name = parameter["name"].as_str().unwrap();
            let ask = async |query: String| {
                let target = format!("{path}?{query}");
                send(&server, &operation, &target, &[], body.clone()).await
            };
            let mut must_fail = vec![
                format!("{name}="),
                format!("{name}"),
                format!("{name}=%00"),
                format!("{name}=1&{name}=1"),
            ];
            let schema = &parameter["schema"];
            let is_text = schema["format"].is_null()
                && schema["enum"].is_null()
                && schema["$ref"].is_null()
                && schema["oneOf"].is_null()
                && kind_of(schema) == "string";
            if !is_text {
                let wrong = ["x", "-1", "1.5", "99999999999999999999", "%ff", "%20"];
                must_fail.extend(wrong.map(|value| format!("{name}={value}")));
            }
            for query in must_fail {
                let answer = ask(query.clone()).await;
                assert_eq!(answer.status, 400, "{path}?{query}: {}", answer.text());
                assert!(
                    places(&answer).iter().any(|place| place == name),
                    "{path}?{query}: {}",
                    answer.text()
                );
            }
            for value in [&*long, "%F0%9F%A6%86", "0", "18446744073709551615", "x"] {
                ask(format!("{name}={value}")).await;
            }
            ask(format!("{name}={}", Uuid::nil())).await;
        }
        if has_query {
            let target = format!("{path}?colour=red");
            let answer = send(&server, &operation, &target, &[], body).await.expect(400);
            assert!(
                places(&answer).iter().any(|place| place == "colour"),
                "{}",
                answer.text()
            );
        }
    }
}

#[tokio::test]
async fn an_id_that_leads_nowhere_is_not_found() {
    let server = Server::start().await;
    let things = Things::make(&server).await;
    let long = "x".repeat(5_000);
    let nil = Uuid::nil().to_string();
    let other = Uuid::from_u128(u128::MAX).to_string();
    for operation in Operation::all() {
        let body = operation.sample(&things).map(|body| body.to_string());
        for parameter in operation.parameters("path") {
            let part = format!("{{{}}}", parameter["name"].as_str().unwrap());
            for id in [
                "0",
                "x",
                "-1",
                "4294967296",
                "18446744073709551616",
                "%00",
                "%ff",
                "%F0%9F%A6%86",
                "a%2Fb",
                &nil,
                &other,
                &long,
            ] {
                let target = things.filled(&operation.path, Some((&part, id)));
                let answer = send(&server, &operation, &target, &[], body.clone()).await;
                assert_eq!(
                    answer.status,
                    404,
                    "{} {target}: {}",
                    operation.method,
                    answer.text()
                );
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_header_is_answered_as_it_is_described() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let server = Server::start_with(folder.clone(), |_| ()).await;
    let things = Things::make(&server).await;
    server.app.close().await;
    // What waits for a position that never comes is not waited for.
    let server = Server::start_with(folder, |options| options.read_wait_max = Duration::ZERO).await;
    let long = "x".repeat(256);
    for operation in Operation::all() {
        let path = things.filled(&operation.path, None);
        let body = operation.sample(&things).map(|body| body.to_string());
        for (name, value) in [
            ("idempotency-key", ""),
            ("idempotency-key", "ü"),
            ("idempotency-key", &long),
            ("if-match", ""),
            ("if-match", "ü"),
            ("if-match", "W/\"1\""),
            ("if-match", "\"18446744073709551615\""),
            ("if-match", "\"1\", \"2\""),
            ("ledger-min-position", ""),
            ("ledger-min-position", "x"),
            ("ledger-min-position", "-1"),
            ("ledger-min-position", "18446744073709551615"),
            ("ledger-min-position", "18446744073709551616"),
            ("accept", "application/vnd.nobody+json"),
            ("accept", "ü"),
            ("content-type", "text/plain"),
            ("content-type", "ü"),
            ("content-encoding", "gzip"),
            ("authorization", ""),
            ("authorization", "Basic eDp5"),
            ("authorization", "Bearer x"),
            ("authorization", "Bearer ü"),
            ("x-request-id", "ü"),
            ("traceparent", "ü"),
        ] {
            let headers = [(name, HeaderValue::from_bytes(value.as_bytes()).unwrap())];
            let answer = send(&server, &operation, &path, &headers, body.clone()).await;
            let takes = |name: &str| {
                let mut known = operation.parameters("header");
                known.any(|header| header["name"].as_str().unwrap().eq_ignore_ascii_case(name))
            };
            let must_fail = match (name, value) {
                ("ledger-min-position", "18446744073709551615") => false,
                ("idempotency-key" | "ledger-min-position", _) => takes(name),
                _ => false,
            };
            if must_fail {
                assert_eq!(answer.status, 400, "{path} {name}: {value}: {}", answer.text());
                let said = places(&answer).join(" ").to_lowercase();
                assert!(said.contains(name), "{path} {name}: {}", answer.text());
            }
        }
    }
}

#[tokio::test]
async fn a_wrong_body_is_answered_as_it_is_described() {
    let server = Server::start().await;
    let things = Things::make(&server).await;
    let too_large = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
    for operation in Operation::all() {
        let path = things.filled(&operation.path, None);
        let Some(body) = operation.sample(&things) else {
            for nonsense in ["{", "[]", "\u{0}"] {
                send(&server, &operation, &path, &[], Some(nonsense.to_owned())).await;
            }
            continue;
        };
        let mut bodies: Vec<String> = [
            "",
            " ",
            "{",
            "[]",
            "null",
            "1",
            "\"x\"",
            "{}",
            "{\"colour\":1}",
            "{\"a\":1,\"a\":1}",
        ]
        .map(str::to_owned)
        .to_vec();
        bodies.push(too_large.clone());
        let mut fields = Vec::new();
        pointers(&body, "", &mut fields);
        for field in fields {
            bodies.extend(mutations(&body, &field));
        }
        for body in bodies {
            let answer = send(&server, &operation, &path, &[], Some(body)).await;
            if answer.status == 202 {
                // Only so many may wait.
                for id in 1..=answer.json()["id"].as_u64().unwrap_or_default() {
                    let cancel = format!("/api/v1/reconciliations/{id}/cancel");
                    server.call(Method::POST, &cancel, &server.admin, None).await;
                }
            }
        }
    }
}

/// The places in a body, as JSON pointers.
fn pointers(body: &Value, at: &str, all: &mut Vec<String>) {
    let inner: Vec<(String, &Value)> = match body {
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, value)| (at.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    for (name, value) in inner {
        let at = format!("{at}/{name}");
        pointers(value, &at, all);
        all.push(at);
    }
}

/// `body` with other things at `field`, and without it.
fn mutations(body: &Value, field: &str) -> Vec<String> {
    let others = [
        json!(null),
        json!(0),
        json!(-1),
        json!(0.5),
        json!(u64::MAX),
        json!(4_294_967_295u32),
        json!(""),
        json!("x"),
        json!("a\u{0}b"),
        json!("2999-01-01T00:00:00Z"),
        json!(Uuid::nil()),
        json!(true),
        json!({}),
        json!([]),
    ];
    let changed = others.map(|other| {
        let mut body = body.clone();
        *body.pointer_mut(field).unwrap() = other;
        body.to_string()
    });
    let mut all = changed.to_vec();
    let (holder, name) = field.rsplit_once('/').unwrap();
    let mut without = body.clone();
    if let Some(Value::Object(fields)) = without.pointer_mut(holder) {
        fields.remove(name);
        all.push(without.to_string());
    }
    all
}
