//! The ledger again, as naively as it can be said: maps of maps and loops, no indexes, nothing saved up.
//!
//! It shares the vocabulary with the ledger (commands, rejections, numbers) and none of its code. Where the ledger
//! records an expiry only when somebody needs the units, the model lets everything run out at its instant. What depends
//! on what was recorded (positions, versions, whether an expiry was) it hears from the records.

mod catalogue;
mod held;
mod shape;
mod transfers;

use std::collections::BTreeMap;

use bincard_ledger::{
    Account, Bucket, ClearCommand, Command, Event, Kind, Mismatch, Place, Position, Recorded, Rejection,
    ReverseCommand, Shortage, StockCommand, Timestamp, VariantNo, Version, WarehouseNo,
};

pub(crate) use held::Promise;
use held::{is_from_reserved, is_meant};
use shape::{check_notes, check_shape};
pub(crate) use transfers::Journey;

#[derive(Clone, Default)]
pub(crate) struct Model {
    /// Code, whether active, whether it records negative stock.
    pub(crate) warehouses: Vec<(String, bool, bool)>,
    pub(crate) products: usize,
    pub(crate) variants: Vec<(String, bool, Option<Timestamp>)>,
    /// Units by (warehouse, variant, name of the place). Outside accounts go below zero.
    pub(crate) places: BTreeMap<(u32, u32, &'static str), i128>,
    /// Promises in the order of promising: none is ever taken off the list.
    pub(crate) promises: Vec<Promise>,
    /// What is on the way under transfers that are known by name only, by (name, variant).
    pub(crate) transits: BTreeMap<(String, u32), i64>,
    /// Transfers in the order of dispatching: none is ever taken off the list.
    pub(crate) journeys: Vec<Journey>,
    /// Exceptions in the order of making, with whether they were cleared: none is ever taken off the list.
    pub(crate) exceptions: Vec<Exception>,
    /// How far below zero the command at hand took variants.
    below: Vec<(VariantNo, i64)>,
    /// How many events each warehouse has.
    versions: BTreeMap<u32, u64>,
    /// How many records were heard of.
    heard: usize,
}

#[derive(Clone)]
pub(crate) struct Exception {
    pub(crate) id: Position,
    pub(crate) warehouse: WarehouseNo,
    pub(crate) is_cleared: bool,
}

const BUCKETS: [&str; 5] = ["available", "reserved", "picked", "packed", "held"];

pub(crate) fn name_of(bucket: Bucket) -> &'static str {
    match bucket {
        Bucket::Available => "available",
        Bucket::Reserved => "reserved",
        Bucket::Picked => "picked",
        Bucket::Packed => "packed",
        Bucket::Held => "held",
    }
}

impl Model {
    pub(crate) fn units(&self, warehouse: u32, variant: u32, place: &'static str) -> i64 {
        let units = self.places.get(&(warehouse, variant, place)).copied();
        i64::try_from(units.unwrap_or(0)).expect("a bucket fits")
    }

    fn on_hand(&self, warehouse: u32, variant: u32) -> i128 {
        BUCKETS
            .iter()
            .map(|place| i128::from(self.units(warehouse, variant, place)))
            .sum()
    }

    fn shift(&mut self, warehouse: u32, variant: u32, from: &'static str, to: &'static str, units: i64) {
        *self.places.entry((warehouse, variant, from)).or_default() -= i128::from(units);
        *self.places.entry((warehouse, variant, to)).or_default() += i128::from(units);
    }

    /// Lets run out what runs out by `now`.
    pub(crate) fn pass_time(&mut self, now: Timestamp) {
        for at in 0..self.promises.len() {
            let promise = self.promises[at].clone();
            if promise.expires_at.is_none_or(|expires_at| expires_at > now) {
                continue;
            }
            for ((variant, bucket), units) in promise.held {
                if bucket == "reserved" && units > 0 {
                    self.promises[at].held.insert((variant, bucket), 0);
                    self.promises[at].run_out.insert(variant, units);
                    self.shift(promise.warehouse, variant, "reserved", "available", units);
                }
            }
        }
    }

    /// Hears of the records that it has not heard of.
    pub(crate) fn hear(&mut self, records: &[Recorded]) {
        for recorded in &records[self.heard..] {
            let Event::Stock(event) = &recorded.record.event else {
                continue;
            };
            *self.versions.entry(event.warehouse.0).or_default() += 1;
            if [Kind::Outbound, Kind::Adjust, Kind::Reversal].contains(&event.kind) {
                assert_eq!(event.noted, self.below, "how far below zero it went");
                if !self.below.is_empty() {
                    self.exceptions.push(Exception {
                        id: recorded.position,
                        warehouse: event.warehouse,
                        is_cleared: false,
                    });
                }
            }
            if event.kind == Kind::Reservation {
                let nameless = self.promises.iter_mut().find(|promise| promise.id.is_none());
                nameless.expect("it was just made").id = Some(recorded.position);
            }
            if event.kind == Kind::TransferOut && event.counterpart.is_some() {
                let nameless = self.journeys.iter_mut().find(|journey| journey.id.is_none());
                nameless.expect("it was just begun").id = Some(recorded.position);
            }
            for posting in event.postings.iter().filter(|_| event.kind == Kind::Expiry) {
                let of = |promise: &&mut Promise| promise.id == posting.reservation;
                let promise = self.promises.iter_mut().find(of).expect("it was made");
                let units = promise.run_out.remove(&posting.variant.0);
                assert_eq!(units, Some(posting.quantity), "what ran out is recorded once");
            }
        }
        self.heard = records.len();
    }

    pub(crate) fn take(&mut self, command: &Command, now: Timestamp) -> Result<(), Rejection> {
        self.pass_time(now);
        self.below.clear();
        match command {
            Command::Stock(command) => self.take_stock(command, now),
            Command::Extend(command) => self.take_extend(command, now),
            Command::Reverse(command) => self.take_reverse(command),
            Command::Receive(command) => self.take_receive(command, now),
            Command::Close(command) => self.take_close(command),
            Command::Clear(command) => self.take_clear(command),
            Command::Count(_) | Command::Recall(_) | Command::CatalogueAt(..) => {
                unreachable!("they have tests of their own")
            }
            Command::Catalogue(command) => self.take_catalogue(command),
            Command::ExpireDue { .. } => Ok(()),
        }
    }

    fn take_stock(&mut self, c: &StockCommand, now: Timestamp) -> Result<(), Rejection> {
        check_shape(c, now)?;
        self.check_catalogue(c, c.occurred_at.unwrap_or(now))?;
        self.check_destination(c)?;
        self.check_conditions(c)?;
        if let Some(id) = c.reservation {
            let promise = self.promise(c.order.as_deref(), c.warehouse, id)?;
            if c.lines.is_empty() {
                return self.take_all(c, promise);
            }
            if c.kind == Kind::Pick || c.kind == Kind::Release && is_from_reserved(c) {
                self.promises[promise].check_expired(id)?;
            }
        }
        let before = self.clone();
        let mut shortages = Vec::new();
        if c.kind == Kind::Reservation {
            self.promises.push(Promise {
                id: None,
                order: c.order.as_deref().unwrap_or_default().into(),
                warehouse: c.warehouse.0,
                expires_at: c.expires_at,
                held: BTreeMap::new(),
                run_out: BTreeMap::new(),
            });
        }
        self.begin_journey(c);
        if c.is_partial {
            return self.take_part(c).inspect_err(|_| *self = before);
        }
        for (at, line) in c.lines.iter().enumerate() {
            let requested = line.quantity.abs();
            let arrives = [Kind::Inbound, Kind::TransferIn].contains(&c.kind)
                || c.kind == Kind::Adjust && line.quantity > 0;
            let on_hand = self.on_hand(c.warehouse.0, line.variant.0);
            let leaves = c.kind == Kind::Outbound || c.kind == Kind::Adjust && line.quantity < 0;
            let overflows = arrives && on_hand + i128::from(requested) > i128::from(i64::MAX)
                || leaves && self.falls_too_far(c.warehouse.0, line.variant.0, requested);
            let available = if overflows {
                0
            } else {
                self.take_line(c, line.variant.0, line.quantity)
            };
            if available < requested {
                shortages.push(Shortage {
                    variant: line.variant,
                    from: place_of(flow(c, line.quantity).0),
                    requested,
                    available,
                });
            }
            if overflows {
                *self = before;
                return Err(Rejection::Overflow {
                    line: at,
                    variant: line.variant,
                });
            }
        }
        if !shortages.is_empty() {
            *self = before;
            return Err(Rejection::Insufficient { shortages });
        }
        Ok(())
    }

    fn check_conditions(&self, c: &StockCommand) -> Result<(), Rejection> {
        let Some(conditions) = &c.conditions else {
            return Ok(());
        };
        let present = Version(self.versions.get(&c.warehouse.0).copied().unwrap_or(0));
        if let Some(expected) = conditions.version
            && expected != present
        {
            return Err(Rejection::VersionMismatch { expected, present });
        }
        let mut lines = Vec::new();
        for &(variant, expected) in &conditions.available {
            let available = self.units(c.warehouse.0, variant.0, "available");
            if available != expected {
                lines.push(Mismatch {
                    variant,
                    expected,
                    available,
                });
            }
        }
        if lines.is_empty() {
            Ok(())
        } else {
            Err(Rejection::AvailableMismatch { lines })
        }
    }

    fn take_reverse(&mut self, c: &ReverseCommand) -> Result<(), Rejection> {
        use Kind::{Adjust, Hold, Inbound, Outbound, Unhold};
        let kind = c.event.kind;
        if ![Inbound, Outbound, Adjust, Hold, Unhold].contains(&kind) {
            return Err(Rejection::NotReversible { kind });
        }
        check_notes(&c.notes)?;
        let before = self.clone();
        let mut shortages = Vec::new();
        let warehouse = c.event.warehouse.0;
        for (line, posting) in c.event.postings.iter().enumerate() {
            let (variant, units) = (posting.variant, posting.quantity);
            let (from, to) = (place(posting.to), place(posting.from));
            let inside = |place| BUCKETS.contains(&place);
            let on_hand = self.on_hand(warehouse, variant.0);
            if inside(to) && !inside(from) && on_hand + i128::from(units) > i128::from(i64::MAX)
                || self.is_overdrawn(warehouse, from, to) && self.falls_too_far(warehouse, variant.0, units)
            {
                *self = before;
                return Err(Rejection::Overflow { line, variant });
            }
            let there_is = if inside(from) {
                self.units(warehouse, variant.0, from)
            } else {
                units
            };
            if there_is < units && self.is_overdrawn(warehouse, from, to) {
                self.below.push((variant, units - there_is));
                self.shift(warehouse, variant.0, from, to, units);
            } else if there_is < units {
                shortages.push(Shortage {
                    variant,
                    from: posting.to,
                    requested: units,
                    available: there_is,
                });
            } else {
                self.shift(warehouse, variant.0, from, to, units);
            }
        }
        if !shortages.is_empty() {
            *self = before;
            return Err(Rejection::Insufficient { shortages });
        }
        Ok(())
    }

    fn take_clear(&mut self, c: &ClearCommand) -> Result<(), Rejection> {
        check_notes(&c.notes)?;
        let warehouse = c.warehouse;
        if number(warehouse.0).is_none_or(|at| at >= self.warehouses.len()) {
            return Err(Rejection::UnknownWarehouse { warehouse });
        }
        let is_it = |one: &&mut Exception| one.id == c.exception && one.warehouse == warehouse;
        match self.exceptions.iter_mut().find(is_it) {
            Some(one) if !one.is_cleared => one.is_cleared = true,
            _ => {
                return Err(Rejection::ExceptionCleared {
                    exception: c.exception,
                });
            }
        }
        Ok(())
    }

    /// Whether more may be taken than there is.
    fn is_overdrawn(&self, warehouse: u32, from: &str, to: &str) -> bool {
        let records = number(warehouse).and_then(|at| self.warehouses.get(at));
        records.is_some_and(|one| one.2)
            && from == "available"
            && ["customer", "supplier", "adjustment"].contains(&to)
    }

    /// Whether available would fall further below zero than can be said.
    fn falls_too_far(&self, warehouse: u32, variant: u32, units: i64) -> bool {
        let available = i128::from(self.units(warehouse, variant, "available"));
        self.is_overdrawn(warehouse, "available", "customer")
            && i128::from(units) - available > i128::from(i64::MAX)
    }

    /// Moves a line if it can be moved, and answers how many units there were to take.
    fn take_line(&mut self, c: &StockCommand, variant: u32, quantity: i64) -> i64 {
        let (warehouse, units) = (c.warehouse.0, quantity.abs());
        let (from, to) = flow(c, quantity);
        let transit = (c.transfer.as_deref().unwrap_or_default().to_string(), variant);
        let is_held = ["reserved", "picked", "packed"].contains(&from);
        let there_is = match from {
            "supplier" | "adjustment" => units,
            "transit" => self.transits.get(&transit).copied().unwrap_or(0),
            _ if is_held => {
                let promises = self.promises.iter();
                let own = promises.filter(|p| is_meant(p, c));
                own.map(|p| p.holds(variant, from)).sum()
            }
            _ => self.units(warehouse, variant, from),
        };
        if there_is < units && self.is_overdrawn(warehouse, from, to) {
            self.below.push((VariantNo(variant), units - there_is));
            self.shift(warehouse, variant, from, to, units);
            return units;
        }
        if there_is < units {
            return there_is;
        }
        self.shift(warehouse, variant, from, to, units);
        match (from, to) {
            ("transit", _) => *self.transits.entry(transit).or_default() -= units,
            (_, "transit") if c.counterpart.is_some() => {
                let journey = self.journeys.last_mut().expect("it was just begun");
                journey.left.insert(variant, units);
            }
            (_, "transit") => *self.transits.entry(transit).or_default() += units,
            _ if is_held => self.take_held(c, variant, from, to, units),
            (_, "reserved") => {
                let promise = self.promises.last_mut().expect("it was just made");
                promise.held.insert((variant, "reserved"), units);
            }
            _ => {}
        }
        there_is
    }
}

fn place(place: Place) -> &'static str {
    match place {
        Place::Bucket(bucket) => name_of(bucket),
        Place::Account(Account::Supplier) => "supplier",
        Place::Account(Account::Customer) => "customer",
        Place::Account(Account::Adjustment) => "adjustment",
        Place::Account(Account::Transit) => "transit",
    }
}

fn number(no: u32) -> Option<usize> {
    if no == 0 { None } else { Some(no as usize - 1) }
}

/// Where a line's units come from and go to.
fn flow(c: &StockCommand, quantity: i64) -> (&'static str, &'static str) {
    match (c.kind, quantity > 0) {
        (Kind::Inbound, _) => ("supplier", "available"),
        (Kind::Outbound, _) => ("available", "customer"),
        (Kind::Adjust, true) => ("adjustment", "available"),
        (Kind::Adjust, false) => ("available", "adjustment"),
        (Kind::Reservation, _) => ("available", "reserved"),
        (Kind::Release, _) => (c.release_from.map_or("reserved", name_of), "available"),
        (Kind::Pick, _) => ("reserved", "picked"),
        (Kind::Pack, _) => ("picked", "packed"),
        (Kind::Ship, _) => ("packed", "customer"),
        (Kind::TransferOut, _) => ("available", "transit"),
        (Kind::TransferIn, _) => ("transit", "available"),
        (Kind::Hold, _) => ("available", "held"),
        (Kind::Unhold, _) => ("held", "available"),
        (
            Kind::Expiry
            | Kind::Extend
            | Kind::Reversal
            | Kind::TransferExpected
            | Kind::TransferClosed
            | Kind::ExceptionCleared
            | Kind::CountOpened
            | Kind::Counted
            | Kind::CountApproved
            | Kind::CountCancelled,
            _,
        ) => {
            unreachable!("nobody may ask for it like this")
        }
    }
}

fn place_of(name: &str) -> Place {
    let bucket = Bucket::ALL.into_iter().find(|bucket| name_of(*bucket) == name);
    bucket.map_or(Place::Account(Account::Transit), Place::Bucket)
}
