//! The key index against a table in memory: lost and damaged runs, memory, false hits.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use bincard_ledger::Position;
use bincard_ledger::Timestamp;
use bincard_ledger::codec::Body;
use bincard_store::keys::{KeyIndex, KeyOptions};
use bincard_store::segment::{Log, Opened};
use bincard_store::sim::{Plan, Rng, SimDisk};

use crate::model;

/// A log of so many events, each with a key, and the keys' positions by hash.
fn log(disk: &SimDisk, count: u64) -> (Opened, HashMap<u64, Position>) {
    let mut opened =
        Log::open(Arc::new(disk.clone()), Path::new("l"), model::options(1 << 20)).expect("opens");
    let mut known = HashMap::new();
    let mut body = Body::new(Timestamp::from_micros(1));
    for version in 1..=count {
        let text = format!("key-{version}");
        body.push(&model::stock_record(1, version, Some(&text), 0));
        known.insert(model::key(&text).hash(model::LEDGER), Position(version));
        if version % 100 == 0 || version == count {
            opened.appender.commit(&body).expect("commits");
            body.clear(Timestamp::from_micros(1));
        }
    }
    (opened, known)
}

fn check(keys: &KeyIndex, known: &HashMap<u64, Position>) {
    assert_eq!(keys.key_count(), known.len() as u64);
    let hashes: Vec<u64> = known.keys().copied().collect();
    let mut screened = vec![false; 3];
    keys.screen(&hashes, &mut screened);
    assert!(screened[3..].iter().all(|maybe| *maybe) && screened.len() == 3 + hashes.len());
    for (hash, position) in known {
        assert_eq!(keys.candidates(*hash).expect("readable")[..], [*position]);
    }
}

fn runs(disk: &SimDisk) -> Vec<(std::path::PathBuf, u64)> {
    disk.files()
        .into_iter()
        .filter(|(path, _)| path.extension() == Some("run".as_ref()))
        .collect()
}

#[test]
fn keys_are_found_whether_they_are_young_waiting_written_or_merged() {
    for (young_keys_max, background) in [(7, false), (64, false), (100, true), (5000, true)] {
        let disk = SimDisk::new(1);
        let (opened, known) = log(&disk, 3000);
        let options = KeyOptions {
            young_keys_max,
            background,
        };
        let mut keys = KeyIndex::open(&opened.reader, options).expect("opens");
        check(&keys, &known);
        keys.settle().expect("writes");
        check(&keys, &known);
        assert!(runs(&disk).len() <= 12, "few runs: {:?}", runs(&disk));
        drop(keys);
        check(&KeyIndex::open(&opened.reader, options).expect("opens"), &known);
    }
}

#[test]
fn hashes_that_several_keys_share_give_all_their_positions() {
    let disk = SimDisk::new(1);
    let (opened, _) = log(&disk, 1);
    let mut keys = KeyIndex::open(&opened.reader, model::key_options(400)).expect("opens");
    for position in 2..=1200 {
        keys.insert(if position % 2 == 0 { 42 } else { position }, Position(position));
        keys.maintain(Position(position)).expect("writes");
    }
    let found = keys.candidates(42).expect("readable");
    assert_eq!(
        found.to_vec(),
        (1..=600).map(|half| Position(half * 2)).collect::<Vec<_>>()
    );
}

#[test]
fn a_run_that_is_lost_or_damaged_is_made_again_from_the_log() {
    let pristine = SimDisk::new(1);
    let (opened, known) = log(&pristine, 1500);
    let mut keys = KeyIndex::open(&opened.reader, model::key_options(500)).expect("opens");
    keys.settle().expect("writes");
    drop((keys, opened));
    let mut rng = Rng::new(8);
    for round in 0..400 {
        let disk = pristine.fork(round);
        let files = runs(&disk);
        let (path, size_bytes) = &files[rng.below(files.len() as u64) as usize];
        match rng.below(8) {
            0 => disk.lose(path),
            1 => disk.put(
                path,
                &disk.content(path).expect("there")[..rng.below(*size_bytes) as usize],
            ),
            _ => disk.flip(path, rng.below(size_bytes * 8)),
        }
        let opened =
            Log::open(Arc::new(disk.clone()), Path::new("l"), model::options(1 << 20)).expect("opens");
        let mut keys = KeyIndex::open(&opened.reader, model::key_options(500)).expect("opens");
        check(&keys, &known);
        keys.maintain(opened.reader.head().position).expect("writes");
        check(&keys, &known);
        drop(keys);
        check(
            &KeyIndex::open(&opened.reader, model::key_options(500)).expect("opens"),
            &known,
        );
    }
}

#[test]
fn keys_stay_in_memory_while_the_disk_refuses_and_the_backlog_is_bounded() {
    let disk = SimDisk::new(1);
    let (opened, _) = log(&disk, 1);
    let mut keys = KeyIndex::open(&opened.reader, model::key_options(10)).expect("opens");
    disk.plan(Plan {
        free_bytes: Some(0),
        ..Plan::default()
    });
    let mut refused = None;
    for position in 2..1000 {
        keys.insert(position * 77, Position(position));
        if keys.maintain(Position(position)).is_err() {
            refused = Some(position);
            break;
        }
    }
    let last = refused.expect("the backlog has an end");
    disk.plan(Plan::default());
    keys.maintain(Position(last)).expect("with room again it goes on");
    for position in 2..=last {
        assert_eq!(
            keys.candidates(position * 77).expect("readable")[..],
            [Position(position)]
        );
    }
}

#[test]
fn old_keys_cost_less_than_four_bytes_of_memory_and_new_ones_rarely_a_read() {
    const KEYS: u64 = 1_000_000;
    let disk = SimDisk::new(1);
    let (opened, _) = log(&disk, 1);
    let options = KeyOptions {
        young_keys_max: 1 << 14,
        background: false,
    };
    let mut keys = KeyIndex::open(&opened.reader, options).expect("opens");
    let mut rng = Rng::new(4);
    for position in 2..=KEYS {
        keys.insert(rng.number(), Position(position));
        keys.maintain(Position(position)).expect("writes");
    }
    let young_bytes = (1 << 15) * 17 + 1024;
    // While runs are merged the merged run's filter is in memory as well: twice this.
    let per_key = (keys.memory_bytes() - young_bytes) as f64 / KEYS as f64;
    assert!(per_key * 2.0 < 4.0, "{per_key} bytes a key");
    let fresh: Vec<u64> = (0..200_000).map(|_| rng.number()).collect();
    let mut maybe = Vec::new();
    keys.screen(&fresh, &mut maybe);
    let false_hits = maybe.iter().filter(|maybe| **maybe).count();
    assert!(
        false_hits < 200_000 / 50,
        "{false_hits} of 200,000 new keys would be looked up"
    );
}
