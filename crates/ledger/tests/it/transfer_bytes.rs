//! The bytes that transfers added: records, fingerprints and a snapshot, fixed for ever, and logs that no ledger wrote.

use bincard_ledger::codec::{Body, BodyRef};
use bincard_ledger::{
    Bucket, CloseCommand, Command, Event, Kind, Line, Place, Position, Reason, ReceiveCommand, ReceivedLine,
    Record, Recorded, Request, State, StockCommand, StockEvent, Timestamp, VariantNo, WarehouseNo, snapshot,
};
use proptest::collection::vec;
use proptest::prelude::*;
use smallvec::smallvec;
use uuid::Uuid;

use crate::bytes::{check_snapshot, damage};
use crate::golden::{self, RECORDED_AT, body_around, bytes_of, hex_of, stock};

const RECORDS: &str = include_str!("../golden/v1/records-transfers.txt");
const FINGERPRINTS: &str = include_str!("../golden/v1/fingerprints-transfers.txt");
const SNAPSHOT: &str = include_str!("../golden/v1/snapshot-transfers.txt");

/// The first event behind the golden log, at whose warehouse 1 are 67 units of variant 1.
fn opened() -> Position {
    golden::state().head().next()
}

/// Behind the golden log: a transfer that is opened, received in part and closed, and one more that is opened.
fn events() -> Vec<(&'static str, StockEvent)> {
    let id = opened();
    let out = StockEvent {
        transfer: Some("T-9".into()),
        counterpart: Some(WarehouseNo(2)),
        count: None,
        ..stock(Kind::TransferOut, 1, 60, None)
    };
    let at_destination = |kind, about| StockEvent {
        kind,
        warehouse: WarehouseNo(2),
        transfer: Some("T-9".into()),
        about: Some(about),
        counterpart: Some(WarehouseNo(1)),
        count: None,
        postings: smallvec![],
        ..stock(Kind::Inbound, 2, 1, None)
    };
    let expected = StockEvent {
        noted: vec![(VariantNo(1), 60)],
        ..at_destination(Kind::TransferExpected, id)
    };
    let mut came = stock(Kind::TransferIn, 2, 40, None).postings;
    let damaged = Place::Bucket(Bucket::Held);
    came.push(bincard_ledger::Posting {
        to: damaged,
        quantity: 7,
        ..came[0]
    });
    let part = StockEvent {
        noted: vec![(VariantNo(1), 13)],
        postings: came,
        ..at_destination(Kind::TransferIn, id)
    };
    let missing = StockEvent {
        noted: vec![(VariantNo(1), 12)],
        ..at_destination(Kind::TransferIn, id)
    };
    let closed = StockEvent {
        reason: Some(Reason::Damage),
        postings: stock(Kind::TransferClosed, 2, 13, None).postings,
        notes: Some("Unfall".into()),
        ..at_destination(Kind::TransferClosed, id)
    };
    let nameless = StockEvent {
        counterpart: Some(WarehouseNo(2)),
        count: None,
        ..stock(Kind::TransferOut, 1, 1, None)
    };
    vec![
        ("transfer-out-to", out),
        ("transfer-expected", expected),
        ("transfer-in-part", part),
        ("transfer-in-missing", missing),
        ("transfer-out-to-nameless", nameless),
        ("transfer-closed", closed),
    ]
}

/// The events as records, each of which follows from those before, and the state before the last.
fn log() -> (Vec<(&'static str, Record)>, State) {
    let (mut state, mut before) = (golden::state(), State::default());
    let mut log = Vec::new();
    for (name, event) in events() {
        before = state.clone();
        let recorded = behind(&state, event);
        state.apply(&recorded).unwrap();
        log.push((name, recorded.record));
    }
    (log, before)
}

fn behind(state: &State, event: StockEvent) -> Recorded {
    let event = Event::Stock(event);
    Recorded {
        position: state.head().next(),
        recorded_at: RECORDED_AT,
        record: Record {
            version: state.next_version(event.stream()),
            author: Uuid::from_u128(0x00112233_4455_6677_8899_AABBCCDDEEFF),
            on_behalf_of: None,
            key: None,
            event,
        },
    }
}

#[test]
fn records_of_transfers_are_the_same_both_ways() {
    let (log, _) = log();
    let mut written = String::new();
    for (name, record) in &log {
        let mut body = Body::new(RECORDED_AT);
        body.push(record);
        let mut records = BodyRef::parse(body.as_bytes()).unwrap().records();
        let raw = records.next().unwrap().unwrap();
        written += &format!("{name} {}\n", hex_of(raw.as_bytes()));
    }
    assert_eq!(written, RECORDS, "\n{written}");
    for (line, (name, record)) in RECORDS.lines().zip(log) {
        let body = body_around(&bytes_of(line.split_once(' ').unwrap().1));
        let read = BodyRef::parse(&body).unwrap().records().next().unwrap();
        assert_eq!(read.unwrap().decode().unwrap(), record, "{name}");
    }
}

#[test]
fn a_snapshot_with_open_transfers_is_the_same_both_ways() {
    let (_, state) = log();
    let written = format!("{}\n", hex_of(&snapshot::encode(&state)));
    assert_eq!(written, SNAPSHOT, "\n{written}");
    let read = snapshot::decode(&bytes_of(SNAPSHOT)).unwrap();
    assert_eq!(format!("{}\n", hex_of(&snapshot::encode(&read))), SNAPSHOT);
    // When they were sent matters to counts only, and there are none.
    let open = |state: &State| -> Vec<_> {
        let all = state.transfers().map(|(id, one)| (id, one.clone()));
        let unsent = all.map(|(id, mut one)| {
            one.sent_at = Timestamp::MIN;
            (id, one)
        });
        unsent.collect()
    };
    assert_eq!(open(&read), open(&state));
    assert_eq!(open(&read).len(), 2);
    assert_eq!(read.transfer_by_name("T-9"), Some(opened()));
}

#[test]
fn fingerprints_of_transfers_are_what_they_always_were() {
    let mut seen = std::collections::BTreeMap::new();
    let mut now = String::new();
    for (name, command) in commands() {
        let request = Request {
            command,
            author: Uuid::nil(),
            on_behalf_of: None,
            key: None,
        };
        now += &format!("{name} {:016x}\n", request.fingerprint());
        let twin = seen.insert(request.fingerprint(), name);
        assert_eq!(twin, None, "{name} has the same fingerprint");
    }
    assert_eq!(now, FINGERPRINTS, "\n{now}");
}

/// Each differs from the first of its sort in one thing.
fn commands() -> Vec<(&'static str, Command)> {
    let dispatch = |counterpart: Option<u32>| {
        let line = Line {
            variant: VariantNo(1),
            quantity: 1,
        };
        let mut command = StockCommand::new(Kind::TransferOut, WarehouseNo(1), [line]);
        command.counterpart = counterpart.map(WarehouseNo);
        Command::Stock(command)
    };
    let receive = |change: fn(&mut ReceiveCommand)| {
        let mut command = ReceiveCommand {
            version: None,
            lots: Vec::new(),
            transfer: Position(5),
            warehouse: WarehouseNo(1),
            occurred_at: None,
            lines: Vec::new(),
            notes: None,
        };
        change(&mut command);
        Command::Receive(command)
    };
    fn line(received: i64, damaged: i64, short: i64) -> ReceivedLine {
        ReceivedLine {
            variant: VariantNo(1),
            received,
            damaged,
            short,
        }
    }
    let close = |change: fn(&mut CloseCommand)| {
        let mut command = CloseCommand {
            version: None,
            transfer: Position(5),
            reason: Reason::Other,
            notes: None,
        };
        change(&mut command);
        Command::Close(command)
    };
    vec![
        ("dispatch-nowhere", dispatch(None)),
        ("dispatch", dispatch(Some(2))),
        ("dispatch-elsewhere", dispatch(Some(300))),
        ("receive", receive(|_| ())),
        ("receive-transfer", receive(|c| c.transfer = Position(6))),
        ("receive-warehouse", receive(|c| c.warehouse = WarehouseNo(2))),
        (
            "receive-occurred-at",
            receive(|c| c.occurred_at = Some(Timestamp::from_micros(0))),
        ),
        ("receive-notes", receive(|c| c.notes = Some("x".into()))),
        ("receive-line", receive(|c| c.lines = vec![line(1, 0, 0)])),
        ("receive-line-damaged", receive(|c| c.lines = vec![line(0, 1, 0)])),
        ("receive-line-short", receive(|c| c.lines = vec![line(0, 0, 1)])),
        (
            "receive-lines",
            receive(|c| c.lines = vec![line(1, 0, 0), line(1, 0, 0)]),
        ),
        ("close", close(|_| ())),
        ("close-transfer", close(|c| c.transfer = Position(6))),
        ("close-reason", close(|c| c.reason = Reason::Damage)),
        ("close-notes", close(|c| c.notes = Some("x".into()))),
    ]
}

type Wrong = (&'static str, fn(&mut StockEvent));
const OTHER: &str = "it says other things of the transfer than are so";

/// Spoils the event of this name, which follows from those before it as it is.
fn check_wrong(of: &str, all: &[Wrong]) {
    let mut state = golden::state();
    for (name, event) in events() {
        if name == of {
            for (what, spoil) in all {
                let mut event = event.clone();
                spoil(&mut event);
                let refused = state.clone().apply(&behind(&state, event)).unwrap_err();
                assert_eq!(refused.what, *what);
            }
        }
        state.apply(&behind(&state, event)).expect("unspoilt, it follows");
    }
}

#[test]
fn each_wrong_transfer_is_refused_by_what_is_wrong_with_it() {
    const NOWHERE: &str = "the transfer goes to no other warehouse";
    const EXPECTED: &str = "it expects other things than are on the way";
    const WRITES_OFF: &str = "it writes off other things than are on the way";
    let available = Place::Bucket(Bucket::Available);
    assert_eq!(Kind::TransferOut.flow().unwrap().0, available);
    check_wrong(
        "transfer-out-to",
        &[
            (NOWHERE, |e| e.counterpart = Some(WarehouseNo(1))),
            (NOWHERE, |e| e.counterpart = Some(WarehouseNo(3))),
            ("it has another warehouse to do with and opens no transfer", |e| {
                e.kind = Kind::Outbound
            }),
            ("it opens a transfer of what is not on the way", |e| {
                e.postings[0].to = Place::Bucket(Bucket::Held)
            }),
            ("it opens a transfer of one variant twice", |e| {
                e.postings.push(e.postings[0])
            }),
            ("a bucket would fall below zero or overflow", |e| {
                e.postings[0].quantity = 68
            }),
            ("it moves nothing", |e| e.postings.clear()),
        ],
    );
    check_wrong(
        "transfer-out-to-nameless",
        &[("another open transfer has this name", |e| {
            e.transfer = Some("T-9".into())
        })],
    );
    check_wrong(
        "transfer-expected",
        &[
            ("it is about no transfer", |e| e.about = None),
            ("there is no such transfer", |e| e.about = Some(Position(1))),
            (OTHER, |e| e.warehouse = WarehouseNo(1)),
            (OTHER, |e| e.counterpart = Some(WarehouseNo(2))),
            (OTHER, |e| e.counterpart = None),
            (OTHER, |e| e.transfer = None),
            (EXPECTED, |e| e.noted[0].1 = 59),
            (EXPECTED, |e| e.noted.clear()),
            (EXPECTED, |e| {
                e.postings = stock(Kind::Inbound, 2, 1, None).postings
            }),
        ],
    );
    check_wrong(
        "transfer-in-part",
        &[
            (OTHER, |e| e.warehouse = WarehouseNo(1)),
            (OTHER, |e| e.transfer = Some("T-8".into())),
            ("it takes more than was on the way", |e| {
                e.postings[0].quantity = 54
            }),
            ("the transfer has nothing of this variant on the way", |e| {
                e.postings[0].variant = VariantNo(2)
            }),
            ("more is missing than is on the way", |e| e.noted[0].1 = 14),
            ("more is missing than is on the way", |e| e.noted[0].1 = 0),
            ("more is missing than is on the way", |e| {
                e.noted[0].0 = VariantNo(2)
            }),
            (
                "it receives what was not on the way, or where nothing arrives",
                |e| e.postings[0].to = Place::Bucket(Bucket::Packed),
            ),
            (
                "it receives what was not on the way, or where nothing arrives",
                |e| e.postings[0].from = Kind::Inbound.flow().unwrap().0,
            ),
            ("a posting moves less than one unit", |e| {
                e.postings[0].quantity = 0
            }),
        ],
    );
    check_wrong(
        "transfer-in-missing",
        &[("it moves nothing", |e| e.noted.clear())],
    );
    check_wrong(
        "transfer-closed",
        &[
            (OTHER, |e| e.counterpart = None),
            (WRITES_OFF, |e| e.postings[0].quantity = 12),
            (WRITES_OFF, |e| {
                e.postings[0].to = Kind::Outbound.flow().unwrap().1
            }),
            (WRITES_OFF, |e| e.postings.clear()),
        ],
    );
}

#[test]
fn a_snapshot_whose_transfers_cannot_be_is_refused() {
    let (_, state) = log();
    let sound = snapshot::encode(&state);
    let section = |numbers: &[u8]| {
        let mut bytes = snapshot::encode(&golden::state());
        bytes[0] = 2;
        bytes.extend(numbers);
        bytes
    };
    // Its number, how many; each its id, no name, from, to, lines: a variant and units.
    assert!(snapshot::decode(&section(&[1, 1, 9, 0, 1, 2, 1, 1, 5])).is_ok());
    let refused: [(&str, &[u8]); 11] = [
        ("no section", &[]),
        ("another section", &[99, 1, 9, 0, 1, 2, 1, 1, 5]),
        (
            "a section twice",
            &[1, 1, 9, 0, 1, 2, 1, 1, 5, 1, 1, 10, 0, 1, 2, 1, 1, 5],
        ),
        ("no transfers", &[1, 0]),
        ("a transfer to where it came from", &[1, 1, 9, 0, 1, 1, 1, 1, 5]),
        ("a transfer to no warehouse", &[1, 1, 9, 0, 1, 3, 1, 1, 5]),
        ("a transfer without lines", &[1, 1, 9, 0, 1, 2, 0]),
        ("a transfer of nothing", &[1, 1, 9, 0, 1, 2, 1, 1, 0]),
        ("a variant twice", &[1, 1, 9, 0, 1, 2, 2, 1, 5, 1, 5]),
        (
            "a transfer twice",
            &[1, 2, 9, 0, 1, 2, 1, 1, 5, 9, 0, 1, 2, 1, 1, 5],
        ),
        (
            "a name twice",
            &[1, 2, 9, 1, 1, 65, 1, 2, 1, 1, 5, 10, 1, 1, 65, 1, 2, 1, 1, 5],
        ),
    ];
    for (what, bytes) in refused {
        assert!(snapshot::decode(&section(bytes)).is_err(), "{what}");
    }
    for length in 0..sound.len() {
        assert!(snapshot::decode(&sound[..length]).is_err(), "{length} bytes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_snapshots_of_transfers_are_refused_or_read_but_never_panic(damage in vec(damage(), 0..4)) {
        let mut bytes = bytes_of(SNAPSHOT);
        damage.iter().for_each(|one| one.on(&mut bytes));
        check_snapshot(&bytes)?;
    }
}
