//! Stock events.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::page::{PageOf, pages};
use super::problem::Problem;

/// The kinds of stock event that are created here.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum NewEventType {
    Inbound,
    Outbound,
    Adjust,
    /// Sets aside what is available: a quality hold, a recall.
    Hold,
    /// Makes it available again.
    Unhold,
}

/// Every kind of stock event there is.
#[derive(ToSchema, Deserialize, Debug, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum EventType {
    Inbound,
    Outbound,
    Adjust,
    Reservation,
    Release,
    Pick,
    Pack,
    Ship,
    TransferOut,
    TransferIn,
    Hold,
    Unhold,
    Expiry,
    Extend,
    Reversal,
    TransferExpected,
    TransferClosed,
    ExceptionCleared,
    CountOpened,
    Counted,
    CountApproved,
    CountCancelled,
}

/// Why stock moved. PURCHASE goes with INBOUND, SALE with OUTBOUND, COUNT_CORRECTION with ADJUST; DAMAGE and
/// DISCARD_EXPIRED with OUTBOUND and with an ADJUST that takes away; THEFT with the latter; RETURN with ADJUST; OTHER with
/// all. A transfer is closed for any of them but the first two.
#[derive(ToSchema, Deserialize, Debug, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ReasonCode {
    Purchase,
    Sale,
    CountCorrection,
    Damage,
    DiscardExpired,
    Other,
    Theft,
    Return,
}

/// A stock event to record.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"type": "INBOUND", "warehouseId": "b3e2f7a8-2d1d-4c1b-b948-6a1b53ecb847", "occurredAt": "2025-02-10T08:00:00Z", "reasonCode": "PURCHASE", "notes": "Supplier restock", "lines": [{"variantId": "9f1bcd13-7cc4-4e96-8b5e-9e7c6da0e2cc", "quantity": 25}]}))]
pub(crate) struct NewEvent {
    pub(crate) r#type: NewEventType,
    pub(crate) warehouse_id: Uuid,
    /// When it happened; now when left out. May be past, and at most 5 minutes ahead.
    #[schema(format = DateTime)]
    pub(crate) occurred_at: Option<String>,
    pub(crate) reason_code: Option<ReasonCode>,
    #[schema(max_length = 500)]
    pub(crate) notes: Option<String>,
    /// Each variant once.
    #[schema(min_items = 1, max_items = 1000)]
    pub(crate) lines: Vec<NewLine>,
    /// In whose name; only an ADMIN names somebody else.
    pub(crate) user_id: Option<Uuid>,
}

/// A stock event to record, as a line of a bulk request.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"type": "INBOUND", "warehouseId": "b3e2f7a8-2d1d-4c1b-b948-6a1b53ecb847", "occurredAt": "2025-02-10T08:00:00Z", "reasonCode": "PURCHASE", "notes": "Supplier restock", "lines": [{"variantId": "9f1bcd13-7cc4-4e96-8b5e-9e7c6da0e2cc", "quantity": 25}]}))]
pub(crate) struct BulkEvent {
    pub(crate) r#type: NewEventType,
    pub(crate) warehouse_id: Uuid,
    /// When it happened; now when left out. May be past, and at most 5 minutes ahead.
    #[schema(format = DateTime)]
    pub(crate) occurred_at: Option<String>,
    pub(crate) reason_code: Option<ReasonCode>,
    #[schema(max_length = 500)]
    pub(crate) notes: Option<String>,
    /// Each variant once.
    #[schema(min_items = 1, max_items = 1000)]
    pub(crate) lines: Vec<NewLine>,
    /// In whose name; only an ADMIN names somebody else.
    pub(crate) user_id: Option<Uuid>,
    /// Its own key, as Idempotency-Key is of a single request.
    #[schema(min_length = 1, max_length = 255)]
    pub(crate) idempotency_key: Option<String>,
}

/// A line of a stock event to record.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewLine {
    pub(crate) variant_id: Uuid,
    /// 1 to 1,000,000,000; of an ADJUST also negative.
    #[schema(minimum = -1_000_000_000_i64, maximum = 1_000_000_000_i64)]
    pub(crate) quantity: i64,
    /// How many units are to be available before it; when there are others, nothing happens.
    pub(crate) expected_available: Option<i64>,
    /// Of which lot, where the variant's stock lies in lots; without, what expires first is taken first.
    #[schema(min_length = 1, max_length = 64)]
    pub(crate) lot: Option<String>,
    /// When the lot's goods expire: what brings in the first of a lot gives it this expiry.
    #[schema(format = DateTime)]
    pub(crate) expires_at: Option<String>,
}

/// What is said of an event that undoes another.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"notes": "Counted twice"}))]
pub(crate) struct NewReversal {
    #[schema(max_length = 500)]
    pub(crate) notes: Option<String>,
    /// In whose name; only an ADMIN names somebody else.
    pub(crate) user_id: Option<Uuid>,
}

/// A stock event as it was recorded.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Event {
    pub(crate) id: Uuid,
    pub(crate) r#type: EventType,
    pub(crate) warehouse_id: Uuid,
    pub(crate) warehouse_code: Option<String>,
    /// When it happened.
    #[schema(format = DateTime)]
    pub(crate) occurred_at: String,
    pub(crate) reason_code: Option<ReasonCode>,
    pub(crate) notes: Option<String>,
    pub(crate) created_by_id: Uuid,
    pub(crate) created_by_username: Option<String>,
    /// Who sent it, where an ADMIN did so in the name of `createdById`.
    pub(crate) sent_by_id: Option<Uuid>,
    /// When the ledger recorded it.
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    pub(crate) order_id: Option<String>,
    /// The caller's own id of the transfer.
    pub(crate) transfer_id: Option<String>,
    /// The transfer that it is a step of.
    pub(crate) transfer_uuid: Option<Uuid>,
    /// The transfer's other warehouse.
    pub(crate) counterpart_warehouse_id: Option<Uuid>,
    /// Of a TRANSFER_EXPECTED what is on its way, of a TRANSFER_IN what is missing.
    pub(crate) noted: Option<Vec<Noted>>,
    #[schema(format = DateTime)]
    pub(crate) expires_at: Option<String>,
    /// The reservation that it takes from, or extends.
    pub(crate) reservation_id: Option<Uuid>,
    /// The event that it undoes.
    pub(crate) reverses_id: Option<Uuid>,
    /// The event that undid it, where one did.
    pub(crate) reversed_by_id: Option<Uuid>,
    /// The count that it is a step of, or that took from the reservation.
    pub(crate) count_id: Option<Uuid>,
    /// The exception that it clears.
    pub(crate) clears_id: Option<Uuid>,
    /// Where it took more than was available: how far below zero available stood after it.
    pub(crate) below_zero: Option<Vec<BelowZero>>,
    /// The variants whose units a count had seen move already: they are given back, or taken out, in the same event.
    pub(crate) seen_by_count: Option<Vec<Uuid>>,
    pub(crate) lines: Vec<EventLine>,
}

/// Units that an event tells of and does not move.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Noted {
    pub(crate) variant_id: Uuid,
    pub(crate) quantity: i64,
}

/// How far below zero an event took what is available.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct BelowZero {
    pub(crate) variant_id: Uuid,
    pub(crate) variant_sku: Option<String>,
    /// Of a lot: its id.
    pub(crate) lot_id: Option<Uuid>,
    /// Of a lot: its code.
    pub(crate) lot: Option<String>,
    pub(crate) units: i64,
}

/// A line of a stock event.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct EventLine {
    pub(crate) id: Uuid,
    pub(crate) variant_id: Uuid,
    pub(crate) variant_sku: Option<String>,
    /// Of a lot: its id.
    pub(crate) lot_id: Option<Uuid>,
    /// Of a lot: its code.
    pub(crate) lot: Option<String>,
    /// By how much it changed what is on hand, negative where goods leave; where on hand stays, as of a PICK or HOLD, how many
    /// units moved, without a sign.
    pub(crate) quantity: i64,
}

/// The result of one line of a bulk request.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkResult {
    /// The line's number, from 1.
    pub(crate) line: u64,
    /// 201, or the status of the problem.
    pub(crate) status: u16,
    /// Of what was recorded.
    pub(crate) id: Option<Uuid>,
    /// Its place in the log.
    pub(crate) position: Option<u64>,
    /// Whether it had been recorded before under the same key.
    pub(crate) replayed: Option<bool>,
    pub(crate) problem: Option<Problem>,
}

pages! {
    /// A page of stock events.
    EventPage of Event,
}
