//! `POST /api/v1/stock-events/{id}/reverse`: what was recorded wrongly is undone by another event.
//!
//! An event is undone once: the reversal stands under a key that derives from the position of what it undoes. The
//! caller's own key is a part of the request, so that who sends the same request again is told from who comes second.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use bincard_engine::{Ledger, Refusal};
use bincard_ledger::{Command, IdempotencyKey, Position, Request, ReverseCommand};
use uuid::Uuid;

use super::create::{answer_event, key_of};
use super::fetch::{NONE, seen, stock_event_of};
use crate::app::App;
use crate::asker::{Asker, on_behalf_of};
use crate::body;
use crate::docs::schema::{AtVersion, Event as EventSchema, Keyed, NewReversal, Problem};
use crate::failure::Failure;
use crate::if_match;
use crate::rejected::Shape;
use crate::segment::Segment;
use crate::wire::tree;

/// Undo a stock event.
///
/// Nothing is edited: another event, a REVERSAL, moves everything back where it came from, if it is still there. It names
/// what it undoes in `reversesId`, and the event that it undoes names it in `reversedById` from then on. INBOUND, OUTBOUND,
/// ADJUST, HOLD and UNHOLD can be undone, each once and for ever: whoever comes second gets 409 with the reversal's id. The
/// same request sent again with its `Idempotency-Key` gets the first answer again.
#[utoipa::path(
    post,
    path = "/api/v1/stock-events/{id}/reverse",
    tag = "Stock events",
    params(
        ("id" = Uuid, Path, description = "The event to undo"),
        Keyed,
        AtVersion,
    ),
    request_body(content = Option<NewReversal>, content_type = "application/json"),
    responses(
        (status = 201, description = "The event that undoes it", body = EventSchema, headers(
            ("Location" = String, description = "Where it is found"),
            ("Ledger-Position" = u64, description = "Its place in the log"),
            ("ETag" = String, description = "The version to which it brought the warehouse"),
            ("Idempotency-Replayed" = Option<bool>, description = "It had been recorded before under this key"),
        )),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is undone already, cannot be undone, or what it brought is not there any more", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The warehouse has come to another version, or another quantity is available, than was expected", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn reverse(
    State(app): State<Arc<App>>,
    asker: Asker,
    Segment(id): Segment,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_write_stock())?;
    body::require_json(&headers)?;
    let key = key_of(&headers)?;
    let version = if_match::version_of(&headers)?;
    let recorded = seen(&asker, &id).await?;
    let undone = stock_event_of(&recorded).ok_or(NONE)?;
    let asked = read_reversal(&body::read(body).await?)?;
    let on_behalf_of = on_behalf_of(&app, &asker.caller, asked.user).await?;
    let ledger = &asker.open.ledger;
    let ids = ledger.ids();
    if let Some(key) = &key
        && let Some(position) = find_key(ledger, key).await?
    {
        let event = ids.event(position);
        return Err(Failure::KeyReused { event });
    }
    let request = Request {
        command: Command::Reverse(Box::new(ReverseCommand {
            position: recorded.position,
            event: undone.clone(),
            recorded_at: recorded.recorded_at,
            asked_as: asked_as(key),
            version,
            notes: asked.notes,
        })),
        author: asker.caller.id,
        on_behalf_of,
        key: Some(IdempotencyKey::of_reversal(recorded.position)),
    };
    let receipt = ledger.submit(request).await.map_err(|refusal| match refusal {
        Refusal::KeyReused { position } => Failure::AlreadyReversed {
            reversal: ids.event(position),
        },
        other => Failure::of_refusal(other, ledger, Shape::Notes),
    })?;
    answer_event(&app, ledger, &receipt).await
}

/// Where a key stands; that may take reading the log.
async fn find_key(ledger: &Ledger, key: &IdempotencyKey) -> Result<Option<Position>, Failure> {
    let (ledger, key) = (ledger.clone(), key.clone());
    let found = tokio::task::spawn_blocking(move || ledger.find_key(&key)).await;
    Ok(found.map_err(Failure::internal)??)
}

/// What tells one request to undo an event from another: the caller's key, or, where there is none, something that no
/// key is and that never comes again.
fn asked_as(key: Option<IdempotencyKey>) -> Box<str> {
    match key {
        Some(key) => key.text,
        None => format!(" {}", Uuid::new_v4()).into(),
    }
}

/// A reversal as it is asked for.
struct Reversal {
    notes: Option<Box<str>>,
    user: Option<Uuid>,
}

fn read_reversal(json: &[u8]) -> Result<Reversal, Failure> {
    let reversal = tree::object_or_nothing(json, |fields, faults| {
        let notes = fields.optional("notes", faults, tree::text);
        let user = fields.optional("userId", faults, tree::uuid);
        let notes = notes.map(Box::from);
        Some(Reversal { notes, user })
    });
    Ok(reversal?)
}

/// Which of the events at `positions` are undone, and by which.
pub(super) async fn reversals(
    ledger: &Ledger,
    positions: Vec<Position>,
) -> Result<HashMap<Position, Position>, Failure> {
    if positions.is_empty() {
        return Ok(HashMap::new());
    }
    let ledger = ledger.clone();
    let find = move || {
        let mut reversals = HashMap::new();
        for undone in positions {
            let reversal = ledger.find_key(&IdempotencyKey::of_reversal(undone))?;
            reversals.extend(reversal.map(|reversal| (undone, reversal)));
        }
        Ok(reversals)
    };
    let found = tokio::task::spawn_blocking(find)
        .await
        .map_err(Failure::internal)?;
    found.map_err(|error: bincard_store::ReadError| error.into())
}
