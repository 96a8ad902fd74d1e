//! What counts of a race's variant were to expect, worked out from all of its events.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// An instant, as text that is ordered as instants are.
type Instant = String;

/// What moved of the variant that is counted, and which counts there are.
#[derive(Default)]
pub(super) struct Counted {
    /// By warehouse: when, at which position, and by how much on hand changed.
    moved: BTreeMap<usize, Vec<(Instant, u64, i64)>>,
    /// The position of each count's last submission.
    submitted: BTreeMap<String, u64>,
}

impl Counted {
    /// Takes an event in that changed what is on hand of the variant, and holds what a count made of it against what it was
    /// to make.
    pub(super) fn follow(&mut self, event: &Value, warehouse: usize, change: i64) -> Result<()> {
        let position = event["position"].as_u64().context("an event without position")?;
        let moved = self.moved.entry(warehouse).or_default();
        let about = || {
            event["aboutId"]
                .as_str()
                .context("a count's event without aboutId")
        };
        match event["type"].as_str() {
            Some("COUNTED") => {
                self.submitted.insert(about()?.to_owned(), position);
            }
            Some("COUNT_APPROVED") => {
                let submitted = self
                    .submitted
                    .get(about()?)
                    .context("approved and never counted")?;
                let line = &event["counted"][0];
                let figure = |name: &str| {
                    line[name]
                        .as_i64()
                        .with_context(|| format!("no {name} in {line}"))
                };
                let (counted, expected) = (figure("counted")?, figure("expected")?);
                let counting = (&instant(&line["countedAt"])?, submitted);
                let before = moved.iter().filter(|(at, position, _)| (at, position) < counting);
                let there: i64 = before.map(|(_, _, change)| change).sum();
                ensure!(
                    there == expected && change == counted - expected,
                    "{there} were there when {counted} were counted"
                );
            }
            _ => {}
        }
        let at = instant(&event["occurredAt"])?.min(instant(&event["recordedAt"])?);
        moved.push((at, position, change));
        Ok(())
    }
}

/// Microseconds are written as far as there are any.
fn instant(value: &Value) -> Result<Instant> {
    let text = value.as_str().and_then(|text| text.strip_suffix('Z'));
    let text = text.with_context(|| format!("no instant: {value}"))?;
    let (second, fraction) = text.split_once('.').unwrap_or((text, ""));
    Ok(format!("{second}.{fraction:0<6}"))
}
