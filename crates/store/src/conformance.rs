//! What every [`EventStore`] must do, as a suite of checks. For tests: every check panics where a promise is broken.
//!
//! It covers the promises that can be checked without crashing; crashes and damage are the business of each
//! implementation's own tests.

use bincard_ledger::codec::Body;
use bincard_ledger::command::{IdempotencyKey, KeySpace};
use bincard_ledger::event::{CatalogueEvent, Event, Record, RecordedKey, StockEvent};
use bincard_ledger::id::{ProductNo, VariantNo, WarehouseNo};
use bincard_ledger::{Account, Bucket, Kind, Place, Position, Posting, Recorded, Stream, Timestamp, Version};

use crate::chain::Hash;
use crate::contract::{EventStore, FoundKey, Head, StoreError};
use crate::error::CommitError;

/// Makes stores for the suite.
pub trait Harness {
    /// The implementation.
    type Store: EventStore;
    /// A store on a ledger that is new.
    fn fresh(&mut self) -> Self::Store;
    /// The same ledger after a clean restart.
    fn reopen(&mut self, store: Self::Store) -> Self::Store;
}

/// Runs every check.
pub fn run<H: Harness>(harness: &mut H) {
    an_empty_ledger_has_nothing(harness);
    positions_and_versions_have_no_gaps(harness);
    a_commit_is_all_or_nothing(harness);
    a_stale_writer_is_refused(harness);
    time_does_not_go_back(harness);
    the_chain_is_the_documented_one(harness);
    keys_are_found_for_ever(harness);
    streams_are_read_by_version(harness);
    limits_and_edges_of_reading(harness);
    the_newest_snapshot_is_given_back(harness);
    everything_is_there_after_a_restart(harness);
}

fn must<T>(result: Result<T, StoreError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store refused: {error}"),
    }
}

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + micros)
}

fn stock(warehouse: u32, version: u64, key: Option<&IdempotencyKey>) -> Record {
    let posting = Posting {
        variant: VariantNo(3),
        from: Place::Account(Account::Supplier),
        to: Place::Bucket(Bucket::Available),
        quantity: i64::from(warehouse) * 1000,
        reservation: None,
    };
    let event = StockEvent {
        kind: Kind::Inbound,
        warehouse: WarehouseNo(warehouse),
        occurred_at: at(-5),
        reason: None,
        order: Some("order-1".into()),
        transfer: None,
        expires_at: None,
        about: None,
        noted: Vec::new(),
        counterpart: None,
        count: None,
        postings: std::iter::once(posting).collect(),
        notes: Some("note".into()),
    };
    record(version, key, Event::Stock(event))
}

fn product(version: u64) -> Record {
    let event = CatalogueEvent::ProductCreated {
        no: ProductNo(version as u32),
        name: "a product".into(),
    };
    record(version, None, Event::Catalogue(event))
}

fn record(version: u64, key: Option<&IdempotencyKey>, event: Event) -> Record {
    let key = key.map(|key| RecordedKey {
        key: key.clone(),
        fingerprint: version * 7,
    });
    let author = uuid::Uuid::from_u128(0xA);
    Record {
        version: Version(version),
        author,
        on_behalf_of: None,
        key,
        event,
    }
}

fn key(space: KeySpace, text: &str) -> IdempotencyKey {
    IdempotencyKey {
        space,
        text: text.into(),
    }
}

fn body(recorded_at: Timestamp, records: &[Record]) -> Body {
    let mut body = Body::new(recorded_at);
    records.iter().for_each(|record| body.push(record));
    body
}

/// Commits records, and gives what should be read back.
fn commit<S: EventStore>(store: &mut S, recorded_at: Timestamp, records: &[Record]) -> (Head, Vec<Recorded>) {
    let before = must(store.head()).position.0;
    must(store.begin());
    let head = must(store.commit(&body(recorded_at, records)));
    let events = (before + 1..).zip(records);
    let recorded = |(position, record): (u64, &Record)| Recorded {
        position: Position(position),
        recorded_at,
        record: record.clone(),
    };
    (head, events.map(recorded).collect())
}

fn an_empty_ledger_has_nothing<H: Harness>(harness: &mut H) {
    let mut store = harness.fresh();
    let head = must(store.head());
    let empty = (Position(0), 0, Hash::genesis(store.ledger()), Timestamp::MIN);
    assert_eq!((head.position, head.commit, head.hash, head.recorded_at), empty);
    assert!(must(store.begin()).is_empty());
    assert!(must(store.read(Position(0), 10)).is_empty());
    assert_eq!(must(store.event(Position(0))), None);
    assert_eq!(must(store.event(Position(1))), None);
    assert!(must(store.read_stream(Stream::Catalogue, Version(0), 10)).is_empty());
    assert_eq!(must(store.find_key(&key(KeySpace::Caller, "k"))), None);
    assert_eq!(must(store.snapshot()), None);
    let unchanged = must(store.commit(&Body::new(at(0))));
    assert_eq!(unchanged, head, "an empty body changes nothing");
}

fn positions_and_versions_have_no_gaps<H: Harness>(harness: &mut H) {
    let mut store = harness.fresh();
    let (head, mut expected) = commit(
        &mut store,
        at(0),
        &[product(1), stock(1, 1, None), stock(2, 1, None)],
    );
    assert_eq!(
        (head.position, head.commit, head.recorded_at),
        (Position(3), 1, at(0))
    );
    let (head, more) = commit(
        &mut store,
        at(0),
        &[stock(1, 2, None), product(2), stock(1, 3, None)],
    );
    expected.extend(more);
    assert_eq!((head.position, head.commit), (Position(6), 2));
    assert_eq!(must(store.read(Position(0), 100)), expected);
    for event in &expected {
        assert_eq!(must(store.event(event.position)).as_ref(), Some(event));
    }
}

fn a_commit_is_all_or_nothing<H: Harness>(harness: &mut H) {
    let mut store = harness.fresh();
    let (before, expected) = commit(&mut store, at(0), &[stock(1, 1, None)]);
    let refused_key = key(KeySpace::Caller, "refused");
    let bad = body(at(1), &[stock(1, 2, Some(&refused_key)), stock(1, 4, None)]);
    must(store.begin());
    let refused = store.commit(&bad);
    assert!(
        matches!(refused, Err(StoreError::Commit(CommitError::OutOfOrder { .. }))),
        "{refused:?}"
    );
    assert_eq!(must(store.head()), before);
    assert_eq!(must(store.read(Position(0), 10)), expected);
    assert_eq!(
        must(store.find_key(&refused_key)),
        None,
        "what was refused has used no key up"
    );
    let (_, more) = commit(&mut store, at(2), &[stock(1, 2, Some(&refused_key))]);
    assert_eq!(must(store.read(Position(1), 10)), more);
}

fn a_stale_writer_is_refused<H: Harness>(harness: &mut H) {
    let mut store = harness.fresh();
    commit(&mut store, at(0), &[stock(1, 1, None), product(1)]);
    for stale in [
        stock(1, 1, None),
        stock(1, 3, None),
        product(1),
        stock(2, 2, None),
        stock(3, 0, None),
    ] {
        must(store.begin());
        let (stream, found) = (stale.event.stream(), stale.version);
        match store.commit(&body(at(1), &[stale])) {
            Err(StoreError::Commit(CommitError::OutOfOrder {
                stream: named,
                found: version,
                ..
            })) => {
                assert_eq!((named, version), (stream, found));
            }
            other => panic!("a stale version was taken: {other:?}"),
        }
    }
    assert_eq!(must(store.head()).position, Position(2));
}

fn time_does_not_go_back<H: Harness>(harness: &mut H) {
    let mut store = harness.fresh();
    commit(&mut store, at(10), &[product(1)]);
    must(store.begin());
    let refused = store.commit(&body(at(9), &[product(2)]));
    assert!(
        matches!(refused, Err(StoreError::Commit(CommitError::BackInTime { .. }))),
        "{refused:?}"
    );
    commit(&mut store, at(10), &[product(2)]);
}

fn the_chain_is_the_documented_one<H: Harness>(harness: &mut H) {
    let mut store = harness.fresh();
    let genesis = [b"bincard ledger v1 genesis".as_slice(), &store.ledger().0].concat();
    let mut hash = *blake3::hash(&genesis).as_bytes();
    let mut first = 1u64;
    for step in 0..5u64 {
        let records = [stock(1, 2 * step + 1, None), stock(1, 2 * step + 2, None)];
        let bytes = body(at(step as i64), &records);
        let link = [
            &hash,
            first.to_le_bytes().as_slice(),
            blake3::hash(bytes.as_bytes()).as_bytes(),
        ]
        .concat();
        hash = *blake3::hash(&link).as_bytes();
        first += 2;
        let (head, _) = commit(&mut store, at(step as i64), &records);
        assert_eq!(head.hash, Hash(hash));
    }
    assert_eq!(must(harness.reopen(store).head()).hash, Hash(hash));
}

fn keys_are_found_for_ever<H: Harness>(harness: &mut H) {
    const COUNT: u64 = 300;
    let mut store = harness.fresh();
    let text = |version| format!("key {version}").replace(' ', "-");
    for version in 1..=COUNT {
        let own = key(KeySpace::Caller, &text(version));
        commit(&mut store, at(0), &[stock(1, version, Some(&own))]);
    }
    let same_text = key(KeySpace::Server, &text(5));
    assert_eq!(
        must(store.find_key(&same_text)),
        None,
        "the two spaces never meet"
    );
    let (head, _) = commit(&mut store, at(1), &[stock(2, 1, Some(&same_text))]);
    for _ in 0..2 {
        for version in 1..=COUNT {
            let found = must(store.find_key(&key(KeySpace::Caller, &text(version))));
            assert_eq!(
                found,
                Some(FoundKey {
                    position: Position(version),
                    fingerprint: version * 7
                })
            );
        }
        let found = must(store.find_key(&same_text));
        assert_eq!(
            found,
            Some(FoundKey {
                position: head.position,
                fingerprint: 7
            })
        );
        assert_eq!(must(store.find_key(&key(KeySpace::Caller, "never-used"))), None);
        store = harness.reopen(store);
    }
}

fn streams_are_read_by_version<H: Harness>(harness: &mut H) {
    let mut store = harness.fresh();
    let (mut events, mut version) = (Vec::new(), [0u64; 4]);
    for step in 0..200u32 {
        let warehouse = 1 + step % 7 % 3;
        version[warehouse as usize] += 1;
        events.extend(
            commit(
                &mut store,
                at(0),
                &[stock(warehouse, version[warehouse as usize], None)],
            )
            .1,
        );
    }
    for warehouse in 1..=3 {
        let stream = Stream::Warehouse(WarehouseNo(warehouse));
        let all: Vec<_> = events
            .iter()
            .filter(|event| event.record.event.stream() == stream)
            .cloned()
            .collect();
        assert_eq!(must(store.read_stream(stream, Version(0), 1000)), all);
        assert_eq!(must(store.read_stream(stream, Version(20), 7)), all[20..27]);
        assert!(must(store.read_stream(stream, Version(all.len() as u64), 7)).is_empty());
    }
    assert!(must(store.read_stream(Stream::Catalogue, Version(0), 7)).is_empty());
}

fn limits_and_edges_of_reading<H: Harness>(harness: &mut H) {
    let mut store = harness.fresh();
    let mut events = Vec::new();
    for step in 0..40 {
        let records: Vec<Record> = (0..5).map(|index| stock(1, step * 5 + index + 1, None)).collect();
        events.extend(commit(&mut store, at(0), &records).1);
    }
    for (after, limit) in [
        (0, 1),
        (0, 0),
        (3, 4),
        (4, 6),
        (5, 5),
        (99, 50),
        (198, 10),
        (199, 1),
        (200, 5),
        (999, 5),
    ] {
        let end = (after + limit).min(events.len());
        let expected = events.get(after..end).unwrap_or_default();
        assert_eq!(
            must(store.read(Position(after as u64), limit)),
            expected,
            "after {after}, {limit} at most"
        );
    }
    assert_eq!(must(store.event(Position(200))).as_ref(), events.last());
    assert_eq!(must(store.event(Position(201))), None);
}

fn the_newest_snapshot_is_given_back<H: Harness>(harness: &mut H) {
    let mut store = harness.fresh();
    for version in 1..=5u64 {
        let (head, _) = commit(&mut store, at(0), &[stock(1, version, None)]);
        must(store.put_snapshot(head.position, head.hash, &version.to_le_bytes()));
    }
    for _ in 0..2 {
        let head = must(store.head());
        let found = must(store.snapshot()).map(|found| (found.position, found.hash, found.bytes));
        assert_eq!(
            found,
            Some((head.position, head.hash, 5u64.to_le_bytes().to_vec()))
        );
        store = harness.reopen(store);
    }
}

fn everything_is_there_after_a_restart<H: Harness>(harness: &mut H) {
    let mut store = harness.fresh();
    let mut events = Vec::new();
    let ledger = store.ledger();
    for version in 1..=60 {
        events.extend(commit(&mut store, at(version as i64), &[stock(1, version, None)]).1);
        if version % 20 == 0 {
            let head = must(store.head());
            store = harness.reopen(store);
            assert_eq!((must(store.head()), store.ledger()), (head, ledger));
            assert_eq!(must(store.read(Position(0), 1000)), events);
        }
    }
    must(store.begin());
    let stale = store.commit(&body(at(100), &[stock(1, 60, None)]));
    assert!(stale.is_err(), "versions are known after a restart");
}
