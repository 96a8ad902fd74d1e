//! What the tests commit, and what they expect: a model that shares no code with the store.

use bincard_ledger::codec::Body;
use bincard_ledger::command::{IdempotencyKey, KeySpace};
use bincard_ledger::event::{CatalogueEvent, Event, Record, RecordedKey};
use bincard_ledger::id::{LedgerId, Stream, Version, WarehouseNo};
use bincard_ledger::{Account, Bucket, Kind, Place, Posting, StockEvent, Timestamp};
use bincard_store::sim::Rng;
use smallvec::smallvec;
use std::collections::HashMap;
use uuid::Uuid;

pub(crate) const LEDGER: LedgerId = LedgerId(*b"a test's ledger!");

/// Options of a log in small segments, where everything happens in an order that repeats.
pub(crate) fn options(segment_bytes: u64) -> bincard_store::segment::Options {
    bincard_store::segment::Options {
        segment_bytes,
        ledger: Some(LEDGER),
        background: false,
    }
}

/// Options of a key index that soon has many runs.
pub(crate) fn key_options(young_keys_max: usize) -> bincard_store::keys::KeyOptions {
    bincard_store::keys::KeyOptions {
        young_keys_max,
        background: false,
    }
}

/// A stock event with a note of so many characters.
pub(crate) fn stock_record(warehouse: u32, version: u64, key: Option<&str>, note_chars: usize) -> Record {
    let event = StockEvent {
        kind: Kind::Inbound,
        warehouse: WarehouseNo(warehouse),
        occurred_at: Timestamp::from_micros(1_700_000_000_000_000),
        reason: None,
        order: None,
        transfer: None,
        expires_at: None,
        about: None,
        noted: Vec::new(),
        counterpart: None,
        count: None,
        postings: smallvec![Posting {
            variant: bincard_ledger::VariantNo(1),
            from: Place::Account(Account::Supplier),
            to: Place::Bucket(Bucket::Available),
            quantity: 5,
            reservation: None,
        }],
        notes: (note_chars > 0).then(|| "n".repeat(note_chars).into()),
    };
    Record {
        version: Version(version),
        author: Uuid::from_u128(7),
        on_behalf_of: None,
        key: key.map(recorded_key),
        event: Event::Stock(event),
    }
}

pub(crate) fn catalogue_record(version: u64, name: &str) -> Record {
    let event = CatalogueEvent::ProductCreated {
        no: bincard_ledger::ProductNo(version as u32),
        name: name.into(),
    };
    Record {
        version: Version(version),
        author: Uuid::from_u128(7),
        on_behalf_of: None,
        key: None,
        event: Event::Catalogue(event),
    }
}

pub(crate) fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey {
        space: KeySpace::Caller,
        text: text.into(),
    }
}

pub(crate) fn recorded_key(text: &str) -> RecordedKey {
    RecordedKey {
        key: key(text),
        fingerprint: text.len() as u64,
    }
}

/// One commit as the model knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Committed {
    pub(crate) first: u64,
    pub(crate) count: u32,
    pub(crate) body: Vec<u8>,
    pub(crate) hash: [u8; 32],
    pub(crate) keys: Vec<(String, u64)>,
}

impl Committed {
    pub(crate) fn last(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }
}

/// A log as it should be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) commits: Vec<Committed>,
    versions: HashMap<u32, u64>,
    made: u64,
}

impl Model {
    pub(crate) fn position(&self) -> u64 {
        self.commits.last().map_or(0, Committed::last)
    }

    /// The hash of the last commit, by the formula in the format's description.
    pub(crate) fn hash(&self) -> [u8; 32] {
        let genesis =
            || *blake3::hash(&[b"bincard ledger v1 genesis".as_slice(), &LEDGER.0].concat()).as_bytes();
        self.commits.last().map_or_else(genesis, |commit| commit.hash)
    }

    /// The next body: some records, sometimes large, most with keys.
    pub(crate) fn next_body(&mut self, rng: &mut Rng, body_bytes_max: usize) -> (Body, Committed, Model) {
        let mut after = self.clone();
        let mut body = Body::new(Timestamp::from_micros(1_700_000_000_000_000 + after.made as i64));
        after.made += 1;
        self.made = after.made;
        let mut keys = Vec::new();
        let count_max = if rng.one_in(4) { 12 } else { 3 };
        let count = 1 + rng.below(count_max);
        let note_chars = if rng.one_in(3) {
            rng.below(body_bytes_max as u64 / 2) as usize / count as usize
        } else {
            5
        };
        for index in 0..count {
            let stream = rng.below(4) as u32;
            let version = after.versions.entry(stream).or_default();
            *version += 1;
            let text = format!("key-{}-{index}", after.made);
            let has_key = !rng.one_in(5);
            let record = if stream == 0 {
                catalogue_record(*version, &text)
            } else {
                stock_record(stream, *version, has_key.then_some(&text), note_chars)
            };
            if stream != 0 && has_key {
                keys.push((text, self.position() + 1 + index));
            }
            body.push(&record);
        }
        let first = self.position() + 1;
        let committed = Committed {
            first,
            count: count as u32,
            hash: chain(self.hash(), first, body.as_bytes()),
            body: body.as_bytes().to_vec(),
            keys,
        };
        after.commits.push(committed.clone());
        (body, committed, after)
    }

    pub(crate) fn last_version(&self, stream: Stream) -> u64 {
        self.versions.get(&stream.code()).copied().unwrap_or(0)
    }
}

pub(crate) fn chain(previous: [u8; 32], first: u64, body: &[u8]) -> [u8; 32] {
    let mut bytes = previous.to_vec();
    bytes.extend_from_slice(&first.to_le_bytes());
    bytes.extend_from_slice(blake3::hash(body).as_bytes());
    *blake3::hash(&bytes).as_bytes()
}

/// Runs `check` for many seeds on all cores; `BINCARD_SIM_SEEDS` says how many, `BINCARD_SIM_SEED` which one only.
pub(crate) fn for_seeds(default_count: u64, check: impl Fn(u64) + Sync) {
    let number = |name| {
        std::env::var(name)
            .ok()
            .map(|text: String| text.parse::<u64>().expect("a number"))
    };
    if let Some(seed) = number("BINCARD_SIM_SEED") {
        return check(seed);
    }
    let count = number("BINCARD_SIM_SEEDS").unwrap_or(default_count);
    let next = std::sync::atomic::AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed >= count {
                        return;
                    }
                    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(seed)));
                    if let Err(panic) = outcome {
                        eprintln!("seed {seed} failed; BINCARD_SIM_SEED={seed} replays it");
                        std::panic::resume_unwind(panic);
                    }
                }
            });
        }
    });
}
