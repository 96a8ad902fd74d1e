//! How long the views were behind: the age of the oldest event that the slowest of them did not hold yet.

use crate::product::Standing;
use std::time::Duration;

/// What was seen, look by look.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// When, and where the head was. In order of both.
    heads: Vec<(Duration, u64)>,
    most: Duration,
    events: u64,
}

impl Lag {
    /// Takes a look at this instant after the beginning.
    ///
    /// The oldest event missing was recorded after the last look whose head had not come to it; it is taken to be as old
    /// as that look. So the lag is never told shorter than it was, and longer by the time between two looks at most.
    pub(super) fn look(&mut self, at: Duration, standing: &Standing) {
        self.heads.push((at, standing.head));
        let slowest = standing.slowest();
        self.events = self.events.max(standing.head.saturating_sub(slowest));
        if slowest < standing.head {
            let after = self.heads.partition_point(|(_, head)| *head <= slowest);
            let (since, _) = self.heads[after.saturating_sub(1)];
            self.most = self.most.max(at.saturating_sub(since));
        }
    }

    /// The longest that any view was behind.
    pub(super) fn most(&self) -> Duration {
        self.most
    }

    /// The most events that any view was behind.
    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// How many looks were taken.
    pub(super) fn looks(&self) -> usize {
        self.heads.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(head: u64, slowest: u64) -> Standing {
        let views = vec![("stock".to_owned(), head), ("history".to_owned(), slowest)];
        Standing { head, views }
    }

    #[test]
    fn the_lag_is_the_age_of_the_oldest_event_missing() {
        let mut lag = Lag::default();
        for (second, head, slowest) in [
            (0, 10, 10),
            (1, 20, 20),
            (2, 30, 30),
            (3, 40, 35),
            (4, 50, 20),
            (5, 60, 60),
        ] {
            lag.look(Duration::from_secs(second), &standing(head, slowest));
        }
        // At second 4 event 21 was missing, which came after the look of second 1.
        assert_eq!(
            (lag.most(), lag.events(), lag.looks()),
            (Duration::from_secs(3), 30, 6)
        );
    }

    #[test]
    fn views_that_keep_up_have_no_lag() {
        let mut lag = Lag::default();
        lag.look(Duration::from_secs(9), &standing(10, 10));
        assert_eq!((lag.most(), lag.events()), (Duration::ZERO, 0));
    }
}
