//! The recording half of an import: chunks to the ledger, refusals to the rejects file, and what is counted of it.

use super::plan::{Chunk, PlannedRow, Rejected};
use super::rejects::Rejects;
use super::target::{Made, Outcome, Target};

/// What became of the events of a file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) recorded: Count,
    pub(crate) replayed: Count,
    pub(crate) refused: Count,
    pub(crate) made: Made,
    /// By the rule's number.
    pub(crate) rules: Vec<NotRecorded>,
}

/// Events, their lines, and the rows they are made of.
#[derive(serde::Serialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Count {
    pub(crate) events: u64,
    pub(crate) lines: u64,
    pub(crate) rows: u64,
}

/// Rows of one rule that are not in the ledger.
#[derive(serde::Serialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct NotRecorded {
    /// Rejected after the rule had taken them.
    pub(crate) rows_rejected: u64,
    pub(crate) rows_refused: u64,
}

/// Asks the ledger for all of `chunk`.
pub(crate) fn record(
    chunk: Chunk,
    target: &mut dyn Target,
    rejects: &mut Rejects,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    for rejected in &chunk.rejected {
        if let Some(rule) = rejected.rule {
            tally.rule(rule).rows_rejected += 1;
        }
        rejects.add(rejected)?;
    }
    if !chunk.depots.is_empty() || !chunk.variants.is_empty() {
        let made = target.enter(&chunk.depots, &chunk.variants)?;
        tally.made.warehouses += made.warehouses;
        tally.made.variants += made.variants;
    }
    if chunk.events.is_empty() {
        return Ok(());
    }
    let outcomes = target.record(&chunk.events)?;
    for (event, outcome) in chunk.events.into_iter().zip(outcomes) {
        let count = match &outcome {
            Outcome::Recorded => &mut tally.recorded,
            Outcome::Replayed => &mut tally.replayed,
            Outcome::Refused(_) => &mut tally.refused,
        };
        count.events += 1;
        count.lines += event.lines.len() as u64;
        count.rows += event.rows.len() as u64;
        if let Outcome::Refused(reason) = outcome {
            for PlannedRow { row, rule } in event.rows {
                tally.rule(rule).rows_refused += 1;
                rejects.add(&Rejected {
                    row,
                    rule: Some(rule),
                    reason: reason.clone(),
                })?;
            }
        }
    }
    Ok(())
}

impl Tally {
    fn rule(&mut self, number: usize) -> &mut NotRecorded {
        if self.rules.len() <= number {
            self.rules.resize(number + 1, NotRecorded::default());
        }
        &mut self.rules[number]
    }
}
