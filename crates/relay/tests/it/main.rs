//! The relay against a real NATS server of each test's own, and a real log.

mod faults;
mod nodes;
mod support;

use bincard_ledger::Position;
use support::{Bench, Ledger, messages_of, positions};

/// Nothing is missing, nothing is there twice, and the order is the log's.
#[tokio::test(flavor = "multi_thread")]
async fn every_event_arrives_once_and_in_order() {
    let bench = Bench::start();
    let (mut shop, mut other) = (Ledger::open("shop"), Ledger::open("other"));
    // Some before the relay starts, some while it runs, in commits of all sizes.
    shop.append(700);
    let relay = bench.relay(&[&shop, &other]);
    for count in [1, 2, 50, 900, 1, 3] {
        shop.append(count);
        other.append(count);
    }
    relay.has_relayed(&[&shop, &other]).await;
    let messages = bench.messages().await;
    for ledger in [&shop, &other] {
        let of = messages_of(&messages, ledger);
        assert_eq!(positions(&of), (1..=ledger.head()).collect::<Vec<u64>>());
        for message in of {
            assert_eq!(
                message.subject,
                format!("bincard.events.{}.catalogue", ledger.tenant)
            );
            assert_eq!(
                message.body,
                format!("{} {}", ledger.tenant, message.position.unwrap())
            );
            assert_eq!(message.content_type, "application/cloudevents+json");
        }
    }
    assert_eq!(messages.len() as u64, shop.head() + other.head());
    let standing = &relay.relay.standings()[1];
    assert_eq!(
        (standing.position.0, standing.published),
        (shop.head(), shop.head())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_comes_later_is_relayed_too() {
    let bench = Bench::start();
    let mut shop = Ledger::open("shop");
    shop.append(10);
    let relay = bench.relay(&[&shop]);
    relay.has_relayed(&[&shop]).await;
    let mut late = Ledger::open("late");
    late.append(5);
    relay.follow(&late);
    relay.has_relayed(&[&shop, &late]).await;
    assert_eq!(
        positions(&messages_of(&bench.messages().await, &late)),
        [1, 2, 3, 4, 5]
    );
}

/// What was relayed before the stream was emptied is in the ledger: nobody wants years of it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_purged_goes_on_from_the_checkpoint() {
    let bench = Bench::start();
    let mut shop = Ledger::open("shop");
    shop.append(100);
    let relay = bench.relay(&[&shop]);
    relay.has_relayed(&[&shop]).await;
    relay.stop().await;
    assert_eq!(shop.reader.relayed().unwrap(), Some(Position(100)));
    bench.stream().await.purge().await.unwrap();
    shop.append(10);
    let relay = bench.relay(&[&shop]);
    relay.has_relayed(&[&shop]).await;
    assert_eq!(
        positions(&bench.messages().await),
        (101..=110).collect::<Vec<u64>>()
    );
}

/// A stream that was deleted is made again when it is missed; here, after the relay was started anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_deleted_is_made_again() {
    let bench = Bench::start();
    let mut shop = Ledger::open("shop");
    shop.append(20);
    let relay = bench.relay(&[&shop]);
    relay.has_relayed(&[&shop]).await;
    bench
        .context()
        .await
        .delete_stream(bincard_relay::STREAM)
        .await
        .unwrap();
    shop.append(5);
    relay.has_relayed(&[&shop]).await;
    assert_eq!(
        positions(&bench.messages().await),
        (21..=25).collect::<Vec<u64>>()
    );
}
