//! The ledger again, as naively as it can be said: maps of maps and loops, no indexes, nothing saved up.
//!
//! It shares the vocabulary with the ledger (commands, rejections, numbers) and none of its code. Where the ledger
//! records an expiry only when somebody needs the units, the model lets everything run out at its instant.

use std::collections::BTreeMap;

use bincard_ledger::command::CatalogueCommand as C;
use bincard_ledger::{
    Bucket, Command, Kind, Line, ProductNo, Reason, Rejection, Shortage, StockCommand, Timestamp, VariantNo,
    WarehouseNo,
};

#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) warehouses: Vec<(String, bool)>,
    pub(crate) products: usize,
    pub(crate) variants: Vec<(String, bool, Option<Timestamp>)>,
    /// Units by (warehouse, variant, name of the place). Outside accounts go below zero.
    pub(crate) places: BTreeMap<(u32, u32, &'static str), i128>,
    /// Promises in the order of promising: none is ever taken off the list.
    pub(crate) promises: Vec<Promise>,
    pub(crate) transits: BTreeMap<(String, u32), i64>,
}

#[derive(Clone)]
pub(crate) struct Promise {
    pub(crate) order: String,
    warehouse: u32,
    expires_at: Option<Timestamp>,
    /// By (variant, bucket).
    pub(crate) held: BTreeMap<(u32, &'static str), i64>,
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
                    self.shift(promise.warehouse, variant, "reserved", "available", units);
                }
            }
        }
    }

    pub(crate) fn take(&mut self, command: &Command, now: Timestamp) -> Result<(), Rejection> {
        self.pass_time(now);
        match command {
            Command::Stock(command) => self.take_stock(command, now),
            Command::Catalogue(command) => self.take_catalogue(command),
            Command::ExpireDue { .. } => Ok(()),
        }
    }

    fn take_stock(&mut self, c: &StockCommand, now: Timestamp) -> Result<(), Rejection> {
        check_shape(c, now)?;
        self.check_catalogue(c, c.occurred_at.unwrap_or(now))?;
        let before = self.clone();
        let mut shortages = Vec::new();
        if c.kind == Kind::Reservation {
            self.promises.push(Promise {
                order: c.order.as_deref().unwrap_or_default().into(),
                warehouse: c.warehouse.0,
                expires_at: c.expires_at,
                held: BTreeMap::new(),
            });
        }
        for (at, line) in c.lines.iter().enumerate() {
            let requested = line.quantity.abs();
            let arrives = [Kind::Inbound, Kind::TransferIn].contains(&c.kind)
                || c.kind == Kind::Adjust && line.quantity > 0;
            let on_hand = self.on_hand(c.warehouse.0, line.variant.0);
            let overflows = arrives && on_hand + i128::from(requested) > i128::from(i64::MAX);
            let available = if overflows {
                0
            } else {
                self.take_line(c, line.variant.0, line.quantity)
            };
            if available < requested {
                shortages.push(Shortage {
                    variant: line.variant,
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

    /// Moves a line if it can be moved, and answers how many units there were to take.
    fn take_line(&mut self, c: &StockCommand, variant: u32, quantity: i64) -> i64 {
        let (warehouse, units) = (c.warehouse.0, quantity.abs());
        let (from, to) = match (c.kind, quantity > 0) {
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
            (Kind::Expiry, _) => unreachable!("nobody may ask for an expiry"),
        };
        let order = c.order.as_deref().unwrap_or_default();
        let transit = (c.transfer.as_deref().unwrap_or_default().to_string(), variant);
        let is_held = ["reserved", "picked", "packed"].contains(&from);
        let there_is = match from {
            "supplier" | "adjustment" => units,
            "transit" => self.transits.get(&transit).copied().unwrap_or(0),
            _ if is_held => {
                let promises = self.promises.iter();
                let own = promises.filter(|p| p.order == order && p.warehouse == warehouse);
                own.map(|p| p.held.get(&(variant, from)).copied().unwrap_or(0))
                    .sum()
            }
            _ => self.units(warehouse, variant, from),
        };
        if there_is < units {
            return there_is;
        }
        self.shift(warehouse, variant, from, to, units);
        match (from, to) {
            ("transit", _) => *self.transits.entry(transit).or_default() -= units,
            (_, "transit") => *self.transits.entry(transit).or_default() += units,
            _ if is_held => self.take_held(order, warehouse, variant, from, to, units),
            (_, "reserved") => {
                let promise = self.promises.last_mut().expect("it was just made");
                promise.held.insert((variant, "reserved"), units);
            }
            _ => {}
        }
        there_is
    }

    fn take_held(
        &mut self,
        order: &str,
        warehouse: u32,
        variant: u32,
        from: &'static str,
        to: &'static str,
        mut units: i64,
    ) {
        for promise in &mut self.promises {
            if promise.order != order || promise.warehouse != warehouse {
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

    fn check_catalogue(&self, c: &StockCommand, occurred_at: Timestamp) -> Result<(), Rejection> {
        use Kind::{Expiry, Pack, Pick, Release, Ship, TransferIn, Unhold};
        let finishes = [Release, Pick, Pack, Ship, TransferIn, Unhold, Expiry].contains(&c.kind);
        let warehouse = c.warehouse;
        match number(warehouse.0).and_then(|at| self.warehouses.get(at)) {
            None => return Err(Rejection::UnknownWarehouse { warehouse }),
            Some((_, active)) if !active && !finishes => {
                return Err(Rejection::InactiveWarehouse { warehouse });
            }
            Some(_) => {}
        }
        for (line, Line { variant, .. }) in c.lines.iter().enumerate() {
            let variant = *variant;
            let Some((_, active, expires_at)) = number(variant.0).and_then(|at| self.variants.get(at)) else {
                return Err(Rejection::UnknownVariant { line, variant });
            };
            if !active && !finishes {
                return Err(Rejection::InactiveVariant { line, variant });
            }
            let excused = [Reason::DiscardExpired, Reason::Damage, Reason::CountCorrection];
            let excused = c.reason.is_some_and(|reason| excused.contains(&reason));
            let sells = c.kind == Kind::Outbound || c.kind == Kind::Reservation;
            if let Some(expired_at) = *expires_at
                && expired_at <= occurred_at
                && sells
                && !excused
            {
                return Err(Rejection::VariantExpired {
                    line,
                    variant,
                    expired_at,
                });
            }
        }
        Ok(())
    }

    fn take_catalogue(&mut self, command: &C) -> Result<(), Rejection> {
        match command {
            C::CreateWarehouse { code, name } => {
                check_text("code", code, 64)?;
                check_text("name", name, 200)?;
                self.check_code(code, None)?;
                self.warehouses.push((code.to_string(), true));
            }
            C::ChangeWarehouse {
                no,
                code,
                name,
                active,
            } => {
                if number(no.0).is_none_or(|at| at >= self.warehouses.len()) {
                    return Err(Rejection::UnknownWarehouse { warehouse: *no });
                }
                if let Some(code) = code {
                    check_text("code", code, 64)?;
                    self.check_code(code, Some(no.0))?;
                }
                name.as_ref()
                    .map_or(Ok(()), |name| check_text("name", name, 200))?;
                let warehouse = &mut self.warehouses[no.0 as usize - 1];
                warehouse.0 = code.as_ref().map_or(warehouse.0.clone(), |code| code.to_string());
                warehouse.1 = active.unwrap_or(warehouse.1);
            }
            C::CreateProduct { name } => {
                check_text("name", name, 200)?;
                self.products += 1;
            }
            C::ChangeProduct { no, name, .. } => {
                self.check_product(Some(*no))?;
                name.as_ref()
                    .map_or(Ok(()), |name| check_text("name", name, 200))?;
            }
            C::CreateVariant {
                sku,
                name,
                product,
                expires_at,
            } => {
                check_text("sku", sku, 128)?;
                check_text("name", name, 200)?;
                self.check_sku(sku, None)?;
                self.check_product(*product)?;
                check_date("expiresAt", *expires_at)?;
                self.variants.push((sku.to_string(), true, *expires_at));
            }
            C::ChangeVariant {
                no,
                sku,
                name,
                product,
                expires_at,
                active,
            } => {
                if number(no.0).is_none_or(|at| at >= self.variants.len()) {
                    return Err(Rejection::UnknownVariant {
                        line: 0,
                        variant: *no,
                    });
                }
                if let Some(sku) = sku {
                    check_text("sku", sku, 128)?;
                    self.check_sku(sku, Some(no.0))?;
                }
                name.as_ref()
                    .map_or(Ok(()), |name| check_text("name", name, 200))?;
                self.check_product(product.flatten())?;
                check_date("expiresAt", expires_at.flatten())?;
                let variant = &mut self.variants[no.0 as usize - 1];
                variant.0 = sku.as_ref().map_or(variant.0.clone(), |sku| sku.to_string());
                variant.1 = active.unwrap_or(variant.1);
                variant.2 = expires_at.unwrap_or(variant.2);
            }
        }
        Ok(())
    }

    fn check_code(&self, code: &str, except: Option<u32>) -> Result<(), Rejection> {
        match self
            .warehouses
            .iter()
            .position(|one| one.0 == code)
            .map(|at| at as u32 + 1)
        {
            Some(no) if except != Some(no) => Err(Rejection::CodeTaken { by: WarehouseNo(no) }),
            _ => Ok(()),
        }
    }

    fn check_sku(&self, sku: &str, except: Option<u32>) -> Result<(), Rejection> {
        match self
            .variants
            .iter()
            .position(|one| one.0 == sku)
            .map(|at| at as u32 + 1)
        {
            Some(no) if except != Some(no) => Err(Rejection::SkuTaken { by: VariantNo(no) }),
            _ => Ok(()),
        }
    }

    fn check_product(&self, product: Option<ProductNo>) -> Result<(), Rejection> {
        match product {
            Some(product) if product.0 == 0 || product.0 as usize > self.products => {
                Err(Rejection::UnknownProduct { product })
            }
            _ => Ok(()),
        }
    }
}

fn number(no: u32) -> Option<usize> {
    if no == 0 { None } else { Some(no as usize - 1) }
}

fn check_text(field: &'static str, text: &str, length_max: usize) -> Result<(), Rejection> {
    let length = text.chars().count();
    let blank_end = text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace);
    if length == 0 || length > length_max || blank_end || text.contains(char::is_control) {
        return Err(Rejection::InvalidText { field, length_max });
    }
    Ok(())
}

/// 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z.
fn check_date(field: &'static str, at: Option<Timestamp>) -> Result<(), Rejection> {
    match at.map(Timestamp::micros) {
        Some(micros) if !(-62_135_596_800_000_000..=253_402_300_799_999_999).contains(&micros) => {
            Err(Rejection::InstantOutOfRange { field })
        }
        _ => Ok(()),
    }
}

fn check_shape(c: &StockCommand, now: Timestamp) -> Result<(), Rejection> {
    let kind = c.kind;
    if kind == Kind::Expiry {
        return Err(Rejection::NotCommandable { kind });
    }
    if c.lines.is_empty() {
        return Err(Rejection::NoLines);
    }
    if c.lines.len() > 1_000 {
        return Err(Rejection::TooManyLines { count: c.lines.len() });
    }
    for (line, &Line { quantity, .. }) in c.lines.iter().enumerate() {
        let negative = kind == Kind::Adjust && (-1_000_000_000..0).contains(&quantity);
        if !negative && !(1..=1_000_000_000).contains(&quantity) {
            return Err(Rejection::InvalidQuantity { line, quantity });
        }
    }
    for (line, Line { variant, .. }) in c.lines.iter().enumerate() {
        if c.lines[..line].iter().any(|earlier| earlier.variant == *variant) {
            return Err(Rejection::DuplicateVariant {
                line,
                variant: *variant,
            });
        }
    }
    if let Some(reason) = c.reason {
        let all_negative = c.lines.iter().all(|line| line.quantity < 0);
        let fits = match reason {
            Reason::Purchase => kind == Kind::Inbound,
            Reason::Sale => kind == Kind::Outbound,
            Reason::CountCorrection => kind == Kind::Adjust,
            Reason::Damage | Reason::DiscardExpired => {
                kind == Kind::Outbound || kind == Kind::Adjust && all_negative
            }
            Reason::Other => true,
        };
        if !fits {
            return Err(Rejection::ReasonMismatch { kind, reason });
        }
    }
    use Kind::{Pack, Pick, Release, Reservation, Ship, TransferIn, TransferOut};
    if [Reservation, Release, Pick, Pack, Ship].contains(&kind) && c.order.is_none() {
        return Err(Rejection::OrderMissing { kind });
    }
    let transfers = [TransferOut, TransferIn].contains(&kind);
    if transfers && c.transfer.is_none() {
        return Err(Rejection::TransferMissing { kind });
    }
    if !transfers && c.transfer.is_some() {
        return Err(Rejection::FieldNotAllowed {
            field: "transferId",
            kind,
        });
    }
    if let Some(bucket) = c.release_from
        && (kind != Release || bucket == Bucket::Available || bucket == Bucket::Held)
    {
        return Err(Rejection::FieldNotAllowed {
            field: "releaseFrom",
            kind,
        });
    }
    for reference in [&c.order, &c.transfer].into_iter().flatten() {
        let length = reference.chars().count();
        if length == 0 || length > 128 || reference.contains(char::is_control) {
            return Err(Rejection::InvalidReference);
        }
    }
    if c.notes.as_ref().is_some_and(|notes| notes.chars().count() > 500) {
        return Err(Rejection::NotesTooLong);
    }
    if let Some(expires_at) = c.expires_at {
        if kind != Reservation {
            return Err(Rejection::FieldNotAllowed {
                field: "expiresAt",
                kind,
            });
        }
        if expires_at <= now {
            return Err(Rejection::ExpiryPassed { expires_at, now });
        }
        check_date("expiresAt", Some(expires_at))?;
    }
    let occurred_at = c.occurred_at.unwrap_or(now);
    if occurred_at.micros() > now.micros() + 300_000_000 {
        return Err(Rejection::OccursInFuture { occurred_at, now });
    }
    check_date("occurredAt", Some(occurred_at))
}
