//! What the state keeps of open orders: all that a count must know of who holds what, and nothing of those that are gone.

use bincard_ledger::{
    Bucket, CatalogueCommand as C, Command, CountCommand, CountStep, Decision, Event, FoundLine, Kind, Line,
    Position, StockCommand, Timestamp, VariantNo, WarehouseNo, decide, snapshot,
};

use crate::journal::Journal;

const WAREHOUSE: WarehouseNo = WarehouseNo(1);
const VARIANT: VariantNo = VariantNo(1);
const OTHER: VariantNo = VariantNo(2);

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros((1_750_000_000 + second) * 1_000_000)
}

fn furnished() -> Journal {
    let mut journal = Journal::new();
    let variant = |sku: &str| C::CreateVariant {
        sku: sku.into(),
        name: sku.into(),
        product: None,
        expires_at: None,
        tracks_lots: false,
    };
    let warehouse = C::CreateWarehouse {
        negative_stock: None,
        code: "N".into(),
        name: "N".into(),
    };
    for command in [warehouse, variant("A"), variant("B")] {
        journal
            .take(&Command::Catalogue(command), at(0))
            .expect("it is new");
    }
    journal
}

fn take(journal: &mut Journal, kind: Kind, order: Option<&str>, lines: &[(VariantNo, i64)]) -> Position {
    let lines = lines
        .iter()
        .map(|&(variant, quantity)| Line { variant, quantity });
    let order = order.map(Into::into);
    let expires_at = (kind == Kind::Reservation).then(|| at(100));
    let command = StockCommand {
        order,
        expires_at,
        ..StockCommand::new(kind, WAREHOUSE, lines)
    };
    journal
        .take(&Command::Stock(command), at(1))
        .expect("there is enough");
    journal.state.head()
}

#[test]
fn nothing_is_kept_of_orders_that_are_gone() {
    let mut journal = furnished();
    take(
        &mut journal,
        Kind::Inbound,
        None,
        &[(VARIANT, 10_000), (OTHER, 10_000)],
    );
    // One stays, so that one of the variants is always held by somebody.
    take(
        &mut journal,
        Kind::Reservation,
        Some("order that stays"),
        &[(OTHER, 1)],
    );
    let mut shown = Vec::new();
    for number in 0..400 {
        let order = format!("order {number:03}");
        let lines = [(VARIANT, 2), (OTHER, 1)];
        take(&mut journal, Kind::Reservation, Some(&order), &lines);
        if number % 2 == 0 {
            take(&mut journal, Kind::Release, Some(&order), &lines);
        } else {
            for kind in [Kind::Pick, Kind::Pack, Kind::Ship] {
                take(&mut journal, kind, Some(&order), &lines);
            }
        }
        if number == 20 || number == 399 {
            shown.push(format!("{:?}", journal.state));
        }
    }
    // Whatever was kept of 379 orders would be longer than the digits that positions and stock have gained.
    let [few, many] = [shown[0].len(), shown[1].len()];
    assert!(
        many < few + 100,
        "{few} letters show a state after 21 orders, {many} after 400: {}",
        shown[1]
    );
}

/// A reservation of the variant, by its event, and its units.
type Reserved = (Position, String, i64);

/// What an approval takes from reservations of the variant, last made first.
fn taken(decision: &Decision) -> Vec<(Position, i64)> {
    let mut taken = Vec::new();
    for event in decision {
        let Event::Stock(event) = event else { continue };
        let of_it = event
            .postings
            .iter()
            .filter(|one| event.kind == Kind::Release && one.variant == VARIANT);
        taken.extend(of_it.map(|one| (one.reservation.unwrap(), one.quantity)));
    }
    taken.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
    taken
}

/// Counts the variant, of which `missing` are missing, and checks that they are taken from what was promised last, whichever
/// way the state came to be.
fn approve(journal: &mut Journal, open: &mut Vec<Reserved>, missing: i64) {
    let step = |journal: &mut Journal, step| {
        let command = Command::Count(Box::new(count(step)));
        journal.take(&command, at(1)).expect("it is counted");
    };
    let (is_blind, variants) = (false, Some(vec![VARIANT]));
    step(journal, CountStep::Open { is_blind, variants });
    let count_id = journal.state.head();
    let counted = journal.state.buckets(WAREHOUSE, VARIANT).on_hand() - missing;
    let (variant, at_now) = (VARIANT, None);
    let lines = vec![FoundLine {
        variant,
        counted,
        at: at_now,
    }];
    step(
        journal,
        CountStep::Submit {
            count: count_id,
            lines,
        },
    );
    let approval = Command::Count(Box::new(count(CountStep::Approve { count: count_id })));

    let (mut expected, mut left) = (Vec::new(), missing);
    while left > 0 {
        let last = open.last_mut().expect("as much is held");
        let units = left.min(last.2);
        expected.push((last.0, units));
        left -= units;
        last.2 -= units;
        if last.2 == 0 {
            open.pop();
        }
    }
    let read = snapshot::decode(&journal.bytes()).expect("it was written");
    for state in [&journal.state, &read, &journal.replayed()] {
        let decision = decide(state, &approval, at(1)).expect("orders hold enough");
        assert_eq!(taken(&decision), expected);
    }
    journal.take(&approval, at(1)).expect("orders hold enough");
}

fn count(step: CountStep) -> CountCommand {
    CountCommand {
        version: None,
        warehouse: WAREHOUSE,
        step,
        notes: None,
    }
}

#[test]
fn what_is_missing_is_taken_from_the_orders_that_came_last_however_many_came_and_went() {
    let mut journal = furnished();
    let mut open: Vec<Reserved> = Vec::new();
    for number in 0..600_i64 {
        // The order of names is not that of reserving, and some order again.
        let order = format!("order {:03}", number * 7919 % 500);
        let units = 1 + number % 4;
        let lines = [(VARIANT, units), (OTHER, 1)];
        take(&mut journal, Kind::Inbound, None, &lines);
        let id = take(&mut journal, Kind::Reservation, Some(&order), &lines);
        open.push((id, order, units));
        // More come than go at first and at last, and as many in between.
        let goes = number % 3 == 0 || (200..350).contains(&number);
        if goes {
            let (id, order, units) = open.remove((number * 31) as usize % open.len());
            let all = StockCommand {
                order: Some(order.as_str().into()),
                reservation: Some(id),
                ..StockCommand::new(Kind::Release, WAREHOUSE, [])
            };
            journal.take(&Command::Stock(all), at(1)).expect("it is held");
            take(&mut journal, Kind::Outbound, None, &[(VARIANT, units)]);
        }
        if number % 50 == 49 {
            assert_eq!(journal.state.buckets(WAREHOUSE, VARIANT).of(Bucket::Available), 0);
            approve(&mut journal, &mut open, 1 + number % 7);
        }
        // All of it goes once, so that nobody is left.
        if number == 350 {
            let all = open.iter().map(|(_, _, units)| units).sum();
            approve(&mut journal, &mut open, all);
        }
    }
}
