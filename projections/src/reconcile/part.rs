//! Which rows are compared: all, those of some keys, or a part at a time.

use bincard_ledger::{VariantNo, WarehouseNo};

use super::digest::Group;
use crate::history::BLOCK_POSITIONS;
use crate::stock::StockKey;
use crate::verify::tables::Table;

/// Which keys are compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Filter {
    /// Only at this warehouse.
    pub warehouse: Option<WarehouseNo>,
    /// Only this variant.
    pub variant: Option<VariantNo>,
}

impl Filter {
    pub(super) fn is_set(self) -> bool {
        self != Filter::default()
    }

    pub(super) fn passes(self, key: StockKey) -> bool {
        self.warehouse.is_none_or(|no| no == key.warehouse) && self.variant.is_none_or(|no| no == key.variant)
    }
}

/// A part of a view's rows: whole groups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    All,
    /// The keys that a filter passes.
    Filtered(Filter),
    /// The keys of variants from one number to another.
    Variants(u32, u32),
    /// A block of positions.
    Block(i64),
    /// All days.
    Days,
}

impl Part {
    pub(super) fn of(filter: Filter) -> Part {
        if filter.is_set() {
            Part::Filtered(filter)
        } else {
            Part::All
        }
    }

    pub(super) fn has(self, group: Group) -> bool {
        match (self, group) {
            (Part::All, _) => true,
            (Part::Filtered(filter), Group::Key(key)) => filter.passes(key),
            (Part::Variants(first, last), Group::Key(key)) => (first..=last).contains(&key.variant.0),
            (Part::Block(no), Group::Block(other)) => no == other,
            (Part::Days, Group::Day(_)) => true,
            _ => false,
        }
    }

    /// The condition on a row of a table; `None` where the part has none of its rows.
    pub(super) fn condition(self, table: &Table) -> Option<String> {
        let columns = table.columns();
        let is_by_key = columns.contains(&"warehouse") && columns.contains(&"variant");
        match self {
            Part::All => Some(String::new()),
            Part::Filtered(filter) => is_by_key.then(|| {
                let warehouse = filter.warehouse.map(|no| format!("warehouse = {}", no.0));
                let variant = filter.variant.map(|no| format!("variant = {}", no.0));
                let conditions: Vec<String> = warehouse.into_iter().chain(variant).collect();
                format!(" where {}", conditions.join(" and "))
            }),
            Part::Variants(first, last) => {
                is_by_key.then(|| format!(" where variant between {first} and {last}"))
            }
            Part::Block(no) => {
                let first = no.saturating_mul(BLOCK_POSITIONS);
                let last = first.saturating_add(BLOCK_POSITIONS - 1);
                let within = |column| Some(format!(" where {column} between {first} and {last}"));
                match table.name {
                    "events" | "recorded" => within("position"),
                    "versions" | "lots" if no == 0 => Some(String::new()),
                    "event_blocks" => Some(format!(" where slot = {no}")),
                    "reservations" => within("id"),
                    "reservation_lines" => within("reservation"),
                    _ => None,
                }
            }
            Part::Days => (table.name == "event_days").then(String::new),
        }
    }
}
