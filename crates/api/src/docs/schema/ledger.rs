//! The ledger, its views and its feed.

use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

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
