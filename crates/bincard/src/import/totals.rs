//! What an import has read: rows, units and money, by rule and by month.

use std::collections::BTreeMap;

use super::classify::Figures;
use super::decimal::Decimal;
use super::row::RowError;

/// Rows, units and money of some rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sum {
    pub(crate) rows: u64,
    /// Units as the file has them.
    pub(crate) quantity: i64,
    /// By how much stock changes by them.
    pub(crate) stock_change: i64,
    pub(crate) money: Decimal,
}

/// What an import has read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) all: Sum,
    /// By the rule's number.
    pub(crate) rules: Vec<Sum>,
    /// By year and month.
    pub(crate) months: BTreeMap<i32, Sum>,
}

impl Totals {
    /// Counts a row; on overflow nothing is counted.
    pub(crate) fn add(&mut self, rule: usize, figures: Figures) -> Result<(), RowError> {
        let all = self.all.plus(figures)?;
        if self.rules.len() <= rule {
            self.rules.resize(rule + 1, Sum::default());
        }
        self.rules[rule] = self.rules[rule].plus(figures)?;
        if let Some(month) = figures.month {
            let sum = self.months.entry(month).or_default();
            *sum = sum.plus(figures)?;
        }
        self.all = all;
        Ok(())
    }
}

impl Sum {
    fn plus(self, figures: Figures) -> Result<Sum, RowError> {
        let sum = || {
            Some(Sum {
                rows: self.rows + 1,
                quantity: self.quantity.checked_add(figures.quantity)?,
                stock_change: self.stock_change.checked_add(figures.stock_change)?,
                money: self.money.plus(figures.money)?,
            })
        };
        sum().ok_or(RowError::TooLarge)
    }
}
