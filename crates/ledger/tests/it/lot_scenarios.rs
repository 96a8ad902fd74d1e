//! Lots, told as small stories.

use crate::scenario::check;

#[test]
fn what_names_no_lot_is_taken_by_expiry_then_by_first_receipt_then_by_code() {
    check(
        "
        0 warehouse N
        0 variant A lots=yes
        ---
        1 INBOUND N A/Z:5 A/B@90:4 A/A@90:3 A/C@50:2
        > LotCreated { no: VariantNo(2), of: VariantNo(1), code: \"A\", expires_at: Some(Timestamp(1750000090000000)) }
        > LotCreated { no: VariantNo(3), of: VariantNo(1), code: \"B\", expires_at: Some(Timestamp(1750000090000000)) }
        > LotCreated { no: VariantNo(4), of: VariantNo(1), code: \"C\", expires_at: Some(Timestamp(1750000050000000)) }
        > LotCreated { no: VariantNo(5), of: VariantNo(1), code: \"Z\", expires_at: None }
        > INBOUND N at 1, 5 A/Z supplier -> available, 4 A/B supplier -> available, 3 A/A supplier -> available, 2 A/C supplier -> available
        2 OUTBOUND N A:6
        > OUTBOUND N at 2, 2 A/C available -> customer, 3 A/A available -> customer, 1 A/B available -> customer
        3 INBOUND N A/B@90:1 A/C:1
        > INBOUND N at 3, 1 A/B supplier -> available, 1 A/C supplier -> available
        4 RESERVATION N A:6 order=O expires=8
        > RESERVATION N at 4, 1 A/C available -> reserved, 4 A/B available -> reserved, 1 A/Z available -> reserved
        5 PICK N A:2 order=O
        > PICK N at 5, 1 A/C reserved -> picked (of #10), 1 A/B reserved -> picked (of #10)
        6 PICK N A/Z:1 order=O
        > PICK N at 6, 1 A/Z reserved -> picked (of #10)
        7 OUTBOUND N A:5
        > refused insufficient-stock: not enough stock, 4 of 5 A
        9 OUTBOUND N A:5
        > EXPIRY N at 8, 3 A/B reserved -> available (of #10)
        > OUTBOUND N at 9, 3 A/B available -> customer, 2 A/Z available -> customer
        10 ADJUST N A:-1 A/Q:4
        > refused duplicate-variant: line 1: an earlier line of this event is of the same stock
        10 ADJUST N A/Z:-1 A/Q:4
        > LotCreated { no: VariantNo(6), of: VariantNo(1), code: \"Q\", expires_at: None }
        > ADJUST N at 10, 1 A/Z available -> adjustment, 4 A/Q adjustment -> available
        10 stock
        > N A/B: 0 0 1 0 0
        > N A/C: 0 0 1 0 0
        > N A/Z: 1 0 1 0 0
        > N A/Q: 4 0 0 0 0
        ",
    );
}

#[test]
fn a_customer_gets_nothing_that_expired_or_was_taken_out_of_use() {
    check(
        "
        0 warehouse N
        0 variant A lots=yes
        0 INBOUND N A/OLD@5:3 A/NEW@50:3 A/BAD@40:3
        0 change-lot A/BAD active=no
        ---
        6 OUTBOUND N A:4
        > refused insufficient-stock: not enough stock, 3 of 4 A
        6 RESERVATION N A:4 order=O partial=yes
        > RESERVATION N at 6, 3 A/NEW available -> reserved, noted 1 A
        6 OUTBOUND N A/OLD:1
        > refused lot-expired: line 0: the lot expired
        6 OUTBOUND N A/BAD:1
        > refused lot-inactive: line 0: the lot is not in use
        6 OUTBOUND N A:7 reason=DiscardExpired
        > refused insufficient-stock: not enough stock, 3 of 7 A
        6 OUTBOUND N A/BAD:2 reason=DiscardExpired
        > OUTBOUND N at 6, 2 A/BAD available -> customer
        6 OUTBOUND N A:3 reason=DiscardExpired
        > OUTBOUND N at 6, 3 A/OLD available -> customer
        6 HOLD N A:1
        > refused insufficient-stock: not enough stock, 0 of 1 A
        6 HOLD N A/BAD:1
        > HOLD N at 6, 1 A/BAD available -> held
        6 UNHOLD N A/BAD:1
        > UNHOLD N at 6, 1 A/BAD held -> available
        7 change-lot A/NEW expires=8
        > LotChanged { no: VariantNo(3), expires_at: Some(Timestamp(1750000008000000)) }
        7 change-lot A/BAD expires=60 active=yes
        > LotChanged { no: VariantNo(2), expires_at: Some(Timestamp(1750000060000000)) }
        > VariantActivated(VariantNo(2))
        8 RELEASE N A:3 order=O
        > RELEASE N at 8, 3 A/NEW reserved -> available (of #8)
        9 HOLD N A:4
        > HOLD N at 9, 3 A/NEW available -> held, 1 A/BAD available -> held
        9 UNHOLD N A:2
        > UNHOLD N at 9, 2 A/NEW held -> available
        ",
    );
}

#[test]
fn lots_stay_themselves_from_one_warehouse_to_another() {
    check(
        "
        0 warehouse N
        0 warehouse S
        0 variant A lots=yes
        0 variant B
        0 INBOUND N A/L1@90:3 A/L2:4 B:2
        ---
        1 TRANSFER_OUT N A:5 B:2 to=S
        > TRANSFER_OUT N at 1, to S, 3 A/L1 available -> transit, 2 A/L2 available -> transit, 2 B available -> transit
        > TRANSFER_EXPECTED S at 1, about #8, from N, noted 3 A/L1, noted 2 A/L2, noted 2 B
        2 receive S #8 A:2:2:1 B:1
        > TRANSFER_IN S at 2, about #8, from N, 2 A/L1 transit -> available, 1 A/L1 transit -> held, 1 A/L2 transit -> held, 1 B transit -> available, noted 1 A/L2
        3 receive S #8 A:2
        > refused over-receipt: more was found than is on the way, #8, 1 of 2 A
        3 receive S #8 A/L1:1
        > refused over-receipt: more was found than is on the way, #8, 0 of 1 A/L1
        3 receive S #8 A/L9:1
        > refused lot-not-found: line 0: there is no such lot of the variant
        3 receive S #8 A/L2:1
        > TRANSFER_IN S at 3, about #8, from N, 1 A/L2 transit -> available
        4 TRANSFER_OUT N A:1 transfer=T
        > TRANSFER_OUT N at 4, 1 A/L2 available -> transit
        5 TRANSFER_IN S A:1 transfer=T
        > TRANSFER_IN S at 5, 1 A/L2 transit -> available
        5 TRANSFER_IN S A:1 transfer=T
        > refused insufficient-stock: not enough stock, 0 of 1 A
        5 stock
        > N A/L2: 1 0 0 0 0
        > S B: 1 0 0 0 0
        > S A/L1: 2 0 0 0 1
        > S A/L2: 2 0 0 0 1
        > under #8 B: 1
        6 reverse #7
        > refused insufficient-stock: not enough stock, 0 of 3 A/L1, 1 of 4 A/L2, 0 of 2 B
        ",
    );
}

#[test]
fn where_facts_are_recorded_the_last_lot_is_charged_with_what_is_missing() {
    check(
        "
        0 warehouse N negative=record
        0 variant A lots=yes
        0 INBOUND N A/L1@9:2 A/L2:3
        ---
        1 OUTBOUND N A:7
        > OUTBOUND N at 1, 2 A/L1 available -> customer, 5 A/L2 available -> customer, noted 2 A/L2
        2 RESERVATION N A:1 order=O
        > refused insufficient-stock: not enough stock, 0 of 1 A
        2 OUTBOUND N A:1
        > OUTBOUND N at 2, 1 A/L2 available -> customer, noted 3 A/L2
        2 INBOUND N A/L2:1
        > INBOUND N at 2, 1 A/L2 supplier -> available
        2 ADJUST N A/L2:-1
        > ADJUST N at 2, 1 A/L2 available -> adjustment, noted 3 A/L2
        3 INBOUND N A/L2:4
        > INBOUND N at 3, 4 A/L2 supplier -> available
        3 stock
        > N A/L2: 1 0 0 0 0
        ",
    );
}

/// One way each that has to do with lots.
pub(crate) const REFUSALS: &str = "
    0 warehouse N
    0 variant A lots=yes
    0 variant B
    0 INBOUND N A/L@9:3 B:3
    0 variant M lots=yes
    0 INBOUND N M/a*1000:1
    0 INBOUND N M/b*25:1
    ---
    1 OUTBOUND N M:1025
    > refused too-many-postings: the lines are of 1025 lots and reservations, and an event has room for 1,024: make several of it
    1 INBOUND N A:1
    > refused lot-missing: line 0: the stock of this variant lies in lots: name the lot
    1 ADJUST N A:1
    > refused lot-missing: line 0: the stock of this variant lies in lots: name the lot
    1 INBOUND N B:1 B/L:1
    > refused lot-not-tracked: line 1: the stock of this variant does not lie in lots
    1 OUTBOUND N A/M:1
    > refused lot-not-found: line 0: there is no such lot of the variant
    1 INBOUND N A/L@8:1
    > refused lot-expiry-mismatch: line 0: the lot expires at another instant, A/L at Some(9)
    1 INBOUND N A/^:1
    > refused invalid-text: line 0: a lot is 1 to 64 characters, without control characters and without blanks at its ends
    1 INBOUND N B:1 A/M@999999999999:1
    > refused instant-out-of-range: line 1: expiresAt lies outside the years 1 to 9999
    1 INBOUND N A/M:1 A/M:1
    > refused duplicate-variant: line 1: an earlier line of this event is of the same stock
    1 OUTBOUND N A/L:1 A:1
    > refused duplicate-variant: line 1: an earlier line of this event is of the same stock
    1 change-variant A lots=no
    > refused variant-has-stock: a variant that has stock goes on as it is: in lots or not
    1 change-variant B lots=yes
    > refused variant-has-stock: a variant that has stock goes on as it is: in lots or not
    1 change-lot A/X active=no
    > refused lot-not-found: line 0: there is no such lot of the variant
    1 OUTBOUND N B:3
    > OUTBOUND N at 1, 3 B available -> customer
    1 change-variant B lots=yes
    > VariantChanged { no: VariantNo(2), sku: None, name: None, product: None, expires_at: None, tracks_lots: Some(true) }
    1 INBOUND N B:1
    > refused lot-missing: line 0: the stock of this variant lies in lots: name the lot
    9 OUTBOUND N A/L:1
    > refused lot-expired: line 0: the lot expired
    9 change-lot A/L active=no
    > VariantDeactivated(VariantNo(3))
    9 RESERVATION N A/L:1 order=O
    > refused lot-inactive: line 0: the lot is not in use
";

#[test]
fn a_recalled_lot_is_held_everywhere_whatever_comes_of_it_later_until_it_is_released() {
    check(
        "
        0 warehouse N
        0 warehouse S
        0 variant A lots=yes
        0 INBOUND N A/BAD@40:9 A/OK@50:5
        0 INBOUND S A/BAD:4
        0 HOLD N A/BAD:1
        0 RESERVATION N A/BAD:2 order=O
        0 RESERVATION N A/BAD:1 order=P expires=5
        0 TRANSFER_OUT S A/BAD:3 to=N
        ---
        6 recall A/BAD notes=glass
        > EXPIRY N at 5, 1 A/BAD reserved -> available (of #10)
        > VariantDeactivated(VariantNo(2))
        > HOLD N at 6, 6 A/BAD available -> held
        > HOLD S at 6, 1 A/BAD available -> held
        6 recall A/BAD
        7 OUTBOUND N A:6
        > refused insufficient-stock: not enough stock, 5 of 6 A
        7 INBOUND N A/BAD:3 A/OK:1
        > INBOUND N at 7, 3 A/BAD supplier -> available, 1 A/OK supplier -> available
        > HOLD N at 7, 3 A/BAD available -> held
        7 receive N #11 A/BAD:2:1:0
        > TRANSFER_IN N at 7, about #11, from S, 2 A/BAD transit -> available, 1 A/BAD transit -> held
        > HOLD N at 7, 2 A/BAD available -> held
        7 RELEASE N A/BAD:2 order=O
        > RELEASE N at 7, 2 A/BAD reserved -> available (of #9)
        > HOLD N at 7, 2 A/BAD available -> held
        8 UNHOLD N A/BAD:4
        > UNHOLD N at 8, 4 A/BAD held -> available
        8 ADJUST N A/BAD:-1
        > refused lot-inactive: line 0: the lot is not in use
        8 HOLD N A:1 A/OK:1
        > refused duplicate-variant: line 1: an earlier line of this event is of the same stock
        8 HOLD N A/BAD:2
        > HOLD N at 8, 2 A/BAD available -> held
        8 UNHOLD N A/BAD:2
        > UNHOLD N at 8, 2 A/BAD held -> available
        8 ADJUST N A/BAD:-1 reason=Return
        > ADJUST N at 8, 1 A/BAD available -> adjustment
        8 OUTBOUND N A/BAD:3 reason=Damage
        > OUTBOUND N at 8, 3 A/BAD available -> customer
        8 stock
        > N A/BAD: 0 0 0 0 11
        > N A/OK: 6 0 0 0 0
        > S A/BAD: 0 0 0 0 1
        9 release A/BAD
        > UNHOLD N at 9, 9 A/BAD held -> available
        > UNHOLD S at 9, 1 A/BAD held -> available
        > VariantActivated(VariantNo(2))
        9 release A/BAD
        9 recall A/BAD
        > VariantDeactivated(VariantNo(2))
        > HOLD N at 9, 9 A/BAD available -> held
        > HOLD S at 9, 1 A/BAD available -> held
        9 UNHOLD N A:1
        > refused insufficient-stock: not enough stock, 0 of 1 A
        9 UNHOLD N A/BAD:4
        > UNHOLD N at 9, 4 A/BAD held -> available
        9 ADJUST N A:-7 reason=Return
        > refused insufficient-stock: not enough stock, 6 of 7 A
        9 ADJUST N A/BAD:-1 reason=Return
        > ADJUST N at 9, 1 A/BAD available -> adjustment
        9 change-lot A/BAD expires=60 active=yes
        > UNHOLD N at 9, 5 A/BAD held -> available
        > UNHOLD S at 9, 1 A/BAD held -> available
        > LotChanged { no: VariantNo(2), expires_at: Some(Timestamp(1750000060000000)) }
        > VariantActivated(VariantNo(2))
        9 change-lot A/BAD active=yes
        9 recall A/NONE
        > refused lot-not-found: line 0: there is no such lot of the variant
        9 recall A/BAD notes=x*501
        > refused notes-too-long: notes are at most 500 characters long
        ",
    );
}

#[test]
fn what_makes_up_for_stock_below_zero_is_not_set_aside_and_a_lot_out_of_use_is_not_charged() {
    check(
        "
        0 warehouse N negative=record
        0 variant A lots=yes
        0 INBOUND N A/BAD@40:2 A/OK@30:2
        0 OUTBOUND N A/BAD:5
        0 recall A/BAD
        ---
        1 OUTBOUND N A:4
        > OUTBOUND N at 1, 4 A/OK available -> customer, noted 2 A/OK
        2 INBOUND N A/BAD:5
        > INBOUND N at 2, 5 A/BAD supplier -> available
        > HOLD N at 2, 2 A/BAD available -> held
        2 stock
        > N A/BAD: 0 0 0 0 2
        > N A/OK: -2 0 0 0 0
        ",
    );
}

#[test]
fn a_variants_lots_have_no_more_units_than_can_be_and_no_place_of_their_own() {
    check(
        "
        0 warehouse N
        0 variant A lots=yes
        0 INBOUND N A/L:1 A/K:1
        0 OUTBOUND N A/L:1
        0 flood N A/L
        ---
        1 INBOUND N A/K:1
        > refused quantity-overflow: line 0: the stock of this variant would pass the largest quantity there is
        1 change-slot N A/L bin=B
        > refused variant-not-found: line 0: there is no such variant
        ",
    );
}

#[test]
fn what_is_on_the_way_is_stock_that_lies_in_lots() {
    check(
        "
        0 warehouse N
        0 warehouse S
        0 variant A lots=yes
        0 variant B lots=yes
        0 INBOUND N A/L:1 B/L:1
        0 TRANSFER_OUT N A/L:1 to=S
        0 TRANSFER_OUT N B/L:1 transfer=T
        ---
        1 change-variant A lots=no
        > refused variant-has-stock: a variant that has stock goes on as it is: in lots or not
        1 change-variant B lots=no
        > refused variant-has-stock: a variant that has stock goes on as it is: in lots or not
        ",
    );
}
