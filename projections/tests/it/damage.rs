//! Views that are damaged, of another version or of another log are built anew; the others do not notice.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use bincard_projections::ViewName;
use bincard_projections::history::{EventFilter, EventSort, EventStart};
use bincard_projections::stock::StockFilter;
use bincard_projections::{Slice, Views};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::ledger::{Ledger, Random, runtime};
use crate::rebuild::assert_verified;

fn grown(seed: u64) -> Ledger {
    let mut ledger = Ledger::with_catalogue();
    ledger.grow(&mut Random::new(seed), 200);
    ledger
}

/// The generations of the first `count` views; all others have their first one.
fn generations(views: &Views, count: usize) -> Vec<Option<u64>> {
    let mut all = views.status().map(|status| status.generation).to_vec();
    let others = all.split_off(count);
    assert!(others.iter().all(|one| *one == Some(1)), "{others:?}");
    all
}

#[test]
fn a_file_that_is_no_database_is_built_anew_at_open() {
    let ledger = grown(31);
    let projector = ledger.project();
    let runtime = runtime();
    runtime.block_on(ledger.settled(&projector));
    projector.close();
    fs::write(ledger.views_path().join("history.1.db"), vec![7; 40_000]).unwrap();
    let projector = ledger.project();
    let views = runtime.block_on(ledger.settled(&projector));
    assert_eq!(generations(&views, 2), [Some(1), Some(2)]);
    // What was there is gone: that there was something is told.
    let replaced = views.status().map(|status| status.replaced);
    let (Some(history), 1) = (&replaced[1], replaced.iter().flatten().count()) else {
        panic!("{replaced:?}")
    };
    assert_eq!((history.generation, history.outdated), (1, false));
    assert!(history.why.contains("not a database"), "{}", history.why);
    runtime.block_on(assert_verified(&ledger));
    projector.close();
}

#[test]
fn a_view_of_another_schema_or_of_a_longer_log_is_built_anew_at_open() {
    let ledger = grown(32);
    let projector = ledger.project();
    let runtime = runtime();
    runtime.block_on(ledger.settled(&projector));
    projector.close();
    runtime.block_on(async {
        for (file, change) in [
            (
                "stock.1.db",
                "update checkpoint set schema_version = schema_version - 1",
            ),
            ("history.1.db", "update checkpoint set position = position + 1"),
        ] {
            let options = SqliteConnectOptions::new().filename(ledger.views_path().join(file));
            let mut connection = options.connect().await.unwrap();
            sqlx::query(change).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
    });
    let projector = ledger.project();
    let views = runtime.block_on(ledger.settled(&projector));
    assert_eq!(generations(&views, 2), [Some(2), Some(2)]);
    // An older version is what an upgrade leaves behind; a longer log is not.
    let replaced = views.status().map(|status| status.replaced);
    let outdated = replaced
        .each_ref()
        .map(|old| old.as_ref().map(|old| old.outdated));
    assert_eq!(outdated[..2], [Some(true), Some(false)], "{replaced:?}");
    assert!(outdated[2..].iter().all(Option::is_none), "{replaced:?}");
    runtime.block_on(assert_verified(&ledger));
    projector.close();
}

#[test]
fn a_view_that_cannot_be_written_is_brought_back_and_the_others_go_on() {
    let mut random = Random::new(33);
    let mut ledger = grown(33);
    let projector = ledger.project();
    let runtime = runtime();
    let views = runtime.block_on(ledger.settled(&projector));
    // A foreign row stands where the next movement's event goes.
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(ledger.views_path().join("history.1.db"));
        let mut connection = options
            .busy_timeout(Duration::from_secs(10))
            .connect()
            .await
            .unwrap();
        let next = ledger.head().next().0 as i64;
        for position in next..next + 50 {
            sqlx::query("insert into events values ($1, 0, 0, 1, 1, 0)")
                .bind(position)
                .execute(&mut connection)
                .await
                .unwrap();
        }
        connection.close().await.unwrap();
    });
    ledger.grow(&mut random, 100);
    runtime.block_on(async {
        views
            .wait_for(
                &[ViewName::Stock, ViewName::Catalogue],
                ledger.head(),
                Duration::from_secs(30),
            )
            .await
            .unwrap();
        ledger.settled(&projector).await;
        assert_eq!(views.status()[1].generation, Some(2));
        assert_eq!(views.status()[1].error, None);
        assert_verified(&ledger).await;
    });
    projector.close();
}

#[test]
fn damage_that_a_query_meets_leads_to_a_new_generation() {
    let ledger = grown(34);
    let projector = ledger.project();
    let runtime = runtime();
    runtime.block_on(ledger.settled(&projector));
    projector.close();
    // Everything but the first page, which says what tables there are, and the checkpoint's.
    let path = ledger.views_path().join("history.1.db");
    let length = fs::metadata(&path).unwrap().len();
    let projector = ledger.project();
    let views = runtime.block_on(ledger.settled(&projector));
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start(2 * 4096)).unwrap();
    file.write_all(&vec![0xFF; length as usize - 2 * 4096]).unwrap();
    file.sync_all().unwrap();
    runtime.block_on(async {
        let filter = EventFilter::default();
        let list = || views.events(&filter, EventSort::default(), EventStart::Skip(0), 1_000, true);
        let mut met = 0;
        while views.status()[1].generation != Some(2) {
            // Refused while it is damaged and while it is built, and never answered wrongly.
            met += u64::from(list().await.is_err());
            tokio::task::yield_now().await;
        }
        assert!(met > 0);
        ledger.settled(&projector).await;
        list().await.unwrap();
        let page = Slice {
            after: None,
            skip: 0,
            limit: 5,
            with_total: true,
        };
        views
            .stock_page(&StockFilter::default(), page, ledger.now)
            .await
            .unwrap();
        assert_verified(&ledger).await;
    });
    projector.close();
}

#[test]
fn a_file_that_says_it_is_not_to_be_written_is_built_anew_when_there_is_something_to_write() {
    let mut ledger = grown(35);
    let projector = ledger.project();
    let runtime = runtime();
    runtime.block_on(ledger.settled(&projector));
    projector.close();
    // The version of the format that a program must know to write it.
    let mut file = fs::OpenOptions::new()
        .write(true)
        .open(ledger.views_path().join("history.1.db"))
        .unwrap();
    file.seek(SeekFrom::Start(18)).unwrap();
    file.write_all(&[0xFD]).unwrap();
    drop(file);
    ledger.grow(&mut Random::new(36), 50);
    let projector = ledger.project();
    let views = runtime.block_on(ledger.settled(&projector));
    assert_eq!(generations(&views, 2), [Some(1), Some(2)]);
    let replaced = views.status().map(|status| status.replaced.is_some());
    assert_eq!(
        (replaced[1], replaced.into_iter().filter(|it| *it).count()),
        (true, 1)
    );
    runtime.block_on(assert_verified(&ledger));
    projector.close();
}
