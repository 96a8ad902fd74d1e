//! The recording half of an import: chunks to the ledger, what it does not take to the files that give rows back, and
//! what is counted of it.

use super::leftovers::{Fate, Leftovers};
use super::plan::{Chunk, GivenBack};
use super::target::{Made, Outcome, Target};

/// What became of the rows of a file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) recorded: Count,
    pub(crate) replayed: Count,
    pub(crate) refused: Count,
    pub(crate) conflicts: Count,
    pub(crate) made: Made,
    pub(crate) rows_rejected: u64,
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
    pub(crate) rows_conflicting: u64,
}

/// Asks the ledger for all of `chunk`.
pub(crate) fn record(
    chunk: Chunk,
    target: &mut dyn Target,
    leftovers: &mut Leftovers,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    for GivenBack { row, rule, reason } in &chunk.rejected {
        tally.rows_rejected += 1;
        tally.note(Fate::Rejected, *rule);
        leftovers.add(Fate::Rejected, row, reason, "")?;
    }
    for event in &chunk.refused {
        tally.refused.events += 1;
        tally.refused.rows += event.rows.len() as u64;
        for GivenBack { row, rule, reason } in &event.rows {
            tally.note(Fate::Refused, *rule);
            leftovers.add(Fate::Refused, row, reason, &event.key)?;
        }
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
        let (count, not_recorded) = match outcome {
            Outcome::Recorded => (&mut tally.recorded, None),
            Outcome::Replayed => (&mut tally.replayed, None),
            Outcome::Refused(reason) => (&mut tally.refused, Some((Fate::Refused, reason))),
            Outcome::Conflicting(reason) => (&mut tally.conflicts, Some((Fate::Conflicting, reason))),
        };
        count.events += 1;
        count.lines += event.lines.len() as u64;
        count.rows += event.rows.len() as u64;
        if let Some((fate, reason)) = not_recorded {
            for planned in &event.rows {
                tally.note(fate, Some(planned.rule));
                leftovers.add(fate, &planned.row, &reason, &event.key)?;
            }
        }
    }
    Ok(())
}

impl Tally {
    /// Counts a row under the rule that took it.
    fn note(&mut self, fate: Fate, rule: Option<usize>) {
        let Some(rule) = rule else {
            return;
        };
        if self.rules.len() <= rule {
            self.rules.resize(rule + 1, NotRecorded::default());
        }
        let rows = &mut self.rules[rule];
        *match fate {
            Fate::Rejected => &mut rows.rows_rejected,
            Fate::Refused => &mut rows.rows_refused,
            Fate::Conflicting => &mut rows.rows_conflicting,
        } += 1;
    }
}
