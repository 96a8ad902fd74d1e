//! One row of a file, as it stands there and seen through the columns that the mapping names.

use super::columns::{Column, Columns, Layout};
use super::decimal::{Decimal, NumberError, NumberFormat};

/// A row as it stands in the file: kept until its event is answered, so that it can be given back when refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Record {
    /// The line it begins on, from 1.
    pub(crate) line: u64,
    /// Its fields: of CSV those of the file, of NDJSON those that the mapping names.
    pub(crate) fields: csv::StringRecord,
    /// The row as it is written, where it is no record of CSV.
    pub(crate) text: Option<Box<str>>,
    /// The idempotency key of its event, where the file gives it: an earlier import gave the row back.
    pub(crate) key: Option<Box<str>>,
}

/// How rows stand in a file. Rows that are given back stand in the same way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// Records of CSV, and the names of their fields.
    Csv { delimiter: u8, header: Vec<String> },
    /// One object a line.
    Ndjson,
}

/// A row and how to read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    pub(crate) record: &'a Record,
    pub(crate) layout: &'a Layout,
    pub(crate) columns: &'a Columns,
}

/// Why a row cannot be imported.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum RowError {
    #[error("column {column}: {text:?} {error}")]
    Number {
        column: String,
        text: String,
        error: NumberError,
    },
    #[error("column {column}: {text:?} is not a time written as {format}")]
    Time {
        column: String,
        text: String,
        format: String,
    },
    #[error("column {column}: {text:?} does not exist in {zone}: the clocks were put forward over it")]
    SkippedTime {
        column: String,
        text: String,
        zone: String,
    },
    #[error("column {column}: a {what} is 1 to {length_max} characters, none of them a control character")]
    Text {
        column: String,
        what: &'static str,
        length_max: usize,
    },
    #[error("no rule of the mapping takes this row")]
    NoRule,
    #[error("the sum of quantities or money becomes too large")]
    TooLarge,
}

impl<'a> Row<'a> {
    /// The field of `column` without the blanks around it.
    pub(crate) fn text(&self, column: Column) -> &'a str {
        self.record
            .fields
            .get(self.layout.field(column))
            .unwrap_or("")
            .trim()
    }

    /// The number in the field of `column`.
    pub(crate) fn number(&self, column: Column, format: NumberFormat) -> Result<Decimal, RowError> {
        format
            .parse(self.text(column))
            .map_err(|error| self.bad_number(column, error))
    }

    /// The whole number in the field of `column`.
    pub(crate) fn whole(&self, column: Column, format: NumberFormat) -> Result<i64, RowError> {
        format
            .parse_whole(self.text(column))
            .map_err(|error| self.bad_number(column, error))
    }

    /// The field of `column`, which is 1 to `length_max` characters.
    pub(crate) fn short(
        &self,
        column: Column,
        what: &'static str,
        length_max: usize,
    ) -> Result<&'a str, RowError> {
        let text = self.text(column);
        let fits = !text.is_empty()
            && (text.len() <= length_max || text.chars().count() <= length_max)
            && !text.chars().any(char::is_control);
        if fits {
            return Ok(text);
        }
        Err(RowError::Text {
            column: self.columns.name_of(column).to_owned(),
            what,
            length_max,
        })
    }

    fn bad_number(&self, column: Column, error: NumberError) -> RowError {
        RowError::Number {
            column: self.columns.name_of(column).to_owned(),
            text: self.text(column).to_owned(),
            error,
        }
    }
}
