//! Whether an exception may be taken off the list. It stays there until somebody clears it, whatever becomes of the stock.

use smallvec::smallvec;

use super::{Decision, conditions, shape};
use crate::command::ClearCommand;
use crate::event::{Event, Kind, Postings, StockEvent};
use crate::rejection::Rejection;
use crate::state::State;
use crate::time::Timestamp;

pub(super) fn decide(state: &State, command: &ClearCommand, now: Timestamp) -> Result<Decision, Rejection> {
    let ClearCommand {
        warehouse,
        exception,
        version,
        notes,
    } = command;
    shape::check_notes(notes.as_deref())?;
    if state.warehouse(*warehouse).is_none() {
        return Err(Rejection::UnknownWarehouse {
            warehouse: *warehouse,
        });
    }
    conditions::check_version(state, *warehouse, *version)?;
    if state.exceptions.get(exception) != Some(warehouse) {
        return Err(Rejection::ExceptionCleared {
            exception: *exception,
        });
    }
    Ok(smallvec![Event::Stock(StockEvent {
        kind: Kind::ExceptionCleared,
        warehouse: *warehouse,
        occurred_at: now,
        reason: None,
        order: None,
        transfer: None,
        expires_at: None,
        about: Some(*exception),
        noted: Vec::new(),
        counterpart: None,
        count: None,
        postings: Postings::new(),
        notes: notes.clone(),
    })])
}
