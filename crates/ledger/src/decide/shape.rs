//! What can be said of a stock command without looking at the state.

use std::collections::HashSet;

use crate::command::{ReceiveCommand, StockCommand};
use crate::event::{Kind, Reason};
use crate::id::VariantNo;
use crate::place::Bucket;
use crate::rejection::Rejection;
use crate::time::Timestamp;

/// The most lines of an event.
pub(crate) const LINES_MAX: usize = 1_000;
/// The most units of a line.
pub const QUANTITY_MAX: i64 = 1_000_000_000;
/// The longest notes, in characters.
const NOTES_LENGTH_MAX: usize = 500;
/// The longest id of an order or transfer, in characters.
const REFERENCE_LENGTH_MAX: usize = 128;
/// How far ahead of the ledger's clock an event may lie: clocks differ.
const AHEAD_MAX_MICROS: i64 = 5 * 60 * 1_000_000;
/// Below this many lines, comparing each with each is cheaper than hashing.
const PAIRWISE_LINES_MAX: usize = 16;
/// The instants that a log keeps: the years 1 to 9999.
const INSTANT_MIN: Timestamp = Timestamp::from_micros(-62_135_596_800_000_000);
const INSTANT_MAX: Timestamp = Timestamp::from_micros(253_402_300_799_999_999);

/// Checks everything about `command` that needs no state, and answers when it happened.
pub(super) fn check(command: &StockCommand, now: Timestamp) -> Result<Timestamp, Rejection> {
    if command.kind.flow().is_none() || matches!(command.kind, Kind::Expiry | Kind::TransferClosed) {
        return Err(Rejection::NotCommandable { kind: command.kind });
    }
    check_reservation(command)?;
    check_lines(command)?;
    check_reason(command)?;
    check_references(command)?;
    check_notes(command.notes.as_deref())?;
    if let Some(expires_at) = command.expires_at {
        if command.kind != Kind::Reservation {
            return Err(Rejection::FieldNotAllowed {
                field: "expiresAt",
                kind: command.kind,
            });
        }
        check_expiry(expires_at, now)?;
    }
    check_occurred(command.occurred_at, now)
}

/// When something happened that is to have happened then, or now where that is left open; refused in the future.
pub fn check_occurred(occurred_at: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, Rejection> {
    let occurred_at = occurred_at.unwrap_or(now);
    if occurred_at > now.saturating_add_micros(AHEAD_MAX_MICROS) {
        return Err(Rejection::OccursInFuture { occurred_at, now });
    }
    check_instant("occurredAt", occurred_at)?;
    Ok(occurred_at)
}

fn check_reservation(command: &StockCommand) -> Result<(), Rejection> {
    let kind = command.kind;
    let not_allowed = |field| Err(Rejection::FieldNotAllowed { field, kind });
    let acts_on_held = matches!(kind, Kind::Release | Kind::Pick | Kind::Pack | Kind::Ship);
    if command.reservation.is_some() && !acts_on_held {
        return not_allowed("reservationId");
    }
    if command.is_partial && kind != Kind::Reservation {
        return not_allowed("partial");
    }
    Ok(())
}

/// How many lines there are of what is not a movement.
pub(super) fn check_count(count: usize) -> Result<(), Rejection> {
    match count {
        0 => Err(Rejection::NoLines),
        1..=LINES_MAX => Ok(()),
        _ => Err(Rejection::TooManyLines { count }),
    }
}

pub(super) fn check_notes(notes: Option<&str>) -> Result<(), Rejection> {
    match notes {
        Some(notes) if notes.chars().count() > NOTES_LENGTH_MAX => Err(Rejection::NotesTooLong),
        _ => Ok(()),
    }
}

fn check_lines(command: &StockCommand) -> Result<(), Rejection> {
    let lines = &command.lines;
    if lines.is_empty() && command.reservation.is_none() {
        return Err(Rejection::NoLines);
    }
    if lines.len() > LINES_MAX {
        return Err(Rejection::TooManyLines { count: lines.len() });
    }
    for (line, one) in lines.iter().enumerate() {
        let size = if command.kind == Kind::Adjust {
            one.quantity.checked_abs()
        } else {
            Some(one.quantity)
        };
        if size.is_none_or(|size| !(1..=QUANTITY_MAX).contains(&size)) {
            return Err(Rejection::InvalidQuantity {
                line,
                quantity: one.quantity,
            });
        }
    }
    // Where lots are named, whether two lines mean the same is for the lots to say.
    if command.lots.is_empty() {
        check_distinct(lines, |line| line.variant)?;
    }
    Ok(())
}

/// Checks what a receipt says that was found.
pub(super) fn check_received(command: &ReceiveCommand) -> Result<(), Rejection> {
    let lines = &command.lines;
    if lines.len() > LINES_MAX {
        return Err(Rejection::TooManyLines { count: lines.len() });
    }
    for (line, one) in lines.iter().enumerate() {
        let parts = [
            ("received", one.received),
            ("damaged", one.damaged),
            ("short", one.short),
        ];
        let sum = parts
            .into_iter()
            .fold(0, |sum: i64, (_, units)| sum.saturating_add(units));
        let wrong = parts
            .into_iter()
            .find(|(_, units)| !(0..=QUANTITY_MAX).contains(units));
        let wrong = wrong.map(|(field, units)| (Some(field), units));
        let wrong = wrong.or((!(1..=QUANTITY_MAX).contains(&sum)).then_some((None, sum)));
        if let Some((field, units)) = wrong {
            return Err(Rejection::InvalidFound { line, field, units });
        }
    }
    // As of a movement.
    if command.lots.is_empty() {
        check_distinct(lines, |line| line.variant)?;
    }
    Ok(())
}

/// Checks that no line's variant stands in an earlier one.
fn check_distinct<L>(lines: &[L], variant: impl Fn(&L) -> VariantNo) -> Result<(), Rejection> {
    let mut numbered = lines.iter().map(&variant).enumerate();
    let repeated = if lines.len() <= PAIRWISE_LINES_MAX {
        numbered.find(|(line, one)| lines.iter().take(*line).any(|earlier| variant(earlier) == *one))
    } else {
        let mut seen = HashSet::with_capacity(lines.len());
        numbered.find(|(_, one)| !seen.insert(*one))
    };
    match repeated {
        None => Ok(()),
        Some((line, variant)) => Err(Rejection::DuplicateVariant { line, variant }),
    }
}

fn check_reason(command: &StockCommand) -> Result<(), Rejection> {
    let Some(reason) = command.reason else {
        return Ok(());
    };
    let kind = command.kind;
    let takes_away = match kind {
        Kind::Outbound => true,
        Kind::Adjust => command.lines.iter().all(|line| line.quantity < 0),
        _ => false,
    };
    check_fit(kind, reason, takes_away)
}

/// Whether a reason goes with a kind, which takes stock away or does not.
pub(super) fn check_fit(kind: Kind, reason: Reason, takes_away: bool) -> Result<(), Rejection> {
    let fits = match reason {
        Reason::Purchase => kind == Kind::Inbound,
        Reason::Sale => kind == Kind::Outbound,
        Reason::CountCorrection => matches!(kind, Kind::Adjust | Kind::TransferClosed),
        Reason::Damage | Reason::DiscardExpired => takes_away,
        Reason::Theft => matches!(kind, Kind::Adjust | Kind::TransferClosed) && takes_away,
        Reason::Return => matches!(kind, Kind::Adjust | Kind::TransferClosed),
        Reason::Other => true,
    };
    if fits {
        Ok(())
    } else {
        Err(Rejection::ReasonMismatch { kind, reason })
    }
}

fn check_references(command: &StockCommand) -> Result<(), Rejection> {
    let kind = command.kind;
    if kind.needs_order() && command.order.is_none() {
        return Err(Rejection::OrderMissing { kind });
    }
    if command.counterpart.is_some() && kind != Kind::TransferOut {
        return Err(Rejection::FieldNotAllowed {
            field: "toWarehouseId",
            kind,
        });
    }
    if kind.needs_transfer() && command.transfer.is_none() && command.counterpart.is_none() {
        return Err(Rejection::TransferMissing { kind });
    }
    if !kind.needs_transfer() && command.transfer.is_some() {
        return Err(Rejection::FieldNotAllowed {
            field: "transferId",
            kind,
        });
    }
    match command.release_from {
        Some(_) if kind != Kind::Release => {
            return Err(Rejection::FieldNotAllowed {
                field: "releaseFrom",
                kind,
            });
        }
        Some(Bucket::Available | Bucket::Held) => {
            return Err(Rejection::FieldNotAllowed {
                field: "releaseFrom",
                kind,
            });
        }
        Some(Bucket::Reserved | Bucket::Picked | Bucket::Packed) | None => {}
    }
    let is_valid = |text: &str| {
        !text.is_empty()
            && text.chars().count() <= REFERENCE_LENGTH_MAX
            && !text.chars().any(char::is_control)
    };
    let references = [command.order.as_deref(), command.transfer.as_deref()];
    if references.into_iter().flatten().all(is_valid) {
        Ok(())
    } else {
        Err(Rejection::InvalidReference)
    }
}

/// An instant that a reservation may run out at.
pub(super) fn check_expiry(expires_at: Timestamp, now: Timestamp) -> Result<(), Rejection> {
    if expires_at <= now {
        return Err(Rejection::ExpiryPassed { expires_at, now });
    }
    check_instant("expiresAt", expires_at)
}

/// An instant that can be written as a date.
pub(super) fn check_instant(field: &'static str, at: Timestamp) -> Result<(), Rejection> {
    if (INSTANT_MIN..=INSTANT_MAX).contains(&at) {
        Ok(())
    } else {
        Err(Rejection::InstantOutOfRange { field })
    }
}
