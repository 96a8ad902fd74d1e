//! A small log of format version 1, kept for ever: it must open, verify and read as it always did, and the same commits
//! must make the same bytes. `BINCARD_GOLDEN=write` makes the files again, which only a new format version may need.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bincard_ledger::Position;
use bincard_store::disk::RealDisk;
use bincard_store::keys::KeyIndex;
use bincard_store::segment::Log;
use bincard_store::sim::{Rng, SimDisk};
use bincard_store::{EventStore, SegmentStore};

use crate::model::{self, Model};

const SEGMENT_BYTES: u64 = 4 * 4096;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

/// The log as this program writes it: several segments, a torn tail recovered, runs of keys, snapshots.
fn written() -> (SimDisk, Model) {
    let (disk, mut model, mut rng) = (SimDisk::new(1), Model::default(), Rng::new(1));
    for _life in 0..2 {
        let (options, key_options) = (model::options(SEGMENT_BYTES), model::key_options(4));
        let disk: Arc<dyn bincard_store::disk::Disk> = Arc::new(disk.clone());
        let mut store = SegmentStore::open(disk, Path::new("l"), options, key_options).expect("opens");
        for _ in 0..5 {
            let (body, _, after) = model.next_body(&mut rng, 3000);
            let head = store.commit(&body).expect("commits");
            store
                .put_snapshot(head.position, head.hash, b"a state")
                .expect("kept");
            model = after;
        }
    }
    (disk, model)
}

#[test]
fn the_first_format_is_written_as_it_always_was() {
    let (disk, _) = written();
    if std::env::var_os("BINCARD_GOLDEN").is_some_and(|what| what == "write") {
        for (path, _) in disk.files() {
            let to = golden().join(path.strip_prefix("l").expect("all lie there"));
            std::fs::create_dir_all(to.parent().expect("a folder")).expect("made");
            std::fs::write(to, disk.content(&path).expect("listed")).expect("written");
        }
    }
    for (path, _) in disk.files() {
        let name = path.strip_prefix("l").expect("all lie there");
        let kept =
            std::fs::read(golden().join(name)).unwrap_or_else(|error| panic!("{}: {error}", name.display()));
        assert!(
            disk.content(&path).as_ref() == Some(&kept),
            "{} is written otherwise",
            name.display()
        );
    }
}

#[test]
fn a_log_of_the_first_format_opens_and_verifies() {
    let (_, model) = written();
    let folder = tempfile::tempdir().expect("a folder");
    copy(&golden(), folder.path());
    let opened = Log::open(Arc::new(RealDisk), folder.path(), model::options(SEGMENT_BYTES)).expect("opens");
    assert_eq!(
        (
            opened.ledger,
            opened.recovered.indexes_rebuilt,
            opened.recovered.torn
        ),
        (model::LEDGER, 0, None)
    );
    let verified = opened.reader.verify(|_| {}).expect("verifies");
    assert_eq!(
        (verified.position.0, verified.hash.0),
        (model.position(), model.hash())
    );
    let keys = KeyIndex::open(&opened.reader, model::key_options(4)).expect("opens");
    let mut commits = opened.reader.commits(Position(0)).expect("opens");
    for expected in &model.commits {
        assert_eq!(
            commits.next().expect("undamaged").expect("there").body,
            expected.body
        );
        for (text, position) in &expected.keys {
            let found = keys
                .candidates(model::key(text).hash(model::LEDGER))
                .expect("readable");
            assert_eq!(found[..], [Position(*position)]);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("the golden files are there") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}
