//! Rate limits at the edges of their windows.

use std::net::IpAddr;
use std::sync::Arc;

use bincard_access::*;

use super::scratch;

/// 22:00:00 of some day: the first instant of an hour.
const HOUR: UnixMs = UnixMs(1_699_999_200_000);
const HOUR_MS: i64 = 3_600_000;

async fn caller(plan: Plan) -> Arc<Caller> {
    let s = scratch().await;
    let key = s.key("k", Role::Viewer, plan).await;
    s.caller(&key.secret).await.unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn quota(limit: u32, remaining: u32, reset_at: UnixMs) -> Quota {
    Quota {
        limit,
        remaining,
        reset_at,
    }
}

#[tokio::test]
async fn the_standard_plan_allows_a_hundred_a_minute_and_a_thousand_an_hour() {
    let (limits, caller) = (RateLimits::new(100), caller(Plan::Standard).await);
    let next_hour = HOUR.plus_ms(HOUR_MS);
    let mut used = 0;
    for minute in 0..10 {
        // The last millisecond of a minute still belongs to it.
        let now = HOUR.plus_ms(minute * 60_000 + 59_999);
        for _ in 0..100 {
            used += 1;
            let allowed = Decision::Allowed(quota(1000, 1000 - used, next_hour));
            assert_eq!(limits.check(&caller, now), allowed);
        }
        let expected = if used == 1000 {
            // Both windows are full: the hour counts.
            Decision::Refused {
                quota: quota(1000, 0, next_hour),
                retry_after_s: 50 * 60 + 1,
            }
        } else {
            Decision::Refused {
                quota: quota(100, 0, now.plus_ms(1)),
                retry_after_s: 1,
            }
        };
        assert_eq!(limits.check(&caller, now), expected);
    }
    let last = HOUR.plus_ms(HOUR_MS - 1);
    assert_eq!(
        limits.check(&caller, last),
        Decision::Refused {
            quota: quota(1000, 0, next_hour),
            retry_after_s: 1
        }
    );
    let fresh = Decision::Allowed(quota(1000, 999, next_hour.plus_ms(HOUR_MS)));
    assert_eq!(limits.check(&caller, next_hour), fresh);
}

#[tokio::test]
async fn the_premium_plan_counts_by_the_hour_alone() {
    let (limits, caller) = (RateLimits::new(100), caller(Plan::Premium).await);
    let next_hour = HOUR.plus_ms(HOUR_MS);
    for used in 1..=5000 {
        assert_eq!(
            limits.check(&caller, HOUR),
            Decision::Allowed(quota(5000, 5000 - used, next_hour))
        );
    }
    let refused = Decision::Refused {
        quota: quota(5000, 0, next_hour),
        retry_after_s: 3600,
    };
    assert_eq!(limits.check(&caller, HOUR), refused);
    assert!(!refused.is_allowed());
    assert_eq!(refused.quota(), Some(quota(5000, 0, next_hour)));
}

#[tokio::test]
async fn the_service_plan_is_not_counted() {
    let (limits, caller) = (RateLimits::new(100), caller(Plan::Service).await);
    for _ in 0..10_000 {
        assert_eq!(limits.check(&caller, HOUR), Decision::Unlimited);
    }
    assert_eq!(limits.counters_count(), 0);
    assert_eq!(
        (Decision::Unlimited.is_allowed(), Decision::Unlimited.quota()),
        (true, None)
    );
}

#[test]
fn anonymous_requests_count_by_address() {
    let limits = RateLimits::new(100);
    let next_hour = HOUR.plus_ms(HOUR_MS);
    let now = HOUR.plus_ms(30_000);
    for used in 1..=10 {
        let allowed = Decision::Allowed(quota(100, 100 - used, next_hour));
        assert_eq!(limits.check_anonymous(address("192.0.2.1"), now), allowed);
    }
    let refused = Decision::Refused {
        quota: quota(10, 0, HOUR.plus_ms(60_000)),
        retry_after_s: 30,
    };
    assert_eq!(limits.check_anonymous(address("192.0.2.1"), now), refused);
    assert_eq!(
        limits.check_anonymous(address("::ffff:192.0.2.1"), now),
        refused,
        "the same address"
    );
    assert!(limits.check_anonymous(address("192.0.2.2"), now).is_allowed());
    for minute in 1..10 {
        for _ in 0..10 {
            assert!(
                limits
                    .check_anonymous(address("192.0.2.1"), HOUR.plus_ms(minute * 60_000))
                    .is_allowed()
            );
        }
    }
    let full = limits.check_anonymous(address("192.0.2.1"), HOUR.plus_ms(10 * 60_000));
    assert_eq!(
        full,
        Decision::Refused {
            quota: quota(100, 0, next_hour),
            retry_after_s: 50 * 60
        }
    );
}

#[test]
fn an_ipv6_network_counts_as_one() {
    let limits = RateLimits::new(100);
    for host in 0..10 {
        assert!(
            limits
                .check_anonymous(address(&format!("2001:db8:1:1::{host:x}")), HOUR)
                .is_allowed()
        );
    }
    assert!(
        !limits
            .check_anonymous(address("2001:db8:1:1:ffff::1"), HOUR)
            .is_allowed()
    );
    assert!(
        limits
            .check_anonymous(address("2001:db8:1:2::1"), HOUR)
            .is_allowed()
    );
}

#[test]
fn a_clock_set_back_gives_nothing_back() {
    let limits = RateLimits::new(100);
    let ip = address("192.0.2.1");
    for _ in 0..10 {
        assert!(limits.check_anonymous(ip, HOUR).is_allowed());
    }
    assert!(!limits.check_anonymous(ip, HOUR.plus_ms(-1)).is_allowed());
    assert!(!limits.check_anonymous(ip, UnixMs(-5)).is_allowed());
    assert!(limits.check_anonymous(ip, HOUR.plus_ms(60_000)).is_allowed());
}

#[test]
fn times_at_the_ends_of_the_range_do_not_panic() {
    let limits = RateLimits::new(100);
    for now in [
        UnixMs(i64::MIN),
        UnixMs(-1),
        UnixMs(0),
        UnixMs(i64::from(u32::MAX) * 60_000),
        UnixMs(i64::MAX),
    ] {
        for _ in 0..20 {
            limits.check_anonymous(address("192.0.2.1"), now);
        }
    }
}

#[tokio::test]
async fn requests_at_once_are_counted_exactly() {
    let (limits, caller) = (RateLimits::new(100), caller(Plan::Standard).await);
    let allowed: usize = std::thread::scope(|scope| {
        let count = || {
            (0..50)
                .filter(|_| limits.check(&caller, HOUR).is_allowed())
                .count()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(count)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(allowed, 100);
}

#[test]
fn memory_is_bounded_however_many_addresses_come_by() {
    let limits = RateLimits::new(1000);
    for n in 0..100_000_u32 {
        assert!(
            limits
                .check_anonymous(IpAddr::from(n.to_be_bytes()), HOUR)
                .is_allowed()
        );
    }
    assert!(limits.counters_count() <= 1000, "{}", limits.counters_count());
}
