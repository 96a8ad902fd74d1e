//! Views are rebuilt while everything goes on, and feed goes on where it was after a restart.

use std::fs;
use std::time::Duration;

use bincard_projections::history::{EventFilter, EventSort, EventStart};
use bincard_projections::stock::StockFilter;
use bincard_projections::{Error, Slice, ViewName};

use crate::ledger::{Kept, Ledger, Random, runtime};

const FIRST_GENERATION: [&str; ViewName::COUNT] = [
    "catalogue.1.db",
    "counts.1.db",
    "exceptions.1.db",
    "history.1.db",
    "reservations.1.db",
    "stock.1.db",
    "transfers.1.db",
];

fn files(ledger: &Ledger) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(ledger.views_path())
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".db"))
        .collect();
    names.sort();
    names
}

pub(crate) async fn assert_verified(ledger: &Ledger) {
    for verified in ledger.verify(&ViewName::ALL).await {
        assert_eq!(verified.differences, [], "{}", verified.view);
        assert_eq!(verified.position, ledger.head(), "{}", verified.view);
        assert!(verified.rows > 0, "{}", verified.view);
    }
}

#[test]
fn a_view_is_rebuilt_while_events_and_queries_keep_coming() {
    for kept in Kept::BOTH {
        let mut random = Random::new(11);
        let mut ledger = Ledger::with_catalogue().kept(kept);
        ledger.grow(&mut random, 400);
        let projector = ledger.project();
        let runtime = runtime();
        let views = runtime.block_on(ledger.settled(&projector));
        let asking = views.clone();
        let queries = runtime.spawn(async move {
            let page = Slice {
                after: None,
                skip: 0,
                limit: 5,
                with_total: true,
            };
            let mut last = asking.status()[0].position;
            loop {
                let stock = asking
                    .stock_page(&StockFilter::default(), page, Default::default())
                    .await
                    .unwrap();
                assert!(stock.position >= last, "a swap took the view back");
                last = stock.position;
                let filter = EventFilter::default();
                asking
                    .events(&filter, EventSort::default(), EventStart::Skip(0), 5, true)
                    .await
                    .unwrap();
            }
        });
        for round in 0..3 {
            let rebuilds: Vec<_> = ViewName::ALL
                .map(|view| runtime.block_on(views.rebuild(view)).unwrap())
                .into_iter()
                .collect();
            let again = runtime.block_on(views.rebuild(ViewName::Stock));
            // It may be over already: then this is one more.
            if let Err(error) = again {
                assert!(
                    matches!(
                        error,
                        Error::Rebuilding {
                            view: ViewName::Stock
                        }
                    ),
                    "{error}"
                );
            }
            ledger.grow(&mut random, 120);
            for rebuild in rebuilds {
                runtime.block_on(rebuild.finished()).unwrap();
            }
            runtime.block_on(ledger.settled(&projector));
            let history = &views.status()[1];
            assert_eq!(
                (history.generation, history.error.clone()),
                (Some(2 + round), None)
            );
            runtime.block_on(assert_verified(&ledger));
        }
        assert!(!queries.is_finished(), "{:?}", runtime.block_on(queries));
        queries.abort();
        projector.close();
        let projector = ledger.project();
        runtime.block_on(ledger.settled(&projector));
        if kept == Kept::InFiles {
            assert_eq!(files(&ledger).len(), ViewName::COUNT, "{:?}", files(&ledger));
        }
        runtime.block_on(assert_verified(&ledger));
        projector.close();
    }
}

#[test]
fn the_views_go_on_where_they_were_after_a_restart() {
    for kept in Kept::BOTH {
        let mut random = Random::new(12);
        let mut ledger = Ledger::with_catalogue().kept(kept);
        let runtime = runtime();
        for _ in 0..5 {
            ledger.grow(&mut random, 60);
            let projector = ledger.project();
            runtime.block_on(ledger.settled(&projector));
            ledger.grow(&mut random, 60);
            projector.close();
        }
        let projector = ledger.project();
        runtime.block_on(ledger.settled(&projector));
        runtime.block_on(assert_verified(&ledger));
        if kept == Kept::InFiles {
            assert_eq!(files(&ledger), FIRST_GENERATION);
        }
        projector.close();
    }
}

#[test]
fn what_a_crash_left_of_a_rebuild_is_cleared_away() {
    let mut random = Random::new(13);
    let mut ledger = Ledger::with_catalogue();
    ledger.grow(&mut random, 80);
    let projector = ledger.project();
    let runtime = runtime();
    runtime.block_on(ledger.settled(&projector));
    projector.close();
    let path = ledger.views_path();
    fs::copy(path.join("stock.1.db"), path.join("stock.2.db")).unwrap();
    fs::write(path.join("history.7.db"), "half a database").unwrap();
    fs::write(path.join("history.7.db-wal"), "half a log").unwrap();
    let projector = ledger.project();
    runtime.block_on(ledger.settled(&projector));
    assert_eq!(files(&ledger), FIRST_GENERATION);
    runtime.block_on(assert_verified(&ledger));
    projector.close();
}

#[test]
fn a_first_generation_is_served_only_once_it_has_caught_up() {
    for kept in Kept::BOTH {
        let mut random = Random::new(14);
        let mut ledger = Ledger::with_catalogue().kept(kept);
        ledger.grow(&mut random, 500);
        let projector = ledger.project();
        let head = ledger.head();
        runtime().block_on(async {
            let views = projector.views();
            let page = Slice {
                after: None,
                skip: 0,
                limit: 5,
                with_total: false,
            };
            loop {
                match views.stock_page(&StockFilter::default(), page, ledger.now).await {
                    Ok(answer) => break assert_eq!(answer.position, head),
                    Err(Error::Building {
                        view: ViewName::Stock,
                    }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            views
                .wait_for(&ViewName::ALL, head, Duration::from_secs(30))
                .await
                .unwrap();
        });
        projector.close();
    }
}
