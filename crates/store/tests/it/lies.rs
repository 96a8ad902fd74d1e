//! A lying disk: what was acknowledged is lost, cut short, misplaced, flipped. It is named, or, where a lie leaves
//! exactly what an honest crash could have left, the log ends before it; what is served is always what was committed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bincard_ledger::Position;
use bincard_store::segment::{Log, Opened};
use bincard_store::sim::{Lie, Plan, Rng, SimDisk};
use bincard_store::{OpenError, ReadError};

use crate::model::{self, Model};

const SEEDS: u64 = 10_000;
const SECTOR: u64 = 512;

/// The segments' content.
type Image = BTreeMap<PathBuf, Vec<u8>>;

fn image(disk: &SimDisk) -> Image {
    let segments = disk
        .files()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.extension() == Some("seg".as_ref()));
    segments
        .map(|path| (path.clone(), disk.content(&path).expect("listed")))
        .collect()
}

fn open(disk: &SimDisk, segment_bytes: u64) -> Result<Opened, OpenError> {
    Log::open(
        Arc::new(disk.clone()),
        Path::new("l"),
        model::options(segment_bytes),
    )
}

#[test]
fn what_a_lying_disk_did_is_named_and_never_served() {
    model::for_seeds(SEEDS, one_seed);
}

fn one_seed(seed: u64) {
    let mut rng = Rng::new(seed);
    let segment_bytes = 4096 * (3 + rng.below(10));
    // The twin is honest: it shows what should stand after every commit.
    let (disk, twin) = (SimDisk::new(seed), SimDisk::new(seed));
    let (mut opened, mut honest) = (
        open(&disk, segment_bytes).expect("opens"),
        open(&twin, segment_bytes).expect("opens"),
    );
    if rng.one_in(2) {
        let lie = match rng.below(3) {
            0 => Lie::Lost,
            1 => Lie::Short,
            _ => Lie::Misplaced(1 + rng.below(24)),
        };
        disk.plan(Plan {
            lie_at: Some((rng.below(14), lie)),
            ..Plan::default()
        });
    }
    let mut model = Model::default();
    let mut images = vec![image(&twin)];
    for _ in 0..1 + rng.below(10) {
        let (body, _, after) = model.next_body(&mut rng, opened.appender.body_bytes_max());
        opened.appender.commit(&body).expect("the disk says so");
        honest.appender.commit(&body).expect("commits");
        model = after;
        images.push(image(&twin));
    }
    drop((opened, honest));
    disk.power_on();
    for _ in 0..rng.below(3) {
        damage(&disk, &mut rng, &images);
    }
    judge(seed, &disk, segment_bytes, &model, &images);
}

fn damage(disk: &SimDisk, rng: &mut Rng, images: &[Image]) {
    let files: Vec<(PathBuf, u64)> = disk
        .files()
        .into_iter()
        .filter(|(path, size)| path.starts_with("l/log") && *size > 0)
        .collect();
    let Some((path, size)) = files.get(rng.below(files.len().max(1) as u64) as usize) else {
        return;
    };
    let sector = rng.below(size.div_ceil(SECTOR)) * SECTOR;
    let end = (sector + SECTOR * (1 + rng.below(16))).min(*size);
    match rng.below(8) {
        0 => disk.flip(path, rng.below(size * 8)),
        1 => disk.wipe(path, sector, end),
        2 => {
            // Everything from some place on.
            disk.wipe(path, sector, *size);
        }
        3 => {
            let mut content = disk.content(path).expect("listed");
            let to = (rng.below(size.div_ceil(SECTOR)) * SECTOR).min(size - (end - sector));
            content.copy_within(sector as usize..end as usize, to as usize);
            disk.put(path, &content);
        }
        4 => disk.put(path, &disk.content(path).expect("listed")[..sector as usize]),
        5 => {
            let (other, _) = &files[rng.below(files.len() as u64) as usize];
            let (a, b) = (
                disk.content(path).expect("listed"),
                disk.content(other).expect("listed"),
            );
            disk.put(path, &b);
            disk.put(other, &a);
        }
        6 => disk.lose(path),
        _ => {
            // The last commit's sectors, some of them.
            let [.., before, after] = images else { return };
            for (path, after) in after {
                let before = before.get(path).cloned().unwrap_or_else(|| vec![0; after.len()]);
                for at in (0..after.len()).step_by(SECTOR as usize) {
                    let range = at..at + SECTOR as usize;
                    if before[range.clone()] != after[range] && rng.one_in(2) {
                        disk.wipe(path, at as u64, at as u64 + SECTOR);
                    }
                }
            }
        }
    }
}

/// Whether the segments are exactly as a crash in the middle of the next commit after `commits` could leave them.
fn could_be_torn(found: &Image, commits: usize, images: &[Image]) -> bool {
    let Some(after) = images.get(commits + 1) else {
        return false;
    };
    let before = &images[commits];
    // Sealed segments were read through to their last commit; what lies behind that is never served.
    let last = found.keys().next_back();
    found
        .iter()
        .filter(|(path, _)| Some(*path) == last)
        .all(|(path, content)| {
            let Some(new) = after.get(path).filter(|new| new.len() == content.len()) else {
                return false;
            };
            let old = before.get(path).unwrap_or(new);
            (0..content.len()).step_by(SECTOR as usize).all(|at| {
                let range = at..(at + SECTOR as usize).min(content.len());
                // The header of a new segment is whole before the commit begins, and the rest of it empty.
                let fresh = !before.contains_key(path)
                    && at >= 4096
                    && content[range.clone()].iter().all(|byte| *byte == 0);
                content[range.clone()] == new[range.clone()] || content[range.clone()] == old[range] || fresh
            })
        })
        && before.keys().all(|path| found.contains_key(path))
}

fn judge(seed: u64, disk: &SimDisk, segment_bytes: u64, model: &Model, images: &[Image]) {
    let found = image(disk);
    let opened = match open(disk, segment_bytes) {
        Ok(opened) => opened,
        Err(OpenError::Corrupt(corruption)) => {
            assert_ne!(
                &found,
                images.last().expect("some"),
                "seed {seed}: an undamaged log was refused: {corruption}"
            );
            return;
        }
        Err(other) => panic!("seed {seed}: {other}"),
    };
    let mut served = 0;
    let mut commits = opened
        .reader
        .commits(Position(0))
        .map(|commits| commits.checking_chain());
    while let Ok(cursor) = &mut commits {
        match cursor.next() {
            Ok(Some(commit)) => {
                let expected = model.commits.get(served).expect("nothing that was not committed");
                assert_eq!(
                    (commit.first.0, commit.body),
                    (expected.first, &expected.body[..]),
                    "seed {seed}"
                );
                served += 1;
            }
            Ok(None) => break,
            Err(ReadError::Corrupt(_)) => return,
            Err(other) => panic!("seed {seed}: {other}"),
        }
    }
    if served < model.commits.len() {
        assert!(
            could_be_torn(&found, served, images),
            "seed {seed}: {served} commits served, the rest silently cut off"
        );
    }
}
