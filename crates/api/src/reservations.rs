//! Reservations: `/api/v1/reservations`. What an order holds, from promising to shipping.
//!
//! A reservation's id is that of the event that made it. What happens to it are events like any others: each answer to a
//! step is the event that records it.

mod act;
mod create;
mod draft;
mod read;
mod render;

use std::sync::Arc;

use bincard_engine::Ledger;
use bincard_ledger::{Event, Kind, Position, Recorded, StockEvent};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::asker::Asker;
use crate::failure::{Failure, Missing};
use crate::wire::tree::parse_uuid;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(create::create, read::list))
        .routes(routes!(read::fetch))
        .routes(routes!(act::pick))
        .routes(routes!(act::pack))
        .routes(routes!(act::ship))
        .routes(routes!(act::release))
        .routes(routes!(act::extend))
}

const NONE: Failure = Failure::NotFound(Missing::Reservation);

/// The event that made the reservation with an id in a path, if the caller may see it: a SELLER those at its own
/// warehouses.
async fn made(asker: &Asker, id: &str) -> Result<(Position, Recorded), Failure> {
    let ledger = &asker.open.ledger;
    let position = parse_uuid(id)
        .and_then(|id| ledger.ids().resolve_event(id))
        .ok_or(NONE)?;
    let recorded = recorded_at(ledger, position).await?.ok_or(NONE)?;
    let event = reservation_of(&recorded).ok_or(NONE)?;
    if asker
        .caller
        .may_see_warehouse(ledger.ids().warehouse(event.warehouse))
    {
        Ok((position, recorded))
    } else {
        Err(NONE)
    }
}

/// The event at a position. Most are recent: they are in memory, if not in this process's then in the system's.
async fn recorded_at(ledger: &Ledger, position: Position) -> Result<Option<Recorded>, Failure> {
    Ok(ledger.event(position).await?)
}

/// The event, if it is one that makes a reservation.
fn reservation_of(recorded: &Recorded) -> Option<&StockEvent> {
    match &recorded.record.event {
        Event::Stock(event) if event.kind == Kind::Reservation => Some(event),
        _ => None,
    }
}
