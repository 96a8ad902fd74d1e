//! A process that feeds views is killed at any moment, again and again; every event is in them once.

use std::env;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::ledger::{Ledger, Random, runtime};
use crate::rebuild::assert_verified;

/// Names the folder of the ledger for the process that is to be killed.
const FOLDER: &str = "BINCARD_TEST_KILLED_FOLDER";

#[test]
fn every_event_is_in_the_views_once_after_kills_at_any_moment() {
    let mut random = Random::new(41);
    let mut ledger = Ledger::with_catalogue();
    ledger.grow(&mut random, 3_000);
    // The process to be killed cannot lock the log that this one has open: it feeds from a copy.
    let log = ledger.folder.path().join("log");
    let copy = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(&log).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
    }
    for round in 0..12 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "kill::a_process_to_be_killed", "--nocapture"])
            .env(FOLDER, copy.path())
            .env("BINCARD_TEST_KILLED_VIEWS", ledger.views_path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(20 + 17 * round));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let projector = ledger.project();
    runtime().block_on(async {
        ledger.settled(&projector).await;
        assert_verified(&ledger).await;
    });
    projector.close();
}

/// Does nothing but in a process that the test above has started.
#[test]
fn a_process_to_be_killed() {
    let (Some(log), Some(views)) = (env::var_os(FOLDER), env::var_os("BINCARD_TEST_KILLED_VIEWS")) else {
        return;
    };
    let options = bincard_store::segment::Options::default();
    let disk = std::sync::Arc::new(bincard_store::disk::RealDisk);
    let opened = bincard_store::segment::Log::open(disk, log.as_ref(), options).unwrap();
    let projector =
        bincard_projections::Projector::open(std::path::Path::new(&views), opened.reader.into()).unwrap();
    let views = projector.views().clone();
    runtime().block_on(async {
        // Rebuilds without end, so that there is always something in the middle.
        loop {
            for view in bincard_projections::ViewName::ALL {
                if let Ok(rebuild) = views.rebuild(view).await {
                    rebuild.finished().await.unwrap();
                }
            }
        }
    });
}
