//! An honest disk that loses power, fails and fills up at every point: nothing acknowledged is ever lost, what was in
//! flight is there whole or not at all, and nothing is called damaged.

use std::path::Path;
use std::sync::Arc;

use bincard_ledger::{Position, Stream, Version};
use bincard_store::keys::KeyIndex;
use bincard_store::segment::{Appender, Log, Opened, Reader};
use bincard_store::sim::{Plan, Rng, SimDisk};
use bincard_store::snapshots::Snapshots;
use bincard_store::{CommitError, OpenError};

use crate::model::{self, Model};

const SEEDS: u64 = 10_000;
const LIVES: u64 = 6;
const COMMITS_PER_LIFE: u64 = 12;

struct World {
    seed: u64,
    rng: Rng,
    disk: SimDisk,
    segment_bytes: u64,
    young_keys_max: usize,
    /// What was acknowledged.
    model: Model,
    /// What would be, if the commit in flight is there.
    in_flight: Option<Model>,
    snapshot: u64,
}

#[test]
fn what_was_acknowledged_survives_every_honest_crash() {
    model::for_seeds(SEEDS, |seed| World::new(seed).live());
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = Rng::new(seed);
        World {
            seed,
            disk: SimDisk::new(seed ^ 0xD15C),
            segment_bytes: 4096 * (3 + rng.below(12)),
            young_keys_max: 2 + rng.below(12) as usize,
            rng,
            model: Model::default(),
            in_flight: None,
            snapshot: 0,
        }
    }

    fn live(&mut self) {
        for _ in 0..LIVES {
            let plan = self.plan();
            self.disk.plan(plan);
            self.one_life();
            // Off by the plan, pulled out by hand, or only the process restarted.
            if self.disk.is_off() || self.rng.one_in(2) {
                self.disk.power_on();
            }
        }
        self.disk.plan(Plan::default());
        let (opened, _) = self.open().expect("with nothing going wrong the log opens");
        let verified = opened
            .reader
            .verify(|_| {})
            .expect("with nothing damaged the log verifies");
        assert_eq!(
            (verified.position.0, verified.hash.0),
            (self.model.position(), self.model.hash())
        );
    }

    fn plan(&mut self) -> Plan {
        let (rng, mut plan) = (&mut self.rng, Plan::default());
        if rng.one_in(2) {
            plan.power_loss_at = Some(rng.below(50));
        }
        if rng.one_in(4) {
            plan.error_at = Some(rng.below(50));
        }
        if rng.one_in(6) {
            plan.read_error_at = Some(rng.below(80));
        }
        if rng.one_in(4) {
            plan.free_bytes = Some(rng.below(6 * self.segment_bytes));
        }
        plan
    }

    fn open(&mut self) -> Result<(Opened, KeyIndex), OpenError> {
        let opened = Log::open(
            Arc::new(self.disk.clone()),
            Path::new("l"),
            model::options(self.segment_bytes),
        )?;
        let keys = KeyIndex::open(&opened.reader, model::key_options(self.young_keys_max))?;
        self.check_recovered(&opened.appender, &opened.reader, &keys);
        Ok((opened, keys))
    }

    fn one_life(&mut self) {
        let (
            Opened {
                mut appender, reader, ..
            },
            mut keys,
        ) = match self.open() {
            Ok(opened) => opened,
            Err(
                error @ (OpenError::Corrupt(_) | OpenError::Locked { .. } | OpenError::UnknownFormat { .. }),
            ) => {
                panic!("seed {}: an honest disk was called damaged: {error}", self.seed)
            }
            Err(_) => return,
        };
        for _ in 0..self.rng.below(COMMITS_PER_LIFE + 1) {
            if !self.one_commit(&mut appender, &mut keys) {
                break;
            }
            if self.rng.one_in(6) {
                self.one_snapshot(&reader);
            }
        }
        if !self.disk.is_off() {
            assert_eq!(
                reader.head().position.0,
                self.model.position(),
                "readers stay at what was acknowledged"
            );
        }
    }

    /// Whether to go on.
    fn one_commit(&mut self, appender: &mut Appender, keys: &mut KeyIndex) -> bool {
        let body_bytes_max = appender.body_bytes_max();
        let (body, committed, after) = self.model.next_body(&mut self.rng, body_bytes_max);
        for (text, position) in &committed.keys {
            keys.insert(model::key(text).hash(model::LEDGER), Position(*position));
        }
        match appender.commit(&body) {
            Ok(head) => {
                assert_eq!((head.position.0, head.hash.0), (committed.last(), committed.hash));
                self.model = after;
            }
            Err(CommitError::Full { .. }) => {
                if self.disk.is_off() {
                    return false;
                }
                self.disk.plan(Plan::default());
                let head = appender
                    .commit(&body)
                    .expect("with room again the same appender goes on");
                assert_eq!(head.hash.0, committed.hash);
                self.model = after;
            }
            Err(CommitError::Io { .. }) => {
                self.in_flight = Some(after);
                let again = appender.commit(&body);
                assert!(
                    matches!(again, Err(CommitError::Stopped { .. })),
                    "a stopped appender stays stopped"
                );
                return false;
            }
            Err(other) => panic!("seed {}: {other}", self.seed),
        }
        // What cannot be written stays in memory.
        drop(keys.maintain(Position(self.model.position())));
        self.check_keys(keys);
        true
    }

    fn one_snapshot(&mut self, reader: &Reader) {
        let head = reader.head();
        let bytes = head.position.0.to_le_bytes().repeat(100);
        if Snapshots::new(reader)
            .put(head.position, head.hash, &bytes)
            .is_ok()
        {
            self.snapshot = head.position.0;
        }
    }

    /// The log holds exactly what was acknowledged, and perhaps the one commit that was in flight.
    fn check_recovered(&mut self, appender: &Appender, reader: &Reader, keys: &KeyIndex) {
        if let Some(after) = self.in_flight.take()
            && reader.head().position.0 == after.position()
        {
            self.model = after;
        }
        let head = reader.head();
        assert_eq!(
            (head.position.0, head.hash.0),
            (self.model.position(), self.model.hash()),
            "seed {}",
            self.seed
        );
        assert_eq!(appender.head(), head);
        for stream in (0..4).map(Stream::from_code) {
            assert_eq!(appender.version(stream), Version(self.model.last_version(stream)));
        }
        if self.check_content(reader).is_err() {
            return; // A read failed, as planned.
        }
        self.check_keys(keys);
        if let Ok(Some(snapshot)) = Snapshots::new(reader).latest() {
            assert!(
                snapshot.position.0 >= self.snapshot,
                "an acknowledged snapshot is gone"
            );
            assert_eq!(snapshot.bytes, snapshot.position.0.to_le_bytes().repeat(100));
        }
    }

    fn check_content(&self, reader: &Reader) -> Result<(), bincard_store::ReadError> {
        let mut commits = reader.commits(Position(0))?.checking_chain();
        for expected in &self.model.commits {
            let found = commits.next()?.expect("every acknowledged commit is there");
            assert_eq!(
                (found.first.0, found.count, found.hash.0),
                (expected.first, expected.count, expected.hash)
            );
            assert_eq!(found.body, expected.body);
        }
        assert!(commits.next()?.is_none(), "nothing else is there");
        Ok(())
    }

    fn check_keys(&self, keys: &KeyIndex) {
        for commit in self
            .model
            .commits
            .iter()
            .rev()
            .take(8)
            .chain(self.model.commits.first())
        {
            for (text, position) in &commit.keys {
                let Ok(candidates) = keys.candidates(model::key(text).hash(model::LEDGER)) else {
                    continue;
                };
                assert!(
                    candidates.contains(&Position(*position)),
                    "seed {}: key {text} is gone",
                    self.seed
                );
            }
        }
    }
}
