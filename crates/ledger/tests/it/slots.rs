//! The bytes and fingerprints of what is said of slots, and of the reasons that came with them: fixed for ever.

use bincard_ledger::codec::{Body, BodyRef};
use bincard_ledger::command::{CatalogueCommand as C, KeySpace};
use bincard_ledger::event::{CatalogueEvent as E, PickOrder, RecordedKey, SlotChange};
use bincard_ledger::{
    Account, Bucket, Command, Event, IdempotencyKey, Kind, Line, Place, Posting, Reason, Record, Request,
    StockCommand, StockEvent, Timestamp, VariantNo, Version, WarehouseNo,
};
use smallvec::smallvec;
use uuid::Uuid;

const RECORDED_AT: Timestamp = Timestamp::from_micros(1_750_000_000_000_001);
const GOLDEN: &str = include_str!("../golden/v1/records-slots.txt");
const FINGERPRINTS: &str = include_str!("../golden/v1/fingerprints-slots.txt");

#[test]
fn records_are_the_same_both_ways() {
    let mut written = String::new();
    for (name, record) in records() {
        let mut body = Body::new(RECORDED_AT);
        body.push(&record);
        let read = BodyRef::parse(body.as_bytes()).unwrap();
        let raw = read.records().next().unwrap().unwrap();
        assert_eq!(raw.decode().unwrap(), record, "{name}");
        let hex: String = raw.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        written += &format!("{name} {hex}\n");
    }
    assert_eq!(written, GOLDEN, "\n{written}");
}

#[test]
fn fingerprints_are_what_they_always_were() {
    let mut now = String::new();
    let mut seen = Vec::new();
    for (name, command) in commands() {
        let request = Request {
            command,
            author: Uuid::nil(),
            on_behalf_of: None,
            key: None,
        };
        let fingerprint = request.fingerprint();
        assert!(!seen.contains(&fingerprint), "{name} is like another one");
        seen.push(fingerprint);
        now += &format!("{name} {fingerprint:016x}\n");
    }
    assert_eq!(now, FINGERPRINTS, "\n{now}");
}

fn changes() -> Vec<(&'static str, SlotChange)> {
    let none = SlotChange::default;
    let order = |number, reason: Option<&str>| PickOrder {
        number,
        reason: reason.map(Box::from),
    };
    vec![
        (
            "all",
            SlotChange {
                bin: Some(Some("A-12-3".into())),
                reorder_point: Some(Some(20)),
                max_level: Some(Some(1_000_000_000)),
                pick_order: Some(Some(order(5, Some("Moved to new bin")))),
            },
        ),
        (
            "away",
            SlotChange {
                bin: Some(None),
                reorder_point: Some(None),
                max_level: Some(None),
                pick_order: Some(None),
            },
        ),
        (
            "bin",
            SlotChange {
                bin: Some(Some("é".into())),
                ..none()
            },
        ),
        (
            "reorder-point",
            SlotChange {
                reorder_point: Some(Some(0)),
                ..none()
            },
        ),
        (
            "max-level",
            SlotChange {
                max_level: Some(Some(0)),
                ..none()
            },
        ),
        (
            "pick-order",
            SlotChange {
                pick_order: Some(Some(order(1, None))),
                ..none()
            },
        ),
    ]
}

fn records() -> Vec<(String, Record)> {
    let record = |version, event| Record {
        version: Version(version),
        author: Uuid::from_u128(0x00112233_4455_6677_8899_AABBCCDDEEFF),
        on_behalf_of: None,
        key: None,
        event,
    };
    let mut all = Vec::new();
    for (name, change) in changes() {
        let event = E::SlotChanged {
            warehouse: WarehouseNo(2),
            variant: VariantNo(300),
            change,
        };
        all.push((format!("slot-{name}"), record(40, Event::Catalogue(event))));
    }
    for reason in [Reason::Theft, Reason::Return] {
        let event = StockEvent {
            kind: Kind::Adjust,
            warehouse: WarehouseNo(1),
            occurred_at: RECORDED_AT,
            reason: Some(reason),
            order: None,
            transfer: None,
            counterpart: None,
            count: None,
            expires_at: None,
            about: None,
            noted: Vec::new(),
            postings: smallvec![Posting {
                variant: VariantNo(1),
                from: Place::Bucket(Bucket::Available),
                to: Place::Account(Account::Adjustment),
                quantity: 3,
                reservation: None,
            }],
            notes: Some("gone".into()),
        };
        all.push((
            format!("adjust-{reason:?}").to_lowercase(),
            record(41, Event::Stock(event)),
        ));
    }
    if let Some((_, record)) = all.first_mut() {
        record.key = Some(RecordedKey {
            key: IdempotencyKey::parse(KeySpace::Caller, "slot-1").unwrap(),
            fingerprint: 0x0123_4567_89AB_CDEF,
        });
    }
    all
}

fn commands() -> Vec<(String, Command)> {
    let slot = |warehouse, variant, change| {
        Command::Catalogue(C::ChangeSlot {
            warehouse: WarehouseNo(warehouse),
            variant: VariantNo(variant),
            change,
        })
    };
    let mut all: Vec<_> = changes()
        .into_iter()
        .map(|(name, change)| (format!("change-slot-{name}"), slot(2, 300, change)))
        .collect();
    all.push(("change-slot".into(), slot(2, 300, SlotChange::default())));
    all.push((
        "change-slot-warehouse".into(),
        slot(1, 300, SlotChange::default()),
    ));
    all.push(("change-slot-variant".into(), slot(2, 1, SlotChange::default())));
    for reason in [Reason::Theft, Reason::Return] {
        let line = Line {
            variant: VariantNo(1),
            quantity: -3,
        };
        let mut command = StockCommand::new(Kind::Adjust, WarehouseNo(1), [line]);
        command.reason = Some(reason);
        all.push((
            format!("adjust-{reason:?}").to_lowercase(),
            Command::Stock(command),
        ));
    }
    let line = Line {
        variant: VariantNo(1),
        quantity: -3,
    };
    let mut command = StockCommand::new(Kind::Adjust, WarehouseNo(1), [line]);
    command.is_warehouse_chosen = true;
    all.push(("adjust-chosen".into(), Command::Stock(command)));
    all
}

#[test]
fn which_warehouse_was_chosen_is_not_what_was_asked_for() {
    let (_, command) = commands().pop().unwrap();
    let request = |command| Request {
        command,
        author: Uuid::nil(),
        on_behalf_of: None,
        key: None,
    };
    let asked = request(command.clone()).fingerprint();
    let Command::Stock(mut elsewhere) = command else {
        panic!("it moves stock")
    };
    elsewhere.warehouse = WarehouseNo(2);
    assert_eq!(request(Command::Stock(elsewhere.clone())).fingerprint(), asked);
    elsewhere.is_warehouse_chosen = false;
    assert_ne!(request(Command::Stock(elsewhere)).fingerprint(), asked);
}
