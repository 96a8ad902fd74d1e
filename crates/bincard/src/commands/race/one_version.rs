//! The end of the race: every client writes on the one version of a warehouse that all of them saw.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Course;
use super::client::Client;
use super::racer::{Attempt, check, recorded, settle};
use super::tally::{Tally, moves};

/// Every client writes to a warehouse on the version that all of them saw: one does, and no other.
pub(super) async fn write_on_one_version(client: &Client, course: &Course, clients: u32) -> Result<Tally> {
    let mut tally = Tally::default();
    for (warehouse, id) in course.warehouses.iter().enumerate() {
        let stock = client
            .read(
                &format!("/api/v1/stock?warehouseId={id}&size=1"),
                client.position(),
            )
            .await?;
        let seen = stock.tag.context("stock of a warehouse without an ETag")?;
        let units = BTreeMap::from([(0, 1)]);
        let body = json!({ "type": "INBOUND", "warehouseId": id, "lines": course.lines(&units) });
        let mut writers = tokio::task::JoinSet::new();
        for number in 0..clients {
            let key = format!("{}/one-version/{warehouse}/{number}", course.name);
            let (client, seen, body) = (client.clone(), seen.clone(), body.clone());
            writers.spawn(async move {
                let answer = client
                    .post("/api/v1/stock-events", &body, Some(&key), Some(&seen))
                    .await;
                (key, answer)
            });
        }
        let mut taken = 0;
        while let Some(writer) = writers.join_next().await {
            let (key, answer) = writer.context("a client of the race broke off")?;
            let answer = answer?;
            taken += u32::from(answer.status == 201);
            let attempt = Attempt {
                act: "if-match",
                path: String::new(),
                body: Value::Null,
                warehouse,
                moves: moves(&units, "supplier", "available"),
                refusals: &["version-mismatch"],
            };
            check(&attempt, &answer)?;
            settle(&mut tally, attempt, key, recorded(&answer))?;
        }
        ensure!(
            taken == 1,
            "{taken} of {clients} clients wrote on one version of a warehouse"
        );
    }
    Ok(tally)
}
