//! A disk that fills up under the log: writes are refused by name, reads go on, and after a restart with room service is
//! back with everything that was acknowledged.

use std::sync::Arc;

use bincard_api::Options;
use bincard_store::sim::{Plan, SimDisk};
use serde_json::json;

use crate::support::{Server, event};

const EVENTS: &str = "/api/v1/stock-events";

#[tokio::test]
async fn a_full_disk_refuses_writes_answers_reads_and_loses_nothing() {
    let disk = SimDisk::new(1);
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let on_disk = |options: &mut Options| options.engine.disk = Arc::new(disk.clone());
    let server = Server::start_with(folder.clone(), on_disk).await;
    let warehouse = server.warehouse("WH-1").await;
    let variant = server.variant("A").await;
    disk.plan(Plan {
        free_bytes: Some(0),
        ..Plan::default()
    });

    // What is prepared takes some events yet; then every write is refused in the same words.
    let body = event("INBOUND", &warehouse, &variant, 1);
    let mut acknowledged = 0;
    let refused = loop {
        let answer = server.post(EVENTS, &server.admin, &body).await;
        if answer.status != 201 {
            break answer;
        }
        acknowledged += 1;
    };
    refused.expect_problem(507, "disk-full", "disk-full");
    server
        .post(EVENTS, &server.admin, &body)
        .await
        .expect_problem(507, "disk-full", "disk-full");
    let product = json!({"name": "Mug"});
    server
        .post("/api/v1/products", &server.admin, &product)
        .await
        .expect_problem(507, "disk-full", "disk-full");
    let line = format!("{body}\n");
    let told = server.bulk(&format!("{EVENTS}/bulk"), &server.admin, &line).await;
    assert_eq!(told.expect(200).lines()[0]["status"], 507);

    let stock = format!("/api/v1/stock?variantId={variant}");
    let seen = server.fetch_now(&stock, &server.viewer).await.expect(200);
    assert_eq!(seen.json()["content"][0]["onHand"], acknowledged);
    let listed = server.get(EVENTS, &server.viewer).await.expect(200);
    assert_eq!(listed.json()["page"]["totalElements"], acknowledged);
    let ready = server.get("/readyz", "").await.expect(503);
    assert_eq!(ready.json()["status"], "a ledger has stopped");

    // Room alone does not bring it back, since the state has gone on; a restart does.
    disk.plan(Plan::default());
    server
        .post(EVENTS, &server.admin, &body)
        .await
        .expect_problem(507, "disk-full", "disk-full");
    server.app.close().await;
    let server = Server::start_with(folder, on_disk).await;
    server.post(EVENTS, &server.admin, &body).await.expect(201);
    let seen = server.fetch_now(&stock, &server.viewer).await.expect(200);
    assert_eq!(seen.json()["content"][0]["onHand"], acknowledged + 1);
}
