//! Callers, and the queue between them and the writer.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bincard_engine::{Engine, Options, Refusal};
use bincard_ledger::{Kind, Timestamp};

use crate::support::{
    VARIANT, WAREHOUSE, furnish, keyed, moves, on_hand, open, options, replayed, request, submit,
};

#[test]
fn many_callers_at_once_never_oversell() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let ledger = engine.ledger();
    furnish(&ledger, 1);
    submit(&ledger, request(moves(Kind::Inbound, 1_000))).unwrap();
    let taken: i64 = thread::scope(|scope| {
        let clients: Vec<_> = (0..16)
            .map(|client| {
                let ledger = ledger.clone();
                scope.spawn(move || {
                    let mut taken = 0;
                    for turn in 0..100 {
                        let request = keyed(moves(Kind::Outbound, 3), &format!("{client}/{turn}"));
                        match submit(&ledger, request) {
                            Ok(_) => taken += 3,
                            Err(refusal) => assert!(matches!(refusal, Refusal::Rejected(_)), "{refusal}"),
                        }
                    }
                    taken
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(taken, 999);
    assert_eq!(on_hand(&ledger), 1);
}

#[test]
fn a_full_queue_is_busy_and_a_batch_waits_for_room() {
    let folder = tempfile::tempdir().unwrap();
    // A clock that can be held holds the writer: what is submitted meanwhile waits in the queue.
    let gate = Arc::new(Mutex::new(()));
    let clock_gate = gate.clone();
    let clock = Arc::new(move || {
        drop(clock_gate.lock().unwrap_or_else(PoisonError::into_inner));
        Timestamp::from_micros(1_000_000)
    });
    let engine = Engine::open(
        folder.path(),
        Options {
            queue_requests_max: 4,
            clock,
            ..options()
        },
    )
    .unwrap();
    let ledger = engine.ledger();
    furnish(&ledger, 1);
    let held = gate.lock().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let outcomes = runtime.block_on(async {
        let singles = (0..32).map(|_| {
            let ledger = ledger.clone();
            tokio::spawn(async move { ledger.submit(request(moves(Kind::Inbound, 1))).await })
        });
        let singles: Vec<_> = singles.collect();
        for _ in 0..4 {
            tokio::task::yield_now().await;
        }
        let busy = ledger.submit(request(moves(Kind::Inbound, 1))).await;
        let batch = {
            let ledger = ledger.clone();
            let requests = (0..8).map(|_| request(moves(Kind::Inbound, 1))).collect();
            tokio::spawn(async move { ledger.submit_batch(requests).await })
        };
        tokio::task::yield_now().await;
        drop(held);
        let mut outcomes = vec![busy];
        for single in singles {
            outcomes.push(single.await.unwrap());
        }
        outcomes.extend(batch.await.unwrap());
        outcomes
    });
    assert_eq!(outcomes[0], Err(Refusal::Busy));
    assert!(
        outcomes[33..].iter().all(Result::is_ok),
        "a batch waits: {:?}",
        &outcomes[33..]
    );
    let accepted = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(on_hand(&ledger), accepted as i64);
}

#[test]
fn answers_come_in_the_order_of_the_requests_also_across_commits() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::open(
        folder.path(),
        Options {
            batch_requests_max: 7,
            ..options()
        },
    )
    .unwrap();
    let ledger = engine.ledger();
    furnish(&ledger, 1);
    let requests = (1..=200)
        .map(|quantity| request(moves(Kind::Inbound, quantity)))
        .collect();
    let outcomes = ledger.submit_batch_blocking(requests);
    let positions: Vec<u64> = outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap().position.0)
        .collect();
    assert_eq!(positions, (3..=202).collect::<Vec<_>>());
}

#[test]
fn a_closed_ledger_says_so_and_its_folder_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(folder.path());
    let ledger = engine.ledger();
    furnish(&ledger, 1);
    engine.close();
    assert!(matches!(
        submit(&ledger, request(moves(Kind::Inbound, 1))),
        Err(Refusal::Stopped { .. })
    ));
    drop(ledger);
    let engine = open(folder.path());
    submit(&engine.ledger(), request(moves(Kind::Inbound, 1))).unwrap();
    assert_eq!(
        replayed(&engine.ledger()).buckets(WAREHOUSE, VARIANT).available(),
        1
    );
}
