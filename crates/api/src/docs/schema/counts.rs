//! Counts.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A count to open.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"warehouseId": "b3e2f7a8-2d1d-4c1b-b948-6a1b53ecb847", "variantIds": ["9f1bcd13-7cc4-4e96-8b5e-9e7c6da0e2cc"], "blind": true}))]
pub(crate) struct NewCount {
    pub(crate) warehouse_id: Uuid,
    /// What is to be counted, each variant once; everything at the warehouse when left out.
    #[schema(min_items = 1, max_items = 1000)]
    pub(crate) variant_ids: Option<Vec<Uuid>>,
    /// Whether those who count are not told what is expected.
    pub(crate) blind: Option<bool>,
    #[schema(max_length = 500)]
    pub(crate) notes: Option<String>,
    /// In whose name; only an ADMIN names somebody else.
    pub(crate) user_id: Option<Uuid>,
}

/// What was counted.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"lines": [{"variantId": "9f1bcd13-7cc4-4e96-8b5e-9e7c6da0e2cc", "counted": 17, "countedAt": "2025-02-10T08:00:00Z"}]}))]
pub(crate) struct NewCounted {
    /// Each variant once.
    #[schema(min_items = 1, max_items = 1000)]
    pub(crate) lines: Vec<NewCountedLine>,
    #[schema(max_length = 500)]
    pub(crate) notes: Option<String>,
    /// In whose name; only an ADMIN names somebody else.
    pub(crate) user_id: Option<Uuid>,
}

/// What was counted of one variant.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewCountedLine {
    pub(crate) variant_id: Uuid,
    /// Units found on hand, those reserved, picked, packed and held included.
    #[schema(minimum = 0, maximum = 1_000_000_000_000_i64)]
    pub(crate) counted: i64,
    /// When it was counted; now when left out. Not before the count was opened.
    #[schema(format = DateTime)]
    pub(crate) counted_at: Option<String>,
}
