//! CSV (RFC 4180) written straight into a buffer: a header, then rows, each ended by a line feed.
//!
//! A text that a spreadsheet would take for a formula, one that begins with `=`, `+`, `-`, `@`, a tab or a carriage
//! return, gets an apostrophe in front, which makes it text there. Numbers, ids and instants stay as they are.

use bincard_ledger::Timestamp;
use uuid::Uuid;

use super::time;

/// A buffer of CSV being written.
#[derive(Debug, Default)]
pub(crate) struct Csv {
    bytes: Vec<u8>,
    is_in_row: bool,
}

impl Csv {
    pub(crate) fn with_capacity(size_bytes: usize) -> Csv {
        Csv {
            bytes: Vec::with_capacity(size_bytes),
            is_in_row: false,
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The header: names of columns, which need no quotes.
    pub(crate) fn header(&mut self, names: &[&str]) {
        for name in names {
            self.word(name);
        }
        self.end();
    }

    /// Ends a row.
    pub(crate) fn end(&mut self) {
        self.bytes.push(b'\n');
        self.is_in_row = false;
    }

    fn begin(&mut self) {
        if self.is_in_row {
            self.bytes.push(b',');
        }
        self.is_in_row = true;
    }

    /// A word of ours, which needs no quotes and is no formula.
    pub(crate) fn word(&mut self, word: &str) -> &mut Csv {
        self.begin();
        self.bytes.extend_from_slice(word.as_bytes());
        self
    }

    /// An empty field.
    pub(crate) fn none(&mut self) -> &mut Csv {
        self.word("")
    }

    /// A text of somebody's, or an empty field.
    pub(crate) fn text(&mut self, text: Option<&str>) -> &mut Csv {
        self.begin();
        let text = text.unwrap_or_default();
        let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let has_blank_end = text.starts_with(' ') || text.ends_with(' ');
        let is_quoted = has_blank_end || text.contains([',', '"', '\n', '\r']);
        if is_quoted {
            self.bytes.push(b'"');
        }
        if is_formula {
            self.bytes.push(b'\'');
        }
        for byte in text.bytes() {
            if byte == b'"' {
                self.bytes.push(b'"');
            }
            self.bytes.push(byte);
        }
        if is_quoted {
            self.bytes.push(b'"');
        }
        self
    }

    pub(crate) fn uuid(&mut self, id: Uuid) -> &mut Csv {
        self.begin();
        let mut text = Uuid::encode_buffer();
        let text = id.hyphenated().encode_lower(&mut text);
        self.bytes.extend_from_slice(text.as_bytes());
        self
    }

    pub(crate) fn uuid_or_none(&mut self, id: Option<Uuid>) -> &mut Csv {
        match id {
            Some(id) => self.uuid(id),
            None => self.none(),
        }
    }

    pub(crate) fn whole(&mut self, number: impl itoa::Integer) -> &mut Csv {
        self.word(itoa::Buffer::new().format(number))
    }

    pub(crate) fn instant(&mut self, at: Timestamp) -> &mut Csv {
        self.begin();
        time::write(&mut self.bytes, at);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(texts: &[&str]) -> String {
        let mut csv = Csv::default();
        for text in texts {
            csv.text(Some(text));
        }
        csv.end();
        String::from_utf8(csv.into_bytes()).unwrap()
    }

    #[test]
    fn what_would_be_read_otherwise_is_quoted() {
        assert_eq!(row(&["plain", "", "réd"]), "plain,,réd\n");
        assert_eq!(
            row(&["a,b", "say \"x\"", "two\nlines"]),
            "\"a,b\",\"say \"\"x\"\"\",\"two\nlines\"\n"
        );
        assert_eq!(row(&[" padded", "padded "]), "\" padded\",\"padded \"\n");
    }

    #[test]
    fn what_a_spreadsheet_would_run_is_made_text() {
        assert_eq!(row(&["=1+1", "+1", "-1", "@x", "a=b"]), "'=1+1,'+1,'-1,'@x,a=b\n");
        assert_eq!(
            row(&["=HYPERLINK(\"x\",\"y\")"]),
            "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\"\n"
        );
        assert_eq!(row(&["\tx", "\rx"]), "'\tx,\"'\rx\"\n");
        let mut csv = Csv::default();
        csv.whole(-3).end();
        assert_eq!(csv.into_bytes(), b"-3\n");
    }
}
