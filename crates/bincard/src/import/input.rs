//! The rows of a file: CSV or NDJSON, plain or gzip, by name or from standard input; one row at a time.

mod metered;

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use self::metered::{BUFFER_BYTES, Counted, Metered};
use super::columns::{Columns, Layout, LayoutError};
use super::mapping::{FileFormat, Mapping};
use super::row::{Record, Shape};
use super::{marks, object};

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
    shape: Shape,
    line: u64,
    budget: Rc<Cell<usize>>,
    rows: Rows,
}

enum Rows {
    Csv {
        reader: Box<csv::Reader<Metered>>,
        record: csv::ByteRecord,
        /// Whether the record was read already to see whether it is a header, and is none.
        is_waiting: bool,
        /// How many fields a row has.
        width: usize,
        /// Which of them holds the key of the row's event.
        key_field: Option<usize>,
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
    /// A row that cannot be read, and why.
    Unreadable(Record, String),
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
        match format_of(path, mapping) {
            FileFormat::Csv => Input::open_csv(file, mapping, metered, budget),
            FileFormat::Ndjson => Ok(Input {
                file,
                layout: Layout::straight(&mapping.columns),
                shape: Shape::Ndjson,
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
            shape: Shape::Ndjson,
            line: 0,
            budget,
            rows: Rows::Csv {
                reader: Box::new(reader),
                record: csv::ByteRecord::new(),
                is_waiting: false,
                width: 0,
                key_field: None,
            },
        };
        let header = match &mapping.file.columns {
            Some(columns) => input.read_columns(columns)?,
            None => input.read_header()?,
        };
        input.layout = mapping
            .columns
            .layout(&header)
            .map_err(|source| InputError::Layout {
                file: input.file.clone(),
                source,
            })?;
        if let Rows::Csv { width, key_field, .. } = &mut input.rows {
            *width = header.len();
            *key_field = header.iter().position(|name| name == marks::KEY);
        }
        input.shape = Shape::Csv {
            delimiter: mapping.delimiter,
            header,
        };
        Ok(input)
    }

    /// Where this file has the mapping's columns.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How its rows stand in it.
    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
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
        Ok(names_in(record))
    }

    /// The columns of a file without a header. One that an import wrote to give rows back has one all the same, and
    /// is known by it.
    fn read_columns(&mut self, columns: &[String]) -> Result<Vec<String>, InputError> {
        let is_there = self.read_csv()?;
        if let Rows::Csv {
            record, is_waiting, ..
        } = &mut self.rows
        {
            if is_there && marks::is_header(record.iter()) {
                return Ok(names_in(record));
            }
            *is_waiting = is_there;
        }
        Ok(columns.to_vec())
    }

    /// Reads the next record into its place; `false` at the end.
    fn read_csv(&mut self) -> Result<bool, InputError> {
        let Rows::Csv {
            reader,
            record,
            is_waiting,
            ..
        } = &mut self.rows
        else {
            return Ok(false);
        };
        if std::mem::take(is_waiting) {
            return Ok(true);
        }
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
        let Rows::Csv {
            record,
            width,
            key_field,
            ..
        } = &self.rows
        else {
            return Ok(None);
        };
        let (fields, is_text) = match csv::StringRecord::from_byte_record(record.clone()) {
            Ok(fields) => (fields, true),
            Err(error) => (
                csv::StringRecord::from_byte_record_lossy(error.into_byte_record()),
                false,
            ),
        };
        let key = key_field.and_then(|field| fields.get(field)).map(str::trim);
        let count = fields.len();
        let row = Record {
            line: self.line,
            key: key.filter(|key| !key.is_empty()).map(Into::into),
            text: None,
            fields,
        };
        Ok(Some(if !is_text {
            Next::Unreadable(row, "is not UTF-8 text".to_owned())
        } else if count != *width {
            Next::Unreadable(row, format!("has {count} fields, where the header has {width}"))
        } else {
            Next::Row(row)
        }))
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
            let object::Line { text, key, fields } = object::read(bytes, columns);
            let row = |fields| Record {
                line: self.line,
                fields,
                text: Some(text),
                key,
            };
            return Ok(Some(match fields {
                Ok(fields) => Next::Row(row(fields)),
                Err(reason) => Next::Unreadable(row(csv::StringRecord::new()), reason),
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

/// The names in a header.
fn names_in(record: &csv::ByteRecord) -> Vec<String> {
    let names = record.iter().enumerate().map(|(index, name)| {
        let name = String::from_utf8_lossy(name);
        let name = if index == 0 {
            name.trim_start_matches('\u{feff}')
        } else {
            &name
        };
        name.trim().to_owned()
    });
    names.collect()
}

/// What stands in the file: as the mapping says, or by the file's name.
pub(crate) fn format_of(path: &Path, mapping: &Mapping) -> FileFormat {
    mapping
        .file
        .format
        .unwrap_or_else(|| match extension_of(path).as_deref() {
            Some("ndjson" | "jsonl") => FileFormat::Ndjson,
            _ => FileFormat::Csv,
        })
}

/// How the file's name ends, in small letters, without `.gz`.
pub(crate) fn extension_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.rsplit_once('.').map(|(_, extension)| extension.to_owned())
}
