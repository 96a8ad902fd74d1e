//! One key of the view of stock, folded again and put right where it is wrong.

use bincard_ledger::{Event, Recorded, VariantNo, WarehouseNo};
use bincard_projections::stock::StockKey;
use bincard_projections::{Projector, ViewName, stock_around, verify};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::ledger::{Kept, Ledger, Random, VARIANTS, WAREHOUSES, runtime};
use crate::naive;

fn keys() -> impl Iterator<Item = StockKey> {
    (1..=WAREHOUSES).flat_map(|warehouse| {
        (1..=VARIANTS).map(move |variant| StockKey {
            warehouse: WarehouseNo(warehouse),
            variant: VariantNo(variant),
        })
    })
}

/// Changes the table of stock behind the projector's back.
async fn tamper(ledger: &Ledger, sql: String) {
    let file = ledger.views_path().join(format!("{}.1.db", ViewName::Stock));
    let mut connection = SqliteConnectOptions::new()
        .filename(file)
        .connect()
        .await
        .unwrap();
    let done = sqlx::query(AssertSqlSafe(sql.clone()))
        .execute(&mut connection)
        .await
        .unwrap();
    assert_eq!(done.rows_affected(), 1, "{sql}");
    connection.close().await.unwrap();
}

fn concerns(recorded: &&Recorded, key: StockKey) -> bool {
    let Event::Stock(event) = &recorded.record.event else {
        return false;
    };
    let of = |variant: VariantNo| variant == key.variant;
    event.warehouse == key.warehouse
        && (event.postings.iter().any(|posting| of(posting.variant))
            || event.noted.iter().any(|(variant, _)| of(*variant)))
}

async fn is_well(ledger: &Ledger) -> bool {
    let found = verify(&ledger.views_path(), &ledger.reader, &[ViewName::Stock], |_| ()).await;
    found.unwrap()[0].is_well()
}

#[test]
fn what_is_right_stays_as_it_is() {
    for kept in Kept::BOTH {
        let mut ledger = Ledger::with_catalogue().kept(kept);
        ledger.grow(&mut Random::new(5), 300);
        let projector = ledger.project();
        runtime().block_on(async {
            let views = ledger.settled(&projector).await;
            let stock = naive::stock(&ledger.events);
            for key in keys() {
                let told = views.refold_stock(&ledger.reader, key).await.unwrap();
                let expected = stock.iter().find(|(other, _)| **other == key);
                let expected = expected.map(|(_, (buckets, _))| *buckets).unwrap_or_default();
                assert_eq!((told.found, told.folded), (expected, expected), "{key:?}");
                let events = ledger
                    .events
                    .iter()
                    .filter(|recorded| concerns(recorded, key))
                    .count();
                assert_eq!((told.events, told.was_repaired), (events as u64, false));
                assert_eq!(told.position, ledger.head());
            }
        });
        projector.close();
    }
}

#[test]
fn what_was_there_around_an_event_is_what_the_history_says() {
    for kept in Kept::BOTH {
        let mut ledger = Ledger::with_catalogue().kept(kept);
        ledger.grow(&mut Random::new(11), 300);
        let projector = ledger.project();
        runtime().block_on(async {
            let views = ledger.settled(&projector).await;
            let mut count = 0;
            for (recorded, event) in naive::stock_events(&ledger.events).step_by(7) {
                let Some(posting) = event.postings.first() else {
                    continue;
                };
                let (warehouse, variant) = (event.warehouse, posting.variant);
                let key = StockKey { warehouse, variant };
                let around = stock_around(&ledger.reader, key, recorded.position)
                    .await
                    .unwrap();
                let found = views
                    .transaction(variant, event.occurred_at, recorded.position)
                    .await
                    .unwrap();
                let row = found.value.unwrap();
                let (before, after) = (around.0.available(), around.1.available());
                assert_eq!(
                    (before, after),
                    (row.available_before, row.available_after),
                    "{recorded:?}"
                );
                let own = event.postings.iter().filter(|posting| posting.variant == variant);
                assert_eq!(
                    row.moved,
                    own.clone().map(|posting| posting.quantity).sum::<i64>()
                );
                assert_eq!(
                    row.on_hand_change,
                    own.map(|posting| posting.change_on_hand()).sum::<i64>()
                );
                assert_eq!(
                    (row.kind, row.reason, row.warehouse),
                    (event.kind, event.reason, warehouse)
                );
                count += 1;
            }
            assert!(count > 20);
        });
        projector.close();
    }
}

#[test]
fn what_is_wrong_is_put_right_by_the_projector_and_goes_on_from_there() {
    let mut ledger = Ledger::with_catalogue();
    let mut random = Random::new(7);
    ledger.grow(&mut random, 300);
    runtime().block_on(async {
        let projector = ledger.project();
        ledger.settled(&projector).await;
        tokio::task::block_in_place(|| projector.close());
        let of = |key: StockKey| {
            format!(
                "where warehouse = {} and variant = {}",
                key.warehouse.0, key.variant.0
            )
        };
        let stocked: Vec<StockKey> = naive::stock(&ledger.events).into_keys().collect();
        let [changed, gone, ..] = stocked[..] else {
            panic!("a ledger of so many events has stock")
        };
        tamper(
            &ledger,
            format!("update stock set available = available + 2 {}", of(changed)),
        )
        .await;
        tamper(&ledger, format!("delete from stock {}", of(gone))).await;
        let (warehouse, variant) = (WarehouseNo(1), VariantNo(4_000));
        let foreign = StockKey { warehouse, variant };
        tamper(
            &ledger,
            "insert into stock values (1, 4000, 9, 0, 0, 0, 0, 7)".to_owned(),
        )
        .await;
        tamper(
            &ledger,
            "insert into expiring values (1, 4000, 5, 3, 9)".to_owned(),
        )
        .await;
        assert!(!is_well(&ledger).await);

        let projector: Projector = ledger.project();
        // More comes in while the view is wrong, and is folded on top of it.
        ledger.grow(&mut random, 50);
        let views = ledger.settled(&projector).await;
        let stock = naive::stock(&ledger.events);
        for (key, off) in [(changed, Some(2)), (gone, None), (foreign, Some(9))] {
            let told = views.refold_stock(&ledger.reader, key).await.unwrap();
            assert!(told.was_repaired, "{key:?}");
            let right = stock.get(&key).map(|(buckets, _)| *buckets).unwrap_or_default();
            assert_eq!(told.folded, right);
            if let Some(off) = off {
                assert_eq!(told.found.available() - right.available(), off);
            }
            let row = views.stock_row(key, ledger.now).unwrap().value;
            assert_eq!(row.is_some(), stock.contains_key(&key), "memory is right, too");
            let again = views.refold_stock(&ledger.reader, key).await.unwrap();
            assert!(!again.was_repaired && again.found == right);
        }
        ledger.grow(&mut random, 50);
        ledger.settled(&projector).await;
        assert!(is_well(&ledger).await, "what came after is right, too");
        tokio::task::block_in_place(|| projector.close());
    });
}
