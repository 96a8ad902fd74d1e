//! A disk that fills up under the log: writes are refused by name, reads go on, and after a restart with room service is
//! back with everything that was acknowledged.

use std::sync::Arc;

use bincard_api::Options;
use bincard_store::sim::{Plan, SimDisk};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::reconciliations::{PATH, reconcile};
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

/// A statement on the file of reconciliations, beside the server.
async fn reconciliations_file(folder: &tempfile::TempDir, statement: &'static str) {
    let file = folder.path().join("ledgers/default/reconciliations.db");
    let mut connection = SqliteConnectOptions::new()
        .filename(file)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_reconciliation_that_there_is_no_space_for_is_refused_until_there_is_some() {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let server = Server::start_with(folder.clone(), |_| ()).await;
    let (w, v) = (server.warehouse("A").await, server.variant("S").await);
    server.receive(&w, &v, 5).await;
    reconcile(&server, json!({})).await;
    // SQLite says that the disk is full when a table has no number left, too.
    reconciliations_file(
        &folder,
        "create table no_room (id integer primary key autoincrement);
         insert into no_room values (9223372036854775807);
         create trigger no_room before insert on runs begin insert into no_room values (null); end",
    )
    .await;
    for _ in 0..3 {
        let refused = server.post(PATH, &server.admin, &json!({})).await;
        refused.expect_problem(507, "disk-full", "disk-full");
    }
    server.get(&format!("{PATH}/1"), &server.admin).await.expect(200);
    reconciliations_file(&folder, "drop trigger no_room; drop table no_room").await;
    let run = reconcile(&server, json!({})).await;
    assert_eq!((&run["id"], &run["state"]), (&json!(2), &json!("AGREES")));
}
