//! Bodies of requests: their type, their size, and how long they may take to arrive.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use futures_util::future::poll_immediate;
use http_body_util::BodyExt;
use hyper::body::Body;
use uuid::Uuid;

use crate::failure::Failure;
use crate::wire::tree;

/// The most bytes of a body, and of a line of a bulk body.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// The longest silence in the middle of a body.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Requires JSON, where the request says what its body is.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), Failure> {
    require(headers, "application/json", |essence| {
        essence.eq_ignore_ascii_case("application/json")
            || (essence.len() > 17
                && essence[..12].eq_ignore_ascii_case("application/")
                && essence.ends_with("+json"))
    })
}

/// Requires lines of JSON, where the request says what its body is.
pub(crate) fn require_ndjson(headers: &HeaderMap) -> Result<(), Failure> {
    const SPELLINGS: [&str; 4] = [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
    ];
    require(headers, SPELLINGS[0], |essence| {
        SPELLINGS
            .iter()
            .any(|spelling| essence.eq_ignore_ascii_case(spelling))
    })
}

/// Notes, and in whose name; no body at all says neither.
pub(crate) fn notes(json: &[u8]) -> Result<(Option<Box<str>>, Option<Uuid>), Failure> {
    let json = if json.iter().all(u8::is_ascii_whitespace) {
        b"{}"
    } else {
        json
    };
    Ok(tree::object(json, |fields, faults| {
        let notes = fields.optional("notes", faults, tree::text);
        let user = fields.optional("userId", faults, tree::uuid);
        Some((notes.map(Box::from), user))
    })?)
}

fn require(headers: &HeaderMap, wanted: &'static str, is_fit: impl Fn(&str) -> bool) -> Result<(), Failure> {
    if let Some(encoding) = headers.get(CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(Failure::ContentEncoding);
    }
    let Some(content_type) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    if content_type == wanted {
        return Ok(());
    }
    let text = content_type.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    if is_fit(essence) {
        Ok(())
    } else {
        Err(Failure::MediaType { wanted })
    }
}

/// The next bytes of a body; `None` at its end.
pub(crate) async fn next_bytes<B>(body: &mut B) -> Result<Option<Bytes>, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        // Nearly always the bytes are there, and a timer would cost more than they do.
        let frame = match poll_immediate(body.frame()).await {
            Some(frame) => frame,
            None => match tokio::time::timeout(SILENCE_MAX, body.frame()).await {
                Ok(frame) => frame,
                Err(_) => return Err(Failure::at_pointer("", "the body stopped arriving")),
            },
        };
        match frame {
            None => return Ok(None),
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
            Some(Err(_)) => return Err(Failure::at_pointer("", "the body ended before its end")),
        }
    }
}

/// A whole body, of at most [`BODY_BYTES_MAX`].
pub(crate) async fn read<B>(mut body: B) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes> + Unpin,
{
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(Failure::BodyTooLarge);
    }
    let Some(first) = next_bytes(&mut body).await? else {
        return Ok(Bytes::new());
    };
    if body.is_end_stream() {
        return Ok(first);
    }
    let mut whole = BytesMut::from(first);
    while let Some(more) = next_bytes(&mut body).await? {
        if whole.len() + more.len() > BODY_BYTES_MAX {
            return Err(Failure::BodyTooLarge);
        }
        whole.extend_from_slice(&more);
    }
    Ok(whole.freeze())
}
