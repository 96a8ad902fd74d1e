//! Bulk requests: one request a line in, one result a line out, in order, in constant memory, any number of them.
//!
//! Lines are read where they lie in what the connection delivered. Some hundred of them make a chunk, which is handed
//! to the ledger as a whole; while it is decided and made durable the next chunks are read, a few at most. The whole is
//! one stream that moves only as fast as the client takes results: a client that stops reading stops being read.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Response};
use bincard_access::Caller;
use bincard_engine::{Receipt, Refusal};
use bincard_ledger::Request;
use bytes::{Buf, Bytes};
use futures_util::future::poll_immediate;
use futures_util::{Stream, StreamExt, stream};
use http_body_util::BodyExt;
use uuid::Uuid;

use crate::app::App;
use crate::asker::on_behalf_of;
use crate::body::{self, BODY_BYTES_MAX};
use crate::failure::Failure;
use crate::ledgers::OpenLedger;
use crate::problem;
use crate::rejected::Shape;
use crate::wire::json::Json;

/// A chunk is handed over once it has so many lines, or so many bytes of lines.
const CHUNK_LINES: usize = 512;
const CHUNK_BYTES: usize = 256 << 10;
/// How many chunks are under way at once.
const WINDOW_CHUNKS: usize = 4;
/// What a result takes, about.
const RESULT_BYTES: usize = 112;

/// What a line turned out to be.
#[expect(clippy::large_enum_variant, reason = "nearly every line is a request")]
pub(crate) enum LineRead {
    /// A request for the ledger.
    Asks(Request),
    /// A request in the name of a user of whom it is not known yet whether the caller may name it.
    Names(Uuid),
}

/// Reads the lines of one kind of bulk request.
pub(crate) trait LineReader: Send + 'static {
    /// Reads one line. `knows` are the users that the caller may name.
    fn read(&mut self, line: &[u8], knows: &[Uuid]) -> Result<LineRead, Failure>;
    /// Writes the id of what was recorded.
    fn write_id(json: &mut Json, open: &OpenLedger, receipt: &Receipt);
}

/// Who sends a bulk request, and where it goes.
pub(crate) struct Sender {
    pub(crate) app: Arc<App>,
    pub(crate) caller: Arc<Caller>,
    pub(crate) open: Arc<OpenLedger>,
}

/// Answers a bulk request.
pub(crate) fn answer<R: LineReader>(
    sender: Sender,
    headers: &HeaderMap,
    body: Body,
    reader: R,
) -> Result<Response<Body>, Failure> {
    body::require_ndjson(headers)?;
    if headers.contains_key("idempotency-key") {
        let detail = "a bulk request has a key a line, in its field idempotencyKey";
        return Err(Failure::at_header("Idempotency-Key", detail));
    }
    if headers.contains_key("if-match") {
        let detail =
            "does not go with a bulk request, whose lines are decided one by one: use expectedAvailable";
        return Err(Failure::at_header("If-Match", detail));
    }
    let results = results(sender, body, reader);
    let mut response = Response::new(Body::from_stream(results.map(Ok::<_, std::convert::Infallible>)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

fn results<R: LineReader>(sender: Sender, body: Body, reader: R) -> impl Stream<Item = Bytes> {
    let open = sender.open.clone();
    let source = Source {
        sender,
        body,
        reader,
        frame: Bytes::new(),
        carry: Vec::new(),
        is_too_long: false,
        line: 0,
        has_ended: false,
        knows: Vec::new(),
    };
    let chunks = stream::unfold(source, |mut source| async {
        let chunk = source.next_chunk().await?;
        Some((chunk, source))
    });
    chunks
        .map(move |chunk| decide::<R>(open.clone(), chunk))
        .buffered(WINDOW_CHUNKS)
}

/// Some lines: the requests among them, and what every line came to.
struct Chunk {
    requests: Vec<Request>,
    lines: Vec<Line>,
}

/// One line that was not blank.
struct Line {
    number: u64,
    /// Why it never went to the ledger.
    failure: Option<Box<Failure>>,
}

async fn decide<R: LineReader>(open: Arc<OpenLedger>, chunk: Chunk) -> Bytes {
    let outcomes = if chunk.requests.is_empty() {
        Vec::new()
    } else {
        open.ledger.submit_batch(chunk.requests).await
    };
    let mut json = Json::with_capacity(chunk.lines.len() * RESULT_BYTES);
    let mut outcomes = outcomes.into_iter();
    for line in chunk.lines {
        let outcome = match line.failure {
            Some(failure) => Err(*failure),
            None => {
                let outcome = outcomes.next().unwrap_or(Err(Refusal::OutcomeUnknown));
                outcome.map_err(|refusal| Failure::of_refusal(refusal, &open.ledger, Shape::Event))
            }
        };
        write_result::<R>(&mut json, &open, line.number, &outcome);
    }
    Bytes::from(json.into_bytes())
}

fn write_result<R: LineReader>(
    json: &mut Json,
    open: &OpenLedger,
    line: u64,
    outcome: &Result<Receipt, Failure>,
) {
    json.raw(r#"{"line":"#).whole(line);
    match outcome {
        Ok(receipt) => {
            json.raw(r#","status":201,"id":"#);
            R::write_id(json, open, receipt);
            json.raw(r#","position":"#).whole(receipt.position.0);
            if receipt.replayed {
                json.raw(r#","replayed":true"#);
            }
        }
        Err(failure) => {
            json.raw(r#","status":"#).whole(failure.code().status().as_u16());
            json.raw(r#","problem":"#);
            problem::write(json, failure, None);
        }
    }
    json.raw("}\n");
}

/// A body being read line by line.
struct Source<R> {
    sender: Sender,
    body: Body,
    reader: R,
    /// What was delivered and is not read yet.
    frame: Bytes,
    /// The beginning of a line whose end was not delivered yet.
    carry: Vec<u8>,
    /// The line at hand is longer than lines may be: what is left of it is passed over.
    is_too_long: bool,
    /// The number of the last line, from 1.
    line: u64,
    has_ended: bool,
    /// The users that the caller is known to be allowed to name.
    knows: Vec<Uuid>,
}

impl<R: LineReader> Source<R> {
    /// The next lines; `None` at the end. Does not wait for more while it has some.
    async fn next_chunk(&mut self) -> Option<Chunk> {
        let mut chunk = Chunk {
            requests: Vec::with_capacity(CHUNK_LINES),
            lines: Vec::with_capacity(CHUNK_LINES),
        };
        let mut bytes = 0;
        while !self.has_ended && chunk.lines.len() < CHUNK_LINES {
            if bytes >= CHUNK_BYTES {
                if !chunk.lines.is_empty() {
                    break;
                }
                // Blank lines only so far: the stream goes on, and so may others in between.
                bytes = 0;
                tokio::task::yield_now().await;
            }
            let Some(end) = memchr::memchr(b'\n', &self.frame) else {
                self.keep_rest();
                let more = match poll_immediate(self.body.frame()).await {
                    Some(None) => Ok(None),
                    Some(Some(Ok(frame))) => Ok(Some(frame.into_data().unwrap_or_default())),
                    Some(Some(Err(error))) => Err(Failure::internal(error)),
                    None if !chunk.lines.is_empty() => break,
                    None => body::next_bytes(&mut self.body).await,
                };
                match more {
                    Ok(Some(frame)) => self.frame = frame,
                    Ok(None) => self.end(&mut chunk).await,
                    Err(_) => self.break_off(&mut chunk),
                }
                continue;
            };
            bytes += end + self.carry.len();
            let line = self.frame.split_to(end);
            self.frame.advance(1);
            if self.carry.is_empty() && !self.is_too_long {
                self.take(&line, &mut chunk).await;
            } else {
                self.carry_on(&line);
                self.take_carried(&mut chunk).await;
            }
        }
        self.sender
            .app
            .figures
            .bulk_lines
            .fetch_add(chunk.lines.len() as u64, std::sync::atomic::Ordering::Relaxed);
        (!chunk.lines.is_empty()).then_some(chunk)
    }

    /// Keeps what was delivered of a line until the rest comes.
    fn keep_rest(&mut self) {
        let rest = std::mem::take(&mut self.frame);
        self.carry_on(&rest);
    }

    fn carry_on(&mut self, more: &[u8]) {
        if self.is_too_long || self.carry.len() + more.len() > BODY_BYTES_MAX {
            self.is_too_long = true;
            self.carry = Vec::new();
        } else {
            self.carry.extend_from_slice(more);
        }
    }

    /// Takes the line that was carried, which is whole now.
    async fn take_carried(&mut self, chunk: &mut Chunk) {
        if std::mem::take(&mut self.is_too_long) {
            self.line += 1;
            self.fail(Failure::BodyTooLarge, chunk);
            return;
        }
        let mut line = std::mem::take(&mut self.carry);
        self.take(&line, chunk).await;
        line.clear();
        self.carry = line;
    }

    async fn take(&mut self, line: &[u8], chunk: &mut Chunk) {
        self.line += 1;
        if line.len() > BODY_BYTES_MAX {
            self.fail(Failure::BodyTooLarge, chunk);
            return;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        loop {
            match self.reader.read(line, &self.knows) {
                Ok(LineRead::Asks(request)) => {
                    chunk.requests.push(request);
                    chunk.lines.push(Line {
                        number: self.line,
                        failure: None,
                    });
                    return;
                }
                Ok(LineRead::Names(user)) => {
                    let Sender { app, caller, .. } = &self.sender;
                    match on_behalf_of(app, caller, Some(user)).await {
                        Ok(_) => self.know(user),
                        Err(failure) => return self.fail(failure, chunk),
                    }
                }
                Err(failure) => return self.fail(failure, chunk),
            }
        }
    }

    /// Remembers a user; few are named in one request, and what is forgotten is asked again.
    fn know(&mut self, user: Uuid) {
        const USERS_MAX: usize = 64;
        if self.knows.len() == USERS_MAX {
            self.knows.clear();
        }
        self.knows.push(user);
    }

    fn fail(&mut self, failure: Failure, chunk: &mut Chunk) {
        chunk.lines.push(Line {
            number: self.line,
            failure: Some(Box::new(failure)),
        });
    }

    /// The body has ended: what is carried is the last line, which needs no end of its own.
    async fn end(&mut self, chunk: &mut Chunk) {
        self.has_ended = true;
        if self.is_too_long || !self.carry.is_empty() {
            self.take_carried(chunk).await;
        }
    }

    /// The body has broken off in the middle: half a line is not taken for a whole one.
    fn break_off(&mut self, chunk: &mut Chunk) {
        self.has_ended = true;
        self.line += 1;
        self.fail(
            Failure::at_pointer("", "the body broke off before its end"),
            chunk,
        );
    }
}
