//! `POST /api/v1/stock-events`: the hottest route. It is called without a router, its caller is found in memory, its
//! body is read where it lies, and its answer is written into one buffer from what is at hand.

use axum::body::Body;
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use bincard_access::Caller;
use bincard_engine::{Ledger, Receipt};
use bincard_ledger::command::KeySpace;
use bincard_ledger::{Command, IdempotencyKey};
use bytes::Bytes;
use uuid::Uuid;

use super::draft::{Draft, Form};
use super::render::{self, Author, EVENT_BYTES, LINE_BYTES};
use crate::answer;
use crate::app::App;
use crate::asker::{identify, must, on_behalf_of};
use crate::body;
use crate::failure::{Failure, Forbidden};
use crate::if_match;
use crate::rejected::Shape;
use crate::trace::Trace;
use crate::wire::json::Json;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Records one event.
pub(crate) async fn create<B>(
    app: &App,
    request: Request<B>,
    trace: &Trace,
) -> Result<Response<Body>, Failure>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    let caller = identify(app, &head.method, &head.headers, trace).await?;
    must(caller.may_write_stock())?;
    body::require_json(&head.headers)?;
    let key = key_of(&head.headers)?;
    let version = if_match::version_of(&head.headers)?;
    let open = app.ledgers.open(&caller.tenant).await?;
    let ledger = &open.ledger;
    let bytes = body::read(body).await?;
    let draft = Draft::parse(&bytes, Form::Body)?;
    check_warehouse(&caller, ledger, draft.warehouse)?;
    let on_behalf_of = match draft.user {
        None => None,
        user => Box::pin(on_behalf_of(app, &caller, user)).await?,
    };
    let command = draft.into_command(ledger.ids(), version)?;
    // Kept to write the answer from: a line and its texts, where there are any.
    let asked = command.clone();
    let request = bincard_ledger::Request {
        command: Command::Stock(command),
        author: caller.id,
        on_behalf_of,
        key,
    };
    let receipt = ledger
        .submit(request)
        .await
        .map_err(|refusal| Failure::of_refusal(refusal, ledger, Shape::Event))?;
    let notes_bytes = asked.notes.as_ref().map_or(0, |notes| notes.len());
    let mut json = Json::with_capacity(EVENT_BYTES + notes_bytes + asked.lines.len() * LINE_BYTES);
    if receipt.replayed || receipt.says_more {
        Box::pin(write_replayed(app, ledger, &receipt, &mut json)).await?;
    } else {
        let name = match on_behalf_of {
            None => Some(caller.name.clone()),
            Some(user) => Box::pin(app.accounts.username(user)).await?,
        };
        let author = Author {
            id: on_behalf_of.unwrap_or(caller.id),
            name: name.as_deref(),
            sent_by: on_behalf_of.map(|_| caller.id),
        };
        render::write_fresh(&mut json, ledger, &receipt, &asked, &author);
    }
    let mut response = answer::written(StatusCode::CREATED, receipt.position, receipt.replayed, json);
    if_match::tag(response.headers_mut(), receipt.version);
    answer::locate(&mut response, location(ledger.ids().event(receipt.position)));
    Ok(response)
}

fn location(id: Uuid) -> String {
    const PREFIX: &str = "/api/v1/stock-events/";
    let mut path = String::with_capacity(PREFIX.len() + 36);
    path.push_str(PREFIX);
    path.push_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    path
}

/// The idempotency key of a request's head.
pub(crate) fn key_of(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Failure> {
    let mut values = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let wrong = || {
        Failure::at_header(
            "Idempotency-Key",
            "must be one key of 1 to 255 visible ASCII characters",
        )
    };
    if values.next().is_some() {
        return Err(wrong());
    }
    let text = value.to_str().map_err(|_| wrong())?;
    IdempotencyKey::parse(KeySpace::Caller, text)
        .map(Some)
        .map_err(|_| wrong())
}

/// A SELLER moves stock at its own warehouses only; that another one exists is no secret within a tenant, and that it
/// is another tenant's stays one.
pub(crate) fn check_warehouse(caller: &Caller, ledger: &Ledger, warehouse: Uuid) -> Result<(), Failure> {
    if caller.may_write_stock_at(warehouse) || ledger.ids().resolve_warehouse(warehouse).is_none() {
        Ok(())
    } else {
        Err(Failure::Forbidden(Forbidden::Warehouse))
    }
}

/// The answer to a command whose event is read back from the log: what was decided for it stands there only.
pub(crate) async fn answer_event(
    app: &App,
    ledger: &Ledger,
    receipt: &Receipt,
) -> Result<Response<Body>, Failure> {
    let mut json = Json::with_capacity(EVENT_BYTES);
    write_replayed(app, ledger, receipt, &mut json).await?;
    let mut response = answer::written(StatusCode::CREATED, receipt.position, receipt.replayed, json);
    if_match::tag(response.headers_mut(), receipt.version);
    answer::locate(&mut response, location(ledger.ids().event(receipt.position)));
    Ok(response)
}

/// The answer with the event as the log has it: the one that was given when it was recorded.
async fn write_replayed(
    app: &App,
    ledger: &Ledger,
    receipt: &Receipt,
    json: &mut Json,
) -> Result<(), Failure> {
    let recorded = ledger.event(receipt.position).await?;
    let recorded = recorded.ok_or_else(|| Failure::internal("the log has no event where it was recorded"))?;
    let (author, sent_by) = match recorded.record.on_behalf_of {
        Some(user) => (user, Some(recorded.record.author)),
        None => (recorded.record.author, None),
    };
    let name = app.accounts.username(author).await?;
    let author = Author {
        id: author,
        name: name.as_deref(),
        sent_by,
    };
    // As it was when it was recorded: that it has been undone since is no part of the first answer.
    render::write_recorded(json, ledger, &recorded, None, &author)
        .ok_or_else(|| Failure::internal("the key of a stock event leads to something else"))
}
