//! Rate limits: how many requests a caller or an address may make in the running hour and minute.
//!
//! Both windows are aligned to the clock (UTC). A refused request does not count. The counters live in memory: a
//! restart forgets them, and when there are more callers than places, those least in use are forgotten first.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::{Caller, Plan, UnixMs};

const MINUTE_S: i64 = 60;
const MINUTES_PER_HOUR: u32 = 60;

/// How many requests one plan allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Limits {
    per_hour: u16,
    /// None: the hour alone counts.
    per_minute: Option<u16>,
}

const STANDARD: Limits = Limits {
    per_hour: 1000,
    per_minute: Some(100),
};
const PREMIUM: Limits = Limits {
    per_hour: 5000,
    per_minute: None,
};
const ANONYMOUS: Limits = Limits {
    per_hour: 100,
    per_minute: Some(10),
};

/// Whether a request may go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Yes, and nobody counts.
    Unlimited,
    /// Yes, and this much is left.
    Allowed(Quota),
    /// No: 429.
    Refused {
        /// The window that is full; of two, the hour.
        quota: Quota,
        /// After how many seconds a request may go on; at least 1.
        retry_after_s: u32,
    },
}

/// What the headers tell: the hour, unless it is the minute that refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quota {
    /// Requests a window.
    pub limit: u32,
    /// How many more of them are allowed.
    pub remaining: u32,
    /// When the next window begins.
    pub reset_at: UnixMs,
}

impl Decision {
    /// Whether the request may go on.
    pub fn is_allowed(&self) -> bool {
        !matches!(self, Decision::Refused { .. })
    }

    /// What to tell in the headers, if anything.
    pub fn quota(&self) -> Option<Quota> {
        match self {
            Decision::Unlimited => None,
            Decision::Allowed(quota) | Decision::Refused { quota, .. } => Some(*quota),
        }
    }
}

/// The counters of a server.
pub struct RateLimits {
    counters: Cache<Subject, Arc<Counter>>,
}

/// Whose requests are counted together.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Subject {
    Caller(Uuid),
    V4([u8; 4]),
    /// An IPv6 network: whoever has one address has its whole /64.
    V6Network([u8; 8]),
}

/// Both counts with the minute that they belong to, in one word, so that they change together.
#[derive(Default)]
struct Counter(AtomicU64);

/// What a counter's word holds. The minute's number also tells the hour's.
#[derive(Clone, Copy)]
struct Counts {
    /// Minutes since 1970; 32 bits last beyond the year 10000.
    minute: u32,
    in_minute: u16,
    in_hour: u16,
}

impl RateLimits {
    /// Counters for `callers_max` callers and addresses at once.
    pub fn new(callers_max: usize) -> RateLimits {
        RateLimits {
            counters: Cache::new(callers_max),
        }
    }

    /// Counts a request of an authenticated caller, unless it is refused.
    pub fn check(&self, caller: &Caller, now: UnixMs) -> Decision {
        match caller.plan {
            Plan::Service => Decision::Unlimited,
            Plan::Standard => self.count(Subject::Caller(caller.id), STANDARD, now),
            Plan::Premium => self.count(Subject::Caller(caller.id), PREMIUM, now),
        }
    }

    /// Counts a request without a caller, unless it is refused.
    pub fn check_anonymous(&self, address: IpAddr, now: UnixMs) -> Decision {
        let subject = match address.to_canonical() {
            IpAddr::V4(v4) => Subject::V4(v4.octets()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                Subject::V6Network([a, b, c, d, e, f, g, h])
            }
        };
        self.count(subject, ANONYMOUS, now)
    }

    /// How many callers and addresses have a counter at the moment.
    pub fn counters_count(&self) -> usize {
        self.counters.len()
    }

    fn count(&self, subject: Subject, limits: Limits, now: UnixMs) -> Decision {
        let counter = self.counters.get(&subject).unwrap_or_else(|| {
            let made = self
                .counters
                .get_or_insert_with(&subject, || Ok::<_, std::convert::Infallible>(Arc::default()));
            match made {
                Ok(counter) => counter,
            }
        });
        counter.count(limits, now)
    }
}

impl Counter {
    fn count(&self, limits: Limits, now: UnixMs) -> Decision {
        let minute_now = u32::try_from(now.seconds() / MINUTE_S).unwrap_or(0);
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let counts = Counts::from_word(word).at(minute_now);
            if let Some(refused) = counts.refusal(limits, now) {
                return refused;
            }
            let next = counts.and_one_more();
            match self
                .0
                .compare_exchange_weak(word, next.to_word(), Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Decision::Allowed(next.hour_quota(limits)),
                Err(newer) => word = newer,
            }
        }
    }
}

impl Counts {
    fn from_word(word: u64) -> Counts {
        let [a, b, c, d, e, f, g, h] = word.to_be_bytes();
        Counts {
            minute: u32::from_be_bytes([a, b, c, d]),
            in_minute: u16::from_be_bytes([e, f]),
            in_hour: u16::from_be_bytes([g, h]),
        }
    }

    fn to_word(self) -> u64 {
        u64::from(self.minute) << 32 | u64::from(self.in_minute) << 16 | u64::from(self.in_hour)
    }

    /// The counts as they stand in this minute. A clock that was set back does not give anything back.
    fn at(self, minute: u32) -> Counts {
        let minute = minute.max(self.minute);
        let same_minute = minute == self.minute;
        let same_hour = minute / MINUTES_PER_HOUR == self.minute / MINUTES_PER_HOUR;
        Counts {
            minute,
            in_minute: if same_minute { self.in_minute } else { 0 },
            in_hour: if same_hour { self.in_hour } else { 0 },
        }
    }

    fn and_one_more(self) -> Counts {
        let more = |count: u16| count.saturating_add(1);
        Counts {
            minute: self.minute,
            in_minute: more(self.in_minute),
            in_hour: more(self.in_hour),
        }
    }

    fn refusal(self, limits: Limits, now: UnixMs) -> Option<Decision> {
        let quota = if self.in_hour >= limits.per_hour {
            self.hour_quota(limits)
        } else {
            let per_minute = limits.per_minute.filter(|max| self.in_minute >= *max)?;
            Quota {
                limit: u32::from(per_minute),
                remaining: 0,
                reset_at: minute_start(self.minute.saturating_add(1)),
            }
        };
        let wait_ms = quota.reset_at.0.saturating_sub(now.0).max(1);
        let retry_after_s = u32::try_from(wait_ms.cast_unsigned().div_ceil(1000)).unwrap_or(u32::MAX);
        Some(Decision::Refused { quota, retry_after_s })
    }

    fn hour_quota(self, limits: Limits) -> Quota {
        let next_hour = (self.minute / MINUTES_PER_HOUR + 1).saturating_mul(MINUTES_PER_HOUR);
        Quota {
            limit: u32::from(limits.per_hour),
            remaining: u32::from(limits.per_hour.saturating_sub(self.in_hour)),
            reset_at: minute_start(next_hour),
        }
    }
}

fn minute_start(minute: u32) -> UnixMs {
    UnixMs(0).plus_s(i64::from(minute) * MINUTE_S)
}
