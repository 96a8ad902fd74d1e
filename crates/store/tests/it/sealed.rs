//! What lies beside the log and what lies in the wrong place: indexes, missing segments, snapshots ahead of the head.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bincard_ledger::Position;
use bincard_store::segment::{Log, Opened};
use bincard_store::sim::{Rng, SimDisk};
use bincard_store::snapshots::Snapshots;
use bincard_store::{CommitError, OpenError};

use crate::model::{self, Model};

const SEGMENT_BYTES: u64 = 4 * 4096;

fn open(disk: &SimDisk) -> Result<Opened, OpenError> {
    Log::open(
        Arc::new(disk.clone()),
        Path::new("l"),
        model::options(SEGMENT_BYTES),
    )
}

/// A log of several segments.
fn log() -> (SimDisk, Model) {
    let (disk, mut model, mut rng) = (SimDisk::new(5), Model::default(), Rng::new(5));
    let mut opened = open(&disk).expect("opens");
    for _ in 0..20 {
        let (body, _, after) = model.next_body(&mut rng, 2000);
        opened.appender.commit(&body).expect("commits");
        model = after;
    }
    (disk, model)
}

fn file(number: u64, ending: &str) -> PathBuf {
    PathBuf::from(format!("l/log/{number:010}.{ending}"))
}

fn what(error: OpenError) -> String {
    match error {
        OpenError::Corrupt(corruption) => corruption.what,
        other => panic!("{other}"),
    }
}

#[test]
fn a_missing_or_damaged_index_is_made_again() {
    let (disk, model) = log();
    let whole = disk.content(&file(2, "idx")).expect("sealed segments have one");
    let mut damaged = vec![None];
    damaged.extend((0..whole.len() * 8).map(|bit| {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        Some(bytes)
    }));
    for bytes in damaged {
        match bytes {
            Some(bytes) => disk.put(&file(2, "idx"), &bytes),
            None => disk.lose(&file(2, "idx")),
        }
        let opened = open(&disk).expect("opens all the same");
        assert_eq!(opened.recovered.indexes_rebuilt, 1);
        assert_eq!(opened.reader.head().position.0, model.position());
        drop(opened);
        assert_eq!(
            disk.content(&file(2, "idx")).as_ref(),
            Some(&whole),
            "the same bytes again"
        );
    }
}

#[test]
fn a_segment_that_is_missing_is_named() {
    let (disk, _) = log();
    let last = disk
        .files()
        .iter()
        .filter(|(path, _)| path.extension() == Some("seg".as_ref()))
        .count() as u64;
    assert!(last >= 3);
    for missing in 1..=last {
        let disk = disk.fork(missing);
        disk.lose(&file(missing, "seg"));
        match open(&disk) {
            Err(OpenError::Corrupt(corruption)) => assert_eq!(corruption.path, file(missing, "seg")),
            other => panic!("segment {missing} is missing: {other:?}"),
        }
    }
    let disk = disk.fork(0);
    for segment in 1..=last {
        disk.lose(&file(segment, "seg"));
        disk.lose(&file(segment, "idx"));
    }
    assert_eq!(
        what(open(&disk).expect_err("the whole log is missing")),
        "the segment is missing"
    );
}

#[test]
fn segments_of_another_ledger_or_in_another_order_are_named() {
    let (disk, _) = log();
    let (one, two) = (
        disk.content(&file(1, "seg")).expect("there"),
        disk.content(&file(2, "seg")).expect("there"),
    );
    disk.put(&file(1, "seg"), &two);
    disk.put(&file(2, "seg"), &one);
    assert_eq!(
        what(open(&disk).expect_err("swapped")),
        "the file holds segment 2 under this name"
    );
    let other = SimDisk::new(9);
    let options = bincard_store::segment::Options {
        ledger: None,
        ..model::options(SEGMENT_BYTES)
    };
    drop(Log::open(Arc::new(other.clone()), Path::new("l"), options).expect("opens"));
    disk.put(&file(1, "seg"), &other.content(&file(1, "seg")).expect("there"));
    disk.put(&file(2, "seg"), &two);
    assert_eq!(
        what(open(&disk).expect_err("foreign")),
        "the segment belongs to another ledger"
    );
}

#[test]
fn a_log_that_ends_before_its_snapshot_is_named() {
    let (disk, _) = log();
    let opened = open(&disk).expect("opens");
    let earlier = disk.fork(1);
    let mut appender = opened.appender;
    let mut body = bincard_ledger::codec::Body::new(bincard_ledger::Timestamp::MAX);
    body.push(&model::stock_record(9, 1, None, 5));
    let head = appender.commit(&body).expect("commits");
    Snapshots::new(&opened.reader)
        .put(head.position, head.hash, b"state")
        .expect("kept");
    let snapshot = disk
        .files()
        .into_iter()
        .map(|(path, _)| path)
        .find(|path| path.extension() == Some("snap".as_ref()));
    let snapshot = snapshot.expect("kept");
    earlier.put(&snapshot, &disk.content(&snapshot).expect("kept"));
    assert!(what(open(&earlier).expect_err("the last commit is lost")).contains("a snapshot"));
}

#[test]
fn a_damaged_snapshot_gives_way_to_the_one_before() {
    let disk = SimDisk::new(1);
    let mut opened = open(&disk).expect("opens");
    let snapshots = Snapshots::new(&opened.reader);
    for version in 1..=3 {
        let mut body = bincard_ledger::codec::Body::new(bincard_ledger::Timestamp::from_micros(1));
        body.push(&model::stock_record(1, version, None, 5));
        let head = opened.appender.commit(&body).expect("commits");
        snapshots
            .put(head.position, head.hash, &[version as u8; 9])
            .expect("kept");
    }
    let kept: Vec<_> = disk
        .files()
        .into_iter()
        .filter(|(path, _)| path.starts_with("l/snapshots"))
        .collect();
    assert_eq!(kept.len(), 2, "two are kept");
    let (newest, size_bytes) = kept[1].clone();
    for bit in 0..size_bytes * 8 {
        disk.flip(&newest, bit);
        let found = snapshots.latest().expect("readable").expect("the one before");
        assert_eq!(
            (found.position, found.bytes),
            (Position(2), vec![2; 9]),
            "bit {bit}"
        );
        disk.flip(&newest, bit);
    }
    assert_eq!(
        snapshots
            .latest()
            .expect("readable")
            .expect("whole again")
            .position,
        Position(3)
    );
    // A snapshot of another history at the same position is not used either.
    snapshots
        .put(Position(3), bincard_store::Hash([1; 32]), b"foreign")
        .expect("kept");
    assert_eq!(
        snapshots
            .latest()
            .expect("readable")
            .expect("the one before")
            .position,
        Position(2)
    );
}

#[test]
fn a_body_that_fits_exactly_is_taken_and_a_larger_one_refused() {
    let disk = SimDisk::new(1);
    let mut opened = open(&disk).expect("opens");
    let bytes_max = opened.appender.body_bytes_max();
    assert_eq!(bytes_max, 3 * 3968 - 96);
    let body = |chars| {
        let mut body = bincard_ledger::codec::Body::new(bincard_ledger::Timestamp::from_micros(1));
        body.push(&model::stock_record(1, 1, None, chars));
        body
    };
    let rest = body(5000).as_bytes().len() - 5000;
    match opened.appender.commit(&body(bytes_max - rest + 1)) {
        Err(CommitError::TooLarge {
            bytes,
            bytes_max: max,
        }) => assert_eq!((bytes, max), (bytes_max + 1, bytes_max)),
        other => panic!("{other:?}"),
    }
    let largest = body(bytes_max - rest);
    assert_eq!(largest.as_bytes().len(), bytes_max);
    opened.appender.commit(&largest).expect("fits");
    assert_eq!(
        opened.reader.verify(|_| {}).expect("verifies").position,
        Position(1)
    );
}
