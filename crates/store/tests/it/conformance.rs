//! The suite that every event store passes, on segments: on the real disk and on the simulated one.

use std::path::PathBuf;
use std::sync::Arc;

use bincard_store::SegmentStore;
use bincard_store::conformance::{self, Harness};
use bincard_store::disk::{Disk, RealDisk};
use bincard_store::keys::KeyOptions;
use bincard_store::segment::Options;
use bincard_store::sim::SimDisk;

struct Folders {
    disk: Arc<dyn Disk>,
    parent: PathBuf,
    made: u32,
    options: Options,
    key_options: KeyOptions,
}

impl Folders {
    fn open(&self) -> SegmentStore {
        let dir = self.parent.join(self.made.to_string());
        SegmentStore::open(self.disk.clone(), &dir, self.options, self.key_options).expect("opens")
    }
}

impl Harness for Folders {
    type Store = SegmentStore;

    fn fresh(&mut self) -> SegmentStore {
        self.made += 1;
        self.open()
    }

    fn reopen(&mut self, store: SegmentStore) -> SegmentStore {
        drop(store);
        self.open()
    }
}

#[test]
fn segments_on_the_simulated_disk_keep_the_contract() {
    let disk = Arc::new(SimDisk::new(1));
    for background in [false, true] {
        let options = Options {
            segment_bytes: 64 << 10,
            ledger: None,
            background,
        };
        let key_options = KeyOptions {
            young_keys_max: 10,
            background,
        };
        let parent = PathBuf::from(background.to_string());
        conformance::run(&mut Folders {
            disk: disk.clone(),
            parent,
            made: 0,
            options,
            key_options,
        });
    }
}

#[test]
fn segments_on_the_real_disk_keep_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = Options {
        segment_bytes: 256 << 10,
        ledger: None,
        background: true,
    };
    let key_options = KeyOptions {
        young_keys_max: 40,
        background: true,
    };
    let parent = folder.path().to_owned();
    conformance::run(&mut Folders {
        disk: Arc::new(RealDisk),
        parent,
        made: 0,
        options,
        key_options,
    });
}
