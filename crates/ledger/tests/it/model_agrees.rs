//! Whatever is asked of it and whenever: the ledger does what the model does.

use std::collections::{BTreeMap, BTreeSet};

use bincard_ledger::command::CatalogueCommand as C;
use bincard_ledger::{
    Account, Bucket, Command, Decision, Event, Kind, Line, Place, ProductNo, Reason, State, StockCommand,
    Timestamp, VariantNo, WarehouseNo, decide, snapshot,
};
use proptest::collection::vec;
use proptest::option::{self, weighted};
use proptest::prelude::*;
use proptest::sample::select;

use crate::journal::Journal;
use crate::model::{Model, name_of};

const SECOND: i64 = 1_000_000;
const START: i64 = 1_750_000_000_000_000;

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_does_what_the_model_does(steps in vec(step(), 1..60), later in vec(step(), 1..6)) {
        let (mut journal, mut model) = stocked();
        let mut now = Timestamp::from_micros(START);
        for Step { seconds, command } in &steps {
            now = now.saturating_add_micros(seconds * SECOND);
            take_both(&mut journal, &mut model, command, now)?;
            check_same(&journal.state, &model, now)?;
            check_sums(&journal)?;
        }
        let bytes = journal.bytes();
        prop_assert_eq!(&snapshot::encode(&journal.replayed()), &bytes, "a replay gives another state");
        let restored = snapshot::decode(&bytes);
        prop_assert!(restored.is_ok(), "{restored:?}");
        let mut restored = Journal { state: restored.unwrap(), records: Vec::new() };
        prop_assert_eq!(&restored.bytes(), &bytes, "a restored state is another");
        for Step { seconds, command } in &later {
            now = now.saturating_add_micros(seconds * SECOND);
            let decided = take_both(&mut journal, &mut model, command, now)?;
            prop_assert_eq!(restored.take(command, now).ok(), decided, "a restored state decides otherwise");
            prop_assert_eq!(restored.bytes(), journal.bytes());
        }
    }
}

/// Gives one command to both; answers what the ledger decided.
fn take_both(
    journal: &mut Journal,
    model: &mut Model,
    command: &Command,
    now: Timestamp,
) -> Result<Option<Decision>, TestCaseError> {
    let before = journal.bytes();
    let expected = model.take(command, now);
    let decided = decide(&journal.state, command, now);
    if let Ok(decision) = &decided {
        check_decision(&journal.state, command, decision, now)?;
    }
    let taken = journal.take(command, now);
    prop_assert_eq!(&taken, &decided, "the same state decides twice alike");
    match &taken {
        Err(_) => prop_assert_eq!(journal.bytes(), before, "a rejection changes nothing"),
        Ok(_) => prop_assert_eq!(
            snapshot::decode(&journal.bytes()).map(|s| s.head()),
            Ok(journal.state.head())
        ),
    }
    prop_assert_eq!(taken.as_ref().err(), expected.as_ref().err(), "{:?}", command);
    Ok(taken.ok())
}

/// The command's own event stands last; before it only expiries that are due and needed, first expiry first.
fn check_decision(
    state: &State,
    command: &Command,
    decision: &Decision,
    now: Timestamp,
) -> Result<(), TestCaseError> {
    let expiries: Vec<_> = decision
        .iter()
        .filter_map(|event| match event {
            Event::Stock(event) if event.kind == Kind::Expiry => Some(event),
            _ => None,
        })
        .collect();
    let instants: Vec<_> = expiries.iter().map(|event| event.occurred_at).collect();
    prop_assert!(
        instants.is_sorted(),
        "expiries are recorded in the order of running out"
    );
    prop_assert!(
        instants.iter().all(|at| *at <= now),
        "nothing runs out before its instant"
    );
    let Command::Stock(asked) = command else {
        return Ok(());
    };
    let Some(Event::Stock(own)) = decision.last() else {
        return Err(TestCaseError::fail("the command's own event is missing"));
    };
    prop_assert_eq!(
        (own.kind, own.warehouse, &own.order),
        (asked.kind, asked.warehouse, &asked.order)
    );
    prop_assert_eq!(own.occurred_at, asked.occurred_at.unwrap_or(now));
    prop_assert_eq!(expiries.len(), decision.len() - 1);
    for expiry in &expiries {
        let of_use = |line: &Line| {
            expiry
                .postings
                .iter()
                .any(|posting| posting.variant == line.variant)
        };
        prop_assert!(
            asked.lines.iter().any(of_use),
            "{:?} frees nothing that was asked for",
            expiry
        );
    }
    // Without the last of the expiries it would not have been enough, or another line needed it.
    if let Some((unneeded, needed)) = expiries.split_last() {
        let enough = asked.lines.iter().all(|line| {
            let frees = needed
                .iter()
                .flat_map(|event| &event.postings)
                .filter(|p| p.variant == line.variant);
            let freed: i64 = frees.map(|p| p.quantity).sum();
            state.buckets(asked.warehouse, line.variant).available() + freed >= line.quantity.abs()
        });
        prop_assert!(!enough, "{:?} did not have to expire", unneeded);
    }
    let asked_units: BTreeMap<u32, i64> = asked
        .lines
        .iter()
        .map(|l| (l.variant.0, l.quantity.abs()))
        .collect();
    let mut moved_units = BTreeMap::new();
    for posting in &own.postings {
        *moved_units.entry(posting.variant.0).or_insert(0) += posting.quantity;
    }
    prop_assert_eq!(asked_units, moved_units, "what was asked for is what moves");
    Ok(())
}

/// Every bucket, promise, transfer and the catalogue. What has run out counts as available, recorded or not.
fn check_same(state: &State, model: &Model, now: Timestamp) -> Result<(), TestCaseError> {
    prop_assert_eq!(
        state.catalogue_size(),
        (model.warehouses.len(), model.products, model.variants.len())
    );
    for (no, (code, active)) in (1..).zip(&model.warehouses) {
        let warehouse = state.warehouse(WarehouseNo(no)).unwrap();
        prop_assert_eq!((&*warehouse.code, warehouse.active), (code.as_str(), *active));
        prop_assert_eq!(state.warehouse_by_code(code), Some(WarehouseNo(no)));
    }
    for (no, (sku, active, expires_at)) in (1..).zip(&model.variants) {
        let variant = state.variant(VariantNo(no)).unwrap();
        prop_assert_eq!(
            (&*variant.sku, variant.active, variant.expires_at),
            (sku.as_str(), *active, *expires_at)
        );
        prop_assert_eq!(state.variant_by_sku(sku), Some(VariantNo(no)));
    }
    for warehouse in 1..=model.warehouses.len() as u32 {
        for variant in 1..=model.variants.len() as u32 {
            check_bucket(state, model, WarehouseNo(warehouse), VariantNo(variant), now)?;
        }
    }
    let mut on_the_way: Vec<_> = state
        .transits()
        .map(|(id, variant, units)| (id.to_string(), variant.0, units))
        .collect();
    on_the_way.sort();
    let transits = model.transits.iter().filter(|(_, units)| **units != 0);
    let expected: Vec<_> = transits
        .map(|((id, variant), units)| (id.clone(), *variant, *units))
        .collect();
    for (id, variant, units) in &on_the_way {
        prop_assert_eq!(state.in_transit(id, VariantNo(*variant)), *units);
    }
    prop_assert_eq!(on_the_way, expected);
    Ok(())
}

fn check_bucket(
    state: &State,
    model: &Model,
    warehouse: WarehouseNo,
    variant: VariantNo,
    now: Timestamp,
) -> Result<(), TestCaseError> {
    let buckets = state.buckets(warehouse, variant);
    let orders: BTreeSet<_> = model
        .promises
        .iter()
        .map(|promise| promise.order.as_str())
        .collect();
    let reservations = orders.iter().flat_map(|order| state.reservations(order));
    let here: Vec<_> = reservations.filter(|one| one.warehouse == warehouse).collect();
    let run_out: i64 = here
        .iter()
        .filter(|one| one.is_due(now))
        .map(|one| one.holds(variant, Bucket::Reserved))
        .sum();
    for bucket in Bucket::ALL {
        let units = match bucket {
            Bucket::Available => state.available_at(warehouse, variant, now),
            Bucket::Reserved => buckets.of(bucket) - run_out,
            _ => buckets.of(bucket),
        };
        prop_assert_eq!(
            units,
            model.units(warehouse.0, variant.0, name_of(bucket)),
            "{:?}",
            bucket
        );
        prop_assert!(buckets.of(bucket) >= 0);
        // What the orders hold is what lies in their buckets: no unit is held twice, and none by nobody.
        if [Bucket::Reserved, Bucket::Picked, Bucket::Packed].contains(&bucket) {
            let held: i64 = here.iter().map(|one| one.holds(variant, bucket)).sum();
            prop_assert_eq!(held, buckets.of(bucket), "{:?} held by orders", bucket);
        }
    }
    for order in orders {
        for bucket in [Bucket::Picked, Bucket::Packed] {
            let held: i64 = state
                .reservations(order)
                .iter()
                .map(|one| one.holds(variant, bucket))
                .sum();
            let promises = model.promises.iter().filter(|one| one.order == order);
            let key = (variant.0, name_of(bucket));
            let expected: i64 = promises.map(|one| one.held.get(&key).copied().unwrap_or(0)).sum();
            prop_assert_eq!(held, expected, "order {} {:?}", order, bucket);
        }
    }
    Ok(())
}

/// Over all places, the outside accounts included, every variant sums to zero.
fn check_sums(journal: &Journal) -> Result<(), TestCaseError> {
    let mut outside: BTreeMap<VariantNo, i128> = BTreeMap::new();
    let mut transit: BTreeMap<VariantNo, i128> = BTreeMap::new();
    for recorded in &journal.records {
        let Event::Stock(event) = &recorded.record.event else {
            continue;
        };
        for posting in &event.postings {
            prop_assert!(posting.quantity > 0);
            for (place, units) in [(posting.from, -posting.quantity), (posting.to, posting.quantity)] {
                match place {
                    Place::Account(Account::Transit) => {
                        *transit.entry(posting.variant).or_default() += i128::from(units)
                    }
                    Place::Account(_) => *outside.entry(posting.variant).or_default() += i128::from(units),
                    Place::Bucket(_) => {}
                }
            }
        }
    }
    for (_, variant, buckets) in journal.state.stock() {
        *outside.entry(variant).or_default() += i128::from(buckets.on_hand());
    }
    for (_, variant, units) in journal.state.transits() {
        *outside.entry(variant).or_default() += i128::from(units);
        *transit.entry(variant).or_default() -= i128::from(units);
    }
    prop_assert!(outside.values().all(|sum| *sum == 0), "{:?}", outside);
    prop_assert!(transit.values().all(|sum| *sum == 0), "{:?}", transit);
    Ok(())
}

/// Two warehouses and three variants with a little stock, and one variant with nearly more than can be.
fn stocked() -> (Journal, Model) {
    let (mut journal, mut model) = (Journal::new(), Model::default());
    let now = Timestamp::from_micros(START);
    let mut take = |command: Command| {
        journal.take(&command, now).unwrap();
        model.take(&command, now).unwrap();
    };
    for code in ["NORTH", "SOUTH"] {
        take(Command::Catalogue(C::CreateWarehouse {
            code: code.into(),
            name: "A".into(),
        }));
    }
    take(Command::Catalogue(C::CreateProduct { name: "P".into() }));
    for sku in ["A", "B", "C"] {
        let expires_at = (sku == "C").then_some(Timestamp::from_micros(START + 20 * SECOND));
        let (sku, name, product) = (sku.into(), "A".into(), None);
        take(Command::Catalogue(C::CreateVariant {
            sku,
            name,
            product,
            expires_at,
        }));
    }
    for (warehouse, variant, quantity) in [(1, 1, 8), (1, 2, 5), (2, 1, 3), (1, 3, 4)] {
        let line = Line {
            variant: VariantNo(variant),
            quantity,
        };
        take(Command::Stock(StockCommand::new(
            Kind::Inbound,
            WarehouseNo(warehouse),
            [line],
        )));
    }
    let huge = i64::MAX - 10;
    journal.flood(WarehouseNo(2), VariantNo(2), huge, now);
    model.places.insert((2, 2, "available"), i128::from(huge));
    model.places.insert((2, 2, "supplier"), -i128::from(huge));
    (journal, model)
}

#[derive(Clone, Debug)]
struct Step {
    seconds: i64,
    command: Command,
}

fn step() -> impl Strategy<Value = Step> {
    let command = prop_oneof![
        12 => stock_command().prop_map(Command::Stock),
        2 => catalogue_command().prop_map(Command::Catalogue),
        1 => (0usize..4).prop_map(|reservations_max| Command::ExpireDue { reservations_max }),
    ];
    let seconds = prop_oneof![3 => Just(0), 2 => 1..4i64, 1 => 4..30i64];
    (seconds, command).prop_map(|(seconds, command)| Step { seconds, command })
}

/// Mostly what could be right; now and then anything.
fn stock_command() -> impl Strategy<Value = StockCommand> {
    let kind = prop_oneof![
        20 => select(&Kind::ALL[..12]),
        12 => select(&[Kind::Reservation, Kind::Reservation, Kind::Outbound, Kind::Pick, Kind::Pack, Kind::Ship][..]),
        1 => Just(Kind::Expiry),
    ];
    let warehouse = prop_oneof![12 => 1..=2u32, 1 => 0..=4u32];
    let instant = prop_oneof![
        8 => (-30..30i64).prop_map(|seconds| START + seconds * SECOND),
        1 => select(&[START + 400 * SECOND, i64::MIN, i64::MAX, -62_135_596_800_000_001, 253_402_300_800_000_000][..]),
    ];
    let instant = instant.prop_map(Timestamp::from_micros).boxed();
    let text = |right: [&'static str; 3]| {
        let wrong = ["", "line\nbreak", "é", "long"];
        let wrong = select(wrong.to_vec()).prop_map(|text| {
            if text == "long" {
                "x".repeat(129)
            } else {
                text.to_string()
            }
        });
        prop_oneof![30 => select(right.to_vec()).prop_map(String::from), 1 => wrong]
            .prop_map(Box::<str>::from)
            .boxed()
    };
    let refers = (
        weighted(0.97, text(["A", "B", "C"])),
        weighted(0.95, text(["T", "U", "T"])),
        weighted(0.02, text(["T", "U", "V"])),
        weighted(
            0.3,
            select(&[Bucket::Reserved, Bucket::Picked, Bucket::Packed, Bucket::Held][..]),
        ),
        weighted(0.02, select(&Bucket::ALL[..])),
    );
    let rest = (
        weighted(0.3, select(&Reason::ALL[..])),
        weighted(0.2, instant.clone()),
        weighted(0.7, (1..12i64).prop_map(|seconds| seconds * SECOND)),
        weighted(0.02, instant),
        option::weighted(0.05, select(&[500usize, 501][..])),
        0..30u8,
    );
    (kind, warehouse, lines(), refers, rest).prop_map(|(kind, warehouse, lines, refers, rest)| {
        let (order, transfer, stray_transfer, release_from, stray_release) = refers;
        let (reason, occurred_at, lasts, stray_expiry, notes, when) = rest;
        // An expiry counts from the start, so that some have passed and some are near.
        let expires_at = lasts.map(|lasts| Timestamp::from_micros(START + i64::from(when) * SECOND + lasts));
        StockCommand {
            occurred_at,
            reason,
            order,
            transfer: if kind.needs_transfer() {
                transfer
            } else {
                stray_transfer
            },
            expires_at: if kind == Kind::Reservation {
                expires_at
            } else {
                stray_expiry
            },
            release_from: if kind == Kind::Release {
                release_from
            } else {
                stray_release
            },
            notes: notes.map(|length| "ü".repeat(length).into()),
            ..StockCommand::new(kind, WarehouseNo(warehouse), lines)
        }
    })
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let extremes = [
        0,
        -1,
        -2,
        1_000_000_000,
        1_000_000_001,
        -1_000_000_000,
        -1_000_000_001,
        i64::MIN,
        i64::MAX,
    ];
    let quantity = prop_oneof![25 => 1..6i64, 3 => -5..0i64, 2 => select(extremes.to_vec())];
    let variant = prop_oneof![25 => 1..=3u32, 1 => 0..=5u32];
    let line = (variant, quantity).prop_map(|(variant, quantity)| Line {
        variant: VariantNo(variant),
        quantity,
    });
    let distinct = vec(line.clone(), 1..4).prop_map(|mut lines| {
        lines.sort_by_key(|line| line.variant);
        lines.dedup_by_key(|line| line.variant);
        lines
    });
    let many = (select(&[17u32, 1_000, 1_001][..]), any::<bool>()).prop_map(|(count, repeats)| {
        let variant = |no| VariantNo(if repeats && no + 1 == count { 1 } else { no + 1 });
        (0..count)
            .map(|no| Line {
                variant: variant(no),
                quantity: 1,
            })
            .collect()
    });
    prop_oneof![60 => distinct, 4 => vec(line, 0..5), 1 => many]
}

fn catalogue_command() -> impl Strategy<Value = C> {
    let text = prop_oneof![
        20 => select(&["NORTH", "SOUTH", "EAST", "A", "B", "C", "D", "é"][..]).prop_map(String::from),
        2 => select(&["", " A", "A ", "a\tb", "a\u{85}b"][..]).prop_map(String::from),
        1 => select(&[64usize, 65, 128, 129, 200, 201][..]).prop_map(|length| "n".repeat(length)),
    ];
    let text = text.prop_map(Box::<str>::from).boxed();
    let (maybe, active) = (option::of(text.clone()), option::of(any::<bool>()));
    let warehouse = (0..=4u32).prop_map(WarehouseNo);
    let product = (0..=3u32).prop_map(ProductNo);
    let variant = (0..=5u32).prop_map(VariantNo);
    let expires_at = prop_oneof![8 => START..START + 60 * SECOND, 1 => any::<i64>()]
        .prop_map(Timestamp::from_micros)
        .boxed();
    prop_oneof![
        1 => (text.clone(), text.clone()).prop_map(|(code, name)| C::CreateWarehouse { code, name }),
        4 => (warehouse, maybe.clone(), maybe.clone(), active.clone())
            .prop_map(|(no, code, name, active)| C::ChangeWarehouse { no, code, name, active }),
        1 => text.clone().prop_map(|name| C::CreateProduct { name }),
        1 => (product.clone(), maybe.clone(), active.clone())
            .prop_map(|(no, name, active)| C::ChangeProduct { no, name, active }),
        1 => (text.clone(), text, weighted(0.3, product.clone()), weighted(0.3, expires_at.clone()))
            .prop_map(|(sku, name, product, expires_at)| C::CreateVariant { sku, name, product, expires_at }),
        4 => (variant, maybe.clone(), maybe, option::of(option::of(product)), option::of(option::of(expires_at)), active)
            .prop_map(|(no, sku, name, product, expires_at, active)| {
                C::ChangeVariant { no, sku, name, product, expires_at, active }
            }),
    ]
}
