//! A page of anything, and the parameters that many reads have.

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

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

pub(super) use pages;
