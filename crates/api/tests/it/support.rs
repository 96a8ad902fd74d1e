//! A server without a listener, with a tenant, users of every role, and something to move.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use bincard_access::{Accounts, Clock, NewKey, NewUser, PasswordCost, Plan, Role, TenantName, UnixMs};
use bincard_api::{App, Options, router};
use bincard_ledger::Timestamp;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;
use uuid::Uuid;

use crate::described;

/// Where a test's clock begins: 2025-06-01T12:00:00Z.
pub(crate) const START_MS: i64 = 1_748_779_200_000;
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// A server in a folder of its own.
pub(crate) struct Server {
    pub(crate) app: Arc<App>,
    pub(crate) routes: Router,
    pub(crate) clock: Clock,
    /// Tokens of the tenant `default`, by role; keys on the plan `service`.
    pub(crate) admin: String,
    pub(crate) manager: String,
    pub(crate) viewer: String,
    _folder: Arc<TempDir>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub(crate) fn lines(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in {:?}", self.headers))
            .to_str()
            .unwrap()
    }

    /// The answer, which must have this status.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }

    /// A problem of this status, kind and detail, with its headers.
    #[track_caller]
    pub(crate) fn expect_problem(self, status: u16, code: &str, detail: &str) -> Value {
        let answer = self.expect(status);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        let problem = answer.json();
        assert_eq!(problem["type"], format!("/problems/{code}"), "{problem}");
        assert_eq!(problem["detail"], detail, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["requestId"], answer.header("x-request-id"));
        problem
    }
}

impl Server {
    pub(crate) async fn start() -> Server {
        Server::start_with(Arc::new(tempfile::tempdir().unwrap()), |_| ()).await
    }

    /// A server over `folder` that is set up otherwise.
    pub(crate) async fn start_with(folder: Arc<TempDir>, set: impl FnOnce(&mut Options)) -> Server {
        let clock = Clock::manual(UnixMs(START_MS));
        let options = bincard_access::Options {
            password_cost: PasswordCost {
                memory_kib: 8,
                passes: 1,
            },
            clock: clock.clone(),
            ..bincard_access::Options::default()
        };
        let accounts = Accounts::open(folder.path().join("accounts.db"), options)
            .await
            .unwrap();
        let mut options = Options::new(folder.path().join("ledgers"));
        options.clock = clock.clone();
        options.read_wait_max = std::time::Duration::from_millis(2_000);
        let engine_clock = clock.clone();
        options.engine.segment_bytes = 1 << 20;
        options.engine.clock = Arc::new(move || Timestamp::from_micros(engine_clock.now().0 * 1_000));
        set(&mut options);
        let app = Arc::new(App::new(accounts, options));
        let mut server = Server {
            routes: router(app.clone()),
            app,
            clock,
            admin: String::new(),
            manager: String::new(),
            viewer: String::new(),
            _folder: folder,
        };
        server.app.accounts().tenant_add("default").await.ok();
        server.admin = server.key("default", Role::Admin, &[]).await;
        server.manager = server.key("default", Role::Manager, &[]).await;
        server.viewer = server.key("default", Role::Viewer, &[]).await;
        server
    }

    /// A key of a role, without a limit.
    pub(crate) async fn key(&self, tenant: &str, role: Role, warehouses: &[Uuid]) -> String {
        let tenant = TenantName::parse(tenant).unwrap();
        let name = format!("{role} key");
        let new = NewKey {
            name: &name,
            role,
            warehouses,
            plan: Plan::Service,
            expires_at: None,
            created_by: None,
        };
        let issued = self.app.accounts().key_create(&tenant, new).await.unwrap();
        issued.secret.reveal().to_owned()
    }

    /// A user with [`PASSWORD`].
    pub(crate) async fn user(&self, tenant: &str, username: &str, role: Role) -> Uuid {
        let tenant = TenantName::parse(tenant).unwrap();
        let email = format!("{username}@example.com");
        let new = NewUser {
            email: &email,
            username,
            first_name: "Uma",
            last_name: "User",
            password: PASSWORD,
            role,
            warehouses: &[],
            plan: Plan::Standard,
        };
        self.app.accounts().user_add(&tenant, new).await.unwrap().id
    }

    /// Sends a request, and holds the answer against the document.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().to_string());
        let response = self.routes.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        let content_type = head
            .headers
            .get("content-type")
            .map_or("", |value| value.to_str().unwrap());
        described::check(&method, &path, head.status.as_u16(), content_type, &bytes);
        Answer {
            status: head.status,
            headers: head.headers,
            bytes,
        }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, token: &str, body: Option<&Value>) -> Answer {
        self.call_with(method, path, token, body, &[]).await
    }

    pub(crate) async fn call_with(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        self.call(Method::GET, path, token, None).await
    }

    /// A read that sees everything recorded by now.
    pub(crate) async fn fetch_now(&self, path: &str, token: &str) -> Answer {
        let head = self.get("/api/v1/ledger", &self.admin).await.expect(200);
        let position = head.header("ledger-position").to_owned();
        self.call_with(
            Method::GET,
            path,
            token,
            None,
            &[("ledger-min-position", &position)],
        )
        .await
    }

    pub(crate) async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, token, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.call(Method::PATCH, path, token, Some(body)).await
    }

    pub(crate) async fn bulk(&self, path: &str, token: &str, lines: &str) -> Answer {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/x-ndjson")
            .body(Body::from(lines.to_owned()));
        self.send(request.unwrap()).await
    }

    /// A warehouse's id.
    pub(crate) async fn warehouse(&self, code: &str) -> String {
        let body = json!({"code": code, "name": format!("Warehouse {code}")});
        let answer = self
            .post("/api/v1/warehouses", &self.admin, &body)
            .await
            .expect(201);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// A variant's id.
    pub(crate) async fn variant(&self, sku: &str) -> String {
        let body = json!({"sku": sku, "name": format!("Variant {sku}")});
        let answer = self
            .post("/api/v1/variants", &self.admin, &body)
            .await
            .expect(201);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Receives so many units.
    pub(crate) async fn receive(&self, warehouse: &str, variant: &str, quantity: i64) -> Value {
        let body = event("INBOUND", warehouse, variant, quantity);
        self.post("/api/v1/stock-events", &self.admin, &body)
            .await
            .expect(201)
            .json()
    }
}

/// An event of one line.
pub(crate) fn event(kind: &str, warehouse: &str, variant: &str, quantity: i64) -> Value {
    json!({"type": kind, "warehouseId": warehouse, "lines": [{"variantId": variant, "quantity": quantity}]})
}

pub(crate) fn uuid(text: &str) -> Uuid {
    text.parse().unwrap()
}
