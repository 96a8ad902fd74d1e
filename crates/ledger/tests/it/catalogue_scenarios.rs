//! The catalogue's stories, and a story for every way to be refused.

use std::collections::BTreeSet;

use bincard_ledger::{Position, Rejection};

use crate::scenario::check;

#[test]
fn codes_and_skus_are_unique_and_can_be_used_again_once_given_up() {
    check(
        "
        0 warehouse N
        > WarehouseCreated { no: WarehouseNo(1), code: \"N\", name: \"Name\" }
        0 warehouse S
        > WarehouseCreated { no: WarehouseNo(2), code: \"S\", name: \"Name\" }
        0 warehouse N
        > refused code-taken: another warehouse has this code
        1 change-warehouse S code=N
        > refused code-taken: another warehouse has this code
        1 change-warehouse N code=M
        > WarehouseChanged { no: WarehouseNo(1), code: Some(\"M\"), name: None }
        2 warehouse N
        > WarehouseCreated { no: WarehouseNo(3), code: \"N\", name: \"Name\" }
        3 variant A
        > VariantCreated { no: VariantNo(1), sku: \"A\", name: \"Name\", product: None, expires_at: None, tracks_lots: false }
        3 variant a
        > VariantCreated { no: VariantNo(2), sku: \"a\", name: \"Name\", product: None, expires_at: None, tracks_lots: false }
        4 change-variant a sku=A
        > refused sku-taken: another variant has this SKU
        4 change-variant A sku=B
        > VariantChanged { no: VariantNo(1), sku: Some(\"B\"), name: None, product: None, expires_at: None, tracks_lots: None }
        5 change-variant a sku=A
        > VariantChanged { no: VariantNo(2), sku: Some(\"A\"), name: None, product: None, expires_at: None, tracks_lots: None }
        ",
    );
}

#[test]
fn a_change_that_changes_nothing_has_no_event() {
    check(
        "
        0 warehouse N
        0 product P
        0 variant A expires=9
        ---
        1 change-warehouse N code=N active=yes
        1 change-product 1 active=yes
        1 change-variant A sku=A expires=9 active=yes
        2 change-product 1 active=no name=Q
        > ProductChanged { no: ProductNo(1), name: \"Q\" }
        > ProductDeactivated(ProductNo(1))
        3 change-variant A product=1 active=no
        > VariantChanged { no: VariantNo(1), sku: None, name: None, product: Some(Some(ProductNo(1))), expires_at: None, tracks_lots: None }
        > VariantDeactivated(VariantNo(1))
        ",
    );
}

#[test]
fn a_slot_has_a_bin_levels_and_a_place_in_the_order_of_picking() {
    check(
        "
        0 warehouse N
        0 variant A
        ---
        1 change-slot N A bin=A-12-3 reorder=20 max=20
        > SlotChanged { warehouse: WarehouseNo(1), variant: VariantNo(1), change: SlotChange { bin: Some(Some(\"A-12-3\")), reorder_point: Some(Some(20)), max_level: Some(Some(20)), pick_order: None } }
        1 change-slot N A bin=none max=none order=none
        > SlotChanged { warehouse: WarehouseNo(1), variant: VariantNo(1), change: SlotChange { bin: Some(None), reorder_point: None, max_level: Some(None), pick_order: Some(None) } }
        1 change-slot N A order=5 why=moved
        > SlotChanged { warehouse: WarehouseNo(1), variant: VariantNo(1), change: SlotChange { bin: None, reorder_point: None, max_level: None, pick_order: Some(Some(PickOrder { number: 5, reason: Some(\"moved\") })) } }
        1 change-slot N A
        1 change-slot N A order=0
        > refused number-out-of-range: pickOrder is a whole number of 1 to 1000000000
        1 change-slot N A reorder=21 max=20
        > refused number-out-of-range: reorderPoint (21) lies above maxLevel (20): there would never be enough
        1 change-slot N A max=1000000001
        > refused number-out-of-range: maxLevel is a whole number of 0 to 1000000000
        1 change-slot N A bin=x*65
        > refused invalid-text: bin is 1 to 64 characters, without control characters and without blanks at its ends
        1 change-slot N A order=1 why=x*501
        > refused invalid-text: reason is 1 to 500 characters, without control characters and without blanks at its ends
        1 change-slot N A bin=C if-version=4
        > refused version-mismatch: the stream has come to another version, 5 and not 4
        1 change-slot N A max=0 if-version=5
        > SlotChanged { warehouse: WarehouseNo(1), variant: VariantNo(1), change: SlotChange { bin: None, reorder_point: None, max_level: Some(Some(0)), pick_order: None } }
        1 change-slot nowhere A
        > refused warehouse-not-found: there is no such warehouse
        1 change-slot N nothing
        > refused variant-not-found: line 0: there is no such variant
        1 change-warehouse N active=no
        > WarehouseDeactivated(WarehouseNo(1))
        1 change-variant A active=no
        > VariantDeactivated(VariantNo(1))
        1 change-slot N A bin=B
        > SlotChanged { warehouse: WarehouseNo(1), variant: VariantNo(1), change: SlotChange { bin: Some(Some(\"B\")), reorder_point: None, max_level: None, pick_order: None } }
        ",
    );
}

#[test]
fn theft_takes_away_and_a_return_goes_either_way() {
    check(
        "
        0 warehouse N
        0 variant A
        0 INBOUND N A:5
        ---
        1 ADJUST N A:-2 reason=Theft
        > ADJUST N at 1, 2 A available -> adjustment
        1 ADJUST N A:2 reason=Theft
        > refused reason-mismatch: reason THEFT goes with an ADJUST that only takes away: the quantities of all its lines are negative
        1 OUTBOUND N A:2 reason=Theft
        > refused reason-mismatch: reason THEFT does not go with OUTBOUND
        1 ADJUST N A:1 reason=Return
        > ADJUST N at 1, 1 A adjustment -> available
        1 ADJUST N A:-1 reason=Return
        > ADJUST N at 1, 1 A available -> adjustment
        1 INBOUND N A:1 reason=Return
        > refused reason-mismatch: reason RETURN does not go with INBOUND
        ",
    );
}

const REFUSALS: &str = "
    0 warehouse N
    0 variant A
    0 variant B expires=5
    0 INBOUND N A:5
    0 variant F
    0 flood N F
    0 RESERVATION N A:1 order=R expires=4
    ---
    1 ADJUST N A:1 F:1
    > refused quantity-overflow: line 1: the stock of this variant would pass the largest quantity there is
    1 INBOUND N
    > refused no-lines: an event has at least one line
    1 INBOUND N *1001:1
    > refused too-many-lines: an event has at most 1,000 lines; this one has 1001
    1 INBOUND N A:0
    > refused invalid-quantity: line 0: a quantity is 1 to 1,000,000,000 (of an ADJUST either sign, never 0), not 0
    1 OUTBOUND N B:1 A:-1
    > refused invalid-quantity: line 1: a quantity is 1 to 1,000,000,000 (of an ADJUST either sign, never 0), not -1
    1 ADJUST N A:-9223372036854775808
    > refused invalid-quantity: line 0: a quantity is 1 to 1,000,000,000 (of an ADJUST either sign, never 0), not -9223372036854775808
    1 INBOUND N A:1 B:1 A:1
    > refused duplicate-variant: line 2: an earlier line of this event is of the same stock
    1 INBOUND N *20:1 *1:1
    > refused duplicate-variant: line 20: an earlier line of this event is of the same stock
    1 INBOUND N A:1 reason=Sale
    > refused reason-mismatch: reason SALE does not go with INBOUND
    1 ADJUST N A:-1 B:1 reason=Damage
    > refused reason-mismatch: reason DAMAGE goes with an ADJUST that only takes away: the quantities of all its lines are negative
    1 INBOUND N A:1 notes=x*501
    > refused notes-too-long: notes are at most 500 characters long
    1 INBOUND N A:1 at=302
    > refused occurs-in-future: the event lies more than 5 minutes in the future
    1 INBOUND N A:1 at=-70000000000
    > refused instant-out-of-range: occurredAt lies outside the years 1 to 9999
    1 RESERVATION N A:1 order=O expires=10000-01-01
    > refused instant-out-of-range: expiresAt lies outside the years 1 to 9999
    1 variant C expires=10000-01-01
    > refused instant-out-of-range: expiresAt lies outside the years 1 to 9999
    1 change-variant A expires=10000-01-01
    > refused instant-out-of-range: expiresAt lies outside the years 1 to 9999
    1 PICK N A:1
    > refused order-missing: PICK acts on what an order holds: name the order
    1 TRANSFER_IN N A:1
    > refused transfer-missing: TRANSFER_IN moves what a transfer has on the way: name the transfer
    1 PICK N A:1 order=x*129
    > refused invalid-reference: an order's or transfer's id is 1 to 128 characters, none of them a control character
    1 PICK N A:1 order=a^b
    > refused invalid-reference: an order's or transfer's id is 1 to 128 characters, none of them a control character
    1 INBOUND N A:1 transfer=T
    > refused field-not-allowed: transferId does not go with INBOUND
    1 INBOUND N A:1 expires=9
    > refused field-not-allowed: expiresAt does not go with INBOUND
    1 PICK N A:1 order=O from=picked
    > refused field-not-allowed: releaseFrom does not go with PICK
    1 RELEASE N A:1 order=O from=held
    > refused field-not-allowed: releaseFrom does not go with RELEASE
    1 RESERVATION N A:1 order=O expires=1
    > refused expiry-passed: a reservation's expiry lies in the future
    1 EXPIRY N A:1
    > refused not-commandable: EXPIRY is not asked for as a movement: the ledger records it by itself, or on a request of its own
    1 EXTEND N A:1 order=R
    > refused not-commandable: EXTEND is not asked for as a movement: the ledger records it by itself, or on a request of its own
    1 REVERSAL N A:1
    > refused not-commandable: REVERSAL is not asked for as a movement: the ledger records it by itself, or on a request of its own
    1 RESERVATION N A:1 order=R reservation=#7
    > refused field-not-allowed: reservationId does not go with RESERVATION
    1 OUTBOUND N A:1 partial=yes
    > refused field-not-allowed: partial does not go with OUTBOUND
    1 PICK N order=R
    > refused no-lines: an event has at least one line
    1 PICK N order=R reservation=#4
    > refused reservation-over: the reservation holds nothing any more, #4
    1 PACK N order=R reservation=#7
    > refused nothing-held: the reservation has nothing in picked, #7
    1 reverse #7
    > refused not-reversible: RESERVATION cannot be undone by a reversal
    1 clear N #7
    > refused exception-cleared: there is no such exception to clear, #7
    1 INBOUND N A:1 if-version=9
    > refused version-mismatch: the stream has come to another version, 3 and not 9
    1 INBOUND N A:1 if-available=A:5
    > refused available-mismatch: another quantity is available than was expected, 4 of A and not 5
    4 PICK N order=R reservation=#7
    > refused reservation-expired: the reservation ran out, #7 at 4
    5 INBOUND nowhere A:1
    > refused warehouse-not-found: there is no such warehouse
    5 INBOUND N A:1 nothing:1
    > refused variant-not-found: line 1: there is no such variant
    6 OUTBOUND N A:1 B:1
    > refused variant-expired: line 1: the variant expired
    6 variant C product=7
    > refused product-not-found: there is no such product
    6 change-product 7 active=no
    > refused product-not-found: there is no such product
    6 OUTBOUND N A:6
    > refused insufficient-stock: not enough stock, 5 of 6 A
    6 change-slot N A reorder=-1
    > refused number-out-of-range: reorderPoint is a whole number of 0 to 1000000000
    6 change-slot N A reorder=9 max=8
    > refused number-out-of-range: reorderPoint (9) lies above maxLevel (8): there would never be enough
    6 warehouse N
    > refused code-taken: another warehouse has this code
    6 variant A
    > refused sku-taken: another variant has this SKU
    6 warehouse
    > refused invalid-text: code is 1 to 64 characters, without control characters and without blanks at its ends
    6 variant C name=x*201
    > refused invalid-text: name is 1 to 200 characters, without control characters and without blanks at its ends
    7 warehouse S
    > WarehouseCreated { no: WarehouseNo(2), code: \"S\", name: \"Name\" }
    7 INBOUND N A:1 to=S
    > refused field-not-allowed: toWarehouseId does not go with INBOUND
    7 TRANSFER_OUT N A:1 to=N
    > refused same-warehouse: a transfer goes from one warehouse to another
    7 TRANSFER_OUT N A:2 to=S transfer=T
    > TRANSFER_OUT N at 7, to S, 2 A available -> transit
    > TRANSFER_EXPECTED S at 7, about #9, from N, noted 2 A
    7 TRANSFER_OUT N A:1 to=S transfer=T
    > refused transfer-taken: another transfer of this id is open, #9
    7 receive N #9 A:1
    > refused wrong-warehouse: the transfer goes to another warehouse, #9 goes to S
    7 receive S #9 A:1:-1
    > refused invalid-quantity: line 0: what was received, damaged and short is 0 to 1,000,000,000 each, and 1 to 1,000,000,000 in all, not -1
    7 receive S #9 A:0
    > refused invalid-quantity: line 0: what was received, damaged and short is 0 to 1,000,000,000 each, and 1 to 1,000,000,000 in all, not 0
    7 receive S #9 A:1:1:1
    > refused over-receipt: more was found than is on the way, #9, 2 of 3 A
    7 close #8 reason=Other
    > refused transfer-over: the transfer has nothing on the way any more, #8
    7 count N of=A
    > COUNT_OPENED N at 7, of A
    7 approve N #11
    > refused nothing-counted: nothing has been counted, #11
    7 count N
    > refused count-overlaps: another open count is of the same stock, #11
    7 counted N #11 B:1
    > refused not-to-be-counted: line 0: the count is not of this variant or lot
    7 counted N #11 A:-1
    > refused invalid-count: line 0: what is counted is 0 to 1,000,000,000,000 units, not -1
    7 counted N #11 A:1 at=0
    > refused counted-too-early: line 0: it was counted before the count was opened
    7 counted N #11 A:1 at=-99999999999
    > refused counted-too-early: line 0: it was counted before the count was opened
    7 counted N #11 A:1 at=308
    > refused occurs-in-future: line 0: it was counted more than 5 minutes in the future
    7 cancel N #11
    > COUNT_CANCELLED N at 7, about #11
    7 counted N #11 A:1
    > refused count-over: the count is over: it was approved or cancelled, or there is none at this warehouse, #11
    7 change-variant A active=no
    > VariantDeactivated(VariantNo(1))
    7 INBOUND N B:1 A:1
    > refused variant-inactive: line 1: the variant is not active
    7 change-warehouse N active=no
    > WarehouseDeactivated(WarehouseNo(1))
    7 INBOUND N B:1
    > refused warehouse-inactive: the warehouse is not active
";

#[test]
fn every_way_to_be_refused_has_its_story() {
    let stories = [REFUSALS, crate::lot_scenarios::REFUSALS];
    let told: BTreeSet<_> = stories
        .into_iter()
        .flat_map(check)
        .map(|one| number_of(&one))
        .collect();
    // To have given out every number takes four billion variants, to fill a count 50,000.
    let untold = BTreeSet::from([
        number_of(&Rejection::NumbersExhausted),
        number_of(&Rejection::CountFull { count: Position(1) }),
    ]);
    let all: BTreeSet<_> = (0..59).collect();
    assert_eq!(&all - &told, untold);
}

/// A number for every kind of rejection: a new one does not compile until it stands here, and fails until it has a story.
fn number_of(rejection: &Rejection) -> usize {
    match rejection {
        Rejection::NoLines => 0,
        Rejection::TooManyLines { .. } => 1,
        Rejection::InvalidQuantity { .. } => 2,
        Rejection::DuplicateVariant { .. } => 3,
        Rejection::ReasonMismatch { .. } => 4,
        Rejection::NotesTooLong => 5,
        Rejection::OccursInFuture { .. } => 6,
        Rejection::InstantOutOfRange { .. } => 7,
        Rejection::OrderMissing { .. } => 8,
        Rejection::TransferMissing { .. } => 9,
        Rejection::InvalidReference => 10,
        Rejection::FieldNotAllowed { .. } => 11,
        Rejection::ExpiryPassed { .. } => 12,
        Rejection::NotCommandable { .. } => 13,
        Rejection::UnknownWarehouse { .. } => 14,
        Rejection::InactiveWarehouse { .. } => 15,
        Rejection::UnknownVariant { .. } => 16,
        Rejection::InactiveVariant { .. } => 17,
        Rejection::VariantExpired { .. } => 18,
        Rejection::InactiveLot { .. } => 55,
        Rejection::LotExpired { .. } => 56,
        Rejection::UnknownProduct { .. } => 19,
        Rejection::Insufficient { .. } => 20,
        Rejection::Overflow { .. } => 21,
        Rejection::CodeTaken { .. } => 22,
        Rejection::SkuTaken { .. } => 23,
        Rejection::InvalidText { .. } => 24,
        Rejection::NumbersExhausted => 25,
        Rejection::ReservationOver { .. } => 26,
        Rejection::NothingHeld { .. } => 27,
        Rejection::ReservationExpired { .. } => 28,
        Rejection::NotReversible { .. } => 29,
        Rejection::VersionMismatch { .. } => 30,
        Rejection::AvailableMismatch { .. } => 31,
        Rejection::SameWarehouse { .. } => 32,
        Rejection::TransferTaken { .. } => 33,
        Rejection::TransferOver { .. } => 34,
        Rejection::WrongWarehouse { .. } => 35,
        Rejection::OverReceipt { .. } => 36,
        Rejection::NumberOutOfRange { .. } => 37,
        Rejection::ExceptionCleared { .. } => 38,
        Rejection::CountOver { .. } => 39,
        Rejection::CountOverlaps { .. } => 40,
        Rejection::NotToBeCounted { .. } => 41,
        Rejection::InvalidCount { .. } => 42,
        Rejection::CountedTooEarly { .. } => 43,
        Rejection::NothingCounted { .. } => 44,
        Rejection::CountFull { .. } => 45,
        Rejection::TooManyPostings { .. } => 46,
        Rejection::LotMissing { .. } => 47,
        Rejection::LotNotTracked { .. } => 48,
        Rejection::UnknownLot { .. } => 49,
        Rejection::LotExpiryMismatch { .. } => 50,
        Rejection::VariantHasStock { .. } => 51,
        Rejection::CountedInFuture { .. } => 52,
        Rejection::InvalidLot { .. } => 53,
        Rejection::LotExpiryOutOfRange { .. } => 54,
        Rejection::ReorderAboveMax { .. } => 57,
        Rejection::InvalidFound { .. } => 58,
    }
}
