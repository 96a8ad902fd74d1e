//! `If-Match`: the version that a warehouse, or the catalogue, is to have come to, in the shape of an entity tag (RFC 9110, 8.8.3 and 13.1.1).
//!
//! The tag of a warehouse's stock is the version of its stream, that of a slot the version of the catalogue. A write that names one happens only at that version; what
//! could never match, or would match one of several, is refused in words instead of by 412.

use axum::http::header::{ETAG, HeaderName, IF_MATCH};
use axum::http::{HeaderMap, HeaderValue};
use bincard_ledger::Version;

use crate::failure::Failure;

/// The version that a write is to find; `None` where it takes any, which `*` says as well: whatever is written to exists
/// by then.
pub(crate) fn version_of(headers: &HeaderMap) -> Result<Option<Version>, Failure> {
    const NAME: HeaderName = IF_MATCH;
    let mut values = headers.get_all(NAME).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" && values.next().is_none() {
        return Ok(None);
    }
    let wrong = |detail| Err(Failure::at_header("If-Match", detail));
    if text.starts_with("W/") {
        return wrong("must not be a weak tag, which never matches: send the ETag as it was answered");
    }
    if values.next().is_some() || text.contains(',') {
        return wrong("must be one version: of several, it would not be known which one was met");
    }
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner.and_then(parse) {
        Some(version) => Ok(Some(version)),
        None => wrong("must be the version in quotes, such as \"42\", as an ETag has it"),
    }
}

/// Refuses a version where none is looked at: a write that names one counts on it.
pub(crate) fn refuse(headers: &HeaderMap) -> Result<(), Failure> {
    match version_of(headers)? {
        None => Ok(()),
        Some(_) => Err(Failure::at_header(
            "If-Match",
            "is not taken here: what is changed has no version of its own",
        )),
    }
}

/// A version as it is written, in one way only.
fn parse(text: &str) -> Option<Version> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain).map(Version)
}

/// Tells the version that a warehouse or the catalogue has come to.
pub(crate) fn tag(headers: &mut HeaderMap, version: Version) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(version.0);
    let mut text = String::with_capacity(digits.len() + 2);
    text.push('"');
    text.push_str(digits);
    text.push('"');
    if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(text)) {
        headers.insert(ETAG, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&'static str]) -> Result<Option<u64>, ()> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IF_MATCH, HeaderValue::from_static(value));
        }
        let version = version_of(&headers);
        version
            .map(|version| version.map(|version| version.0))
            .map_err(drop)
    }

    #[test]
    fn a_version_in_quotes_is_taken_and_a_star_asks_for_none() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["*"]), Ok(None));
        assert_eq!(read(&["\"0\""]), Ok(Some(0)));
        assert_eq!(read(&[" \"42\" "]), Ok(Some(42)));
        assert_eq!(read(&["\"18446744073709551615\""]), Ok(Some(u64::MAX)));
    }

    #[test]
    fn everything_else_is_refused() {
        for wrong in [
            "",
            "42",
            "\"\"",
            "\"042\"",
            "\"+42\"",
            "\"-1\"",
            "\"x\"",
            "\"18446744073709551616\"",
            "W/\"42\"",
            "\"41\", \"42\"",
            "\"42\",",
            "*, \"42\"",
            "\"4 2\"",
            "\"",
        ] {
            assert_eq!(read(&[wrong]), Err(()), "{wrong}");
        }
        assert_eq!(read(&["\"42\"", "\"42\""]), Err(()));
        assert_eq!(read(&["*", "*"]), Err(()));
    }

    #[test]
    fn what_is_told_reads_back() {
        for version in [0, 7, u64::MAX] {
            let mut headers = HeaderMap::new();
            tag(&mut headers, Version(version));
            let told = headers.remove(ETAG).unwrap();
            headers.insert(IF_MATCH, told);
            assert_eq!(version_of(&headers).ok(), Some(Some(Version(version))));
        }
    }
}
