//! The files that give back rows which are not in the ledger: one for rejected rows, one for rows of refused events, one
//! for rows of conflicts, because something else is to be done about each.
//!
//! They are written as the input is, so that the same mapping reads them. Each comes into being with its first row, and
//! never takes the place of a file that is there: it may be one of an earlier import, mended by hand.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::input::extension_of;
use super::mapping::FileFormat;
use super::row::{Record, Shape};
use super::{marks, object};

/// Why a row is not in the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It cannot be imported; the other rows of its event can.
    Rejected,
    /// The ledger refused its event, whose key is free still.
    Refused,
    /// Its event's key stands in the ledger with other content.
    Conflicting,
}

/// Where rows are given back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Outlets {
    pub(crate) rejects: PathBuf,
    pub(crate) refused: PathBuf,
    pub(crate) conflicts: PathBuf,
}

/// Rows that cannot be given back.
#[derive(Debug, thiserror::Error)]
#[error(
    "{file} cannot be written: give {option} a place that can be, and import again, which goes on where this stopped"
)]
pub(crate) struct LeftoversError {
    file: PathBuf,
    option: &'static str,
    source: io::Error,
}

/// Gives rows back.
#[derive(Debug)]
pub(crate) struct Leftovers {
    shape: Shape,
    rejects: Outlet,
    refused: Outlet,
    conflicts: Outlet,
}

#[derive(Debug)]
struct Outlet {
    wanted: PathBuf,
    option: &'static str,
    /// Whether its rows come with the keys of their events.
    with_keys: bool,
    made: Option<Made>,
}

#[derive(Debug)]
struct Made {
    file: PathBuf,
    writer: Writer,
}

#[derive(Debug)]
enum Writer {
    Csv {
        writer: Box<csv::Writer<File>>,
        /// Fields that an earlier import added: they are not written again.
        left_out: Vec<usize>,
    },
    Ndjson(BufWriter<File>),
}

impl Outlets {
    /// Files beside the one that is imported, named after it.
    pub(crate) fn beside(file: &Path, format: FileFormat) -> Outlets {
        let known = ["csv", "tsv", "ndjson", "jsonl"];
        let extension = extension_of(file).filter(|own| known.contains(&own.as_str()));
        let extension = extension.as_deref().unwrap_or(match format {
            FileFormat::Csv => "csv",
            FileFormat::Ndjson => "ndjson",
        });
        let named = |what: &str| {
            let mut name = if file == Path::new("-") {
                "import".into()
            } else {
                file.as_os_str().to_owned()
            };
            name.push(format!(".{what}.{extension}"));
            PathBuf::from(name)
        };
        Outlets {
            rejects: named("rejects"),
            refused: named("refused"),
            conflicts: named("conflicts"),
        }
    }
}

impl Leftovers {
    /// Leftovers of a file whose rows stand in it like this.
    pub(crate) fn new(outlets: Outlets, shape: Shape) -> Leftovers {
        let outlet = |wanted, option, with_keys| Outlet {
            wanted,
            option,
            with_keys,
            made: None,
        };
        Leftovers {
            shape,
            rejects: outlet(outlets.rejects, "--rejects", false),
            refused: outlet(outlets.refused, "--refused", true),
            conflicts: outlet(outlets.conflicts, "--conflicts", true),
        }
    }

    /// Gives a row back. `key` is that of its event.
    pub(crate) fn add(
        &mut self,
        fate: Fate,
        row: &Record,
        reason: &str,
        key: &str,
    ) -> Result<(), LeftoversError> {
        let outlet = match fate {
            Fate::Rejected => &mut self.rejects,
            Fate::Refused => &mut self.refused,
            Fate::Conflicting => &mut self.conflicts,
        };
        let written = outlet.write(&self.shape, row, reason, key);
        written.map_err(|source| outlet.error(source))
    }

    /// Makes sure that everything is in the files.
    pub(crate) fn finish(&mut self) -> Result<(), LeftoversError> {
        for outlet in [&mut self.rejects, &mut self.refused, &mut self.conflicts] {
            let flushed = match outlet.made.as_mut().map(|made| &mut made.writer) {
                None => Ok(()),
                Some(Writer::Csv { writer, .. }) => writer.flush(),
                Some(Writer::Ndjson(writer)) => writer.flush(),
            };
            flushed.map_err(|source| outlet.error(source))?;
        }
        Ok(())
    }

    /// The file with rows of this fate; none when there are none.
    pub(crate) fn file(&self, fate: Fate) -> Option<&Path> {
        let outlet = match fate {
            Fate::Rejected => &self.rejects,
            Fate::Refused => &self.refused,
            Fate::Conflicting => &self.conflicts,
        };
        outlet.made.as_ref().map(|made| made.file.as_path())
    }
}

impl Outlet {
    fn write(&mut self, shape: &Shape, row: &Record, reason: &str, key: &str) -> io::Result<()> {
        let made = match &mut self.made {
            Some(made) => made,
            none => none.insert(Made::new(&self.wanted, shape, self.with_keys)?),
        };
        let key = self.with_keys.then_some(key);
        match &mut made.writer {
            Writer::Csv { writer, left_out } => {
                let line = row.line.to_string();
                let about = [line.as_str(), reason].into_iter().chain(key);
                let own = row.fields.iter().enumerate();
                let own = own
                    .filter(|(field, _)| !left_out.contains(field))
                    .map(|(_, text)| text);
                writer.write_record(about.chain(own))?;
            }
            Writer::Ndjson(writer) => {
                let text = row.text.as_deref().unwrap_or_default();
                let object = object::given_back(text, row.line, reason, key)?;
                writeln!(writer, "{object}")?;
            }
        }
        Ok(())
    }

    fn error(&self, source: io::Error) -> LeftoversError {
        let file = self.made.as_ref().map_or(&self.wanted, |made| &made.file);
        LeftoversError {
            file: file.clone(),
            option: self.option,
            source,
        }
    }
}

impl Made {
    fn new(wanted: &Path, shape: &Shape, with_keys: bool) -> io::Result<Made> {
        let (file, open) = create_beside(wanted)?;
        let writer = match shape {
            Shape::Ndjson => Writer::Ndjson(BufWriter::new(open)),
            Shape::Csv { delimiter, header } => {
                let mut writer = csv::WriterBuilder::new()
                    .flexible(true)
                    .delimiter(*delimiter)
                    .from_writer(open);
                let (mut left_out, mut names) = (Vec::new(), vec![marks::LINE, marks::REASON]);
                names.extend(with_keys.then_some(marks::KEY));
                for (field, name) in header.iter().enumerate() {
                    if marks::is_mark(name) {
                        left_out.push(field);
                    } else {
                        names.push(name);
                    }
                }
                writer.write_record(names)?;
                Writer::Csv {
                    writer: Box::new(writer),
                    left_out,
                }
            }
        };
        Ok(Made { file, writer })
    }
}

/// Creates `wanted` or, where there is such a file, the first of `NAME-2.csv`, `NAME-3.csv`, … that there is none of. A
/// file that comes into being meanwhile is not overwritten either.
fn create_beside(wanted: &Path) -> io::Result<(PathBuf, File)> {
    // A device or a pipe holds nothing that could be lost, and is meant itself.
    if fs::metadata(wanted).is_ok_and(|found| !found.is_file()) {
        let file = OpenOptions::new().write(true).open(wanted)?;
        return Ok((wanted.to_owned(), file));
    }
    let mut path = wanted.to_owned();
    let mut number: u64 = 1;
    loop {
        match File::create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                number += 1;
                path = numbered(wanted, number);
            }
            Err(error) => return Err(error),
        }
    }
}

/// `a.csv` as `a-2.csv`.
fn numbered(path: &Path, number: u64) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_beside_are_written_as_the_input_is() {
        let rejects = |file: &str, format| Outlets::beside(Path::new(file), format).rejects;
        for (file, format, expected) in [
            ("a/sales.csv", FileFormat::Csv, "a/sales.csv.rejects.csv"),
            ("sales.tsv.gz", FileFormat::Csv, "sales.tsv.gz.rejects.tsv"),
            ("sales.jsonl", FileFormat::Ndjson, "sales.jsonl.rejects.jsonl"),
            ("sales.2024", FileFormat::Ndjson, "sales.2024.rejects.ndjson"),
            ("sales", FileFormat::Csv, "sales.rejects.csv"),
            ("-", FileFormat::Ndjson, "import.rejects.ndjson"),
        ] {
            assert_eq!(rejects(file, format), Path::new(expected));
        }
    }

    #[test]
    fn a_free_name_is_the_next_number() {
        for (path, expected) in [
            ("a/sales.csv.refused.csv", "a/sales.csv.refused-2.csv"),
            ("out", "out-2"),
            (".hidden", ".hidden-2"),
        ] {
            assert_eq!(numbered(Path::new(path), 2), Path::new(expected));
        }
    }
}
