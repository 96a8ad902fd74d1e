//! Counts, told as small stories.

use crate::scenario::check;

#[test]
fn goods_come_and_go_while_they_are_counted() {
    check(
        "
        0 warehouse N
        0 variant A
        0 variant B
        0 INBOUND N A:10 B:5
        ---
        1 count N of=A,B
        > COUNT_OPENED N at 1, of A B
        5 OUTBOUND N A:2
        > OUTBOUND N at 5, 2 A available -> customer
        6 counted N #5 A:9 at=4
        > COUNTED N at 6, about #5, A 9 of 10 at 4
        6 counted N #5 B:5
        > COUNTED N at 6, about #5, B 5 of 5 at 6
        7 OUTBOUND N A:1 at=3
        > OUTBOUND N at 3, 1 A available -> customer
        8 INBOUND N A:4
        > INBOUND N at 8, 4 A supplier -> available
        9 approve N #5 notes=evening
        > COUNT_APPROVED N at 9, about #5, A 9 of 9 at 4, B 5 of 5 at 6
        10 stock
        > N A: 11 0 0 0 0
        > N B: 5 0 0 0 0
        ",
    );
}

#[test]
fn what_is_recorded_late_was_seen_by_the_count() {
    check(
        "
        0 warehouse N
        0 warehouse S
        0 variant A
        0 INBOUND N A:3
        0 RESERVATION N A:1 order=O-1
        0 PICK N A:1 order=O-1
        0 PACK N A:1 order=O-1
        0 count N
        5 counted N #8 A:1
        6 approve N #8
        ---
        7 stock
        > N A: 0 0 0 1 0
        7 OUTBOUND N A:9 at=4
        > OUTBOUND N at 4, A was seen, 9 A adjustment -> available, 9 A available -> customer
        7 INBOUND N A:9 at=4
        > INBOUND N at 4, A was seen, 9 A supplier -> available, 9 A available -> adjustment
        7 SHIP N A:1 order=O-1 at=4
        > SHIP N at 4, A was seen, 1 A adjustment -> available, 1 A packed -> customer (of #5)
        7 TRANSFER_OUT N A:2 to=S at=4
        > TRANSFER_OUT N at 4, to S, A was seen, 2 A adjustment -> available, 2 A available -> transit
        > TRANSFER_EXPECTED S at 4, about #14, from N, noted 2 A
        7 TRANSFER_OUT N A:1 transfer=T at=4
        > TRANSFER_OUT N at 4, A was seen, 1 A adjustment -> available, 1 A available -> transit
        7 ADJUST N A:-2 at=4
        > ADJUST N at 4, A was seen, 2 A available -> adjustment, 2 A adjustment -> available
        7 OUTBOUND N A:1 at=5
        > OUTBOUND N at 5, 1 A available -> customer
        7 stock
        > under T A: 1
        > under #14 A: 2
        8 reverse #11
        > REVERSAL N at 8, about #11, A was seen, 9 A customer -> available, 9 A available -> adjustment
        8 reverse #12
        > REVERSAL N at 8, about #12, A was seen, 9 A adjustment -> available, 9 A available -> supplier
        8 reverse #17
        > REVERSAL N at 8, about #17, A was seen, 2 A adjustment -> available, 2 A available -> adjustment
        8 stock
        > under T A: 1
        > under #14 A: 2
        ",
    );
}

#[test]
fn what_is_missing_is_taken_from_what_was_promised_last() {
    check(
        "
        0 warehouse N
        0 variant A
        0 INBOUND N A:12
        0 RESERVATION N A:2 order=O-1
        0 RESERVATION N A:2 order=O-2
        0 RESERVATION N A:2 order=O-3 expires=4
        0 RESERVATION N A:2 order=O-4
        0 PICK N A:1 order=O-1
        0 HOLD N A:3
        0 count N
        ---
        5 counted N #10 A:5
        > COUNTED N at 5, about #10, A 5 of 12 at 5
        5 approve N #10
        > EXPIRY N at 4, 2 A reserved -> available (of #6)
        > RELEASE N at 5, about #10, 2 A reserved -> available (of #5)
        > RELEASE N at 5, about #10, 2 A reserved -> available (of #7)
        > COUNT_APPROVED N at 5, about #10, A 5 of 12 at 5, 7 A available -> adjustment
        5 stock
        > N A: 0 1 1 0 3
        6 clear N #13
        > EXCEPTION_CLEARED N at 6, about #13
        6 count N
        > COUNT_OPENED N at 6, of everything
        6 counted N #17 A:1
        > COUNTED N at 6, about #17, A 1 of 5 at 6
        6 approve N #17
        > RELEASE N at 6, about #17, 1 A reserved -> available (of #4)
        > COUNT_APPROVED N at 6, about #17, A 1 of 5 at 6, 1 A available -> adjustment, 3 A held -> adjustment
        6 stock
        > N A: 0 0 1 0 0
        ",
    );
}

#[test]
fn where_more_has_left_than_was_counted_it_is_recorded_or_counted_again() {
    check(
        "
        0 warehouse N
        0 warehouse R negative=record
        0 variant A
        0 INBOUND N A:9
        0 INBOUND R A:9
        0 count N
        0 count R
        ---
        1 counted N #7 A:2
        > COUNTED N at 1, about #7, A 2 of 9 at 1
        1 counted R #8 A:2
        > COUNTED R at 1, about #8, A 2 of 9 at 1
        2 OUTBOUND N A:3
        > OUTBOUND N at 2, 3 A available -> customer
        2 OUTBOUND R A:3
        > OUTBOUND R at 2, 3 A available -> customer
        3 approve N #7
        > refused insufficient-stock: not enough stock, 6 of 7 A
        3 approve R #8
        > COUNT_APPROVED R at 3, about #8, A 2 of 9 at 1, 7 A available -> adjustment, noted 1 A
        4 counted N #7 A:4
        > COUNTED N at 4, about #7, A 4 of 6 at 4
        4 approve N #7
        > COUNT_APPROVED N at 4, about #7, A 4 of 6 at 4, 2 A available -> adjustment
        4 stock
        > N A: 4 0 0 0 0
        > R A: -1 0 0 0 0
        ",
    );
}

#[test]
fn a_count_may_be_repeated_and_cancelled_and_is_of_what_no_other_is() {
    check(
        "
        0 warehouse N
        0 variant A
        0 variant B
        0 INBOUND N A:9
        ---
        1 count N of=A blind=yes
        > COUNT_OPENED N at 1, of A
        1 count N of=B
        > COUNT_OPENED N at 1, of B
        1 count N of=B,A
        > refused count-overlaps: another open count is of the same stock, #6
        1 count N of=A,A
        > refused duplicate-variant: line 1: an earlier line of this event is of the same stock
        1 count N
        > refused count-overlaps: another open count is of the same stock, #5
        2 counted N #5 A:3
        > COUNTED N at 2, about #5, A 3 of 9 at 2
        3 counted N #5 A:9
        > COUNTED N at 3, about #5, A 9 of 9 at 3
        3 cancel N #6
        > COUNT_CANCELLED N at 3, about #6
        3 count N of=B
        > COUNT_OPENED N at 3, of B
        4 approve N #5
        > COUNT_APPROVED N at 4, about #5, A 9 of 9 at 3
        4 approve N #5
        > refused count-over: the count is over: it was approved or cancelled, or there is none at this warehouse, #5
        5 counted N #10 B:2
        > COUNTED N at 5, about #10, B 2 of 0 at 5
        5 cancel N #10
        > COUNT_CANCELLED N at 5, about #10
        5 stock
        > N A: 9 0 0 0 0
        ",
    );
}

#[test]
fn what_was_promised_after_the_counting_has_not_left_before_it() {
    check(
        "
        0 warehouse N
        0 variant A
        0 variant B
        0 INBOUND N A:10 B:10
        0 RESERVATION N A:1 B:1 order=O-1
        0 count N
        5 counted N #6 A:10
        ---
        6 RESERVATION N A:2 order=O-1 at=3
        > RESERVATION N at 3, 2 A available -> reserved
        6 PICK N A:3 B:1 order=O-1 at=3
        > PICK N at 3, 1 A reserved -> picked (of #5), 2 A reserved -> picked (of #8), 1 B reserved -> picked (of #5)
        6 PACK N A:3 B:1 order=O-1 at=3
        > PACK N at 3, 1 A picked -> packed (of #5), 2 A picked -> packed (of #8), 1 B picked -> packed (of #5)
        6 SHIP N A:1 order=O-1 reservation=#8 at=4
        > SHIP N at 4, 1 A packed -> customer (of #8)
        6 counted N #6 A:10 B:9 at=5
        > COUNTED N at 6, about #6, A 10 of 10 at 5, B 9 of 10 at 5
        7 approve N #6
        > COUNT_APPROVED N at 7, about #6, A 10 of 10 at 5, B 9 of 10 at 5, 1 B available -> adjustment
        7 stock
        > N A: 7 0 0 2 0
        > N B: 8 0 0 1 0
        8 SHIP N A:2 B:1 order=O-1 at=4
        > SHIP N at 4, B was seen, 1 A packed -> customer (of #5), 1 A packed -> customer (of #8), \
          1 B adjustment -> available, 1 B packed -> customer (of #5)
        8 stock
        > N A: 7 0 0 0 0
        > N B: 9 0 0 0 0
        ",
    );
}

#[test]
fn what_was_sent_after_the_counting_has_not_arrived_before_it() {
    check(
        "
        0 warehouse N
        0 warehouse S
        0 variant A
        0 INBOUND N A:10
        0 INBOUND S A:10
        0 count N
        5 counted N #6 A:10
        6 approve N #6
        ---
        7 TRANSFER_OUT S A:2 to=N
        > TRANSFER_OUT S at 7, to N, 2 A available -> transit
        > TRANSFER_EXPECTED N at 7, about #9, from S, noted 2 A
        7 TRANSFER_OUT S A:3 to=N at=3
        > TRANSFER_OUT S at 3, to N, 3 A available -> transit
        > TRANSFER_EXPECTED N at 3, about #11, from S, noted 3 A
        8 receive N #9 at=4
        > TRANSFER_IN N at 4, about #9, from S, 2 A transit -> available
        8 receive N #11 at=4
        > TRANSFER_IN N at 4, about #11, from S, A was seen, 3 A transit -> available, 3 A available -> adjustment
        8 stock
        > N A: 12 0 0 0 0
        > S A: 5 0 0 0 0
        ",
    );
}

#[test]
fn what_was_counted_stays_when_what_was_before_is_undone() {
    check(
        "
        0 warehouse N
        0 variant A
        0 INBOUND N A:250
        0 OUTBOUND N A:5
        0 count N
        5 counted N #5 A:20
        ---
        6 reverse #4
        > REVERSAL N at 6, about #4, undoes what was at 0, 5 A customer -> available
        7 approve N #5
        > COUNT_APPROVED N at 7, about #5, A 20 of 250 at 5, 230 A available -> adjustment
        8 reverse #3
        > REVERSAL N at 8, about #3, A was seen, 250 A adjustment -> available, 250 A available -> supplier
        8 INBOUND N A:25 at=0
        > INBOUND N at 0, A was seen, 25 A supplier -> available, 25 A available -> adjustment
        9 OUTBOUND N A:2
        > OUTBOUND N at 9, 2 A available -> customer
        9 count N
        > COUNT_OPENED N at 9, of everything
        9 reverse #11
        > REVERSAL N at 9, about #11, undoes what was at 9, 2 A customer -> available
        9 stock
        > N A: 20 0 0 0 0
        ",
    );
}
