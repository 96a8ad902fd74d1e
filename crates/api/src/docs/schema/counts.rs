//! Counts.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::page::{PageOf, pages};

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

/// How a count stands: it is being counted, or what was counted is right, or nothing came of it.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum CountState {
    Open,
    Approved,
    Cancelled,
}

/// A count in a list.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct CountSummary {
    pub(crate) id: Uuid,
    pub(crate) state: CountState,
    pub(crate) warehouse_id: Uuid,
    pub(crate) warehouse_code: Option<String>,
    pub(crate) blind: bool,
    pub(crate) notes: Option<String>,
    pub(crate) created_by_id: Uuid,
    pub(crate) created_by_username: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    /// Who approved or cancelled it; null while it is open.
    pub(crate) ended_by_id: Option<Uuid>,
    pub(crate) ended_by_username: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) ended_at: Option<String>,
    pub(crate) ended_notes: Option<String>,
    /// How many variants it names; null where it is of everything at the warehouse.
    pub(crate) variants: Option<u64>,
    /// Of how many variants something was submitted.
    pub(crate) counted: u64,
}

/// A count, and all that was submitted.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Count {
    pub(crate) id: Uuid,
    pub(crate) state: CountState,
    pub(crate) warehouse_id: Uuid,
    pub(crate) warehouse_code: Option<String>,
    /// What was expected is not told before it is approved.
    pub(crate) blind: bool,
    pub(crate) notes: Option<String>,
    pub(crate) created_by_id: Uuid,
    pub(crate) created_by_username: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    /// Who approved or cancelled it; null while it is open.
    pub(crate) ended_by_id: Option<Uuid>,
    pub(crate) ended_by_username: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) ended_at: Option<String>,
    pub(crate) ended_notes: Option<String>,
    /// What is to be counted; null for everything at the warehouse.
    pub(crate) variant_ids: Option<Vec<Uuid>>,
    /// What was found, a line a variant, those that differ in nothing too. What was not counted has none.
    pub(crate) lines: Vec<CountedLine>,
    /// The events that submitted it, in their order.
    pub(crate) submissions: Vec<CountSubmission>,
}

/// What was found of one variant. The last that was submitted counts.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct CountedLine {
    pub(crate) variant_id: Uuid,
    pub(crate) variant_sku: Option<String>,
    pub(crate) counted: i64,
    #[schema(format = DateTime)]
    pub(crate) counted_at: String,
    /// Units on hand by the books when it was counted. Before the approval, as they were known when this was submitted: what
    /// is recorded late may still change it. After it, what the approval went by. Null of a blind count that is not approved.
    pub(crate) expected: Option<i64>,
    /// What was counted minus what was expected; of an approved count, what was posted. Null where `expected` is.
    pub(crate) variance: Option<i64>,
    /// All that was submitted of it, first to last.
    pub(crate) history: Vec<CountedOnce>,
}

/// What one submission said of a variant.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct CountedOnce {
    /// Which of the submissions.
    pub(crate) event_id: Uuid,
    pub(crate) counted: i64,
    #[schema(format = DateTime)]
    pub(crate) counted_at: String,
    /// As it was known when this was submitted. Null of a blind count that is not approved.
    pub(crate) expected: Option<i64>,
    /// Null where `expected` is.
    pub(crate) variance: Option<i64>,
}

/// Who submitted what was counted, and when.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct CountSubmission {
    pub(crate) event_id: Uuid,
    pub(crate) notes: Option<String>,
    pub(crate) created_by_id: Uuid,
    pub(crate) created_by_username: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
}

pages! {
    /// A page of counts.
    CountPage of CountSummary,
}
