//! How often to write: at once when little happens, in large batches when much does.
//!
//! What a transaction costs is mostly the pages that it touches, and many events share pages: fewer and larger
//! transactions leave the processor to the write path. So after each one the projector rests in proportion to what it
//! took. Whoever waits for a position cuts the rest short, but not without limit.

use std::time::{Duration, Instant};

/// Transactions that may follow each other at once after a quiet time.
const BURST: u32 = 4;
/// The time that each of them takes to be allowed again: 20 a second.
const REFILL: Duration = Duration::from_millis(50);
/// The rest after a transaction, in times of what it took.
const REST_TIMES: u32 = 9;
/// The longest rest: the views are behind by about as much when much happens.
const REST_MAX: Duration = Duration::from_millis(250);

/// Allowance for transactions.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When the allowance will be, or was, full.
    full_at: Instant,
    /// When the rest after the last transaction ends, or ended.
    rested_at: Instant,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Pace {
        Pace {
            full_at: now,
            rested_at: now,
        }
    }

    /// How long to wait for the next transaction; `is_awaited` when somebody waits for what it brings.
    pub(crate) fn wait(&self, now: Instant, is_awaited: bool) -> Duration {
        let owed = self.full_at.saturating_duration_since(now);
        let owed = owed.saturating_sub(REFILL * (BURST - 1));
        if is_awaited {
            owed
        } else {
            owed.max(self.rested_at.saturating_duration_since(now))
        }
    }

    /// Takes note of a transaction that took from `began_at` until `now`.
    pub(crate) fn spend(&mut self, began_at: Instant, now: Instant) {
        // Never more owed than the whole allowance: a full batch does not wait, and must not make others wait long.
        self.full_at = (self.full_at.max(now) + REFILL).min(now + REFILL * BURST);
        let took = now.saturating_duration_since(began_at);
        self.rested_at = now + (took * REST_TIMES).min(REST_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// When each of `count` transactions goes that take so long and follow each other as soon as they may.
    fn instants(count: u32, each: Duration, is_awaited: bool) -> Vec<Duration> {
        let start = Instant::now();
        let (mut now, mut pace, mut at) = (start, Pace::new(start), Vec::new());
        for _ in 0..count {
            now += pace.wait(now, is_awaited);
            at.push(now - start);
            pace.spend(now, now + each);
            now += each;
        }
        at
    }

    #[test]
    fn a_few_transactions_go_at_once_and_many_go_twenty_a_second() {
        for is_awaited in [true, false] {
            let at = instants(44, Duration::ZERO, is_awaited);
            assert_eq!(at[3], Duration::ZERO);
            assert_eq!(at[4], 50 * MS);
            assert_eq!(at[43], 2_000 * MS);
        }
    }

    #[test]
    fn a_transaction_that_takes_long_is_rested_from_unless_somebody_waits() {
        assert_eq!(instants(3, 10 * MS, false), [Duration::ZERO, 100 * MS, 200 * MS]);
        assert_eq!(instants(3, 200 * MS, false), [Duration::ZERO, 450 * MS, 900 * MS]);
        assert_eq!(instants(3, 200 * MS, true), [Duration::ZERO, 200 * MS, 400 * MS]);
    }
}
