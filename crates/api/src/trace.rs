//! What is known of a request besides its content: its id, where it came from, and what its caller has left.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bincard_access::Quota;
use bytes::Bytes;

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const ID_LENGTH_MAX: usize = 128;

/// One request on its way.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) id: HeaderValue,
    pub(crate) peer: IpAddr,
    /// Told in the answer's headers.
    pub(crate) quota: OnceLock<Quota>,
}

impl Trace {
    pub(crate) fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }
}

/// Gives requests their ids: those that they come with, if those are fit to be shown, or new ones.
pub(crate) struct RequestIds {
    /// Tells this process's ids from those of others.
    first: u64,
    given: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new(seed: u64) -> RequestIds {
        RequestIds {
            first: seed,
            given: AtomicU64::new(0),
        }
    }

    pub(crate) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        match headers.get(&X_REQUEST_ID) {
            Some(id) if is_fit(id.as_bytes()) => id.clone(),
            _ => self.next(),
        }
    }

    fn next(&self) -> HeaderValue {
        const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
        // An odd multiplier makes every number another one, and neighbours look apart.
        let number = self
            .first
            .wrapping_add(self.given.fetch_add(1, Relaxed))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut text = *b"req_0000000000000";
        for (place, digit) in text[4..].iter_mut().enumerate() {
            *digit = DIGITS[(number >> (5 * place) & 31) as usize];
        }
        HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&text))
            .expect("letters and digits make a header value")
    }
}

/// Letters, digits and a few marks: nothing that could do harm in a log or a page.
fn is_fit(id: &[u8]) -> bool {
    let is_plain = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/' | b'+' | b'=')
    };
    (1..=ID_LENGTH_MAX).contains(&id.len()) && id.iter().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_a_fit_id_and_gets_one_otherwise() {
        let ids = RequestIds::new(7);
        let mut headers = HeaderMap::new();
        let (one, other) = (ids.of(&headers), ids.of(&headers));
        assert_ne!(one, other);
        assert!(one.to_str().unwrap().starts_with("req_"));
        headers.insert(X_REQUEST_ID, HeaderValue::from_static("abc-123"));
        assert_eq!(ids.of(&headers), "abc-123");
        headers.insert(X_REQUEST_ID, HeaderValue::from_static("<script>"));
        assert_ne!(ids.of(&headers), "<script>");
    }
}
