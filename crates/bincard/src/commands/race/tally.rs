//! What the race's clients were answered.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};

use super::client::Answer;

/// Accepted events and their changes, and how many were refused.
#[derive(Default)]
pub(super) struct Tally {
    events: BTreeSet<String>,
    changes: BTreeMap<String, i64>,
    refused: u64,
}

impl Tally {
    pub(super) fn accept(&mut self, event: String, changes: &BTreeMap<String, i64>) {
        self.events.insert(event);
        for (variant, change) in changes {
            *self.changes.entry(variant.clone()).or_default() += change;
        }
    }

    /// A refusal is right when it is for want of stock and says so line by line.
    pub(super) fn refuse(&mut self, answer: &Answer) -> Result<()> {
        let is_shortage = answer.body["detail"] == "stock-insufficient";
        ensure!(
            is_shortage,
            "refused for another reason than stock: {}",
            answer.body
        );
        self.refused += 1;
        Ok(())
    }

    pub(super) fn add(&mut self, other: &Tally) {
        self.events.extend(other.events.iter().cloned());
        self.refused += other.refused;
        for (variant, change) in &other.changes {
            *self.changes.entry(variant.clone()).or_default() += change;
        }
    }

    pub(super) fn accepted(&self) -> u64 {
        self.events.len() as u64
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    pub(super) fn change_of(&self, variant: &str) -> i64 {
        self.changes.get(variant).copied().unwrap_or_default()
    }
}
