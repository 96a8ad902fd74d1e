//! Stock as of instants of a history over centuries, before and after 1970, around the borders of days and of the spans
//! of days that are added up; and of a day on which one key moved thousands of times.

use bincard_ledger::{Command, Kind, Line, Reason, StockCommand, Timestamp, VariantNo, WarehouseNo};
use bincard_projections::history::AsOf;
use bincard_projections::stock::{StockFilter, StockKey};

use crate::answers::all;
use crate::ledger::{HOUR, Kept, Ledger, Random, runtime};
use crate::naive;
use crate::rebuild::assert_verified;

const DAY: i64 = 24 * HOUR;
const KEYS: [(u32, u32); 3] = [(1, 1), (2, 1), (1, 2)];
/// The first of them.
const KEY: StockKey = StockKey {
    warehouse: WarehouseNo(1),
    variant: VariantNo(1),
};

/// Instants around borders: of the days that spans begin with, of others, and far away from all.
fn border(random: &mut Random) -> i64 {
    let multiple = random.below(160) as i64 - 80;
    let day = multiple * random.pick(&[1, 16, 256]) + random.pick(&[-1, 0, 1]);
    day * DAY + random.pick(&[-1, 0, 1, 7 * HOUR])
}

fn moved(ledger: &mut Ledger, kind: Kind, (warehouse, variant): (u32, u32), quantity: i64, at: i64) -> bool {
    let line = Line {
        variant: VariantNo(variant),
        quantity,
    };
    let mut command = StockCommand::new(kind, WarehouseNo(warehouse), [line]);
    command.occurred_at = Some(Timestamp::from_micros(at));
    command.reason = Some(Reason::Other);
    ledger.run(&Command::Stock(command))
}

/// Events in no order of occurrence, of which two of three are in such an order by commits.
fn long_lived(seed: u64) -> Ledger {
    let mut random = Random::new(seed);
    let mut ledger = Ledger::with_catalogue();
    for n in 0..900 {
        let at = border(&mut random).min(ledger.now.micros());
        let kind = random.pick(&[Kind::Inbound, Kind::Inbound, Kind::Hold, Kind::Outbound]);
        let key = random.pick(&KEYS);
        let quantity = 1 + random.below(9) as i64;
        moved(&mut ledger, kind, key, quantity, at);
        if n % 13 == 12 {
            ledger.commit();
            ledger.pass(HOUR);
        }
    }
    ledger.commit();
    ledger
}

#[test]
fn a_history_of_centuries_is_looked_back_on_at_every_border() {
    for kept in Kept::BOTH {
        let ledger = long_lived(77).kept(kept);
        let moves = naive::stock_events(&ledger.events).count();
        assert!(moves > 600, "{moves}");
        let mut random = Random::new(78);
        let everything = StockFilter::default();
        let projector = ledger.project();
        runtime().block_on(async {
            let views = ledger.settled(&projector).await;
            for n in 0..400 {
                let at = Timestamp::from_micros(border(&mut random));
                let recorded = ledger.events[random.below(ledger.events.len() as u64) as usize].recorded_at;
                let past = AsOf {
                    as_of: Some(at),
                    known_at: (n % 4 == 0).then_some(recorded),
                };
                let page = views.stock_as_of_page(&everything, past, all());
                let page = page.await.unwrap().value.rows;
                assert_eq!(page.len(), KEYS.len());
                for row in page {
                    let expected = naive::as_of(&ledger.events, row.key, past);
                    assert_eq!(row.buckets, expected, "{past:?}");
                    let alone = views.stock_as_of(row.key, past).await.unwrap();
                    assert_eq!(alone.value, row, "{past:?}");
                    assert_eq!(alone.position, ledger.head());
                }
            }
            tokio::task::spawn_blocking(|| projector.close()).await.unwrap();
            assert_verified(&ledger).await;
        });
    }
}

#[test]
fn a_day_of_thousands_of_movements_is_looked_back_on_like_any() {
    let mut ledger = Ledger::with_catalogue();
    let first = ledger.now.micros();
    for n in 0..6_000 {
        assert!(moved(&mut ledger, Kind::Inbound, KEYS[0], 1, first + n));
        if n % 500 == 499 {
            ledger.commit();
            ledger.pass(1_000);
        }
    }
    let projector = ledger.project();
    runtime().block_on(async {
        let views = ledger.settled(&projector).await;
        for n in [0, 10, 5_000, 5_999, 20] {
            let past = AsOf {
                as_of: Some(Timestamp::from_micros(first + n)),
                known_at: None,
            };
            let found = views.stock_as_of(KEY, past).await.unwrap();
            assert_eq!(found.value.buckets.0[0], n + 1);
            assert_eq!(found.position, ledger.head());
        }
        tokio::task::spawn_blocking(|| projector.close()).await.unwrap();
    });
}

#[test]
fn a_view_that_was_asked_is_one_file_once_it_is_closed() {
    let ledger = long_lived(79);
    let projector = ledger.project();
    runtime().block_on(async {
        let views = ledger.settled(&projector).await;
        let past = AsOf {
            as_of: Some(ledger.now),
            known_at: Some(ledger.now),
        };
        views.stock_as_of(KEY, past).await.unwrap();
    });
    projector.close();
    let entries = std::fs::read_dir(ledger.views_path()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let left: Vec<String> = names
        .filter(|name| name.ends_with("-wal") || name.ends_with("-shm"))
        .collect();
    assert_eq!(left, [""; 0]);
}

/// Every stretch between two marks spans all instants.
#[test]
fn a_history_in_no_order_is_looked_back_on_in_one_go() {
    let mut ledger = Ledger::with_catalogue();
    let mut random = Random::new(80);
    let begin = ledger.now.micros() - 300 * DAY;
    for n in 0..12_000 {
        let at = begin + random.below(300) as i64 * DAY + n;
        assert!(moved(&mut ledger, Kind::Inbound, KEYS[0], 1, at));
        if n % 1_000 == 999 {
            ledger.commit();
            ledger.pass(HOUR);
        }
    }
    let projector = ledger.project();
    runtime().block_on(async {
        let views = ledger.settled(&projector).await;
        for share in 1..10 {
            let known = ledger.events[ledger.events.len() * share / 10].recorded_at;
            let past = AsOf {
                as_of: Some(Timestamp::from_micros(begin + 30 * share as i64 * DAY)),
                known_at: Some(known),
            };
            let found = views.stock_as_of(KEY, past).await.unwrap().value;
            assert_eq!(found.buckets, naive::as_of(&ledger.events, KEY, past));
        }
        tokio::task::spawn_blocking(|| projector.close()).await.unwrap();
    });
}
