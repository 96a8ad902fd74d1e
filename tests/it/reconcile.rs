//! A reconciliation goes on after kill -9, for the position that it was asked for, while others write; of several nodes, on
//! another one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bincard_testkit::postgres::Postgres;
use serde_json::{Value, json};

use crate::roles::{Node, start};
use crate::support::{Client, Site};

const PATH: &str = "/api/v1/reconciliations";

async fn over(admin: &Client, id: &Value) -> Result<Value> {
    loop {
        let run = admin.get(&format!("{PATH}/{id}"), 0).await?;
        ensure!(run.status == 200, "{run:?}");
        if !["WAITING", "RUNNING"].contains(&run.body["state"].as_str().context("a state")?) {
            return Ok(run.body);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
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
    site.server.stop(Duration::from_secs(30))?;
    Ok(())
}

async fn client(node: &Node) -> Result<Client> {
    Client::log_in(&node.server.url("")?).await
}

/// Waits until a run is under way, as this node says it.
async fn under_way(admin: &Client, id: &Value) -> Result<Value> {
    loop {
        let run = admin.get(&format!("{PATH}/{id}"), 0).await?;
        ensure!(run.status == 200, "{run:?}");
        if run.body["state"] == "RUNNING" && !run.body["progress"].is_null() {
            return Ok(run.body);
        }
        ensure!(
            ["WAITING", "RUNNING"].contains(&run.body["state"].as_str().context("a state")?),
            "{run:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_node_answers_for_a_reconciliation_and_goes_on_with_that_of_a_node_that_was_killed() -> Result<()>
{
    let postgres = Postgres::start()?;
    let mut one = start(&postgres, "api,worker")?;
    let at_one = client(&one).await?;
    let mut feeder = start(&postgres, "projector,worker")?;
    let warehouse = |number: u32| json!({ "code": format!("WH-{number}"), "name": "A warehouse" });
    at_one.create("/api/v1/warehouses", &warehouse(1)).await?;
    while at_one.get("/api/v1/warehouses", 1).await?.status == 503 {}

    // While nobody feeds the views, which stand before a run's position, it waits for them.
    ensure!(feeder.server.stop(Duration::from_secs(30))?.success(), "it ends");
    at_one.create("/api/v1/warehouses", &warehouse(2)).await?;
    let asked = at_one.post(PATH, &json!({}), None).await?;
    let first = asked.body["id"].clone();
    under_way(&at_one, &first).await?;
    let other = start(&postgres, "api,worker")?;
    let at_other = client(&other).await?;
    let told = under_way(&at_other, &first).await?;
    ensure!(
        told["position"] == 2 && told["progress"]["through"] == 2,
        "{told}"
    );
    let listed = at_other.get(PATH, 0).await?;
    ensure!(listed.body["content"][0]["id"] == first, "{listed:?}");
    let refused = at_other
        .post(&format!("{PATH}/77/cancel"), &json!({}), None)
        .await?;
    ensure!(refused.status == 404, "{refused:?}");
    // The node that was not asked for it ends it.
    let cancelled = at_other
        .post(&format!("{PATH}/{first}/cancel"), &json!({}), None)
        .await?;
    ensure!(cancelled.status == 202, "{cancelled:?}");
    ensure!(over(&at_one, &first).await?["state"] == "CANCELLED", "it ends");

    // What was counted outside is compared and explained on whichever node, and read on both.
    let source = json!({ "source": { "name": "count", "measures": "onHand", "lines": [
        { "warehouseCode": "WH-1", "sku": "NONE", "quantity": 5 },
    ] } });
    feeder.server.start_again()?;
    let counted = at_other.post(PATH, &source, None).await?;
    ensure!(counted.status == 202, "{counted:?}");
    let counted = counted.body["id"].clone();
    let run = over(&at_one, &counted).await?;
    ensure!(run["state"] == "DIFFERS" && run["differing"] == 1, "{run}");
    let lines = format!("{PATH}/{counted}/variances");
    let (here, there) = (at_one.get(&lines, 0).await?, at_other.get(&lines, 0).await?);
    ensure!(
        here.body == there.body && here.body["content"][0]["reported"] == 5,
        "{here:?}"
    );

    // The node that does a run is killed in the middle of it.
    let other = {
        let mut other = other;
        ensure!(other.server.stop(Duration::from_secs(30))?.success(), "it ends");
        ensure!(feeder.server.stop(Duration::from_secs(30))?.success(), "it ends");
        at_one.create("/api/v1/warehouses", &warehouse(3)).await?;
        let asked = at_one.post(PATH, &json!({}), None).await?;
        let id = asked.body["id"].clone();
        let told = under_way(&at_one, &id).await?;
        ensure!(told["position"] == 3, "{told}");
        other.server.start_again()?;
        one.server.kill_9()?;
        let at_other = client(&other).await?;
        at_other.create("/api/v1/warehouses", &warehouse(4)).await?;
        feeder.server.start_again()?;
        let run = over(&at_other, &id).await?;
        ensure!(run["state"] == "AGREES" && run["position"] == 3, "{run}");
        one.server.start_again()?;
        let at_one = client(&one).await?;
        let same = at_one.get(&format!("{PATH}/{id}"), 0).await?;
        ensure!(same.body == run, "{same:?} is not {run}");
        let found = at_one.get(&format!("{PATH}/{id}/differences"), 0).await?;
        ensure!(found.body["page"]["totalElements"] == 0, "{found:?}");
        other
    };
    for mut node in [one, other, feeder] {
        ensure!(node.server.stop(Duration::from_secs(30))?.success(), "it ends");
    }
    Ok(())
}
