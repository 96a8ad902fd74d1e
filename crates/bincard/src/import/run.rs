//! A run: rows that stand together in a file, gathered until they make events.

use bincard_ledger::{Kind, Reason};
use hashbrown::HashMap;

use super::classify::Movement;
use super::plan::{DepotNo, GivenBack, PlannedRow, SkuNo};
use super::when::Moment;

/// The most lines of an event.
pub(super) const LINES_MAX: usize = 1_000;
/// The most rows of a run: bounds the memory of an import.
pub(super) const ROWS_MAX: usize = 10_000;

/// Rows that stand together.
#[derive(Debug, Default)]
pub(super) struct Run {
    pub(super) name: Option<Name>,
    pub(super) rows: usize,
    pub(super) groups: Vec<Group>,
    /// Rows that cannot be imported, of an event that is imported as a whole or not at all.
    pub(super) spoilt: Vec<GivenBack>,
    index: HashMap<GroupKey, usize, foldhash::fast::FixedState>,
}

/// What rows of a run have in common.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Name {
    /// The reference, and where that is blank the time: rows that share neither do not stand together.
    Reference(Box<str>, Option<Moment>),
    /// The key of their event, which the file gives.
    Key(Box<str>),
}

/// What rows of one event have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct GroupKey {
    pub(super) kind: Kind,
    pub(super) reason: Option<Reason>,
    pub(super) moment: Moment,
    pub(super) depot: DepotNo,
}

/// Rows that make one event.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) key: GroupKey,
    pub(super) warehouse_code: Box<str>,
    pub(super) notes: Option<Box<str>>,
    pub(super) lines: Vec<(SkuNo, i64)>,
    index: HashMap<SkuNo, usize, foldhash::fast::FixedState>,
    /// The rows, and the line that each is part of.
    pub(super) rows: Vec<(usize, PlannedRow)>,
}

impl Name {
    /// The name of the run that a row is part of.
    pub(super) fn of(movement: &Movement<'_>, key: Option<&str>) -> Name {
        match key {
            Some(key) => Name::Key(key.into()),
            None => {
                let moment = movement.reference.is_empty().then_some(movement.moment);
                Name::Reference(movement.reference.into(), moment)
            }
        }
    }

    /// Whether this is the name of the run that a row is part of.
    pub(super) fn is_of(&self, movement: &Movement<'_>, key: Option<&str>) -> bool {
        match self {
            Name::Key(own) => key == Some(&**own),
            Name::Reference(reference, moment) => {
                key.is_none()
                    && **reference == *movement.reference
                    && moment.is_none_or(|moment| moment == movement.moment)
            }
        }
    }
}

impl Run {
    /// Whether another row of this kind and SKU is too much for it.
    pub(super) fn is_full(&self, key: GroupKey, sku: SkuNo) -> bool {
        self.rows == ROWS_MAX
            || self.index.get(&key).is_some_and(|at| {
                let group = &self.groups[*at];
                group.lines.len() == LINES_MAX && !group.index.contains_key(&sku)
            })
    }

    /// The place of the group with this key, which is made when there is none.
    pub(super) fn group(
        &mut self,
        key: GroupKey,
        warehouse_code: &str,
        notes: impl FnOnce() -> Option<Box<str>>,
    ) -> usize {
        *self.index.entry(key).or_insert_with(|| {
            self.groups.push(Group {
                key,
                warehouse_code: warehouse_code.into(),
                notes: notes(),
                lines: Vec::new(),
                index: HashMap::default(),
                rows: Vec::new(),
            });
            self.groups.len() - 1
        })
    }

    /// Empties it. Its name stays: more of it may come.
    pub(super) fn take(&mut self) -> (Vec<Group>, Vec<GivenBack>) {
        self.index.clear();
        self.rows = 0;
        (std::mem::take(&mut self.groups), std::mem::take(&mut self.spoilt))
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

    /// Leaves out lines that sum to zero, and counts them; and gives back the rows of lines below zero where this kind
    /// takes none.
    pub(super) fn leave_out(&mut self, below: &mut Vec<GivenBack>) -> u64 {
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
                below.push(GivenBack {
                    row: planned.row,
                    rule: Some(planned.rule),
                    reason: format!(
                        "the rows of this SKU sum to {quantity}, and {} takes only what is above zero: give them a \
                         rule of another kind or sign",
                        name_of(self.key.kind)
                    ),
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
