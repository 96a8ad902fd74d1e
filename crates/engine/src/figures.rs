//! What the engine counts, for whoever shows it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bincard_ledger::Rejection;

/// Counts of values at or below fixed bounds.
pub struct Histogram {
    bounds: &'static [f64],
    counts: Box<[AtomicU64]>,
    /// The sum of all values, in millionths.
    sum_micros: AtomicU64,
}

/// A [`Histogram`] as it was at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct HistogramReading {
    /// For each bound, how many values were at or below it; the last bound is infinite.
    pub cumulative: Vec<(f64, u64)>,
    /// The sum of all values.
    pub sum: f64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Histogram {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram {
            bounds,
            counts,
            sum_micros: AtomicU64::new(0),
        }
    }

    fn record(&self, value: f64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        self.counts[at].fetch_add(1, Ordering::Relaxed);
        self.sum_micros.fetch_add((value * 1e6) as u64, Ordering::Relaxed);
    }

    /// The counts now.
    pub fn read(&self) -> HistogramReading {
        let mut sum = 0;
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let cumulative = bounds.zip(counts).map(|(bound, count)| {
            sum += count;
            (bound, sum)
        });
        let cumulative = cumulative.collect();
        HistogramReading {
            cumulative,
            sum: self.sum_micros.load(Ordering::Relaxed) as f64 / 1e6,
        }
    }
}

/// What the engine counts since it was opened.
pub struct Figures {
    accepted: AtomicU64,
    replayed: AtomicU64,
    events: AtomicU64,
    rejections: Mutex<BTreeMap<&'static str, u64>>,
    batch_requests: Histogram,
    commit_seconds: Histogram,
    commit_bytes: AtomicU64,
}

/// What one batch adds to the figures.
#[derive(Default)]
pub(crate) struct BatchFigures {
    pub(crate) requests: u64,
    pub(crate) accepted: u64,
    pub(crate) known: u64,
    pub(crate) events: u64,
    pub(crate) rejections: Vec<&'static str>,
}

impl BatchFigures {
    pub(crate) fn reject(&mut self, rejection: &Rejection) {
        self.rejections.push(rejection.code());
    }
}

const BATCH_BOUNDS: &[f64] = &[1.0, 4.0, 16.0, 64.0, 256.0, 1_024.0, 4_096.0, 16_384.0];
const COMMIT_BOUNDS: &[f64] = &[
    50e-6, 100e-6, 200e-6, 400e-6, 800e-6, 1.6e-3, 3.2e-3, 6.4e-3, 12.8e-3, 51.2e-3, 204.8e-3, 1.0,
];

impl Figures {
    pub(crate) fn new() -> Figures {
        Figures {
            accepted: AtomicU64::new(0),
            replayed: AtomicU64::new(0),
            events: AtomicU64::new(0),
            rejections: Mutex::new(BTreeMap::new()),
            batch_requests: Histogram::new(BATCH_BOUNDS),
            commit_seconds: Histogram::new(COMMIT_BOUNDS),
            commit_bytes: AtomicU64::new(0),
        }
    }

    pub(crate) fn committed(&self, batch: &BatchFigures, took: Duration, body_bytes: usize) {
        self.accepted.fetch_add(batch.accepted, Ordering::Relaxed);
        self.replayed.fetch_add(batch.known, Ordering::Relaxed);
        self.events.fetch_add(batch.events, Ordering::Relaxed);
        if batch.requests > 0 {
            self.batch_requests.record(batch.requests as f64);
        }
        if batch.events > 0 {
            self.commit_seconds.record(took.as_secs_f64());
            self.commit_bytes.fetch_add(body_bytes as u64, Ordering::Relaxed);
        }
        if !batch.rejections.is_empty() {
            let mut rejections = self.rejections.lock().unwrap_or_else(PoisonError::into_inner);
            for code in &batch.rejections {
                *rejections.entry(code).or_default() += 1;
            }
        }
    }

    /// How many requests were accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// How many requests came with a key that was known.
    pub fn replayed(&self) -> u64 {
        self.replayed.load(Ordering::Relaxed)
    }

    /// How many events were recorded.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// How many requests were rejected, by [`Rejection::code`].
    pub fn rejections(&self) -> BTreeMap<&'static str, u64> {
        self.rejections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// How many requests were decided together.
    pub fn batch_requests(&self) -> &Histogram {
        &self.batch_requests
    }

    /// How long it took to make a batch durable, in seconds.
    pub fn commit_seconds(&self) -> &Histogram {
        &self.commit_seconds
    }

    /// How many bytes of records were made durable, without what the disk needs around them.
    pub fn commit_bytes(&self) -> u64 {
        self.commit_bytes.load(Ordering::Relaxed)
    }
}
