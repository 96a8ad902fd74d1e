//! Whether an earlier event may be undone, and how: every posting goes back the way it came.
//!
//! That an event is undone once and not again is for its idempotency key to hold, which is of its position.
//!
//! What was counted since the event occurred is right, whatever is undone: see [`crate::count`].

use super::{Decision, Moves, behind, conditions, count, shape};
use crate::command::ReverseCommand;
use crate::count::Counting;
use crate::event::{Event, Kind, StockEvent};
use crate::expiry::Freed;
use crate::place::Posting;
use crate::rejection::Rejection;
use crate::state::State;
use crate::time::Timestamp;

pub(super) fn decide(state: &State, command: &ReverseCommand, now: Timestamp) -> Result<Decision, Rejection> {
    let undone = &command.event;
    if !undone.kind.is_reversible() {
        return Err(Rejection::NotReversible { kind: undone.kind });
    }
    shape::check_notes(command.notes.as_deref())?;
    let warehouse = undone.warehouse;
    if state.warehouse(warehouse).is_none() {
        return Err(Rejection::UnknownWarehouse { warehouse });
    }
    conditions::check_version(state, warehouse, command.version)?;
    let mut freed = Freed::new(state, now);
    let mut noted = Vec::new();
    let occurred_at = undone.occurred_at.min(command.recorded_at);
    let mut moves = Moves::new(state, warehouse, occurred_at, None, &mut noted);
    // What a count had seen had no effect, and has none when it is undone: it was before that count, and so is this.
    for (line, posting) in undone.own_postings().enumerate() {
        let variant = posting.variant;
        if state.variant(variant).is_none() {
            return Err(Rejection::UnknownVariant { line, variant });
        }
        let way_back = (posting.to, posting.from);
        moves.add(line, variant, way_back, posting.quantity, &mut freed)?;
    }
    let mut postings = moves.finish()?;
    let seen = count::compensate(state, warehouse, occurred_at, (None, None), &mut postings)?;
    let is_counted = |posting: &Posting| {
        posting.change_on_hand() != 0 && state.count_of(warehouse, Some(posting.variant)).is_some()
    };
    let count = match seen {
        seen if postings.iter().any(is_counted) => Some(Counting::Undone {
            at: occurred_at,
            seen,
        }),
        seen if seen.is_empty() => None,
        seen => Some(Counting::Seen(seen)),
    };
    let event = Event::Stock(StockEvent {
        kind: Kind::Reversal,
        warehouse,
        occurred_at: now,
        reason: undone.reason,
        order: undone.order.clone(),
        transfer: None,
        expires_at: None,
        about: Some(command.position),
        noted,
        counterpart: None,
        count: count.map(Box::new),
        postings,
        notes: command.notes.clone(),
    });
    Ok(behind(freed, event))
}
