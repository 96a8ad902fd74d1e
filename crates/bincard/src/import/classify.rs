//! What a row says: which rule takes it, and which movement follows.

use bincard_ledger::{Kind, Reason};

use super::columns::Column;
use super::decimal::Decimal;
use super::mapping::{Mapping, Rule, Sign, TimeSource, WarehouseSource};
use super::row::{Row, RowError};
use super::when::{Clock, Moment};

/// The longest SKU and warehouse code, in characters.
const SKU_LENGTH_MAX: usize = 128;
const CODE_LENGTH_MAX: usize = 64;
/// The longest reference, in characters: it is part of keys and messages only.
const REFERENCE_LENGTH_MAX: usize = 1_000;

/// What a row says.
#[derive(Debug)]
pub(crate) struct Verdict<'a> {
    /// The number of the rule that takes it.
    pub(crate) rule: usize,
    pub(crate) figures: Figures,
    /// What it says of the catalogue.
    pub(crate) entry: Option<Entry<'a>>,
    /// What moves; nothing when the row is skipped.
    pub(crate) movement: Option<Movement<'a>>,
}

/// What a row adds to the totals. Of a skipped row, as far as it can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Figures {
    /// The quantity as the file has it.
    pub(crate) quantity: i64,
    /// By how much stock changes.
    pub(crate) stock_change: i64,
    /// Quantity times price.
    pub(crate) money: Decimal,
    /// Year and month, as the zone's clocks show it.
    pub(crate) month: Option<i32>,
}

/// A variant's SKU and, when the row has one, its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) sku: &'a str,
    pub(crate) name: &'a str,
}

/// A movement that a row asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Movement<'a> {
    pub(crate) kind: Kind,
    pub(crate) reason: Option<Reason>,
    pub(crate) moment: Moment,
    pub(crate) reference: &'a str,
    pub(crate) warehouse_code: &'a str,
    pub(crate) warehouse_name: &'a str,
    pub(crate) sku: &'a str,
    /// As a line of this kind has it: positive but for ADJUST, unless the row takes back part of another.
    pub(crate) quantity: i64,
}

/// Holds rows of one file against a mapping.
#[derive(Debug)]
pub(crate) struct Classifier<'m> {
    mapping: &'m Mapping,
    clock: Clock,
}

impl<'m> Classifier<'m> {
    pub(crate) fn new(mapping: &'m Mapping) -> Classifier<'m> {
        Classifier {
            mapping,
            clock: mapping.clock(),
        }
    }

    /// What `row` says.
    pub(crate) fn classify<'a>(&mut self, row: &Row<'a>) -> Result<Verdict<'a>, RowError>
    where
        'm: 'a,
    {
        let (number, rule) = self.rule_of(row)?;
        let entry = if rule.catalogue {
            Some(self.entry(row)?)
        } else {
            None
        };
        let Some(kind) = rule.kind else {
            return Ok(Verdict {
                rule: number,
                figures: self.figures_of_skipped(row),
                entry,
                movement: None,
            });
        };
        let mapping = self.mapping;
        let quantity = row.whole(mapping.quantity, mapping.numbers)?;
        let moment = self.moment(row)?;
        let (warehouse_code, warehouse_name) = self.warehouse(row)?;
        let in_event = match rule.sign {
            Sign::AsIs => Some(quantity),
            Sign::Negate => quantity.checked_neg(),
            Sign::Absolute => quantity.checked_abs(),
        };
        let in_event = in_event.ok_or(RowError::TooLarge)?;
        let stock_change = if kind == Kind::Outbound {
            in_event.checked_neg()
        } else {
            Some(in_event)
        };
        let figures = Figures {
            quantity,
            stock_change: stock_change.ok_or(RowError::TooLarge)?,
            money: self.money(row, quantity)?,
            month: Some(moment.month),
        };
        let movement = Movement {
            kind,
            reason: rule.reason,
            moment,
            reference: self.reference(row)?,
            warehouse_code,
            warehouse_name,
            sku: row.short(mapping.sku, "SKU", SKU_LENGTH_MAX)?,
            quantity: in_event,
        };
        Ok(Verdict {
            rule: number,
            figures,
            entry,
            movement: Some(movement),
        })
    }

    fn rule_of(&self, row: &Row<'_>) -> Result<(usize, &'m Rule), RowError> {
        for (number, rule) in self.mapping.rules.iter().enumerate() {
            let takes = match &rule.when {
                None => true,
                Some(when) => when.holds(row, self.mapping.numbers)?,
            };
            if takes {
                return Ok((number, rule));
            }
        }
        Err(RowError::NoRule)
    }

    fn entry<'a>(&self, row: &Row<'a>) -> Result<Entry<'a>, RowError> {
        Ok(Entry {
            sku: row.short(self.mapping.sku, "SKU", SKU_LENGTH_MAX)?,
            name: self.mapping.name.map_or("", |name| row.text(name)),
        })
    }

    fn moment(&mut self, row: &Row<'_>) -> Result<Moment, RowError> {
        match self.mapping.time {
            TimeSource::Constant(moment) => Ok(moment),
            TimeSource::Column(column) => self.clock.read(row, column),
        }
    }

    fn warehouse<'a>(&self, row: &Row<'a>) -> Result<(&'a str, &'a str), RowError>
    where
        'm: 'a,
    {
        match &self.mapping.warehouse {
            WarehouseSource::Constant { code, name } => Ok((code, name)),
            WarehouseSource::Column { code, name } => {
                let code = row.short(*code, "warehouse's code", CODE_LENGTH_MAX)?;
                Ok((code, name.map_or("", |name| row.text(name))))
            }
        }
    }

    fn reference<'a>(&self, row: &Row<'a>) -> Result<&'a str, RowError> {
        match self
            .mapping
            .reference
            .filter(|column| !row.text(*column).is_empty())
        {
            None => Ok(""),
            Some(column) => row.short(column, "reference", REFERENCE_LENGTH_MAX),
        }
    }

    /// Quantity times price; a blank price is no money.
    fn money(&self, row: &Row<'_>, quantity: i64) -> Result<Decimal, RowError> {
        let priced: Option<Column> = self.mapping.price.filter(|price| !row.text(*price).is_empty());
        let Some(price) = priced else {
            return Ok(Decimal::default());
        };
        let price = row.number(price, self.mapping.numbers)?;
        price.times(quantity).ok_or(RowError::TooLarge)
    }

    fn figures_of_skipped(&mut self, row: &Row<'_>) -> Figures {
        let quantity = row
            .whole(self.mapping.quantity, self.mapping.numbers)
            .unwrap_or(0);
        Figures {
            quantity,
            stock_change: 0,
            money: self.money(row, quantity).unwrap_or_default(),
            month: self.moment(row).ok().map(|moment| moment.month),
        }
    }
}
