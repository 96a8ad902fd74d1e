//! Exceptions: `/api/v1/exceptions`. What somebody is to see to, until it is cleared.
//!
//! An exception's id is that of the event that made it. What is cleared, and by whom, are events like any others.

mod clear;
mod read;
mod render;

use std::sync::Arc;

use bincard_ledger::{Event, Position, Recorded, StockEvent};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::asker::Asker;
use crate::failure::{Failure, Missing};
use crate::wire::tree::parse_uuid;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(read::list))
        .routes(routes!(read::fetch))
        .routes(routes!(clear::clear))
}

const NONE: Failure = Failure::NotFound(Missing::Exception);

/// The event that made the exception with an id in a path, if the caller may see it: a SELLER those at its own
/// warehouses.
async fn made(asker: &Asker, id: &str) -> Result<(Position, Recorded), Failure> {
    let ledger = &asker.open.ledger;
    let position = parse_uuid(id)
        .and_then(|id| ledger.ids().resolve_event(id))
        .ok_or(NONE)?;
    let recorded = ledger.event(position).await?;
    let recorded = recorded.ok_or(NONE)?;
    let event = exception_of(&recorded).ok_or(NONE)?;
    if asker
        .caller
        .may_see_warehouse(ledger.ids().warehouse(event.warehouse))
    {
        Ok((position, recorded))
    } else {
        Err(NONE)
    }
}

/// The event, if it is one that makes an exception.
fn exception_of(recorded: &Recorded) -> Option<&StockEvent> {
    match &recorded.record.event {
        Event::Stock(event) => event.exception().map(|_| event),
        Event::Catalogue(_) => None,
    }
}
