//! A run: rows that stand together in a file, gathered until they make events.

use bincard_ledger::{Kind, Reason};
use hashbrown::HashMap;

use super::classify::Movement;
use super::plan::{DepotNo, PlannedRow, Rejected, SkuNo};
use super::when::Moment;

/// The most lines of an event.
pub(super) const LINES_MAX: usize = 1_000;
/// The most rows of a run: bounds the memory of an import.
pub(super) const ROWS_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Run {
    /// The reference, and where that is blank the time: rows that share neither do not stand together.
    pub(super) named: Option<(Box<str>, Option<Moment>)>,
    pub(super) rows: usize,
    pub(super) groups: Vec<Group>,
    pub(super) index: HashMap<GroupKey, usize, foldhash::fast::FixedState>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct GroupKey {
    pub(super) kind: Kind,
    pub(super) reason: Option<Reason>,
    pub(super) moment: Moment,
    pub(super) depot: DepotNo,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) key: GroupKey,
    pub(super) warehouse_code: Box<str>,
    pub(super) notes: Option<Box<str>>,
    pub(super) lines: Vec<(SkuNo, i64)>,
    pub(super) index: HashMap<SkuNo, usize, foldhash::fast::FixedState>,
    /// The rows, and the line that each is part of.
    pub(super) rows: Vec<(usize, PlannedRow)>,
}

impl Run {
    pub(super) fn is_named(&self, movement: &Movement<'_>) -> bool {
        self.named.as_ref().is_some_and(|(reference, moment)| {
            **reference == *movement.reference && moment.is_none_or(|moment| moment == movement.moment)
        })
    }

    pub(super) fn is_full(&self, key: GroupKey, sku: SkuNo) -> bool {
        self.index.get(&key).is_some_and(|at| {
            let group = &self.groups[*at];
            group.lines.len() == LINES_MAX && !group.index.contains_key(&sku)
        })
    }
}

impl Group {
    /// Adds to the line of `sku`, and answers which one that is.
    pub(super) fn add(&mut self, sku: SkuNo, quantity: i64) -> Result<usize, String> {
        let Some(line) = self.index.get(&sku).copied() else {
            let line = self.lines.len();
            self.index.insert(sku, line);
            self.lines.push((sku, quantity));
            return Ok(line);
        };
        let sum = self.lines[line].1.checked_add(quantity);
        self.lines[line].1 = sum.ok_or("the quantities of this SKU become too large together")?;
        Ok(line)
    }

    /// Leaves out lines that sum to zero, and counts them; and rejects the rows of lines below zero where this kind
    /// takes none.
    pub(super) fn leave_out(&mut self, rejected: &mut Vec<Rejected>) -> u64 {
        let adjusts = self.key.kind == Kind::Adjust;
        let keeps = |quantity: i64| quantity > 0 || (adjusts && quantity < 0);
        if self.lines.iter().all(|(_, quantity)| keeps(*quantity)) {
            return 0;
        }
        let lines = std::mem::take(&mut self.lines);
        for (line, planned) in std::mem::take(&mut self.rows) {
            let quantity = lines[line].1;
            if quantity >= 0 || adjusts {
                self.rows.push((line, planned));
            } else {
                let reason = format!(
                    "the rows of this SKU sum to {quantity}, and {} takes only what is above zero: give them a rule \
                     of another kind or sign",
                    name_of(self.key.kind)
                );
                rejected.push(Rejected {
                    row: planned.row,
                    rule: Some(planned.rule),
                    reason,
                });
            }
        }
        let zeros = lines.iter().filter(|(_, quantity)| *quantity == 0).count();
        self.lines = lines
            .into_iter()
            .filter(|(_, quantity)| keeps(*quantity))
            .collect();
        zeros as u64
    }
}

/// What a kind that imports know is called in files and messages.
pub(crate) fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Inbound => "INBOUND",
        Kind::Outbound => "OUTBOUND",
        Kind::Adjust => "ADJUST",
        _ => "another kind",
    }
}
