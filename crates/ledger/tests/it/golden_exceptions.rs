//! The bytes of stock below zero and of exceptions, fixed for ever like those in [`crate::golden`].

use bincard_ledger::codec::{Body, BodyRef};
use bincard_ledger::command::CatalogueCommand as C;
use bincard_ledger::{
    CatalogueEvent as E, ClearCommand, Command, Event, Kind, NegativeStock, Place, Position, Posting, Record,
    Recorded, Request, State, StockEvent, VariantNo, WarehouseNo, snapshot,
};
use smallvec::smallvec;
use uuid::Uuid;

use crate::golden::{self, RECORDED_AT, bytes_of, hex_of};

const RECORDS: &str = include_str!("../golden/v1/records-exceptions.txt");
const SNAPSHOT: &str = include_str!("../golden/v1/snapshot-exceptions.txt");
const FINGERPRINTS: &str = include_str!("../golden/v1/fingerprints-exceptions.txt");

#[test]
fn records_are_the_same_both_ways() {
    let mut written = String::new();
    for (name, record) in log().0 {
        let mut body = Body::new(RECORDED_AT);
        body.push(&record);
        let read = BodyRef::parse(body.as_bytes()).unwrap();
        let raw = read.records().next().unwrap().unwrap();
        assert_eq!(raw.decode().unwrap(), record, "{name}");
        written += &format!("{name} {}\n", hex_of(raw.as_bytes()));
    }
    assert_eq!(written, RECORDS, "\n{written}");
}

#[test]
fn the_snapshot_is_the_same_both_ways() {
    let (_, state) = log();
    let written = hex_of(&snapshot::encode(&state));
    assert_eq!(format!("{written}\n"), SNAPSHOT, "\n{written}");
    let read = snapshot::decode(&bytes_of(SNAPSHOT)).unwrap();
    assert_eq!(snapshot::encode(&read), bytes_of(SNAPSHOT));
    let warehouse = read.warehouse(WarehouseNo(1)).unwrap();
    assert_eq!(warehouse.negative_stock, NegativeStock::Record);
    assert_eq!(read.buckets(WarehouseNo(1), VariantNo(1)).0, [-33, 8, 3, 2, 4]);
    let open: Vec<_> = read.open_exceptions().collect();
    assert_eq!(open, [(Position(state.head().0 - 3), WarehouseNo(1))]);
}

#[test]
fn fingerprints_are_what_they_always_were() {
    let create = |negative_stock| C::CreateWarehouse {
        code: "A".into(),
        name: "B".into(),
        negative_stock,
    };
    let change = |negative_stock| C::ChangeWarehouse {
        no: WarehouseNo(1),
        code: None,
        name: None,
        active: None,
        negative_stock,
    };
    let clear = |exception, notes: Option<&str>| {
        Command::Clear(ClearCommand {
            version: None,
            warehouse: WarehouseNo(1),
            exception: Position(exception),
            notes: notes.map(Box::from),
        })
    };
    let commands = [
        ("create", Command::Catalogue(create(None))),
        (
            "create-forbid",
            Command::Catalogue(create(Some(NegativeStock::Forbid))),
        ),
        (
            "create-record",
            Command::Catalogue(create(Some(NegativeStock::Record))),
        ),
        ("change", Command::Catalogue(change(None))),
        (
            "change-forbid",
            Command::Catalogue(change(Some(NegativeStock::Forbid))),
        ),
        (
            "change-record",
            Command::Catalogue(change(Some(NegativeStock::Record))),
        ),
        ("clear", clear(300, None)),
        ("clear-other", clear(301, None)),
        ("clear-notes", clear(300, Some("counted"))),
    ];
    let now: String = commands
        .into_iter()
        .map(|(name, command)| format!("{name} {:016x}\n", request(command).fingerprint()))
        .collect();
    assert_eq!(now, FINGERPRINTS, "\n{now}");
    let mut hashes: Vec<_> = now.lines().filter_map(|line| line.split_once(' ')).collect();
    hashes.sort_by_key(|(_, hash)| *hash);
    assert!(
        hashes.windows(2).all(|pair| pair[0].1 != pair[1].1),
        "two are alike"
    );
}

fn request(command: Command) -> Request {
    Request {
        command,
        author: Uuid::nil(),
        on_behalf_of: None,
        key: None,
    }
}

/// What goes on behind the golden records, and the state that it leads to. Warehouse 1 has 67 units of variant 1 available.
fn log() -> (Vec<(&'static str, Record)>, State) {
    let mut state = golden::state();
    let mut log = Vec::new();
    let outbound = StockEvent {
        kind: Kind::Outbound,
        warehouse: WarehouseNo(1),
        occurred_at: RECORDED_AT,
        reason: None,
        order: None,
        transfer: None,
        expires_at: None,
        about: None,
        noted: vec![(VariantNo(1), 3)],
        counterpart: None,
        count: None,
        postings: smallvec![Posting {
            variant: VariantNo(1),
            from: Place::Bucket(bincard_ledger::Bucket::Available),
            to: Place::Account(bincard_ledger::Account::Customer),
            quantity: 70,
            reservation: None,
        }],
        notes: None,
    };
    let mut again = outbound.clone();
    again.noted = vec![(VariantNo(1), 33)];
    again.postings[0].quantity = 30;
    let cleared = StockEvent {
        kind: Kind::ExceptionCleared,
        about: Some(state.head().next().next()),
        noted: Vec::new(),
        postings: smallvec![],
        notes: Some("gezählt".into()),
        ..outbound.clone()
    };
    let policy = |negative_stock| {
        let no = WarehouseNo(1);
        Event::Catalogue(E::WarehousePolicyChanged { no, negative_stock })
    };
    let events = [
        ("policy-record", policy(NegativeStock::Record)),
        ("outbound-below-zero", Event::Stock(outbound)),
        ("outbound-further-below-zero", Event::Stock(again)),
        ("exception-cleared", Event::Stock(cleared)),
        ("policy-forbid", policy(NegativeStock::Forbid)),
        ("policy-record-again", policy(NegativeStock::Record)),
    ];
    for (name, event) in events {
        let record = Record {
            version: state.next_version(event.stream()),
            author: Uuid::from_u128(0x00112233_4455_6677_8899_AABBCCDDEEFF),
            on_behalf_of: None,
            key: None,
            event,
        };
        let recorded = Recorded {
            position: state.head().next(),
            recorded_at: RECORDED_AT,
            record,
        };
        state.apply(&recorded).unwrap();
        log.push((name, recorded.record));
    }
    (log, state)
}
