//! How often to write: at once when little happens, in batches when much does.

use std::time::{Duration, Instant};

/// Transactions that may follow each other at once after a quiet time.
const BURST: u32 = 4;
/// The time that each of them takes to be allowed again: 20 a second.
const REFILL: Duration = Duration::from_millis(50);

/// Allowance for transactions.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When the allowance will be, or was, full.
    full_at: Instant,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Pace {
        Pace { full_at: now }
    }

    /// How long to wait for the next transaction.
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        let owed = self.full_at.saturating_duration_since(now);
        owed.saturating_sub(REFILL * (BURST - 1))
    }

    /// Takes note of a transaction.
    pub(crate) fn spend(&mut self, now: Instant) {
        // Never more owed than the whole allowance: a full batch does not wait, and must not make others wait long.
        self.full_at = (self.full_at.max(now) + REFILL).min(now + REFILL * BURST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_transactions_go_at_once_and_many_go_twenty_a_second() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        let start = now;
        let mut at = Vec::new();
        for _ in 0..44 {
            now += pace.wait(now);
            at.push(now - start);
            pace.spend(now);
        }
        assert_eq!(at[3], Duration::ZERO);
        assert_eq!(at[4], Duration::from_millis(50));
        assert_eq!(at[43], Duration::from_secs(2));
    }
}
