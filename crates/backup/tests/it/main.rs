//! Shippers that run on while logs and places change beneath them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use bincard_backup::{Backup, BackupError, Checked, Place, Shipper};
use bincard_ledger::codec::Body;
use bincard_ledger::event::{CatalogueEvent, Event, Record};
use bincard_ledger::id::ProductNo;
use bincard_ledger::{LedgerId, Position, Timestamp, Version};
use bincard_store::Reader;
use bincard_store::segment::{Appender, Log, Options};
use bincard_store::sim::SimDisk;

/// A log in memory that grows by commits of one event.
struct Grows {
    appender: Appender,
    reader: Reader,
    name: &'static str,
}

impl Grows {
    /// Those of one seed and one name have the same history.
    fn new(seed: u64, name: &'static str) -> Grows {
        let options = Options {
            ledger: Some(LedgerId([seed as u8; 16])),
            background: false,
            segment_bytes: 64 * 4096,
        };
        let disk = Arc::new(SimDisk::new(seed));
        let opened = Log::open(disk, Path::new("l"), options).expect("opens");
        Grows {
            appender: opened.appender,
            reader: opened.reader.into(),
            name,
        }
    }

    fn append(&mut self, commits: u64) {
        for _ in 0..commits {
            let version = self.appender.head().position.0 + 1;
            let event = CatalogueEvent::ProductCreated {
                no: ProductNo(version as u32),
                name: format!("{} {version}", self.name).into(),
            };
            let mut body = Body::new(Timestamp::from_micros(1_700_000_000_000_000));
            body.push(&Record {
                version: Version(version),
                author: uuid::Uuid::from_u128(7),
                on_behalf_of: None,
                key: None,
                event: Event::Catalogue(event),
            });
            self.appender.commit(&body).expect("commits");
        }
    }

    fn shipper(&self, place: &Place) -> Shipper {
        Shipper::new(Backup::new(place, "shop"), self.reader.clone())
    }
}

fn place() -> (tempfile::TempDir, Place) {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::make(&folder.path().to_string_lossy()).expect("a place");
    (folder, place)
}

/// The first positions of the objects.
fn objects(folder: &tempfile::TempDir) -> Vec<u64> {
    let entries = std::fs::read_dir(folder.path().join("ledgers/shop")).expect("a backup");
    let mut firsts: Vec<u64> = entries
        .map(|entry| {
            let path = entry.expect("a file").path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
            stem.parse().expect("a position")
        })
        .collect();
    firsts.sort_unstable();
    firsts
}

fn lose(folder: &tempfile::TempDir, first: u64) {
    let name = format!("ledgers/shop/{first:020}.commits");
    std::fs::remove_file(folder.path().join(name)).expect("it was there");
}

/// Reads the backup as a restore does; its end.
async fn read_back(place: &Place) -> Result<Position, BackupError> {
    let mut chunks = Backup::new(place, "shop").chunks().await?;
    let mut end = Position(0);
    while let Some(chunk) = chunks.next().await? {
        end = chunk.last.position;
    }
    Ok(end)
}

#[tokio::test]
async fn an_object_that_the_place_lost_meanwhile_is_shipped_again() {
    let (folder, place) = place();
    let mut log = Grows::new(1, "a");
    let mut shipper = log.shipper(&place);
    let mut grow = async || {
        log.append(3);
        let head = shipper.ship(|_| ()).await.expect("ships");
        assert_eq!(head, log.reader.head());
        head.position
    };
    grow().await;
    lose(&folder, 1);
    // It was the only one: all of it is there again.
    grow().await;
    assert_eq!(objects(&folder), [1]);
    grow().await;
    assert_eq!(objects(&folder), [1, 7]);
    lose(&folder, 7);
    let end = grow().await;
    assert_eq!(objects(&folder), [1, 7]);
    assert_eq!(read_back(&place).await.expect("it is whole"), end);
}

#[tokio::test]
async fn gaps_are_named_and_filled_wherever_they_are() {
    let (folder, place) = place();
    let mut log = Grows::new(1, "a");
    let mut shipper = log.shipper(&place);
    for _ in 0..5 {
        log.append(2);
        shipper.ship(|_| ()).await.expect("ships");
    }
    for lost in [1, 5, 7] {
        lose(&folder, lost);
    }
    let gap = read_back(&place).await;
    assert!(
        matches!(
            gap,
            Err(BackupError::Missing {
                after: Position(0),
                next: Position(3),
                ..
            })
        ),
        "{gap:?}"
    );
    let checked = shipper.check_all(|_| ()).await.expect("the log has it all");
    // Two objects that were lost one after the other come back as one.
    assert_eq!(checked, Checked { chunks: 4, filled: 2 });
    assert_eq!(objects(&folder), [1, 3, 5, 9]);
    assert_eq!(read_back(&place).await.expect("it is whole"), Position(10));
}

#[tokio::test]
async fn another_history_at_the_place_is_met_by_a_shipper_that_runs() {
    let (folder, place) = place();
    let (mut one, mut other) = (Grows::new(1, "a"), Grows::new(1, "a"));
    one.append(3);
    other.append(3);
    let mut shipper = one.shipper(&place);
    shipper.ship(|_| ()).await.expect("ships");
    // From here on the two logs have other histories, and the other one is shipped first, in chunks of another size.
    other.name = "b";
    let mut others = other.shipper(&place);
    for _ in 0..2 {
        other.append(2);
        others.ship(|_| ()).await.expect("ships");
    }
    let before = objects(&folder);
    one.append(1);
    let ahead = shipper.ship(|_| ()).await;
    assert!(matches!(ahead, Err(BackupError::Forked { .. })), "{ahead:?}");
    one.append(9);
    let forked = shipper.ship(|_| ()).await;
    assert!(
        matches!(forked, Err(BackupError::Forked { at: Position(7), .. })),
        "{forked:?}"
    );
    assert_eq!(objects(&folder), before, "nothing was added");

    let mut stranger = Grows::new(2, "a");
    stranger.append(20);
    let refused = stranger.shipper(&place).ship(|_| ()).await;
    assert!(
        matches!(refused, Err(BackupError::AnotherLedger { .. })),
        "{refused:?}"
    );
}

/// One shipper has looked at the end, the object there is lost, another one ships it again with more in it, and then the first
/// puts what it has: here, what was put at another place under the names that it would have had.
#[tokio::test]
async fn objects_that_overlap_are_read_as_one_history() {
    let ((folder, here), (elsewhere, there)) = (place(), place());
    let mut log = Grows::new(1, "a");
    let mut ship_at = async |position: u64, place: &Place| {
        log.append(position - log.reader.head().position.0);
        log.shipper(place).ship(|_| ()).await.expect("ships");
    };
    ship_at(3, &there).await;
    ship_at(4, &here).await;
    ship_at(5, &there).await;
    ship_at(8, &there).await;
    ship_at(10, &here).await;
    ship_at(12, &there).await;
    let copy = |from: &tempfile::TempDir, first: u64| {
        let name = format!("ledgers/shop/{first:020}.commits");
        std::fs::copy(from.path().join(&name), folder.path().join(&name)).expect("copied");
    };
    for first in [4, 6, 9] {
        copy(&elsewhere, first);
    }
    // Of 4 and 5 the second is new, of 5 to 10 all but the first, of 6 to 8 nothing, of 9 to 12 the last two.
    assert_eq!(objects(&folder), [1, 4, 5, 6, 9]);
    assert_eq!(read_back(&here).await.expect("it is whole"), Position(12));
    ship_at(13, &here).await;
    assert_eq!(read_back(&here).await.expect("it is whole"), Position(13));

    let (others, other) = place();
    let mut log = Grows::new(1, "b");
    for commits in [3, 11] {
        log.append(commits);
        log.shipper(&other).ship(|_| ()).await.expect("ships");
    }
    copy(&others, 4);
    let read = read_back(&here).await;
    let Err(BackupError::Damaged { name, what }) = read else {
        panic!("{read:?}");
    };
    assert!(
        name.ends_with("00004.commits") && what.contains("another history"),
        "{name}: {what}"
    );
}

#[tokio::test]
async fn objects_of_two_histories_make_no_backup() {
    let (one, other) = (place(), place());
    for (name, (_, place)) in [("a", &one), ("b", &other)] {
        let mut log = Grows::new(1, name);
        let mut shipper = log.shipper(place);
        for _ in 0..3 {
            log.append(2);
            shipper.ship(|_| ()).await.expect("ships");
        }
    }
    let name = format!("ledgers/shop/{:020}.commits", 3);
    std::fs::copy(other.0.path().join(&name), one.0.path().join(&name)).expect("copied");
    let read = read_back(&one.1).await;
    let Err(BackupError::Damaged { name: named, what }) = read else {
        panic!("{read:?}");
    };
    assert!(
        named.ends_with(&name) && what.contains("does not follow"),
        "{named}: {what}"
    );
}

#[tokio::test]
async fn a_log_that_is_behind_its_backup_is_told_so() {
    let (_folder, place) = place();
    let (mut one, mut behind) = (Grows::new(1, "a"), Grows::new(1, "a"));
    for _ in 0..2 {
        one.append(2);
        one.shipper(&place).ship(|_| ()).await.expect("ships");
    }
    for _ in 0..2 {
        behind.append(1);
        let refused = behind.shipper(&place).ship(|_| ()).await;
        assert!(
            matches!(
                refused,
                Err(BackupError::Ahead {
                    backup: Position(4),
                    ..
                })
            ),
            "{refused:?}"
        );
    }
}

/// However shippers of one log come between each other, and whatever was there when they last looked, what they leave is one
/// row of chunks.
#[test]
fn shippers_that_race_leave_one_whole_backup() {
    let (_folder, place) = place();
    let mut log = Grows::new(1, "a");
    let is_over = Arc::new(AtomicBool::new(false));
    let racers: Vec<_> = (0..4)
        .map(|_| {
            let (mut shipper, is_over) = (log.shipper(&place), is_over.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .expect("a runtime");
                loop {
                    let was_over = is_over.load(SeqCst);
                    let head = runtime.block_on(shipper.ship(|_| ())).expect("ships");
                    if was_over {
                        return head;
                    }
                }
            })
        })
        .collect();
    log.append(2_000);
    is_over.store(true, SeqCst);
    for racer in racers {
        assert_eq!(racer.join().expect("no panic"), log.reader.head());
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let end = runtime.block_on(read_back(&place)).expect("it is whole");
    assert_eq!(end, Position(2_000));
}

#[tokio::test]
async fn the_newest_whole_copy_of_the_accounts_is_given() {
    let (folder, place) = place();
    place.put_accounts(1_000, b"old".to_vec()).await.expect("puts");
    place.put_accounts(2_000, b"new".to_vec()).await.expect("puts");
    let newest = place.accounts().await.expect("reads");
    assert_eq!(newest, Some((2_000, b"new".to_vec())));
    let dir = folder.path().join("accounts");
    let names: Vec<_> = std::fs::read_dir(&dir)
        .expect("a folder")
        .map(|entry| entry.expect("a file").path())
        .collect();
    let new = names.iter().max().expect("two");
    std::fs::write(new, b"nev").expect("written");
    let damaged = place.accounts().await;
    assert!(
        matches!(damaged, Err(BackupError::DamagedAccounts { .. })),
        "{damaged:?}"
    );
    std::fs::remove_file(new).expect("removed");
    assert_eq!(
        place.accounts().await.expect("reads"),
        Some((1_000, b"old".to_vec()))
    );
    // As the first ones were named.
    std::fs::write(dir.join("000000000003000.db"), b"plain").expect("written");
    assert_eq!(
        place.accounts().await.expect("reads"),
        Some((3_000, b"plain".to_vec()))
    );
}

#[tokio::test]
async fn the_newest_copies_of_the_accounts_are_kept_whatever_clock_they_were_named_by() {
    let (folder, place) = place();
    let put =
        async |at_ms: i64, text: String| place.put_accounts(at_ms, text.into_bytes()).await.expect("puts");
    for turn in 0..20 {
        put(1_000 + turn, format!("early {turn}")).await;
    }
    // A node whose clock is years ahead, and after it others.
    put(99_000_000_000_000, "ahead".to_owned()).await;
    for turn in 20..40 {
        put(1_000 + turn, format!("late {turn}")).await;
    }
    let newest = place.accounts().await.expect("reads").expect("some");
    assert_eq!(newest, (99_000_000_000_020, b"late 39".to_vec()));
    let dir = folder.path().join("accounts");
    let kept: Vec<_> = std::fs::read_dir(&dir)
        .expect("a folder")
        .map(|entry| std::fs::read_to_string(entry.expect("a file").path()).expect("text"))
        .collect();
    assert_eq!(kept.len(), 32);
    // 20 early ones, one ahead and 20 late ones were put: the first 9 are gone.
    for turn in 0..20 {
        let is_kept = kept.contains(&format!("early {turn}"));
        assert_eq!(is_kept, turn >= 9, "early {turn}");
    }
}
