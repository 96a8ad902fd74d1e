//! The rejects file: rows that could not be imported, each with its line and reason, ready to be mended and imported
//! again. It comes into being with the first such row.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::plan::Rejected;

/// A rejects file that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the rejects file {file} cannot be written")]
pub(crate) struct RejectsError {
    file: PathBuf,
    source: io::Error,
}

/// Where rejected rows go.
#[derive(Debug)]
pub(crate) struct Rejects {
    file: PathBuf,
    header: Vec<String>,
    writer: Option<csv::Writer<File>>,
    count: u64,
}

impl Rejects {
    /// Rejects of a file whose rows have these fields. One of an earlier import gives way.
    pub(crate) fn open(file: &Path, header: &[String]) -> Result<Rejects, RejectsError> {
        match std::fs::remove_file(file) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(RejectsError {
                file: file.to_owned(),
                source,
            }),
            _ => Ok(Rejects {
                file: file.to_owned(),
                header: header.to_vec(),
                writer: None,
                count: 0,
            }),
        }
    }

    /// How many rows were rejected.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Where they are.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Writes a row down.
    pub(crate) fn add(&mut self, rejected: &Rejected) -> Result<(), RejectsError> {
        self.count += 1;
        self.write(rejected).map_err(|source| self.error(source))
    }

    /// Makes sure that everything is in the file.
    pub(crate) fn finish(&mut self) -> Result<(), RejectsError> {
        let flushed = self.writer.as_mut().map_or(Ok(()), csv::Writer::flush);
        flushed.map_err(|source| self.error(source))
    }

    fn write(&mut self, rejected: &Rejected) -> io::Result<()> {
        if self.writer.is_none() {
            let mut writer = csv::WriterBuilder::new().flexible(true).from_path(&self.file)?;
            let names = ["import_line", "import_reason"].into_iter();
            writer.write_record(names.chain(self.header.iter().map(String::as_str)))?;
            self.writer = Some(writer);
        }
        if let Some(writer) = &mut self.writer {
            let line = rejected.row.line.to_string();
            let about = [line.as_str(), rejected.reason.as_str()].into_iter();
            writer.write_record(about.chain(rejected.row.fields.iter()))?;
        }
        Ok(())
    }

    fn error(&self, source: io::Error) -> RejectsError {
        RejectsError {
            file: self.file.clone(),
            source,
        }
    }
}
