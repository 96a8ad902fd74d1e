//! Why a command was refused.

use crate::event::{Kind, Reason};
use crate::id::{Position, ProductNo, VariantNo, Version, WarehouseNo};
use crate::place::{Bucket, Place};
use crate::time::Timestamp;

/// A line that asks for more than there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shortage {
    /// Of what.
    pub variant: VariantNo,
    /// Where it was to be taken from: what is free, what is held, what the order has in a bucket, or what is on the way.
    pub from: Place,
    /// How many units were asked for.
    pub requested: i64,
    /// How many there are to take.
    pub available: i64,
}

/// A line that was to find another quantity available.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mismatch {
    /// Of what.
    pub variant: VariantNo,
    /// How many units were to be available.
    pub expected: i64,
    /// How many are.
    pub available: i64,
}

/// Why a command was refused. Nothing was appended. `line` counts from 0.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[expect(
    missing_docs,
    reason = "the message of each variant says what it is, and its fields are what it names"
)]
pub enum Rejection {
    #[error("an event has at least one line")]
    NoLines,
    #[error("an event has at most 1,000 lines; this one has {count}")]
    TooManyLines { count: usize },
    #[error(
        "the lines are of {count} lots and reservations, and an event has room for 1,024: make several of it"
    )]
    TooManyPostings { count: usize },
    #[error(
        "line {line}: a quantity is 1 to 1,000,000,000 (of an ADJUST either sign, never 0), not {quantity}"
    )]
    InvalidQuantity { line: usize, quantity: i64 },
    #[error(
        "line {line}: what was received, damaged and short is 0 to 1,000,000,000 each, and 1 to 1,000,000,000 in all, not {units}"
    )]
    InvalidFound {
        line: usize,
        /// Which of them; `None` for all together.
        field: Option<&'static str>,
        units: i64,
    },
    #[error("line {line}: an earlier line of this event is of the same stock")]
    DuplicateVariant { line: usize, variant: VariantNo },
    #[error("{}", mismatch(*kind, *reason))]
    ReasonMismatch { kind: Kind, reason: Reason },
    #[error("notes are at most 500 characters long")]
    NotesTooLong,
    #[error("the event lies more than 5 minutes in the future")]
    OccursInFuture { occurred_at: Timestamp, now: Timestamp },
    #[error("{field} lies outside the years 1 to 9999")]
    InstantOutOfRange { field: &'static str },
    #[error("{kind} acts on what an order holds: name the order")]
    OrderMissing { kind: Kind },
    #[error("{kind} moves what a transfer has on the way: name the transfer")]
    TransferMissing { kind: Kind },
    #[error("a transfer goes from one warehouse to another")]
    SameWarehouse { warehouse: WarehouseNo },
    #[error("an order's or transfer's id is 1 to 128 characters, none of them a control character")]
    InvalidReference,
    #[error("{field} does not go with {kind}")]
    FieldNotAllowed { field: &'static str, kind: Kind },
    #[error("a reservation's expiry lies in the future")]
    ExpiryPassed { expires_at: Timestamp, now: Timestamp },
    #[error(
        "{kind} is not asked for as a movement: the ledger records it by itself, or on a request of its own"
    )]
    NotCommandable { kind: Kind },

    #[error("there is no such warehouse")]
    UnknownWarehouse { warehouse: WarehouseNo },
    #[error("the warehouse is not active")]
    InactiveWarehouse { warehouse: WarehouseNo },
    #[error("line {line}: there is no such variant")]
    UnknownVariant { line: usize, variant: VariantNo },
    #[error("line {line}: the variant is not active")]
    InactiveVariant { line: usize, variant: VariantNo },
    #[error("line {line}: the variant expired")]
    VariantExpired {
        line: usize,
        variant: VariantNo,
        expired_at: Timestamp,
    },
    #[error("line {line}: the lot is not in use")]
    InactiveLot {
        line: usize,
        lot: VariantNo,
        /// Whether the line names it by its code, and not by its number.
        by_code: bool,
    },
    #[error("line {line}: the lot expired")]
    LotExpired {
        line: usize,
        lot: VariantNo,
        /// Whether the line names it by its code, and not by its number.
        by_code: bool,
        expired_at: Timestamp,
    },
    #[error("line {line}: the stock of this variant lies in lots: name the lot")]
    LotMissing { line: usize, variant: VariantNo },
    #[error("line {line}: the stock of this variant does not lie in lots")]
    LotNotTracked { line: usize, variant: VariantNo },
    #[error("line {line}: there is no such lot of the variant")]
    UnknownLot { line: usize, variant: VariantNo },
    #[error(
        "line {line}: a lot is 1 to {length_max} characters, without control characters and without blanks at its ends"
    )]
    InvalidLot { line: usize, length_max: usize },
    #[error("line {line}: expiresAt lies outside the years 1 to 9999")]
    LotExpiryOutOfRange { line: usize },
    #[error("line {line}: the lot expires at another instant")]
    LotExpiryMismatch {
        line: usize,
        lot: VariantNo,
        expires_at: Option<Timestamp>,
    },
    #[error("a variant that has stock goes on as it is: in lots or not")]
    VariantHasStock { variant: VariantNo },
    #[error("there is no such product")]
    UnknownProduct { product: ProductNo },

    #[error("not enough stock")]
    Insufficient { shortages: Vec<Shortage> },
    #[error("the reservation holds nothing any more")]
    ReservationOver { reservation: Position },
    #[error("the reservation has nothing in {bucket}")]
    NothingHeld { reservation: Position, bucket: Bucket },
    #[error("the reservation ran out")]
    ReservationExpired {
        reservation: Position,
        expired_at: Timestamp,
    },
    #[error("another transfer of this id is open")]
    TransferTaken { by: Position },
    #[error("the transfer has nothing on the way any more")]
    TransferOver { transfer: Position },
    #[error("the transfer goes to another warehouse")]
    WrongWarehouse {
        transfer: Position,
        destination: WarehouseNo,
    },
    #[error("more was found than is on the way")]
    OverReceipt {
        transfer: Position,
        shortages: Vec<Shortage>,
    },
    #[error("{kind} cannot be undone by a reversal")]
    NotReversible { kind: Kind },
    #[error("there is no such exception to clear")]
    ExceptionCleared { exception: Position },
    #[error("the count is over: it was approved or cancelled, or there is none at this warehouse")]
    CountOver { count: Position },
    #[error("another open count is of the same stock")]
    CountOverlaps { by: Position },
    #[error("line {line}: the count is not of this variant or lot")]
    NotToBeCounted { line: usize, variant: VariantNo },
    #[error("line {line}: what is counted is 0 to 1,000,000,000,000 units, not {counted}")]
    InvalidCount { line: usize, counted: i64 },
    #[error("line {line}: it was counted before the count was opened")]
    CountedTooEarly {
        line: usize,
        at: Timestamp,
        opened_at: Timestamp,
    },
    #[error("line {line}: it was counted more than 5 minutes in the future")]
    CountedInFuture {
        line: usize,
        at: Timestamp,
        now: Timestamp,
    },
    #[error("nothing has been counted")]
    NothingCounted { count: Position },
    #[error("one count is of at most 50,000 variants")]
    CountFull { count: Position },
    #[error("the stream has come to another version")]
    VersionMismatch { expected: Version, present: Version },
    #[error("another quantity is available than was expected")]
    AvailableMismatch { lines: Vec<Mismatch> },
    #[error("line {line}: the stock of this variant would pass the largest quantity there is")]
    Overflow { line: usize, variant: VariantNo },

    #[error("another warehouse has this code")]
    CodeTaken { by: WarehouseNo },
    #[error("another variant has this SKU")]
    SkuTaken { by: VariantNo },
    #[error(
        "{field} is 1 to {length_max} characters, without control characters and without blanks at its ends"
    )]
    InvalidText { field: &'static str, length_max: usize },
    #[error("{field} is a whole number of {min} to {max}")]
    NumberOutOfRange { field: &'static str, min: i64, max: i64 },
    #[error("reorderPoint ({reorder_point}) lies above maxLevel ({max_level}): there would never be enough")]
    ReorderAboveMax { reorder_point: i64, max_level: i64 },
    #[error("the ledger is full: it has given out every number of this kind")]
    NumbersExhausted,
}

/// Why a reason does not go with a kind. Of an ADJUST and the end of a transfer some do, where they only take away.
fn mismatch(kind: Kind, reason: Reason) -> String {
    let takes_away = matches!(reason, Reason::Damage | Reason::DiscardExpired | Reason::Theft);
    if kind == Kind::Adjust && takes_away {
        format!(
            "reason {reason} goes with an {kind} that only takes away: the quantities of all its lines are negative"
        )
    } else {
        format!("reason {reason} does not go with {kind}")
    }
}

impl Rejection {
    /// The rejection's stable code, as metrics and logs name it.
    pub const fn code(&self) -> &'static str {
        match self {
            Rejection::NoLines => "no-lines",
            Rejection::TooManyLines { .. } => "too-many-lines",
            Rejection::TooManyPostings { .. } => "too-many-postings",
            Rejection::InvalidQuantity { .. } | Rejection::InvalidFound { .. } => "invalid-quantity",
            Rejection::DuplicateVariant { .. } => "duplicate-variant",
            Rejection::ReasonMismatch { .. } => "reason-mismatch",
            Rejection::NotesTooLong => "notes-too-long",
            Rejection::OccursInFuture { .. } => "occurs-in-future",
            Rejection::InstantOutOfRange { .. } => "instant-out-of-range",
            Rejection::OrderMissing { .. } => "order-missing",
            Rejection::TransferMissing { .. } => "transfer-missing",
            Rejection::SameWarehouse { .. } => "same-warehouse",
            Rejection::InvalidReference => "invalid-reference",
            Rejection::FieldNotAllowed { .. } => "field-not-allowed",
            Rejection::ExpiryPassed { .. } => "expiry-passed",
            Rejection::NotCommandable { .. } => "not-commandable",
            Rejection::UnknownWarehouse { .. } => "warehouse-not-found",
            Rejection::InactiveWarehouse { .. } => "warehouse-inactive",
            Rejection::UnknownVariant { .. } => "variant-not-found",
            Rejection::InactiveVariant { .. } => "variant-inactive",
            Rejection::VariantExpired { .. } => "variant-expired",
            Rejection::InactiveLot { .. } => "lot-inactive",
            Rejection::LotExpired { .. } => "lot-expired",
            Rejection::LotMissing { .. } => "lot-missing",
            Rejection::LotNotTracked { .. } => "lot-not-tracked",
            Rejection::UnknownLot { .. } => "lot-not-found",
            Rejection::InvalidLot { .. } => "invalid-text",
            Rejection::LotExpiryOutOfRange { .. } => "instant-out-of-range",
            Rejection::LotExpiryMismatch { .. } => "lot-expiry-mismatch",
            Rejection::VariantHasStock { .. } => "variant-has-stock",
            Rejection::UnknownProduct { .. } => "product-not-found",
            Rejection::Insufficient { .. } => "insufficient-stock",
            Rejection::ReservationOver { .. } => "reservation-over",
            Rejection::NothingHeld { .. } => "nothing-held",
            Rejection::ReservationExpired { .. } => "reservation-expired",
            Rejection::TransferTaken { .. } => "transfer-taken",
            Rejection::TransferOver { .. } => "transfer-over",
            Rejection::WrongWarehouse { .. } => "wrong-warehouse",
            Rejection::OverReceipt { .. } => "over-receipt",
            Rejection::NotReversible { .. } => "not-reversible",
            Rejection::ExceptionCleared { .. } => "exception-cleared",
            Rejection::CountOver { .. } => "count-over",
            Rejection::CountOverlaps { .. } => "count-overlaps",
            Rejection::NotToBeCounted { .. } => "not-to-be-counted",
            Rejection::InvalidCount { .. } => "invalid-count",
            Rejection::CountedTooEarly { .. } => "counted-too-early",
            Rejection::CountedInFuture { .. } => "occurs-in-future",
            Rejection::NothingCounted { .. } => "nothing-counted",
            Rejection::CountFull { .. } => "count-full",
            Rejection::VersionMismatch { .. } => "version-mismatch",
            Rejection::AvailableMismatch { .. } => "available-mismatch",
            Rejection::Overflow { .. } => "quantity-overflow",
            Rejection::CodeTaken { .. } => "code-taken",
            Rejection::SkuTaken { .. } => "sku-taken",
            Rejection::InvalidText { .. } => "invalid-text",
            Rejection::NumberOutOfRange { .. } | Rejection::ReorderAboveMax { .. } => "number-out-of-range",
            Rejection::NumbersExhausted => "numbers-exhausted",
        }
    }
}
