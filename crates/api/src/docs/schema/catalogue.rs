//! Warehouses, products and variants.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::page::{PageOf, pages};
use super::problem::Problem;
use super::stock::Stock;

/// A change that is recorded while the catalogue cannot show it yet: nobody feeds the views, say.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recorded {
    /// `recorded`.
    pub(crate) status: String,
    /// Its place in the log: a read with this in `Ledger-Min-Position` shows it.
    pub(crate) position: u64,
}

/// The result of one line of a bulk request for products, whose ids are numbers.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProductBulkResult {
    /// The line's number, from 1.
    pub(crate) line: u64,
    /// 201, or the status of the problem.
    pub(crate) status: u16,
    pub(crate) id: Option<u32>,
    /// Its place in the log.
    pub(crate) position: Option<u64>,
    /// Whether it had been recorded before under the same key.
    pub(crate) replayed: Option<bool>,
    pub(crate) problem: Option<Problem>,
}

/// A warehouse.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Warehouse {
    pub(crate) id: Uuid,
    pub(crate) code: String,
    pub(crate) name: String,
    pub(crate) active: bool,
    pub(crate) negative_stock: NegativeStock,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    #[schema(format = DateTime)]
    pub(crate) updated_at: String,
}

/// What happens when an OUTBOUND, a negative ADJUST or a reversal takes more than is available.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NegativeStock {
    /// It is refused.
    Forbid,
    /// It is recorded, available falls below zero, and an exception says so.
    Record,
}

/// A warehouse to create.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"code": "WH-SAO-01", "name": "São Paulo"}))]
pub(crate) struct NewWarehouse {
    /// Unique.
    #[schema(min_length = 1, max_length = 64)]
    pub(crate) code: String,
    #[schema(min_length = 1, max_length = 200)]
    pub(crate) name: String,
    /// Whether what left is recorded although there was less: `forbid` when left out.
    pub(crate) negative_stock: Option<NegativeStock>,
}

/// A warehouse to create, as a line of a bulk request.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"code": "WH-SAO-01", "name": "São Paulo"}))]
pub(crate) struct BulkWarehouse {
    /// Unique.
    #[schema(min_length = 1, max_length = 64)]
    pub(crate) code: String,
    #[schema(min_length = 1, max_length = 200)]
    pub(crate) name: String,
    /// Whether what left is recorded although there was less: `forbid` when left out.
    pub(crate) negative_stock: Option<NegativeStock>,
    /// Its own key, as Idempotency-Key is of a single request.
    #[schema(min_length = 1, max_length = 255)]
    pub(crate) idempotency_key: Option<String>,
}

/// What to change of a warehouse; what is left out stays.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct WarehouseChange {
    pub(crate) code: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) active: Option<bool>,
    pub(crate) negative_stock: Option<NegativeStock>,
}

/// A product.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Product {
    pub(crate) id: u32,
    pub(crate) name: String,
    pub(crate) active: bool,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    #[schema(format = DateTime)]
    pub(crate) updated_at: String,
}

/// A product to create.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"name": "Laptop X"}))]
pub(crate) struct NewProduct {
    #[schema(min_length = 1, max_length = 200)]
    pub(crate) name: String,
}

/// A product to create, as a line of a bulk request.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"name": "Laptop X"}))]
pub(crate) struct BulkProduct {
    #[schema(min_length = 1, max_length = 200)]
    pub(crate) name: String,
    /// Its own key, as Idempotency-Key is of a single request.
    #[schema(min_length = 1, max_length = 255)]
    pub(crate) idempotency_key: Option<String>,
}

/// What to change of a product; what is left out stays.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ProductChange {
    pub(crate) name: Option<String>,
    pub(crate) active: Option<bool>,
}

/// A variant: what is stocked, under its SKU.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Variant {
    pub(crate) id: Uuid,
    pub(crate) sku: String,
    pub(crate) name: String,
    pub(crate) product_id: Option<u32>,
    /// When its goods expire.
    #[schema(format = DateTime)]
    pub(crate) expires_at: Option<String>,
    /// Whether its stock lies in lots.
    pub(crate) tracks_lots: bool,
    pub(crate) active: bool,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    #[schema(format = DateTime)]
    pub(crate) updated_at: String,
}

/// A variant to create.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"sku": "LAPTOP-X-RED-256", "name": "Laptop X, red, 256 GB", "productId": 1}))]
pub(crate) struct NewVariant {
    /// Unique; case matters.
    #[schema(min_length = 1, max_length = 128)]
    pub(crate) sku: String,
    #[schema(min_length = 1, max_length = 200)]
    pub(crate) name: String,
    pub(crate) product_id: Option<u32>,
    #[schema(format = DateTime)]
    pub(crate) expires_at: Option<String>,
    /// Whether its stock lies in lots; false when left out.
    pub(crate) tracks_lots: Option<bool>,
}

/// A variant to create, as a line of a bulk request.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"sku": "LAPTOP-X-RED-256", "name": "Laptop X, red, 256 GB", "productId": 1}))]
pub(crate) struct BulkVariant {
    /// Unique; case matters.
    #[schema(min_length = 1, max_length = 128)]
    pub(crate) sku: String,
    #[schema(min_length = 1, max_length = 200)]
    pub(crate) name: String,
    pub(crate) product_id: Option<u32>,
    #[schema(format = DateTime)]
    pub(crate) expires_at: Option<String>,
    /// Whether its stock lies in lots; false when left out.
    pub(crate) tracks_lots: Option<bool>,
    /// Its own key, as Idempotency-Key is of a single request.
    #[schema(min_length = 1, max_length = 255)]
    pub(crate) idempotency_key: Option<String>,
}

/// What to change of a variant; what is left out stays, and `null` takes the product or expiry away.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct VariantChange {
    pub(crate) sku: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) product_id: Option<u32>,
    #[schema(format = DateTime)]
    pub(crate) expires_at: Option<String>,
    pub(crate) active: Option<bool>,
    /// Changed only while there is none of it.
    pub(crate) tracks_lots: Option<bool>,
}

/// The place of a variant at a warehouse.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Slot {
    pub(crate) warehouse_id: Uuid,
    pub(crate) warehouse_code: Option<String>,
    pub(crate) variant_id: Uuid,
    pub(crate) variant_sku: Option<String>,
    /// Where in the warehouse it lies.
    pub(crate) bin: Option<String>,
    /// At so many units available or fewer it is to be ordered again.
    pub(crate) reorder_point: Option<i64>,
    /// So many units are to lie there at most.
    pub(crate) max_level: Option<i64>,
    /// Its place in the order of picking, where somebody gave it one; else that follows from the bin.
    pub(crate) pick_order: Option<i64>,
    pub(crate) pick_order_reason: Option<String>,
    /// Null where nothing was said of it yet.
    #[schema(format = DateTime)]
    pub(crate) updated_at: Option<String>,
}

/// What to change of a slot; what is left out stays, and `null` takes it away.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"bin": "A-12-3", "reorderPoint": 20, "maxLevel": 100}))]
pub(crate) struct SlotChange {
    #[schema(min_length = 1, max_length = 64)]
    pub(crate) bin: Option<String>,
    #[schema(minimum = 0, maximum = 1_000_000_000_i64)]
    pub(crate) reorder_point: Option<i64>,
    #[schema(minimum = 0, maximum = 1_000_000_000_i64)]
    pub(crate) max_level: Option<i64>,
}

/// A lot of a variant.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Lot {
    pub(crate) id: Uuid,
    pub(crate) variant_id: Uuid,
    pub(crate) variant_sku: Option<String>,
    /// The same as `id`.
    pub(crate) lot_id: Uuid,
    /// Its code.
    pub(crate) lot: String,
    /// When its goods expire.
    #[schema(format = DateTime)]
    pub(crate) expires_at: Option<String>,
    /// Whether it is chosen and issued.
    pub(crate) active: bool,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    #[schema(format = DateTime)]
    pub(crate) updated_at: String,
}

/// What to change of a lot; what is left out stays, and `null` takes the expiry away.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct LotChange {
    #[schema(format = DateTime)]
    pub(crate) expires_at: Option<String>,
    pub(crate) active: Option<bool>,
}

/// How a recall of a lot stands.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct LotRecall {
    /// The lot; it is not active while it is recalled.
    pub(crate) lot: Lot,
    /// What of it lies where, by warehouse: at most 500.
    pub(crate) stock: Vec<Stock>,
    /// Which orders have some of it, the oldest reservation first: at most 500. `GET /api/v1/reservations` has all of them, by
    /// the lot's id as `variantId` and `state=OPEN`.
    pub(crate) reservations: Vec<LotReservation>,
    /// How many there are.
    pub(crate) total_reservations: u64,
}

/// What an order has of a lot.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct LotReservation {
    /// The reservation.
    pub(crate) id: Uuid,
    pub(crate) order_id: String,
    pub(crate) warehouse_id: Uuid,
    pub(crate) warehouse_code: Option<String>,
    pub(crate) reserved: i64,
    pub(crate) picked: i64,
    pub(crate) packed: i64,
}

pages! {
    /// A page of lots.
    LotPage of Lot,
    /// A page of slots.
    SlotPage of Slot,
    /// A page of warehouses.
    WarehousePage of Warehouse,
    /// A page of products.
    ProductPage of Product,
    /// A page of variants.
    VariantPage of Variant,
}
