//! A verification finds whatever was changed behind the projector's back, and names it.

use bincard_ledger::{Event, Position};
use bincard_projections::{Difference, ViewName, verify};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::ledger::{Ledger, Random, runtime};
use crate::naive;

/// A ledger whose views have caught up and are closed.
fn closed(events: usize) -> Ledger {
    let mut ledger = Ledger::with_catalogue();
    ledger.grow(&mut Random::new(21), events);
    let projector = ledger.project();
    runtime().block_on(ledger.settled(&projector));
    projector.close();
    ledger
}

fn differences(ledger: &Ledger, view: ViewName, tamper: &'static str) -> Vec<Difference> {
    runtime().block_on(async {
        let options = SqliteConnectOptions::new().filename(ledger.views_path().join(format!("{view}.1.db")));
        let mut connection = options.connect().await.unwrap();
        let done = sqlx::query(tamper).execute(&mut connection).await.unwrap();
        assert_eq!(done.rows_affected(), 1, "{tamper}");
        connection.close().await.unwrap();
        let mut told = 0;
        let found = verify(&ledger.views_path(), &ledger.reader, &[view], |_| told += 1)
            .await
            .unwrap();
        assert!(told > 0);
        assert_eq!(found[0].differing, found[0].differences.len() as u64);
        found[0].differences.clone()
    })
}

#[test]
fn a_changed_quantity_of_stock_is_named_with_its_key_and_event() {
    let ledger = closed(150);
    let found = differences(
        &ledger,
        ViewName::Stock,
        "update stock set available = available + 1 where warehouse = 2 and variant = 3",
    );
    let key = naive::stock(&ledger.events)
        .into_iter()
        .find(|(key, _)| (key.warehouse.0, key.variant.0) == (2, 3));
    let (_, (buckets, changed)) = key.unwrap();
    let [difference] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(
        (difference.table, difference.key.as_str()),
        ("stock", "warehouse 2, variant 3")
    );
    assert!(
        difference
            .expected
            .as_ref()
            .unwrap()
            .starts_with(&format!("available {}, ", buckets.available()))
    );
    assert!(
        difference
            .found
            .as_ref()
            .unwrap()
            .starts_with(&format!("available {}, ", buckets.available() + 1))
    );
    assert_eq!(difference.first, Some(changed));
}

#[test]
fn a_row_that_missed_events_is_named_with_the_first_it_missed() {
    let ledger = closed(150);
    let mut at_key: Vec<Position> = Vec::new();
    for (recorded, event) in naive::stock_events(&ledger.events) {
        if event.warehouse.0 == 1 && event.postings.iter().any(|posting| posting.variant.0 == 1) {
            at_key.push(recorded.position);
        }
    }
    // The row says that the first event was its last.
    let found = differences(
        &ledger,
        ViewName::Stock,
        "update stock set changed = (select min(position) from (select 10 as position)) where warehouse = 1 and variant = 1",
    );
    let first = at_key.into_iter().find(|position| position.0 > 10);
    assert_eq!(
        found
            .iter()
            .map(|difference| difference.first)
            .collect::<Vec<_>>(),
        [first]
    );
}

#[test]
fn a_missing_a_changed_and_a_foreign_movement_are_named_with_their_events() {
    let ledger = closed(120);
    let position = naive::stock_events(&ledger.events).nth(40).unwrap().0.position;
    let gone = differences(
        &ledger,
        ViewName::History,
        "delete from movements where (position, line) = (select position, 0 from events order by position limit 1 offset 40)",
    );
    let [difference] = gone.as_slice() else {
        panic!("{gone:?}")
    };
    assert_eq!(
        (difference.table, difference.first),
        ("movements", Some(position))
    );
    assert!(difference.expected.is_some() && difference.found.is_none());

    let changed = differences(
        &ledger,
        ViewName::History,
        "update events set reason = 5 where position = (select max(position) from events)",
    );
    let last = naive::stock_events(&ledger.events).last().unwrap().0.position;
    assert_eq!((changed[0].table, changed[0].first), ("events", Some(last)));
    assert_eq!(changed.len(), 2, "the missing movement is still missing");

    let foreign = differences(
        &ledger,
        ViewName::History,
        "insert into marks values (1, 1, 999999, 0, 0, 0, 0, 0, 0, 0)",
    );
    let mark = foreign
        .iter()
        .find(|difference| difference.table == "marks")
        .unwrap();
    assert_eq!((mark.first, mark.expected.as_deref()), (None, None));
    assert_eq!(mark.key, "variant 1, warehouse 1, position 999999");
}

#[test]
fn a_changed_name_in_the_catalogue_is_named() {
    let ledger = closed(50);
    let found = differences(
        &ledger,
        ViewName::Catalogue,
        "update products set name = 'Mutter' where no = 1",
    );
    let last = ledger.events.iter().rev().find(|recorded| {
        use bincard_ledger::{CatalogueEvent as E, ProductNo};
        matches!(
            &recorded.record.event,
            Event::Catalogue(
                E::ProductCreated { no: ProductNo(1), .. }
                    | E::ProductChanged { no: ProductNo(1), .. }
                    | E::ProductActivated(ProductNo(1))
                    | E::ProductDeactivated(ProductNo(1))
            )
        )
    });
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].key, "no 1");
    assert_eq!(found[0].first, last.map(|recorded| recorded.position));
}
