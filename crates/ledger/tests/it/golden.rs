//! The bytes of version 1, fixed for ever: what was once written must decode to what it meant.
//!
//! `tests/golden/v1/` holds them in hexadecimal, a name and the bytes a line. Files there are added to, never changed:
//! a test that fails here means that logs written before can no longer be read, or that the writer changed.

use bincard_ledger::codec::{Body, BodyRef};
use bincard_ledger::command::KeySpace;
use bincard_ledger::event::{CatalogueEvent as E, RecordedKey};
use bincard_ledger::{
    Event, IdempotencyKey, Kind, Place, Position, Posting, ProductNo, Reason, Record, Recorded, State,
    StockEvent, Timestamp, VariantNo, Version, WarehouseNo, snapshot,
};
use smallvec::smallvec;
use uuid::Uuid;

/// 2025-06-15T15:06:40.000001Z.
pub(crate) const RECORDED_AT: Timestamp = Timestamp::from_micros(1_750_000_000_000_001);
pub(crate) const EXPIRES_AT: Timestamp = Timestamp::from_micros(1_750_000_900_000_000);
const GOLDEN: &str = include_str!("../golden/v1/records.txt");
/// Kinds and fields that came later.
const GOLDEN_2: &str = include_str!("../golden/v1/records-2.txt");
const GOLDEN_BODY: &str = include_str!("../golden/v1/body.txt");
const GOLDEN_SNAPSHOT: &str = include_str!("../golden/v1/snapshot.txt");

#[test]
fn every_record_ever_written_still_decodes() {
    let lines = GOLDEN.lines().chain(GOLDEN_2.lines());
    let names: Vec<_> = lines.filter_map(|line| line.split_once(' ')).collect();
    let all: Vec<_> = log().into_iter().chain(later_log()).collect();
    assert_eq!(names.len(), all.len());
    for ((name, hex), (expected_name, expected)) in names.into_iter().zip(all) {
        assert_eq!(name, expected_name);
        let body = body_around(&bytes_of(hex));
        let mut records = BodyRef::parse(&body).unwrap().records();
        assert_eq!(
            records.next().unwrap().unwrap().decode().unwrap(),
            expected,
            "{name}"
        );
        assert!(records.next().is_none());
    }
}

#[test]
fn the_encoder_still_writes_the_same_records() {
    for (log, golden) in [(log(), GOLDEN), (later_log(), GOLDEN_2)] {
        let mut written = String::new();
        for (name, record) in log {
            let mut body = Body::new(RECORDED_AT);
            body.push(&record);
            let raw = BodyRef::parse(body.as_bytes())
                .unwrap()
                .records()
                .next()
                .unwrap()
                .unwrap();
            written += &format!("{name} {}\n", hex_of(raw.as_bytes()));
        }
        assert_eq!(written, golden, "\n{written}");
    }
}

#[test]
fn the_body_is_the_same_both_ways() {
    let mut body = Body::new(RECORDED_AT);
    records().iter().for_each(|record| body.push(record));
    assert_eq!(format!("{}\n", hex_of(body.as_bytes())), GOLDEN_BODY);
    let bytes = bytes_of(GOLDEN_BODY);
    let read = BodyRef::parse(&bytes).unwrap();
    assert_eq!(
        (read.recorded_at(), read.count() as usize),
        (RECORDED_AT, records().len())
    );
    let decoded: Vec<_> = read.records().map(|raw| raw.unwrap().decode().unwrap()).collect();
    assert_eq!(decoded, records());
}

#[test]
fn the_snapshot_is_the_same_both_ways() {
    assert_eq!(
        format!("{}\n", hex_of(&snapshot::encode(&state()))),
        GOLDEN_SNAPSHOT
    );
    let read = snapshot::decode(&bytes_of(GOLDEN_SNAPSHOT)).unwrap();
    assert_eq!(format!("{}\n", hex_of(&snapshot::encode(&read))), GOLDEN_SNAPSHOT);
    assert_eq!(read.head(), Position(log().len() as u64));
    assert_eq!(read.buckets(WarehouseNo(1), VariantNo(1)).0, [67, 8, 3, 2, 4]);
    assert_eq!(read.in_transit("T-1", VariantNo(1)), 2);
    assert_eq!(read.next_expiry(), Some(EXPIRES_AT));
    assert_eq!(read.reservations("O-1").len(), 1);
    assert_eq!(read.variant_by_sku("GREEN-1"), Some(VariantNo(1)));
    assert!(!read.warehouse(WarehouseNo(2)).unwrap().active);
}

pub(crate) fn records() -> Vec<Record> {
    log().into_iter().map(|(_, record)| record).collect()
}

/// The fold of all golden records.
pub(crate) fn state() -> State {
    let mut state = State::default();
    for record in records() {
        let (position, recorded_at) = (state.head().next(), RECORDED_AT);
        state
            .apply(&Recorded {
                position,
                recorded_at,
                record,
            })
            .unwrap();
    }
    state
}

/// What goes on behind the golden records: kinds and fields that came later. Each record follows from those before.
fn later_log() -> Vec<(&'static str, Record)> {
    let mut state = state();
    let mut log = Vec::new();
    for (name, event) in later_events() {
        let event = Event::Stock(event);
        let key = (name == "reversal").then(|| RecordedKey {
            key: IdempotencyKey::parse(KeySpace::Server, "reversal:20").unwrap(),
            fingerprint: 0x0123_4567_89AB_CDEF,
        });
        let record = Record {
            version: state.next_version(event.stream()),
            author: Uuid::from_u128(0x00112233_4455_6677_8899_AABBCCDDEEFF),
            on_behalf_of: None,
            key,
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
    log
}

/// At warehouse 1. O-1's reservation at 21 has 8 units of variant 1 reserved, 20 is what went out.
fn later_events() -> Vec<(&'static str, StockEvent)> {
    let extend = |expires_at| StockEvent {
        kind: Kind::Extend,
        order: Some("O-1".into()),
        expires_at,
        about: Some(Position(21)),
        noted: vec![(VariantNo(1), 8)],
        counterpart: None,
        count: None,
        postings: smallvec![],
        ..stock(Kind::Reservation, 1, 1, None)
    };
    let partial = StockEvent {
        order: Some("O-4".into()),
        expires_at: Some(EXPIRES_AT),
        noted: vec![(VariantNo(2), 300), (VariantNo(7), 1)],
        ..stock(Kind::Reservation, 1, 60, None)
    };
    let back = stock(Kind::Outbound, 1, 110, None);
    let (from, to) = (back.postings[0].to, back.postings[0].from);
    let posting = Posting {
        from,
        to,
        ..back.postings[0]
    };
    let reversal = StockEvent {
        kind: Kind::Reversal,
        reason: Some(Reason::Sale),
        about: Some(Position(20)),
        postings: smallvec![posting],
        notes: Some("doppelt".into()),
        ..back
    };
    vec![
        (
            "extend",
            extend(Some(EXPIRES_AT.saturating_add_micros(60_000_000))),
        ),
        ("extend-for-good", extend(None)),
        ("reservation-partial", partial),
        ("reversal", reversal),
    ]
}

/// A log with a record of every kind and every field that may be missing, there and missing, of those there were at
/// first.
fn log() -> Vec<(&'static str, Record)> {
    let mut versions = [0, 0, 0];
    let events = catalogue_events()
        .into_iter()
        .map(|(name, event)| (name, Event::Catalogue(event)));
    let stock = stock_events()
        .into_iter()
        .map(|(name, event)| (name, Event::Stock(event)));
    let events = events.chain(stock).chain(closing_events());
    let record = |(index, (name, event)): (usize, (&'static str, Event))| {
        let version = &mut versions[event.stream().code() as usize];
        *version += 1;
        let key = |space, text: &str| {
            let key = IdempotencyKey::parse(space, text).unwrap();
            RecordedKey {
                key,
                fingerprint: 0x0123_4567_89AB_CDEF,
            }
        };
        let record = Record {
            version: Version(*version),
            author: Uuid::from_u128(0x00112233_4455_6677_8899_AABBCCDDEEFF),
            on_behalf_of: (name == "outbound").then(|| Uuid::from_u128(7)),
            key: match name {
                "inbound" => Some(key(KeySpace::Caller, "order-4711")),
                "warehouse-created" => Some(key(KeySpace::Server, "import:1")),
                _ => None,
            },
            event,
        };
        assert!(index < 64);
        (name, record)
    };
    events.enumerate().map(record).collect()
}

fn catalogue_events() -> Vec<(&'static str, E)> {
    let (one, two) = (WarehouseNo(1), WarehouseNo(2));
    vec![
        (
            "warehouse-created",
            E::WarehouseCreated {
                no: one,
                code: "WH-1".into(),
                name: "Nord".into(),
            },
        ),
        (
            "warehouse-created-2",
            E::WarehouseCreated {
                no: two,
                code: "WH-2".into(),
                name: "Süd".into(),
            },
        ),
        (
            "warehouse-changed",
            E::WarehouseChanged {
                no: one,
                code: Some("WH-N".into()),
                name: None,
            },
        ),
        (
            "warehouse-changed-name",
            E::WarehouseChanged {
                no: one,
                code: None,
                name: Some("North".into()),
            },
        ),
        (
            "product-created",
            E::ProductCreated {
                no: ProductNo(1),
                name: "Mug".into(),
            },
        ),
        (
            "product-changed",
            E::ProductChanged {
                no: ProductNo(1),
                name: "Cup".into(),
            },
        ),
        ("product-deactivated", E::ProductDeactivated(ProductNo(1))),
        ("product-activated", E::ProductActivated(ProductNo(1))),
        (
            "variant-created",
            E::VariantCreated {
                tracks_lots: false,
                no: VariantNo(1),
                sku: "RED-1".into(),
                name: "Red".into(),
                product: Some(ProductNo(1)),
                expires_at: Some(EXPIRES_AT),
            },
        ),
        (
            "variant-created-bare",
            E::VariantCreated {
                tracks_lots: false,
                no: VariantNo(2),
                sku: "RED-2".into(),
                name: "Red".into(),
                product: None,
                expires_at: None,
            },
        ),
        (
            "variant-changed",
            E::VariantChanged {
                tracks_lots: None,
                no: VariantNo(1),
                sku: Some("GREEN-1".into()),
                name: Some("Green".into()),
                product: Some(Some(ProductNo(1))),
                expires_at: Some(Some(Timestamp::from_micros(-1))),
            },
        ),
        (
            "variant-changed-taken-away",
            E::VariantChanged {
                tracks_lots: None,
                no: VariantNo(1),
                sku: None,
                name: None,
                product: Some(None),
                expires_at: Some(None),
            },
        ),
        (
            "variant-changed-nothing",
            E::VariantChanged {
                tracks_lots: None,
                no: VariantNo(1),
                sku: None,
                name: None,
                product: None,
                expires_at: None,
            },
        ),
        ("variant-deactivated", E::VariantDeactivated(VariantNo(1))),
        ("variant-activated", E::VariantActivated(VariantNo(1))),
        ("warehouse-deactivated", E::WarehouseDeactivated(two)),
        ("warehouse-activated", E::WarehouseActivated(two)),
    ]
}

/// At warehouse 1, of variant 1 unless said otherwise. Reservations are at positions 21, 22 and 23.
fn stock_events() -> Vec<(&'static str, StockEvent)> {
    let order = |order: &str, event: StockEvent| StockEvent {
        order: Some(order.into()),
        ..event
    };
    let transfer = |event: StockEvent| StockEvent {
        transfer: Some("T-1".into()),
        ..event
    };
    let inbound = StockEvent {
        reason: Some(Reason::Purchase),
        notes: Some("zwei Paletten".into()),
        ..stock(Kind::Inbound, 1, 200, None)
    };
    let mut two_lines = stock(Kind::Inbound, 1, 1_000_000_000, None);
    two_lines.postings.push(Posting {
        variant: VariantNo(2),
        quantity: 127,
        ..two_lines.postings[0]
    });
    let outbound = StockEvent {
        reason: Some(Reason::Sale),
        occurred_at: Timestamp::from_micros(0),
        ..stock(Kind::Outbound, 1, 110, None)
    };
    let mut back = stock(Kind::Adjust, 1, 1_000_000_000, None);
    (back.postings[0].from, back.postings[0].to) = (back.postings[0].to, back.postings[0].from);
    let expiring = StockEvent {
        expires_at: Some(EXPIRES_AT),
        ..stock(Kind::Reservation, 1, 20, None)
    };
    let short = StockEvent {
        expires_at: Some(RECORDED_AT),
        ..stock(Kind::Reservation, 1, 1, None)
    };
    vec![
        ("inbound", inbound),
        ("inbound-two-lines", two_lines),
        ("outbound", outbound),
        ("reservation-expiring", order("O-1", expiring)),
        ("reservation", order("O-2", stock(Kind::Reservation, 1, 2, None))),
        ("reservation-short", order("O-3", short)),
        ("adjust-negative", back),
        ("adjust-positive", stock(Kind::Adjust, 1, 6, None)),
        ("expiry", order("O-3", stock(Kind::Expiry, 1, 1, Some(23)))),
        ("release", order("O-2", stock(Kind::Release, 1, 2, Some(22)))),
        ("pick", order("O-1", stock(Kind::Pick, 1, 12, Some(21)))),
        ("pack", order("O-1", stock(Kind::Pack, 1, 9, Some(21)))),
        ("ship", order("O-1", stock(Kind::Ship, 1, 7, Some(21)))),
        ("hold", stock(Kind::Hold, 1, 9, None)),
        ("unhold", stock(Kind::Unhold, 1, 5, None)),
        ("transfer-out", transfer(stock(Kind::TransferOut, 1, 5, None))),
        ("transfer-in", transfer(stock(Kind::TransferIn, 2, 3, None))),
    ]
}

/// So that the snapshot has something inactive too.
fn closing_events() -> Vec<(&'static str, Event)> {
    let outbound = |reason| {
        Event::Stock(StockEvent {
            reason: Some(reason),
            ..stock(Kind::Outbound, 2, 1, None)
        })
    };
    let adjust = StockEvent {
        reason: Some(Reason::CountCorrection),
        ..stock(Kind::Adjust, 2, 4, None)
    };
    vec![
        ("reason-count-correction", Event::Stock(adjust)),
        ("reason-damage", outbound(Reason::Damage)),
        ("reason-discard-expired", outbound(Reason::DiscardExpired)),
        ("reason-other", outbound(Reason::Other)),
        (
            "warehouse-deactivated-last",
            Event::Catalogue(E::WarehouseDeactivated(WarehouseNo(2))),
        ),
    ]
}

pub(crate) fn stock(kind: Kind, warehouse: u32, quantity: i64, reservation: Option<u64>) -> StockEvent {
    let (from, to): (Place, Place) = kind.flow().unwrap();
    let (variant, reservation) = (VariantNo(1), reservation.map(Position));
    StockEvent {
        kind,
        warehouse: WarehouseNo(warehouse),
        occurred_at: RECORDED_AT,
        reason: None,
        order: None,
        transfer: None,
        expires_at: None,
        about: None,
        noted: Vec::new(),
        counterpart: None,
        count: None,
        postings: smallvec![Posting {
            variant,
            from,
            to,
            quantity,
            reservation
        }],
        notes: None,
    }
}

/// A body of version 1 that holds one record.
pub(crate) fn body_around(record: &[u8]) -> Vec<u8> {
    let mut body = vec![1];
    body.extend(RECORDED_AT.micros().to_le_bytes());
    body.extend(1u32.to_le_bytes());
    assert!(record.len() < 128, "a length of one byte");
    body.push(record.len() as u8);
    body.extend(record);
    body
}

pub(crate) fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn bytes_of(hex: &str) -> Vec<u8> {
    let hex = hex.trim();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}
