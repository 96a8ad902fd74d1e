//! A key makes a command happen at most once, for ever.

use bincard_engine::Refusal;
use bincard_ledger::command::KeySpace;
use bincard_ledger::{CatalogueCommand, IdempotencyKey, Kind, Position, Rejection, Version};

use crate::support::{furnish, keyed, moves, on_hand, open, request, submit};

#[test]
fn the_same_request_under_the_same_key_is_recorded_once() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let ledger = engine.ledger();
    furnish(&ledger, 1);
    let first = submit(&ledger, keyed(moves(Kind::Inbound, 5), "a")).unwrap();
    let again = submit(&ledger, keyed(moves(Kind::Inbound, 5), "a")).unwrap();
    assert!(!first.replayed && again.replayed);
    assert_eq!(
        (first.position, first.recorded_at),
        (again.position, again.recorded_at)
    );
    assert_eq!(on_hand(&ledger), 5);
}

#[test]
fn the_same_key_twice_in_one_batch_is_recorded_once() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let ledger = engine.ledger();
    furnish(&ledger, 1);
    let requests = (0..100)
        .map(|n| keyed(moves(Kind::Inbound, 5), &format!("k{}", n % 3)))
        .collect();
    let outcomes: Vec<_> = ledger
        .submit_batch_blocking(requests)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(outcomes.iter().filter(|receipt| !receipt.replayed).count(), 3);
    for (n, receipt) in outcomes.iter().enumerate() {
        assert_eq!(receipt.position, outcomes[n % 3].position);
    }
    assert_eq!(on_hand(&ledger), 15);
}

#[test]
fn another_request_under_the_same_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let ledger = engine.ledger();
    furnish(&ledger, 1);
    let first = submit(&ledger, keyed(moves(Kind::Inbound, 5), "a")).unwrap();
    let other = submit(&ledger, keyed(moves(Kind::Inbound, 6), "a"));
    assert_eq!(
        other,
        Err(Refusal::KeyReused {
            position: first.position
        })
    );
    assert_eq!(on_hand(&ledger), 5);
}

#[test]
fn a_refused_request_does_not_use_its_key_up() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let ledger = engine.ledger();
    furnish(&ledger, 1);
    let short = submit(&ledger, keyed(moves(Kind::Outbound, 5), "a"));
    assert!(matches!(
        short,
        Err(Refusal::Rejected(Rejection::Insufficient { .. }))
    ));
    submit(&ledger, request(moves(Kind::Inbound, 5))).unwrap();
    assert!(
        !submit(&ledger, keyed(moves(Kind::Outbound, 5), "a"))
            .unwrap()
            .replayed
    );
}

#[test]
fn keys_outlive_a_restart_and_a_lost_index() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    furnish(&engine.ledger(), 1);
    let first = submit(&engine.ledger(), keyed(moves(Kind::Inbound, 5), "a")).unwrap();
    engine.close();
    for loses_index in [false, true] {
        if loses_index {
            std::fs::remove_dir_all(folder.path().join("keys")).unwrap();
        }
        let engine = open(folder.path());
        let again = submit(&engine.ledger(), keyed(moves(Kind::Inbound, 5), "a")).unwrap();
        assert_eq!((again.replayed, again.position), (true, first.position));
        assert_eq!(on_hand(&engine.ledger()), 5);
        engine.close();
    }
}

#[test]
fn a_change_that_changes_nothing_records_nothing_and_names_its_subject() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let ledger = engine.ledger();
    furnish(&ledger, 1);
    let change = CatalogueCommand::ChangeWarehouse {
        no: crate::support::WAREHOUSE,
        code: None,
        name: None,
        active: Some(true),
        negative_stock: None,
    };
    let receipt = submit(&ledger, request(change)).unwrap();
    assert_eq!((receipt.position, receipt.subject), (Position(2), 1));
    assert_eq!(ledger.status().head.position, Position(2));
}

#[test]
fn a_key_is_found_where_it_was_recorded_and_nowhere_before() {
    let folder = tempfile::tempdir().unwrap();
    let key_of = |text: &str| keyed(moves(Kind::Inbound, 5), text).key.unwrap();
    let engine = open(folder.path());
    let ledger = engine.ledger();
    furnish(&ledger, 1);
    let first = submit(&ledger, keyed(moves(Kind::Inbound, 5), "a")).unwrap();
    let second = submit(&ledger, keyed(moves(Kind::Inbound, 5), "b")).unwrap();
    assert_eq!((first.version, second.version), (Version(1), Version(2)));
    assert_eq!(ledger.find_key(&key_of("a")).unwrap(), Some(first.position));
    assert_eq!(ledger.find_key(&key_of("c")).unwrap(), None);
    let of_server = IdempotencyKey::parse(KeySpace::Server, "a").unwrap();
    assert_eq!(
        ledger.find_key(&of_server).unwrap(),
        None,
        "the spaces never meet"
    );
    drop(ledger);
    engine.close();

    let engine = open(folder.path());
    let ledger = engine.ledger();
    engine.close();
    assert_eq!(
        ledger.find_key(&key_of("b")).unwrap(),
        Some(second.position),
        "a ledger that takes no requests is read all the same"
    );
}
