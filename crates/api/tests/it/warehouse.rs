//! What the tests of the warehouse family have in common: they hold it to every example of its document, and to what
//! the document leaves open.

use serde_json::{Value, json};

use crate::support::{Answer, START_MS, Server};

pub(crate) const INVENTORY: &str = "/api/warehouse/inventory";
/// 2025-10-25T09:00:00Z, the morning of the document.
const MORNING_MS: i64 = 1_761_382_800_000;

pub(crate) struct Store {
    pub(crate) server: Server,
    pub(crate) warehouse: String,
    pub(crate) wine: String,
}

impl Store {
    /// A hundred bottles of wine, on the morning of the document.
    pub(crate) async fn open() -> Store {
        let server = Server::start().await;
        Store::stock(server).await
    }

    pub(crate) async fn stock(server: Server) -> Store {
        server.clock.advance_ms(MORNING_MS - START_MS - 3_600_000);
        let body = json!({"code": "WH-A", "name": "Warehouse A"});
        let made = server
            .post("/api/v1/warehouses", &server.admin, &body)
            .await
            .expect(201);
        let warehouse = made.json()["id"].as_str().unwrap().to_owned();
        let body = json!({"name": "Cabernet Sauvignon 2020"});
        let product = server
            .post("/api/v1/products", &server.admin, &body)
            .await
            .expect(201);
        let body = json!({"sku": "WINE-CAB-001", "name": "A bottle", "productId": product.json()["id"]});
        let made = server
            .post("/api/v1/variants", &server.admin, &body)
            .await
            .expect(201);
        let wine = made.json()["id"].as_str().unwrap().to_owned();
        server.receive(&warehouse, &wine, 100).await;
        server.clock.advance_ms(3_600_000);
        Store {
            server,
            warehouse,
            wine,
        }
    }

    pub(crate) fn path(&self, what: &str) -> String {
        format!("{INVENTORY}/{}/{what}", self.wine)
    }

    pub(crate) async fn transact(&self, body: Value) -> Answer {
        let path = format!("{INVENTORY}/transaction");
        self.server.post(&path, &self.server.admin, &body).await
    }

    pub(crate) async fn adjust(&self, body: Value) -> Answer {
        self.server
            .post(&self.path("adjust"), &self.server.manager, &body)
            .await
    }

    pub(crate) async fn available(&self, warehouse: &str) -> i64 {
        let path = format!("/api/v1/stock?warehouseId={warehouse}&variantId={}", self.wine);
        let stock = self
            .server
            .fetch_now(&path, &self.server.viewer)
            .await
            .expect(200);
        stock.json()["content"][0]["available"].as_i64().unwrap()
    }
}

/// An error of the family, which must have these code and details and be shaped as documented.
#[track_caller]
pub(crate) fn expect_error(answer: Answer, status: u16, code: &str, details: Value) -> Value {
    let answer = answer.expect(status);
    let error = answer.json();
    assert_eq!(
        error,
        json!({
            "error": {"code": code, "message": error["error"]["message"], "details": details},
            "timestamp": error["timestamp"],
            "requestId": answer.header("x-request-id"),
        })
    );
    assert!(error["error"]["message"].is_string() && error["timestamp"].is_string());
    error
}
