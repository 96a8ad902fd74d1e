//! What goes wrong: a relay that dies, a NATS that dies or forgets, somebody else's messages.

use std::time::Duration;

use bincard_relay::{Relay, STREAM};

use crate::support::{Bench, Ledger, Logged, Message, Running, messages_of, positions, until};

fn is_whole(messages: &[Message], ledgers: &[&Ledger]) {
    for ledger in ledgers {
        let found = positions(&messages_of(messages, ledger));
        assert_eq!(
            found,
            (1..=ledger.head()).collect::<Vec<u64>>(),
            "{}",
            ledger.tenant
        );
    }
}

/// Where it dies is left to chance: at another place in every round.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_killed_over_and_over_leaves_neither_gap_nor_double() {
    let bench = Bench::start();
    let (mut shop, mut other) = (Ledger::open("shop"), Ledger::open("other"));
    for round in 0..25u64 {
        shop.append(1 + round * 7 % 200);
        other.append(1 + round * 13 % 90);
        let relay = bench.relay(&[&shop, &other]);
        let aim = shop.head() - round * 5 % 100;
        until("it has come some way", || relay.position("shop") + 100 >= aim).await;
        relay.kill().await;
    }
    let relay = bench.relay(&[&shop, &other]);
    relay.has_relayed(&[&shop, &other]).await;
    is_whole(&bench.messages().await, &[&shop, &other]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_may_be_killed_and_come_back() {
    let bench = Bench::start();
    let mut shop = Ledger::open("shop");
    let relay = bench.relay(&[&shop]);
    for _ in 0..3 {
        shop.append(1_500);
        let aim = shop.head() - 1_000;
        until("it is in the middle", || relay.position("shop") >= aim).await;
        bench.nats.lock().unwrap().kill().unwrap();
        shop.append(300);
        bench.nats.lock().unwrap().start_again().unwrap();
    }
    relay.has_relayed(&[&shop]).await;
    is_whole(&bench.messages().await, &[&shop]);
}

/// It is told once, and nothing is lost by it.
#[tokio::test]
async fn nats_may_be_away_when_the_relay_starts() {
    let (logged, _guard) = Logged::start();
    let bench = Bench::start();
    bench.nats.lock().unwrap().stop().unwrap();
    let mut shop = Ledger::open("shop");
    let relay = bench.relay(&[&shop]);
    shop.append(50);
    until("it is told", || logged.text().contains("NATS cannot be reached")).await;
    // Several attempts later it is still told once.
    until("it was tried again", || {
        logged.text().matches("still cannot go on").count() >= 2
    })
    .await;
    let text = logged.text();
    let warnings = text
        .lines()
        .filter(|line| line.contains("WARN") && line.contains("bincard_relay"));
    assert_eq!(warnings.count(), 1, "{text}");
    bench.nats.lock().unwrap().start_again().unwrap();
    relay.has_relayed(&[&shop]).await;
    is_whole(&bench.messages().await, &[&shop]);
    assert!(logged.text().contains("the relay goes on"), "{}", logged.text());
}

/// NATS acknowledges before a message is on its disk: after a power loss it may stand further back.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_lost_its_end_is_filled_again() {
    let bench = Bench::start();
    let (mut shop, mut other) = (Ledger::open("shop"), Ledger::open("other"));
    shop.append(100);
    other.append(40);
    let relay = bench.relay(&[&shop, &other]);
    relay.has_relayed(&[&shop, &other]).await;
    {
        let mut nats = bench.nats.lock().unwrap();
        nats.stop().unwrap();
        nats.keep_copy().unwrap();
        nats.start_again().unwrap();
    }
    shop.append(50);
    other.append(7);
    relay.has_relayed(&[&shop, &other]).await;
    {
        let mut nats = bench.nats.lock().unwrap();
        nats.kill().unwrap();
        nats.restore().unwrap();
        nats.start_again().unwrap();
    }
    shop.append(1);
    other.append(1);
    // What was acknowledged before is sent again: only the stream itself tells when it is whole.
    let stream = bench.stream().await;
    let whole = shop.head() + other.head();
    loop {
        let info = stream.get_info().await.unwrap();
        if info.state.last_sequence >= whole {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    relay.stop().await;
    let messages = bench.messages().await;
    is_whole(&messages, &[&shop, &other]);
    assert_eq!(messages.len() as u64, whole);
}

/// A foreign message may come between two of ours that are under way: the later one must not slip through.
#[tokio::test]
async fn foreign_messages_are_warned_of_and_make_no_gap() {
    let (logged, _guard) = Logged::start();
    let bench = Bench::start();
    let mut shop = Ledger::open("shop");
    shop.append(10);
    let relay = bench.relay(&[&shop]);
    relay.has_relayed(&[&shop]).await;
    let context = bench.context().await;
    for round in 0..30u64 {
        shop.append(400);
        let aim = shop.head() - 300;
        until("it is in the middle", || relay.position("shop") >= aim).await;
        let subject = ["bincard.events.shop.catalogue", "bincard.events.elsewhere"][round as usize % 2];
        context
            .publish(subject, "foreign".into())
            .await
            .unwrap()
            .await
            .unwrap();
    }
    shop.append(1);
    relay.has_relayed(&[&shop]).await;
    let messages = bench.messages().await;
    is_whole(&messages, &[&shop]);
    assert_eq!(messages.len() as u64, shop.head() + 30);
    let text = logged.text();
    assert!(text.contains("is not of this relay"), "{text}");
}

/// Two that both believe to be the one: the stream lets one message into each place.
#[tokio::test(flavor = "multi_thread")]
async fn two_relays_at_once_make_neither_gap_nor_double() {
    let bench = Bench::start();
    let (mut shop, mut other) = (Ledger::open("shop"), Ledger::open("other"));
    let relays = [bench.relay(&[&shop, &other]), bench.relay(&[&other, &shop])];
    for _ in 0..20 {
        shop.append(170);
        other.append(90);
        let aim = shop.head() - 100;
        until("one of them goes on", || {
            relays.iter().any(|relay| relay.position("shop") >= aim)
        })
        .await;
    }
    let heads = (shop.head(), other.head());
    until("one of them has all", || {
        let mut each = relays.iter();
        each.any(|relay| (relay.position("shop"), relay.position("other")) == heads)
    })
    .await;
    for relay in relays {
        relay.stop().await;
    }
    // One may have been stopped with the end under way.
    let relay = bench.relay(&[&shop, &other]);
    relay.has_relayed(&[&shop, &other]).await;
    let messages = bench.messages().await;
    is_whole(&messages, &[&shop, &other]);
    assert_eq!(messages.len() as u64, heads.0 + heads.1);
}

#[tokio::test]
async fn a_stream_with_fewer_replicas_than_asked_is_warned_of_and_left_alone() {
    let (logged, _guard) = Logged::start();
    let bench = Bench::start();
    let mut shop = Ledger::open("shop");
    shop.append(1);
    let relay = bench.relay(&[&shop]);
    relay.has_relayed(&[&shop]).await;
    relay.stop().await;
    let mut options = bench.options();
    options.replicas = 3;
    let relay = Running::start(Relay::new(options, None));
    relay.follow(&shop);
    shop.append(1);
    relay.has_relayed(&[&shop]).await;
    let text = logged.text();
    assert!(text.contains("1 replicas instead of 3"), "{text}");
    let config = bench.stream().await.get_info().await.unwrap().config;
    assert_eq!((config.name.as_str(), config.num_replicas), (STREAM, 1));
}
