//! What a drive has measured.

use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::time::Duration;

/// Latencies are kept from a nanosecond to ten minutes, three figures exact.
const LATENCY_NS_MAX: u64 = 600_000_000_000;
const FIGURES: u8 = 3;

/// What a drive has measured.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Requests that were answered, whatever the status.
    pub answered: u64,
    /// Requests whose connection was lost before they were answered: their outcome is unknown.
    pub lost: u64,
    /// Open loop: requests that were due but never found a free connection.
    pub unsent: u64,
    /// Answers by status.
    pub by_status: BTreeMap<u16, u64>,
    /// From the first request to the last answer.
    pub wall: Duration,
    /// CPU time that the server's processes spent meanwhile; `None` when they are unknown.
    pub server_cpu: Option<Duration>,
    /// CPU time that the driver spent itself.
    pub loader_cpu: Duration,
    latency_ns: Histogram<u64>,
}

impl Outcome {
    pub(super) fn new() -> Outcome {
        Outcome {
            answered: 0,
            lost: 0,
            unsent: 0,
            by_status: BTreeMap::new(),
            wall: Duration::ZERO,
            server_cpu: None,
            loader_cpu: Duration::ZERO,
            latency_ns: latency_histogram(),
        }
    }

    pub(super) fn record(&mut self, status: u16, latency: Duration) {
        self.answered += 1;
        *self.by_status.entry(status).or_default() += 1;
        self.latency_ns.saturating_record(nanos(latency));
    }

    /// Answers a second.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let answered = self.answered as f64;
        answered / self.wall.as_secs_f64().max(1e-9)
    }

    /// How many answers had this status.
    #[must_use]
    pub fn count(&self, status: u16) -> u64 {
        self.by_status.get(&status).copied().unwrap_or(0)
    }

    /// The latency that this share of answers did not exceed: 0.5, 0.99, 0.999.
    #[must_use]
    pub fn latency(&self, share: f64) -> Duration {
        Duration::from_nanos(self.latency_ns.value_at_quantile(share))
    }

    /// The longest latency.
    #[must_use]
    pub fn latency_max(&self) -> Duration {
        Duration::from_nanos(self.latency_ns.max())
    }

    /// The latencies themselves, in nanoseconds, to be merged with others.
    #[must_use]
    pub fn latencies_ns(&self) -> &Histogram<u64> {
        &self.latency_ns
    }

    /// CPU time of the server's a request.
    #[must_use]
    pub fn server_cpu_each(&self) -> Option<Duration> {
        Some(self.server_cpu?.div_f64(self.answered_or_one()))
    }

    /// CPU time of the driver's a request.
    #[must_use]
    pub fn loader_cpu_each(&self) -> Duration {
        self.loader_cpu.div_f64(self.answered_or_one())
    }

    fn answered_or_one(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
        let answered = self.answered.max(1) as f64;
        answered
    }
}

/// A histogram for latencies in nanoseconds, as outcomes keep them.
#[must_use]
pub fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, FIGURES).expect("the bounds are constants that it takes")
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
