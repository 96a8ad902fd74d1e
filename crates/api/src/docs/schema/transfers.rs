//! Transfers and their steps.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::page::{PageOf, pages};
use super::reservations::OrderLine;
use super::stock_events::ReasonCode;

/// Stock to send to another warehouse.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"transferId": "truck-17", "fromWarehouseId": "b3e2f7a8-2d1d-4c1b-b948-6a1b53ecb847", "toWarehouseId": "cf6421a0-4ba0-88db-89d6-acb9b2d1450f", "lines": [{"variantId": "9f1bcd13-7cc4-4e96-8b5e-9e7c6da0e2cc", "quantity": 12}]}))]
pub(crate) struct NewTransfer {
    /// Your own id for it. No two open transfers have the same.
    #[schema(min_length = 1, max_length = 128)]
    pub(crate) transfer_id: Option<String>,
    pub(crate) from_warehouse_id: Uuid,
    /// Another one, which is active.
    pub(crate) to_warehouse_id: Uuid,
    /// Each variant once.
    #[schema(min_items = 1, max_items = 1000)]
    pub(crate) lines: Vec<OrderLine>,
    /// When it left; now when left out. May be past, and at most 5 minutes ahead.
    #[schema(format = DateTime)]
    pub(crate) occurred_at: Option<String>,
    #[schema(max_length = 500)]
    pub(crate) notes: Option<String>,
    /// In whose name; only an ADMIN names somebody else.
    pub(crate) user_id: Option<Uuid>,
}

/// What arrived. Without lines everything that is on the way did, and all of it is sound.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"lines": [{"variantId": "9f1bcd13-7cc4-4e96-8b5e-9e7c6da0e2cc", "received": 9, "damaged": 1, "short": 2}]}))]
pub(crate) struct NewReceipt {
    /// Where it arrived: where that is not where the transfer goes, nothing happens and the answer is 409.
    pub(crate) warehouse_id: Option<Uuid>,
    /// Each variant once.
    #[schema(min_items = 1, max_items = 1000)]
    pub(crate) lines: Option<Vec<ReceiptLine>>,
    #[schema(format = DateTime)]
    pub(crate) occurred_at: Option<String>,
    #[schema(max_length = 500)]
    pub(crate) notes: Option<String>,
    pub(crate) user_id: Option<Uuid>,
}

/// What was found of one variant: 1 or more units in all, and not more than are on the way.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ReceiptLine {
    pub(crate) variant_id: Uuid,
    /// Of which lot, where the variant's stock lies in lots; without, what expires first is taken first.
    #[schema(min_length = 1, max_length = 64)]
    pub(crate) lot: Option<String>,
    /// When the lot's goods expire: what brings in the first of a lot gives it this expiry.
    #[schema(format = DateTime)]
    pub(crate) expires_at: Option<String>,
    /// Sound units: they are available.
    #[schema(minimum = 0, maximum = 1_000_000_000_i64)]
    pub(crate) received: i64,
    /// Damaged units: they are held.
    #[schema(minimum = 0, maximum = 1_000_000_000_i64)]
    pub(crate) damaged: Option<i64>,
    /// Missing units: they stay on the way.
    #[schema(minimum = 0, maximum = 1_000_000_000_i64)]
    pub(crate) short: Option<i64>,
}

/// The end of a transfer.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"reasonCode": "OTHER", "notes": "Lost by the carrier, claim 4711"}))]
pub(crate) struct NewClosing {
    /// Why what is missing is: any but PURCHASE and SALE.
    pub(crate) reason_code: ReasonCode,
    #[schema(max_length = 500)]
    pub(crate) notes: Option<String>,
    pub(crate) user_id: Option<Uuid>,
}

/// How a transfer stands: something is on the way, or everything has arrived, or what had not was written off.
#[derive(ToSchema, Deserialize, Debug, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum TransferState {
    Open,
    Received,
    Closed,
}

/// What was sent from one warehouse to another, and what became of it.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Transfer {
    pub(crate) id: Uuid,
    /// The caller's own id for it.
    pub(crate) transfer_id: Option<String>,
    pub(crate) from_warehouse_id: Uuid,
    pub(crate) from_warehouse_code: Option<String>,
    pub(crate) to_warehouse_id: Uuid,
    pub(crate) to_warehouse_code: Option<String>,
    pub(crate) state: TransferState,
    /// When it left.
    #[schema(format = DateTime)]
    pub(crate) dispatched_at: String,
    /// When the last of it arrived, or it was closed; null while something is on the way.
    #[schema(format = DateTime)]
    pub(crate) ended_at: Option<String>,
    pub(crate) notes: Option<String>,
    pub(crate) created_by_id: Uuid,
    pub(crate) created_by_username: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    pub(crate) lines: Vec<TransferLine>,
    /// The events that it consists of, in their order.
    pub(crate) event_ids: Vec<Uuid>,
}

/// What became of the units of one variant: `sent` is the sum of `received`, `damaged`, `writtenOff` and `inTransit`.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct TransferLine {
    pub(crate) variant_id: Uuid,
    pub(crate) variant_sku: Option<String>,
    /// Of a lot: its id.
    pub(crate) lot_id: Option<Uuid>,
    /// Of a lot: its code.
    pub(crate) lot: Option<String>,
    pub(crate) sent: i64,
    /// Arrived sound.
    pub(crate) received: i64,
    /// Arrived damaged.
    pub(crate) damaged: i64,
    /// Found missing, and not turned up since. As long as the transfer is open they are in transit.
    pub(crate) short: i64,
    /// Still on the way when the transfer was closed.
    pub(crate) written_off: i64,
    /// On the way.
    pub(crate) in_transit: i64,
}

pages! {
    /// A page of transfers.
    TransferPage of Transfer,
}
