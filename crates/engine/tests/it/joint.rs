//! Several nodes over one log in PostgreSQL: each an engine with connections of its own.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use bincard_engine::{Engine, Ledger, Options, Receipt, Refusal};
use bincard_ledger::{CatalogueCommand, Kind, Position, Request};
use bincard_store::postgres::Database;
use bincard_testkit::postgres::Postgres;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::{
    VARIANT, WAREHOUSE, furnish, keyed, moves, on_hand, options, replayed, request, submit,
};

/// One server serves all tests of this program; it ends with the process.
fn server() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start().expect("a private PostgreSQL starts"))
}

/// A database of its own; its address.
fn database() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("engine_{}", MADE.fetch_add(1, Ordering::Relaxed));
    run_sql(
        &server().socket_url("postgres"),
        &format!("create database {name}"),
    );
    let url = server().socket_url(&name);
    Database::connect(&url)
        .expect("connects")
        .migrate()
        .expect("the tables are made");
    url
}

fn run_sql(url: &str, sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url).await.expect("connects");
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        connection.execute(sql).await.expect("the statement runs");
    });
}

/// A node that has the ledger open.
fn node(url: &str) -> Engine {
    node_with(url, options())
}

fn node_with(url: &str, options: Options) -> Engine {
    let database = Database::connect(url).expect("connects");
    Engine::open_in(&database, "shop", options).expect("the ledger opens")
}

/// Submits until the outcome is known, as a caller does who was told to try again.
fn insist(ledger: &Ledger, request: &Request) -> Result<Receipt, Refusal> {
    loop {
        match submit(ledger, request.clone()) {
            Err(Refusal::Unavailable { .. } | Refusal::OutcomeUnknown) => {}
            outcome => return outcome,
        }
    }
}

fn wait_for(ledger: &Ledger, position: Position) {
    let head = ledger.reader().wait_for(position, Duration::from_secs(30));
    assert!(head.position >= position, "the news of position {position} came");
}

#[test]
fn a_ledger_goes_on_where_it_was_after_a_restart() {
    let url = database();
    let engine = node(&url);
    let ledger = engine.ledger();
    furnish(&ledger, 2);
    let first = submit(&ledger, keyed(moves(Kind::Inbound, 5), "a")).unwrap();
    let short = submit(&ledger, keyed(moves(Kind::Outbound, 6), "b"));
    assert!(matches!(short, Err(Refusal::Rejected(_))), "{short:?}");
    drop(ledger);
    engine.close();

    let engine = node(&url);
    let ledger = engine.ledger();
    let again = submit(&ledger, keyed(moves(Kind::Inbound, 5), "a")).unwrap();
    assert!(again.replayed);
    assert_eq!(again.position, first.position);
    let other = submit(&ledger, keyed(moves(Kind::Inbound, 6), "a"));
    assert_eq!(
        other,
        Err(Refusal::KeyReused {
            position: first.position
        })
    );
    assert!(
        !submit(&ledger, keyed(moves(Kind::Outbound, 5), "b"))
            .unwrap()
            .replayed
    );
    assert_eq!(on_hand(&ledger), 0);
}

#[test]
fn two_nodes_sell_what_there_is_and_no_more() {
    let url = database();
    let (one, two) = (node(&url), node(&url));
    furnish(&one.ledger(), 1);
    submit(&one.ledger(), request(moves(Kind::Inbound, 1_000))).unwrap();
    let taken: i64 = thread::scope(|scope| {
        let clients: Vec<_> = (0..16)
            .map(|client| {
                let ledger = if client % 2 == 0 {
                    one.ledger()
                } else {
                    two.ledger()
                };
                scope.spawn(move || {
                    let mut taken = 0;
                    for turn in 0..40 {
                        let request = keyed(moves(Kind::Outbound, 3), &format!("{client}/{turn}"));
                        match submit(&ledger, request) {
                            Ok(_) => taken += 3,
                            Err(refusal) => assert!(matches!(refusal, Refusal::Rejected(_)), "{refusal}"),
                        }
                    }
                    taken
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    assert_eq!(taken, 999);
    wait_for(&one.ledger(), two.ledger().reader().head().position);
    assert_eq!(on_hand(&one.ledger()), 1);
    one.ledger().reader().verify(|_| {}).expect("the chain holds");
}

#[test]
fn one_key_at_two_nodes_at_once_is_recorded_once() {
    let url = database();
    let (one, two) = (node(&url), node(&url));
    furnish(&one.ledger(), 1);
    let all = |ledger: Ledger| {
        move || {
            let key = |turn| keyed(moves(Kind::Inbound, 1), &format!("key-{turn}"));
            (0..60)
                .map(|turn| submit(&ledger, key(turn)).unwrap())
                .collect::<Vec<_>>()
        }
    };
    let (left, right) = thread::scope(|scope| {
        let left = scope.spawn(all(one.ledger()));
        let right = scope.spawn(all(two.ledger()));
        (left.join().unwrap(), right.join().unwrap())
    });
    for (left, right) in left.iter().zip(&right) {
        assert_eq!(left.position, right.position);
        assert_eq!(
            (left.version, left.recorded_at),
            (right.version, right.recorded_at)
        );
        assert_ne!(left.replayed, right.replayed, "one of the two recorded it");
    }
    let head = one
        .ledger()
        .reader()
        .head()
        .position
        .max(two.ledger().reader().head().position);
    wait_for(&one.ledger(), head);
    assert_eq!(on_hand(&one.ledger()), 60);
}

#[test]
fn many_requests_over_several_commits_are_answered_in_order() {
    let url = database();
    let engine = node_with(
        &url,
        Options {
            batch_requests_max: 7,
            ..options()
        },
    );
    let ledger = engine.ledger();
    furnish(&ledger, 1);
    // Every third is a repetition of the one before, at times within a commit and at times in the next.
    let requests = (0..600)
        .map(|n| keyed(moves(Kind::Inbound, 1), &format!("k{}", n - n % 3 / 2)))
        .collect();
    let outcomes = ledger.submit_batch_blocking(requests);
    let receipts: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    for (n, receipt) in receipts.iter().enumerate() {
        assert_eq!(receipt.replayed, n % 3 == 2, "{n}");
        if n % 3 == 2 {
            assert_eq!(receipt.position, receipts[n - 1].position);
        }
    }
    assert_eq!(on_hand(&ledger), 400);
}

#[test]
fn what_one_node_names_the_other_knows_once_it_reads_on() {
    let url = database();
    let (one, two) = (node(&url), node(&url));
    furnish(&one.ledger(), 1);
    wait_for(&two.ledger(), one.ledger().reader().head().position);
    assert_eq!(two.ledger().names().warehouse_by_code("WH-1"), Some(WAREHOUSE));
    assert_eq!(two.ledger().names().variant_by_sku("SKU-1"), Some(VARIANT));
    let taken = CatalogueCommand::CreateWarehouse {
        code: "WH-1".into(),
        name: "Another".into(),
        negative_stock: None,
    };
    let taken = submit(&two.ledger(), request(taken));
    assert!(matches!(taken, Err(Refusal::Rejected(_))), "{taken:?}");
}

#[test]
fn sessions_that_end_at_any_moment_lose_nothing_and_double_nothing() {
    let url = database();
    let (one, two) = (node(&url), node(&url));
    furnish(&one.ledger(), 1);
    submit(&one.ledger(), request(moves(Kind::Inbound, 1_000_000))).unwrap();
    let is_over = AtomicBool::new(false);
    let taken: i64 = thread::scope(|scope| {
        let killer = scope.spawn(|| {
            let end_one =
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'bincard'
                and datname = current_database() and pid <> pg_backend_pid() order by random() limit 1";
            while !is_over.load(Ordering::SeqCst) {
                run_sql(&url, end_one);
            }
        });
        let clients: Vec<_> = (0..6)
            .map(|client| {
                let ledger = if client % 2 == 0 {
                    one.ledger()
                } else {
                    two.ledger()
                };
                scope.spawn(move || {
                    let quantity = |turn| i64::from(turn % 5) + 1;
                    let mut taken = 0;
                    for turn in 0..120 {
                        let request =
                            keyed(moves(Kind::Outbound, quantity(turn)), &format!("{client}/{turn}"));
                        insist(&ledger, &request).expect("there is enough");
                        taken += quantity(turn);
                    }
                    taken
                })
            })
            .collect();
        let taken = clients.into_iter().map(|client| client.join().unwrap()).sum();
        is_over.store(true, Ordering::SeqCst);
        killer.join().unwrap();
        taken
    });
    let engine = node(&url);
    let ledger = engine.ledger();
    assert_eq!(on_hand(&ledger), 1_000_000 - taken);
    let verified = ledger.reader().verify(|_| {}).expect("the chain holds");
    assert_eq!(verified.position, ledger.reader().head().position);
    let outbound = 6 * 120;
    assert_eq!(verified.position.0, 3 + outbound, "each was recorded once");
}

#[test]
fn a_database_that_is_away_refuses_and_is_used_again_when_it_is_back() {
    let url = database();
    let engine = node(&url);
    let ledger = engine.ledger();
    furnish(&ledger, 1);
    submit(&ledger, keyed(moves(Kind::Inbound, 5), "a")).unwrap();
    let name = url
        .split('?')
        .next()
        .and_then(|start| start.rsplit('/').next())
        .expect("a name");
    let shut = |allowed: bool| {
        let sql = format!(
            "alter database {name} allow_connections {allowed};
             select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
        );
        run_sql(&server().socket_url("postgres"), &sql);
    };
    shut(false);
    let away = submit(&ledger, keyed(moves(Kind::Inbound, 6), "b"));
    assert!(matches!(away, Err(Refusal::Unavailable { .. })), "{away:?}");
    shut(true);
    insist(&ledger, &keyed(moves(Kind::Inbound, 6), "b")).expect("it is back");
    assert_eq!(replayed(&ledger).buckets(WAREHOUSE, VARIANT).on_hand(), 11);
}

#[test]
fn a_node_whose_commit_came_to_nothing_still_hears_of_the_others() {
    let url = database();
    let (one, two) = (node(&url), node(&url));
    furnish(&one.ledger(), 1);
    // As a database refuses that is out of space.
    let refuse = "alter table bincard_log.events add constraint refused check (false) not valid";
    run_sql(&url, refuse);
    let refused = submit(&one.ledger(), request(moves(Kind::Inbound, 5)));
    assert!(matches!(refused, Err(Refusal::Unavailable { .. })), "{refused:?}");
    run_sql(&url, "alter table bincard_log.events drop constraint refused");
    let receipt = submit(&two.ledger(), request(moves(Kind::Inbound, 7))).expect("it takes events again");
    wait_for(&one.ledger(), receipt.position);
    assert_eq!(on_hand(&one.ledger()), 7);
}

#[test]
fn what_broke_off_in_the_middle_of_others_events_does_not_count() {
    let url = database();
    let (one, two) = (node(&url), node(&url));
    furnish(&one.ledger(), 1);
    wait_for(&two.ledger(), one.ledger().reader().head().position);
    // Far into the commit, so that much of it is folded in before; a unit more, which only the commit's hash tells.
    run_sql(
        &url,
        "create function bincard_log.damaged(record bytea) returns bytea language sql return
            set_byte(record, octet_length(record) - 1, get_byte(record, octet_length(record) - 1) # 1);
         create function bincard_log.damage() returns trigger language plpgsql as $$ begin
            if new.position = 800 then new.record = bincard_log.damaged(new.record); end if; return new; end $$;
         create trigger damage before insert on bincard_log.events
            for each row execute function bincard_log.damage()",
    );
    let inbound = (0..1_000).map(|_| request(moves(Kind::Inbound, 2))).collect();
    let recorded = one.ledger().submit_batch_blocking(inbound);
    assert!(recorded.iter().all(Result::is_ok), "all are in one commit");
    let outbound = keyed(moves(Kind::Outbound, 1_500), "a");
    let refused = submit(&two.ledger(), outbound.clone());
    assert!(matches!(refused, Err(Refusal::Unavailable { .. })), "{refused:?}");
    run_sql(
        &url,
        "drop trigger damage on bincard_log.events;
         update bincard_log.events set record = bincard_log.damaged(record) where position = 800",
    );
    let receipt = submit(&two.ledger(), outbound).expect("the log is whole again");
    assert_eq!(on_hand(&two.ledger()), 500);
    let more = submit(&two.ledger(), request(moves(Kind::Outbound, 501)));
    assert!(matches!(more, Err(Refusal::Rejected(_))), "{more:?}");
    wait_for(&one.ledger(), receipt.position);
    assert_eq!(on_hand(&one.ledger()), 500);
}

#[test]
fn a_snapshot_of_one_node_serves_another() {
    let url = database();
    let engine = node(&url);
    let ledger = engine.ledger();
    furnish(&ledger, 50);
    submit(&ledger, keyed(moves(Kind::Inbound, 5), "a")).unwrap();
    let position = bincard_engine::take_snapshot(ledger.reader()).expect("a snapshot is taken");
    assert_eq!(position, ledger.reader().head().position);
    // What the snapshot has is not read from the log again: without it, the log alone would not open.
    run_sql(
        &url,
        "update bincard_log.events set crc = crc + 1 where position = 1",
    );
    let other = node(&url);
    submit(&other.ledger(), keyed(moves(Kind::Outbound, 5), "b")).expect("it is known what there is");
}
