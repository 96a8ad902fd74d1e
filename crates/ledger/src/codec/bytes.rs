//! Reading and writing of integers and text.

/// Bytes that are not what they should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end in the middle of something.
    #[error("the record ends too early")]
    Short,
    /// A varint of more than 64 bits, or a number too large for its field.
    #[error("a number is too large for its field")]
    NumberTooLarge,
    /// A varint that has more bytes than its value needs.
    #[error("a number is longer than it needs to be")]
    NumberTooLong,
    /// Text that is not UTF-8.
    #[error("a text is not UTF-8")]
    NotText,
    /// A code, flag or combination that this version does not know.
    #[error("the record has an unknown {what} ({code})")]
    Unknown {
        /// What the code stands for.
        what: &'static str,
        /// The code.
        code: u64,
    },
    /// Bytes that can be read and say something that cannot be.
    #[error("the content cannot be: {what}")]
    Impossible {
        /// What cannot be.
        what: &'static str,
    },
    /// A format of the future, or not a body at all.
    #[error("the format version is {version}; this program reads version 1")]
    UnknownVersion {
        /// The version that the bytes claim.
        version: u8,
    },
    /// More bytes than the content needs.
    #[error("{count} bytes follow the end of the record")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
}

/// The bytes of the longest varint: 64 bits, 7 a byte.
const VARINT_BYTES_MAX: usize = 10;

/// Builds up bytes.
#[derive(Clone, Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty writer with room for `capacity_bytes`.
    pub fn with_capacity(capacity_bytes: usize) -> Writer {
        Writer(Vec::with_capacity(capacity_bytes))
    }

    /// What was written.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// What was written, to keep.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// Empties the writer and keeps its memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Writes one byte.
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    /// Writes an unsigned integer as a LEB128 varint.
    pub fn varint(&mut self, value: u64) {
        let mut value = value;
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Writes a signed integer as a zigzag varint.
    pub fn signed(&mut self, value: i64) {
        self.varint(((value << 1) ^ (value >> 63)) as u64);
    }

    /// Writes bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Writes a text: its length in bytes and its UTF-8.
    pub fn text(&mut self, text: &str) {
        self.varint(text.len() as u64);
        self.bytes(text.as_bytes());
    }

    /// Writes the length in bytes of what `write` writes, and that.
    pub fn with_length(&mut self, write: impl FnOnce(&mut Writer)) {
        // One byte is kept for the length: enough for all but long content, which then moves up.
        let length_at = self.0.len();
        self.0.push(0);
        let start = self.0.len();
        write(self);
        let length = self.0.len().saturating_sub(start);
        if length < 0x80 {
            return self.overwrite(length_at, &[length as u8]);
        }
        let mut length_bytes = Writer::with_capacity(VARINT_BYTES_MAX);
        length_bytes.varint(length as u64);
        self.0.splice(length_at..start, length_bytes.0);
    }

    /// Writes `bytes` over what was written from byte `at` on; nothing when there is not so much.
    pub(super) fn overwrite(&mut self, at: usize, bytes: &[u8]) {
        let old = self.0.get_mut(at..).and_then(|rest| rest.get_mut(..bytes.len()));
        if let Some(old) = old {
            old.copy_from_slice(bytes);
        }
    }

    /// Writes 0, or 1 and the value.
    pub fn optional<T>(&mut self, value: Option<&T>, write: impl FnOnce(&mut Writer, &T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }
}

/// Takes bytes apart.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Errs when anything is left.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.0.len() {
            0 => Ok(()),
            count => Err(DecodeError::TrailingBytes { count }),
        }
    }

    /// Reads one byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        let (&first, rest) = self.0.split_first().ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(first)
    }

    /// Reads a LEB128 varint.
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        let first = self.u8()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut value = u64::from(first & 0x7F);
        let mut shift = 7u32;
        loop {
            let byte = self.u8()?;
            if shift == 63 && byte > 1 {
                return Err(DecodeError::NumberTooLarge);
            }
            value |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return if byte == 0 {
                    Err(DecodeError::NumberTooLong)
                } else {
                    Ok(value)
                };
            }
            shift = shift.wrapping_add(7);
        }
    }

    /// Reads a varint that fits 32 bits.
    pub fn varint_u32(&mut self) -> Result<u32, DecodeError> {
        u32::try_from(self.varint()?).map_err(|_| DecodeError::NumberTooLarge)
    }

    /// Reads a zigzag varint.
    pub fn signed(&mut self) -> Result<i64, DecodeError> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ ((value & 1) as i64).wrapping_neg())
    }

    /// Reads `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(*array)
    }

    /// Reads a length and that many bytes.
    pub fn slice_with_length(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(self.varint()?).map_err(|_| DecodeError::NumberTooLarge)?;
        let (slice, rest) = self.0.split_at_checked(length).ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(slice)
    }

    /// Reads a text.
    pub fn text(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.slice_with_length()?).map_err(|_| DecodeError::NotText)
    }

    /// Reads 0, or 1 and a value.
    pub fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            code => Err(DecodeError::Unknown {
                what: "presence byte",
                code: u64::from(code),
            }),
        }
    }
}
