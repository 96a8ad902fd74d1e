//! The view of the catalogue: warehouses, products, variants, and slots, which are the places of variants at warehouses.
//!
//! There is a row for a slot from the first event on that moved its variant there or changed the slot itself.

mod fold;
mod memory;
mod queries;
mod slots;

use bincard_ledger::event::SlotChange;
use bincard_ledger::{NegativeStock, Position, ProductNo, Timestamp, VariantNo, WarehouseNo};

use crate::stock::StockKey;

pub(crate) use fold::Catalogue;
pub(crate) use memory::InOrder;
pub use queries::{CatalogueFilter, Search};
pub(crate) use queries::{
    found_variants, list, names_of_variants, names_of_warehouses, read_lot, read_product, read_variant,
    read_warehouse, select, total,
};
pub use slots::SlotFilter;
pub(crate) use slots::{one as slot, page as slot_page, total as slot_total};

/// A warehouse.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WarehouseRow {
    /// Its number.
    pub no: WarehouseNo,
    /// Its unique code.
    pub code: String,
    /// Its display name.
    pub name: String,
    /// Whether it takes stock events.
    pub active: bool,
    /// What happens when a physical fact takes more than is available.
    pub negative_stock: NegativeStock,
    /// The event that created it.
    pub created: Position,
    /// When that was recorded.
    pub created_at: Timestamp,
    /// The last event that changed it.
    pub changed: Position,
    /// When that was recorded.
    pub changed_at: Timestamp,
}

/// A product.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProductRow {
    /// Its number.
    pub no: ProductNo,
    /// Its name.
    pub name: String,
    /// Whether it is in use.
    pub active: bool,
    /// The event that created it.
    pub created: Position,
    /// When that was recorded.
    pub created_at: Timestamp,
    /// The last event that changed it.
    pub changed: Position,
    /// When that was recorded.
    pub changed_at: Timestamp,
}

/// A variant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VariantRow {
    /// Its number.
    pub no: VariantNo,
    /// Its unique SKU.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// The product it is a variant of.
    pub product: Option<ProductNo>,
    /// When its goods expire.
    pub expires_at: Option<Timestamp>,
    /// Whether its stock lies in lots.
    pub tracks_lots: bool,
    /// Whether it takes stock events.
    pub active: bool,
    /// The event that created it.
    pub created: Position,
    /// When that was recorded.
    pub created_at: Timestamp,
    /// The last event that changed it.
    pub changed: Position,
    /// When that was recorded.
    pub changed_at: Timestamp,
}

/// A lot of a variant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LotRow {
    /// Its number, which is of the variants'.
    pub no: VariantNo,
    /// The variant that it is of.
    pub variant: VariantNo,
    /// Its code, unique among those of its variant.
    pub code: String,
    /// When its goods expire.
    pub expires_at: Option<Timestamp>,
    /// Whether it takes stock events.
    pub active: bool,
    /// The event that created it.
    pub created: Position,
    /// When that was recorded.
    pub created_at: Timestamp,
    /// The last event that changed it.
    pub changed: Position,
    /// When that was recorded.
    pub changed_at: Timestamp,
}

/// A slot: the place of a variant at a warehouse.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotRow {
    /// Where and what.
    pub key: StockKey,
    /// Where in the warehouse it lies.
    pub bin: Option<String>,
    /// At so many units available or fewer it is to be ordered again.
    pub reorder_point: Option<i64>,
    /// So many units are to lie there at most.
    pub max_level: Option<i64>,
    /// Its place in the order of picking, where somebody gave it one.
    pub pick_order: Option<i64>,
    /// Why it has that place.
    pub pick_reason: Option<String>,
    /// When it was changed last; `None` when it never was.
    pub changed_at: Option<Timestamp>,
}

impl SlotRow {
    /// The slot of which nothing was ever said.
    pub fn empty(key: StockKey) -> SlotRow {
        SlotRow {
            key,
            bin: None,
            reorder_point: None,
            max_level: None,
            pick_order: None,
            pick_reason: None,
            changed_at: None,
        }
    }
}

/// What memory keeps of a slot.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct SlotSettings {
    pub(crate) bin: Option<Box<str>>,
    pub(crate) reorder_point: Option<i64>,
    pub(crate) max_level: Option<i64>,
    pub(crate) pick_order: Option<i64>,
}

impl SlotSettings {
    fn change(&mut self, change: &SlotChange) {
        if let Some(bin) = &change.bin {
            self.bin.clone_from(bin);
        }
        self.reorder_point = change.reorder_point.unwrap_or(self.reorder_point);
        self.max_level = change.max_level.unwrap_or(self.max_level);
        if let Some(order) = &change.pick_order {
            self.pick_order = order.as_ref().map(|order| order.number);
        }
    }
}

/// `text` as it is compared in searches: without case.
pub(crate) fn folded(text: &str) -> String {
    text.to_lowercase()
}
