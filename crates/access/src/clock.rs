//! The time, as accounts count it, and where it comes from.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

/// An instant in UTC: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This instant and `seconds` more; stops at the end of the range.
    pub const fn plus_s(self, seconds: i64) -> UnixMs {
        UnixMs(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// This instant and `ms` more; stops at the end of the range.
    pub const fn plus_ms(self, ms: i64) -> UnixMs {
        UnixMs(self.0.saturating_add(ms))
    }
}

/// Where the time comes from: the system, or a hand that a test moves.
#[derive(Clone, Default)]
pub struct Clock(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The system's clock.
    pub const fn system() -> Clock {
        Clock(Source::System)
    }

    /// A clock that stands at `start` until [`Clock::advance_ms`] moves it. Clones share it.
    pub fn manual(start: UnixMs) -> Clock {
        Clock(Source::Manual(Arc::new(AtomicI64::new(start.0))))
    }

    /// The instant now.
    pub fn now(&self) -> UnixMs {
        match &self.0 {
            Source::System => system_now(),
            Source::Manual(ms) => UnixMs(ms.load(Ordering::Acquire)),
        }
    }

    /// Moves a manual clock by `ms`. The system's clock does not move.
    pub fn advance_ms(&self, ms: i64) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_add(ms, Ordering::AcqRel);
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::System => f.write_str("Clock::system"),
            Source::Manual(ms) => write!(f, "Clock::manual at {} ms", ms.load(Ordering::Relaxed)),
        }
    }
}

fn system_now() -> UnixMs {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where accounts read the time"
    )]
    let now = SystemTime::now();
    // A system whose clock stands before 1970 is treated as standing at it.
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
