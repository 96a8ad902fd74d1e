//! `GET /api/v1/stock-events/{id}`, and how events are read from the log by their positions.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use bincard_engine::Ledger;
use bincard_ledger::{Event, Position, Recorded, StockEvent};
use uuid::Uuid;

use super::render::{self, Author, EVENT_BYTES};
use super::reverse::reversals;
use crate::answer;
use crate::app::App;
use crate::asker::{Asker, MinPosition};
use crate::docs::schema::{Event as EventSchema, Problem, ReadAfter};
use crate::failure::{Failure, Missing};
use crate::segment::Segment;
use crate::wire::json::Json;
use crate::wire::tree::parse_uuid;

/// Fetch a stock event.
///
/// A SELLER sees those at its own warehouses; all others answer 404, as those of other organisations do.
#[utoipa::path(
    get,
    path = "/api/v1/stock-events/{id}",
    tag = "Stock events",
    params(("id" = Uuid, Path, description = "The event"), ReadAfter),
    responses(
        (status = 200, body = EventSchema),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn fetch(
    State(app): State<Arc<App>>,
    asker: Asker,
    MinPosition(min): MinPosition,
    Segment(id): Segment,
) -> Result<Response<Body>, Failure> {
    let ledger = &asker.open.ledger;
    asker.open.wait_for_head(min).await?;
    let recorded = seen(&asker, &id).await?;
    let undoable = reversible([&recorded]);
    let reversed_by = reversals(ledger, undoable).await?.remove(&recorded.position);
    let mut json = Json::with_capacity(EVENT_BYTES);
    let (author, sent_by) = author_of(&recorded);
    let name = app.accounts.username(author).await?;
    let author = Author {
        id: author,
        name: name.as_deref(),
        sent_by,
    };
    render::write_recorded(&mut json, ledger, &recorded, reversed_by, &author).ok_or(NONE)?;
    Ok(answer::read(ledger.reader().head().position, json))
}

pub(super) const NONE: Failure = Failure::NotFound(Missing::Event);

/// The stock event with an id in a path, if the caller may see it: a SELLER those at its own warehouses.
pub(super) async fn seen(asker: &Asker, id: &str) -> Result<Recorded, Failure> {
    let ledger = &asker.open.ledger;
    let position = parse_uuid(id)
        .and_then(|id| ledger.ids().resolve_event(id))
        .ok_or(NONE)?;
    let recorded = read_events(ledger, vec![position])
        .await?
        .remove(&position)
        .ok_or(NONE)?;
    let event = stock_event_of(&recorded).ok_or(NONE)?;
    let warehouse = ledger.ids().warehouse(event.warehouse);
    if asker.caller.may_see_warehouse(warehouse) {
        Ok(recorded)
    } else {
        Err(NONE)
    }
}

pub(super) fn stock_event_of(recorded: &Recorded) -> Option<&StockEvent> {
    match &recorded.record.event {
        Event::Stock(event) => Some(event),
        Event::Catalogue(_) => None,
    }
}

/// The positions of those events that may have been undone.
pub(super) fn reversible<'a>(events: impl IntoIterator<Item = &'a Recorded>) -> Vec<Position> {
    let may_be = |recorded: &&Recorded| stock_event_of(recorded).is_some_and(|e| e.kind.is_reversible());
    events
        .into_iter()
        .filter(may_be)
        .map(|recorded| recorded.position)
        .collect()
}

/// In whose name an event was recorded, and who sent it where that was somebody else.
pub(crate) fn author_of(recorded: &Recorded) -> (Uuid, Option<Uuid>) {
    match recorded.record.on_behalf_of {
        Some(user) => (user, Some(recorded.record.author)),
        None => (recorded.record.author, None),
    }
}

/// Events by their positions, each neighbourhood read at once. What lies beyond the head is missing from the answer.
pub(crate) async fn read_events(
    ledger: &Ledger,
    mut positions: Vec<Position>,
) -> Result<HashMap<Position, Recorded>, Failure> {
    positions.sort_unstable();
    positions.dedup();
    let reader = ledger.reader().clone();
    let read = move || {
        let mut events = HashMap::with_capacity(positions.len());
        for run in positions.chunk_by(|a, b| a.next() == *b) {
            let found = match *run {
                [one] => reader.event(one)?.into_iter().collect(),
                [first, ..] => reader.read(Position(first.0.saturating_sub(1)), run.len())?,
                [] => Vec::new(),
            };
            events.extend(found.into_iter().map(|recorded| (recorded.position, recorded)));
        }
        Ok(events)
    };
    let read = tokio::task::spawn_blocking(read)
        .await
        .map_err(Failure::internal)?;
    read.map_err(|error: bincard_store::ReadError| error.into())
}
