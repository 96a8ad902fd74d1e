//! What may happen to one reservation of an order, and what may be asked of a command besides, told as small stories.

use crate::scenario::check;

#[test]
fn one_of_an_orders_reservations_goes_its_way_alone() {
    check(
        "
        0 warehouse N
        0 variant A
        0 variant B
        0 INBOUND N A:9 B:9
        0 RESERVATION N A:2 B:1 order=O-1
        0 RESERVATION N A:3 order=O-1
        ---
        1 PICK N A:1 order=O-1 reservation=#6
        > PICK N at 1, 1 A reserved -> picked (of #6)
        2 PICK N A:3 order=O-1 reservation=#6
        > refused insufficient-stock: not enough stock, 2 of 3 A
        3 PICK N order=O-1 reservation=#5
        > PICK N at 3, 2 A reserved -> picked (of #5), 1 B reserved -> picked (of #5)
        4 PACK N order=O-1 reservation=#5
        > PACK N at 4, 2 A picked -> packed (of #5), 1 B picked -> packed (of #5)
        5 PACK N order=O-1 reservation=#5
        > refused nothing-held: the reservation has nothing in picked, #5
        6 SHIP N B:1 order=O-1 reservation=#5
        > SHIP N at 6, 1 B packed -> customer (of #5)
        7 SHIP N order=O-1 reservation=#5
        > SHIP N at 7, 2 A packed -> customer (of #5)
        8 SHIP N order=O-1 reservation=#5
        > refused reservation-over: the reservation holds nothing any more, #5
        9 stock
        > N A: 4 2 1 0 0
        > N B: 8 0 0 0 0
        ",
    );
}

#[test]
fn a_reservation_that_is_given_up_gives_back_all_it_holds_in_one_event() {
    check(
        "
        0 warehouse N
        0 variant A
        0 variant B
        0 INBOUND N A:9 B:9
        0 RESERVATION N A:4 B:2 order=O-1
        0 RESERVATION N A:1 order=O-1
        0 PICK N A:3 order=O-1 reservation=#5
        0 PACK N A:2 order=O-1 reservation=#5
        ---
        1 RELEASE N A:1 order=O-1 reservation=#5 from=packed
        > RELEASE N at 1, 1 A packed -> available (of #5)
        2 RELEASE N order=O-1 reservation=#5
        > RELEASE N at 2, 1 A reserved -> available (of #5), 1 A picked -> available (of #5), 1 A packed -> available (of #5), 2 B reserved -> available (of #5)
        3 RELEASE N order=O-1 reservation=#5
        > refused reservation-over: the reservation holds nothing any more, #5
        4 RELEASE N A:2 order=O-1 reservation=#6
        > refused insufficient-stock: not enough stock, 1 of 2 A
        5 stock
        > N A: 8 1 0 0 0
        > N B: 9 0 0 0 0
        ",
    );
}

#[test]
fn a_release_that_names_a_bucket_empties_only_that_one() {
    check(
        "
        0 warehouse N
        0 variant A
        0 INBOUND N A:9
        0 RESERVATION N A:4 order=O-1
        0 PICK N A:3 order=O-1
        ---
        1 RELEASE N order=O-1 reservation=#4 from=reserved
        > RELEASE N at 1, 1 A reserved -> available (of #4)
        2 RELEASE N order=O-1 reservation=#4 from=reserved
        > refused nothing-held: the reservation has nothing in reserved, #4
        3 RELEASE N order=O-1 reservation=#4 from=packed
        > refused nothing-held: the reservation has nothing in packed, #4
        4 RELEASE N order=O-1 reservation=#4 from=picked
        > RELEASE N at 4, 3 A picked -> available (of #4)
        ",
    );
}

#[test]
fn another_orders_or_warehouses_reservation_is_not_there() {
    check(
        "
        0 warehouse N
        0 warehouse S
        0 variant A
        0 INBOUND N A:5
        0 INBOUND S A:5
        0 RESERVATION N A:3 order=O-1
        0 RESERVATION S A:3 order=O-1
        0 RESERVATION N A:1 order=O-2
        ---
        1 PICK N A:1 order=O-2 reservation=#6
        > refused reservation-over: the reservation holds nothing any more, #6
        2 RELEASE N order=O-1 reservation=#7
        > refused reservation-over: the reservation holds nothing any more, #7
        3 extend N #7 order=O-1 expires=20
        > refused reservation-over: the reservation holds nothing any more, #7
        4 extend N #6 order=O-2 expires=20
        > refused reservation-over: the reservation holds nothing any more, #6
        5 PICK S order=O-1 reservation=#7
        > PICK S at 5, 3 A reserved -> picked (of #7)
        ",
    );
}

#[test]
fn what_ran_out_of_a_reservation_is_not_taken_by_naming_it() {
    check(
        "
        0 warehouse N
        0 variant A
        0 variant B
        0 INBOUND N A:5 B:5
        0 RESERVATION N A:3 B:1 order=O-1 expires=10
        0 PICK N A:1 order=O-1
        ---
        9 PICK N A:1 order=O-1 reservation=#5
        > PICK N at 9, 1 A reserved -> picked (of #5)
        10 PICK N A:1 order=O-1 reservation=#5
        > refused reservation-expired: the reservation ran out, #5 at 10
        10 PICK N order=O-1 reservation=#5
        > refused reservation-expired: the reservation ran out, #5 at 10
        10 RELEASE N A:1 order=O-1 reservation=#5
        > refused reservation-expired: the reservation ran out, #5 at 10
        10 RELEASE N order=O-1 reservation=#5 from=reserved
        > refused reservation-expired: the reservation ran out, #5 at 10
        11 PACK N A:1 order=O-1 reservation=#5
        > PACK N at 11, 1 A picked -> packed (of #5)
        12 RELEASE N order=O-1 reservation=#5
        > RELEASE N at 12, 1 A picked -> available (of #5), 1 A packed -> available (of #5)
        13 RELEASE N order=O-1 reservation=#5
        > refused reservation-expired: the reservation ran out, #5 at 10
        14 expire 9
        > EXPIRY N at 10, 1 A reserved -> available (of #5), 1 B reserved -> available (of #5)
        15 RELEASE N order=O-1 reservation=#5
        > refused reservation-over: the reservation holds nothing any more, #5
        ",
    );
}

#[test]
fn a_partial_reservation_takes_what_there_is_and_notes_what_was_short() {
    check(
        "
        0 warehouse N
        0 variant A
        0 variant B
        0 variant C
        0 INBOUND N A:5 B:2
        ---
        1 RESERVATION N C:1 A:3 B:6 order=O-1 partial=yes
        > RESERVATION N at 1, 3 A available -> reserved, 2 B available -> reserved, noted 1 C, noted 4 B
        2 RESERVATION N B:1 C:2 order=O-2 partial=yes
        > refused insufficient-stock: not enough stock, 0 of 1 B, 0 of 2 C
        3 RESERVATION N A:2 order=O-2 partial=yes
        > RESERVATION N at 3, 2 A available -> reserved
        4 PICK N B:3 order=O-1
        > refused insufficient-stock: not enough stock, 2 of 3 B
        5 stock
        > N A: 0 5 0 0 0
        > N B: 0 2 0 0 0
        ",
    );
}

#[test]
fn a_partial_reservation_counts_what_has_run_out() {
    check(
        "
        0 warehouse N
        0 variant A
        0 INBOUND N A:5
        0 RESERVATION N A:2 order=O-1 expires=10
        0 RESERVATION N A:3 order=O-2 expires=20
        ---
        9 RESERVATION N A:4 order=O-3 partial=yes
        > refused insufficient-stock: not enough stock, 0 of 4 A
        10 RESERVATION N A:4 order=O-3 partial=yes
        > EXPIRY N at 10, 2 A reserved -> available (of #4)
        > RESERVATION N at 10, 2 A available -> reserved, noted 2 A
        ",
    );
}

#[test]
fn an_extended_reservation_runs_out_at_its_new_instant_and_not_before() {
    check(
        "
        0 warehouse N
        0 variant A
        0 variant B
        0 INBOUND N A:5 B:1
        0 RESERVATION N A:5 B:1 order=O-1 expires=10
        0 PICK N A:1 B:1 order=O-1
        ---
        9 extend N #5 order=O-1 expires=20
        > EXTEND N at 9, about #5, until 20, noted 4 A
        10 OUTBOUND N A:1
        > refused insufficient-stock: not enough stock, 0 of 1 A
        11 extend N #5 order=O-1 expires=12
        > EXTEND N at 11, about #5, until 12, noted 4 A
        11 stock
        > N A: 0 4 1 0 0
        > N B: 0 0 1 0 0
        12 stock
        > N A: 4 0 1 0 0
        > N B: 0 0 1 0 0
        12 extend N #5 order=O-1 expires=30
        > refused reservation-expired: the reservation ran out, #5 at 12
        13 OUTBOUND N A:1
        > EXPIRY N at 12, 4 A reserved -> available (of #5)
        > OUTBOUND N at 13, 1 A available -> customer
        14 extend N #5 order=O-1 expires=30
        > refused nothing-held: the reservation has nothing in reserved, #5
        15 SHIP N A:1 order=O-1
        > refused insufficient-stock: not enough stock, 0 of 1 A
        15 RELEASE N order=O-1 reservation=#5
        > RELEASE N at 15, 1 A picked -> available (of #5), 1 B picked -> available (of #5)
        16 extend N #5 order=O-1 expires=30
        > refused reservation-over: the reservation holds nothing any more, #5
        ",
    );
}

#[test]
fn a_reservation_is_kept_for_good_and_given_an_expiry_again() {
    check(
        "
        0 warehouse N
        0 variant A
        0 INBOUND N A:5
        0 RESERVATION N A:5 order=O-1 expires=10
        0 change-warehouse N active=no
        ---
        1 extend N #4 order=O-1
        > EXTEND N at 1, about #4, for good, noted 5 A
        99 stock
        > N A: 0 5 0 0 0
        99 expire 9
        100 extend N #4 order=O-1 expires=101
        > EXTEND N at 100, about #4, until 101, noted 5 A
        100 PICK N A:2 order=O-1
        > PICK N at 100, 2 A reserved -> picked (of #4)
        101 expire 9
        > EXPIRY N at 101, 3 A reserved -> available (of #4)
        102 stock
        > N A: 3 0 2 0 0
        ",
    );
}

#[test]
fn what_is_asked_for_wrongly_is_not_extended() {
    check(
        "
        0 warehouse N
        0 variant A
        0 INBOUND N A:5
        0 RESERVATION N A:5 order=O-1
        ---
        5 extend N #4 order=O-1 expires=5
        > refused expiry-passed: a reservation's expiry lies in the future
        5 extend N #4 order=O-1 expires=10000-01-01
        > refused instant-out-of-range: expiresAt lies outside the years 1 to 9999
        5 extend N #4 order=O-1 notes=x*501
        > refused notes-too-long: notes are at most 500 characters long
        5 extend nowhere #4 order=O-1
        > refused warehouse-not-found: there is no such warehouse
        5 extend N #4 order=O-1 expires=6 notes=x*500
        > EXTEND N at 5, about #4, until 6, noted 5 A
        ",
    );
}

#[test]
fn a_command_happens_only_at_the_version_that_it_names() {
    check(
        "
        0 warehouse N
        0 warehouse S
        0 variant A
        0 INBOUND N A:5
        0 INBOUND S A:5
        0 RESERVATION N A:2 order=O-1 expires=3
        ---
        1 OUTBOUND N A:1 if-version=2
        > OUTBOUND N at 1, 1 A available -> customer
        2 PICK N A:1 order=O-1 if-version=2
        > refused version-mismatch: the stream has come to another version, 3 and not 2
        3 OUTBOUND N A:3 if-version=3
        > EXPIRY N at 3, 2 A reserved -> available (of #6)
        > OUTBOUND N at 3, 3 A available -> customer
        4 OUTBOUND N A:1 if-version=4
        > refused version-mismatch: the stream has come to another version, 5 and not 4
        5 OUTBOUND N nothing:1 if-version=4
        > refused variant-not-found: line 0: there is no such variant
        6 OUTBOUND N A:9 if-version=4 if-available=A:9
        > refused version-mismatch: the stream has come to another version, 5 and not 4
        7 OUTBOUND S A:1 if-version=1
        > OUTBOUND S at 7, 1 A available -> customer
        ",
    );
}

#[test]
fn a_command_happens_only_if_as_much_is_available_as_it_expects() {
    check(
        "
        0 warehouse N
        0 variant A
        0 variant B
        0 variant C
        0 INBOUND N A:5 B:1
        0 RESERVATION N A:2 order=O-1 expires=5
        ---
        1 ADJUST N A:-1 if-available=A:3,C:0
        > ADJUST N at 1, 1 A available -> adjustment
        2 ADJUST N A:-1 if-available=A:3,B:1,C:-1
        > refused available-mismatch: another quantity is available than was expected, 2 of A and not 3, 0 of C and not -1
        5 ADJUST N A:-1 if-available=A:4
        > ADJUST N at 5, 1 A available -> adjustment
        6 ADJUST N A:-9 if-available=A:2
        > refused available-mismatch: another quantity is available than was expected, 3 of A and not 2
        7 ADJUST N A:-9 if-available=A:3
        > refused insufficient-stock: not enough stock, 3 of 9 A
        ",
    );
}

#[test]
fn a_reservation_is_extended_only_at_the_version_that_is_named() {
    check(
        "
        0 warehouse N
        0 variant A
        0 INBOUND N A:5
        0 RESERVATION N A:2 order=O-1 expires=10
        ---
        1 extend N #4 order=O-1 if-version=1
        > refused version-mismatch: the stream has come to another version, 2 and not 1
        2 extend N #4 order=O-1 if-version=2
        > EXTEND N at 2, about #4, for good, noted 2 A
        ",
    );
}
