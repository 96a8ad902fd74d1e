//! Lists: a table on a terminal, tab-separated lines in a pipe.

use std::io::{self, IsTerminal};

use chrono::{DateTime, SecondsFormat};
use comfy_table::{ContentArrangement, Table, presets};

use bincard_access::UnixMs;

/// A list to write out.
pub(crate) struct List {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl List {
    pub(crate) fn new<const N: usize>(header: [&'static str; N]) -> List {
        List {
            header: header.to_vec(),
            rows: Vec::new(),
        }
    }

    pub(crate) fn row<const N: usize>(&mut self, row: [String; N]) {
        debug_assert_eq!(N, self.header.len());
        self.rows.push(row.to_vec());
    }

    /// Writes it to standard output.
    pub(crate) fn write(self) -> anyhow::Result<()> {
        if io::stdout().is_terminal() {
            let mut table = Table::new();
            table
                .load_style(presets::NOTHING)
                .set_content_arrangement(ContentArrangement::Disabled);
            table.set_header(self.header);
            table.add_rows(self.rows);
            return crate::commands::write_out(&format!("{table}\n"));
        }
        let mut text = self.header.join("\t");
        text.push('\n');
        for row in self.rows {
            // Names are free of tabs and line ends: accounts take no control characters.
            text.push_str(&row.join("\t"));
            text.push('\n');
        }
        crate::commands::write_out(&text)
    }
}

/// An instant for people and programs.
pub(crate) fn instant(at: UnixMs) -> String {
    let at = DateTime::from_timestamp_millis(at.0);
    at.map_or_else(
        || "never".to_owned(),
        |at| at.to_rfc3339_opts(SecondsFormat::Secs, true),
    )
}

/// An instant that may not have come.
pub(crate) fn maybe_instant(at: Option<UnixMs>) -> String {
    at.map_or_else(|| "-".to_owned(), instant)
}
