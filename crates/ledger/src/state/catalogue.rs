//! The catalogue's part of the state: what there is, by number and by code.

use std::hash::BuildHasher;

use super::{Product, State, Tracking, Variant, Warehouse, index_of};
use crate::event::CatalogueEvent as E;
use crate::id::{ProductNo, VariantNo, Version, WarehouseNo};
use crate::policy::NegativeStock;

impl State {
    /// The warehouse with this code.
    pub fn warehouse_by_code(&self, code: &str) -> Option<WarehouseNo> {
        let has_code = |no: &WarehouseNo| self.warehouse(*no).is_some_and(|one| &*one.code == code);
        self.codes.find(self.text_hash.hash_one(code), has_code).copied()
    }

    /// The variant with this SKU.
    pub fn variant_by_sku(&self, sku: &str) -> Option<VariantNo> {
        let has_sku = |no: &VariantNo| self.variant(*no).is_some_and(|one| &*one.sku == sku);
        self.skus.find(self.text_hash.hash_one(sku), has_sku).copied()
    }

    pub(super) fn apply_catalogue(&mut self, event: &E) -> Result<(), &'static str> {
        match event {
            E::WarehouseCreated { no, code, .. } => {
                expect_number(no.0, self.warehouses.len())?;
                self.add_warehouse(Warehouse {
                    code: code.clone(),
                    active: true,
                    negative_stock: NegativeStock::default(),
                    version: Version(0),
                })
            }
            E::WarehouseChanged { no, code, .. } => self.recode_warehouse(*no, code.as_deref()),
            E::WarehousePolicyChanged { no, negative_stock } => self
                .warehouse_mut(*no)
                .map(|one| one.negative_stock = *negative_stock),
            E::WarehouseActivated(no) => self.warehouse_mut(*no).map(|one| one.active = true),
            E::WarehouseDeactivated(no) => self.warehouse_mut(*no).map(|one| one.active = false),
            E::ProductCreated { no, .. } => {
                expect_number(no.0, self.products.len())?;
                self.products.push(Product { active: true });
                Ok(())
            }
            E::ProductChanged { no, .. } => self.product_mut(*no).map(|_| ()),
            E::ProductActivated(no) => self.product_mut(*no).map(|one| one.active = true),
            E::ProductDeactivated(no) => self.product_mut(*no).map(|one| one.active = false),
            E::VariantCreated {
                no,
                sku,
                expires_at,
                tracks_lots,
                ..
            } => {
                expect_number(no.0, self.variants.len())?;
                self.add_variant(Variant {
                    sku: sku.clone(),
                    active: true,
                    expires_at: *expires_at,
                    tracking: tracking(*tracks_lots),
                })
            }
            E::VariantChanged {
                no,
                sku,
                expires_at,
                tracks_lots,
                ..
            } => {
                let variant = self.variant_mut(*no)?;
                if matches!(variant.tracking, Tracking::LotOf(_)) {
                    return Err("it changes a lot as if it were a variant");
                }
                if let Some(expires_at) = expires_at {
                    variant.expires_at = *expires_at;
                }
                if let Some(tracks_lots) = tracks_lots {
                    variant.tracking = tracking(*tracks_lots);
                    if self.has_stock(*no) {
                        return Err("it changes whether stock lies in lots where there is some");
                    }
                }
                self.recode_variant(*no, sku.as_deref())
            }
            E::LotCreated {
                no,
                of,
                code,
                expires_at,
            } => {
                expect_number(no.0, self.variants.len())?;
                if self.variant_mut(*of)?.tracking != Tracking::InLots {
                    return Err("it is a lot of what does not lie in lots");
                }
                let lot = Variant {
                    sku: code.clone(),
                    active: true,
                    expires_at: *expires_at,
                    tracking: Tracking::LotOf(*of),
                };
                self.add_variant(lot)
            }
            E::LotChanged { no, expires_at } => self.change_lot(*no, *expires_at),
            E::VariantActivated(no) => {
                self.variant_mut(*no)?.active = true;
                self.set_aside.retain(|key, _| key.variant() != *no);
                Ok(())
            }
            E::VariantDeactivated(no) => self.variant_mut(*no).map(|one| one.active = false),
            E::SlotChanged {
                warehouse, variant, ..
            } => {
                self.warehouse_mut(*warehouse)?;
                self.variant_mut(*variant).map(|_| ())
            }
        }
    }

    fn warehouse_mut(&mut self, no: WarehouseNo) -> Result<&mut Warehouse, &'static str> {
        let found = index_of(no.0).and_then(|index| self.warehouses.get_mut(index));
        found.ok_or("there is no such warehouse")
    }

    fn product_mut(&mut self, no: ProductNo) -> Result<&mut Product, &'static str> {
        let found = index_of(no.0).and_then(|index| self.products.get_mut(index));
        found.ok_or("there is no such product")
    }

    fn variant_mut(&mut self, no: VariantNo) -> Result<&mut Variant, &'static str> {
        let found = index_of(no.0).and_then(|index| self.variants.get_mut(index));
        found.ok_or("there is no such variant")
    }

    pub(crate) fn add_warehouse(&mut self, warehouse: Warehouse) -> Result<(), &'static str> {
        if self.warehouse_by_code(&warehouse.code).is_some() {
            return Err("another warehouse has this code");
        }
        self.warehouses.push(warehouse);
        self.index_code(WarehouseNo(last_number(self.warehouses.len())?));
        Ok(())
    }

    pub(crate) fn add_variant(&mut self, variant: Variant) -> Result<(), &'static str> {
        if let Tracking::LotOf(of) = variant.tracking {
            return self.add_lot(of, variant);
        }
        if self.variant_by_sku(&variant.sku).is_some() {
            return Err("another variant has this SKU");
        }
        self.variants.push(variant);
        self.index_sku(VariantNo(last_number(self.variants.len())?));
        Ok(())
    }

    fn recode_warehouse(&mut self, no: WarehouseNo, code: Option<&str>) -> Result<(), &'static str> {
        let text_hash = self.text_hash;
        let old = text_hash.hash_one(&*self.warehouse_mut(no)?.code);
        let Some(code) = code else { return Ok(()) };
        if self.warehouse_by_code(code).is_some_and(|by| by != no) {
            return Err("another warehouse has this code");
        }
        if let Ok(entry) = self.codes.find_entry(old, |one| *one == no) {
            entry.remove();
        }
        self.warehouse_mut(no)?.code = code.into();
        self.index_code(no);
        Ok(())
    }

    fn recode_variant(&mut self, no: VariantNo, sku: Option<&str>) -> Result<(), &'static str> {
        let text_hash = self.text_hash;
        let old = text_hash.hash_one(&*self.variant_mut(no)?.sku);
        let Some(sku) = sku else { return Ok(()) };
        if self.variant_by_sku(sku).is_some_and(|by| by != no) {
            return Err("another variant has this SKU");
        }
        if let Ok(entry) = self.skus.find_entry(old, |one| *one == no) {
            entry.remove();
        }
        self.variant_mut(no)?.sku = sku.into();
        self.index_sku(no);
        Ok(())
    }

    fn index_code(&mut self, no: WarehouseNo) {
        let State {
            codes,
            warehouses,
            text_hash,
            ..
        } = self;
        let code = |no: &WarehouseNo| {
            let found = index_of(no.0).and_then(|index| warehouses.get(index));
            found.map_or("", |one| &*one.code)
        };
        let hash = |no: &WarehouseNo| text_hash.hash_one(code(no));
        codes.insert_unique(hash(&no), no, hash);
    }

    fn index_sku(&mut self, no: VariantNo) {
        let State {
            skus,
            variants,
            text_hash,
            ..
        } = self;
        let sku = |no: &VariantNo| {
            let found = index_of(no.0).and_then(|index| variants.get(index));
            found.map_or("", |one| &*one.sku)
        };
        let hash = |no: &VariantNo| text_hash.hash_one(sku(no));
        skus.insert_unique(hash(&no), no, hash);
    }
}

fn tracking(tracks_lots: bool) -> Tracking {
    if tracks_lots {
        Tracking::InLots
    } else {
        Tracking::Whole
    }
}

/// A created thing gets the number after the last one's.
fn expect_number(no: u32, count: usize) -> Result<(), &'static str> {
    match (no as usize).checked_sub(1) {
        Some(before) if before == count => Ok(()),
        _ => Err("its number is not the next"),
    }
}

fn last_number(count: usize) -> Result<u32, &'static str> {
    u32::try_from(count).map_err(|_| "there are more than numbers go")
}
