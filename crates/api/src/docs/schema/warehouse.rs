//! The warehouse family.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// What went wrong, in the words of the warehouse family.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"error": {"code": "VALIDATION_ERROR", "message": "Request validation failed", "details": {"quantity": "Must be a positive integer", "reason": "Required field"}}, "timestamp": "2025-10-25T10:30:00Z", "requestId": "req_abc123"}))]
pub(crate) struct WarehouseError {
    pub(crate) error: WarehouseErrorBody,
    #[schema(format = DateTime)]
    pub(crate) timestamp: String,
    pub(crate) request_id: String,
}

/// What went wrong, in the words of the warehouse family.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct WarehouseErrorBody {
    /// INVALID_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT, VALIDATION_ERROR, RATE_LIMIT_EXCEEDED,
    /// INTERNAL_ERROR or SERVICE_UNAVAILABLE.
    pub(crate) code: String,
    pub(crate) message: String,
    /// What is wrong, by field; of missing stock, `shortages`.
    #[schema(value_type = Object)]
    pub(crate) details: serde_json::Value,
}

/// A part of what lies where.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inventory {
    pub(crate) items: Vec<InventoryItem>,
    pub(crate) pagination: Pagination,
}

/// A SKU at a warehouse.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct InventoryItem {
    pub(crate) id: Uuid,
    pub(crate) sku: String,
    /// The product's name, or the variant's where it has no product.
    pub(crate) product_name: String,
    /// The warehouse's name.
    pub(crate) location: String,
    pub(crate) quantity_available: i64,
    pub(crate) quantity_reserved: i64,
    pub(crate) quantity_picked: i64,
    pub(crate) quantity_packed: i64,
    pub(crate) reorder_point: Option<i64>,
    /// Whether it is at or below its reorder point.
    pub(crate) is_low_stock: bool,
    /// Its place in the order of picking at its warehouse.
    pub(crate) pick_order: i64,
    pub(crate) bin: Option<String>,
}

/// Which part of a list it is.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Pagination {
    pub(crate) total: u64,
    pub(crate) limit: u64,
    pub(crate) offset: u64,
    pub(crate) has_more: bool,
}

/// Another place in the order of picking.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"pickOrder": 5, "reason": "Moved to new bin"}))]
pub(crate) struct PickOrderChange {
    /// Null takes it back: the place follows from the bin again.
    #[schema(minimum = 1, maximum = 1_000_000_000_i64, required = true)]
    pub(crate) pick_order: Option<i64>,
    #[schema(max_length = 500)]
    pub(crate) reason: Option<String>,
    /// A warehouse by its id, code or name; the one where the SKU is stocked when left out.
    pub(crate) location: Option<String>,
}

/// What place a SKU had and has.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct PickOrderAnswer {
    pub(crate) success: bool,
    pub(crate) sku_id: Uuid,
    /// Null where the SKU had no place at this warehouse yet.
    pub(crate) old_pick_order: Option<i64>,
    pub(crate) new_pick_order: Option<i64>,
    #[schema(format = DateTime)]
    pub(crate) updated_at: String,
}

/// Why stock was adjusted.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum AdjustmentReason {
    Damage,
    Theft,
    CountAdjustment,
    Return,
}

/// An adjustment to record. DAMAGE and THEFT only take away.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"quantity": -3, "reason": "DAMAGE", "notes": "Broken bottles during picking"}))]
pub(crate) struct NewAdjustment {
    /// Negative to decrease; never 0.
    #[schema(minimum = -1_000_000_000_i64, maximum = 1_000_000_000_i64)]
    pub(crate) quantity: i64,
    pub(crate) reason: AdjustmentReason,
    #[schema(max_length = 500)]
    pub(crate) notes: Option<String>,
    /// In whose name; only an ADMIN names somebody else.
    pub(crate) user_id: Option<String>,
    /// A warehouse by its id, code or name; the one where the SKU is stocked when left out.
    pub(crate) location: Option<String>,
}

/// An adjustment that was recorded.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct AdjustAnswer {
    pub(crate) success: bool,
    pub(crate) sku_id: Uuid,
    /// What was available before.
    pub(crate) previous_quantity: i64,
    /// What was available after.
    pub(crate) new_quantity: i64,
    pub(crate) adjustment: i64,
    pub(crate) transaction: AdjustTransaction,
}

/// The transaction of an adjustment.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct AdjustTransaction {
    pub(crate) id: Uuid,
    pub(crate) r#type: String,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
}

/// The types that are recorded by hand.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum TransactionType {
    Reservation,
    Release,
    Pick,
    Pack,
    Ship,
    Adjustment,
}

/// A transaction to record.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"skuId": "WINE-CAB-001", "type": "ADJUSTMENT", "quantity": -5, "reason": "Physical count discrepancy"}))]
pub(crate) struct NewTransaction {
    /// The variant's id, or its SKU.
    pub(crate) sku_id: String,
    pub(crate) r#type: TransactionType,
    /// Positive; of an ADJUSTMENT either sign, never 0.
    pub(crate) quantity: i64,
    #[schema(min_length = 1, max_length = 500)]
    pub(crate) reason: String,
    /// In whose name; only an ADMIN names somebody else.
    pub(crate) user_id: Option<String>,
    /// The order that it is about: all types but ADJUSTMENT need it.
    #[schema(min_length = 1, max_length = 128)]
    pub(crate) order_id: Option<String>,
    /// A warehouse by its id, code or name; the one where the SKU is stocked when left out.
    pub(crate) location: Option<String>,
}

/// A transaction that was recorded.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransactionAnswer {
    pub(crate) success: bool,
    pub(crate) transaction: RecordedTransaction,
}

/// A transaction that was recorded.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct RecordedTransaction {
    pub(crate) id: Uuid,
    pub(crate) r#type: String,
    pub(crate) quantity: i64,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
}

/// The transactions of a SKU.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transactions {
    pub(crate) transactions: Vec<Transaction>,
    pub(crate) summary: TransactionSummary,
}

/// A transaction.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Transaction {
    pub(crate) id: Uuid,
    /// RESERVATION, RELEASE, PICK, PACK, SHIP, ADJUSTMENT, or another type of stock event.
    pub(crate) r#type: String,
    /// Of the order's types and holds what moved, of others by how much on hand changed. Of what happened before a count and
    /// was recorded after it, by how much it would have: on hand stays as it was counted.
    pub(crate) quantity: i64,
    pub(crate) previous_available: i64,
    pub(crate) new_available: i64,
    pub(crate) order_id: Option<String>,
    pub(crate) user_id: Uuid,
    /// The reason's code, or what was said.
    pub(crate) reason: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
}

/// Sums over all transactions that pass the filters.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct TransactionSummary {
    pub(crate) total_transactions: u64,
    /// By how many units on hand changed.
    pub(crate) net_change: i64,
    pub(crate) reservations: i64,
    pub(crate) picks: i64,
    pub(crate) adjustments: i64,
}

/// Where to reconcile.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSkuReconciliation {
    /// A warehouse by its id, code or name; the one where the SKU is stocked when left out.
    pub(crate) location: Option<String>,
}

/// What came of a reconciliation.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct SkuReconcileAnswer {
    pub(crate) success: bool,
    pub(crate) sku_id: Uuid,
    pub(crate) reconciliation: SkuReconciliation,
    /// How many events of the log were added up.
    pub(crate) transactions_reviewed: u64,
}

/// What was said, what is so, and whether the former was put right.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct SkuReconciliation {
    pub(crate) previous_available: i64,
    pub(crate) calculated_available: i64,
    pub(crate) difference: i64,
    pub(crate) adjusted: bool,
}
