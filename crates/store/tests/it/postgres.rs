//! The log in PostgreSQL: the suite that every event store passes, and what only a shared log can meet: other writers,
//! sessions that end or stop in the middle, rows that somebody changed.

mod known_keys;
mod repair;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bincard_ledger::codec::Body;
use bincard_ledger::command::KeySpace;
use bincard_ledger::event::{CatalogueEvent, Event, Record, RecordedKey};
use bincard_ledger::id::ProductNo;
use bincard_ledger::{IdempotencyKey, Position, Timestamp, Version};
use bincard_store::conformance::{self, Harness};
use bincard_store::postgres::{Appender, Database, DatabaseError, Opened, key_digest};
use bincard_store::{BeginError, CommitError, PostgresStore, ReadError, Reader};
use bincard_testkit::postgres::Postgres;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use uuid::Uuid;

/// One server serves all tests of this program; it ends with the process.
fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start().expect("a private PostgreSQL starts"))
}

/// A database of its own, with the log's tables.
fn database() -> Database {
    let database = empty_database();
    database.migrate().expect("the tables are made");
    database
}

fn empty_database() -> Database {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("store_{}", MADE.fetch_add(1, Relaxed));
    run_sql(
        &server().socket_url("postgres"),
        &format!("create database {name}"),
    );
    Database::connect(&server().socket_url(&name)).expect("the database answers")
}

/// Runs SQL as an operator would, beside the program.
fn run_sql(url: &str, sql: &str) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url).await.expect("connects");
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        connection
            .execute(sql)
            .await
            .expect("the statement runs")
            .rows_affected()
    })
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + micros)
}

fn product(version: u64, key: Option<&str>) -> Record {
    let event = CatalogueEvent::ProductCreated {
        no: ProductNo(u32::try_from(version).expect("small")),
        name: format!("product {version}").into(),
    };
    Record {
        version: Version(version),
        author: uuid::Uuid::from_u128(7),
        on_behalf_of: None,
        key: key.map(|text| RecordedKey {
            key: key_of(text),
            fingerprint: version,
        }),
        event: Event::Catalogue(event),
    }
}

fn key_of(text: &str) -> IdempotencyKey {
    IdempotencyKey {
        space: KeySpace::Caller,
        text: text.into(),
    }
}

fn body(records: &[Record]) -> Body {
    let mut body = Body::new(at(0));
    records.iter().for_each(|record| body.push(record));
    body
}

/// Two nodes with a ledger open.
fn two_nodes() -> (Database, Appender, Appender, Reader) {
    let first = database();
    let Opened {
        appender: a, created, ..
    } = first.open("shop").expect("opens");
    assert!(created);
    let Opened {
        appender: b,
        reader,
        created,
    } = first.open("shop").expect("opens");
    assert!(!created, "both have the same ledger");
    (first, a, b, Reader::Postgres(reader))
}

struct Tenants {
    database: Database,
    made: u32,
}

impl Harness for Tenants {
    type Store = PostgresStore;

    fn fresh(&mut self) -> PostgresStore {
        self.made += 1;
        PostgresStore::open(&self.database, &format!("tenant-{}", self.made)).expect("opens")
    }

    fn reopen(&mut self, store: PostgresStore) -> PostgresStore {
        drop(store);
        PostgresStore::open(&self.database, &format!("tenant-{}", self.made)).expect("opens")
    }
}

#[test]
fn a_log_in_postgresql_keeps_the_contract() {
    let database = database();
    conformance::run(&mut Tenants { database, made: 0 });
}

#[test]
fn what_another_node_appended_is_given_before_the_next_decision() {
    let (_database, mut a, mut b, reader) = two_nodes();
    assert!(a.begin().expect("begins").is_empty());
    a.commit(&body(&[product(1, Some("one")), product(2, None)]))
        .expect("commits");

    let missed = b.begin().expect("begins");
    let positions: Vec<_> = missed.iter().map(|event| event.position.0).collect();
    assert_eq!(positions, [1, 2]);
    assert_eq!(missed[0].record, product(1, Some("one")));
    assert!(b.begin().expect("is held already").is_empty());
    let head = b.commit(&body(&[product(3, None)])).expect("commits");
    assert_eq!((head.position, head.commit), (Position(3), 2));

    let missed = a.begin().expect("begins");
    assert_eq!(
        missed.iter().map(|event| event.position.0).collect::<Vec<_>>(),
        [3]
    );
    a.release();
    reader.wait_for(Position(3), Duration::from_secs(20));
    assert_eq!(reader.verify(|_| {}).expect("the chain holds").hash, head.hash);
}

#[test]
fn a_writer_that_did_not_look_is_refused() {
    let (_database, mut a, mut b, reader) = two_nodes();
    a.commit(&body(&[product(1, None)])).expect("nobody came between");
    let stale = b.commit(&body(&[product(1, None)]));
    assert!(
        matches!(stale, Err(CommitError::Overtaken { head: Position(1) })),
        "{stale:?}"
    );
    assert_eq!(b.begin().expect("begins").len(), 1);
    b.commit(&body(&[product(2, None)])).expect("commits");
    reader.wait_for(Position(2), Duration::from_secs(20));
    assert_eq!(reader.read(Position(0), 10).expect("reads").len(), 2);
}

#[test]
fn who_stops_while_holding_the_head_loses_it() {
    let (_database, mut a, mut b, _) = two_nodes();
    a.begin().expect("begins");
    // Longer than a healthy node ever holds it, and no more than the server lets a stopped one.
    let began = Instant::now();
    assert!(b.begin().expect("the head comes free").is_empty());
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    b.commit(&body(&[product(1, None)])).expect("commits");
    // The stopped one wakes up and goes on with what it decided.
    let late = a.commit(&body(&[product(1, None)]));
    assert!(matches!(late, Err(CommitError::Overtaken { .. })), "{late:?}");
}

#[test]
fn a_session_that_was_ended_is_replaced_and_the_commit_made() {
    let (database, mut a, _, reader) = two_nodes();
    a.begin().expect("begins");
    let end_sessions = "select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'bincard' and state = 'idle in transaction' and query like '%for update%'
        and datname = current_database()";
    run_sql(&url_of(&database), end_sessions);
    let head = a
        .commit(&body(&[product(1, Some("k"))]))
        .expect("nobody came between: it is made again");
    assert_eq!(head.position, Position(1));
    reader.wait_for(Position(1), Duration::from_secs(20));
    assert_eq!(reader.read(Position(0), 10).expect("reads").len(), 1);
    assert!(a.begin().expect("begins").is_empty());
}

/// The database that a handle is of.
fn url_of(database: &Database) -> String {
    server().socket_url(database.name())
}

#[test]
fn keys_are_answered_under_the_head_that_is_held() {
    let (_database, mut a, mut b, _) = two_nodes();
    a.begin().expect("begins");
    let keys = ["one", "two"].map(|text| key_digest(&key_of(text)));
    assert_eq!(a.find_keys(&keys).expect("asks"), [None, None]);
    a.commit(&body(&[product(1, None), product(2, Some("two"))]))
        .expect("commits");
    let missed = b.begin().expect("begins");
    assert_eq!(missed.len(), 2);
    assert_eq!(b.find_keys(&keys).expect("asks"), [None, Some(Position(2))]);
    // A key that is used twice all the same would be a bug: the database refuses it, and nothing is written.
    let twice = b.commit(&body(&[product(3, Some("two"))]));
    assert!(matches!(twice, Err(CommitError::Database { .. })), "{twice:?}");
    assert!(a.begin().expect("begins").is_empty());
}

#[test]
fn damage_is_named_and_never_served() {
    for (sql, position) in [
        (
            "update bincard_log.events set record = set_byte(record, 3, get_byte(record, 3) # 1) where position = 4",
            4,
        ),
        (
            "update bincard_log.events set crc = crc + 1 where position = 2",
            2,
        ),
        (
            "update bincard_log.events set record = record || '\\x00' where position = 6",
            6,
        ),
        ("delete from bincard_log.events where position = 5", 5),
        (
            "update bincard_log.commits set hash = set_byte(hash, 9, get_byte(hash, 9) # 16) where first = 3",
            3,
        ),
        (
            "update bincard_log.commits set recorded_at = recorded_at + 1 where first = 3",
            3,
        ),
        ("update bincard_log.commits set count = 0 where first = 3", 3),
        ("update bincard_log.commits set count = 0 where first = 5", 5),
        ("update bincard_log.commits set count = 1 where first = 5", 5),
    ] {
        let (database, mut a, mut b, reader) = two_nodes();
        for first in [1, 3, 5] {
            let key = first.to_string();
            a.commit(&body(&[product(first, Some(&key)), product(first + 1, None)]))
                .expect("commits");
        }
        reader.wait_for(Position(6), Duration::from_secs(20));
        run_sql(&url_of(&database), sql);
        // Who appends takes its word for what the records are from the commits, not from the checksums.
        match b.begin() {
            Ok(missed) if sql.contains("crc") => assert_eq!(missed.len(), 6),
            Err(BeginError::Read(ReadError::Damaged { position: named, .. })) => {
                assert_eq!(named.0, position, "{sql}");
                assert!(b.commit(&body(&[product(7, None)])).is_err(), "{sql}");
            }
            other => panic!("{sql}: {other:?}"),
        }
        b.release();
        let found = reader.verify(|_| {});
        let named = match found {
            Err(ReadError::Damaged { position, .. }) => position.0,
            other => panic!("{sql}: {other:?}"),
        };
        assert_eq!(named, position, "{sql}");
        let go_over = || -> Result<(), ReadError> {
            let mut commits = reader.commits(Position(0))?;
            while commits.next()?.is_some() {}
            Ok(())
        };
        let gone_over = go_over();
        assert!(
            matches!(gone_over, Err(ReadError::Damaged { .. })),
            "{sql}: {gone_over:?}"
        );
        // A single event is not held against its commit's row.
        if !sql.contains(".commits") {
            let found = reader.event(Position(position));
            assert!(
                matches!(found, Err(ReadError::Damaged { .. }) | Ok(None)),
                "{sql}: {found:?}"
            );
        }
    }
}

#[test]
fn a_key_in_another_column_than_its_record_is_not_followed() {
    for sql in [
        "update bincard_log.events set key = null where position = 1",
        "update bincard_log.events set key = gen_random_uuid() where position = 2",
    ] {
        let (database, mut a, mut b, _) = two_nodes();
        a.commit(&body(&[product(1, Some("one")), product(2, None)]))
            .expect("commits");
        run_sql(&url_of(&database), sql);
        let begun = b.begin();
        let Err(BeginError::Read(ReadError::Damaged { position, what })) = begun else {
            panic!("{sql}: {begun:?}");
        };
        assert!(sql.ends_with(&position.to_string()), "{sql}: {position}");
        assert!(what.contains("key"), "{what}");
    }
}

#[test]
fn a_log_that_lost_its_end_is_not_appended_to() {
    let (database, mut a, mut b, _) = two_nodes();
    a.commit(&body(&[product(1, None)])).expect("commits");
    a.commit(&body(&[product(2, None)])).expect("commits");
    assert_eq!(b.begin().expect("begins").len(), 2);
    b.release();
    // As after a failover to a standby that was behind.
    let lose =
        "delete from bincard_log.events where position = 2; delete from bincard_log.commits where first = 2;
        update bincard_log.ledgers set position = 1, commit = 1,
            hash = (select hash from bincard_log.commits where first = 1)";
    run_sql(&url_of(&database), lose);
    for node in [&mut a, &mut b] {
        let behind = node.begin();
        assert!(
            matches!(behind, Err(BeginError::Read(ReadError::Damaged { .. }))),
            "{behind:?}"
        );
        assert!(node.commit(&body(&[product(3, None)])).is_err());
    }
}

#[test]
fn a_ledger_that_moved_away_takes_nothing_more() {
    let (database, mut a, _, reader) = two_nodes();
    a.commit(&body(&[product(1, None)])).expect("commits");
    reader.wait_for(Position(1), Duration::from_secs(20));
    run_sql(
        &url_of(&database),
        "update bincard_log.ledgers set moved_to = 'the cellar'",
    );
    let moved = a.begin();
    assert!(
        matches!(&moved, Err(BeginError::Moved { to }) if to == "the cellar"),
        "{moved:?}"
    );
    assert!(a.commit(&body(&[product(2, None)])).is_err());
    assert_eq!(reader.read(Position(0), 10).expect("reading goes on").len(), 1);
}

/// Two servers may share a folder of sockets, and two users have a database of their own name.
#[test]
fn a_database_is_named_with_its_server_and_by_its_user() {
    let named = |address: &str| Database::connect(address).expect("connects").whereabouts();
    let (server, folder) = (server(), server().folder().display());
    let port = server.port();
    assert_eq!(
        named(&server.socket_url("template1")),
        format!("PostgreSQL (database template1 at {folder}:{port})")
    );
    let nameless = server.tcp_url("");
    assert_eq!(
        named(nameless.trim_end_matches('/')),
        format!("PostgreSQL (database postgres at 127.0.0.1:{port})")
    );
}

#[test]
fn a_seal_is_changed_only_where_it_is_as_it_was_seen() {
    let (database, ..) = two_nodes();
    database.open("other").expect("opens");
    let (both, shop) = (["shop".to_owned(), "other".to_owned()], ["shop".to_owned()]);
    let seals = || -> Vec<_> {
        let listed = database.ledgers().expect("lists");
        listed.into_iter().map(|one| one.moved_to).collect()
    };
    let change = |tenants, from, to| database.change_seal(tenants, from, to);
    change(&shop, None, Some("the cellar")).expect("it has none");
    for refused in [
        // Somebody else seals it as well, and wakes what was sealed for another place; one of two is not as it was.
        change(&shop, None, Some("the attic")),
        change(&shop, Some("the attic"), None),
        change(&both, Some("the cellar"), None),
    ] {
        let refused = refused.expect_err("it is another");
        assert!(
            matches!(refused, DatabaseError::MovedMeanwhile { .. }),
            "{refused}"
        );
        assert_eq!(seals(), [None, Some("the cellar".to_owned())]);
    }
    change(&shop, Some("the cellar"), None).expect("it is that");
    assert_eq!(seals(), [None, None]);
}

#[test]
fn the_tables_are_made_once_by_any_number_of_nodes() {
    let database = empty_database();
    assert_eq!(database.pending_migrations().expect("asks"), ["log", "relay"]);
    let nodes: Vec<_> = (0..4)
        .map(|_| {
            let database = database.clone();
            std::thread::spawn(move || database.migrate())
        })
        .collect();
    for node in nodes {
        node.join().expect("does not panic").expect("migrates");
    }
    assert!(database.pending_migrations().expect("asks").is_empty());
    assert_eq!(database.ledgers().expect("lists"), []);
}

#[test]
fn news_of_another_node_comes_by_itself() {
    let (_database, mut a, _b, reader) = two_nodes();
    let other = _database.clone();
    let Opened { reader: far, .. } = Database::connect(&url_of(&other))
        .expect("connects")
        .open("shop")
        .expect("opens");
    let (sender, told) = std::sync::mpsc::channel();
    far.on_advance(move |head| sender.send(head.position).expect("the test waits for it"));
    a.commit(&body(&[product(1, None)])).expect("commits");
    assert_eq!(
        told.recv_timeout(Duration::from_secs(20)).expect("is told"),
        Position(1)
    );
    assert_eq!(
        far.wait_for(Position(1), Duration::from_secs(20)).position,
        Position(1)
    );
    assert_eq!(
        reader
            .event(Position(1))
            .expect("reads")
            .map(|event| event.record),
        Some(product(1, None))
    );
}
