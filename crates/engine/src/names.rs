//! The catalogue's codes and SKUs for whoever reads or writes requests: what is durable, and nothing else.
//!
//! Decisions never look here. The committer brings the names up to date before it answers, so that who created a
//! variant can use it at once.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bincard_ledger::state::Tracking;
use bincard_ledger::{CatalogueEvent, State, VariantNo, Version, WarehouseNo};

/// How a warehouse is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WarehouseName {
    /// Its code.
    pub code: Arc<str>,
    /// Whether it takes stock events.
    pub active: bool,
}

/// How a variant, or a lot of one, is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VariantName {
    /// The variant's number: of a lot, another one than the lot's own.
    pub of: VariantNo,
    /// The variant's SKU.
    pub sku: Arc<str>,
    /// The lot's code, where it is a lot.
    pub lot: Option<Arc<str>>,
    /// Whether it takes stock events.
    pub active: bool,
}

struct Variant {
    /// The variant that it is a lot of.
    lot_of: Option<VariantNo>,
    /// Its SKU, or the lot's code.
    name: Arc<str>,
    active: bool,
}

#[derive(Default)]
struct Tables {
    warehouses: Vec<WarehouseName>,
    variants: Vec<Variant>,
    codes: HashMap<Arc<str>, WarehouseNo>,
    skus: HashMap<Arc<str>, VariantNo>,
    /// The lots of variants, in the order of their numbers.
    lots: HashMap<VariantNo, Vec<VariantNo>>,
    /// The version of the catalogue's last event.
    version: Version,
}

impl Tables {
    fn of(state: &State) -> Tables {
        let mut tables = Tables {
            version: state.catalogue_version(),
            ..Tables::default()
        };
        let (warehouses, _, variants) = state.catalogue_size();
        for no in (1..=warehouses as u32).map(WarehouseNo) {
            if let Some(warehouse) = state.warehouse(no) {
                tables.add_warehouse(no, &warehouse.code, warehouse.active);
            }
        }
        for no in (1..=variants as u32).map(VariantNo) {
            if let Some(variant) = state.variant(no) {
                match variant.tracking {
                    Tracking::LotOf(of) => tables.add_lot(no, of, &variant.sku, variant.active),
                    Tracking::Whole | Tracking::InLots => {
                        tables.add_variant(no, &variant.sku, variant.active)
                    }
                }
            }
        }
        tables
    }
}

/// Codes and SKUs by number, and numbers by code and SKU.
///
/// A lock, because readers are the request threads and the one writer changes it only when the catalogue changes.
pub struct Names(RwLock<Tables>);

impl Names {
    pub(crate) fn of(state: &State) -> Names {
        Names(RwLock::new(Tables::of(state)))
    }

    /// Takes the names of a state that was read again.
    pub(crate) fn replace(&self, state: &State) {
        let tables = Tables::of(state);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = tables;
    }

    /// The warehouse with this number.
    pub fn warehouse(&self, no: WarehouseNo) -> Option<WarehouseName> {
        self.read().warehouses.get(index(no.0)?).cloned()
    }

    /// The variant, or lot, with this number.
    pub fn variant(&self, no: VariantNo) -> Option<VariantName> {
        let tables = self.read();
        let found = tables.variants.get(index(no.0)?)?;
        let of = found.lot_of.unwrap_or(no);
        Some(VariantName {
            of,
            sku: tables.variants.get(index(of.0)?)?.name.clone(),
            lot: found.lot_of.map(|_| found.name.clone()),
            active: found.active,
        })
    }

    /// The warehouse with this code.
    pub fn warehouse_by_code(&self, code: &str) -> Option<WarehouseNo> {
        self.read().codes.get(code).copied()
    }

    /// The variant with this SKU.
    pub fn variant_by_sku(&self, sku: &str) -> Option<VariantNo> {
        self.read().skus.get(sku).copied()
    }

    /// The lots of a variant, in the order of their numbers.
    pub fn lots_of(&self, variant: VariantNo) -> Vec<VariantNo> {
        self.read().lots.get(&variant).cloned().unwrap_or_default()
    }

    /// How many warehouses and variants there are.
    pub fn counts(&self) -> (usize, usize) {
        let tables = self.read();
        (tables.warehouses.len(), tables.variants.len())
    }

    /// The version that the catalogue has come to. The log's head is at its last event by then, or behind it.
    pub fn catalogue_version(&self) -> Version {
        self.read().version
    }

    pub(crate) fn apply(&self, events: &[CatalogueEvent]) {
        if events.is_empty() {
            return;
        }
        let mut tables = self.write();
        for event in events {
            tables.apply(event);
        }
    }

    // A panic in a holder leaves the tables whole: every change to them is a single insertion.
    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn index(no: u32) -> Option<usize> {
    (no as usize).checked_sub(1)
}

impl Tables {
    fn add_warehouse(&mut self, no: WarehouseNo, code: &str, active: bool) {
        let code: Arc<str> = code.into();
        self.codes.insert(code.clone(), no);
        self.warehouses.push(WarehouseName { code, active });
    }

    fn add_variant(&mut self, no: VariantNo, sku: &str, active: bool) {
        let sku: Arc<str> = sku.into();
        self.skus.insert(sku.clone(), no);
        self.variants.push(Variant {
            lot_of: None,
            name: sku,
            active,
        });
    }

    fn add_lot(&mut self, no: VariantNo, of: VariantNo, code: &str, active: bool) {
        self.lots.entry(of).or_default().push(no);
        self.variants.push(Variant {
            lot_of: Some(of),
            name: code.into(),
            active,
        });
    }

    fn warehouse_mut(&mut self, no: WarehouseNo) -> Option<&mut WarehouseName> {
        self.warehouses.get_mut(index(no.0)?)
    }

    fn variant_mut(&mut self, no: VariantNo) -> Option<&mut Variant> {
        self.variants.get_mut(index(no.0)?)
    }

    fn apply(&mut self, event: &CatalogueEvent) {
        self.version = self.version.next();
        match event {
            CatalogueEvent::WarehouseCreated { no, code, .. } => self.add_warehouse(*no, code, true),
            CatalogueEvent::VariantCreated { no, sku, .. } => self.add_variant(*no, sku, true),
            CatalogueEvent::LotCreated { no, of, code, .. } => self.add_lot(*no, *of, code, true),
            CatalogueEvent::WarehouseChanged {
                no, code: Some(code), ..
            } => self.recode_warehouse(*no, code),
            CatalogueEvent::VariantChanged {
                no, sku: Some(sku), ..
            } => self.recode_variant(*no, sku),
            CatalogueEvent::WarehouseActivated(no) => self.activate_warehouse(*no, true),
            CatalogueEvent::WarehouseDeactivated(no) => self.activate_warehouse(*no, false),
            CatalogueEvent::VariantActivated(no) => self.activate_variant(*no, true),
            CatalogueEvent::VariantDeactivated(no) => self.activate_variant(*no, false),
            CatalogueEvent::WarehouseChanged { code: None, .. }
            | CatalogueEvent::VariantChanged { sku: None, .. }
            | CatalogueEvent::WarehousePolicyChanged { .. }
            | CatalogueEvent::LotChanged { .. }
            | CatalogueEvent::ProductCreated { .. }
            | CatalogueEvent::ProductChanged { .. }
            | CatalogueEvent::ProductActivated(_)
            | CatalogueEvent::ProductDeactivated(_)
            | CatalogueEvent::SlotChanged { .. } => {}
        }
    }

    fn recode_warehouse(&mut self, no: WarehouseNo, code: &str) {
        let code: Arc<str> = code.into();
        if let Some(warehouse) = self.warehouse_mut(no) {
            let old = std::mem::replace(&mut warehouse.code, code.clone());
            self.codes.remove(&old);
            self.codes.insert(code, no);
        }
    }

    fn recode_variant(&mut self, no: VariantNo, sku: &str) {
        let sku: Arc<str> = sku.into();
        if let Some(variant) = self.variant_mut(no) {
            let old = std::mem::replace(&mut variant.name, sku.clone());
            self.skus.remove(&old);
            self.skus.insert(sku, no);
        }
    }

    fn activate_warehouse(&mut self, no: WarehouseNo, active: bool) {
        if let Some(warehouse) = self.warehouse_mut(no) {
            warehouse.active = active;
        }
    }

    fn activate_variant(&mut self, no: VariantNo, active: bool) {
        if let Some(variant) = self.variant_mut(no) {
            variant.active = active;
        }
    }
}
