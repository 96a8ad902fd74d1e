//! Warehouses, products and variants.

use bincard_ledger::command::CatalogueCommand as C;
use bincard_ledger::event::SlotChange;
use bincard_ledger::{
    Kind, Line, NegativeStock, ProductNo, Reason, Rejection, StockCommand, Timestamp, VariantNo, WarehouseNo,
};

use super::shape::{check_date, check_text};
use super::{Model, number};

impl Model {
    pub(super) fn check_catalogue(&self, c: &StockCommand, occurred_at: Timestamp) -> Result<(), Rejection> {
        use Kind::{Expiry, Pack, Pick, Release, Ship, TransferIn, Unhold};
        let finishes = [Release, Pick, Pack, Ship, TransferIn, Unhold, Expiry].contains(&c.kind);
        let warehouse = c.warehouse;
        match number(warehouse.0).and_then(|at| self.warehouses.get(at)) {
            None => return Err(Rejection::UnknownWarehouse { warehouse }),
            Some((_, active, _)) if !active && !finishes => {
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

    pub(super) fn take_catalogue(&mut self, command: &C) -> Result<(), Rejection> {
        match command {
            C::CreateWarehouse {
                code,
                name,
                negative_stock,
            } => {
                check_text("code", code, 64)?;
                check_text("name", name, 200)?;
                self.check_code(code, None)?;
                let records = *negative_stock == Some(NegativeStock::Record);
                self.warehouses.push((code.to_string(), true, records));
            }
            C::ChangeWarehouse {
                no,
                code,
                name,
                active,
                negative_stock,
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
                warehouse.2 = negative_stock.map_or(warehouse.2, |policy| policy == NegativeStock::Record);
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
                tracks_lots: _,
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
                tracks_lots: _,
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
            C::ChangeSlot {
                warehouse,
                variant,
                change,
            } => self.check_slot(*warehouse, *variant, change)?,
            // Lots have a model of their own.
            C::ChangeLot { .. } => {}
        }
        Ok(())
    }

    fn check_slot(
        &self,
        warehouse: WarehouseNo,
        variant: VariantNo,
        change: &SlotChange,
    ) -> Result<(), Rejection> {
        if number(warehouse.0).is_none_or(|at| at >= self.warehouses.len()) {
            return Err(Rejection::UnknownWarehouse { warehouse });
        }
        if number(variant.0).is_none_or(|at| at >= self.variants.len()) {
            return Err(Rejection::UnknownVariant { line: 0, variant });
        }
        if let Some(Some(bin)) = &change.bin {
            check_text("bin", bin, 64)?;
        }
        let order = change.pick_order.clone().flatten();
        for (field, value, min) in [
            ("reorderPoint", change.reorder_point.flatten(), 0),
            ("maxLevel", change.max_level.flatten(), 0),
            ("pickOrder", order.as_ref().map(|order| order.number), 1),
        ] {
            let max = 1_000_000_000;
            if value.is_some_and(|value| value < min || value > max) {
                return Err(Rejection::NumberOutOfRange { field, min, max });
            }
        }
        if let Some(reason) = order.and_then(|order| order.reason) {
            check_text("reason", &reason, 500)?;
        }
        match (change.reorder_point.flatten(), change.max_level.flatten()) {
            (Some(reorder_point), Some(max_level)) if reorder_point > max_level => {
                Err(Rejection::ReorderAboveMax {
                    reorder_point,
                    max_level,
                })
            }
            _ => Ok(()),
        }
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
