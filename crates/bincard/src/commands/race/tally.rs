//! What the race's clients were answered: what was recorded, with the units that it moved, and what was refused.

use std::collections::{BTreeMap, BTreeSet};

/// Units that went from one place to another, by variant (its number in the race), from where and to where.
pub(super) type Moves = BTreeMap<(usize, &'static str, &'static str), i64>;

/// What the clients do, in the order of the report.
pub(super) const ACTS: [&str; 20] = [
    "inbound", "outbound", "adjust", "if-match", "fefo", "hold", "unhold", "reserve", "pick", "pack", "ship",
    "release", "dispatch", "receive", "close", "reverse", "count", "submit", "approve", "late",
];

/// Something that was recorded.
pub(super) struct Recorded {
    /// At which warehouse of the race.
    pub(super) warehouse: usize,
    pub(super) moves: Moves,
}

/// The answers, by idempotency key; a reversal that was recorded by the event's id.
#[derive(Default)]
pub(super) struct Tally {
    recorded: BTreeMap<String, Recorded>,
    refused: BTreeSet<String>,
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

    pub(super) fn add(&mut self, other: Tally) {
        self.recorded.extend(other.recorded);
        self.refused.extend(other.refused);
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
