//! The usual spelling of a stock event, read in one pass over its bytes without copying any.
//!
//! It takes what nearly every client sends: each field at most once, no `null`, no escapes in strings, whole numbers
//! of at most 18 digits. Anything else, right or wrong, is `None`: the strict reader decides then. So this reader never
//! refuses anything; what it takes, the strict one takes as the very same draft, and a test holds it to that.

use std::borrow::Cow;

use bincard_ledger::{Kind, Reason, Timestamp};
use smallvec::SmallVec;
use uuid::Uuid;

use super::draft::{Draft, Form, kind_of};
use crate::wire::{spelling, time};

pub(super) fn parse(json: &[u8], form: Form) -> Option<Draft<'_>> {
    let mut scan = Scan { bytes: json, at: 0 };
    let mut parts = Parts::default();
    scan.object(|scan, name| parts.read(scan, name, form))?;
    scan.blanks();
    if scan.at != json.len() {
        return None;
    }
    Some(Draft {
        lots: Vec::new(),
        kind: parts.kind?,
        warehouse: parts.warehouse?,
        occurred_at: parts.occurred_at,
        reason: parts.reason,
        notes: parts.notes.map(Cow::Borrowed),
        lines: parts.lines?,
        expected: parts.expected,
        user: parts.user,
        key: parts.key.map(Cow::Borrowed),
    })
}

/// What has been read of a draft.
#[derive(Default)]
struct Parts<'a> {
    kind: Option<Kind>,
    warehouse: Option<Uuid>,
    occurred_at: Option<Timestamp>,
    reason: Option<Reason>,
    notes: Option<&'a str>,
    lines: Option<SmallVec<[(Uuid, i64); 1]>>,
    expected: Vec<(usize, i64)>,
    user: Option<Uuid>,
    key: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn read(&mut self, scan: &mut Scan<'a>, name: &[u8], form: Form) -> Option<()> {
        match name {
            b"type" => put(&mut self.kind, kind_of(scan.string()?)?),
            b"warehouseId" => put(&mut self.warehouse, scan.uuid()?),
            b"occurredAt" => put(&mut self.occurred_at, time::parse(scan.string()?)?),
            b"reasonCode" => put(&mut self.reason, spelling::reason(scan.string()?)?),
            b"notes" => put(&mut self.notes, std::str::from_utf8(scan.string()?).ok()?),
            b"lines" => {
                let lines = scan.lines(&mut self.expected)?;
                put(&mut self.lines, lines)
            }
            b"userId" => put(&mut self.user, scan.uuid()?),
            b"idempotencyKey" if form == Form::Line => {
                put(&mut self.key, std::str::from_utf8(scan.string()?).ok()?)
            }
            _ => None,
        }
    }
}

/// Fills a field for the first time.
fn put<T>(field: &mut Option<T>, value: T) -> Option<()> {
    field.replace(value).is_none().then_some(())
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Takes `wanted` if it comes next.
    fn take(&mut self, wanted: u8) -> bool {
        let is_next = self.peek() == Some(wanted);
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes `wanted` after blanks.
    fn expect(&mut self, wanted: u8) -> Option<()> {
        self.blanks();
        self.take(wanted).then_some(())
    }

    /// An object, whose fields `read` reads by name.
    fn object(&mut self, mut read: impl FnMut(&mut Scan<'a>, &[u8]) -> Option<()>) -> Option<()> {
        self.expect(b'{')?;
        loop {
            let name = self.string()?;
            self.expect(b':')?;
            read(self, name)?;
            self.blanks();
            if !self.take(b',') {
                return self.take(b'}').then_some(());
            }
        }
    }

    /// A string without escapes, as it stands between its quotes.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let rest = &self.bytes[self.at..];
        let length = rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1F))?;
        self.at += length + 1;
        (rest[length] == b'"').then_some(&rest[..length])
    }

    /// A UUID of 36 characters in quotes.
    fn uuid(&mut self) -> Option<Uuid> {
        self.expect(b'"')?;
        let text = self.bytes.get(self.at..self.at + 36)?;
        self.at += 36;
        let id = Uuid::try_parse_ascii(text).ok()?;
        self.take(b'"').then_some(id)
    }

    /// A whole number of at most 18 digits.
    fn whole(&mut self) -> Option<i64> {
        self.blanks();
        let is_negative = self.take(b'-');
        let first = self.at;
        let mut number = 0i64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            if self.at - first == 18 {
                return None;
            }
            number = number * 10 + i64::from(digit - b'0');
            self.at += 1;
        }
        let digits = self.at - first;
        let has_leading_zero = digits > 1 && self.bytes[first] == b'0';
        if digits == 0 || has_leading_zero || matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return None;
        }
        // What -0 is, is for the strict reader to say.
        let is_odd = is_negative && number == 0;
        (!is_odd).then_some(if is_negative { -number } else { number })
    }

    /// Lines, and what is to be available before, by the number of the line.
    fn lines(&mut self, expected: &mut Vec<(usize, i64)>) -> Option<SmallVec<[(Uuid, i64); 1]>> {
        self.expect(b'[')?;
        let mut lines = SmallVec::new();
        loop {
            let (mut variant, mut quantity, mut available) = (None, None, None);
            self.object(|scan, name| match name {
                b"variantId" => put(&mut variant, scan.uuid()?),
                b"quantity" => put(&mut quantity, scan.whole()?),
                b"expectedAvailable" => put(&mut available, scan.whole()?),
                _ => None,
            })?;
            expected.extend(available.map(|units| (lines.len(), units)));
            lines.push((variant?, quantity?));
            self.blanks();
            if !self.take(b',') {
                return self.take(b']').then_some(lines);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::draft::parse_strictly;
    use super::*;
    use proptest::prelude::*;

    const USUAL: &str = r#"{"type":"INBOUND","warehouseId":"b3e2f7a8-2d1d-4c1b-b948-6a1b53ecb847",
        "occurredAt":"2025-02-10T08:00:00Z","reasonCode":"PURCHASE","notes":"Supplier réstock",
        "lines":[{"variantId":"9f1bcd13-7cc4-4e96-8b5e-9e7c6da0e2cc","quantity":25},
                 {"quantity":-1,"expectedAvailable":0,"variantId":"9f1bcd13-7cc4-4e96-8b5e-9e7c6da0e2cd"}],"idempotencyKey":"k-1"}"#;

    #[test]
    fn the_usual_spelling_is_read() {
        let draft = parse(USUAL.as_bytes(), Form::Line).expect("it is the usual spelling");
        assert_eq!(draft.lines.len(), 2);
        assert_eq!(draft.expected, [(1, 0)]);
        assert_eq!(draft.notes.as_deref(), Some("Supplier réstock"));
        assert_eq!(draft.key.as_deref(), Some("k-1"));
        assert_eq!(Ok(draft), parse_strictly(USUAL.as_bytes(), Form::Line));
        assert_eq!(
            parse(USUAL.as_bytes(), Form::Body),
            None,
            "a body has no key of its own"
        );
    }

    #[test]
    fn the_unusual_is_left_to_the_strict_reader() {
        for (from, to) in [
            ("\"notes\":\"Supplier", "\"notes\":\"\\u0041Supplier"),
            ("\"reasonCode\":\"PURCHASE\"", "\"reasonCode\":null"),
            ("\"quantity\":25", "\"quantity\":9223372036854775807"),
            ("\"quantity\":25", "\"quantity\":25,\"expectedAvailable\":null"),
        ] {
            let text = USUAL.replace(from, to);
            assert_ne!(text, USUAL);
            assert_eq!(parse(text.as_bytes(), Form::Line), None, "{text}");
            assert!(parse_strictly(text.as_bytes(), Form::Line).is_ok(), "{text}");
        }
        for (from, to) in [
            ("\"quantity\":25", "\"quantity\":025"),
            ("\"quantity\":25", "\"quantity\":2.5"),
            ("\"quantity\":25", "\"quantity\":-"),
            ("\"quantity\":25", "\"quantity\":-0"),
            ("\"expectedAvailable\":0", "\"expectedAvailable\":1.5"),
            ("\"expectedAvailable\":0", "\"expectedAvailable\":\"1\""),
            ("}]", "},]"),
            ("\"quantity\":25", "\"quantity\":25,\"quantity\":25"),
            ("k-1\"}", "k-1\"} x"),
        ] {
            let text = USUAL.replacen(from, to, 1);
            assert_ne!(text, USUAL);
            assert_eq!(parse(text.as_bytes(), Form::Line), None, "{text}");
            assert!(parse_strictly(text.as_bytes(), Form::Line).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Bytes of the usual spelling changed, dropped and doubled at random: whatever the fast reader takes, the
        /// strict one takes as the same.
        #[test]
        fn what_the_fast_reader_takes_the_strict_one_takes_alike(
            changes in proptest::collection::vec((0..USUAL.len(), 0..4u8, prop::sample::select(b"\"{}[]:,-.0159eEnul\\ \nTZa\xC3\xA9\x00".to_vec())), 0..4)
        ) {
            let mut bytes = USUAL.as_bytes().to_vec();
            for (at, how, byte) in changes {
                let Some(last) = bytes.len().checked_sub(1) else { break };
                let at = at.min(last);
                match how {
                    0 => bytes[at] = byte,
                    1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, byte),
                    _ => bytes.truncate(at + 1),
                }
            }
            for form in [Form::Body, Form::Line] {
                if let Some(draft) = parse(&bytes, form) {
                    prop_assert_eq!(Ok(draft), parse_strictly(&bytes, form), "{}", String::from_utf8_lossy(&bytes));
                }
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = (parse(&bytes, Form::Line), parse_strictly(&bytes, Form::Line).is_ok());
        }
    }
}
