//! Whether an earlier event may be undone, and how: every posting goes back the way it came.
//!
//! That an event is undone once and not again is for its idempotency key to hold, which is of its position.

use super::{Decision, Moves, behind, conditions, shape};
use crate::command::ReverseCommand;
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
    let mut moves = Moves::new(state, warehouse, now, None, &mut noted);
    let seen = undone.seen();
    // What a count had seen had no effect, and has none when it is undone.
    let postings = undone.postings.iter().enumerate();
    for (line, posting) in postings.filter(|(_, posting)| !seen.contains(&posting.variant)) {
        let variant = posting.variant;
        if state.variant(variant).is_none() {
            return Err(Rejection::UnknownVariant { line, variant });
        }
        let way_back = (posting.to, posting.from);
        moves.add(line, variant, way_back, posting.quantity, &mut freed)?;
    }
    let mut postings = moves.finish()?;
    let back = undone.postings.iter().rev();
    postings.extend(back.filter(|one| seen.contains(&one.variant)).map(|one| Posting {
        from: one.to,
        to: one.from,
        ..*one
    }));
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
        count: undone.count.clone().filter(|_| !seen.is_empty()),
        postings,
        notes: command.notes.clone(),
    });
    Ok(behind(freed, event))
}
