//! What orders were promised.

use std::collections::BTreeMap;

use bincard_ledger::{
    Bucket, ExtendCommand, Kind, Line, Position, Rejection, Shortage, StockCommand, Timestamp, WarehouseNo,
};

use super::shape::{check_date, check_notes};
use super::{BUCKETS, Model, name_of, number};

#[derive(Clone)]
pub(crate) struct Promise {
    /// The position of its event, once that was heard of.
    pub(crate) id: Option<Position>,
    pub(crate) order: String,
    pub(crate) warehouse: u32,
    pub(crate) expires_at: Option<Timestamp>,
    /// By (variant, bucket).
    pub(crate) held: BTreeMap<(u32, &'static str), i64>,
    /// What ran out and is not recorded as run out, by variant.
    pub(crate) run_out: BTreeMap<u32, i64>,
}

impl Promise {
    pub(crate) fn holds(&self, variant: u32, bucket: &'static str) -> i64 {
        self.held.get(&(variant, bucket)).copied().unwrap_or(0)
    }

    /// Whether there is nothing left of it, by what was recorded.
    pub(crate) fn is_over(&self) -> bool {
        self.run_out.is_empty() && self.held.values().all(|units| *units == 0)
    }

    pub(super) fn check_expired(&self, reservation: Position) -> Result<(), Rejection> {
        match self.expires_at {
            Some(expired_at) if !self.run_out.is_empty() => Err(Rejection::ReservationExpired {
                reservation,
                expired_at,
            }),
            _ => Ok(()),
        }
    }
}

impl Model {
    /// Which promise this is, if there is anything left of it.
    pub(super) fn promise(
        &self,
        order: Option<&str>,
        warehouse: WarehouseNo,
        id: Position,
    ) -> Result<usize, Rejection> {
        let is_it = |p: &Promise| {
            p.id == Some(id) && Some(&*p.order) == order && p.warehouse == warehouse.0 && !p.is_over()
        };
        let found = self.promises.iter().position(is_it);
        found.ok_or(Rejection::ReservationOver { reservation: id })
    }

    /// Reserves as much of each line as there is.
    pub(super) fn take_part(&mut self, c: &StockCommand) -> Result<(), Rejection> {
        let mut taken_any = false;
        for line in &c.lines {
            let there_is = self.units(c.warehouse.0, line.variant.0, "available");
            let units = there_is.clamp(0, line.quantity);
            if units > 0 {
                taken_any = true;
                self.take_line(c, line.variant.0, units);
            }
        }
        if taken_any {
            return Ok(());
        }
        let short = |line: &Line| Shortage {
            variant: line.variant,
            from: bincard_ledger::Place::Bucket(bincard_ledger::Bucket::Available),
            requested: line.quantity,
            available: 0,
        };
        let shortages = c.lines.iter().map(short).collect();
        Err(Rejection::Insufficient { shortages })
    }

    /// Moves all that a promise has where the command takes from.
    pub(super) fn take_all(&mut self, c: &StockCommand, promise: usize) -> Result<(), Rejection> {
        let (bucket, to) = match c.kind {
            Kind::Release => (c.release_from.unwrap_or(Bucket::Reserved), "available"),
            Kind::Pick => (Bucket::Reserved, "picked"),
            Kind::Pack => (Bucket::Picked, "packed"),
            _ => (Bucket::Packed, "customer"),
        };
        let from_all = c.kind == Kind::Release && c.release_from.is_none();
        let held = self.promises[promise].held.clone();
        let mut moves_any = false;
        for ((variant, from), units) in held {
            if units == 0 || !(from_all || from == name_of(bucket)) {
                continue;
            }
            moves_any = true;
            self.shift(c.warehouse.0, variant, from, to, units);
            let held = &mut self.promises[promise].held;
            held.insert((variant, from), 0);
            if BUCKETS[1..].contains(&to) {
                *held.entry((variant, to)).or_default() += units;
            }
        }
        if moves_any {
            return Ok(());
        }
        let reservation = self.promises[promise].id.expect("it was found by it");
        if bucket == Bucket::Reserved {
            self.promises[promise].check_expired(reservation)?;
        }
        Err(Rejection::NothingHeld { reservation, bucket })
    }

    pub(super) fn take_extend(&mut self, c: &ExtendCommand, now: Timestamp) -> Result<(), Rejection> {
        check_notes(&c.notes)?;
        if let Some(expires_at) = c.expires_at {
            if expires_at <= now {
                return Err(Rejection::ExpiryPassed { expires_at, now });
            }
            check_date("expiresAt", Some(expires_at))?;
        }
        let warehouse = c.warehouse;
        if number(warehouse.0).is_none_or(|at| at >= self.warehouses.len()) {
            return Err(Rejection::UnknownWarehouse { warehouse });
        }
        let promise = self.promise(Some(&*c.order), warehouse, c.reservation)?;
        let promise = &mut self.promises[promise];
        promise.check_expired(c.reservation)?;
        let reserved = |((_, bucket), units): (&(u32, &str), &i64)| *bucket == "reserved" && *units > 0;
        if !promise.held.iter().any(reserved) {
            return Err(Rejection::NothingHeld {
                reservation: c.reservation,
                bucket: Bucket::Reserved,
            });
        }
        promise.expires_at = c.expires_at;
        Ok(())
    }

    pub(super) fn take_held(
        &mut self,
        c: &StockCommand,
        variant: u32,
        from: &'static str,
        to: &'static str,
        mut units: i64,
    ) {
        for promise in &mut self.promises {
            if !is_meant(promise, c) {
                continue;
            }
            let held = promise.held.entry((variant, from)).or_default();
            let taken = units.min(*held);
            *held -= taken;
            units -= taken;
            if to == "picked" || to == "packed" {
                *promise.held.entry((variant, to)).or_default() += taken;
            }
        }
    }
}

/// Whether the command is for this promise.
pub(super) fn is_meant(promise: &Promise, c: &StockCommand) -> bool {
    Some(&*promise.order) == c.order.as_deref()
        && promise.warehouse == c.warehouse.0
        && c.reservation.is_none_or(|id| promise.id == Some(id))
}

pub(super) fn is_from_reserved(c: &StockCommand) -> bool {
    c.release_from.is_none_or(|bucket| bucket == Bucket::Reserved)
}
