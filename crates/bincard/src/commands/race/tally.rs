//! What the race's clients were answered: what was recorded, with the units that it moved, and what was refused.

use std::collections::{BTreeMap, BTreeSet};

/// Units that went from one place to another, by variant (its number in the race), from where and to where.
pub(super) type Moves = BTreeMap<(usize, &'static str, &'static str), i64>;

/// What the clients do, in the order of the report.
pub(super) const ACTS: [&str; 22] = [
    "inbound",
    "outbound",
    "adjust",
    "if-match",
    "fefo",
    "hold",
    "unhold",
    "reserve",
    "pick",
    "pack",
    "ship",
    "release",
    "dispatch",
    "receive",
    "close",
    "reverse",
    "count",
    "submit",
    "approve",
    "late",
    "recall",
    "use-again",
];

/// Something that was recorded.
pub(super) struct Recorded {
    /// At which warehouse of the race.
    pub(super) warehouse: usize,
    pub(super) moves: Moves,
}

/// A lot that was recalled, or is used again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recall {
    pub(super) lot: usize,
    /// Whether a recall is over by this.
    pub(super) is_over: bool,
}

/// The answers, by idempotency key; a reversal that was recorded by the event's id.
#[derive(Default)]
pub(super) struct Tally {
    recorded: BTreeMap<String, Recorded>,
    refused: BTreeSet<String>,
    /// Recalls by idempotency key. One that had nothing to do is recorded nowhere, and has no key in the log.
    recalls: BTreeMap<String, Recall>,
    /// The same by the positions that they were answered.
    recalled: BTreeMap<u64, Vec<Recall>>,
    /// What left by expiry.
    by_expiry: BTreeSet<String>,
    /// How often each act was recorded and refused.
    counts: BTreeMap<&'static str, [u64; 2]>,
}

impl Tally {
    pub(super) fn accept(&mut self, act: &'static str, key: String, recorded: Recorded) {
        self.counts.entry(act).or_default()[0] += 1;
        if act == "fefo" {
            self.by_expiry.insert(key.clone());
        }
        self.recorded.insert(key, recorded);
    }

    pub(super) fn refuse(&mut self, act: &'static str, key: String) {
        self.counts.entry(act).or_default()[1] += 1;
        self.refused.insert(key);
    }

    /// Notes a recall that was answered, at these positions of the log.
    pub(super) fn note_recall(&mut self, key: String, recall: Recall, positions: &[u64]) {
        let act = if recall.is_over { "use-again" } else { "recall" };
        self.counts.entry(act).or_default()[0] += 1;
        for position in positions {
            self.recalled.entry(*position).or_default().push(recall);
        }
        self.recalls.insert(key, recall);
    }

    pub(super) fn add(&mut self, other: Tally) {
        self.recorded.extend(other.recorded);
        self.refused.extend(other.refused);
        self.recalls.extend(other.recalls);
        for (position, recalls) in other.recalled {
            self.recalled.entry(position).or_default().extend(recalls);
        }
        self.by_expiry.extend(other.by_expiry);
        for (act, [recorded, refused]) in other.counts {
            let count = self.counts.entry(act).or_default();
            count[0] += recorded;
            count[1] += refused;
        }
    }

    pub(super) fn recorded(&self) -> &BTreeMap<String, Recorded> {
        &self.recorded
    }

    pub(super) fn is_refused(&self, key: &str) -> bool {
        self.refused.contains(key)
    }

    /// The recall that was asked for under a key.
    pub(super) fn recall(&self, key: &str) -> Option<Recall> {
        self.recalls.get(key).copied()
    }

    /// The recalls that were answered at a position.
    pub(super) fn recalled_at(&self, position: u64) -> &[Recall] {
        self.recalled.get(&position).map_or(&[], Vec::as_slice)
    }

    /// Whether this took what expires first.
    pub(super) fn is_by_expiry(&self, key: &str) -> bool {
        self.by_expiry.contains(key)
    }

    /// How often an act was recorded and refused.
    pub(super) fn count(&self, act: &str) -> [u64; 2] {
        self.counts.get(act).copied().unwrap_or_default()
    }
}

/// The same move of units of several variants.
pub(super) fn moves(units: &BTreeMap<usize, i64>, from: &'static str, to: &'static str) -> Moves {
    let moves = units
        .iter()
        .map(|(variant, units)| ((*variant, from, to), *units));
    moves.collect()
}
