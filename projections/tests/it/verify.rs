//! A verification finds whatever was changed behind the projector's back, and names it.

use bincard_ledger::{CatalogueEvent, Event, Position};
use bincard_projections::{DIFFERENCES_MAX, Difference, Verified, ViewName, verify};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

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

/// One that has rows in every table.
fn closed_with_all(events: usize) -> Ledger {
    let mut ledger = Ledger::with_catalogue();
    ledger.grow(&mut Random::new(21), events);
    ledger.grow_lots(&mut Random::new(22), 60);
    ledger.grow_counts(&mut Random::new(55), 120);
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

/// Opens the first generation of a view.
async fn open(ledger: &Ledger, view: ViewName) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(ledger.views_path().join(format!("{view}.1.db")));
    options.connect().await.unwrap()
}

async fn execute(ledger: &Ledger, view: ViewName, statements: &[&str]) {
    let mut connection = open(ledger, view).await;
    for statement in statements {
        sqlx::query(AssertSqlSafe((*statement).to_owned()))
            .execute(&mut connection)
            .await
            .unwrap();
    }
    connection.close().await.unwrap();
}

async fn look(ledger: &Ledger, view: ViewName) -> Verified {
    let mut verified = verify(&ledger.views_path(), &ledger.reader, &[view], |_| {})
        .await
        .unwrap();
    verified.remove(0)
}

#[test]
fn whatever_column_of_whatever_table_is_changed_it_is_told() {
    let ledger = closed_with_all(900);
    runtime().block_on(async {
        for view in ViewName::ALL {
            let path = ledger.views_path().join(format!("{view}.1.db"));
            let whole = std::fs::read(&path).unwrap();
            let mut connection = open(&ledger, view).await;
            let columns: Vec<(String, String, String)> = sqlx::query_as(
                "select m.name, c.name, c.type from sqlite_master m, pragma_table_info(m.name) c
                 where m.type = 'table'",
            )
            .fetch_all(&mut connection)
            .await
            .unwrap();
            connection.close().await.unwrap();
            assert!(columns.len() > 10, "{columns:?}");
            for (table, column, of_type) in columns {
                // The number of the only checkpoint cannot be another.
                if (table.as_str(), column.as_str()) == ("checkpoint", "id") {
                    continue;
                }
                let changed = if of_type.eq_ignore_ascii_case("text") {
                    format!("{column} || 'x'")
                } else {
                    format!("coalesce({column}, 0) + 1000000")
                };
                let mut connection = open(&ledger, view).await;
                let tamper = format!(
                    "update {table} set {column} = {changed}
                     where {column} is (select {column} from {table} order by {column} desc limit 1)"
                );
                let done = sqlx::query(AssertSqlSafe(tamper))
                    .execute(&mut connection)
                    .await
                    .unwrap();
                connection.close().await.unwrap();
                assert!(done.rows_affected() > 0, "{table} is empty");
                let verified = look(&ledger, view).await;
                assert!(
                    verified.differences.iter().any(|one| one.table == table),
                    "{table}.{column}: {verified:?}"
                );
                std::fs::write(&path, &whole).unwrap();
            }
            assert!(look(&ledger, view).await.is_well());
        }
    });
}

#[test]
fn a_value_of_another_type_is_a_difference_even_if_it_is_equal() {
    let ledger = closed(100);
    runtime().block_on(async {
        // Through the front door the column would make it an integer again.
        let forget = "update sqlite_master set sql = replace(sql, 'available integer', 'available blob')
                      where name = 'stock'";
        let remember = "update sqlite_master set sql = replace(sql, 'available blob', 'available integer')
                        where name = 'stock'";
        let write = "pragma writable_schema = on";
        execute(&ledger, ViewName::Stock, &[write, forget]).await;
        let change = "update stock set available = available * 1.0 where (warehouse, variant) = (1, 1)";
        execute(&ledger, ViewName::Stock, &[change, write, remember]).await;
        let verified = look(&ledger, ViewName::Stock).await;
        let [difference] = verified.differences.as_slice() else {
            panic!("{verified:?}")
        };
        assert_eq!(difference.key, "warehouse 1, variant 1");
        let found = difference.found.as_ref().unwrap();
        assert!(
            found.starts_with("available ") && found.contains(".0 (a real number), "),
            "{found}"
        );
    });
}

#[test]
fn null_where_there_was_a_value_and_a_value_where_there_was_none_are_differences() {
    let ledger = closed(0);
    let found = differences(
        &ledger,
        ViewName::Catalogue,
        "update variants set product = null where no = 2",
    );
    assert!(found[0].expected.as_ref().unwrap().contains("product 1, "));
    assert!(found[0].found.as_ref().unwrap().contains("product null, "));
    let found = differences(
        &ledger,
        ViewName::Catalogue,
        "update variants set product = 0 where no = 3",
    );
    assert_eq!(found.len(), 2);
    assert!(found[1].expected.as_ref().unwrap().contains("product null, "));
    assert!(found[1].found.as_ref().unwrap().contains("product 0, "));
}

#[test]
fn tables_and_indexes_that_are_not_those_of_the_view_are_told() {
    let ledger = closed(60);
    runtime().block_on(async {
        execute(&ledger, ViewName::History, &["drop index events_by_warehouse"]).await;
        execute(&ledger, ViewName::Stock, &["drop table expiring"]).await;
        let trigger = "create trigger t after insert on variants begin delete from products; end";
        execute(&ledger, ViewName::Catalogue, &[trigger]).await;
        for (view, key, is_expected) in [
            (
                ViewName::History,
                r#"type "index", name "events_by_warehouse""#,
                true,
            ),
            (ViewName::Stock, r#"type "table", name "expiring""#, true),
            (ViewName::Catalogue, r#"type "trigger", name "t""#, false),
        ] {
            let verified = look(&ledger, view).await;
            let [difference] = verified.differences.as_slice() else {
                panic!("{verified:?}")
            };
            assert_eq!(
                (difference.table, difference.key.as_str()),
                ("sqlite_master", key)
            );
            let there = (difference.expected.is_some(), difference.found.is_some());
            assert_eq!(there, (is_expected, !is_expected));
            assert_eq!(difference.first, None);
        }
    });
}

#[test]
fn a_checkpoint_that_says_something_else_is_told() {
    let ledger = closed(60);
    runtime().block_on(async {
        for change in [
            "update checkpoint set schema_version = schema_version + 1",
            "update checkpoint set position = position - 1",
            "update checkpoint set position = position + 1000",
            "update checkpoint set position = -1",
        ] {
            let path = ledger.views_path().join("stock.1.db");
            let whole = std::fs::read(&path).unwrap();
            execute(&ledger, ViewName::Stock, &[change]).await;
            let verified = look(&ledger, ViewName::Stock).await;
            assert!(
                verified.differences.iter().any(|one| one.table == "checkpoint"),
                "{change}: {verified:?}"
            );
            std::fs::write(&path, &whole).unwrap();
        }
    });
}

#[test]
fn an_index_that_lost_a_row_is_damage_of_its_view_alone() {
    let ledger = closed(60);
    runtime().block_on(async {
        // The index forgets a row of its table, which a comparison of tables never meets.
        execute(
            &ledger,
            ViewName::Stock,
            &[
                "create table kept as select * from sqlite_master where name = 'stock_by_variant'",
                "pragma writable_schema = on",
                "delete from sqlite_master where name = 'stock_by_variant'",
            ],
        )
        .await;
        execute(
            &ledger,
            ViewName::Stock,
            &[
                "delete from stock where (warehouse, variant) = (2, 2)",
                "pragma writable_schema = on",
                "insert into sqlite_master select * from kept",
            ],
        )
        .await;
        execute(&ledger, ViewName::Stock, &["drop table kept"]).await;
        let verified = verify(&ledger.views_path(), &ledger.reader, &ViewName::ALL, |_| {})
            .await
            .unwrap();
        let [stock, history, catalogue, others @ ..] = verified.as_slice() else {
            panic!("{verified:?}")
        };
        let index = "stock_by_variant";
        assert!(stock.damage.iter().any(|line| line.contains(index)), "{stock:?}");
        assert_eq!((stock.rows, stock.differing), (0, 0));
        assert!(history.is_well() && catalogue.is_well());
        assert!(others.iter().all(|view| view.is_well()), "{others:?}");
        assert!(history.rows > 0 && catalogue.rows > 0);
    });
}

#[test]
fn no_more_differences_are_told_than_anybody_reads_and_all_are_counted() {
    let ledger = closed(400);
    runtime().block_on(async {
        let mut connection = open(&ledger, ViewName::History).await;
        let count = "select count(*) from movements";
        let movements: i64 = sqlx::query_scalar(count)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        let shift = "update movements set line = line + 100";
        execute(&ledger, ViewName::History, &[shift]).await;
        let verified = look(&ledger, ViewName::History).await;
        assert_eq!(verified.differing, 2 * movements as u64);
        assert_eq!(verified.differences.len(), DIFFERENCES_MAX);
        // In the order of keys: each missing row before the foreign one that took its place.
        let missing = verified.differences.iter().filter(|one| one.found.is_none());
        assert_eq!(missing.count(), DIFFERENCES_MAX / 2);
    });
}

#[test]
fn nothing_of_a_verification_stays_on_the_disk() {
    let ledger = closed(60);
    let files = || {
        let mut names: Vec<_> = std::fs::read_dir(ledger.views_path())
            .unwrap()
            .map(|file| file.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = files();
    runtime().block_on(async {
        assert!(look(&ledger, ViewName::History).await.is_well());
        assert_eq!(files(), before);
        execute(
            &ledger,
            ViewName::Stock,
            &["update stock set picked = picked + 1"],
        )
        .await;
        assert!(look(&ledger, ViewName::Stock).await.differing > 0);
        assert_eq!(files(), before);
        // Whoever asked does not wait for the end.
        let folded = tokio::sync::Notify::new();
        let views = ledger.views_path();
        let begun = verify(&views, &ledger.reader, &[ViewName::History], |at| {
            if at.folded.0 > 0 {
                folded.notify_one();
            }
        });
        tokio::select! {
            biased;
            () = folded.notified() => {}
            done = begun => panic!("{done:?} before anybody could go away"),
        }
        let shadows = |name: &std::ffi::OsString| name.to_string_lossy().contains("verify");
        assert!(!files().iter().any(shadows), "{:?}", files());
    });
}

#[test]
fn what_is_fed_meanwhile_is_not_looked_at() {
    let mut ledger = Ledger::with_catalogue();
    let mut random = Random::new(22);
    ledger.grow(&mut random, 100);
    let projector = ledger.project();
    let runtime = runtime();
    let views = runtime.block_on(ledger.settled(&projector));
    let (path, reader, at) = (ledger.views_path(), ledger.reader.clone(), ledger.head());
    let mut has_grown = false;
    let verified = runtime.block_on(verify(&path, &reader, &[ViewName::History], |progress| {
        if progress.folded == at && !has_grown {
            has_grown = true;
            ledger.grow(&mut random, 100);
            while views.status()[1].position < ledger.head() {
                std::thread::yield_now();
            }
        }
    }));
    let verified = &verified.unwrap()[0];
    assert!(has_grown && ledger.head() > at);
    assert_eq!(
        (verified.position, verified.is_well()),
        (at, true),
        "{verified:?}"
    );
    projector.close();
}

#[test]
fn a_changed_and_a_missing_slot_are_named_with_their_events() {
    let ledger = closed(500);
    let said = ledger
        .events
        .iter()
        .find_map(|recorded| match &recorded.record.event {
            Event::Catalogue(CatalogueEvent::SlotChanged {
                warehouse, variant, ..
            }) => Some((warehouse.0, variant.0)),
            _ => None,
        });
    let (warehouse, variant) = said.unwrap();
    let concerns = |recorded: &&bincard_ledger::Recorded| match &recorded.record.event {
        Event::Stock(event) => {
            event.warehouse.0 == warehouse
                && event.postings.iter().any(|posting| posting.variant.0 == variant)
        }
        Event::Catalogue(CatalogueEvent::SlotChanged {
            warehouse: at,
            variant: of,
            ..
        }) => (at.0, of.0) == (warehouse, variant),
        Event::Catalogue(_) => false,
    };
    let first = ledger.events.iter().find(concerns).unwrap().position;
    let tamper = format!("delete from slots where warehouse = {warehouse} and variant = {variant}");
    let gone = differences(&ledger, ViewName::Catalogue, tamper.leak());
    let [difference] = gone.as_slice() else {
        panic!("{gone:?}")
    };
    assert_eq!((difference.table, difference.first), ("slots", Some(first)));
    assert_eq!(
        difference.key,
        format!("warehouse {warehouse}, variant {variant}")
    );
    assert!(difference.expected.is_some() && difference.found.is_none());

    let ledger = closed(500);
    let tamper =
        format!("update slots set bin = 'elsewhere' where warehouse = {warehouse} and variant = {variant}");
    let changed = differences(&ledger, ViewName::Catalogue, tamper.leak());
    let [difference] = changed.as_slice() else {
        panic!("{changed:?}")
    };
    assert_eq!(difference.table, "slots");
    assert!(difference.found.as_ref().unwrap().contains("elsewhere"));
}
