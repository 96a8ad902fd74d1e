//! What the ledger's rules refuse, in the words of who asked: what it tells of by its names, and where in the request stands
//! what is wrong with it.

use std::borrow::Cow;

use bincard_engine::{Ledger, VariantName};
use bincard_ledger::{PublicIds, Rejection, VariantNo, WarehouseNo};

/// A rejection, as it is told to who asked.
#[derive(Debug)]
pub(crate) struct Rejected {
    pub(crate) rejection: Rejection,
    pub(crate) ids: PublicIds,
    /// What the variants and lots are called that it tells of.
    named: Vec<(VariantNo, VariantName)>,
    /// Where in the body stands what is wrong, if it stands there.
    pub(crate) pointer: Option<Cow<'static, str>>,
}

/// What a request looks like: what it calls the fields of the ledger's commands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// A stock event, or something new of the catalogue: the ledger's own words.
    Event,
    /// A reservation or a step of one.
    Order,
    /// The dispatch of a transfer.
    Dispatch {
        source: WarehouseNo,
        destination: Option<WarehouseNo>,
    },
    /// A receipt: a line of it has several quantities, and what does not fit of all is said of the line.
    Receipt,
    /// A count is opened: its variants stand in `variantIds`.
    CountOpening,
    /// What was counted: lots stand where variants do.
    CountLines,
    /// Of something that the path names, notes and no more.
    Notes,
    /// A change of what the path names.
    Change,
}

impl Rejected {
    pub(crate) fn new(rejection: Rejection, ledger: &Ledger, shape: Shape) -> Rejected {
        let told: Vec<VariantNo> = match &rejection {
            Rejection::Insufficient { shortages } | Rejection::OverReceipt { shortages, .. } => {
                shortages.iter().map(|one| one.variant).collect()
            }
            Rejection::AvailableMismatch { lines } => lines.iter().map(|one| one.variant).collect(),
            _ => Vec::new(),
        };
        let names = ledger.names();
        let named = told.into_iter().filter_map(|no| Some((no, names.variant(no)?)));
        Rejected {
            named: named.collect(),
            ids: ledger.ids(),
            pointer: pointer_of(&rejection, shape),
            rejection,
        }
    }

    /// A rejection of a stock event that tells of what has no names.
    #[cfg(test)]
    pub(crate) fn nameless(rejection: Rejection, ids: PublicIds) -> Rejected {
        Rejected {
            named: Vec::new(),
            pointer: pointer_of(&rejection, Shape::Event),
            ids,
            rejection,
        }
    }

    /// What a variant or lot is called that it tells of.
    pub(crate) fn name(&self, no: VariantNo) -> Option<&VariantName> {
        let found = self.named.iter().find(|(named, _)| *named == no);
        found.map(|(_, name)| name)
    }
}

/// Where in a request of this shape stands what a rejection is about: a JSON pointer, or nothing where it is not in the body.
pub(crate) fn pointer_of(rejection: &Rejection, shape: Shape) -> Option<Cow<'static, str>> {
    let at_line = |line: &usize, field: &str| Some(Cow::Owned(format!("/lines/{line}/{field}")));
    match (shape, rejection) {
        (Shape::Order, Rejection::InvalidReference) => Some("/orderId".into()),
        (
            Shape::Order,
            Rejection::FieldNotAllowed {
                field: "releaseFrom", ..
            },
        ) => Some("/from".into()),
        (
            Shape::Dispatch { source, destination },
            Rejection::UnknownWarehouse { warehouse } | Rejection::InactiveWarehouse { warehouse },
        ) => {
            let is_source = *warehouse == source && Some(*warehouse) != destination;
            Some(
                if is_source {
                    "/fromWarehouseId"
                } else {
                    "/toWarehouseId"
                }
                .into(),
            )
        }
        (Shape::Dispatch { .. }, Rejection::InvalidReference) => Some("/transferId".into()),
        (Shape::Receipt, Rejection::Overflow { line, .. }) => Some(format!("/lines/{line}").into()),
        (Shape::CountOpening, Rejection::NoLines | Rejection::TooManyLines { .. }) => {
            Some("/variantIds".into())
        }
        (
            Shape::CountOpening,
            Rejection::DuplicateVariant { line, .. }
            | Rejection::UnknownVariant { line, .. }
            | Rejection::LotMissing { line, .. },
        ) => Some(format!("/variantIds/{line}").into()),
        (Shape::CountLines, Rejection::LotMissing { line, .. }) => at_line(line, "variantId"),
        (Shape::Notes, Rejection::NotesTooLong) => Some("/notes".into()),
        (Shape::Notes, _)
        | (
            Shape::Change,
            Rejection::UnknownWarehouse { .. }
            | Rejection::UnknownVariant { .. }
            | Rejection::UnknownLot { .. },
        ) => None,
        _ => in_the_ledgers_words(rejection),
    }
}

/// Where a stock event, or what is new of the catalogue, has what a rejection is about.
fn in_the_ledgers_words(rejection: &Rejection) -> Option<Cow<'static, str>> {
    let at_line = |line: &usize, field: &str| Some(Cow::Owned(format!("/lines/{line}/{field}")));
    match rejection {
        Rejection::NoLines | Rejection::TooManyLines { .. } | Rejection::TooManyPostings { .. } => {
            Some("/lines".into())
        }
        Rejection::InactiveLot { line, by_code, .. } | Rejection::LotExpired { line, by_code, .. } => {
            at_line(line, if *by_code { "lot" } else { "variantId" })
        }
        Rejection::LotMissing { line, .. }
        | Rejection::LotNotTracked { line, .. }
        | Rejection::InvalidLot { line, .. }
        | Rejection::UnknownLot { line, .. } => at_line(line, "lot"),
        Rejection::LotExpiryMismatch { line, .. } | Rejection::LotExpiryOutOfRange { line } => {
            at_line(line, "expiresAt")
        }
        Rejection::VariantHasStock { .. } => Some("/tracksLots".into()),
        Rejection::InvalidFound { line, field, .. } => match field {
            Some(field) => at_line(line, field),
            None => Some(format!("/lines/{line}").into()),
        },
        Rejection::InvalidQuantity { line, .. } | Rejection::Overflow { line, .. } => {
            at_line(line, "quantity")
        }
        Rejection::DuplicateVariant { line, .. }
        | Rejection::UnknownVariant { line, .. }
        | Rejection::InactiveVariant { line, .. }
        | Rejection::VariantExpired { line, .. }
        | Rejection::NotToBeCounted { line, .. } => at_line(line, "variantId"),
        Rejection::InvalidCount { line, .. } => at_line(line, "counted"),
        Rejection::CountedTooEarly { line, .. } | Rejection::CountedInFuture { line, .. } => {
            at_line(line, "countedAt")
        }
        Rejection::ReasonMismatch { .. } => Some("/reasonCode".into()),
        Rejection::NotesTooLong => Some("/notes".into()),
        Rejection::OccursInFuture { .. } => Some("/occurredAt".into()),
        Rejection::ReorderAboveMax { .. } => Some("/reorderPoint".into()),
        Rejection::InstantOutOfRange { field }
        | Rejection::FieldNotAllowed { field, .. }
        | Rejection::InvalidText { field, .. }
        | Rejection::NumberOutOfRange { field, .. } => Some(format!("/{field}").into()),
        Rejection::OrderMissing { .. } => Some("/orderId".into()),
        Rejection::TransferMissing { .. } | Rejection::TransferTaken { .. } => Some("/transferId".into()),
        Rejection::InvalidReference => Some("".into()),
        Rejection::ExpiryPassed { .. } => Some("/expiresAt".into()),
        Rejection::NotCommandable { .. } => Some("/type".into()),
        Rejection::UnknownWarehouse { .. }
        | Rejection::InactiveWarehouse { .. }
        | Rejection::WrongWarehouse { .. } => Some("/warehouseId".into()),
        Rejection::SameWarehouse { .. } => Some("/toWarehouseId".into()),
        Rejection::UnknownProduct { .. } => Some("/productId".into()),
        Rejection::CodeTaken { .. } => Some("/code".into()),
        Rejection::SkuTaken { .. } => Some("/sku".into()),
        Rejection::Insufficient { .. }
        | Rejection::ReservationOver { .. }
        | Rejection::ReservationExpired { .. }
        | Rejection::NothingHeld { .. }
        | Rejection::TransferOver { .. }
        | Rejection::OverReceipt { .. }
        | Rejection::NotReversible { .. }
        | Rejection::ExceptionCleared { .. }
        | Rejection::CountOver { .. }
        | Rejection::CountOverlaps { .. }
        | Rejection::NothingCounted { .. }
        | Rejection::CountFull { .. }
        | Rejection::VersionMismatch { .. }
        | Rejection::AvailableMismatch { .. }
        | Rejection::NumbersExhausted => None,
    }
}

#[cfg(test)]
mod tests {
    use bincard_ledger::{Kind, Position, Timestamp};

    use super::*;

    #[test]
    fn a_rejection_points_to_the_field_that_the_caller_sent() {
        let (line, variant, at) = (2, VariantNo(7), Timestamp::from_micros(1));
        let (source, other) = (WarehouseNo(1), WarehouseNo(2));
        let dispatch = Shape::Dispatch {
            source,
            destination: Some(other),
        };
        let unknown = || Rejection::UnknownVariant { line, variant };
        let twice = || Rejection::DuplicateVariant { line, variant };
        let in_lots = || Rejection::LotMissing { line, variant };
        let quantity = || Rejection::InvalidQuantity { line, quantity: 0 };
        let found = |field| Rejection::InvalidFound {
            line,
            field,
            units: -1,
        };
        let overflow = || Rejection::Overflow { line, variant };
        let kind = Kind::Release;
        let from = Rejection::FieldNotAllowed {
            field: "releaseFrom",
            kind,
        };
        let future = Rejection::CountedInFuture { line, at, now: at };
        let early = Rejection::CountedTooEarly {
            line,
            at,
            opened_at: at,
        };
        let at_source = Rejection::InactiveWarehouse { warehouse: source };
        let at_other = Rejection::UnknownWarehouse { warehouse: other };
        let same = Rejection::SameWarehouse { warehouse: source };
        let taken = Rejection::TransferTaken { by: Position(1) };
        let lot = Rejection::InvalidLot { line, length_max: 64 };
        let inactive = |by_code| Rejection::InactiveLot {
            line,
            lot: variant,
            by_code,
        };
        for (shape, rejection, pointer) in [
            (Shape::Event, unknown(), Some("/lines/2/variantId")),
            (Shape::Event, in_lots(), Some("/lines/2/lot")),
            (Shape::Event, lot, Some("/lines/2/lot")),
            (Shape::Event, inactive(true), Some("/lines/2/lot")),
            (Shape::Event, inactive(false), Some("/lines/2/variantId")),
            (Shape::Order, inactive(true), Some("/lines/2/lot")),
            (
                Shape::Event,
                Rejection::LotExpiryOutOfRange { line },
                Some("/lines/2/expiresAt"),
            ),
            (Shape::Event, quantity(), Some("/lines/2/quantity")),
            (Shape::Event, Rejection::NoLines, Some("/lines")),
            (Shape::Order, Rejection::InvalidReference, Some("/orderId")),
            (Shape::Order, from, Some("/from")),
            (Shape::Order, quantity(), Some("/lines/2/quantity")),
            (dispatch, Rejection::InvalidReference, Some("/transferId")),
            (dispatch, at_source, Some("/fromWarehouseId")),
            (dispatch, at_other, Some("/toWarehouseId")),
            (dispatch, same, Some("/toWarehouseId")),
            (dispatch, taken, Some("/transferId")),
            (Shape::Receipt, found(None), Some("/lines/2")),
            (Shape::Receipt, found(Some("damaged")), Some("/lines/2/damaged")),
            (Shape::Receipt, overflow(), Some("/lines/2")),
            (Shape::Receipt, unknown(), Some("/lines/2/variantId")),
            (Shape::CountOpening, unknown(), Some("/variantIds/2")),
            (Shape::CountOpening, twice(), Some("/variantIds/2")),
            (Shape::CountOpening, in_lots(), Some("/variantIds/2")),
            (Shape::CountOpening, Rejection::NoLines, Some("/variantIds")),
            (Shape::CountOpening, Rejection::NotesTooLong, Some("/notes")),
            (Shape::CountLines, unknown(), Some("/lines/2/variantId")),
            (Shape::CountLines, in_lots(), Some("/lines/2/variantId")),
            (Shape::CountLines, future, Some("/lines/2/countedAt")),
            (Shape::CountLines, early, Some("/lines/2/countedAt")),
            (Shape::Notes, Rejection::NotesTooLong, Some("/notes")),
            (Shape::Notes, overflow(), None),
            (Shape::Notes, unknown(), None),
            (Shape::Change, unknown(), None),
            (
                Shape::Change,
                Rejection::UnknownWarehouse { warehouse: other },
                None,
            ),
            (
                Shape::Change,
                Rejection::VariantHasStock { variant },
                Some("/tracksLots"),
            ),
        ] {
            let found = pointer_of(&rejection, shape);
            assert_eq!(found.as_deref(), pointer, "{shape:?}: {rejection:?}");
        }
    }
}
