//! How kinds, reasons and places are spelled on the wire.

use bincard_ledger::{Account, Bucket, ExceptionType, Kind, NegativeStock, Place, Reason};

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
        Kind::ExceptionCleared => "EXCEPTION_CLEARED",
        Kind::CountOpened => "COUNT_OPENED",
        Kind::Counted => "COUNTED",
        Kind::CountApproved => "COUNT_APPROVED",
        Kind::CountCancelled => "COUNT_CANCELLED",
    }
}

/// The kind that a word stands for.
pub(crate) fn kind(word: &[u8]) -> Option<Kind> {
    Kind::ALL
        .into_iter()
        .find(|kind| of_kind(*kind).as_bytes() == word)
}

/// The wire's word for what happens when a physical fact takes more than is available.
pub(crate) const fn of_policy(policy: NegativeStock) -> &'static str {
    match policy {
        NegativeStock::Forbid => "forbid",
        NegativeStock::Record => "record",
    }
}

/// The policy that a word stands for.
pub(crate) fn policy(word: &str) -> Option<NegativeStock> {
    [NegativeStock::Forbid, NegativeStock::Record]
        .into_iter()
        .find(|policy| of_policy(*policy) == word)
}

/// The wire's word for what an exception is about.
pub(crate) const fn of_exception(kind: ExceptionType) -> &'static str {
    match kind {
        ExceptionType::NegativeStock => "negative-stock",
        ExceptionType::CountShortage => "count-shortage",
    }
}

/// What an exception is about by the wire's word.
pub(crate) fn exception(word: &str) -> Option<ExceptionType> {
    ExceptionType::ALL
        .into_iter()
        .find(|kind| of_exception(*kind) == word)
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

/// The wire's word for a place.
pub(crate) const fn of_place(place: Place) -> &'static str {
    match place {
        Place::Bucket(Bucket::Available) => "available",
        Place::Bucket(Bucket::Reserved) => "reserved",
        Place::Bucket(Bucket::Picked) => "picked",
        Place::Bucket(Bucket::Packed) => "packed",
        Place::Bucket(Bucket::Held) => "held",
        Place::Account(Account::Supplier) => "supplier",
        Place::Account(Account::Customer) => "customer",
        Place::Account(Account::Adjustment) => "adjustment",
        Place::Account(Account::Transit) => "transit",
    }
}
