//! Damaged commits are written again from a copy, byte by byte what they were, or not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bincard_ledger::Position;
use bincard_store::RepairError;
use bincard_store::segment::{Log, Repaired, repair};
use bincard_store::sim::{Plan, Rng, SimDisk};

use crate::model::{self, Model};

const SEGMENT_BYTES: u64 = 8 * 4096;

/// A log of several segments, with a copy of each commit's body by its first position.
fn log() -> (SimDisk, Vec<(Position, Vec<u8>)>) {
    let (disk, mut model, mut rng) = (SimDisk::new(5), Model::default(), Rng::new(5));
    let options = model::options(SEGMENT_BYTES);
    let mut opened = Log::open(Arc::new(disk.clone()), Path::new("l"), options).expect("opens");
    let mut copies = Vec::new();
    for turn in 0..20 {
        if turn % 5 == 4 {
            // Each life has an epoch of its own.
            drop(opened);
            opened = Log::open(Arc::new(disk.clone()), Path::new("l"), options).expect("opens");
        }
        let (body, _, after) = model.next_body(&mut rng, 2000);
        copies.push((opened.appender.head().position.next(), body.as_bytes().to_vec()));
        opened.appender.commit(&body).expect("commits");
        model = after;
    }
    (disk, copies)
}

fn file(number: u64) -> PathBuf {
    PathBuf::from(format!("l/log/{number:010}.seg"))
}

fn segments(disk: &SimDisk) -> u64 {
    (1..)
        .find(|number| disk.content(&file(number + 1)).is_none())
        .expect("they end")
}

fn repair_with(disk: &SimDisk, copies: &[(Position, Vec<u8>)]) -> Result<Vec<Repaired>, RepairError> {
    let mut repaired = Vec::new();
    let copy = |ledger, position| {
        assert_eq!(ledger, model::LEDGER);
        let found = copies.iter().find(|copy| copy.0 == position);
        Ok(found.map(|copy| copy.1.clone()))
    };
    repair(disk, Path::new("l"), copy, |one| repaired.push(one))?;
    Ok(repaired)
}

/// The places of a segment that hold something, a few a sector.
fn places(whole: &[u8]) -> Vec<usize> {
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    (4096..used).step_by(97).collect()
}

#[test]
fn what_is_whole_is_not_touched() {
    let (disk, copies) = log();
    let before: Vec<_> = (1..=segments(&disk))
        .map(|number| disk.content(&file(number)))
        .collect();
    assert!(before.len() >= 2);
    assert!(repair_with(&disk, &copies).expect("nothing is wrong").is_empty());
    let after: Vec<_> = (1..=segments(&disk))
        .map(|number| disk.content(&file(number)))
        .collect();
    assert!(before == after);
}

#[test]
fn a_flipped_bit_anywhere_in_a_commit_is_put_right() {
    let (disk, copies) = log();
    let last = segments(&disk);
    for number in 1..=last {
        let whole = disk.content(&file(number)).expect("a segment");
        for (turn, at) in places(&whole).into_iter().enumerate() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (turn % 8);
            disk.put(&file(number), &flipped);
            let outcome = repair_with(&disk, &copies);
            let after = disk.content(&file(number)).expect("a segment");
            match outcome {
                Ok(repaired) => {
                    assert_eq!(repaired.len(), 1, "segment {number}, byte {at}");
                    assert!(after == whole, "segment {number}, byte {at}");
                    let kept = disk.content(&repaired[0].kept).expect("kept");
                    assert!(kept == flipped);
                    disk.lose(&repaired[0].kept);
                }
                // The last commit's own hash is all that the log has to say of it.
                Err(RepairError::Unproven { .. }) => {
                    assert_eq!(number, last, "byte {at}");
                    assert!(after == flipped, "nothing is changed");
                }
                Err(error) => panic!("segment {number}, byte {at}: {error}"),
            }
            disk.put(&file(number), &whole);
        }
    }
}

#[test]
fn only_the_last_commits_hash_itself_makes_a_flip_unprovable() {
    let (disk, copies) = log();
    let number = segments(&disk);
    let whole = disk.content(&file(number)).expect("a segment");
    let unproven = places(&whole).into_iter().filter(|at| {
        let mut flipped = whole.clone();
        flipped[*at] ^= 16;
        disk.put(&file(number), &flipped);
        matches!(repair_with(&disk, &copies), Err(RepairError::Unproven { .. }))
    });
    // Of the commit's header: magic, number, count, and two hashes are within its first 112 bytes.
    assert!(unproven.count() <= 2);
}

#[test]
fn a_copy_that_is_missing_or_another_one_changes_nothing() {
    let (disk, mut copies) = log();
    let whole = disk.content(&file(1)).expect("a segment");
    let mut flipped = whole;
    flipped[4096 + 600] ^= 2;
    disk.put(&file(1), &flipped);
    let first = copies.remove(0);
    assert!(matches!(
        repair_with(&disk, &copies),
        Err(RepairError::NoCopy {
            position: Position(1)
        })
    ));
    let other = (Position(1), copies[3].1.clone());
    copies.insert(0, other);
    assert!(matches!(
        repair_with(&disk, &copies),
        Err(RepairError::Unproven { .. })
    ));
    assert!(disk.content(&file(1)).expect("a segment") == flipped);
    copies[0] = first;
    repair_with(&disk, &copies).expect("the right one does");
}

/// Whatever step of a repair the power is lost or a write fails in, a later one ends with the log as it was, and each file that
/// was kept is what the segment once was.
#[test]
fn a_repair_that_broke_off_anywhere_is_done_again() {
    let (disk, copies) = log();
    let whole = disk.content(&file(1)).expect("a segment");
    let mut flipped = whole.clone();
    let places = places(&whole);
    for at in [places[3], places[places.len() / 2]] {
        flipped[at] ^= 2;
    }
    disk.put(&file(1), &flipped);
    let undisturbed = disk.fork(0);
    undisturbed.plan(Plan::default());
    assert_eq!(
        repair_with(&undisturbed, &copies).expect("it is put right").len(),
        2
    );
    let steps = undisturbed.steps();
    assert!(steps > 4, "{steps} steps");
    for step in 0..steps {
        for is_power_loss in [true, false] {
            for seed in 0..8 {
                let disk = disk.fork(seed);
                disk.plan(Plan {
                    power_loss_at: is_power_loss.then_some(step),
                    error_at: (!is_power_loss).then_some(step),
                    ..Plan::default()
                });
                let broken_off = repair_with(&disk, &copies);
                assert!(broken_off.is_err(), "step {step}: {broken_off:?}");
                if is_power_loss {
                    disk.power_on();
                }
                disk.plan(Plan::default());
                repair_with(&disk, &copies)
                    .unwrap_or_else(|error| panic!("step {step}, seed {seed}: {error}"));
                assert!(
                    disk.content(&file(1)).expect("a segment") == whole,
                    "step {step}, seed {seed}"
                );
                let kept: Vec<_> = disk
                    .files()
                    .into_iter()
                    .filter(|(path, _)| {
                        path.starts_with("l/damaged") && !path.to_string_lossy().ends_with(".tmp")
                    })
                    .collect();
                assert!(
                    kept.iter()
                        .any(|(path, _)| disk.content(path).as_ref() == Some(&flipped)),
                    "step {step}, seed {seed}: as it was damaged it is kept"
                );
                for (path, bytes) in kept {
                    assert_eq!(
                        bytes,
                        SEGMENT_BYTES,
                        "step {step}, seed {seed}: {}",
                        path.display()
                    );
                }
            }
        }
    }
}
