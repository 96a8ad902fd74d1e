//! Every single bit of a small log, flipped: each is found and named, and none is taken for a torn write.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bincard_store::OpenError;
use bincard_store::segment::{Log, Opened};
use bincard_store::sim::{Rng, SimDisk};

use crate::model;

const BLOCK: u64 = 4096;

/// A log of commits whose bodies fill so many blocks.
fn log(segment_bytes: u64, note_chars: &[usize]) -> SimDisk {
    let disk = SimDisk::new(0);
    let mut opened = open(&disk, segment_bytes).expect("opens");
    for (version, note_chars) in (1..).zip(note_chars) {
        let mut body = bincard_ledger::codec::Body::new(bincard_ledger::Timestamp::from_micros(1));
        body.push(&model::stock_record(1, version, None, *note_chars));
        opened.appender.commit(&body).expect("commits");
    }
    drop(opened);
    disk
}

fn open(disk: &SimDisk, segment_bytes: u64) -> Result<Opened, OpenError> {
    Log::open(
        Arc::new(disk.clone()),
        Path::new("l"),
        model::options(segment_bytes),
    )
}

fn segment(number: u64) -> PathBuf {
    PathBuf::from(format!("l/log/{number:010}.seg"))
}

#[test]
fn every_flipped_bit_of_the_last_segment_is_named_by_opening() {
    let segment_bytes = 6 * BLOCK;
    let disk = log(segment_bytes, &[10, 10, 5000]);
    let before = disk.content(&segment(1)).expect("there");
    let bits = segment_bytes * 8;
    // One block is left empty at the end; flips there are named as well.
    let threads = 2;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (disk, before) = (disk.fork(thread), &before);
            scope.spawn(move || {
                for bit in (thread..bits).step_by(threads as usize) {
                    disk.flip(&segment(1), bit);
                    match open(&disk, segment_bytes) {
                        Err(OpenError::Corrupt(corruption)) => {
                            assert_eq!(corruption.segment, 1);
                            assert!(
                                corruption.byte / BLOCK <= bit / 8 / BLOCK,
                                "bit {bit}: {corruption}"
                            );
                        }
                        other => panic!("bit {bit} was not named: {other:?}"),
                    }
                    disk.flip(&segment(1), bit);
                }
                assert_eq!(
                    disk.content(&segment(1)).as_ref(),
                    Some(before),
                    "a refused log is left as it is"
                );
                assert!(open(&disk, segment_bytes).is_ok());
            });
        }
    });
}

#[test]
fn every_flipped_bit_of_a_sealed_segment_is_named_by_whoever_reads_it() {
    let segment_bytes = 2 * BLOCK;
    let disk = log(segment_bytes, &[10, 300, 10]);
    for bit in 0..segment_bytes * 8 {
        disk.flip(&segment(2), bit);
        let named = match open(&disk, segment_bytes) {
            Err(OpenError::Corrupt(corruption)) => corruption,
            Err(other) => panic!("bit {bit}: {other}"),
            Ok(opened) => match opened.reader.verify(|_| {}) {
                Err(bincard_store::ReadError::Corrupt(corruption)) => corruption,
                other => panic!("bit {bit} was not named: {other:?}"),
            },
        };
        assert_eq!((named.segment, named.path), (2, segment(2)));
        disk.flip(&segment(2), bit);
    }
}

#[test]
fn the_last_commit_torn_in_every_way_is_cut_off_and_never_called_damaged() {
    let mut rng = Rng::new(3);
    let segment_bytes = 8 * BLOCK;
    let disk = log(segment_bytes, &[10, 5000]);
    let whole = disk.content(&segment(1)).expect("there");
    let (from, to) = (2 * BLOCK, 4 * BLOCK);
    let sectors = (to - from) / 512;
    for kept in 0..1u64 << sectors {
        let disk = disk.fork(kept);
        let all = kept == (1 << sectors) - 1;
        for sector in (0..sectors).filter(|sector| kept >> sector & 1 == 0) {
            disk.wipe(&segment(1), from + sector * 512, from + (sector + 1) * 512);
        }
        let mut opened = open(&disk, segment_bytes).expect("a torn commit is no damage");
        assert_eq!(opened.reader.head().position.0, if all { 2 } else { 1 });
        assert_eq!(opened.recovered.torn.is_some(), !all && kept != 0);
        if all {
            assert_eq!(disk.content(&segment(1)).as_ref(), Some(&whole));
            continue;
        }
        let after = disk.content(&segment(1)).expect("there");
        assert!(
            after[from as usize..].iter().all(|byte| *byte == 0),
            "what is cut off is zeroed at once"
        );
        // Another commit in its place, and nothing of it comes back to life.
        let mut body = bincard_ledger::codec::Body::new(bincard_ledger::Timestamp::from_micros(1));
        body.push(&model::stock_record(1, 2, None, 10));
        if rng.one_in(16) {
            opened.appender.commit(&body).expect("commits");
            drop(opened);
            let opened = open(&disk, segment_bytes).expect("opens");
            assert_eq!(opened.recovered.torn, None);
            assert_eq!(opened.reader.verify(|_| {}).expect("verifies").position.0, 2);
        }
    }
}

#[test]
fn whole_sectors_of_another_history_are_named() {
    let segment_bytes = 6 * BLOCK;
    let log_of = |micros| {
        let disk = SimDisk::new(0);
        let mut opened = open(&disk, segment_bytes).expect("opens");
        for version in 1..=2 {
            let mut body = bincard_ledger::codec::Body::new(bincard_ledger::Timestamp::from_micros(micros));
            body.push(&model::stock_record(1, version, None, 5000 + micros as usize));
            opened.appender.commit(&body).expect("commits");
        }
        disk
    };
    // Same ledger, same places, same numbers, same epoch: every sector of one is valid in the other.
    let (ours, theirs) = (log_of(1), log_of(2));
    let (our_bytes, their_bytes) = (
        ours.content(&segment(1)).expect("there"),
        theirs.content(&segment(1)).expect("there"),
    );
    let mut named = 0;
    for at in (BLOCK as usize..5 * BLOCK as usize).step_by(512) {
        let mut mixed = our_bytes.clone();
        mixed[at..at + 512].copy_from_slice(&their_bytes[at..at + 512]);
        if mixed == our_bytes {
            continue;
        }
        ours.put(&segment(1), &mixed);
        match open(&ours, segment_bytes) {
            Err(OpenError::Corrupt(_)) => named += 1,
            other => panic!("a foreign sector at byte {at} was not named: {other:?}"),
        }
    }
    assert!(named >= 4, "{named} sectors differ");
    // And a whole commit that follows another one.
    let mut mixed = our_bytes;
    mixed[BLOCK as usize..3 * BLOCK as usize]
        .copy_from_slice(&their_bytes[BLOCK as usize..3 * BLOCK as usize]);
    ours.put(&segment(1), &mixed);
    assert!(matches!(open(&ours, segment_bytes), Err(OpenError::Corrupt(_))));
}
