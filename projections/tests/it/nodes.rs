//! Several nodes over one PostgreSQL: one feeds a view and the others follow. Whoever feeds is closed, killed or stopped in the
//! middle; another one takes over, and every event is in the views once.

use std::env;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bincard_projections::{Error, Projector, ViewName};
use bincard_store::disk::RealDisk;
use bincard_store::segment::{Log, Options};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;

use crate::answers::{check_catalogue, check_movements, check_stock};
use crate::ledger::{Kept, Ledger, Random, in_postgres, postgres_url, runtime};

/// Names the log for a process that is to be killed or stopped, and the database.
const LOG: &str = "BINCARD_TEST_NODE_LOG";
const DATABASE: &str = "BINCARD_TEST_NODE_DATABASE";

fn node(ledger: &Ledger, feeds: bool) -> Projector {
    Projector::open(in_postgres(feeds, ledger.views_path()), ledger.reader.clone()).unwrap()
}

/// Holds what a node answers against a naive look at all events.
pub(crate) async fn check(ledger: &Ledger, node: &Projector) {
    let views = ledger.settled(node).await;
    check_stock(ledger, &views).await;
    check_movements(ledger, &views).await;
    check_catalogue(ledger, &views).await;
    for status in views.status() {
        assert_eq!(status.error, None, "{}", status.view);
    }
}

#[test]
fn a_node_that_does_not_feed_answers_like_the_one_that_does() {
    let mut random = Random::new(21);
    let mut ledger = Ledger::with_catalogue().kept(Kept::InPostgres);
    ledger.grow(&mut random, 150);
    // The one that only reads is there first, and has nothing to read.
    let reads = node(&ledger, false);
    let early = reads.views().stock_version(bincard_ledger::WarehouseNo(1));
    assert!(
        matches!(
            early,
            Err(Error::Building {
                view: ViewName::Stock
            })
        ),
        "{early:?}"
    );
    let feeds = node(&ledger, true);
    let later = node(&ledger, true);
    let runtime = runtime();
    for _ in 0..4 {
        ledger.grow(&mut random, 60);
        for node in [&reads, &feeds, &later] {
            runtime.block_on(check(&ledger, node));
        }
    }
    // Whoever is asked to build a view anew, who feeds it does.
    runtime.block_on(async {
        for view in ViewName::ALL {
            let rebuild = reads.views().rebuild(view).await.unwrap();
            rebuild.finished().await.unwrap();
            let generation = reads.views().status()[view as usize].generation;
            assert_eq!(generation, Some(2), "{view}");
        }
    });
    ledger.grow(&mut random, 60);
    for node in [&reads, &feeds, &later] {
        runtime.block_on(check(&ledger, node));
    }
    for node in [reads, feeds, later] {
        node.close();
    }
}

#[test]
fn who_is_left_takes_over_what_a_node_fed_that_was_closed() {
    let mut random = Random::new(22);
    let mut ledger = Ledger::with_catalogue().kept(Kept::InPostgres);
    let runtime = runtime();
    let mut nodes = vec![node(&ledger, true), node(&ledger, true)];
    for _ in 0..5 {
        ledger.grow(&mut random, 80);
        for node in &nodes {
            runtime.block_on(check(&ledger, node));
        }
        nodes.remove(0).close();
        ledger.grow(&mut random, 80);
        nodes.push(node(&ledger, true));
    }
    for node in nodes {
        runtime.block_on(check(&ledger, &node));
        node.close();
    }
}

/// Lets the leases of a ledger's views run out until other nodes have taken them all.
async fn let_others_take_over(ledger: &Ledger) {
    let mut connection = PgConnection::connect(&postgres_url()).await.unwrap();
    let id = Uuid::from_bytes(ledger.reader.ledger().0);
    let of_it = "ledger = (select no from bincard_views.ledgers where id = $1)";
    let epochs = format!("select cast(sum(epoch) as bigint) from bincard_views.owners where {of_it}");
    let run_out =
        format!("update bincard_views.owners set until = '-infinity' where {of_it} and epoch <= $2");
    let sum = async |connection: &mut PgConnection| -> i64 {
        let sum = sqlx::query_scalar(AssertSqlSafe(epochs.clone())).bind(id);
        sum.fetch_one(connection).await.unwrap()
    };
    let before = sum(&mut connection).await;
    let each = before / ViewName::COUNT as i64;
    // Who has a lease renews it meanwhile.
    while sum(&mut connection).await < before + ViewName::COUNT as i64 {
        let run_out = sqlx::query(AssertSqlSafe(run_out.clone())).bind(id).bind(each);
        run_out.execute(&mut connection).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn who_lost_a_lease_without_noticing_writes_nothing_more() {
    let mut random = Random::new(25);
    let mut ledger = Ledger::with_catalogue().kept(Kept::InPostgres);
    ledger.grow(&mut random, 60);
    let runtime = runtime();
    let one = node(&ledger, true);
    runtime.block_on(check(&ledger, &one));
    let other = node(&ledger, true);
    // There and back.
    for _ in 0..4 {
        runtime.block_on(let_others_take_over(&ledger));
        ledger.grow(&mut random, 60);
        for node in [&one, &other] {
            runtime.block_on(check(&ledger, node));
        }
    }
    one.close();
    other.close();
}

/// A process that feeds the views from a copy of the log, and builds them anew without end.
struct Other {
    child: Child,
    _log: tempfile::TempDir,
}

impl Other {
    fn start(ledger: &Ledger) -> Other {
        let copy = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(ledger.folder.path().join("log")).unwrap() {
            let file = file.unwrap();
            if file.file_type().unwrap().is_file() {
                std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
            }
        }
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "nodes::another_node", "--nocapture"])
            .env(LOG, copy.path())
            .env(DATABASE, postgres_url())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Other { child, _log: copy }
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(self.child.id().to_string())
            .status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Does nothing but in a process that [`Other::start`] has started.
#[test]
fn another_node() {
    let (Some(log), Some(database)) = (env::var_os(LOG), env::var(DATABASE).ok()) else {
        return;
    };
    let opened = Log::open(std::sync::Arc::new(RealDisk), Path::new(&log), Options::default()).unwrap();
    let database = bincard_projections::postgres::Database::new(&database).unwrap();
    let place = bincard_projections::Place::Postgres {
        database,
        feeds: true,
        scratch: Path::new(&log).with_extension("scratch"),
    };
    let node = Projector::open(place, opened.reader.into()).unwrap();
    runtime().block_on(async {
        loop {
            for view in ViewName::ALL {
                // One that this node does not feed any more it follows.
                let short = Duration::from_millis(500);
                if let Ok(rebuild) = node.views().rebuild(view).await {
                    drop(tokio::time::timeout(short, rebuild.finished()).await);
                }
            }
        }
    });
}

#[test]
fn every_event_is_in_the_views_once_after_the_node_that_feeds_them_is_killed() {
    let mut random = Random::new(23);
    let mut ledger = Ledger::with_catalogue().kept(Kept::InPostgres);
    ledger.grow(&mut random, 1_500);
    let runtime = runtime();
    for round in 0..3 {
        let other = Other::start(&ledger);
        std::thread::sleep(Duration::from_millis(600 + 170 * round));
        other.signal("KILL");
        drop(other);
        // The lease of who was killed runs out first.
        let here = node(&ledger, true);
        runtime.block_on(check(&ledger, &here));
        ledger.grow(&mut random, 100);
        runtime.block_on(check(&ledger, &here));
        here.close();
    }
}

#[test]
fn a_node_that_was_stopped_and_wakes_up_late_writes_nothing() {
    let mut random = Random::new(24);
    let mut ledger = Ledger::with_catalogue().kept(Kept::InPostgres);
    ledger.grow(&mut random, 1_500);
    let runtime = runtime();
    for round in 0..2 {
        let other = Other::start(&ledger);
        std::thread::sleep(Duration::from_millis(800 + 230 * round));
        other.signal("STOP");
        let here = node(&ledger, true);
        runtime.block_on(check(&ledger, &here));
        ledger.grow(&mut random, 100);
        other.signal("CONT");
        for _ in 0..4 {
            ledger.grow(&mut random, 50);
            runtime.block_on(check(&ledger, &here));
        }
        drop(other);
        here.close();
    }
}
