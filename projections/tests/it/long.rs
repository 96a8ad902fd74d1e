//! A history of more than one block of positions and many days, with kinds that are rare.

use bincard_ledger::{Command, Kind, Line, Reason, StockCommand, Timestamp, VariantNo, WarehouseNo};
use bincard_projections::history::{AsOf, EventFilter};
use bincard_projections::stock::{StockFilter, StockKey};
use bincard_projections::{ViewName, verify};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::answers::{check_events, sorts};
use crate::ledger::{HOUR, Kept, Ledger, MINUTE, Random, START, runtime};
use crate::naive;
use crate::rebuild::assert_verified;

/// 40,000 events over half a year, most of them at one warehouse and in order of occurrence, one in 5,000 a hold.
fn long_ledger() -> Ledger {
    let mut random = Random::new(51);
    let mut ledger = Ledger::with_catalogue();
    for n in 0..40_000u64 {
        let kind = if n % 5_000 == 4_321 {
            Kind::Hold
        } else {
            Kind::Inbound
        };
        let warehouse = if n % 1_000 == 7 { 2 } else { 1 };
        let line = Line {
            variant: VariantNo(random.below(2) as u32 + 1),
            quantity: 1,
        };
        let mut command = StockCommand::new(kind, WarehouseNo(warehouse), [line]);
        let backdated = if random.below(50) == 0 {
            random.below(1_000) as i64 * MINUTE
        } else {
            0
        };
        command.occurred_at = Some(ledger.now.saturating_add_micros(-backdated));
        command.reason = n.is_multiple_of(7).then_some(Reason::Other);
        assert!(ledger.run(&Command::Stock(command)));
        if n % 50 == 49 {
            ledger.commit();
            ledger.pass(5 * HOUR);
        }
    }
    ledger.commit();
    ledger
}

#[test]
fn long_histories_are_listed_and_looked_back_on_like_short_ones() {
    for kept in Kept::BOTH {
        let ledger = long_ledger().kept(kept);
        let projector = ledger.project();
        let at = |part: i64| Some(Timestamp::from_micros(START + part * 80 * HOUR));
        let kinds = |kinds: &[Kind]| EventFilter {
            kinds: Some(kinds.to_vec()),
            ..EventFilter::default()
        };
        let warehouse = |no| EventFilter {
            warehouses: Some(vec![WarehouseNo(no)]),
            ..EventFilter::default()
        };
        let filters = [
            EventFilter::default(),
            kinds(&[Kind::Hold]),
            kinds(&[Kind::Inbound, Kind::Hold]),
            warehouse(1),
            warehouse(2),
            EventFilter {
                warehouses: Some(vec![WarehouseNo(2), WarehouseNo(3)]),
                ..kinds(&[Kind::Hold, Kind::Inbound])
            },
            EventFilter {
                reason: Some(Reason::Other),
                occurred_from: at(3),
                occurred_to: at(49),
                ..warehouse(1)
            },
            EventFilter {
                occurred_from: at(10),
                occurred_to: at(11),
                ..EventFilter::default()
            },
            EventFilter {
                occurred_from: at(10),
                ..kinds(&[Kind::Hold])
            },
            EventFilter {
                variant: Some(VariantNo(2)),
                occurred_to: at(40),
                ..EventFilter::default()
            },
        ];
        runtime().block_on(async {
            let views = ledger.settled(&projector).await;
            let mut random = Random::new(52);
            for filter in &filters {
                for sort in sorts() {
                    check_events(&ledger.events, &views, filter, sort, &mut random).await;
                }
            }
            for key in naive::stock(&ledger.events)
                .into_keys()
                .collect::<Vec<StockKey>>()
            {
                for _ in 0..25 {
                    let mut instant =
                        || Timestamp::from_micros(START + random.below(4_000) as i64 * HOUR + 1);
                    for past in [
                        AsOf {
                            as_of: Some(instant()),
                            known_at: None,
                        },
                        AsOf {
                            as_of: None,
                            known_at: Some(instant()),
                        },
                        AsOf {
                            as_of: Some(instant()),
                            known_at: Some(instant()),
                        },
                    ] {
                        let found = views.stock_as_of(key, past).await.unwrap().value;
                        assert_eq!(
                            found.buckets,
                            naive::as_of(&ledger.events, key, past),
                            "{key:?} {past:?}"
                        );
                    }
                }
            }
            let filter = StockFilter {
                in_lots: false,
                warehouses: Some(vec![WarehouseNo(2)]),
                variant: None,
            };
            let page = bincard_projections::Slice {
                after: None,
                skip: 0,
                limit: 9,
                with_total: true,
            };
            assert_eq!(
                views
                    .stock_page(&filter, page, ledger.now)
                    .await
                    .unwrap()
                    .value
                    .total,
                Some(2)
            );
            assert_verified(&ledger).await;
        });
        projector.close();
        if kept == Kept::InFiles {
            runtime().block_on(changes_far_apart_are_all_found(&ledger));
        }
    }
}

/// A comparison goes from stretch to stretch: nothing between them is left out or counted twice.
async fn changes_far_apart_are_all_found(ledger: &Ledger) {
    let views = ledger.views_path();
    let look = async || {
        let verified = verify(&views, &ledger.reader, &[ViewName::History], |_| {}).await;
        verified.unwrap().remove(0)
    };
    let before = look().await;
    assert!(before.is_well());
    let first = naive::stock_events(&ledger.events).next().unwrap().0.position.0;
    // So many rows are compared at once.
    let stretch = 16_384;
    let changed = [first, first + stretch - 1, first + stretch, first + 40_000 - 1];
    let missing = first + 2 * stretch - 1;
    let foreign = first + 50_000;
    let options = SqliteConnectOptions::new().filename(views.join("history.1.db"));
    let mut connection = options.connect().await.unwrap();
    for position in changed {
        execute(
            &mut connection,
            "update events set kind = kind + 1 where position = $1",
            position,
        )
        .await;
    }
    execute(&mut connection, "delete from events where position = $1", missing).await;
    execute(
        &mut connection,
        "insert into events values ($1, 0, 0, 1, 1, 0)",
        foreign,
    )
    .await;
    connection.close().await.unwrap();
    let after = look().await;
    let mut expected: Vec<u64> = changed.into_iter().chain([missing, foreign]).collect();
    expected.sort_unstable();
    let found: Vec<String> = after.differences.iter().map(|one| one.key.clone()).collect();
    let expected: Vec<String> = expected.iter().map(|at| format!("position {at}")).collect();
    assert_eq!(found, expected);
    assert_eq!((after.differing, after.rows), (6, before.rows + 1));
}

async fn execute(connection: &mut SqliteConnection, statement: &'static str, position: u64) {
    let query = sqlx::query(statement).bind(position as i64);
    let done = query.execute(connection).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "{statement} {position}");
}
