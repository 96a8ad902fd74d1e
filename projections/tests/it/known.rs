//! What was known at an instant, of histories with many stretches of positions in them. Every event adds a unit to the same key,
//! so that what the key held says how many events were known.

use bincard_ledger::{
    CatalogueCommand, Command, Kind, Line, Reason, StockCommand, Timestamp, VariantNo, WarehouseNo,
};
use bincard_projections::history::AsOf;
use bincard_projections::stock::{StockFilter, StockKey};
use proptest::prelude::*;

use crate::answers::all;
use crate::ledger::{Kept, Ledger, runtime};
use crate::naive;

/// How many positions are a stretch.
const STRETCH: u64 = 64;
const KEY: StockKey = StockKey {
    warehouse: WarehouseNo(1),
    variant: VariantNo(1),
};

/// Events of one sort, up to a place in a stretch.
#[derive(Clone, Debug)]
struct Run {
    /// Whether they move stock; the others leave no row.
    moves: bool,
    /// Where the last one stands in its stretch.
    until: u64,
    /// How many whole stretches it goes on for.
    stretches: u64,
    /// So many events are recorded at two instants, the first of them alone.
    at_once: usize,
    /// How much later the next ones are.
    apart: i64,
}

fn runs() -> impl Strategy<Value = Vec<Run>> {
    let until = prop_oneof![
        3 => prop::sample::select(vec![0, 1, STRETCH / 2 - 1, STRETCH / 2, STRETCH - 1]),
        1 => 0..STRETCH,
    ];
    let stretches = prop::sample::select(vec![0, 0, 0, 1, 2]);
    let at_once = prop::sample::select(vec![12, 50, 300, 1_500]);
    let run = (any::<bool>(), until, stretches, at_once, 1i64..4).prop_map(
        |(moves, until, stretches, at_once, apart)| Run {
            moves,
            until,
            stretches,
            at_once,
            apart,
        },
    );
    prop::collection::vec(run, 0..7)
}

fn ledger_of(runs: &[Run]) -> Ledger {
    let mut ledger = Ledger::with_catalogue();
    for run in runs {
        let head = ledger.events.len() as u64;
        let more = (run.until + STRETCH - head % STRETCH) % STRETCH + run.stretches * STRETCH;
        for n in 1..=more as usize {
            let command = if run.moves {
                received(&ledger, n)
            } else {
                let name = format!("{head} {n}").into();
                Command::Catalogue(CatalogueCommand::CreateProduct { name })
            };
            assert!(ledger.run(&command));
            if n % run.at_once < 2 || n == more as usize {
                ledger.commit();
                ledger.pass(run.apart - 1);
            }
        }
    }
    ledger
}

/// The receipt of one unit, some of them long after it happened.
fn received(ledger: &Ledger, n: usize) -> Command {
    let line = Line {
        variant: KEY.variant,
        quantity: 1,
    };
    let mut command = StockCommand::new(Kind::Inbound, KEY.warehouse, [line]);
    if n.is_multiple_of(5) {
        command.occurred_at = Some(ledger.now.saturating_add_micros(-(n as i64) * 3));
        command.reason = Some(Reason::Other);
    }
    Command::Stock(command)
}

/// The instants around those at which the events at the borders and in the middle of stretches were recorded, and some
/// between them, before all and after all.
fn instants(ledger: &Ledger) -> Vec<Timestamp> {
    let at_border = |position: u64| {
        let place = position % STRETCH;
        [0, 1, STRETCH / 2 - 1, STRETCH / 2, STRETCH - 1].contains(&place) || position.is_multiple_of(97)
    };
    let events = ledger.events.iter();
    let mut instants: Vec<i64> = events
        .filter(|recorded| at_border(recorded.position.0))
        .flat_map(|recorded| [-1, 0, 1].map(|off| recorded.recorded_at.micros() + off))
        .collect();
    let (first, now) = (ledger.events[0].recorded_at.micros(), ledger.now.micros());
    instants.extend([i64::MIN, first - 1, now, i64::MAX]);
    instants.sort_unstable();
    instants.dedup();
    instants.into_iter().map(Timestamp::from_micros).collect()
}

async fn check(ledger: &Ledger) {
    let projector = ledger.project();
    let views = ledger.settled(&projector).await;
    let everything = StockFilter::default();
    let ever = naive::stock_events(&ledger.events).next().is_some();
    let instants = instants(ledger);
    for (index, at) in instants.iter().enumerate() {
        let occurred = instants[instants.len() - 1 - index];
        for as_of in [None, Some(occurred)] {
            let past = AsOf {
                as_of,
                known_at: Some(*at),
            };
            let expected = naive::as_of(&ledger.events, KEY, past);
            let found = views.stock_as_of(KEY, past).await.unwrap();
            assert_eq!(found.position, ledger.head());
            assert_eq!(found.value.buckets, expected, "{past:?}");
            let page = views.stock_as_of_page(&everything, past, all());
            let rows = page.await.unwrap().value.rows;
            let rows: Vec<_> = rows.iter().map(|row| (row.key, row.buckets)).collect();
            assert_eq!(
                rows,
                ever.then_some((KEY, expected)).into_iter().collect::<Vec<_>>()
            );
        }
    }
    tokio::task::spawn_blocking(|| projector.close()).await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn what_was_known_ends_with_the_last_event_that_was_recorded_by_then(runs in runs()) {
        for kept in Kept::BOTH {
            let ledger = ledger_of(&runs).kept(kept);
            runtime().block_on(check(&ledger));
        }
    }
}

#[test]
fn nothing_was_known_where_nothing_ever_moved() {
    for kept in Kept::BOTH {
        runtime().block_on(check(&ledger_of(&[]).kept(kept)));
    }
}

/// Stretches full of events, with an event at one end only, or with none, and more events at one instant than a stretch holds.
#[test]
fn a_stretch_may_hold_one_event_or_none_or_be_recorded_at_once() {
    let run = |moves, until, stretches, at_once| Run {
        moves,
        until,
        stretches,
        at_once,
        apart: 2,
    };
    let runs = [
        run(false, STRETCH - 2, 0, 100),
        run(true, STRETCH - 1, 0, 2),
        run(false, STRETCH - 1, 2, 700),
        run(true, 0, 0, 2),
        run(false, STRETCH - 1, 0, 1_025),
        run(true, STRETCH - 1, 1, 100),
        run(true, 2, 2, 10_000),
        run(false, 4, 0, 2),
        run(true, 5, 0, 2),
    ];
    for kept in Kept::BOTH {
        runtime().block_on(check(&ledger_of(&runs).kept(kept)));
    }
}
