//! Logs that no ledger wrote: folding one in is an error that names the position, never a panic.

use bincard_ledger::{
    Account, Bucket, Event, Kind, Place, Position, Posting, Record, Recorded, State, StockEvent, Timestamp,
    VariantNo, Version, WarehouseNo,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::arbitrary;
use crate::golden;

#[test]
fn each_wrong_record_is_refused_by_what_is_wrong_with_it() {
    type Wrong = (&'static str, fn(&mut Recorded, &mut StockEvent));
    let wrong: [Wrong; 20] = [
        ("its position is not the next", |r, _| {
            r.position = Position(r.position.0 + 1)
        }),
        ("its position is not the next", |r, _| {
            r.position = Position(r.position.0 - 1)
        }),
        ("it was recorded before the last one", |r, _| {
            r.recorded_at = golden::RECORDED_AT.saturating_add_micros(-1)
        }),
        ("its version is not the next of its stream", |r, _| {
            r.record.version = Version(3)
        }),
        ("it moves nothing", |_, e| e.postings.clear()),
        ("a posting moves less than one unit", |_, e| {
            e.postings[0].quantity = 0
        }),
        ("a posting moves less than one unit", |_, e| {
            e.postings[0].quantity = i64::MIN
        }),
        ("a bucket would fall below zero or overflow", |_, e| {
            e.postings[0].quantity = 9
        }),
        ("a bucket would fall below zero or overflow", |_, e| {
            e.postings[0] = Posting {
                from: Place::Account(Account::Supplier),
                to: Place::Bucket(Bucket::Held),
                ..e.postings[0]
            };
            e.postings[0].quantity = i64::MAX;
        }),
        ("a bucket would fall below zero or overflow", |_, e| {
            (e.postings[0].from, e.postings[0].to) = Kind::Inbound.flow().unwrap();
            (e.postings[0].variant, e.postings[0].quantity) = (VariantNo(2), i64::MAX);
        }),
        ("the reservation is another warehouse's", |r, e| {
            e.warehouse = WarehouseNo(2);
            r.record.version = Version(6);
            e.postings[0].from = Place::Account(Account::Supplier);
        }),
        ("it moves an order's stock and names no order", |_, e| {
            e.order = None
        }),
        ("the order holds nothing", |_, e| e.order = Some("O-9".into())),
        ("it moves an order's stock and names no reservation", |_, e| {
            e.postings[0].reservation = None
        }),
        ("there is no such reservation", |_, e| {
            e.postings[0].reservation = Some(Position(22))
        }),
        ("the reservation does not hold this variant", |_, e| {
            e.postings[0] = Posting {
                variant: VariantNo(2),
                from: Place::Bucket(Bucket::Available),
                ..e.postings[0]
            };
            e.postings[0].to = Place::Bucket(Bucket::Picked);
        }),
        ("it moves a transfer's stock and names no transfer", |_, e| {
            e.postings[0] = Posting {
                from: Place::Account(Account::Transit),
                to: Place::Bucket(Bucket::Available),
                ..e.postings[0]
            };
        }),
        ("a reservation names no order", |_, e| {
            (e.kind, e.order) = (Kind::Reservation, None)
        }),
        (
            "a reservation does something else than to reserve what is available",
            |_, e| e.kind = Kind::Reservation,
        ),
        (
            "a reservation does something else than to reserve what is available",
            |_, e| {
                e.kind = Kind::Reservation;
                e.postings[0].from = Place::Bucket(Bucket::Available);
                e.postings[0].to = Place::Bucket(Bucket::Reserved);
            },
        ),
    ];
    for (what, spoil) in wrong {
        let mut state = golden::state();
        let mut recorded = next(&state);
        let Event::Stock(mut event) = recorded.record.event.clone() else {
            unreachable!()
        };
        spoil(&mut recorded, &mut event);
        recorded.record.event = Event::Stock(event);
        let refused = state.apply(&recorded).unwrap_err();
        assert_eq!((refused.what, refused.position), (what, recorded.position));
    }
    let mut state = golden::state();
    state.apply(&next(&state)).expect("unspoilt, it follows");
}

#[test]
fn a_transfer_never_has_less_than_nothing_on_the_way() {
    let mut state = golden::state();
    let mut recorded = next(&state);
    let Event::Stock(event) = &mut recorded.record.event else {
        unreachable!()
    };
    event.kind = Kind::TransferIn;
    event.transfer = Some("T-1".into());
    (event.postings[0].from, event.postings[0].to) = Kind::TransferIn.flow().unwrap();
    event.postings[0].quantity = 3;
    assert_eq!(
        state.apply(&recorded).unwrap_err().what,
        "it takes more than was on the way"
    );
}

#[test]
fn each_wrong_extension_is_refused_by_what_is_wrong_with_it() {
    type Wrong = (&'static str, fn(&mut StockEvent));
    const OTHER: &str = "it says other things of the reservation than are so";
    let wrong: [Wrong; 11] = [
        ("it extends no reservation", |e| e.about = None),
        ("it extends an order's reservation and names no order", |e| {
            e.order = None
        }),
        ("the order holds nothing", |e| e.order = Some("O-9".into())),
        ("there is no such reservation", |e| e.about = Some(Position(22))),
        (OTHER, |e| e.warehouse = WarehouseNo(2)),
        (OTHER, |e| e.noted.clear()),
        (OTHER, |e| e.noted[0].1 = 7),
        (OTHER, |e| e.noted[0].0 = VariantNo(2)),
        (OTHER, |e| e.noted.push((VariantNo(1), 8))),
        (OTHER, |e| e.noted.push((VariantNo(2), 1))),
        (OTHER, |e| {
            let (from, to) = Kind::Inbound.flow().unwrap();
            e.postings.push(Posting {
                variant: VariantNo(1),
                from,
                to,
                quantity: 1,
                reservation: None,
            });
        }),
    ];
    for (what, spoil) in wrong {
        let mut state = golden::state();
        let mut event = extension(None);
        spoil(&mut event);
        let recorded = behind(&state, event);
        assert_eq!(state.apply(&recorded).unwrap_err().what, what);
    }
    for expires_at in [None, Some(Timestamp::from_micros(1)), Some(golden::EXPIRES_AT)] {
        let mut state = golden::state();
        let recorded = behind(&state, extension(expires_at));
        state.apply(&recorded).expect("unspoilt, it follows");
        assert_eq!(state.next_expiry(), expires_at);
    }
}

/// An extension of O-1's reservation at 21, which has 8 units of variant 1 reserved.
fn extension(expires_at: Option<Timestamp>) -> StockEvent {
    StockEvent {
        kind: Kind::Extend,
        warehouse: WarehouseNo(1),
        occurred_at: golden::RECORDED_AT,
        reason: None,
        order: Some("O-1".into()),
        transfer: None,
        expires_at,
        about: Some(Position(21)),
        noted: vec![(VariantNo(1), 8)],
        counterpart: None,
        count: None,
        postings: [].into_iter().collect(),
        notes: None,
    }
}

/// A pick of one unit by order O-1, which has 8 reserved by the reservation at 21: it would follow the golden log.
fn next(state: &State) -> Recorded {
    let (from, to) = Kind::Pick.flow().unwrap();
    let posting = Posting {
        variant: VariantNo(1),
        from,
        to,
        quantity: 1,
        reservation: Some(Position(21)),
    };
    let event = StockEvent {
        kind: Kind::Pick,
        warehouse: WarehouseNo(1),
        occurred_at: Timestamp::default(),
        reason: None,
        order: Some("O-1".into()),
        transfer: None,
        expires_at: None,
        about: None,
        noted: Vec::new(),
        counterpart: None,
        count: None,
        postings: [posting].into_iter().collect(),
        notes: None,
    };
    behind(state, event)
}

/// The event as the next record.
fn behind(state: &State, event: StockEvent) -> Recorded {
    let event = Event::Stock(event);
    Recorded {
        position: state.head().next(),
        recorded_at: golden::RECORDED_AT,
        record: Record {
            version: state.next_version(event.stream()),
            author: uuid::Uuid::nil(),
            on_behalf_of: None,
            key: None,
            event,
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_log_is_folded_in_or_refused_but_never_panics(records in vec(arbitrary::record(), 1..8)) {
        let mut state = golden::state();
        for mut record in records {
            record.version = state.next_version(record.event.stream());
            if let Event::Stock(event) = &mut record.event {
                event.warehouse = WarehouseNo(event.warehouse.0 % 3);
                record.version = state.next_version(Event::Stock(event.clone()).stream());
                event.postings.iter_mut().for_each(|posting| posting.variant = VariantNo(posting.variant.0 % 3));
            }
            let (position, recorded_at) = (state.head().next(), golden::RECORDED_AT);
            if state.apply(&Recorded { position, recorded_at, record }).is_err() {
                break;
            }
            prop_assert!(state.stock().all(|(_, _, buckets)| buckets.0.iter().all(|units| *units >= 0)));
        }
    }
}
