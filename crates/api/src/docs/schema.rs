//! The shapes of requests and answers, as the OpenAPI document describes them.
//!
//! Requests are read and answers written elsewhere, by hand; the tests hold every answer against the document, so that
//! the two cannot part.

#![expect(
    dead_code,
    reason = "these types are for the document that is derived from them"
)]

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// What went wrong (RFC 9457). `type` leads to a page that explains it.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({"type": "/problems/warehouse-not-found", "title": "There is no such warehouse", "status": 404, "detail": "stock-warehouse-not-found", "requestId": "req_9h2k4m7p0q3sx"}))]
pub(crate) struct Problem {
    /// Where the problem is explained.
    pub(crate) r#type: String,
    /// What it is, in one line.
    pub(crate) title: String,
    /// The status of the answer.
    pub(crate) status: u16,
    /// A code to branch on.
    pub(crate) detail: String,
    /// What is wrong with the request, where.
    pub(crate) errors: Option<Vec<ProblemError>>,
    /// The lines that ask for more than there is.
    pub(crate) shortages: Option<Vec<Shortage>>,
    /// The version that the warehouse was to have come to.
    pub(crate) expected: Option<u64>,
    /// The version that it has come to.
    pub(crate) present: Option<u64>,
    /// The variants of which another quantity is available than was expected.
    pub(crate) lines: Option<Vec<Mismatch>>,
    /// Why exactly, where there are several reasons.
    pub(crate) reason: Option<String>,
    /// What was recorded under the idempotency key.
    pub(crate) event_id: Option<Uuid>,
    /// Who has the code or SKU.
    pub(crate) taken_by: Option<Uuid>,
    /// The type of body that is taken.
    pub(crate) wanted: Option<String>,
    /// The request's id, as in the header X-Request-Id and in the server's log.
    pub(crate) request_id: Option<String>,
}

/// One thing that is wrong with a request. One of `pointer`, `parameter` and `header` says where.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProblemError {
    /// A JSON pointer into the body.
    pub(crate) pointer: Option<String>,
    /// A query parameter.
    pub(crate) parameter: Option<String>,
    /// A header field.
    pub(crate) header: Option<String>,
    /// What is wrong.
    pub(crate) detail: String,
}

/// A line that asks for more than there is.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Shortage {
    pub(crate) variant_id: Uuid,
    pub(crate) requested: i64,
    pub(crate) available: i64,
}

/// A variant of which another quantity is available than was expected.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Mismatch {
    pub(crate) variant_id: Uuid,
    pub(crate) expected: i64,
    pub(crate) available: i64,
}

/// The kinds of stock event that are created here.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum NewEventType {
    Inbound,
    Outbound,
    Adjust,
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
}

/// Why stock moved. PURCHASE goes with INBOUND, SALE with OUTBOUND, COUNT_CORRECTION with ADJUST; DAMAGE and
/// DISCARD_EXPIRED with OUTBOUND and with an ADJUST that takes away; OTHER with all.
#[derive(ToSchema, Deserialize, Debug, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ReasonCode {
    Purchase,
    Sale,
    CountCorrection,
    Damage,
    DiscardExpired,
    Other,
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
    pub(crate) transfer_id: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) expires_at: Option<String>,
    /// The reservation that it takes from, or extends.
    pub(crate) reservation_id: Option<Uuid>,
    /// The event that it undoes.
    pub(crate) reverses_id: Option<Uuid>,
    pub(crate) lines: Vec<EventLine>,
}

/// A line of a stock event.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct EventLine {
    pub(crate) id: Uuid,
    pub(crate) variant_id: Uuid,
    pub(crate) variant_sku: Option<String>,
    /// By how much it changed what is on hand: negative where goods leave.
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

/// Which page it is of how many.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct PageOf {
    /// Counted from 0.
    pub(crate) number: u64,
    pub(crate) size: u32,
    pub(crate) total_elements: u64,
    pub(crate) total_pages: u64,
}

macro_rules! pages {
    ($($(#[$doc:meta])* $name:ident of $item:ty,)*) => {$(
        $(#[$doc])*
        #[derive(ToSchema, Deserialize, Debug)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        pub(crate) struct $name {
            pub(crate) content: Vec<$item>,
            pub(crate) page: PageOf,
            /// Send it as `cursor` for the next page; null on the last.
            pub(crate) next_cursor: Option<String>,
        }
    )*};
}

pages! {
    /// A page of stock events.
    EventPage of Event,
    /// A page of stock.
    StockPage of Stock,
    /// A page of reservations.
    ReservationPage of Reservation,
    /// A page of warehouses.
    WarehousePage of Warehouse,
    /// A page of products.
    ProductPage of Product,
    /// A page of variants.
    VariantPage of Variant,
    /// A page of users.
    UserPage of User,
    /// A page of API keys.
    KeyPage of Key,
}

/// A line of a reservation, or of a step of one.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct OrderLine {
    pub(crate) variant_id: Uuid,
    #[schema(minimum = 1, maximum = 1_000_000_000_i64)]
    pub(crate) quantity: i64,
    /// How many units are to be available before; else nothing happens and the answer is 412.
    pub(crate) expected_available: Option<i64>,
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

/// A warehouse.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Warehouse {
    pub(crate) id: Uuid,
    pub(crate) code: String,
    pub(crate) name: String,
    pub(crate) active: bool,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    #[schema(format = DateTime)]
    pub(crate) updated_at: String,
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
}

/// How the ledger stands.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Ledger {
    pub(crate) head: Head,
    pub(crate) views: Vec<View>,
    /// Why the ledger takes no more events; null while it does.
    pub(crate) stopped: Option<String>,
}

/// The last durable event.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Head {
    pub(crate) position: u64,
    /// The chain's hash, which commits to everything before; 64 hexadecimal digits.
    pub(crate) hash: String,
    /// When it was recorded; null while there is nothing.
    #[schema(format = DateTime)]
    pub(crate) recorded_at: Option<String>,
}

/// How a view stands.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct View {
    pub(crate) name: String,
    pub(crate) position: u64,
    /// How many events it is behind the head.
    pub(crate) behind: u64,
    /// Whether it answers; it does not until it has been built for the first time.
    pub(crate) ready: bool,
    /// How far a generation is that is being built, while there is one.
    pub(crate) building: Option<u64>,
    /// What keeps it from going on, while something does.
    pub(crate) error: Option<String>,
}

/// A rebuild was begun.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct RebuildAnswer {
    pub(crate) view: String,
    /// `rebuilding`.
    pub(crate) status: String,
}

/// One event of the log. What it has besides depends on its type.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FeedEvent {
    pub(crate) position: u64,
    #[schema(format = DateTime)]
    pub(crate) recorded_at: String,
    /// `catalogue`, or the id of a warehouse.
    pub(crate) stream: String,
    /// Its place in its stream.
    pub(crate) version: u64,
    pub(crate) author_id: Uuid,
    pub(crate) on_behalf_of_id: Option<Uuid>,
    pub(crate) idempotency_key: Option<String>,
    /// A type of stock event, or one such as VARIANT_CREATED.
    pub(crate) r#type: String,
    /// Of a stock event: what moved from where to where.
    pub(crate) postings: Option<Vec<FeedPosting>>,
}

/// One movement of an event.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct FeedPosting {
    pub(crate) variant_id: Uuid,
    /// available, reserved, picked, packed, held, supplier, customer, adjustment or transit.
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) quantity: i64,
    /// The event that reserved what moves.
    pub(crate) reservation_id: Option<Uuid>,
}

/// A user.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct User {
    pub(crate) id: Uuid,
    pub(crate) email: String,
    pub(crate) username: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    pub(crate) role: Role,
    pub(crate) warehouse_ids: Vec<Uuid>,
    pub(crate) plan: Plan,
    pub(crate) active: bool,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
}

/// What somebody may do.
#[derive(ToSchema, Deserialize, Debug, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Role {
    /// Everything.
    Admin,
    /// All stock and planning work.
    Manager,
    /// Stock events and reads at its own warehouses.
    Seller,
    /// Reads.
    Viewer,
}

/// How much somebody may do.
#[derive(ToSchema, Deserialize, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Plan {
    Standard,
    Premium,
    /// No limit; for machines.
    Service,
}

/// A user to add.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewUser {
    pub(crate) email: String,
    pub(crate) username: String,
    pub(crate) first_name: Option<String>,
    pub(crate) last_name: Option<String>,
    #[schema(min_length = 8)]
    pub(crate) password: String,
    pub(crate) role: Role,
    /// Of a SELLER only.
    pub(crate) warehouse_ids: Option<Vec<Uuid>>,
    /// `standard` when left out.
    pub(crate) plan: Option<Plan>,
}

/// What to change of a user; what is left out stays.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct UserChange {
    pub(crate) role: Option<Role>,
    pub(crate) warehouse_ids: Option<Vec<Uuid>>,
    pub(crate) plan: Option<Plan>,
    pub(crate) active: Option<bool>,
    pub(crate) password: Option<String>,
}

/// An API key, without its secret.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Key {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) warehouse_ids: Vec<Uuid>,
    pub(crate) plan: Plan,
    pub(crate) created_by_id: Option<Uuid>,
    #[schema(format = DateTime)]
    pub(crate) created_at: String,
    #[schema(format = DateTime)]
    pub(crate) expires_at: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) last_used_at: Option<String>,
    #[schema(format = DateTime)]
    pub(crate) revoked_at: Option<String>,
    /// The key itself: in the answer that creates it, and never again.
    pub(crate) secret: Option<String>,
}

/// An API key to make.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct NewKey {
    #[schema(min_length = 1, max_length = 100)]
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Of a SELLER only.
    pub(crate) warehouse_ids: Option<Vec<Uuid>>,
    /// `service` when left out.
    pub(crate) plan: Option<Plan>,
    #[schema(format = DateTime)]
    pub(crate) expires_at: Option<String>,
}

/// What signs a user in.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"email": "user@example.com", "password": "secure_password"}))]
pub(crate) struct LoginRequest {
    /// The e-mail address, or the username.
    pub(crate) email: String,
    pub(crate) password: String,
}

/// Signed in.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginAnswer {
    pub(crate) success: bool,
    pub(crate) data: LoginTokens,
    pub(crate) message: String,
}

/// What a signed-in user holds.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginTokens {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    /// For how many seconds the access token works.
    pub(crate) expires_in: u32,
    pub(crate) user: LoginUser,
}

/// Who has signed in.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginUser {
    /// The user's number within its organisation.
    pub(crate) id: i64,
    pub(crate) email: String,
    pub(crate) first_name: String,
    pub(crate) last_name: String,
    /// In lower case.
    pub(crate) role: String,
}

/// What gives a new pair of tokens.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshRequest {
    pub(crate) refresh_token: String,
}

/// A new pair of tokens.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshAnswer {
    pub(crate) success: bool,
    pub(crate) data: RefreshTokens,
}

/// A new pair of tokens: use the new refresh token from now on.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct RefreshTokens {
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
    pub(crate) expires_in: u32,
}

/// Signed out.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogoutAnswer {
    pub(crate) success: bool,
    pub(crate) message: String,
}

/// Who is signed in.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Session {
    pub(crate) user: SessionUser,
    /// When the token runs out; null for a key that does not.
    #[schema(format = DateTime)]
    pub(crate) expires: Option<String>,
}

/// Who is signed in.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct SessionUser {
    pub(crate) id: Uuid,
    /// Null for an API key.
    pub(crate) email: Option<String>,
    pub(crate) role: Role,
    pub(crate) tenant_id: String,
}

/// What went wrong, in the words of the routes of signing in.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct FamilyError {
    /// False; of all routes but the session's.
    pub(crate) success: Option<bool>,
    pub(crate) error: FamilyErrorBody,
    #[schema(format = DateTime)]
    pub(crate) timestamp: String,
    pub(crate) request_id: Option<String>,
    /// Of the session's route.
    #[serde(rename = "requestId")]
    pub(crate) session_request_id: Option<String>,
}

/// What went wrong, in the words of the routes of signing in.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct FamilyErrorBody {
    pub(crate) code: String,
    pub(crate) message: String,
    #[schema(value_type = Object)]
    pub(crate) details: serde_json::Value,
}

/// The server lives.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Health {
    /// `ok`.
    pub(crate) status: String,
}

/// Whether the server takes requests.
#[derive(ToSchema, Deserialize, Debug)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Ready {
    /// `ready`, or why not.
    pub(crate) status: String,
    pub(crate) ledgers_open: u64,
}
