//! Transfers from one warehouse to another, told as small stories.

use crate::scenario::check;

#[test]
fn a_transfer_is_dispatched_and_received_in_full() {
    check(
        "
        0 warehouse N
        0 warehouse S
        0 variant A
        0 variant B
        0 INBOUND N A:10 B:4
        ---
        1 TRANSFER_OUT N B:4 A:3 to=S transfer=T-1 notes=van
        > TRANSFER_OUT N at 1, to S, 4 B available -> transit, 3 A available -> transit
        > TRANSFER_EXPECTED S at 1, about #6, from N, noted 4 B, noted 3 A
        1 stock
        > N A: 7 0 0 0 0
        > under #6 A: 3
        > under #6 B: 4
        2 receive S #6
        > TRANSFER_IN S at 2, about #6, from N, 3 A transit -> available, 4 B transit -> available
        3 receive S #6
        > refused transfer-over: the transfer has nothing on the way any more, #6
        3 stock
        > N A: 7 0 0 0 0
        > S A: 3 0 0 0 0
        > S B: 4 0 0 0 0
        ",
    );
}

#[test]
fn what_is_damaged_is_held_and_what_is_missing_stays_on_the_way_until_it_is_found_or_written_off() {
    check(
        "
        0 warehouse N
        0 warehouse S
        0 variant A
        0 variant B
        0 INBOUND N A:10 B:5
        0 TRANSFER_OUT N A:10 B:5 to=S
        ---
        1 receive S #6 A:5:2:3 B:0:0:5 at=-9
        > TRANSFER_IN S at -9, about #6, from N, 5 A transit -> available, 2 A transit -> held, noted 3 A, noted 5 B
        1 stock
        > S A: 5 0 0 0 2
        > under #6 A: 3
        > under #6 B: 5
        2 receive S #6 B:0:0:5
        > TRANSFER_IN S at 2, about #6, from N, noted 5 B
        3 receive S #6 A:1 B:6
        > refused over-receipt: more was found than is on the way, #6, 5 of 6 B
        3 receive S #6 A:1
        > TRANSFER_IN S at 3, about #6, from N, 1 A transit -> available
        4 close #6 reason=Sale
        > refused reason-mismatch: reason SALE does not go with TRANSFER_CLOSED
        4 close #6 reason=Purchase
        > refused reason-mismatch: reason PURCHASE does not go with TRANSFER_CLOSED
        4 close #6 reason=CountCorrection
        > TRANSFER_CLOSED S at 4, about #6, from N, 2 A transit -> adjustment, 5 B transit -> adjustment
        5 close #6 reason=Other
        > refused transfer-over: the transfer has nothing on the way any more, #6
        5 receive S #6 A:1
        > refused transfer-over: the transfer has nothing on the way any more, #6
        5 stock
        > S A: 6 0 0 0 2
        ",
    );
}

#[test]
fn a_dispatch_is_recorded_on_both_streams_or_on_none() {
    check(
        "
        0 warehouse N
        0 warehouse S
        0 variant A
        0 INBOUND N A:5
        0 RESERVATION N A:3 order=O expires=5
        ---
        1 TRANSFER_OUT N A:3 to=S
        > refused insufficient-stock: not enough stock, 2 of 3 A
        1 TRANSFER_OUT N A:2 to=S if-version=1
        > refused version-mismatch: the stream has come to another version, 2 and not 1
        1 TRANSFER_OUT N A:2 to=S if-available=A:3
        > refused available-mismatch: another quantity is available than was expected, 2 of A and not 3
        6 TRANSFER_OUT N A:3 to=S if-version=2
        > EXPIRY N at 5, 3 A reserved -> available (of #5)
        > TRANSFER_OUT N at 6, to S, 3 A available -> transit
        > TRANSFER_EXPECTED S at 6, about #7, from N, noted 3 A
        7 INBOUND S A:1 if-version=1
        > INBOUND S at 7, 1 A supplier -> available
        ",
    );
}

#[test]
fn a_name_is_one_open_transfers_and_free_again_once_that_is_over() {
    check(
        "
        0 warehouse N
        0 warehouse S
        0 variant A
        0 INBOUND N A:9
        0 TRANSFER_OUT N A:2 to=S transfer=T
        0 TRANSFER_OUT N A:1 to=S
        0 TRANSFER_OUT N A:1 to=S
        ---
        1 TRANSFER_OUT N A:1 to=S transfer=T
        > refused transfer-taken: another transfer of this id is open, #5
        1 receive S #5 A:1
        > TRANSFER_IN S at 1, about #5, from N, 1 A transit -> available
        1 TRANSFER_OUT N A:1 to=S transfer=T
        > refused transfer-taken: another transfer of this id is open, #5
        1 receive S #5 A:1
        > TRANSFER_IN S at 1, about #5, from N, 1 A transit -> available
        1 TRANSFER_OUT N A:1 to=S transfer=T
        > TRANSFER_OUT N at 1, to S, 1 A available -> transit
        > TRANSFER_EXPECTED S at 1, about #13, from N, noted 1 A
        2 close #13 reason=Damage
        > TRANSFER_CLOSED S at 2, about #13, from N, 1 A transit -> adjustment
        2 TRANSFER_OUT N A:1 to=S transfer=T
        > TRANSFER_OUT N at 2, to S, 1 A available -> transit
        > TRANSFER_EXPECTED S at 2, about #16, from N, noted 1 A
        ",
    );
}

#[test]
fn what_is_on_the_way_arrives_whatever_was_deactivated_meanwhile() {
    check(
        "
        0 warehouse N
        0 warehouse S
        0 variant A
        0 INBOUND N A:9
        0 TRANSFER_OUT N A:3 to=S
        0 TRANSFER_OUT N A:2 to=S
        0 change-warehouse S active=no
        ---
        1 TRANSFER_OUT N A:1 to=S
        > refused warehouse-inactive: the warehouse is not active
        1 TRANSFER_OUT N A:1 to=X
        > refused warehouse-not-found: there is no such warehouse
        1 change-variant A active=no
        > VariantDeactivated(VariantNo(1))
        2 receive S #5 A:1:1:1
        > TRANSFER_IN S at 2, about #5, from N, 1 A transit -> available, 1 A transit -> held, noted 1 A
        2 close #7 reason=Other
        > TRANSFER_CLOSED S at 2, about #7, from N, 2 A transit -> adjustment
        2 receive S #5
        > TRANSFER_IN S at 2, about #5, from N, 1 A transit -> available
        ",
    );
}

#[test]
fn a_receipt_says_what_can_be() {
    check(
        "
        0 warehouse N
        0 warehouse S
        0 variant A
        0 variant B
        0 INBOUND N A:9
        0 TRANSFER_OUT N A:3 to=S
        ---
        1 receive S #6 A:1 B:0
        > refused invalid-quantity: line 1: what was received, damaged and short is 0 to 1,000,000,000 each, and 1 to 1,000,000,000 in all, not 0
        1 receive S #6 A:-1:2
        > refused invalid-quantity: line 0: what was received, damaged and short is 0 to 1,000,000,000 each, and 1 to 1,000,000,000 in all, not -1
        1 receive S #6 A:1 A:1
        > refused duplicate-variant: line 1: an earlier line of this event is of the same stock
        1 receive S #6 A:1 B:1
        > refused over-receipt: more was found than is on the way, #6, 0 of 1 B
        1 receive S #6 C:1
        > refused variant-not-found: line 0: there is no such variant
        1 receive N #6
        > refused wrong-warehouse: the transfer goes to another warehouse, #6 goes to S
        1 receive X #6
        > refused warehouse-not-found: there is no such warehouse
        1 receive S #5
        > refused transfer-over: the transfer has nothing on the way any more, #5
        1 receive S #6 at=302
        > refused occurs-in-future: the event lies more than 5 minutes in the future
        1 flood S A
        1 receive S #6 A:0:1
        > refused quantity-overflow: line 0: the stock of this variant would pass the largest quantity there is
        ",
    );
}

#[test]
fn a_transfer_that_is_known_by_name_only_is_another_than_an_open_one_of_that_name() {
    check(
        "
        0 warehouse N
        0 warehouse S
        0 variant A
        0 INBOUND N A:9
        0 TRANSFER_OUT N A:2 transfer=T
        ---
        1 TRANSFER_OUT N A:3 to=S transfer=T
        > TRANSFER_OUT N at 1, to S, 3 A available -> transit
        > TRANSFER_EXPECTED S at 1, about #6, from N, noted 3 A
        2 TRANSFER_IN S A:3 transfer=T
        > refused insufficient-stock: not enough stock, 2 of 3 A
        2 TRANSFER_IN S A:2 transfer=T
        > TRANSFER_IN S at 2, 2 A transit -> available
        3 stock
        > N A: 4 0 0 0 0
        > S A: 2 0 0 0 0
        > under #6 A: 3
        ",
    );
}

#[test]
fn what_is_asked_of_another_version_than_there_is_does_not_happen() {
    check(
        "
        0 warehouse N
        0 warehouse S negative=record
        0 variant A
        0 INBOUND N A:10
        ---
        1 TRANSFER_OUT N A:4 to=S if-version=0
        > refused version-mismatch: the stream has come to another version, 1 and not 0
        1 TRANSFER_OUT N A:4 to=S if-version=1
        > TRANSFER_OUT N at 1, to S, 4 A available -> transit
        > TRANSFER_EXPECTED S at 1, about #6, from N, noted 4 A
        2 receive S #6 A:1 if-version=2
        > refused version-mismatch: the stream has come to another version, 1 and not 2
        2 receive S #6 A:1 if-version=1
        > TRANSFER_IN S at 2, about #6, from N, 1 A transit -> available
        3 close #6 reason=Other if-version=1
        > refused version-mismatch: the stream has come to another version, 2 and not 1
        3 close #6 reason=Other if-version=2
        > TRANSFER_CLOSED S at 3, about #6, from N, 3 A transit -> adjustment
        4 count S if-version=2
        > refused version-mismatch: the stream has come to another version, 3 and not 2
        4 count S if-version=3
        > COUNT_OPENED S at 4, of everything
        5 counted S #10 A:1 if-version=3
        > refused version-mismatch: the stream has come to another version, 4 and not 3
        5 counted S #10 A:1 if-version=4
        > COUNTED S at 5, about #10, A 1 of 1 at 5
        6 approve S #10 if-version=4
        > refused version-mismatch: the stream has come to another version, 5 and not 4
        6 cancel S #10 if-version=4
        > refused version-mismatch: the stream has come to another version, 5 and not 4
        6 cancel S #10 if-version=5
        > COUNT_CANCELLED S at 6, about #10
        7 OUTBOUND S A:2
        > OUTBOUND S at 7, 2 A available -> customer, noted 1 A
        8 clear S #13 if-version=6
        > refused version-mismatch: the stream has come to another version, 7 and not 6
        8 clear S #13 if-version=7
        > EXCEPTION_CLEARED S at 8, about #13
        ",
    );
}
