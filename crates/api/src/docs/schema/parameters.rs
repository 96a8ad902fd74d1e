//! Parameters that many routes have.

use utoipa::IntoParams;

/// Which page is asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Paged {
    /// From 0
    page: Option<u64>,
    /// 1 to 500; 20 when left out
    #[param(minimum = 1, maximum = 500)]
    size: Option<u32>,
    /// The `nextCursor` of another page of the same list
    cursor: Option<String>,
}

/// How far a read is to see.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct ReadAfter {
    /// A `Ledger-Position`: wait until what is read has come so far
    #[param(rename = "Ledger-Min-Position")]
    ledger_min_position: Option<u64>,
}

/// Under which key a write is known.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct Keyed {
    /// 1 to 255 visible ASCII characters
    #[param(rename = "Idempotency-Key")]
    idempotency_key: Option<String>,
}

/// At which version of a warehouse a write is to happen.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct AtVersion {
    /// The version that the warehouse is to have come to, such as `"42"`: the ETag of its stock or inventory, or of the last
    /// write. At another version nothing happens
    #[param(rename = "If-Match")]
    if_match: Option<String>,
}
