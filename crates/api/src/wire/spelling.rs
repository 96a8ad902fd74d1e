//! How kinds and reasons are spelled on the wire.

use bincard_ledger::{Kind, Reason};

/// The wire's word for a kind.
pub(crate) const fn of_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Inbound => "INBOUND",
        Kind::Outbound => "OUTBOUND",
        Kind::Adjust => "ADJUST",
        Kind::Reservation => "RESERVATION",
        Kind::Release => "RELEASE",
        Kind::Pick => "PICK",
        Kind::Pack => "PACK",
        Kind::Ship => "SHIP",
        Kind::TransferOut => "TRANSFER_OUT",
        Kind::TransferIn => "TRANSFER_IN",
        Kind::Hold => "HOLD",
        Kind::Unhold => "UNHOLD",
        Kind::Expiry => "EXPIRY",
        Kind::Extend => "EXTEND",
        Kind::Reversal => "REVERSAL",
        Kind::TransferExpected => "TRANSFER_EXPECTED",
        Kind::TransferClosed => "TRANSFER_CLOSED",
    }
}

/// The kind that a word stands for.
pub(crate) fn kind(word: &[u8]) -> Option<Kind> {
    Kind::ALL
        .into_iter()
        .find(|kind| of_kind(*kind).as_bytes() == word)
}

/// The wire's word for a reason.
pub(crate) const fn of_reason(reason: Reason) -> &'static str {
    match reason {
        Reason::Purchase => "PURCHASE",
        Reason::Sale => "SALE",
        Reason::CountCorrection => "COUNT_CORRECTION",
        Reason::Damage => "DAMAGE",
        Reason::DiscardExpired => "DISCARD_EXPIRED",
        Reason::Other => "OTHER",
        Reason::Theft => "THEFT",
        Reason::Return => "RETURN",
    }
}

/// The reason that a word stands for.
pub(crate) fn reason(word: &[u8]) -> Option<Reason> {
    Reason::ALL
        .into_iter()
        .find(|reason| of_reason(*reason).as_bytes() == word)
}
