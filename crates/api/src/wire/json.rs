//! JSON written straight into a buffer: what an answer of a fixed shape costs least by.
//!
//! The caller writes keys and punctuation as they stand (`raw`), values by the method of their type. Everything else
//! is rendered by serde.

use bincard_ledger::Timestamp;
use uuid::Uuid;

use super::time;

/// A buffer of JSON being written.
#[derive(Debug, Default)]
pub(crate) struct Json {
    bytes: Vec<u8>,
}

impl Json {
    pub(crate) fn with_capacity(size_bytes: usize) -> Json {
        Json {
            bytes: Vec::with_capacity(size_bytes),
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// JSON as it stands: keys, punctuation, and values known to need no escaping.
    pub(crate) fn raw(&mut self, json: &str) -> &mut Json {
        self.bytes.extend_from_slice(json.as_bytes());
        self
    }

    /// A string, quoted and escaped.
    pub(crate) fn text(&mut self, text: &str) -> &mut Json {
        self.bytes.push(b'"');
        let bytes = text.as_bytes();
        let mut written = 0;
        for (at, &byte) in bytes.iter().enumerate() {
            if byte >= 0x20 && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.bytes.extend_from_slice(&bytes[written..at]);
            self.escape(byte);
            written = at + 1;
        }
        self.bytes.extend_from_slice(&bytes[written..]);
        self.bytes.push(b'"');
        self
    }

    fn escape(&mut self, byte: u8) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            _ => {
                let code = [
                    b'\\',
                    b'u',
                    b'0',
                    b'0',
                    HEX[usize::from(byte >> 4)],
                    HEX[usize::from(byte & 15)],
                ];
                self.bytes.extend_from_slice(&code);
                return;
            }
        };
        self.bytes.extend_from_slice(&[b'\\', short]);
    }

    /// A string or `null`.
    pub(crate) fn text_or_null(&mut self, text: Option<&str>) -> &mut Json {
        match text {
            Some(text) => self.text(text),
            None => self.raw("null"),
        }
    }

    /// A UUID, quoted.
    pub(crate) fn uuid(&mut self, id: Uuid) -> &mut Json {
        let mut text = [0; 38];
        text[0] = b'"';
        text[37] = b'"';
        id.hyphenated().encode_lower(&mut text[1..37]);
        self.bytes.extend_from_slice(&text);
        self
    }

    /// A whole number.
    pub(crate) fn whole(&mut self, number: impl itoa::Integer) -> &mut Json {
        self.bytes
            .extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self
    }

    /// A whole number or `null`.
    pub(crate) fn whole_or_null(&mut self, number: Option<impl itoa::Integer>) -> &mut Json {
        match number {
            Some(number) => self.whole(number),
            None => self.raw("null"),
        }
    }

    /// An instant, quoted.
    pub(crate) fn instant(&mut self, at: Timestamp) -> &mut Json {
        self.bytes.push(b'"');
        time::write(&mut self.bytes, at);
        self.bytes.push(b'"');
        self
    }

    /// An instant, or `null`.
    pub(crate) fn instant_or_null(&mut self, at: Option<Timestamp>) -> &mut Json {
        match at {
            Some(at) => self.instant(at),
            None => self.raw("null"),
        }
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, flag: bool) -> &mut Json {
        self.raw(if flag { "true" } else { "false" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_reads_back(text: String) {
            let mut json = Json::default();
            json.text(&text);
            prop_assert_eq!(serde_json::from_slice::<String>(&json.into_bytes()).unwrap(), text);
        }
    }

    #[test]
    fn values_read_back() {
        let mut json = Json::default();
        let id = Uuid::from_u128(0x0a0fa4e5_21f8_426c_8f8b_8c61d85f7b71);
        json.raw("[").uuid(id).raw(",").whole(-42i64).raw(",");
        json.instant(Timestamp::from_micros(1))
            .raw(",")
            .text_or_null(None);
        json.raw(",").flag(true).raw("]");
        assert_eq!(
            String::from_utf8(json.into_bytes()).unwrap(),
            r#"["0a0fa4e5-21f8-426c-8f8b-8c61d85f7b71",-42,"1970-01-01T00:00:00.000001Z",null,true]"#
        );
    }
}
