//! Stock on hand.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::page::{PageOf, pages};
use super::stock_events::{EventType, ReasonCode};

/// What lies of a variant at a warehouse.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Stock {
    pub(crate) warehouse_id: Uuid,
    pub(crate) warehouse_code: Option<String>,
    pub(crate) variant_id: Uuid,
    pub(crate) variant_sku: Option<String>,
    /// Of a lot: its id.
    pub(crate) lot_id: Option<Uuid>,
    /// Of a lot: its code.
    pub(crate) lot: Option<String>,
    /// The sum of all that follow.
    pub(crate) on_hand: i64,
    /// Free to be sold, reserved or moved.
    pub(crate) available: i64,
    pub(crate) reserved: i64,
    pub(crate) picked: i64,
    pub(crate) packed: i64,
    /// Set aside: quality hold, recall, damage.
    pub(crate) held: i64,
}

/// What a variant had at a warehouse before or after a movement.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Held {
    pub(crate) on_hand: i64,
    pub(crate) available: i64,
    pub(crate) reserved: i64,
    pub(crate) picked: i64,
    pub(crate) packed: i64,
    pub(crate) held: i64,
}

/// Units of one variant that went from one place to another.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Movement {
    /// The event that moved them.
    pub(crate) event_id: Uuid,
    /// That event's place in the log.
    pub(crate) position: u64,
    pub(crate) r#type: EventType,
    #[schema(format = DateTime)]
    pub(crate) occurred_at: String,
    pub(crate) reason_code: Option<ReasonCode>,
    pub(crate) warehouse_id: Uuid,
    pub(crate) warehouse_code: Option<String>,
    pub(crate) variant_id: Uuid,
    pub(crate) variant_sku: Option<String>,
    /// Of a lot: its id.
    pub(crate) lot_id: Option<Uuid>,
    /// Of a lot: its code.
    pub(crate) lot: Option<String>,
    /// A bucket (`available`, `reserved`, `picked`, `packed`, `held`), or where goods come from and go to: `supplier`,
    /// `customer`, `adjustment`, `transit`.
    pub(crate) from: String,
    pub(crate) to: String,
    /// How many units: always positive.
    pub(crate) quantity: i64,
    /// In the order of recording.
    pub(crate) before: Held,
    pub(crate) after: Held,
}

pages! {
    /// A page of movements.
    MovementPage of Movement,
}

pages! {
    /// A page of stock.
    StockPage of Stock,
}
