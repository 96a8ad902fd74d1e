//! Reservations and their steps.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::page::{PageOf, pages};

/// A line of a reservation, or of a step of one.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct OrderLine {
    pub(crate) variant_id: Uuid,
    #[schema(minimum = 1, maximum = 1_000_000_000_i64)]
    pub(crate) quantity: i64,
    /// How many units are to be available before; else nothing happens and the answer is 412.
    pub(crate) expected_available: Option<i64>,
    /// Of which lot, where the variant's stock lies in lots; without, what expires first is taken first.
    #[schema(min_length = 1, max_length = 64)]
    pub(crate) lot: Option<String>,
    /// When the lot's goods expire: what brings in the first of a lot gives it this expiry.
    #[schema(format = DateTime)]
    pub(crate) expires_at: Option<String>,
}

/// Stock to reserve for an order.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"orderId": "order-4711", "warehouseId": "b3e2f7a8-2d1d-4c1b-b948-6a1b53ecb847", "expiresAt": "2030-02-10T08:00:00Z", "lines": [{"variantId": "9f1bcd13-7cc4-4e96-8b5e-9e7c6da0e2cc", "quantity": 2}]}))]
pub(crate) struct NewReservation {
    #[schema(min_length = 1, max_length = 128)]
    pub(crate) order_id: String,
    pub(crate) warehouse_id: Uuid,
    /// Each variant once.
    #[schema(min_items = 1, max_items = 1000)]
    pub(crate) lines: Vec<OrderLine>,
    /// When what is still reserved is available again; never when left out.
    #[schema(format = DateTime)]
    pub(crate) expires_at: Option<String>,
    /// Reserve what there is where there is less than asked for.
    pub(crate) partial: Option<bool>,
    #[schema(format = DateTime)]
    pub(crate) occurred_at: Option<String>,
    #[schema(max_length = 500)]
    pub(crate) notes: Option<String>,
    /// In whose name; only an ADMIN names somebody else.
    pub(crate) user_id: Option<Uuid>,
}

/// A step of a reservation. Without lines it is about everything.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"lines": [{"variantId": "9f1bcd13-7cc4-4e96-8b5e-9e7c6da0e2cc", "quantity": 2}]}))]
pub(crate) struct NewStep {
    #[schema(min_items = 1, max_items = 1000)]
    pub(crate) lines: Option<Vec<OrderLine>>,
    #[schema(format = DateTime)]
    pub(crate) occurred_at: Option<String>,
    #[schema(max_length = 500)]
    pub(crate) notes: Option<String>,
    pub(crate) user_id: Option<Uuid>,
}

/// What a release empties.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum ReleaseFrom {
    Reserved,
    Picked,
    Packed,
}

/// A release.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"from": "PICKED"}))]
pub(crate) struct NewRelease {
    pub(crate) from: Option<ReleaseFrom>,
    #[schema(min_items = 1, max_items = 1000)]
    pub(crate) lines: Option<Vec<OrderLine>>,
    #[schema(format = DateTime)]
    pub(crate) occurred_at: Option<String>,
    #[schema(max_length = 500)]
    pub(crate) notes: Option<String>,
    pub(crate) user_id: Option<Uuid>,
}

/// Another expiry.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"expiresAt": "2030-02-10T08:00:00Z"}))]
pub(crate) struct NewExtension {
    /// When what is still reserved is available again; null for never.
    #[schema(format = DateTime, required = true)]
    pub(crate) expires_at: Option<String>,
    #[schema(max_length = 500)]
    pub(crate) notes: Option<String>,
    pub(crate) user_id: Option<Uuid>,
}

/// How a reservation stands: it holds something, or it holds nothing any more because something was shipped, or all was
/// released, or what was left ran out.
#[derive(ToSchema, Deserialize, Debug, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum ReservationState {
    Open,
    Shipped,
    Released,
    Expired,
}

/// What an order holds, and what became of it.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Reservation {
    pub(crate) id: Uuid,
    pub(crate) order_id: Option<String>,
    pub(crate) warehouse_id: Uuid,
    pub(crate) warehouse_code: Option<String>,
    pub(crate) state: ReservationState,
    #[schema(format = DateTime)]
    pub(crate) expires_at: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) occurred_at: String,
    pub(crate) notes: Option<String>,
    pub(crate) created_by_id: Uuid,
    pub(crate) created_by_username: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    pub(crate) lines: Vec<ReservationLine>,
}

/// What became of the units of one variant: what was asked for is the sum of all that follow.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ReservationLine {
    pub(crate) variant_id: Uuid,
    pub(crate) variant_sku: Option<String>,
    /// Of a lot: its id.
    pub(crate) lot_id: Option<Uuid>,
    /// Of a lot: its code.
    pub(crate) lot: Option<String>,
    pub(crate) requested: i64,
    pub(crate) reserved: i64,
    pub(crate) picked: i64,
    pub(crate) packed: i64,
    pub(crate) shipped: i64,
    pub(crate) released: i64,
    pub(crate) expired: i64,
    /// Asked for and not there.
    pub(crate) short: i64,
}

pages! {
    /// A page of reservations.
    ReservationPage of Reservation,
}
