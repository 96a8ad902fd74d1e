//! A node that follows never answers ahead of the log as it knows it: whoever asks a view may ask the log next.
//!
//! The node reads its log in PostgreSQL, and this test keeps its gate: it hears of what others append when the test lets it.

use bincard_ledger::Position;
use bincard_projections::catalogue::CatalogueFilter;
use bincard_projections::history::MovementFilter;
use bincard_projections::stock::StockFilter;
use bincard_projections::{Answer, Error, Projector, ViewName, Views};
use bincard_store::moving::{self, Target};
use bincard_store::{Reader, postgres};
use futures_util::future::join_all;
use futures_util::{FutureExt, TryFutureExt};

use crate::answers::{all, check_catalogue, check_movements, check_stock};
use crate::ledger::{Kept, Ledger, Random, in_postgres, postgres_url, runtime};

/// Where each view stands as a query tells that reads its tables, or why it is not told.
async fn positions(ledger: &Ledger, views: &Views) -> Vec<(ViewName, Result<Position, Error>)> {
    let (stock, movements) = (StockFilter::default(), MovementFilter::default());
    let (catalogue, now, one) = (CatalogueFilter::default(), ledger.now, Position(1));
    macro_rules! at {
        ($view:ident, $asked:expr) => {
            $asked
                .map_ok(|Answer { position, .. }| position)
                .map(|position| (ViewName::$view, position))
                .boxed_local()
        };
    }
    join_all([
        at!(Stock, views.stock_page(&stock, all(), now)),
        at!(History, views.movements(&movements, false, all())),
        at!(Catalogue, views.warehouses(&catalogue, all())),
        at!(Reservations, views.reservation(one, now)),
        at!(Exceptions, views.exception(one)),
        at!(Transfers, views.transfer(one)),
        at!(Counts, views.count(one)),
    ])
    .await
}

#[test]
fn a_node_that_follows_waits_until_it_has_heard_of_what_the_views_have() {
    let mut random = Random::new(26);
    let mut ledger = Ledger::with_catalogue().kept(Kept::InPostgres);
    ledger.grow(&mut random, 100);
    let database = postgres::Database::connect(&postgres_url()).unwrap();
    database.migrate().unwrap();
    let opened = database
        .open_for_moving("follows", ledger.reader.ledger(), "nowhere")
        .unwrap();
    let (log, mut copy) = (opened.reader, Target::Postgres(Box::new(opened.appender)));
    log.keep_gate(|_| {});
    let mut append = |ledger: &Ledger| moving::copy(&ledger.reader, &mut copy, |_| {}).unwrap();
    log.announce(append(&ledger));
    let known = ledger.head();

    let feeds = ledger.project();
    let follows = in_postgres(false, ledger.views_path().with_extension("follows"));
    let follows = Projector::open(follows, Reader::Postgres(log.clone())).unwrap();
    let runtime = runtime();
    let views = runtime.block_on(async {
        ledger.settled(&feeds).await;
        let views = ledger.settled(&follows).await;
        for (view, position) in positions(&ledger, &views).await {
            assert_eq!(position.unwrap(), known, "{view}");
        }
        views
    });
    // The views have what the node has not heard of.
    ledger.grow(&mut random, 60);
    let head = append(&ledger);
    runtime.block_on(async {
        ledger.settled(&feeds).await;
        let told = positions(&ledger, &views).await;
        assert_eq!(told.len(), ViewName::COUNT);
        for (view, position) in told {
            let is_held_back = matches!(
                position,
                Err(Error::LogBehind { head, position, .. }) if head == known && position == ledger.head()
            );
            assert!(
                is_held_back,
                "{view}: {position:?}, and the node knows the log up to {known}"
            );
        }
        // Whoever waits is answered as soon as it has.
        let (told, ()) = tokio::join!(positions(&ledger, &views), async { log.announce(head) });
        for (view, position) in told {
            assert_eq!(position.unwrap(), ledger.head(), "{view}");
        }
        let views = ledger.settled(&follows).await;
        check_stock(&ledger, &views).await;
        check_movements(&ledger, &views).await;
        check_catalogue(&ledger, &views).await;
    });
    follows.close();
    feeds.close();
}
