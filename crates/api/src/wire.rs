//! What goes over the wire, whatever family it belongs to: instants, ids, JSON read strictly and written
//! cheaply, pages and cursors. Nothing here knows a route.

pub(crate) mod by_position;
pub(crate) mod csv;
pub(crate) mod json;
mod numbers;
pub(crate) mod page;
pub(crate) mod query;
pub(crate) mod spelling;
pub(crate) mod time;
pub(crate) mod tree;
