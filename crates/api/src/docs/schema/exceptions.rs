//! Exceptions.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::page::{PageOf, pages};
use super::stock_events::EventType;

/// What an exception is about.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ExceptionType {
    /// An event took more than was available: available stands below zero.
    NegativeStock,
    /// A count found less than there was to be, and took from what was promised to an order.
    CountShortage,
}

/// Whether somebody has seen to it.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum ExceptionState {
    Open,
    Cleared,
}

/// Something to see to. Its id is that of the event that made it.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Exception {
    pub(crate) id: Uuid,
    pub(crate) r#type: ExceptionType,
    pub(crate) state: ExceptionState,
    pub(crate) warehouse_id: Uuid,
    pub(crate) warehouse_code: Option<String>,
    /// What kind of event made it.
    pub(crate) event_type: EventType,
    #[schema(format = DateTime)]
    pub(crate) occurred_at: String,
    pub(crate) order_id: Option<String>,
    /// The event's notes.
    pub(crate) notes: Option<String>,
    pub(crate) created_by_id: Uuid,
    pub(crate) created_by_username: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    pub(crate) cleared_by_id: Option<Uuid>,
    pub(crate) cleared_by_username: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) cleared_at: Option<String>,
    /// What was found or done about it.
    pub(crate) cleared_notes: Option<String>,
    pub(crate) lines: Vec<ExceptionLine>,
}

/// What an exception is of.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct ExceptionLine {
    pub(crate) variant_id: Uuid,
    pub(crate) variant_sku: Option<String>,
    /// Of negative stock, how far below zero available stood after the event; of a count's shortage, how many were taken.
    pub(crate) units: i64,
    /// The reservation that they were taken from.
    pub(crate) reservation_id: Option<Uuid>,
    /// How many units are available now.
    pub(crate) available: i64,
}

/// What there is to say about a step that asks for nothing else.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"notes": "Counted: the delivery of the 3rd was never booked."}))]
pub(crate) struct NewNotes {
    #[schema(max_length = 500)]
    pub(crate) notes: Option<String>,
    /// In whose name; only an ADMIN names somebody else.
    pub(crate) user_id: Option<Uuid>,
}

pages! {
    /// A page of exceptions.
    ExceptionPage of Exception,
}
