//! Real files: locks, leftovers, reading while it is written.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bincard_ledger::Position;
use bincard_store::OpenError;
use bincard_store::disk::RealDisk;
use bincard_store::segment::{Log, Opened, Options};
use bincard_store::sim::Rng;

use crate::model::{self, Model};

fn open(dir: &Path) -> Result<Opened, OpenError> {
    Log::open(
        Arc::new(RealDisk),
        dir,
        Options {
            segment_bytes: 128 << 10,
            ledger: Some(model::LEDGER),
            background: true,
        },
    )
}

#[test]
fn a_ledger_is_opened_once_at_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("deeper/ledger");
    let opened = open(&dir).expect("opens, making the folders");
    assert!(opened.recovered.created);
    assert!(matches!(open(&dir), Err(OpenError::Locked { dir: named }) if named == dir));
    let reader = opened.reader.clone();
    drop(opened);
    assert!(
        matches!(open(&dir), Err(OpenError::Locked { .. })),
        "a reader keeps the folder as well"
    );
    drop(reader);
    assert!(!open(&dir).expect("opens again").recovered.created);
}

#[test]
fn a_torn_write_in_a_real_file_is_cut_off_and_leftovers_are_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut model, mut rng) = (Model::default(), Rng::new(1));
    let mut opened = open(folder.path()).expect("opens");
    for _ in 0..3 {
        let (body, _, after) = model.next_body(&mut rng, 2000);
        opened.appender.commit(&body).expect("commits");
        model = after;
    }
    let (torn, _, _) = model.next_body(&mut rng, 2000);
    let end_byte = opened.reader.size_bytes();
    opened.appender.commit(&torn).expect("commits");
    drop(opened);
    let log = folder.path().join("log");
    let segment = log.join("0000000001.seg");
    let mut bytes = std::fs::read(&segment).expect("there");
    bytes[end_byte as usize..end_byte as usize + 512].fill(0);
    std::fs::write(&segment, bytes).expect("writes");
    for leftover in ["0000000002.new", "0000000001.idx.tmp"] {
        std::fs::write(log.join(leftover), b"half").expect("writes");
    }
    let opened = open(folder.path()).expect("opens");
    assert_eq!(opened.recovered.torn.map(|torn| torn.byte), Some(end_byte));
    assert_eq!(opened.reader.head().hash.0, model.hash());
    let names: Vec<_> = std::fs::read_dir(&log)
        .expect("there")
        .map(|entry| entry.expect("there").file_name())
        .collect();
    assert_eq!(names, ["0000000001.seg"]);
}

#[test]
fn readers_follow_the_writer_and_see_every_commit_whole_and_in_order() {
    const COMMITS: u64 = 400;
    let folder = tempfile::tempdir().expect("a folder");
    let Opened {
        mut appender, reader, ..
    } = open(folder.path()).expect("opens");
    let announced = Arc::new(AtomicU64::new(0));
    let seen = announced.clone();
    reader.on_advance(move |head| seen.store(head.position.0, Ordering::SeqCst));
    let mut expected = Vec::new();
    let (mut model, mut rng) = (Model::default(), Rng::new(2));
    for _ in 0..COMMITS {
        let (body, _, mut after) = model.next_body(&mut rng, 20_000);
        expected.push((body, after.position()));
        after.commits = after.commits.split_off(after.commits.len() - 1);
        model = after;
    }
    let last = model.position();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut commits = reader.commits(Position(0)).expect("opens").checking_chain();
                let mut position = 0;
                for (body, end) in &expected {
                    reader.wait_for(Position(position + 1), Duration::from_secs(60));
                    let commit = commits
                        .next()
                        .expect("undamaged")
                        .expect("the head has come this far");
                    assert_eq!((commit.first.0, commit.body), (position + 1, body.as_bytes()));
                    position = *end;
                }
                assert!(commits.next().expect("undamaged").is_none());
            });
        }
        for (body, end) in &expected {
            assert_eq!(appender.commit(body).expect("commits").position.0, *end);
        }
    });
    assert_eq!(announced.load(Ordering::SeqCst), last);
    assert_eq!(
        reader.wait_for(Position(last + 1), Duration::ZERO).position.0,
        last,
        "a wait has an end"
    );
    drop((appender, reader));
    let opened = open(folder.path()).expect("opens");
    assert_eq!(
        opened.recovered.indexes_rebuilt, 0,
        "sealed segments have their indexes"
    );
    assert_eq!(opened.reader.verify(|_| {}).expect("verifies").position.0, last);
}
