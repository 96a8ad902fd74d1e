//! What can be undone and what cannot, told as small stories.

use crate::scenario::check;

#[test]
fn what_came_in_or_went_out_or_was_set_aside_is_undone() {
    check(
        "
        0 warehouse N
        0 variant A
        0 variant B
        ---
        1 INBOUND N A:10 B:4 reason=Purchase
        > INBOUND N at 1, 10 A supplier -> available, 4 B supplier -> available
        2 OUTBOUND N A:3 at=-60
        > OUTBOUND N at -60, 3 A available -> customer
        3 ADJUST N A:-2 B:1
        > ADJUST N at 3, 2 A available -> adjustment, 1 B adjustment -> available
        4 HOLD N B:2
        > HOLD N at 4, 2 B available -> held
        5 UNHOLD N B:1
        > UNHOLD N at 5, 1 B held -> available
        6 reverse #8
        > REVERSAL N at 6, about #8, 1 B available -> held
        7 reverse #7
        > REVERSAL N at 7, about #7, 2 B held -> available
        8 reverse #6
        > REVERSAL N at 8, about #6, 2 A adjustment -> available, 1 B available -> adjustment
        9 reverse #5
        > REVERSAL N at 9, about #5, 3 A customer -> available
        10 reverse #4
        > REVERSAL N at 10, about #4, 10 A available -> supplier, 4 B available -> supplier
        11 stock
        ",
    );
}

#[test]
fn what_is_no_longer_there_cannot_go_back() {
    check(
        "
        0 warehouse N
        0 variant A
        0 variant B
        0 INBOUND N A:5 B:5
        0 RESERVATION N A:2 order=O-1 expires=10
        0 OUTBOUND N B:1
        0 HOLD N B:2
        0 UNHOLD N B:1
        ---
        9 reverse #4
        > refused insufficient-stock: not enough stock, 3 of 5 A, 3 of 5 B
        9 reverse #7
        > refused insufficient-stock: not enough stock, 1 of 2 B
        9 INBOUND N B:2
        > INBOUND N at 9, 2 B supplier -> available
        10 reverse #4
        > EXPIRY N at 10, 2 A reserved -> available (of #5)
        > REVERSAL N at 10, about #4, 5 A available -> supplier, 5 B available -> supplier
        ",
    );
}

#[test]
fn what_would_be_more_than_can_be_does_not_go_back() {
    check(
        "
        0 warehouse N
        0 variant A
        0 variant B
        0 INBOUND N A:2 B:1
        0 OUTBOUND N B:1 A:1
        0 OUTBOUND N A:1
        0 flood N A
        ---
        1 reverse #5
        > refused quantity-overflow: line 1: the stock of this variant would pass the largest quantity there is
        1 reverse #5 notes=x*501
        > refused notes-too-long: notes are at most 500 characters long
        ",
    );
}

#[test]
fn what_is_inactive_is_undone_all_the_same() {
    check(
        "
        0 warehouse N
        0 variant A expires=1
        0 INBOUND N A:5
        0 OUTBOUND N A:1
        0 change-variant A active=no
        0 change-warehouse N active=no
        ---
        9 reverse #4
        > REVERSAL N at 9, about #4, 1 A customer -> available
        9 reverse #3 notes=mistaken
        > REVERSAL N at 9, about #3, 5 A available -> supplier
        ",
    );
}

#[test]
fn what_an_order_or_a_transfer_went_through_is_not_undone_by_a_reversal() {
    check(
        "
        0 warehouse N
        0 variant A
        0 INBOUND N A:9
        0 RESERVATION N A:5 order=O-1 expires=10
        0 PICK N A:3 order=O-1
        0 PACK N A:2 order=O-1
        0 SHIP N A:1 order=O-1
        0 RELEASE N A:1 order=O-1
        0 extend N #4 order=O-1 expires=5
        0 TRANSFER_OUT N A:1 transfer=T-1
        0 TRANSFER_IN N A:1 transfer=T-1
        5 expire 9
        5 INBOUND N A:1
        5 reverse #13
        ---
        6 reverse #4
        > refused not-reversible: RESERVATION cannot be undone by a reversal
        6 reverse #5
        > refused not-reversible: PICK cannot be undone by a reversal
        6 reverse #6
        > refused not-reversible: PACK cannot be undone by a reversal
        6 reverse #7
        > refused not-reversible: SHIP cannot be undone by a reversal
        6 reverse #8
        > refused not-reversible: RELEASE cannot be undone by a reversal
        6 reverse #9
        > refused not-reversible: EXTEND cannot be undone by a reversal
        6 reverse #10
        > refused not-reversible: TRANSFER_OUT cannot be undone by a reversal
        6 reverse #11
        > refused not-reversible: TRANSFER_IN cannot be undone by a reversal
        6 reverse #12
        > refused not-reversible: EXPIRY cannot be undone by a reversal
        6 reverse #14
        > refused not-reversible: REVERSAL cannot be undone by a reversal
        ",
    );
}

#[test]
fn an_event_is_undone_only_at_the_version_that_is_named() {
    check(
        "
        0 warehouse N
        0 variant A
        0 INBOUND N A:5
        0 INBOUND N A:1
        ---
        1 reverse #3 if-version=1
        > refused version-mismatch: the stream has come to another version, 2 and not 1
        2 reverse #3 if-version=2
        > REVERSAL N at 2, about #3, 5 A available -> supplier
        ",
    );
}
