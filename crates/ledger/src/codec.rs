//! The bytes of records and of commit bodies, version 1.
//!
//! A body is what one commit holds: a format version, the instant at which all of it was recorded, and records.
//! Integers are little-endian or LEB128 varints (signed ones zigzag), text is a length and UTF-8. Fields that may be
//! missing are announced by bits in the record's flags. `docs/format-records.md` gives the layout; golden files hold it fixed.
//!
//! Decoding takes any bytes and never panics: what is not a body is a [`DecodeError`]. A record has one encoding only:
//! bytes that decode are the bytes that encoding the result gives.

mod bytes;
mod catalogue;
mod count;
mod record;

pub use bytes::{DecodeError, Reader, Writer};
pub use record::{Leading, RawRecord, RecordHead};

use crate::event::Record;
use crate::time::Timestamp;

/// The version of the format that this crate writes.
pub const FORMAT_VERSION: u8 = 1;
/// Where the number of records stands: after the version and the instant of recording.
const COUNT_AT: usize = 1 + 8;

/// The body of a commit, as it is written.
#[derive(Clone, Debug)]
pub struct Body {
    bytes: Writer,
    count: u32,
    recorded_at: Timestamp,
}

impl Body {
    /// An empty body; its records were all recorded at `recorded_at`.
    pub fn new(recorded_at: Timestamp) -> Body {
        let mut body = Body {
            bytes: Writer::default(),
            count: 0,
            recorded_at,
        };
        body.clear(recorded_at);
        body
    }

    /// Empties the body for a new commit and keeps its memory.
    pub fn clear(&mut self, recorded_at: Timestamp) {
        self.bytes.clear();
        self.bytes.u8(FORMAT_VERSION);
        self.bytes.bytes(&recorded_at.micros().to_le_bytes());
        self.bytes.bytes(&0u32.to_le_bytes());
        self.count = 0;
        self.recorded_at = recorded_at;
    }

    /// Appends a record. A body has room for 2³² - 1 of them.
    pub fn push(&mut self, record: &Record) {
        let recorded_at = self.recorded_at;
        self.bytes
            .with_length(|bytes| record::write(bytes, record, recorded_at));
        self.count = self.count.saturating_add(1);
        self.bytes.overwrite(COUNT_AT, &self.count.to_le_bytes());
    }

    /// Appends a record as it was encoded: the bytes that [`RawRecord::as_bytes`] gave. Gives it as one of this body.
    pub fn push_encoded<'a>(&mut self, record: &'a [u8]) -> RawRecord<'a> {
        self.bytes.with_length(|bytes| bytes.bytes(record));
        self.count = self.count.saturating_add(1);
        self.bytes.overwrite(COUNT_AT, &self.count.to_le_bytes());
        RawRecord::new(record, self.recorded_at)
    }

    /// How many records there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// When the records were recorded.
    pub fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    /// The body's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }
}

/// The body of a commit, as it is read.
#[derive(Clone, Copy, Debug)]
pub struct BodyRef<'a> {
    recorded_at: Timestamp,
    count: u32,
    records: &'a [u8],
}

impl<'a> BodyRef<'a> {
    /// Reads a body's header. The records are looked at as they are asked for.
    pub fn parse(bytes: &'a [u8]) -> Result<BodyRef<'a>, DecodeError> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8()?;
        if version != FORMAT_VERSION {
            return Err(DecodeError::UnknownVersion { version });
        }
        let recorded_at = Timestamp::from_micros(i64::from_le_bytes(reader.array()?));
        let count = u32::from_le_bytes(reader.array()?);
        Ok(BodyRef {
            recorded_at,
            count,
            records: reader.rest(),
        })
    }

    /// When the records were recorded.
    pub fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    /// How many records there should be.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The records in order. Ends after the first error; too few or too many records are errors too.
    pub fn records(&self) -> Records<'a> {
        Records {
            reader: Reader::new(self.records),
            left: self.count,
            recorded_at: self.recorded_at,
        }
    }
}

/// Goes over the records of a body.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    reader: Reader<'a>,
    left: u32,
    recorded_at: Timestamp,
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RawRecord<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            let trailing = self.reader.rest().len();
            self.reader = Reader::new(&[]);
            return (trailing > 0).then_some(Err(DecodeError::TrailingBytes { count: trailing }));
        }
        self.left = self.left.saturating_sub(1);
        let record = self.reader.slice_with_length();
        if record.is_err() {
            self.left = 0;
            self.reader = Reader::new(&[]);
        }
        Some(record.map(|bytes| RawRecord::new(bytes, self.recorded_at)))
    }
}
