//! Several nodes over one database: one of them relays.

use std::sync::OnceLock;

use bincard_store::postgres::{Appender, Database};
use bincard_testkit::postgres::Postgres;

use crate::support::{Bench, Running, body, positions, until};

/// One server serves all tests of this program; it ends with the process.
fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start().expect("a private PostgreSQL starts"))
}

/// A database of its own, and another connection to it.
async fn database(name: &'static str) -> Database {
    use sqlx::{AssertSqlSafe, Connection, Executor};
    let mut connection = sqlx::PgConnection::connect(&server().socket_url("postgres"))
        .await
        .expect("works");
    let sql = format!("create database {name}");
    connection
        .execute(sqlx::raw_sql(AssertSqlSafe(sql)))
        .await
        .expect("works");
    tokio::task::spawn_blocking(move || {
        let database = Database::connect(&server().socket_url(name)).expect("works");
        database.migrate().expect("works");
        database
    })
    .await
    .expect("works")
}

/// Appends events on a thread that may wait.
async fn append(mut appender: Appender, count: u64) -> Appender {
    tokio::task::spawn_blocking(move || {
        appender.begin().expect("works");
        let first = appender.head().position.0 + 1;
        appender.commit(&body(first, count)).expect("works");
        appender
    })
    .await
    .expect("works")
}

async fn appender(database: &Database, tenant: &'static str) -> Appender {
    let database = database.clone();
    tokio::task::spawn_blocking(move || database.open(tenant).expect("works").appender)
        .await
        .expect("works")
}

fn relaying(nodes: &[&Running]) -> Vec<bool> {
    nodes.iter().map(|node| node.relay.is_relaying()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_relays_and_another_takes_over() {
    let bench = Bench::start();
    let database = database("taking_over").await;
    let mut shop = appender(&database, "shop").await;
    shop = append(shop, 200).await;
    let first = bench.node(&database);
    until("the first relays", || first.position("shop") == 200).await;
    let second = bench.node(&database);
    shop = append(shop, 50).await;
    until("the first relays on", || first.position("shop") == 250).await;
    assert_eq!(relaying(&[&first, &second]), [true, false]);

    // One that ends in order gives the right back.
    first.stop().await;
    shop = append(shop, 30).await;
    until("the second relays", || second.position("shop") == 280).await;

    // One that dies is waited for until its right has run out.
    let third = bench.node(&database);
    second.kill().await;
    let shop = append(shop, 20).await;
    until("the third relays", || third.position("shop") == 300).await;
    assert!(third.relay.is_relaying());
    // It waits for its session's end.
    tokio::task::spawn_blocking(move || drop(shop)).await.unwrap();
    assert_eq!(
        positions(&bench.messages().await),
        (1..=300).collect::<Vec<u64>>()
    );
}

/// The right is not given while another has it, and not kept by one that lost it.
#[tokio::test(flavor = "multi_thread")]
async fn the_right_to_relay_is_one_nodes_at_a_time() {
    let database = database("rights").await;
    let (a, b) = (uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
    let long = std::time::Duration::from_secs(3600);
    assert!(database.take_relay(a, long).await.unwrap());
    assert!(!database.take_relay(b, long).await.unwrap());
    assert!(
        database.take_relay(a, std::time::Duration::ZERO).await.unwrap(),
        "its own is renewed"
    );
    assert!(database.take_relay(b, long).await.unwrap(), "the other's ran out");
    assert!(!database.take_relay(a, long).await.unwrap());
    database.give_relay_back(a).await.unwrap();
    assert!(
        !database.take_relay(a, long).await.unwrap(),
        "nobody gives back what another has"
    );
    database.give_relay_back(b).await.unwrap();
    assert!(database.take_relay(a, long).await.unwrap());
}
