//! What was answered is there after a restart, whatever the start reads it from.

use bincard_engine::{Engine, Options, take_snapshot};
use bincard_ledger::{Kind, StockCommand, Timestamp, snapshot};

use crate::support::{
    HandClock, VARIANT, WAREHOUSE, furnish, keyed, moves, open, options, replayed, request, submit,
};

fn reserve(order: &str, quantity: i64, expires_at: i64) -> StockCommand {
    StockCommand {
        order: Some(order.into()),
        expires_at: Some(Timestamp::from_micros(expires_at)),
        ..moves(Kind::Reservation, quantity)
    }
}

#[test]
fn a_start_from_a_snapshot_and_the_tail_decides_as_one_from_the_whole_log() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::at(1_000);
    let with_clock = || Options {
        clock: clock.clock(),
        ..options()
    };
    let engine = Engine::open(folder.path(), with_clock()).unwrap();
    furnish(&engine.ledger(), 3);
    submit(&engine.ledger(), request(moves(Kind::Inbound, 100))).unwrap();
    submit(&engine.ledger(), request(reserve("o-1", 10, 5_000_000))).unwrap();
    let at = take_snapshot(engine.ledger().reader()).unwrap();
    assert_eq!(at, engine.ledger().status().head.position);
    submit(&engine.ledger(), keyed(moves(Kind::Outbound, 7), "k")).unwrap();
    let before = snapshot::encode(&replayed(&engine.ledger()));
    engine.close();

    let engine = Engine::open(folder.path(), with_clock()).unwrap();
    let ledger = engine.ledger();
    assert_eq!(snapshot::encode(&replayed(&ledger)), before);
    assert!(
        submit(&ledger, keyed(moves(Kind::Outbound, 7), "k"))
            .unwrap()
            .replayed
    );
    // 100 − 10 reserved − 7 gone leaves 83: the snapshot and the tail know it.
    assert!(submit(&ledger, request(moves(Kind::Outbound, 84))).is_err());
    submit(&ledger, request(moves(Kind::Outbound, 83))).unwrap();
}

#[test]
fn a_damaged_snapshot_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    furnish(&engine.ledger(), 1);
    submit(&engine.ledger(), request(moves(Kind::Inbound, 5))).unwrap();
    take_snapshot(engine.ledger().reader()).unwrap();
    engine.close();
    for file in std::fs::read_dir(folder.path().join("snapshots")).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    let engine = open(folder.path());
    submit(&engine.ledger(), request(moves(Kind::Outbound, 5))).unwrap();
    assert!(submit(&engine.ledger(), request(moves(Kind::Outbound, 1))).is_err());
}

#[test]
fn a_reservation_that_ran_out_is_recorded_as_such_when_the_writer_looks_next() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::at(1_000);
    let engine = Engine::open(
        folder.path(),
        Options {
            clock: clock.clock(),
            ..options()
        },
    )
    .unwrap();
    let ledger = engine.ledger();
    furnish(&ledger, 2);
    submit(&ledger, request(moves(Kind::Inbound, 10))).unwrap();
    submit(&ledger, request(reserve("o-1", 10, 2_000))).unwrap();
    assert!(submit(&ledger, request(moves(Kind::Outbound, 1))).is_err());
    clock.set(2_000);
    submit(&ledger, request(moves(Kind::Outbound, 4))).unwrap();
    let state = replayed(&ledger);
    assert_eq!(state.buckets(WAREHOUSE, VARIANT).0, [6, 0, 0, 0, 0]);
    assert!(state.reservations("o-1").is_empty());
}

#[test]
fn the_clock_of_the_ledger_never_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::at(5_000);
    let engine = Engine::open(
        folder.path(),
        Options {
            clock: clock.clock(),
            ..options()
        },
    )
    .unwrap();
    let ledger = engine.ledger();
    furnish(&ledger, 1);
    clock.set(1_000);
    let receipt = submit(&ledger, request(moves(Kind::Inbound, 1))).unwrap();
    assert_eq!(receipt.recorded_at, Timestamp::from_micros(5_000));
}
