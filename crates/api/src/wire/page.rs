//! Pages of native v1 lists: `page`, `size` and `cursor` in, `content`, `page` and `nextCursor` out.
//!
//! A cursor is a few numbers of the view that made it, with a mark of the question it belongs to: it says nothing to
//! anybody else, and sent with another question it is refused.

use xxhash_rust::xxh3::xxh3_64;

use super::json::Json;
use super::query::Query;
use crate::failure::Failure;

pub(crate) const SIZE_DEFAULT: u32 = 20;
pub(crate) const SIZE_MAX: u32 = 500;

/// Which page is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paging {
    /// Counted from 0.
    pub(crate) number: u64,
    pub(crate) size: u32,
    /// What a cursor holds, for the view to read.
    pub(crate) cursor: Option<Vec<i64>>,
}

/// The greatest page number: beyond it lies nothing that could be counted to.
const NUMBER_MAX: u64 = 1 << 40;
/// What is said of any other cursor.
const CURSOR_MUST_BE: &str =
    "must be the nextCursor of a page of this list, sent with the parameters of that page";
/// The most numbers in a cursor.
const WORDS_MAX: usize = 16;

impl Paging {
    /// Reads `page`, `size` and `cursor`. `question` is everything else that decides what is listed and how.
    pub(crate) fn read(query: &mut Query<'_>, question: &str) -> Paging {
        let number = query.read("page", "must be a whole number, 0 to 1099511627776", |text| {
            text.parse().ok().filter(|number| *number <= NUMBER_MAX)
        });
        let size = query.read("size", "must be 1 to 500", |text| {
            text.parse().ok().filter(|size| (1..=SIZE_MAX).contains(size))
        });
        let cursor = query.read("cursor", CURSOR_MUST_BE, |text| cursor_read(text, question));
        if cursor.is_some() && number.is_some() {
            query.fault("page", "does not go with a cursor, which knows its page");
        }
        Paging {
            number: number.unwrap_or_default(),
            size: size.unwrap_or(SIZE_DEFAULT),
            cursor,
        }
    }
}

/// How many there are in all, for the page object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) number: u64,
    pub(crate) size: u32,
    pub(crate) total: u64,
}

/// Ends a list whose `{"content":[…` has been written.
pub(crate) fn finish(json: &mut Json, extent: Extent, next_cursor: Option<String>) {
    let pages = extent.total.div_ceil(u64::from(extent.size.max(1)));
    json.raw(r#"],"page":{"number":"#).whole(extent.number);
    json.raw(r#","size":"#).whole(extent.size);
    json.raw(r#","totalElements":"#).whole(extent.total);
    json.raw(r#","totalPages":"#).whole(pages);
    json.raw(r#"},"nextCursor":"#)
        .text_or_null(next_cursor.as_deref());
    json.raw("}");
}

/// A cursor that does not hold what this list's cursors hold.
pub(crate) fn wrong_cursor() -> Failure {
    Failure::at_parameter("cursor", CURSOR_MUST_BE)
}

/// A count or a page's number that a cursor holds, if it can be one: whoever makes cursors by hand may write anything.
pub(crate) fn count_of(word: i64) -> Option<u64> {
    u64::try_from(word).ok().filter(|count| *count <= NUMBER_MAX)
}

/// A count or a page's number as a cursor holds it.
pub(crate) fn word_of(count: u64) -> i64 {
    count.min(NUMBER_MAX).cast_signed()
}

/// A cursor of `words` for `question`.
pub(crate) fn cursor_text(words: &[i64], question: &str) -> String {
    let mut bytes = Vec::with_capacity(8 + words.len() * 8);
    bytes.extend_from_slice(&mark(question).to_le_bytes());
    for word in words {
        write_varint(&mut bytes, (word << 1 ^ word >> 63) as u64);
    }
    base64(&bytes)
}

fn cursor_read(text: &str, question: &str) -> Option<Vec<i64>> {
    let bytes = from_base64(text)?;
    let mut rest = bytes.strip_prefix(&mark(question).to_le_bytes())?;
    let mut words = Vec::with_capacity(8);
    while !rest.is_empty() {
        let word = read_varint(&mut rest)?;
        words.push((word >> 1) as i64 ^ -((word & 1) as i64));
        if words.len() > WORDS_MAX {
            return None;
        }
    }
    Some(words)
}

fn mark(question: &str) -> u32 {
    xxh3_64(question.as_bytes()) as u32
}

fn write_varint(out: &mut Vec<u8>, mut word: u64) {
    while word >= 0x80 {
        out.push(word as u8 | 0x80);
        word >>= 7;
    }
    out.push(word as u8);
}

fn read_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut word = 0u64;
    for place in 0..10 {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        word |= u64::from(byte & 0x7F).checked_shl(place * 7)?;
        if byte < 0x80 {
            return Some(word);
        }
    }
    None
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64 for URLs, without padding.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word =
            group.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            let digit = word >> (18 - 6 * place) & 63;
            text.push(char::from(ALPHABET[digit as usize]));
        }
    }
    text
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    for group in text.as_bytes().chunks(4) {
        let mut word = 0u32;
        for byte in group {
            let digit = ALPHABET.iter().position(|digit| digit == byte)?;
            word = word << 6 | digit as u32;
        }
        word <<= 6 * (4 - group.len());
        let whole_bytes = group.len().checked_sub(1).filter(|count| *count > 0)?;
        bytes.extend_from_slice(&word.to_be_bytes()[1..=whole_bytes]);
    }
    (base64(&bytes) == text).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_reads_back_for_its_question_only(words in proptest::collection::vec(any::<i64>(), 0..=WORDS_MAX)) {
            let text = cursor_text(&words, "a");
            prop_assert_eq!(cursor_read(&text, "a"), Some(words));
            prop_assert_eq!(cursor_read(&text, "b"), None);
        }

        #[test]
        fn no_text_makes_it_panic(text: String, coded in "[A-Za-z0-9_-]{0,80}") {
            let _ = (cursor_read(&text, ""), cursor_read(&coded, ""));
        }
    }

    fn paging(query: &str) -> Result<Paging, crate::wire::tree::Faults> {
        let mut query = Query::parse(Some(query));
        let paging = Paging::read(&mut query, "q");
        query.finish().map(|()| paging)
    }

    #[test]
    fn pages_have_their_defaults_and_their_bounds() {
        let default = Paging {
            number: 0,
            size: 20,
            cursor: None,
        };
        assert_eq!(paging(""), Ok(default));
        assert_eq!(
            paging("page=3&size=500").map(|page| (page.number, page.size)),
            Ok((3, 500))
        );
        let cursor = cursor_text(&[1, -2], "q");
        assert_eq!(
            paging(&format!("cursor={cursor}")).map(|page| page.cursor),
            Ok(Some(vec![1, -2]))
        );
        for wrong in [
            "size=0",
            "size=501",
            "page=-1",
            "page=x",
            "cursor=AAAA",
            "sizes=1",
            "page=1&page=2",
        ] {
            assert!(paging(wrong).is_err(), "{wrong}");
        }
        assert!(paging(&format!("page=1&cursor={cursor}")).is_err());
    }
}
