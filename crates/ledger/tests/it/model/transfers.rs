//! What is on its way between two warehouses.

use std::collections::BTreeMap;

use bincard_ledger::{
    CloseCommand, Kind, Position, Reason, ReceiveCommand, ReceivedLine, Rejection, Shortage, StockCommand,
    Timestamp,
};

use super::shape::{check_date, check_notes};
use super::{Model, number};

/// A transfer, which is never taken off the list.
#[derive(Clone)]
pub(crate) struct Journey {
    /// The position of its event, once that was heard of.
    pub(crate) id: Option<Position>,
    pub(crate) name: Option<String>,
    pub(crate) source: u32,
    pub(crate) destination: u32,
    /// Units still on the way, by variant.
    pub(crate) left: BTreeMap<u32, i64>,
}

impl Journey {
    pub(crate) fn is_over(&self) -> bool {
        self.left.values().all(|units| *units == 0)
    }
}

impl Model {
    pub(super) fn check_destination(&self, c: &StockCommand) -> Result<(), Rejection> {
        let Some(warehouse) = c.counterpart else {
            return Ok(());
        };
        if warehouse == c.warehouse {
            return Err(Rejection::SameWarehouse { warehouse });
        }
        match number(warehouse.0).and_then(|at| self.warehouses.get(at)) {
            None => return Err(Rejection::UnknownWarehouse { warehouse }),
            Some((_, false, _)) => return Err(Rejection::InactiveWarehouse { warehouse }),
            Some((_, true, _)) => {}
        }
        let same_name = |one: &&Journey| c.transfer.is_some() && one.name.as_deref() == c.transfer.as_deref();
        match self.journeys.iter().filter(same_name).find(|one| !one.is_over()) {
            None => Ok(()),
            Some(open) => Err(Rejection::TransferTaken {
                by: open.id.expect("it was heard of"),
            }),
        }
    }

    pub(super) fn begin_journey(&mut self, c: &StockCommand) {
        let Some(destination) = c.counterpart else { return };
        self.journeys.push(Journey {
            id: None,
            name: c.transfer.as_deref().map(String::from),
            source: c.warehouse.0,
            destination: destination.0,
            left: BTreeMap::new(),
        });
    }

    fn journey(&self, transfer: Position) -> Result<usize, Rejection> {
        let is_it = |one: &Journey| one.id == Some(transfer) && !one.is_over();
        let found = self.journeys.iter().position(is_it);
        found.ok_or(Rejection::TransferOver { transfer })
    }

    pub(super) fn take_receive(&mut self, c: &ReceiveCommand, now: Timestamp) -> Result<(), Rejection> {
        if c.lines.len() > 1_000 {
            return Err(Rejection::TooManyLines { count: c.lines.len() });
        }
        const MAX: i64 = 1_000_000_000;
        for (line, one) in c.lines.iter().enumerate() {
            let parts = [
                ("received", one.received),
                ("damaged", one.damaged),
                ("short", one.short),
            ];
            for (field, units) in parts {
                if !(0..=MAX).contains(&units) {
                    let field = Some(field);
                    return Err(Rejection::InvalidFound { line, field, units });
                }
            }
            let units = one.received + one.damaged + one.short;
            if !(1..=MAX).contains(&units) {
                let field = None;
                return Err(Rejection::InvalidFound { line, field, units });
            }
        }
        for (line, one) in c.lines.iter().enumerate() {
            let variant = one.variant;
            if c.lines[..line].iter().any(|earlier| earlier.variant == variant) {
                return Err(Rejection::DuplicateVariant { line, variant });
            }
        }
        check_notes(&c.notes)?;
        let occurred_at = c.occurred_at.unwrap_or(now);
        if occurred_at.micros() > now.micros() + 300_000_000 {
            return Err(Rejection::OccursInFuture { occurred_at, now });
        }
        check_date("occurredAt", Some(occurred_at))?;
        let warehouse = c.warehouse;
        if number(warehouse.0).is_none_or(|at| at >= self.warehouses.len()) {
            return Err(Rejection::UnknownWarehouse { warehouse });
        }
        for (line, ReceivedLine { variant, .. }) in c.lines.iter().enumerate() {
            if number(variant.0).is_none_or(|at| at >= self.variants.len()) {
                let variant = *variant;
                return Err(Rejection::UnknownVariant { line, variant });
            }
        }
        let journey = self.journey(c.transfer)?;
        let Journey {
            destination, left, ..
        } = self.journeys[journey].clone();
        if destination != warehouse.0 {
            return Err(Rejection::WrongWarehouse {
                transfer: c.transfer,
                destination: bincard_ledger::WarehouseNo(destination),
            });
        }
        let all: Vec<(u32, [i64; 3])> = match c.lines.is_empty() {
            true => left
                .iter()
                .map(|(variant, units)| (*variant, [*units, 0, 0]))
                .collect(),
            false => c
                .lines
                .iter()
                .map(|l| (l.variant.0, [l.received, l.damaged, l.short]))
                .collect(),
        };
        self.check_found(c.transfer, &left, &all)?;
        let before = self.clone();
        let moving = all
            .iter()
            .filter(|(_, parts)| parts.iter().any(|units| *units > 0));
        for (line, (variant, [sound, damaged, _])) in moving.enumerate() {
            let on_hand = self.on_hand(destination, *variant);
            if on_hand + i128::from(sound + damaged) > i128::from(i64::MAX) {
                *self = before;
                let variant = bincard_ledger::VariantNo(*variant);
                return Err(Rejection::Overflow { line, variant });
            }
            self.shift(destination, *variant, "transit", "available", *sound);
            self.shift(destination, *variant, "transit", "held", *damaged);
            *self.journeys[journey].left.entry(*variant).or_default() -= sound + damaged;
        }
        Ok(())
    }

    fn check_found(
        &self,
        transfer: Position,
        left: &BTreeMap<u32, i64>,
        all: &[(u32, [i64; 3])],
    ) -> Result<(), Rejection> {
        let mut shortages = Vec::new();
        for (variant, parts) in all {
            let requested = parts.iter().sum();
            let available = left.get(variant).copied().unwrap_or(0);
            if requested > available {
                shortages.push(Shortage {
                    variant: bincard_ledger::VariantNo(*variant),
                    from: bincard_ledger::Place::Account(bincard_ledger::Account::Transit),
                    requested,
                    available,
                });
            }
        }
        if shortages.is_empty() {
            Ok(())
        } else {
            Err(Rejection::OverReceipt { transfer, shortages })
        }
    }

    pub(super) fn take_close(&mut self, c: &CloseCommand) -> Result<(), Rejection> {
        if c.reason == Reason::Purchase || c.reason == Reason::Sale {
            return Err(Rejection::ReasonMismatch {
                kind: Kind::TransferClosed,
                reason: c.reason,
            });
        }
        check_notes(&c.notes)?;
        let journey = self.journey(c.transfer)?;
        let Journey {
            destination, left, ..
        } = self.journeys[journey].clone();
        for (variant, units) in left {
            self.shift(destination, variant, "transit", "adjustment", units);
            self.journeys[journey].left.insert(variant, 0);
        }
        Ok(())
    }
}
