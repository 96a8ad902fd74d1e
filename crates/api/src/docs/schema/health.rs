//! Whether the server lives and is ready.

use serde::Deserialize;
use utoipa::ToSchema;

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
