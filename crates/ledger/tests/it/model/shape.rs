//! What is wrong with a command whatever there is.

use bincard_ledger::{Bucket, Kind, Line, Reason, Rejection, StockCommand, Timestamp};

pub(super) fn check_text(field: &'static str, text: &str, length_max: usize) -> Result<(), Rejection> {
    let length = text.chars().count();
    let blank_end = text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace);
    if length == 0 || length > length_max || blank_end || text.contains(char::is_control) {
        return Err(Rejection::InvalidText { field, length_max });
    }
    Ok(())
}

/// 0001-01-01T00:00:00Z to 9999-12-31T23:59:59.999999Z.
pub(super) fn check_date(field: &'static str, at: Option<Timestamp>) -> Result<(), Rejection> {
    match at.map(Timestamp::micros) {
        Some(micros) if !(-62_135_596_800_000_000..=253_402_300_799_999_999).contains(&micros) => {
            Err(Rejection::InstantOutOfRange { field })
        }
        _ => Ok(()),
    }
}

pub(super) fn check_notes(notes: &Option<Box<str>>) -> Result<(), Rejection> {
    if notes.as_ref().is_some_and(|notes| notes.chars().count() > 500) {
        return Err(Rejection::NotesTooLong);
    }
    Ok(())
}

pub(super) fn check_shape(c: &StockCommand, now: Timestamp) -> Result<(), Rejection> {
    use Kind::{Pack, Pick, Release, Reservation, Ship, TransferIn, TransferOut};
    let kind = c.kind;
    let own = [
        Kind::Expiry,
        Kind::Extend,
        Kind::Reversal,
        Kind::TransferExpected,
        Kind::TransferClosed,
        Kind::ExceptionCleared,
        Kind::CountOpened,
        Kind::Counted,
        Kind::CountApproved,
        Kind::CountCancelled,
    ];
    if own.contains(&kind) {
        return Err(Rejection::NotCommandable { kind });
    }
    if c.reservation.is_some() && ![Release, Pick, Pack, Ship].contains(&kind) {
        return Err(Rejection::FieldNotAllowed {
            field: "reservationId",
            kind,
        });
    }
    if c.is_partial && kind != Reservation {
        return Err(Rejection::FieldNotAllowed {
            field: "partial",
            kind,
        });
    }
    if c.lines.is_empty() && c.reservation.is_none() {
        return Err(Rejection::NoLines);
    }
    if c.lines.len() > 1_000 {
        return Err(Rejection::TooManyLines { count: c.lines.len() });
    }
    for (line, &Line { quantity, .. }) in c.lines.iter().enumerate() {
        let negative = kind == Kind::Adjust && (-1_000_000_000..0).contains(&quantity);
        if !negative && !(1..=1_000_000_000).contains(&quantity) {
            return Err(Rejection::InvalidQuantity { line, quantity });
        }
    }
    for (line, Line { variant, .. }) in c.lines.iter().enumerate() {
        if c.lines[..line].iter().any(|earlier| earlier.variant == *variant) {
            return Err(Rejection::DuplicateVariant {
                line,
                variant: *variant,
            });
        }
    }
    if let Some(reason) = c.reason {
        let all_negative = c.lines.iter().all(|line| line.quantity < 0);
        let fits = match reason {
            Reason::Purchase => kind == Kind::Inbound,
            Reason::Sale => kind == Kind::Outbound,
            Reason::CountCorrection => kind == Kind::Adjust,
            Reason::Damage | Reason::DiscardExpired => {
                kind == Kind::Outbound || kind == Kind::Adjust && all_negative
            }
            Reason::Theft => kind == Kind::Adjust && all_negative,
            Reason::Return => kind == Kind::Adjust,
            Reason::Other => true,
        };
        if !fits {
            return Err(Rejection::ReasonMismatch { kind, reason });
        }
    }
    if [Reservation, Release, Pick, Pack, Ship].contains(&kind) && c.order.is_none() {
        return Err(Rejection::OrderMissing { kind });
    }
    if c.counterpart.is_some() && kind != TransferOut {
        return Err(Rejection::FieldNotAllowed {
            field: "toWarehouseId",
            kind,
        });
    }
    let transfers = [TransferOut, TransferIn].contains(&kind);
    if transfers && c.transfer.is_none() && c.counterpart.is_none() {
        return Err(Rejection::TransferMissing { kind });
    }
    if !transfers && c.transfer.is_some() {
        return Err(Rejection::FieldNotAllowed {
            field: "transferId",
            kind,
        });
    }
    if let Some(bucket) = c.release_from
        && (kind != Release || bucket == Bucket::Available || bucket == Bucket::Held)
    {
        return Err(Rejection::FieldNotAllowed {
            field: "releaseFrom",
            kind,
        });
    }
    for reference in [&c.order, &c.transfer].into_iter().flatten() {
        let length = reference.chars().count();
        if length == 0 || length > 128 || reference.contains(char::is_control) {
            return Err(Rejection::InvalidReference);
        }
    }
    check_notes(&c.notes)?;
    if let Some(expires_at) = c.expires_at {
        if kind != Reservation {
            return Err(Rejection::FieldNotAllowed {
                field: "expiresAt",
                kind,
            });
        }
        if expires_at <= now {
            return Err(Rejection::ExpiryPassed { expires_at, now });
        }
        check_date("expiresAt", Some(expires_at))?;
    }
    let occurred_at = c.occurred_at.unwrap_or(now);
    if occurred_at.micros() > now.micros() + 300_000_000 {
        return Err(Rejection::OccursInFuture { occurred_at, now });
    }
    check_date("occurredAt", Some(occurred_at))
}
