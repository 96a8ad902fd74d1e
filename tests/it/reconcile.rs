//! A reconciliation goes on after kill -9, for the position that it was asked for, while others write.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::support::{Client, Site};

const PATH: &str = "/api/v1/reconciliations";

async fn over(admin: &Client, id: &Value) -> Result<Value> {
    loop {
        let run = admin.get(&format!("{PATH}/{id}"), 0).await?;
        ensure!(run.status == 200, "{run:?}");
        if !["WAITING", "RUNNING"].contains(&run.body["state"].as_str().context("a state")?) {
            return Ok(run.body);
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reconciliation_goes_on_after_kill_9_and_finds_nothing_where_nothing_is_wrong() -> Result<()> {
    let mut site = Site::start()?;
    let admin = site.admin().await?;
    let warehouse = admin
        .create("/api/v1/warehouses", &json!({ "code": "WH-1", "name": "One" }))
        .await?;
    let variant = admin
        .create("/api/v1/variants", &json!({ "sku": "SKU", "name": "One" }))
        .await?;
    let event = json!({ "type": "INBOUND", "warehouseId": warehouse, "lines": [{ "variantId": variant, "quantity": 1 }] });
    for round in 0..4 {
        let admin = site.admin().await?;
        let writing = {
            let (admin, event) = (admin.clone(), event.clone());
            // Until the server is gone.
            tokio::spawn(
                async move { while admin.post("/api/v1/stock-events", &event, None).await.is_ok() {} },
            )
        };
        let mut asked = Vec::new();
        for _ in 0..3 {
            let run = admin.post(PATH, &json!({}), None).await?;
            ensure!(run.status == 202, "{run:?}");
            asked.push(run.body["id"].clone());
        }
        if round % 2 == 1 {
            over(&admin, &asked[0]).await?;
        }
        site.server.kill_9()?;
        writing.await?;
        site.server.start_again()?;
        let admin = site.admin().await?;
        for id in asked {
            let run = over(&admin, &id).await?;
            ensure!(
                run["state"] == "AGREES" && run["differing"] == 0,
                "after kill {round}: {run}"
            );
            ensure!(
                run["views"].as_array().is_some_and(|views| views.len() >= 4),
                "{run}"
            );
        }
    }
    site.server.stop(std::time::Duration::from_secs(30))?;
    Ok(())
}
