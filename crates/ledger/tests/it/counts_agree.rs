//! Counts against their definition, worked out each time from everything that was ever recorded: what was on hand at an
//! instant, what happened after it, and what a count had seen.

use std::collections::BTreeMap;

use bincard_ledger::command::CatalogueCommand as C;
use bincard_ledger::{
    Bucket, Command, CountCommand, CountLine, CountStep, Counting, Decision, Event, FoundLine, Kind, Line,
    NegativeStock, Position, ReceiveCommand, Recorded, Rejection, ReverseCommand, State, StockCommand,
    StockEvent, Timestamp, VariantNo, WarehouseNo, decide, snapshot,
};
use proptest::collection::vec;
use proptest::option::{self, weighted};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::asking::{SECOND, START};
use crate::journal::Journal;

#[derive(Clone, Debug)]
enum Asked {
    /// Kind, units, seconds ago, order, seconds until it runs out.
    Move(Kind, Vec<(u32, i64)>, Option<i64>, u8, Option<i64>),
    /// Which of the events, the last one being the first.
    Reverse(Index),
    /// Which of the open transfers, seconds ago: all that is on the way.
    Receive(Index, Option<i64>),
    Open(Option<Vec<u32>>, bool),
    /// Which of the open counts; variant, by how much it differs from what is on hand, seconds ago.
    Submit(Index, Vec<(u32, i64, Option<i64>)>),
    Approve(Index),
    Cancel(Index),
}

#[derive(Clone, Debug)]
struct Step {
    seconds: i64,
    warehouse: u32,
    asked: Asked,
}

fn step() -> impl Strategy<Value = Step> {
    use Kind::{
        Adjust, Hold, Inbound, Outbound, Pack, Pick, Release, Reservation, Ship, TransferOut, Unhold,
    };
    let kinds = [
        Inbound,
        Inbound,
        Outbound,
        Outbound,
        Adjust,
        Reservation,
        Reservation,
        Pick,
        Pack,
        Ship,
        Release,
        Hold,
        Unhold,
        TransferOut,
    ];
    let units = prop_oneof![6 => 1..6i64, 1 => -5..0i64];
    let ago = weighted(0.5, prop_oneof![2 => -3..4i64, 1 => 0..40i64]);
    let moves = (
        select(kinds.to_vec()),
        vec((1..=3u32, units), 1..3),
        ago.clone(),
        0..3u8,
        option::of(1..20i64),
    )
        .prop_map(|(kind, lines, ago, order, lasts)| Asked::Move(kind, lines, ago, order, lasts));
    let found = (
        1..=3u32,
        prop_oneof![3 => -6..6i64, 1 => Just(0), 1 => Just(-100)],
        weighted(0.6, -3..12i64),
    );
    let asked = prop_oneof![
        12 => moves,
        1 => any::<Index>().prop_map(Asked::Reverse),
        1 => (any::<Index>(), ago).prop_map(|(which, ago)| Asked::Receive(which, ago)),
        2 => (option::of(vec(1..=3u32, 1..3)), any::<bool>()).prop_map(|(of, blind)| Asked::Open(of, blind)),
        5 => (any::<Index>(), vec(found, 1..4)).prop_map(|(which, lines)| Asked::Submit(which, lines)),
        3 => any::<Index>().prop_map(Asked::Approve),
        1 => any::<Index>().prop_map(Asked::Cancel),
    ];
    (
        prop_oneof![2 => Just(0), 2 => 1..4i64, 1 => 4..12i64],
        1..=2u32,
        asked,
    )
        .prop_map(|(seconds, warehouse, asked)| Step {
            seconds,
            warehouse,
            asked,
        })
}

impl Step {
    fn command(&self, journal: &Journal, now: Timestamp) -> Command {
        let state = &journal.state;
        let warehouse = WarehouseNo(self.warehouse);
        let ago = |seconds: i64| now.saturating_add_micros(-seconds * SECOND);
        let open = |which: &Index| {
            let all: Vec<_> = state.counts().map(|(id, count)| (id, count.warehouse)).collect();
            match all.as_slice() {
                [] => (Position(1), warehouse),
                all => all[which.index(all.len())],
            }
        };
        let (warehouse, step) = match &self.asked {
            Asked::Move(kind, lines, seconds, order, lasts) => {
                let mut distinct = BTreeMap::new();
                for (variant, quantity) in lines {
                    let quantity = if *kind == Kind::Adjust {
                        *quantity
                    } else {
                        quantity.abs()
                    };
                    distinct.insert(*variant, quantity);
                }
                let lines = distinct.into_iter().map(|(no, quantity)| Line {
                    variant: VariantNo(no),
                    quantity,
                });
                let other = WarehouseNo(3 - warehouse.0);
                return Command::Stock(StockCommand {
                    counterpart: (*kind == Kind::TransferOut).then_some(other),
                    occurred_at: seconds.map(ago),
                    order: kind.needs_order().then(|| format!("O-{order}").into()),
                    expires_at: lasts
                        .filter(|_| *kind == Kind::Reservation)
                        .map(|seconds| ago(-seconds)),
                    ..StockCommand::new(*kind, warehouse, lines)
                });
            }
            Asked::Reverse(which) => {
                let moved = journal.records.iter().rev();
                let moved: Vec<_> = moved.filter_map(|one| Some((one, stock(one)?))).collect();
                let (undone, event) = moved[which.index(moved.len())];
                return Command::Reverse(Box::new(ReverseCommand {
                    position: undone.position,
                    event: event.clone(),
                    recorded_at: undone.recorded_at,
                    asked_as: "this".into(),
                    version: None,
                    notes: None,
                }));
            }
            Asked::Receive(which, seconds) => {
                let open: Vec<_> = state.transfers().collect();
                let (transfer, warehouse) = match open.as_slice() {
                    [] => (Position(1), warehouse),
                    all => {
                        let (id, transfer) = all[which.index(all.len())];
                        (id, transfer.destination)
                    }
                };
                return Command::Receive(ReceiveCommand {
                    version: None,
                    transfer,
                    warehouse,
                    occurred_at: seconds.map(ago),
                    lines: Vec::new(),
                    lots: Vec::new(),
                    notes: None,
                });
            }
            Asked::Open(of, is_blind) => {
                let distinct = of
                    .as_ref()
                    .map(|of| of.iter().collect::<std::collections::BTreeSet<_>>());
                let variants = distinct.map(|of| of.into_iter().rev().map(|no| VariantNo(*no)).collect());
                let is_blind = *is_blind;
                (warehouse, CountStep::Open { is_blind, variants })
            }
            Asked::Submit(which, lines) => {
                let (count, warehouse) = open(which);
                let mut distinct = BTreeMap::new();
                for (variant, by, seconds) in lines {
                    let on_hand = state.buckets(warehouse, VariantNo(*variant)).on_hand();
                    distinct.insert(*variant, ((on_hand + by).max(0), seconds.map(ago)));
                }
                let lines = distinct.into_iter().map(|(no, (counted, at))| FoundLine {
                    variant: VariantNo(no),
                    counted,
                    at,
                });
                let lines = lines.collect();
                (warehouse, CountStep::Submit { count, lines })
            }
            Asked::Approve(which) => {
                let (count, warehouse) = open(which);
                (warehouse, CountStep::Approve { count })
            }
            Asked::Cancel(which) => {
                let (count, warehouse) = open(which);
                (warehouse, CountStep::Cancel { count })
            }
        };
        let notes = None;
        Command::Count(Box::new(CountCommand {
            version: None,
            warehouse,
            step,
            notes,
        }))
    }
}

fn stock(recorded: &Recorded) -> Option<&StockEvent> {
    match &recorded.record.event {
        Event::Stock(event) => Some(event),
        Event::Catalogue(_) => None,
    }
}

/// When an event occurred as counts have it; one that undoes another, when that one did.
fn when(records: &[Recorded], recorded: &Recorded, event: &StockEvent) -> Timestamp {
    let of = event.about.filter(|_| event.kind == Kind::Reversal);
    match of.map(|of| &records[of.0 as usize - 1]) {
        Some(undone) => stock(undone).unwrap().occurred_at.min(undone.recorded_at),
        None => event.occurred_at.min(recorded.recorded_at),
    }
}

/// When that was begun which an event goes on with: reservations are made when they are recorded.
fn begun(records: &[Recorded], event: &StockEvent, variant: VariantNo) -> Timestamp {
    let record = |position: Position| &records[position.0 as usize - 1];
    if event.kind == Kind::TransferIn {
        let sent = record(event.about.unwrap());
        return when(records, sent, stock(sent).unwrap());
    }
    let of_it = event.postings.iter().filter(|posting| posting.variant == variant);
    of_it
        .filter_map(|posting| Some(record(posting.reservation?).recorded_at))
        .max()
        .unwrap_or(Timestamp::MIN)
}

/// Whether what an event moved of a variant had moved when it was counted at `at` and submitted at a position.
fn is_before(
    records: &[Recorded],
    (recorded, event): (&Recorded, &StockEvent),
    variant: VariantNo,
    (at, submitted): (Timestamp, Position),
) -> bool {
    let when = when(records, recorded, event);
    (when, recorded.position) < (at, submitted) && begun(records, event, variant) <= at
}

fn change(event: &StockEvent, variant: VariantNo) -> i64 {
    let of_it = event.postings.iter().filter(|posting| posting.variant == variant);
    of_it.map(bincard_ledger::Posting::change_on_hand).sum()
}

/// What was on hand at `at` by the records so far; what occurred at that very instant was before it if it was recorded
/// before `submitted`.
fn on_hand_at(
    records: &[Recorded],
    warehouse: WarehouseNo,
    variant: VariantNo,
    at: Timestamp,
    submitted: Position,
) -> i64 {
    let before = |recorded: &Recorded, event: &StockEvent| {
        is_before(records, (recorded, event), variant, (at, submitted))
    };
    let here = records.iter().filter_map(|one| Some((one, stock(one)?)));
    here.filter(|(recorded, event)| event.warehouse == warehouse && before(recorded, event))
        .map(|(_, event)| change(event, variant))
        .sum()
}

fn lines(event: &StockEvent) -> &[CountLine] {
    match event.count.as_deref() {
        Some(Counting::Lines(lines)) => lines,
        _ => &[],
    }
}

/// The last submission of a variant in a count, by the records.
fn submitted(records: &[Recorded], count: Position, variant: VariantNo) -> Option<(Position, CountLine)> {
    let mut found = None;
    for recorded in records {
        let Some(event) =
            stock(recorded).filter(|event| event.kind == Kind::Counted && event.about == Some(count))
        else {
            continue;
        };
        let line = lines(event).iter().find(|line| line.variant == variant);
        found = line.map(|line| (recorded.position, *line)).or(found);
    }
    found
}

/// Where and when a key was counted last: the approval's position, the line, and the position of its submission.
fn last_counts(records: &[Recorded]) -> BTreeMap<(WarehouseNo, VariantNo), (Position, CountLine, Position)> {
    let mut last = BTreeMap::new();
    for (index, recorded) in records.iter().enumerate() {
        let Some(event) = stock(recorded).filter(|event| event.kind == Kind::CountApproved) else {
            continue;
        };
        for line in lines(event) {
            let (position, _) = submitted(&records[..index], event.about.unwrap(), line.variant).unwrap();
            last.insert(
                (event.warehouse, line.variant),
                (recorded.position, *line, position),
            );
        }
    }
    last
}

/// Whatever was decided is what the definition says.
fn check_decided(
    before: &Journal,
    command: &Command,
    decision: &Decision,
    now: Timestamp,
) -> Result<(), TestCaseError> {
    let records = &before.records;
    for event in decision {
        let Event::Stock(event) = event else { continue };
        match event.kind {
            Kind::Counted => {
                for line in lines(event) {
                    let expected = on_hand_at(
                        records,
                        event.warehouse,
                        line.variant,
                        line.at,
                        Position(u64::MAX),
                    );
                    prop_assert_eq!(line.expected, expected, "{:?}", line);
                    prop_assert!(line.at <= now);
                }
            }
            Kind::CountApproved => {
                for line in lines(event) {
                    let (position, found) = submitted(records, event.about.unwrap(), line.variant).unwrap();
                    let expected = on_hand_at(records, event.warehouse, line.variant, line.at, position);
                    prop_assert_eq!(line.expected, expected, "{:?}", line);
                    prop_assert_eq!(
                        (line.counted, line.at),
                        (found.counted, found.at),
                        "the last submission counts"
                    );
                    prop_assert_eq!(change(event, line.variant), line.counted - line.expected);
                }
                prop_assert_eq!(event.occurred_at, now);
            }
            Kind::Release if event.about.is_some() => check_release(&before.state, decision, event)?,
            Kind::Reservation | Kind::Expiry => prop_assert!(event.count.is_none()),
            _ => {}
        }
        check_seen(records, command, event)?;
    }
    Ok(())
}

/// What a count had seen changes nothing on hand; what it had not is as it was asked for.
fn check_seen(records: &[Recorded], command: &Command, event: &StockEvent) -> Result<(), TestCaseError> {
    use Kind::{Adjust, Inbound, Outbound, Ship, TransferOut};
    let last = last_counts(records);
    let mut occurred_at = event.occurred_at;
    let asked: Vec<(VariantNo, i64)> = match command {
        Command::Stock(asked) if event.kind == asked.kind => {
            let change = |line: &Line| match event.kind {
                Outbound | Ship | TransferOut => -line.quantity,
                Inbound | Adjust => line.quantity,
                _ => 0,
            };
            let lines = asked.lines.iter();
            lines.map(|line| (line.variant, change(line))).collect()
        }
        Command::Reverse(asked) if event.kind == Kind::Reversal => {
            occurred_at = asked.event.occurred_at.min(asked.recorded_at);
            let variants = event.postings.iter().map(|posting| posting.variant);
            variants.map(|of| (of, -change(&asked.event, of))).collect()
        }
        Command::Receive(_) => {
            let from = bincard_ledger::Place::Account(bincard_ledger::Account::Transit);
            let arrived = event.postings.iter().filter(|posting| posting.from == from);
            arrived.map(|one| (one.variant, one.quantity)).collect()
        }
        _ => return Ok(()),
    };
    for (variant, asked) in asked {
        let counted = last.get(&(event.warehouse, variant));
        let is_late = counted.is_some_and(|(_, counted, _)| {
            occurred_at < counted.at && begun(records, event, variant) <= counted.at
        });
        let moves = asked != 0;
        if moves {
            prop_assert_eq!(event.seen().contains(&variant), is_late, "{:?}", event);
        }
        let expected = if is_late { 0 } else { asked };
        prop_assert_eq!(change(event, variant), expected, "{:?}", event);
    }
    Ok(())
}

/// What is taken from an order for a count is taken from what was promised last.
fn check_release(state: &State, decision: &Decision, release: &StockEvent) -> Result<(), TestCaseError> {
    let taken = |id: Position, variant: VariantNo| -> i64 {
        let events = decision.iter().filter_map(|event| match event {
            Event::Stock(event) => Some(event),
            Event::Catalogue(_) => None,
        });
        let postings = events.flat_map(|event| &event.postings);
        let of_it = postings.filter(|one| one.reservation == Some(id) && one.variant == variant);
        of_it
            .filter(|one| one.from == bincard_ledger::Place::Bucket(Bucket::Reserved))
            .map(|one| one.quantity)
            .sum()
    };
    for posting in &release.postings {
        let from = posting.reservation.unwrap();
        for order in ["O-0", "O-1", "O-2"] {
            let later = state.reservations(order).iter();
            for one in later.filter(|one| one.warehouse == release.warehouse && one.id > from) {
                let reserved = one.holds(posting.variant, Bucket::Reserved);
                prop_assert_eq!(
                    taken(one.id, posting.variant),
                    reserved,
                    "#{} was promised later",
                    one.id
                );
            }
        }
    }
    Ok(())
}

/// What is on hand of what was counted is what was counted and what happened after; and nothing is where it must not be.
fn check_state(journal: &Journal) -> Result<(), TestCaseError> {
    let state = &journal.state;
    for ((warehouse, variant), (approved, line, position)) in last_counts(&journal.records) {
        let mut expected = line.counted;
        for recorded in &journal.records {
            let Some(event) = stock(recorded).filter(|event| event.warehouse == warehouse) else {
                continue;
            };
            let records = &journal.records;
            let is_before = is_before(records, (recorded, event), variant, (line.at, position));
            if !is_before && recorded.position != approved {
                expected += change(event, variant);
            }
        }
        let on_hand = state.buckets(warehouse, variant).on_hand();
        prop_assert_eq!(
            on_hand,
            expected,
            "{} at {} since #{}",
            variant.0,
            warehouse.0,
            approved
        );
        prop_assert_eq!(state.counted_at(warehouse, variant), Some(line.at));
    }
    let records = |no: WarehouseNo| state.warehouse(no).unwrap().negative_stock == NegativeStock::Record;
    for (warehouse, _, buckets) in state.stock() {
        for bucket in Bucket::ALL {
            let may = bucket == Bucket::Available && records(warehouse);
            prop_assert!(may || buckets.of(bucket) >= 0, "{:?} of {:?}", bucket, buckets);
        }
    }
    // Of a count that is open, what it expects follows what is recorded late.
    for (id, count) in state.counts() {
        for line in count.lines() {
            let (position, found) = submitted(&journal.records, id, line.variant).unwrap();
            let expected = on_hand_at(&journal.records, count.warehouse, line.variant, line.at, position);
            prop_assert_eq!(
                (line.counted, line.at, line.expected),
                (found.counted, found.at, expected)
            );
        }
    }
    let shortages = journal
        .records
        .iter()
        .filter(|one| stock(one).is_some_and(|event| event.kind == Kind::Release && event.about.is_some()));
    let open: Vec<_> = state.open_exceptions().map(|(id, _)| id).collect();
    for shortage in shortages {
        prop_assert!(open.contains(&shortage.position), "a shortage is to be seen to");
    }
    Ok(())
}

/// A count is refused only where it must be.
fn check_refused(state: &State, command: &Command, rejection: &Rejection) -> Result<(), TestCaseError> {
    let Command::Count(command) = command else {
        return Ok(());
    };
    match (&command.step, rejection) {
        (CountStep::Open { variants, .. }, Rejection::CountOverlaps { by }) => {
            let other = state.count(*by).unwrap();
            let of = |no: &VariantNo| other.includes(*no);
            prop_assert_eq!(other.warehouse, command.warehouse);
            prop_assert!(variants.as_ref().is_none_or(|all| all.iter().any(of)));
        }
        (CountStep::Approve { count }, Rejection::Insufficient { shortages }) => {
            let count = state.count(*count).unwrap();
            for short in shortages {
                let line = count.lines().find(|line| line.variant == short.variant).unwrap();
                let on_hand = state.buckets(count.warehouse, line.variant).on_hand();
                prop_assert!(on_hand + line.variance() < 0, "more left than was counted");
            }
        }
        (_, Rejection::CountOver { count }) => prop_assert_eq!(state.count(*count), None),
        (CountStep::Approve { count }, Rejection::NothingCounted { .. }) => {
            prop_assert_eq!(state.count(*count).unwrap().lines().len(), 0);
        }
        (CountStep::Submit { .. }, Rejection::CountedTooEarly { .. } | Rejection::NotToBeCounted { .. }) => {}
        other => return Err(TestCaseError::fail(format!("{other:?}"))),
    }
    Ok(())
}

fn stocked() -> Journal {
    let mut journal = Journal::new();
    let now = Timestamp::from_micros(START);
    for code in ["NORTH", "SOUTH"] {
        let create = C::CreateWarehouse {
            code: code.into(),
            name: "A".into(),
            negative_stock: (code == "SOUTH").then_some(NegativeStock::Record),
        };
        journal.take(&Command::Catalogue(create), now).unwrap();
    }
    for sku in ["A", "B", "C"] {
        let create = C::CreateVariant {
            tracks_lots: false,
            sku: sku.into(),
            name: "A".into(),
            product: None,
            expires_at: None,
        };
        journal.take(&Command::Catalogue(create), now).unwrap();
    }
    for (warehouse, variant) in [(1, 1), (1, 2), (2, 1)] {
        let line = Line {
            variant: VariantNo(variant),
            quantity: 12,
        };
        let inbound = StockCommand::new(Kind::Inbound, WarehouseNo(warehouse), [line]);
        journal.take(&Command::Stock(inbound), now).unwrap();
    }
    journal
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6_000, ..ProptestConfig::default() })]

    #[test]
    fn a_count_is_what_its_definition_says(steps in vec(step(), 1..70), later in vec(step(), 1..8)) {
        let mut journal = stocked();
        let mut now = Timestamp::from_micros(START);
        for step in &steps {
            now = now.saturating_add_micros(step.seconds * SECOND);
            let command = step.command(&journal, now);
            match decide(&journal.state, &command, now) {
                Ok(decision) => {
                    check_decided(&journal, &command, &decision, now)?;
                    journal.take(&command, now).unwrap();
                    check_state(&journal)?;
                }
                Err(rejection) => check_refused(&journal.state, &command, &rejection)?,
            }
        }
        let bytes = journal.bytes();
        prop_assert_eq!(&snapshot::encode(&journal.replayed()), &bytes, "a replay gives another state");
        let state = snapshot::decode(&bytes);
        prop_assert!(state.is_ok(), "{state:?}");
        let mut restored = Journal { state: state.unwrap(), records: Vec::new() };
        prop_assert_eq!(&restored.bytes(), &bytes, "a restored state is another");
        for step in &later {
            now = now.saturating_add_micros(step.seconds * SECOND);
            let command = step.command(&journal, now);
            let decided = journal.take(&command, now);
            prop_assert_eq!(restored.take(&command, now), decided, "a restored state decides otherwise");
            prop_assert_eq!(restored.bytes(), journal.bytes());
        }
    }
}
