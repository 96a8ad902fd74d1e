//! Records of any content, sensible or not, as far as the types allow it.

use bincard_ledger::command::KeySpace;
use bincard_ledger::event::{CatalogueEvent as E, PickOrder, RecordedKey, SlotChange};
use bincard_ledger::{
    CountLine, Counting, Event, IdempotencyKey, Kind, NegativeStock, Place, Position, Posting, ProductNo,
    Reason, Record, StockEvent, Timestamp, VariantNo, Version, WarehouseNo,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

pub(crate) fn record() -> impl Strategy<Value = Record> {
    let key = (any::<bool>(), "[!-~]{1,40}", any::<u64>()).prop_map(|(server, text, fingerprint)| {
        let space = if server {
            KeySpace::Server
        } else {
            KeySpace::Caller
        };
        let key = IdempotencyKey::parse(space, &text).expect("visible ASCII");
        RecordedKey { key, fingerprint }
    });
    let uuid = || any::<u128>().prop_map(Uuid::from_u128);
    let event = prop_oneof![
        stock().prop_map(Event::Stock),
        catalogue().prop_map(Event::Catalogue)
    ];
    (any::<u64>(), uuid(), option::of(uuid()), option::of(key), event).prop_map(
        |(version, author, on_behalf_of, key, event)| Record {
            version: Version(version),
            author,
            on_behalf_of,
            key,
            event,
        },
    )
}

pub(crate) fn instant() -> impl Strategy<Value = Timestamp> {
    let any = prop_oneof![any::<i64>(), select(&[i64::MIN, i64::MAX, 0, -1][..])];
    any.prop_map(Timestamp::from_micros)
}

fn text() -> impl Strategy<Value = Box<str>> {
    prop_oneof![".{0,12}", ".{60,140}"].prop_map(Box::from)
}

fn stock() -> impl Strategy<Value = StockEvent> {
    let place = || (0..16u8).prop_filter_map("a place", Place::from_code);
    let quantity = prop_oneof![0..1_000i64, 0..=i64::MAX];
    let posting = (any::<u32>(), place(), place(), quantity, option::of(any::<u64>())).prop_map(
        |(variant, from, to, quantity, reservation)| Posting {
            variant: VariantNo(variant),
            from,
            to,
            quantity,
            reservation: reservation.map(Position),
        },
    );
    let references = (option::of(text()), option::of(text()), option::of(text()));
    let reason = option::of(select(&Reason::ALL[..]));
    let instants = (instant(), option::of(instant()));
    let noted = (any::<u32>(), prop_oneof![0..1_000i64, 0..=i64::MAX])
        .prop_map(|(variant, units)| (VariantNo(variant), units));
    let about = option::of(any::<u64>().prop_map(Position));
    (
        select(&Kind::ALL[..]),
        1..=u32::MAX,
        reason,
        references,
        instants,
        vec(posting, 0..5),
        (
            about,
            vec(noted, 0..3),
            option::of(any::<u32>().prop_map(WarehouseNo)),
            option::of(counting()),
        ),
    )
        .prop_map(
            |(
                kind,
                warehouse,
                reason,
                references,
                (occurred_at, expires_at),
                postings,
                (about, noted, counterpart, count),
            )| {
                let (order, transfer, notes) = references;
                StockEvent {
                    kind,
                    warehouse: WarehouseNo(warehouse),
                    occurred_at,
                    reason,
                    order,
                    transfer,
                    expires_at,
                    about,
                    noted,
                    counterpart,
                    count: count.map(Box::new),
                    postings: postings.into(),
                    notes,
                }
            },
        )
}

fn counting() -> impl Strategy<Value = Counting> {
    let variants = || vec(any::<u32>().prop_map(VariantNo), 0..3);
    let line =
        (any::<u32>(), instant(), any::<i64>(), any::<i64>()).prop_map(|(no, at, counted, expected)| {
            CountLine {
                variant: VariantNo(no),
                at,
                counted,
                expected,
            }
        });
    prop_oneof![
        (any::<bool>(), option::of(variants()))
            .prop_map(|(is_blind, variants)| Counting::Opened { is_blind, variants }),
        vec(line, 0..3).prop_map(Counting::Lines),
        variants().prop_map(Counting::Seen),
        (instant(), variants()).prop_map(|(at, seen)| Counting::Undone { at, seen }),
    ]
}

fn catalogue() -> impl Strategy<Value = E> {
    let warehouse = || any::<u32>().prop_map(WarehouseNo);
    let product = || any::<u32>().prop_map(ProductNo);
    let variant = || any::<u32>().prop_map(VariantNo);
    prop_oneof![
        (warehouse(), text(), text()).prop_map(|(no, code, name)| E::WarehouseCreated { no, code, name }),
        (warehouse(), option::of(text()), option::of(text()))
            .prop_map(|(no, code, name)| E::WarehouseChanged { no, code, name }),
        (
            warehouse(),
            select(&[NegativeStock::Forbid, NegativeStock::Record][..])
        )
            .prop_map(|(no, negative_stock)| E::WarehousePolicyChanged { no, negative_stock }),
        warehouse().prop_map(E::WarehouseActivated),
        warehouse().prop_map(E::WarehouseDeactivated),
        (product(), text()).prop_map(|(no, name)| E::ProductCreated { no, name }),
        (product(), text()).prop_map(|(no, name)| E::ProductChanged { no, name }),
        product().prop_map(E::ProductActivated),
        product().prop_map(E::ProductDeactivated),
        (
            variant(),
            text(),
            text(),
            option::of(product()),
            option::of(instant()),
            any::<bool>()
        )
            .prop_map(
                |(no, sku, name, product, expires_at, tracks_lots)| E::VariantCreated {
                    tracks_lots,
                    no,
                    sku,
                    name,
                    product,
                    expires_at
                }
            ),
        (
            variant(),
            option::of(text()),
            option::of(text()),
            option::of(option::of(product())),
            option::of(option::of(instant())),
            option::of(any::<bool>())
        )
            .prop_map(
                |(no, sku, name, product, expires_at, tracks_lots)| E::VariantChanged {
                    tracks_lots,
                    no,
                    sku,
                    name,
                    product,
                    expires_at
                }
            ),
        (variant(), variant(), text(), option::of(instant())).prop_map(|(no, of, code, expires_at)| {
            E::LotCreated {
                no,
                of,
                code,
                expires_at,
            }
        }),
        (variant(), option::of(instant())).prop_map(|(no, expires_at)| E::LotChanged { no, expires_at }),
        variant().prop_map(E::VariantActivated),
        variant().prop_map(E::VariantDeactivated),
        (warehouse(), variant(), slot_change()).prop_map(|(warehouse, variant, change)| E::SlotChanged {
            warehouse,
            variant,
            change
        }),
    ]
}

fn slot_change() -> impl Strategy<Value = SlotChange> {
    let number = || option::of(option::of(0..=i64::MAX));
    let order = (number(), option::of(text()))
        .prop_map(|(number, reason)| number.map(|number| number.map(|number| PickOrder { number, reason })));
    (option::of(option::of(text())), number(), number(), order).prop_map(
        |(bin, reorder_point, max_level, pick_order)| SlotChange {
            bin,
            reorder_point,
            max_level,
            pick_order,
        },
    )
}
