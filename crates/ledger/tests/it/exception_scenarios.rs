//! Stories of stock below zero: where it is recorded, what may go there, and the exceptions that tell of it.

use crate::scenario::check;

#[test]
fn what_left_is_recorded_although_there_was_less_where_the_warehouse_says_so() {
    check(
        "
        0 warehouse N negative=record
        0 variant A
        0 variant B
        0 INBOUND N A:3 B:9
        ---
        1 OUTBOUND N A:5 B:2 at=-60
        > OUTBOUND N at -60, 5 A available -> customer, 2 B available -> customer, noted 2 A
        2 OUTBOUND N A:1
        > OUTBOUND N at 2, 1 A available -> customer, noted 3 A
        3 ADJUST N B:-8 A:-1
        > ADJUST N at 3, 8 B available -> adjustment, 1 A available -> adjustment, noted 1 B, noted 4 A
        4 stock
        > N A: -4 0 0 0 0
        > N B: -1 0 0 0 0
        5 INBOUND N A:9
        > INBOUND N at 5, 9 A supplier -> available
        6 OUTBOUND N A:5
        > OUTBOUND N at 6, 5 A available -> customer
        7 stock
        > N B: -1 0 0 0 0
        ",
    );
}

#[test]
fn what_promises_or_sets_aside_or_sends_takes_what_is_there_only() {
    check(
        "
        0 warehouse N negative=record
        0 warehouse S
        0 variant A
        0 INBOUND N A:3
        ---
        1 RESERVATION N A:5 order=O-1
        > refused insufficient-stock: not enough stock, 3 of 5 A
        1 HOLD N A:5
        > refused insufficient-stock: not enough stock, 3 of 5 A
        1 TRANSFER_OUT N A:5 transfer=T-1
        > refused insufficient-stock: not enough stock, 3 of 5 A
        1 RESERVATION N A:2 order=O-1
        > RESERVATION N at 1, 2 A available -> reserved
        1 OUTBOUND N A:3
        > OUTBOUND N at 1, 3 A available -> customer, noted 2 A
        2 RESERVATION N A:1 order=O-2
        > refused insufficient-stock: not enough stock, -2 of 1 A
        2 RESERVATION N A:1 order=O-2 partial=yes
        > refused insufficient-stock: not enough stock, 0 of 1 A
        3 PICK N A:2 order=O-1
        > PICK N at 3, 2 A reserved -> picked (of #6)
        3 PACK N A:2 order=O-1
        > PACK N at 3, 2 A picked -> packed (of #6)
        3 SHIP N A:2 order=O-1
        > SHIP N at 3, 2 A packed -> customer (of #6)
        3 stock
        > N A: -2 0 0 0 0
        ",
    );
}

#[test]
fn what_ran_out_is_free_before_anything_falls_below_zero() {
    check(
        "
        0 warehouse N negative=record
        0 variant A
        0 INBOUND N A:5
        0 RESERVATION N A:2 order=O-1 expires=10
        0 RESERVATION N A:1 order=O-2 expires=20
        ---
        10 OUTBOUND N A:6
        > EXPIRY N at 10, 2 A reserved -> available (of #5)
        > OUTBOUND N at 10, 6 A available -> customer, noted 2 A
        20 RELEASE N A:1 order=O-2
        > refused insufficient-stock: not enough stock, 0 of 1 A
        20 INBOUND N A:1
        > INBOUND N at 20, 1 A supplier -> available
        20 RESERVATION N A:1 order=O-3
        > refused insufficient-stock: not enough stock, 0 of 1 A
        20 stock
        > N A: 0 0 0 0 0
        ",
    );
}

#[test]
fn what_came_in_is_undone_although_it_is_gone() {
    check(
        "
        0 warehouse N negative=record
        0 variant A
        0 variant B
        0 INBOUND N A:5 B:5
        0 OUTBOUND N A:4
        0 HOLD N B:5
        0 UNHOLD N B:5
        0 OUTBOUND N B:5
        ---
        1 reverse #8
        > refused insufficient-stock: not enough stock, 0 of 5 B
        1 reverse #5
        > REVERSAL N at 1, about #5, 5 A available -> supplier, 5 B available -> supplier, noted 4 A, noted 5 B
        1 reverse #6
        > REVERSAL N at 1, about #6, 4 A customer -> available
        1 stock
        > N B: -5 0 0 0 0
        ",
    );
}

#[test]
fn an_exception_stays_until_it_is_cleared_and_is_cleared_once() {
    check(
        "
        0 warehouse N negative=record
        0 warehouse S
        0 variant A
        0 OUTBOUND N A:1
        0 OUTBOUND N A:1
        0 INBOUND N A:5
        ---
        1 clear N #7
        > refused exception-cleared: there is no such exception to clear, #7
        1 clear S #5
        > refused exception-cleared: there is no such exception to clear, #5
        1 clear N #5 notes=counted
        > EXCEPTION_CLEARED N at 1, about #5
        1 clear N #5 notes=counted
        > refused exception-cleared: there is no such exception to clear, #5
        1 change-warehouse N active=no
        > WarehouseDeactivated(WarehouseNo(1))
        2 clear N #6 notes=x*501
        > refused notes-too-long: notes are at most 500 characters long
        2 clear N #6
        > EXCEPTION_CLEARED N at 2, about #6
        ",
    );
}

#[test]
fn a_policy_is_changed_and_what_is_below_zero_stays_there() {
    check(
        "
        0 warehouse N
        0 variant A
        ---
        1 OUTBOUND N A:1
        > refused insufficient-stock: not enough stock, 0 of 1 A
        2 change-warehouse N negative=record
        > WarehousePolicyChanged { no: WarehouseNo(1), negative_stock: Record }
        2 change-warehouse N negative=record
        3 OUTBOUND N A:4
        > OUTBOUND N at 3, 4 A available -> customer, noted 4 A
        4 change-warehouse N negative=forbid
        > WarehousePolicyChanged { no: WarehouseNo(1), negative_stock: Forbid }
        5 OUTBOUND N A:1
        > refused insufficient-stock: not enough stock, -4 of 1 A
        5 RESERVATION N A:1 order=O-1 partial=yes
        > refused insufficient-stock: not enough stock, 0 of 1 A
        6 INBOUND N A:3
        > INBOUND N at 6, 3 A supplier -> available
        7 INBOUND N A:3
        > INBOUND N at 7, 3 A supplier -> available
        8 OUTBOUND N A:2
        > OUTBOUND N at 8, 2 A available -> customer
        9 stock
        ",
    );
}
