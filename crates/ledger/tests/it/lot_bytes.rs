//! The bytes that lots added: records, fingerprints and a snapshot, fixed for ever, and logs that no ledger wrote.

use bincard_ledger::codec::{Body, BodyRef};
use bincard_ledger::command::CatalogueCommand as C;
use bincard_ledger::event::CatalogueEvent as E;
use bincard_ledger::{
    Command, Event, Kind, Line, LineLot, Position, ReceiveCommand, ReceivedLine, Record, Recorded, Request,
    State, StockCommand, StockEvent, VariantNo, WarehouseNo, snapshot,
};
use uuid::Uuid;

use crate::bytes::check_snapshot;
use crate::golden::{self, RECORDED_AT, body_around, bytes_of, hex_of, stock};

const RECORDS: &str = include_str!("../golden/v1/records-lots.txt");
const FINGERPRINTS: &str = include_str!("../golden/v1/fingerprints-lots.txt");
const SNAPSHOT: &str = include_str!("../golden/v1/snapshot-lots.txt");

/// The first variant behind the golden log.
fn first() -> u32 {
    let (_, _, variants) = golden::state().catalogue_size();
    variants as u32 + 1
}

/// Behind the golden log: a variant in lots, one that comes to lie in lots, two lots, and stock of them.
fn events() -> Vec<(&'static str, Event)> {
    let [tracked, later, dated, undated] = [0, 1, 2, 3].map(|more| VariantNo(first() + more));
    let created = |no, sku: &str, tracks_lots| E::VariantCreated {
        no,
        sku: sku.into(),
        name: "Milk".into(),
        product: None,
        expires_at: None,
        tracks_lots,
    };
    let lot = |no, code: &str, expires_at| E::LotCreated {
        no,
        of: tracked,
        code: code.into(),
        expires_at,
    };
    let move_of = |variant, kind, quantity| {
        let mut event: StockEvent = stock(kind, 1, quantity, None);
        for posting in &mut event.postings {
            posting.variant = variant;
        }
        Event::Stock(event)
    };
    vec![
        (
            "variant-created-in-lots",
            Event::Catalogue(created(tracked, "MILK", true)),
        ),
        (
            "variant-created-whole",
            Event::Catalogue(created(later, "SALT", false)),
        ),
        (
            "variant-changed-tracking",
            Event::Catalogue(E::VariantChanged {
                no: later,
                sku: None,
                name: Some("Salt".into()),
                product: None,
                expires_at: None,
                tracks_lots: Some(true),
            }),
        ),
        (
            "lot-created",
            Event::Catalogue(lot(dated, "2026-07", Some(RECORDED_AT))),
        ),
        (
            "lot-created-undated",
            Event::Catalogue(lot(undated, "2026-08", None)),
        ),
        (
            "lot-changed",
            Event::Catalogue(E::LotChanged {
                no: undated,
                expires_at: Some(RECORDED_AT.saturating_add_micros(-1)),
            }),
        ),
        ("lot-deactivated", Event::Catalogue(E::VariantDeactivated(dated))),
        ("inbound-of-a-lot", move_of(dated, Kind::Inbound, 7)),
        ("inbound-of-another", move_of(undated, Kind::Inbound, 5)),
    ]
}

fn behind(state: &State, event: Event) -> Recorded {
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

fn log() -> (Vec<(&'static str, Record)>, State) {
    let mut state = golden::state();
    let mut log = Vec::new();
    for (name, event) in events() {
        let recorded = behind(&state, event);
        state.apply(&recorded).unwrap();
        log.push((name, recorded.record));
    }
    (log, state)
}

#[test]
fn records_of_lots_are_the_same_both_ways() {
    let (log, _) = log();
    let mut written = String::new();
    for (name, record) in &log {
        let mut body = Body::new(RECORDED_AT);
        body.push(record);
        let raw = BodyRef::parse(body.as_bytes()).unwrap().records().next().unwrap();
        written += &format!("{name} {}\n", hex_of(raw.unwrap().as_bytes()));
    }
    assert_eq!(written, RECORDS, "\n{written}");
    for (line, (name, record)) in RECORDS.lines().zip(log) {
        let body = body_around(&bytes_of(line.split_once(' ').unwrap().1));
        let read = BodyRef::parse(&body).unwrap().records().next().unwrap();
        assert_eq!(read.unwrap().decode().unwrap(), record, "{name}");
    }
}

#[test]
fn a_snapshot_with_lots_is_the_same_both_ways() {
    let (_, state) = log();
    let written = format!("{}\n", hex_of(&snapshot::encode(&state)));
    assert_eq!(written, SNAPSHOT, "\n{written}");
    let read = snapshot::decode(&bytes_of(SNAPSHOT)).unwrap();
    assert_eq!(format!("{}\n", hex_of(&snapshot::encode(&read))), SNAPSHOT);
    let [tracked, dated, undated] = [0, 2, 3].map(|more| VariantNo(first() + more));
    assert_eq!(read.lot_by_code(tracked, "2026-08"), Some(undated));
    let there: Vec<_> = read.lots_at(WarehouseNo(1), tracked).collect();
    assert_eq!(
        there,
        [undated, dated],
        "it expires earlier, though it came later"
    );
    check_snapshot(&snapshot::encode(&read)).unwrap();
}

#[test]
fn fingerprints_of_lots_are_what_they_always_were() {
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
    let line = |variant| Line {
        variant: VariantNo(variant),
        quantity: 3,
    };
    let lot = |line, code: &str, expires_at| LineLot {
        line,
        code: code.into(),
        expires_at,
    };
    let inbound = |lots: Vec<LineLot>| {
        Command::Stock(StockCommand {
            lots,
            ..StockCommand::new(Kind::Inbound, WarehouseNo(1), [line(1), line(2)])
        })
    };
    let receive = |lots| {
        Command::Receive(ReceiveCommand {
            version: None,
            transfer: Position(7),
            warehouse: WarehouseNo(1),
            occurred_at: None,
            lines: vec![ReceivedLine {
                variant: VariantNo(1),
                received: 1,
                damaged: 0,
                short: 0,
            }],
            lots,
            notes: None,
        })
    };
    let create = |tracks_lots| {
        Command::Catalogue(C::CreateVariant {
            sku: "A".into(),
            name: "A".into(),
            product: None,
            expires_at: None,
            tracks_lots,
        })
    };
    let change = |tracks_lots| {
        Command::Catalogue(C::ChangeVariant {
            no: VariantNo(1),
            sku: None,
            name: None,
            product: None,
            expires_at: None,
            active: None,
            tracks_lots,
        })
    };
    let change_lot = |no, expires_at, active| {
        Command::Catalogue(C::ChangeLot {
            no: VariantNo(no),
            expires_at,
            active,
        })
    };
    vec![
        ("inbound", inbound(vec![])),
        ("inbound-lot", inbound(vec![lot(0, "L", None)])),
        ("inbound-lot-of-the-other-line", inbound(vec![lot(1, "L", None)])),
        ("inbound-other-lot", inbound(vec![lot(0, "M", None)])),
        ("inbound-lot-dated", inbound(vec![lot(0, "L", Some(RECORDED_AT))])),
        (
            "inbound-two-lots",
            inbound(vec![lot(0, "L", None), lot(1, "L", None)]),
        ),
        ("receive", receive(vec![])),
        ("receive-lot", receive(vec![lot(0, "L", None)])),
        ("create-variant", create(false)),
        ("create-variant-in-lots", create(true)),
        ("change-variant", change(None)),
        ("change-variant-in-lots", change(Some(true))),
        ("change-variant-whole", change(Some(false))),
        ("change-lot", change_lot(1, None, None)),
        ("change-other-lot", change_lot(2, None, None)),
        ("change-lot-expiry", change_lot(1, Some(Some(RECORDED_AT)), None)),
        ("change-lot-no-expiry", change_lot(1, Some(None), None)),
        ("change-lot-inactive", change_lot(1, None, Some(false))),
        ("change-lot-active", change_lot(1, None, Some(true))),
    ]
}

/// What no ledger decides: each is refused by what is wrong with it.
#[test]
fn each_wrong_lot_is_refused_by_what_is_wrong_with_it() {
    let (_, state) = log();
    let [tracked, later, dated] = [0, 1, 2].map(|more| VariantNo(first() + more));
    let next = VariantNo(first() + 4);
    let lot = |of, code: &str| {
        Event::Catalogue(E::LotCreated {
            no: next,
            of,
            code: code.into(),
            expires_at: None,
        })
    };
    let tracking = |no, tracks_lots| {
        Event::Catalogue(E::VariantChanged {
            no,
            sku: None,
            name: None,
            product: None,
            expires_at: None,
            tracks_lots: Some(tracks_lots),
        })
    };
    let of_the_variant = |variant| {
        let mut event = stock(Kind::Inbound, 1, 1, None);
        event.postings[0].variant = variant;
        Event::Stock(event)
    };
    let all = [
        (lot(VariantNo(1), "L"), "it is a lot of what does not lie in lots"),
        (lot(dated, "L"), "it is a lot of what does not lie in lots"),
        (lot(tracked, "2026-07"), "the variant has a lot of this code"),
        (lot(next, "L"), "there is no such variant"),
        (
            tracking(tracked, false),
            "it changes whether stock lies in lots where there is some",
        ),
        (tracking(dated, false), "it changes a lot as if it were a variant"),
        (
            of_the_variant(tracked),
            "it moves stock that lies in lots, and names none",
        ),
        (
            Event::Catalogue(E::LotChanged {
                no: tracked,
                expires_at: None,
            }),
            "it changes a lot that is none",
        ),
        (
            Event::Catalogue(E::LotChanged {
                no: next,
                expires_at: None,
            }),
            "there is no such lot",
        ),
    ];
    for (event, what) in all {
        let refused = state.clone().apply(&behind(&state, event)).unwrap_err();
        assert_eq!(refused.what, what);
    }
    let mut state = state;
    state
        .apply(&behind(&state.clone(), tracking(later, false)))
        .expect("there is nothing of it");
}
