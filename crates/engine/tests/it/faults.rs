//! A disk that loses power, fails or fills up under the engine. What was answered "recorded" is there once after the
//! next opening, what was refused is not, and what was neither is there whole or not at all.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use bincard_engine::{Engine, Options, Refusal};
use bincard_ledger::{Kind, Request, Timestamp};
use bincard_store::sim::{Plan, Rng, SimDisk};

use crate::acts::{ACTS, Script, check_log, furnish_lots, is_recalled};
use crate::support::{furnish, keyed, moves, replayed, submit};

const FOLDER: &str = "/ledger";
const SEEDS: u64 = 800;

fn open(disk: &SimDisk) -> Result<Engine, bincard_engine::OpenError> {
    let clock = Arc::new(|| Timestamp::from_micros(1_000_000));
    let options = Options {
        segment_bytes: 64 << 10,
        batch_requests_max: 5,
        clock,
        disk: Arc::new(disk.clone()),
        ..Options::default()
    };
    Engine::open(Path::new(FOLDER), options)
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Known {
    Recorded,
    Refused,
    Unknown,
}

/// What was asked for and what is known of it, by key.
type SentAll = HashMap<String, Sent>;

struct Sent {
    act: &'static str,
    request: Request,
    known: Known,
}

/// Sends requests of every kind under keys, from several threads, until the plan strikes or all are sent; beside a lot
/// that is out of use or not.
fn load(engine: &Engine, round: u64, is_recalled: bool) -> SentAll {
    let answers = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|client| {
                let ledger = engine.ledger();
                scope.spawn(move || {
                    let mut script = Script::new(round, client, is_recalled);
                    let mut all = Vec::new();
                    for _ in 0..51 {
                        let (act, request) = script.next(&ledger);
                        let key = request.key.as_ref().expect("a key").text.to_string();
                        let outcome = submit(&ledger, request.clone());
                        let known = match &outcome {
                            Ok(_) => Known::Recorded,
                            Err(Refusal::OutcomeUnknown) => Known::Unknown,
                            Err(_) => Known::Refused,
                        };
                        script.answered(act, outcome.as_ref().ok());
                        all.push((key, Sent { act, request, known }));
                    }
                    all
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("a client"))
            .collect::<Vec<_>>()
    });
    answers.into_iter().flatten().collect()
}

/// Opens the ledger again and compares what it has with what was answered.
fn check(disk: &SimDisk, sent: &SentAll, seed: u64) -> Engine {
    let engine = open(disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    let ledger = engine.ledger();
    let mut found: HashMap<String, u32> = HashMap::new();
    for recorded in ledger
        .reader()
        .read(bincard_ledger::Position(0), usize::MAX)
        .expect("the log reads")
    {
        if let Some(key) = recorded.record.key {
            *found.entry(key.key.text.to_string()).or_default() += 1;
        }
    }
    for (key, Sent { act, known, .. }) in sent {
        let times = found.get(key).copied().unwrap_or_default();
        let is_right = match known {
            Known::Recorded => times == 1,
            Known::Refused => times == 0,
            Known::Unknown => times <= 1,
        };
        assert!(
            is_right,
            "seed {seed}: {act} {key} was {known:?} and is there {times} times"
        );
    }
    let requests = sent.iter().map(|(key, sent)| (key.clone(), sent.request.clone()));
    check_log(&ledger, &requests.collect(), seed);
    // What is there answers again under its key, and records nothing.
    let head = ledger.status().head.position;
    for (key, sent) in sent.iter().filter(|(key, _)| found.contains_key(*key)).take(10) {
        let again = submit(&ledger, sent.request.clone());
        assert!(
            again.is_ok_and(|receipt| receipt.replayed),
            "seed {seed}: {key} is not known any more"
        );
    }
    assert_eq!(ledger.status().head.position, head, "seed {seed}");
    engine
}

/// Runs a seed, and notes which acts were recorded.
fn run(seed: u64, recorded: &mut BTreeSet<&'static str>, plan_of: impl Fn(&mut Rng) -> Plan) {
    let disk = SimDisk::new(seed);
    let mut random = Rng::new(seed);
    let mut engine = open(&disk).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    furnish(&engine.ledger(), 1);
    furnish_lots(&engine.ledger());
    let mut sent = HashMap::new();
    for round in 0..3 {
        let is_recalled = is_recalled(&replayed(&engine.ledger()));
        disk.plan(plan_of(&mut random));
        sent.extend(load(&engine, round, is_recalled));
        engine.close();
        disk.plan(Plan::default());
        disk.power_on();
        engine = check(&disk, &sent, seed);
    }
    let known = sent.values().filter(|sent| sent.known == Known::Recorded);
    recorded.extend(known.map(|sent| sent.act));
}

/// Runs all seeds, in which everything must have been recorded at some time.
fn run_all(plan_of: impl Fn(&mut Rng) -> Plan) {
    let mut recorded = BTreeSet::new();
    for seed in 0..SEEDS {
        run(seed, &mut recorded, &plan_of);
    }
    assert_eq!(recorded, ACTS.into_iter().collect());
}

#[test]
fn a_power_loss_loses_nothing_that_was_answered() {
    run_all(|random| Plan {
        power_loss_at: Some(random.below(60)),
        ..Plan::default()
    });
}

#[test]
fn a_failed_write_stops_the_ledger_and_loses_nothing() {
    run_all(|random| Plan {
        error_at: Some(random.below(40)),
        ..Plan::default()
    });
}

#[test]
fn a_full_disk_refuses_by_name_loses_nothing_and_goes_on_when_there_is_room() {
    run_all(|random| Plan {
        free_bytes: Some(random.below(200_000)),
        ..Plan::default()
    });
    let disk = SimDisk::new(SEEDS);
    let engine = open(&disk).expect("the ledger opens");
    furnish(&engine.ledger(), 1);
    disk.plan(Plan {
        free_bytes: Some(0),
        ..Plan::default()
    });
    let outcomes = (0..200).map(|turn| {
        submit(
            &engine.ledger(),
            keyed(moves(Kind::Inbound, 1), &turn.to_string()),
        )
    });
    let refused: Vec<_> = outcomes.filter_map(Result::err).collect();
    assert!(
        !refused.is_empty() && refused.iter().all(|refusal| *refusal == Refusal::DiskFull),
        "{refused:?}"
    );
    assert_eq!(engine.ledger().status().stopped, Some(Refusal::DiskFull));
    // Reads go on.
    replayed(&engine.ledger());
    engine.close();
    disk.plan(Plan::default());
    let engine = open(&disk).expect("the ledger opens again");
    submit(&engine.ledger(), keyed(moves(Kind::Inbound, 1), "after")).expect("there is room again");
}
