//! Lists of a ledger for people and programs: an aligned table on a terminal, CSV or lines of JSON elsewhere.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};
use serde_json::Value;

use crate::asking::{Answer, Source, Where};
use crate::config::Config;
use crate::exit::shown;

/// How a list is written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Format {
    /// Aligned columns, for reading
    Table,
    /// Comma-separated values with a header
    Csv,
    /// A line of JSON a row
    Ndjson,
}

impl Format {
    /// What to accept of an answer that is written like this.
    pub(crate) fn accept(self) -> &'static str {
        match self {
            Format::Csv => "text/csv",
            Format::Table | Format::Ndjson => "application/x-ndjson",
        }
    }
}

/// A column of a table.
pub(crate) struct Column {
    name: &'static str,
    /// Where in a row it is found, as a JSON pointer.
    pointer: &'static str,
    is_number: bool,
    /// Whether it is left out where no row has it.
    is_optional: bool,
}

impl Column {
    pub(crate) const fn text(name: &'static str, pointer: &'static str) -> Column {
        Column {
            name,
            pointer,
            is_number: false,
            is_optional: false,
        }
    }

    /// A text that is told where a row has it.
    pub(crate) const fn optional(name: &'static str, pointer: &'static str) -> Column {
        Column {
            is_optional: true,
            ..Column::text(name, pointer)
        }
    }

    pub(crate) const fn number(name: &'static str, pointer: &'static str) -> Column {
        Column {
            name,
            is_number: true,
            ..Column::text(name, pointer)
        }
    }
}

/// A list to ask for and write to standard output.
pub(crate) struct Listing {
    pub(crate) path: &'static str,
    pub(crate) columns: &'static [Column],
    /// The code of the one warehouse that it is about.
    pub(crate) warehouse: Option<String>,
    pub(crate) query: Vec<(&'static str, Option<String>)>,
    pub(crate) rows_max: usize,
}

impl Listing {
    pub(crate) async fn write(
        self,
        config: &Config,
        at: &Where,
        format: Option<Format>,
    ) -> anyhow::Result<()> {
        let format = format.unwrap_or(if io::stdout().is_terminal() {
            Format::Table
        } else {
            Format::Csv
        });
        let source = at.open(config).await?;
        let written = self.write_from(&source, format).await;
        source.close().await?;
        written
    }

    async fn write_from(self, source: &Source, format: Format) -> anyhow::Result<()> {
        let warehouse = match &self.warehouse {
            Some(code) => Some(source.warehouse(code).await?),
            None => None,
        };
        let set = self.query.iter();
        let mut query: Vec<(&str, &str)> = set
            .filter_map(|(name, value)| Some((*name, value.as_deref()?)))
            .collect();
        query.extend(warehouse.as_deref().map(|id| ("warehouseId", id)));
        let answer = source.get(self.path, &query, format.accept()).await?;
        match format {
            Format::Table => {
                let table = table(answer, self.columns, self.rows_max).await?;
                crate::commands::write_out(&table)
            }
            // The header is no row.
            Format::Csv => copy(answer, self.rows_max.saturating_add(1)).await,
            Format::Ndjson => copy(answer, self.rows_max).await,
        }
    }
}

/// Copies an answer to standard output, at most so many lines of it. A reader that has heard enough ends it without an
/// error.
pub(crate) async fn copy(mut answer: Answer, lines_max: usize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let mut left = lines_max;
    while left > 0 {
        let Some(bytes) = answer.chunk().await? else { break };
        let mut bytes = bytes.as_ref();
        let mut ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        if let Some((end, _)) = ends.nth(left - 1) {
            bytes = &bytes[..=end];
        }
        left -= bytes.iter().filter(|byte| **byte == b'\n').count();
        match out.write_all(bytes) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    match out.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// An answer of lines of JSON as a table.
async fn table(mut answer: Answer, columns: &[Column], rows_max: usize) -> anyhow::Result<String> {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(columns.iter().map(|column| column.name));
    let mut rest: Vec<u8> = Vec::new();
    let mut rows = 0;
    let mut is_told: Vec<bool> = columns.iter().map(|column| !column.is_optional).collect();
    while rows < rows_max {
        let Some(bytes) = answer.chunk().await? else { break };
        rest.extend_from_slice(bytes.as_ref());
        let whole = rest
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        for line in rest[..whole].split(|byte| *byte == b'\n') {
            if line.is_empty() || rows == rows_max {
                continue;
            }
            let row: Value = serde_json::from_slice(line)?;
            table.add_row(columns.iter().map(|column| cell(&row, column)));
            for (is_told, column) in is_told.iter_mut().zip(columns) {
                *is_told |= row.pointer(column.pointer).is_some_and(|cell| !cell.is_null());
            }
            rows += 1;
        }
        rest.drain(..whole);
    }
    for (index, (column, is_told)) in columns.iter().zip(is_told).enumerate() {
        let Some(made) = table.column_mut(index) else {
            continue;
        };
        if column.is_number {
            made.set_cell_alignment(CellAlignment::Right);
        }
        if !is_told {
            made.set_constraint(ColumnConstraint::Hidden);
        }
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    Ok(lines.join("\n") + "\n")
}

fn cell(row: &Value, column: &Column) -> String {
    match row.pointer(column.pointer) {
        Some(Value::String(text)) => shown(text),
        None | Some(Value::Null) => "-".to_owned(),
        Some(other) => other.to_string(),
    }
}
