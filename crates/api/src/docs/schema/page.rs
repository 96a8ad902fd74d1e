//! A page of anything.

use serde::Deserialize;
use utoipa::ToSchema;

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
