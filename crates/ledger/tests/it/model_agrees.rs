//! Whatever is asked of it and whenever: the ledger does what the model does.

use std::collections::{BTreeMap, BTreeSet};

use bincard_ledger::command::CatalogueCommand as C;
use bincard_ledger::{
    Account, Bucket, Command, Decision, Event, Kind, Line, NegativeStock, Place, Position, Posting,
    ReceiveCommand, ReceivedLine, State, StockCommand, StockEvent, Timestamp, VariantNo, WarehouseNo, decide,
    snapshot,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::asking::{SECOND, START, Step, step};
use crate::journal::Journal;
use crate::model::{Model, name_of};

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_does_what_the_model_does(steps in vec(step(), 1..60), later in vec(step(), 1..6)) {
        let (mut journal, mut model) = stocked();
        let mut now = Timestamp::from_micros(START);
        for Step { seconds, asked } in &steps {
            now = now.saturating_add_micros(seconds * SECOND);
            let command = asked.command(&journal, now);
            take_both(&mut journal, &mut model, &command, now)?;
            check_same(&journal.state, &model, now)?;
            check_sums(&journal)?;
        }
        let bytes = journal.bytes();
        prop_assert_eq!(&snapshot::encode(&journal.replayed()), &bytes, "a replay gives another state");
        let restored = snapshot::decode(&bytes);
        prop_assert!(restored.is_ok(), "{restored:?}");
        let mut restored = Journal { state: restored.unwrap(), records: Vec::new() };
        prop_assert_eq!(&restored.bytes(), &bytes, "a restored state is another");
        for Step { seconds, asked } in &later {
            now = now.saturating_add_micros(seconds * SECOND);
            let command = asked.command(&journal, now);
            let decided = take_both(&mut journal, &mut model, &command, now)?;
            prop_assert_eq!(restored.take(&command, now).ok(), decided, "a restored state decides otherwise");
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
    model.hear(&journal.records);
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
    let wanted: Vec<(VariantNo, i64)> = match command {
        Command::Stock(asked) => asked
            .lines
            .iter()
            .map(|line| (line.variant, line.quantity.abs()))
            .collect(),
        Command::Reverse(asked) => quantities(&asked.event.postings),
        Command::Extend(_) | Command::Receive(_) | Command::Close(_) | Command::Clear(_) => Vec::new(),
        Command::Catalogue(_)
        | Command::CatalogueAt(..)
        | Command::Count(_)
        | Command::Recall(_)
        | Command::ExpireDue { .. } => {
            return Ok(());
        }
    };
    let expected = check_expected(state, command, decision)?;
    let own = decision.len().checked_sub(1 + expected);
    let warehouse = match own.and_then(|own| decision.get(own)) {
        Some(Event::Stock(own)) => {
            check_own(command, own, now)?;
            own.warehouse
        }
        _ => return Err(TestCaseError::fail("the command's own event is missing")),
    };
    prop_assert_eq!(expiries.len(), decision.len() - 1 - expected);
    for expiry in &expiries {
        let of_use = |(variant, _): &(VariantNo, i64)| {
            expiry.postings.iter().any(|posting| posting.variant == *variant)
        };
        prop_assert!(
            wanted.iter().any(of_use),
            "{:?} frees nothing that was asked for",
            expiry
        );
    }
    // Without the last of the expiries it would not have been enough, or another line needed it.
    if let Some((unneeded, needed)) = expiries.split_last() {
        let enough = wanted.iter().all(|(variant, quantity)| {
            let frees = needed
                .iter()
                .flat_map(|event| &event.postings)
                .filter(|p| p.variant == *variant);
            let freed: i64 = frees.map(|p| p.quantity).sum();
            state.buckets(warehouse, *variant).available() + freed >= *quantity
        });
        prop_assert!(!enough, "{:?} did not have to expire", unneeded);
    }
    Ok(())
}

/// Behind the event of a dispatch stands one at the destination, which says what is on its way. Answers how many there are.
fn check_expected(state: &State, command: &Command, decision: &Decision) -> Result<usize, TestCaseError> {
    let Command::Stock(StockCommand {
        counterpart: Some(destination),
        ..
    }) = command
    else {
        return Ok(0);
    };
    let [.., Event::Stock(own), Event::Stock(expected)] = &decision[..] else {
        return Err(TestCaseError::fail("the destination hears nothing of it"));
    };
    let told = StockEvent {
        kind: Kind::TransferExpected,
        warehouse: *destination,
        reason: None,
        order: None,
        about: Some(Position(state.head().0 + decision.len() as u64 - 1)),
        noted: quantities(&own.postings),
        counterpart: Some(own.warehouse),
        postings: [].into_iter().collect(),
        notes: None,
        ..own.clone()
    };
    prop_assert_eq!(expected, &told);
    Ok(1)
}

/// The command's own event says what was asked for, and nothing else.
fn check_own(command: &Command, own: &StockEvent, now: Timestamp) -> Result<(), TestCaseError> {
    match command {
        Command::Stock(asked) => check_own_movement(asked, own, now),
        Command::Extend(asked) => {
            let expected = StockEvent {
                kind: Kind::Extend,
                warehouse: asked.warehouse,
                occurred_at: now,
                reason: None,
                order: Some(asked.order.clone()),
                transfer: None,
                expires_at: asked.expires_at,
                about: Some(asked.reservation),
                noted: own.noted.clone(),
                counterpart: None,
                count: None,
                postings: [].into_iter().collect(),
                notes: asked.notes.clone(),
            };
            prop_assert_eq!(own, &expected);
            prop_assert!(own.noted.iter().all(|(_, units)| *units > 0), "{:?}", own.noted);
            Ok(())
        }
        Command::Reverse(asked) => {
            let swapped = |posting: &Posting| Posting {
                from: posting.to,
                to: posting.from,
                ..*posting
            };
            let expected = StockEvent {
                kind: Kind::Reversal,
                occurred_at: now,
                about: Some(asked.position),
                noted: own.noted.clone(),
                postings: asked.event.postings.iter().map(swapped).collect(),
                notes: asked.notes.clone(),
                ..asked.event.clone()
            };
            prop_assert_eq!(own, &expected);
            Ok(())
        }
        Command::Receive(asked) => {
            prop_assert_eq!((own.kind, own.warehouse), (Kind::TransferIn, asked.warehouse));
            prop_assert_eq!(own.about, Some(asked.transfer));
            prop_assert_eq!(own.occurred_at, asked.occurred_at.unwrap_or(now));
            prop_assert_eq!(&own.notes, &asked.notes);
            check_received(asked, own)
        }
        Command::Close(asked) => {
            prop_assert_eq!((own.kind, own.reason), (Kind::TransferClosed, Some(asked.reason)));
            prop_assert_eq!(own.about, Some(asked.transfer));
            let flow = (
                Place::Account(Account::Transit),
                Place::Account(Account::Adjustment),
            );
            prop_assert!(
                own.postings
                    .iter()
                    .all(|posting| (posting.from, posting.to) == flow)
            );
            prop_assert_eq!(
                (own.occurred_at, &own.notes, &own.noted),
                (now, &asked.notes, &Vec::new())
            );
            Ok(())
        }
        Command::Clear(asked) => {
            let expected = StockEvent {
                kind: Kind::ExceptionCleared,
                warehouse: asked.warehouse,
                occurred_at: now,
                reason: None,
                order: None,
                transfer: None,
                expires_at: None,
                about: Some(asked.exception),
                noted: Vec::new(),
                counterpart: None,
                count: None,
                postings: [].into_iter().collect(),
                notes: asked.notes.clone(),
            };
            prop_assert_eq!(own, &expected);
            Ok(())
        }
        Command::Catalogue(_)
        | Command::CatalogueAt(..)
        | Command::Count(_)
        | Command::Recall(_)
        | Command::ExpireDue { .. } => Ok(()),
    }
}

/// What was found sound is available, what was found damaged is held, what is missing is noted.
fn check_received(asked: &ReceiveCommand, own: &StockEvent) -> Result<(), TestCaseError> {
    let units = |bucket| -> Vec<_> {
        let there = own
            .postings
            .iter()
            .filter(|posting| posting.to == Place::Bucket(bucket));
        let came = there.inspect(|posting| assert_eq!(posting.from, Place::Account(Account::Transit)));
        came.map(|posting| (posting.variant, posting.quantity)).collect()
    };
    let told = [units(Bucket::Available), units(Bucket::Held), own.noted.clone()];
    if asked.lines.is_empty() {
        prop_assert!(told[1].is_empty() && told[2].is_empty(), "{:?}", own);
        return Ok(());
    }
    let part = |units: fn(&ReceivedLine) -> i64| -> Vec<_> {
        let lines = asked.lines.iter().map(|line| (line.variant, units(line)));
        lines.filter(|(_, units)| *units > 0).collect()
    };
    let asked = [
        part(|line| line.received),
        part(|line| line.damaged),
        part(|line| line.short),
    ];
    prop_assert_eq!(told, asked);
    Ok(())
}

fn check_own_movement(asked: &StockCommand, own: &StockEvent, now: Timestamp) -> Result<(), TestCaseError> {
    prop_assert_eq!(
        (own.kind, own.warehouse, &own.order),
        (asked.kind, asked.warehouse, &asked.order)
    );
    prop_assert_eq!(own.occurred_at, asked.occurred_at.unwrap_or(now));
    prop_assert_eq!(own.about, None);
    if let Some(id) = asked.reservation {
        let of_it = |posting: &Posting| posting.reservation == Some(id);
        prop_assert!(own.postings.iter().all(of_it), "{:?} is another's too", own);
        if asked.lines.is_empty() {
            prop_assert!(own.noted.is_empty());
            return Ok(());
        }
    }
    let asked_units: BTreeMap<VariantNo, i64> = asked
        .lines
        .iter()
        .map(|line| (line.variant, line.quantity.abs()))
        .collect();
    let mut told_units: BTreeMap<VariantNo, i64> = BTreeMap::new();
    let short = if asked.is_partial {
        own.noted.clone()
    } else {
        Vec::new()
    };
    for (variant, units) in quantities(&own.postings).into_iter().chain(short) {
        *told_units.entry(variant).or_insert(0) += units;
    }
    prop_assert_eq!(
        asked_units,
        told_units,
        "what was asked for moves or is noted as short"
    );
    prop_assert!(
        asked.is_partial || own.noted.is_empty() || own.exception().is_some(),
        "only what may be short is, or below zero"
    );
    let place = |variant: &VariantNo| asked.lines.iter().position(|line| line.variant == *variant);
    prop_assert!(
        own.noted.iter().map(|(variant, _)| place(variant)).is_sorted(),
        "{:?} are not in the order of the lines",
        own.noted
    );
    Ok(())
}

fn quantities(postings: &[Posting]) -> Vec<(VariantNo, i64)> {
    postings
        .iter()
        .map(|posting| (posting.variant, posting.quantity))
        .collect()
}

/// Every bucket, promise, transfer and the catalogue. What has run out counts as available, recorded or not.
fn check_same(state: &State, model: &Model, now: Timestamp) -> Result<(), TestCaseError> {
    prop_assert_eq!(
        state.catalogue_size(),
        (model.warehouses.len(), model.products, model.variants.len())
    );
    for (no, (code, active, records)) in (1..).zip(&model.warehouses) {
        let warehouse = state.warehouse(WarehouseNo(no)).unwrap();
        prop_assert_eq!((&*warehouse.code, warehouse.active), (code.as_str(), *active));
        prop_assert_eq!(warehouse.negative_stock == NegativeStock::Record, *records);
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
    let open: Vec<_> = state.open_exceptions().collect();
    let expected = model.exceptions.iter().filter(|one| !one.is_cleared);
    let expected: Vec<_> = expected.map(|one| (one.id, one.warehouse)).collect();
    prop_assert_eq!(open, expected, "exceptions to be seen to");
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
    let transfers = state.transfers().map(|(id, transfer)| {
        let left: Vec<_> = transfer
            .lines
            .iter()
            .map(|line| (line.variant.0, line.units))
            .collect();
        let name = transfer.name.as_deref().map(String::from);
        (Some(id), name, transfer.source.0, transfer.destination.0, left)
    });
    let open = model.journeys.iter().filter(|journey| !journey.is_over());
    let expected = open.map(|journey| {
        let left = journey.left.iter().filter(|(_, units)| **units != 0);
        let left: Vec<_> = left.map(|(variant, units)| (*variant, *units)).collect();
        (
            journey.id,
            journey.name.clone(),
            journey.source,
            journey.destination,
            left,
        )
    });
    let transfers: Vec<_> = transfers.collect();
    for (id, name, ..) in &transfers {
        let found = name.as_deref().map(|name| state.transfer_by_name(name));
        prop_assert!(
            found.is_none_or(|found| found == *id),
            "{:?} finds {:?}",
            name,
            found
        );
    }
    prop_assert_eq!(transfers, expected.collect::<Vec<_>>());
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
        prop_assert!(bucket == Bucket::Available || buckets.of(bucket) >= 0);
        // What the orders hold is what lies in their buckets: no unit is held twice, and none by nobody.
        if [Bucket::Reserved, Bucket::Picked, Bucket::Packed].contains(&bucket) {
            let held: i64 = here.iter().map(|one| one.holds(variant, bucket)).sum();
            prop_assert_eq!(held, buckets.of(bucket), "{:?} held by orders", bucket);
        }
    }
    for one in &here {
        let promise = model.promises.iter().find(|promise| promise.id == Some(one.id));
        let Some(promise) = promise else {
            return Err(TestCaseError::fail(format!("#{} was never promised", one.id)));
        };
        prop_assert_eq!(one.expires_at, promise.expires_at, "#{}", one.id);
        let run_out = promise.run_out.get(&variant.0).copied().unwrap_or(0);
        for bucket in [Bucket::Reserved, Bucket::Picked, Bucket::Packed] {
            let mut expected = promise.holds(variant.0, name_of(bucket));
            if bucket == Bucket::Reserved {
                expected += run_out;
            }
            prop_assert_eq!(one.holds(variant, bucket), expected, "#{} {:?}", one.id, bucket);
        }
    }
    let open = model
        .promises
        .iter()
        .filter(|promise| promise.warehouse == warehouse.0 && !promise.is_over());
    prop_assert_eq!(here.len(), open.count(), "promises that are not over");
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
    let journal_transfers = journal
        .state
        .transfers()
        .flat_map(|(_, transfer)| &transfer.lines);
    let open = journal_transfers.map(|line| (line.variant, line.units));
    let named = journal
        .state
        .transits()
        .map(|(_, variant, units)| (variant, units));
    for (variant, units) in named.chain(open) {
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
            negative_stock: (code == "SOUTH").then_some(NegativeStock::Record),
        }));
    }
    take(Command::Catalogue(C::CreateProduct { name: "P".into() }));
    for sku in ["A", "B", "C"] {
        let expires_at = (sku == "C").then_some(Timestamp::from_micros(START + 20 * SECOND));
        let (sku, name, product) = (sku.into(), "A".into(), None);
        take(Command::Catalogue(C::CreateVariant {
            tracks_lots: false,
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
    model.hear(&journal.records);
    (journal, model)
}
