//! Bodies of requests: their type, their size, and how long they may take to arrive.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use futures_util::future::poll_immediate;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use uuid::Uuid;

use crate::app::App;
use crate::failure::Failure;
use crate::ledgers::stopping;
use crate::wire::tree;

/// The most bytes of a body, and of a line of a bulk body.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// The longest silence in the middle of a body.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The longest silence in the middle of a request once the server is to end.
pub(crate) const REST_MAX: Duration = Duration::from_secs(2);

/// The server is to end, and the body has stopped arriving.
#[derive(Clone, Copy, Debug)]
struct CutOff;

impl fmt::Display for CutOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the server is stopping, and the body has stopped arriving")
    }
}

impl Error for CutOff {}

/// A body on its way: once the server is to end, no more than a moment of silence is waited for.
pub(crate) struct Arriving<B> {
    body: B,
    app: Arc<App>,
    /// The silence that is under way.
    silence: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl<B> Arriving<B> {
    pub(crate) fn new(body: B, app: Arc<App>) -> Arriving<B> {
        let silence = None;
        Arriving { body, app, silence }
    }
}

impl<B: Body + Unpin> Body for Arriving<B>
where
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = B::Data;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.silence = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let silence = this.silence.get_or_insert_with(|| {
            let mut stopping = this.app.stopping.subscribe();
            Box::pin(async move {
                // An error says that the server is gone, which is as good.
                drop(stopping.wait_for(|stopping| *stopping).await);
                tokio::time::sleep(REST_MAX).await;
            })
        });
        silence.as_mut().poll(cx).map(|()| Some(Err(CutOff.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Whether an error, or what it came from, is that a body was cut off.
fn is_cut_off(error: &(dyn Error + 'static)) -> bool {
    error.is::<CutOff>() || error.source().is_some_and(is_cut_off)
}

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
    B::Error: Into<Box<dyn Error + Send + Sync>>,
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
            Some(Err(error)) => {
                return Err(match is_cut_off(&*error.into()) {
                    true => stopping(),
                    false => Failure::at_pointer("", "the body ended before its end"),
                });
            }
        }
    }
}

/// A whole body, of at most [`BODY_BYTES_MAX`].
pub(crate) async fn read<B>(mut body: B) -> Result<Bytes, Failure>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
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
