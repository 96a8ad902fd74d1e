//! The view of the catalogue: warehouses, products and variants.

mod fold;
mod queries;

use bincard_ledger::{Position, ProductNo, Timestamp, VariantNo, WarehouseNo};

pub(crate) use fold::Catalogue;
pub use queries::{CatalogueFilter, Search};
pub(crate) use queries::{list, read_product, read_variant, read_warehouse, select, total};

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

/// `text` as it is compared in searches: without case.
pub(crate) fn folded(text: &str) -> String {
    text.to_lowercase()
}
