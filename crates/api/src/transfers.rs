//! Transfers: `/api/v1/transfers`. What is sent from one warehouse to another, until it has arrived or is given up.
//!
//! A SELLER dispatches from its own warehouses and receives at them, and sees the transfers from and to them. Only a MANAGER
//! or an ADMIN writes off what did not arrive.

mod act;
mod create;
mod draft;
mod read;
mod render;

use std::sync::Arc;

use bincard_engine::Ledger;
use bincard_ledger::{Event, Kind, Position, Recorded, StockEvent, WarehouseNo};
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
        .routes(routes!(act::receive))
        .routes(routes!(act::close))
}

const NONE: Failure = Failure::NotFound(Missing::Transfer);

/// How a transfer was opened, by the event that did it.
struct Opened<'a> {
    recorded: &'a Recorded,
    event: &'a StockEvent,
    destination: WarehouseNo,
}

impl<'a> Opened<'a> {
    /// `None` where the event opens no transfer.
    fn of(recorded: &'a Recorded) -> Option<Opened<'a>> {
        match &recorded.record.event {
            Event::Stock(event) if event.kind == Kind::TransferOut => Some(Opened {
                recorded,
                event,
                destination: event.counterpart?,
            }),
            _ => None,
        }
    }

    fn id(&self) -> Position {
        self.recorded.position
    }
}

/// The event that opened the transfer with an id in a path, if the caller may see it: a SELLER those from and to its own
/// warehouses.
async fn found(asker: &Asker, id: &str) -> Result<Recorded, Failure> {
    let ledger = &asker.open.ledger;
    let position = parse_uuid(id)
        .and_then(|id| ledger.ids().resolve_transfer(id))
        .ok_or(NONE)?;
    let recorded = recorded_at(ledger, position).await?.ok_or(NONE)?;
    let Opened {
        event, destination, ..
    } = Opened::of(&recorded).ok_or(NONE)?;
    let sees = |warehouse| {
        let warehouse = ledger.ids().warehouse(warehouse);
        asker.caller.may_see_warehouse(warehouse)
    };
    if sees(event.warehouse) || sees(destination) {
        Ok(recorded)
    } else {
        Err(NONE)
    }
}

/// The event at a position.
async fn recorded_at(ledger: &Ledger, position: Position) -> Result<Option<Recorded>, Failure> {
    Ok(ledger.event(position).await?)
}
