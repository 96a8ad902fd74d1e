//! Each kind of stock event, told as a small story.

use bincard_ledger::{Command, Kind, Line, Rejection, StockCommand, Timestamp, VariantNo, WarehouseNo};

use crate::journal::Journal;
use crate::scenario::check;

#[test]
fn an_event_lies_at_most_five_minutes_ahead_to_the_microsecond() {
    let now = Timestamp::from_micros(1_750_000_000_000_000);
    let line = Line {
        variant: VariantNo(1),
        quantity: 1,
    };
    let ahead = |micros| {
        let mut command = StockCommand::new(Kind::Inbound, WarehouseNo(1), [line]);
        command.occurred_at = Some(now.saturating_add_micros(micros));
        Journal::new()
            .take(&Command::Stock(command), now)
            .unwrap_err()
            .code()
    };
    let in_time = Rejection::UnknownWarehouse {
        warehouse: WarehouseNo(1),
    }
    .code();
    assert_eq!(ahead(300_000_000), in_time);
    assert_eq!(ahead(300_000_001), "occurs-in-future");
}

#[test]
fn goods_come_in_and_go_out() {
    check(
        "
        0 warehouse N
        0 variant A
        0 variant B
        ---
        1 INBOUND N A:10 B:4 reason=Purchase
        > INBOUND N at 1, 10 A supplier -> available, 4 B supplier -> available
        2 OUTBOUND N A:3 reason=Sale at=-60
        > OUTBOUND N at -60, 3 A available -> customer
        3 OUTBOUND N A:8 B:4
        > refused insufficient-stock: not enough stock, 7 of 8 A
        4 OUTBOUND N A:7 B:4
        > OUTBOUND N at 4, 7 A available -> customer, 4 B available -> customer
        5 OUTBOUND N A:1 B:2
        > refused insufficient-stock: not enough stock, 0 of 1 A, 0 of 2 B
        5 stock
        ",
    );
}

#[test]
fn a_count_corrects_either_way_but_never_below_zero() {
    check(
        "
        0 warehouse N
        0 variant A
        0 variant B
        ---
        1 ADJUST N A:5 reason=CountCorrection
        > ADJUST N at 1, 5 A adjustment -> available
        2 ADJUST N A:-2 B:3
        > ADJUST N at 2, 2 A available -> adjustment, 3 B adjustment -> available
        3 ADJUST N A:-4 reason=Damage
        > refused insufficient-stock: not enough stock, 3 of 4 A
        4 stock
        > N A: 3 0 0 0 0
        > N B: 3 0 0 0 0
        ",
    );
}

#[test]
fn an_order_is_reserved_picked_packed_and_shipped() {
    check(
        "
        0 warehouse N
        0 variant A
        0 INBOUND N A:10
        ---
        1 RESERVATION N A:4 order=O-1
        > RESERVATION N at 1, 4 A available -> reserved
        2 RESERVATION N A:2 order=O-1
        > RESERVATION N at 2, 2 A available -> reserved
        3 RESERVATION N A:5 order=O-2
        > refused insufficient-stock: not enough stock, 4 of 5 A
        4 PICK N A:5 order=O-1
        > PICK N at 4, 4 A reserved -> picked (of #4), 1 A reserved -> picked (of #5)
        5 stock
        > N A: 4 1 5 0 0
        6 PACK N A:6 order=O-1
        > refused insufficient-stock: not enough stock, 5 of 6 A
        7 PACK N A:4 order=O-1
        > PACK N at 7, 4 A picked -> packed (of #4)
        8 SHIP N A:3 order=O-2
        > refused insufficient-stock: not enough stock, 0 of 3 A
        9 SHIP N A:3 order=O-1
        > SHIP N at 9, 3 A packed -> customer (of #4)
        10 stock
        > N A: 4 1 1 1 0
        ",
    );
}

#[test]
fn a_cancelled_order_releases_what_it_holds_from_wherever_it_is() {
    check(
        "
        0 warehouse N
        0 variant A
        0 INBOUND N A:6
        0 RESERVATION N A:6 order=O-1
        0 PICK N A:4 order=O-1
        0 PACK N A:2 order=O-1
        ---
        1 RELEASE N A:3 order=O-1
        > refused insufficient-stock: not enough stock, 2 of 3 A
        2 RELEASE N A:2 order=O-1
        > RELEASE N at 2, 2 A reserved -> available (of #4)
        3 RELEASE N A:1 order=O-1 from=picked
        > RELEASE N at 3, 1 A picked -> available (of #4)
        4 RELEASE N A:2 order=O-1 from=packed
        > RELEASE N at 4, 2 A packed -> available (of #4)
        5 RELEASE N A:1 order=O-1 from=reserved
        > refused insufficient-stock: not enough stock, 0 of 1 A
        6 stock
        > N A: 5 0 1 0 0
        ",
    );
}

#[test]
fn what_an_order_holds_at_one_warehouse_is_not_held_at_another() {
    check(
        "
        0 warehouse N
        0 warehouse S
        0 variant A
        0 INBOUND N A:5
        0 INBOUND S A:5
        0 RESERVATION N A:3 order=O-1
        ---
        1 PICK S A:1 order=O-1
        > refused insufficient-stock: not enough stock, 0 of 1 A
        2 PICK N A:1 order=O-1
        > PICK N at 2, 1 A reserved -> picked (of #6)
        ",
    );
}

#[test]
fn what_has_run_out_is_free_at_its_instant_and_recorded_before_its_use() {
    check(
        "
        0 warehouse N
        0 variant A
        0 INBOUND N A:10
        0 RESERVATION N A:4 order=O-1 expires=20
        0 RESERVATION N A:4 order=O-2 expires=10
        ---
        9 OUTBOUND N A:3
        > refused insufficient-stock: not enough stock, 2 of 3 A
        10 stock
        > N A: 6 4 0 0 0
        10 OUTBOUND N A:3
        > EXPIRY N at 10, 4 A reserved -> available (of #5)
        > OUTBOUND N at 10, 3 A available -> customer
        30 OUTBOUND N A:2
        > OUTBOUND N at 30, 2 A available -> customer
        31 RESERVATION N A:5 order=O-3
        > EXPIRY N at 20, 4 A reserved -> available (of #4)
        > RESERVATION N at 31, 5 A available -> reserved
        ",
    );
}

#[test]
fn only_what_is_still_reserved_runs_out_and_then_it_is_no_longer_the_orders() {
    check(
        "
        0 warehouse N
        0 variant A
        0 INBOUND N A:5
        0 RESERVATION N A:5 order=O-1 expires=10
        0 PICK N A:2 order=O-1
        ---
        10 PICK N A:1 order=O-1
        > refused insufficient-stock: not enough stock, 0 of 1 A
        10 RELEASE N A:1 order=O-1
        > refused insufficient-stock: not enough stock, 0 of 1 A
        11 PACK N A:2 order=O-1
        > PACK N at 11, 2 A picked -> packed (of #4)
        12 OUTBOUND N A:4
        > refused insufficient-stock: not enough stock, 3 of 4 A
        13 OUTBOUND N A:3
        > EXPIRY N at 10, 3 A reserved -> available (of #4)
        > OUTBOUND N at 13, 3 A available -> customer
        ",
    );
}

#[test]
fn an_expiry_that_frees_two_variants_is_recorded_once() {
    check(
        "
        0 warehouse N
        0 variant A
        0 variant B
        0 INBOUND N A:5 B:5
        0 RESERVATION N A:5 B:4 order=O-1 expires=10
        0 RESERVATION N B:1 order=O-2 expires=9
        ---
        10 OUTBOUND N A:5 B:4
        > EXPIRY N at 10, 5 A reserved -> available (of #5), 4 B reserved -> available (of #5)
        > OUTBOUND N at 10, 5 A available -> customer, 4 B available -> customer
        11 HOLD N B:1
        > EXPIRY N at 9, 1 B reserved -> available (of #6)
        > HOLD N at 11, 1 B available -> held
        ",
    );
}

#[test]
fn a_reservation_expires_only_for_what_it_still_has_reserved() {
    check(
        "
        0 warehouse N
        0 variant A
        0 variant B
        0 INBOUND N A:5 B:5
        0 RESERVATION N A:2 B:2 order=O-1 expires=10
        0 RESERVATION N A:3 order=O-2 expires=11
        0 PICK N A:2 order=O-1
        ---
        12 OUTBOUND N A:3
        > EXPIRY N at 11, 3 A reserved -> available (of #6)
        > OUTBOUND N at 12, 3 A available -> customer
        ",
    );
}

#[test]
fn housekeeping_records_what_is_due_first_expiry_first() {
    check(
        "
        0 warehouse N
        0 variant A
        0 INBOUND N A:9
        0 RESERVATION N A:1 order=O-1 expires=12
        0 RESERVATION N A:2 order=O-2 expires=11
        0 RESERVATION N A:3 order=O-3 expires=13
        0 RESERVATION N A:3 order=O-4
        ---
        10 expire 9
        12 expire 1
        > EXPIRY N at 11, 2 A reserved -> available (of #5)
        12 expire 9
        > EXPIRY N at 12, 1 A reserved -> available (of #4)
        12 expire 9
        99 stock
        > N A: 6 3 0 0 0
        ",
    );
}

#[test]
fn goods_are_on_the_way_under_their_transfer() {
    check(
        "
        0 warehouse N
        0 warehouse S
        0 variant A
        0 INBOUND N A:9
        ---
        1 TRANSFER_OUT N A:6 transfer=T-1
        > TRANSFER_OUT N at 1, 6 A available -> transit
        2 TRANSFER_OUT N A:1 transfer=T-2
        > TRANSFER_OUT N at 2, 1 A available -> transit
        3 TRANSFER_IN S A:4 transfer=T-1
        > TRANSFER_IN S at 3, 4 A transit -> available
        4 TRANSFER_IN S A:3 transfer=T-1
        > refused insufficient-stock: not enough stock, 2 of 3 A
        5 stock
        > N A: 2 0 0 0 0
        > S A: 4 0 0 0 0
        > under T-1 A: 2
        > under T-2 A: 1
        ",
    );
}

#[test]
fn what_is_held_back_cannot_be_sold() {
    check(
        "
        0 warehouse N
        0 variant A
        0 INBOUND N A:5
        ---
        1 HOLD N A:4
        > HOLD N at 1, 4 A available -> held
        2 OUTBOUND N A:2
        > refused insufficient-stock: not enough stock, 1 of 2 A
        3 UNHOLD N A:5
        > refused insufficient-stock: not enough stock, 4 of 5 A
        4 UNHOLD N A:1
        > UNHOLD N at 4, 1 A held -> available
        5 stock
        > N A: 2 0 0 0 3
        ",
    );
}

#[test]
fn what_was_begun_can_be_finished_after_a_deactivation() {
    check(
        "
        0 warehouse N
        0 warehouse S
        0 variant A
        0 INBOUND N A:9
        0 RESERVATION N A:2 order=O-1
        0 HOLD N A:1
        0 TRANSFER_OUT N A:1 transfer=T-1
        0 change-variant A active=no
        0 change-warehouse N active=no
        0 change-warehouse S active=no
        ---
        1 PICK N A:2 order=O-1
        > PICK N at 1, 2 A reserved -> picked (of #5)
        2 RELEASE N A:1 order=O-1 from=picked
        > RELEASE N at 2, 1 A picked -> available (of #5)
        3 UNHOLD N A:1
        > UNHOLD N at 3, 1 A held -> available
        4 TRANSFER_IN S A:1 transfer=T-1
        > TRANSFER_IN S at 4, 1 A transit -> available
        5 HOLD N A:1
        > refused warehouse-inactive: the warehouse is not active
        6 change-warehouse N active=yes
        > WarehouseActivated(WarehouseNo(1))
        7 HOLD N A:1
        > refused variant-inactive: line 0: the variant is not active
        ",
    );
}

#[test]
fn expired_goods_may_be_thrown_away_but_not_sold() {
    check(
        "
        0 warehouse N
        0 variant A expires=10
        0 INBOUND N A:5
        ---
        9 OUTBOUND N A:1
        > OUTBOUND N at 9, 1 A available -> customer
        10 OUTBOUND N A:1
        > refused variant-expired: line 0: the variant expired
        10 OUTBOUND N A:1 at=9
        > OUTBOUND N at 9, 1 A available -> customer
        11 OUTBOUND N A:1 reason=DiscardExpired
        > OUTBOUND N at 11, 1 A available -> customer
        11 ADJUST N A:-1 reason=DiscardExpired
        > ADJUST N at 11, 1 A available -> adjustment
        12 change-variant A expires=none
        > VariantChanged { no: VariantNo(1), sku: None, name: None, product: None, expires_at: Some(None), tracks_lots: None }
        13 OUTBOUND N A:1
        > OUTBOUND N at 13, 1 A available -> customer
        ",
    );
}
