//! Stock on hand.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::page::{PageOf, pages};

/// What lies of a variant at a warehouse.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Stock {
    pub(crate) warehouse_id: Uuid,
    pub(crate) warehouse_code: Option<String>,
    pub(crate) variant_id: Uuid,
    pub(crate) variant_sku: Option<String>,
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

pages! {
    /// A page of stock.
    StockPage of Stock,
}
