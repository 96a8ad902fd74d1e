//! The rows of a file: CSV or NDJSON, plain or gzip, by name or from standard input; one row at a time.

mod metered;

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use serde_json::value::RawValue;

use self::metered::{BUFFER_BYTES, Counted, Metered};
use super::columns::{Columns, Layout, LayoutError};
use super::mapping::{FileFormat, Mapping};
use super::plan::Rejected;
use super::row::Record;

/// The longest row, in bytes: bounds the memory of an import.
const ROW_BYTES_MAX: usize = 1 << 20;

/// A file that cannot be read (on).
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("{file} cannot be opened")]
    Open { file: String, source: io::Error },
    #[error(
        "{file} cannot be read after line {line}; what came before is recorded, and importing the whole file \
             again goes on there"
    )]
    Read {
        file: String,
        line: u64,
        source: io::Error,
    },
    #[error(
        "{file} is cut off after line {line}: its gzip data ends too early. What came before is recorded, and \
             importing the whole file goes on there"
    )]
    CutOff { file: String, line: u64 },
    #[error("{file} has a row of more than 1 MiB after line {line}: is a quotation mark not closed?")]
    RowTooLong { file: String, line: u64 },
    #[error("{file} {source}")]
    Layout { file: String, source: LayoutError },
    #[error("{file} is empty: not even a header is in it")]
    Empty { file: String },
}

/// The rows of one file.
pub(crate) struct Input {
    file: String,
    layout: Layout,
    header: Vec<String>,
    line: u64,
    budget: Rc<Cell<usize>>,
    rows: Rows,
}

enum Rows {
    Csv {
        reader: Box<csv::Reader<Metered>>,
        record: csv::ByteRecord,
    },
    Ndjson {
        reader: BufReader<Metered>,
        columns: Columns,
        text: Vec<u8>,
    },
}

/// What comes next in a file.
pub(crate) enum Next {
    Row(Record),
    Unreadable(Rejected),
}

impl Input {
    /// Opens `path` (`-`: standard input). `bytes_read` counts on as the file itself is read.
    pub(crate) fn open(
        path: &Path,
        mapping: &Mapping,
        bytes_read: Arc<AtomicU64>,
    ) -> Result<Input, InputError> {
        let is_standard = path == Path::new("-");
        let file = if is_standard {
            "standard input".to_owned()
        } else {
            path.display().to_string()
        };
        let source: Box<dyn Read> = if is_standard {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).map_err(|source| InputError::Open {
                file: file.clone(),
                source,
            })?)
        };
        let budget = Rc::new(Cell::new(ROW_BYTES_MAX));
        let metered =
            Metered::open(Counted { source, bytes_read }, Rc::clone(&budget)).map_err(|source| {
                InputError::Read {
                    file: file.clone(),
                    line: 0,
                    source,
                }
            })?;
        let format = mapping.file.format.unwrap_or_else(|| format_by_name(path));
        match format {
            FileFormat::Csv => Input::open_csv(file, mapping, metered, budget),
            FileFormat::Ndjson => Ok(Input {
                file,
                layout: Layout::straight(&mapping.columns),
                header: vec!["row".to_owned()],
                line: 0,
                budget,
                rows: Rows::Ndjson {
                    reader: BufReader::with_capacity(BUFFER_BYTES, metered),
                    columns: mapping.columns.clone(),
                    text: Vec::new(),
                },
            }),
        }
    }

    fn open_csv(
        file: String,
        mapping: &Mapping,
        metered: Metered,
        budget: Rc<Cell<usize>>,
    ) -> Result<Input, InputError> {
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(mapping.delimiter)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(metered);
        let mut input = Input {
            file,
            layout: Layout::straight(&Columns::default()),
            header: Vec::new(),
            line: 0,
            budget,
            rows: Rows::Csv {
                reader: Box::new(reader),
                record: csv::ByteRecord::new(),
            },
        };
        input.header = match &mapping.file.columns {
            Some(columns) => columns.clone(),
            None => input.read_header()?,
        };
        input.layout = mapping
            .columns
            .layout(&input.header)
            .map_err(|source| InputError::Layout {
                file: input.file.clone(),
                source,
            })?;
        Ok(input)
    }

    /// Where this file has the mapping's columns.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The names of the fields of a rejected row.
    pub(crate) fn header(&self) -> &[String] {
        &self.header
    }

    /// The next row; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Next>, InputError> {
        self.budget.set(ROW_BYTES_MAX);
        match &mut self.rows {
            Rows::Csv { .. } => self.next_csv(),
            Rows::Ndjson { .. } => self.next_ndjson(),
        }
    }

    fn read_header(&mut self) -> Result<Vec<String>, InputError> {
        if !self.read_csv()? {
            return Err(InputError::Empty {
                file: self.file.clone(),
            });
        }
        let Rows::Csv { record, .. } = &self.rows else {
            return Ok(Vec::new());
        };
        let names = record.iter().enumerate().map(|(index, name)| {
            let name = String::from_utf8_lossy(name);
            let name = if index == 0 {
                name.trim_start_matches('\u{feff}')
            } else {
                &name
            };
            name.trim().to_owned()
        });
        Ok(names.collect())
    }

    /// Reads the next record into its place; `false` at the end.
    fn read_csv(&mut self) -> Result<bool, InputError> {
        let Rows::Csv { reader, record, .. } = &mut self.rows else {
            return Ok(false);
        };
        let read = reader.read_byte_record(record);
        match read {
            Ok(true) => {
                self.line = record.position().map_or(self.line, csv::Position::line);
                Ok(true)
            }
            Ok(false) => Ok(false),
            Err(error) => {
                let source = match error.into_kind() {
                    csv::ErrorKind::Io(source) => source,
                    other => io::Error::other(format!("{other:?}")),
                };
                Err(self.failure(source))
            }
        }
    }

    fn next_csv(&mut self) -> Result<Option<Next>, InputError> {
        if !self.read_csv()? {
            return Ok(None);
        }
        let (line, expected) = (self.line, self.header.len());
        let Rows::Csv { record, .. } = &self.rows else {
            return Ok(None);
        };
        let fields = match csv::StringRecord::from_byte_record(record.clone()) {
            Ok(fields) => fields,
            Err(_) => {
                let fields = csv::StringRecord::from_byte_record_lossy(record.clone());
                return Ok(Some(unreadable(line, fields, "is not UTF-8 text".to_owned())));
            }
        };
        if fields.len() != expected {
            let reason = format!("has {} fields, where the header has {expected}", fields.len());
            return Ok(Some(unreadable(line, fields, reason)));
        }
        Ok(Some(Next::Row(Record { line, fields })))
    }

    fn next_ndjson(&mut self) -> Result<Option<Next>, InputError> {
        loop {
            let Rows::Ndjson {
                reader,
                text,
                columns,
            } = &mut self.rows
            else {
                return Ok(None);
            };
            text.clear();
            self.budget.set(ROW_BYTES_MAX);
            let read = reader.read_until(b'\n', text);
            match read {
                Ok(0) => return Ok(None),
                Ok(_) => self.line += 1,
                Err(source) => return Err(self.failure(source)),
            }
            let bytes = text.trim_ascii();
            if bytes.is_empty() {
                continue;
            }
            let line = self.line;
            return Ok(Some(match parse_object(bytes, columns) {
                Ok(fields) => Next::Row(Record { line, fields }),
                Err(reason) => {
                    let text = String::from_utf8_lossy(bytes);
                    unreadable(line, csv::StringRecord::from(vec![text.as_ref()]), reason)
                }
            }));
        }
    }

    fn failure(&self, source: io::Error) -> InputError {
        let (file, line) = (self.file.clone(), self.line);
        match source.kind() {
            io::ErrorKind::UnexpectedEof => InputError::CutOff { file, line },
            io::ErrorKind::FileTooLarge => InputError::RowTooLong { file, line },
            _ => InputError::Read { file, line, source },
        }
    }
}

fn unreadable(line: u64, fields: csv::StringRecord, reason: String) -> Next {
    Next::Unreadable(Rejected {
        row: Record { line, fields },
        rule: None,
        reason,
    })
}

fn format_by_name(path: &Path) -> FileFormat {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if name.ends_with(".ndjson") || name.ends_with(".jsonl") {
        FileFormat::Ndjson
    } else {
        FileFormat::Csv
    }
}

/// The fields of the object that `bytes` write, in the order of `columns`; a field that it lacks is blank. Numbers stay
/// as written.
fn parse_object(bytes: &[u8], columns: &Columns) -> Result<csv::StringRecord, String> {
    let object: std::collections::HashMap<String, &RawValue> =
        serde_json::from_slice(bytes).map_err(|error| format!("is not a JSON object: {error}"))?;
    let mut fields = csv::StringRecord::new();
    for name in columns.names() {
        let raw = object.get(name).map_or("null", |value| value.get());
        match raw.as_bytes().first() {
            Some(b'"') => {
                let text: String = serde_json::from_str(raw).map_err(|error| error.to_string())?;
                fields.push_field(&text);
            }
            Some(b'n') | None => fields.push_field(""),
            Some(b'{' | b'[') => return Err(format!("member {name:?} is neither text nor a number")),
            Some(_) => fields.push_field(raw),
        }
    }
    Ok(fields)
}
