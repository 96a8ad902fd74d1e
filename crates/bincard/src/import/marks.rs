//! What an import writes beside a row that it gives back, and knows again when it reads such a row.

/// The line on which the row stood.
pub(crate) const LINE: &str = "import_line";
/// Why it is not in the ledger.
pub(crate) const REASON: &str = "import_reason";
/// The idempotency key of the event that the row is part of.
pub(crate) const KEY: &str = "import_key";
/// In NDJSON, what stood in the place of an object and is none.
pub(crate) const TEXT: &str = "import_text";

/// Whether this is a column that imports write themselves.
pub(crate) fn is_mark(name: &str) -> bool {
    [LINE, REASON, KEY].contains(&name)
}

/// Whether the first row of a file whose mapping expects no header is one: that of rows that were given back.
pub(crate) fn is_header<'a>(mut names: impl Iterator<Item = &'a [u8]> + Clone) -> bool {
    names.clone().any(|name| name == LINE.as_bytes()) && names.any(|name| name == REASON.as_bytes())
}
