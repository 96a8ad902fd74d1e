//! The database goes away, or the log does, or a connection falls silent, at a certain statement: a projector says what is
//! wrong, and goes on when it can.

use std::time::Duration;

use bincard_projections::{Projector, ViewName, ViewStatus, Views};
use bincard_store::moving::{self, Target};
use bincard_store::{Head, Reader, postgres};
use bincard_testkit::wire::{Fate, Wire};

use crate::ledger::{Kept, Ledger, Random, in_postgres, postgres_url, reached_by, runtime, wire};
use crate::nodes::check;

/// Makes a generation the one that is served.
const SERVE: &str = "insert into live";
/// Looks how the views stand.
const LOOK_AT_VIEWS: &str = "from owners o left join live";
/// Looks where the logs end.
const LOOK_AT_LOGS: &str = "select no::int8, position";

fn ledger(seed: u64) -> (Ledger, Random) {
    let mut random = Random::new(seed);
    let mut ledger = Ledger::with_catalogue().kept(Kept::InPostgres);
    ledger.grow(&mut random, 80);
    (ledger, random)
}

/// A node whose way to the views' database is a wire.
fn node_behind(url: &str, ledger: &Ledger, feeds: bool) -> Projector {
    let place = reached_by(url, feeds, ledger.views_path());
    Projector::open(place, ledger.reader.clone()).unwrap()
}

/// Waits until all views stand as is asked for.
async fn until(views: &Views, is_so: impl Fn(&ViewStatus) -> bool) {
    let stand = async {
        while !views.status().iter().all(&is_so) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let stood = tokio::time::timeout(Duration::from_secs(60), stand).await;
    assert!(stood.is_ok(), "{:#?}", views.status());
}

/// A copy of a log in PostgreSQL, behind a wire of its own.
struct Log {
    wire: Wire,
    reader: postgres::Reader,
    copy: Target,
}

impl Log {
    fn of(ledger: &Ledger, tenant: &str) -> Log {
        let database = postgres::Database::connect(&postgres_url()).unwrap();
        database.migrate().unwrap();
        let opened = database.open_for_moving(tenant, ledger.reader.ledger(), "nowhere");
        let (wire, url) = wire();
        let behind = postgres::Database::connect(&url).unwrap();
        let mut log = Log {
            copy: Target::Postgres(Box::new(opened.unwrap().appender)),
            reader: behind.reader(tenant).unwrap(),
            wire,
        };
        let head = log.append(ledger);
        log.reader.announce(head);
        log
    }

    /// Appends what the ledger has more.
    fn append(&mut self, ledger: &Ledger) -> Head {
        moving::copy(&ledger.reader, &mut self.copy, |_| {}).unwrap()
    }

    fn reader(&self) -> Reader {
        Reader::Postgres(self.reader.clone())
    }
}

#[test]
fn a_view_is_served_although_the_database_went_away_when_it_was_to_be() {
    let runtime = runtime();
    for (seed, fate) in [(31, Fate::Away), (32, Fate::CommitUnanswered)] {
        let (mut ledger, mut random) = ledger(seed);
        let (wire, url) = wire();
        wire.set_trap(SERVE, fate);
        let node = node_behind(&url, &ledger, true);
        wire.wait_until_sprung();
        runtime.block_on(async {
            // It says what is wrong, of every view.
            until(node.views(), |status| status.error.is_some()).await;
            wire.mend();
            check(&ledger, &node).await;
            ledger.grow(&mut random, 80);
            check(&ledger, &node).await;
        });
        node.close();
    }
}

#[test]
fn nodes_agree_on_a_generation_that_was_built_while_the_database_went_away() {
    let runtime = runtime();
    for (seed, fate) in [(33, Fate::Away), (34, Fate::CommitUnanswered)] {
        let (mut ledger, mut random) = ledger(seed);
        let (wire, url) = wire();
        let feeds = node_behind(&url, &ledger, true);
        let follows = Projector::open(
            in_postgres(false, ledger.views_path().with_extension("follows")),
            ledger.reader.clone(),
        );
        let follows = follows.unwrap();
        runtime.block_on(async {
            check(&ledger, &feeds).await;
            check(&ledger, &follows).await;
            for view in [ViewName::Stock, ViewName::History] {
                wire.set_trap(SERVE, fate);
                let rebuild = feeds.views().rebuild(view).await.unwrap();
                assert!(rebuild.finished().await.is_err(), "{view}");
                wire.mend();
                ledger.grow(&mut random, 40);
                check(&ledger, &feeds).await;
                check(&ledger, &follows).await;
                let generation = |node: &Projector| node.views().status()[view as usize].generation;
                until(follows.views(), |status| {
                    status.view != view || status.generation == generation(&feeds)
                })
                .await;
            }
        });
        follows.close();
        feeds.close();
    }
}

#[test]
fn a_log_that_cannot_be_read_is_read_later_by_whoever_takes_up_a_view_of_another_node() {
    let (mut ledger, mut random) = ledger(35);
    let runtime = runtime();
    let feeds = ledger.project();
    runtime.block_on(check(&ledger, &feeds));
    // Nobody feeds the views of what is recorded now: whoever follows has to read it before it answers from memory.
    feeds.close();
    let fed = ledger.head();
    ledger.grow(&mut random, 80);
    let log = Log::of(&ledger, "unreadable");
    log.wire.cut();
    let place = in_postgres(false, ledger.views_path().with_extension("follows"));
    let follows = Projector::open(place, log.reader()).unwrap();
    let in_memory = [ViewName::Stock, ViewName::Catalogue];
    runtime.block_on(async {
        until(follows.views(), |status| {
            !in_memory.contains(&status.view)
                || status
                    .error
                    .as_ref()
                    .is_some_and(|error| error.contains("the log cannot be read"))
        })
        .await;
        log.wire.mend();
        until(follows.views(), |status| {
            status.error.is_none() && status.position == fed
        })
        .await;
        let feeds = ledger.project();
        check(&ledger, &follows).await;
        feeds.close();
    });
    follows.close();
}

#[test]
fn a_log_and_views_that_go_away_together_come_back_together() {
    let (mut ledger, mut random) = ledger(36);
    let mut log = Log::of(&ledger, "together");
    let (wire, url) = wire();
    let place = reached_by(&url, true, ledger.views_path());
    let node = Projector::open(place, log.reader()).unwrap();
    let runtime = runtime();
    runtime.block_on(check(&ledger, &node));
    ledger.grow(&mut random, 300);
    wire.set_trap("with mine as (", Fate::Away);
    let head = log.append(&ledger);
    log.reader.announce(head);
    wire.wait_until_sprung();
    log.wire.cut();
    runtime.block_on(async {
        until(node.views(), |status| status.error.is_some()).await;
        log.wire.mend();
        wire.mend();
        check(&ledger, &node).await;
    });
    node.close();
}

#[test]
fn a_look_that_is_never_answered_is_given_up() {
    let (mut ledger, mut random) = ledger(37);
    let mut log = Log::of(&ledger, "silent");
    let (wire, url) = wire();
    let runtime = runtime();
    let feeds = ledger.project();
    let place = reached_by(&url, false, ledger.views_path().with_extension("follows"));
    let follows = Projector::open(place, log.reader()).unwrap();
    runtime.block_on(check(&ledger, &follows));
    wire.set_trap(LOOK_AT_VIEWS, Fate::Silent);
    log.wire.set_trap(LOOK_AT_LOGS, Fate::Silent);
    wire.wait_until_sprung();
    log.wire.wait_until_sprung();
    ledger.grow(&mut random, 80);
    // The node is told of it by nobody but those who look.
    log.append(&ledger);
    runtime.block_on(check(&ledger, &follows));
    follows.close();
    feeds.close();
}

#[test]
fn what_a_follower_asks_in_vain_it_asks_again() {
    let (mut ledger, mut random) = ledger(38);
    let runtime = runtime();
    let feeds = ledger.project();
    runtime.block_on(check(&ledger, &feeds));
    let (wire, url) = wire();
    // Where the view's tables stand.
    wire.set_trap("from checkpoint", Fate::Silent);
    let follows = node_behind(&url, &ledger, false);
    wire.wait_until_sprung();
    ledger.grow(&mut random, 80);
    runtime.block_on(check(&ledger, &follows));
    follows.close();
    feeds.close();
}
