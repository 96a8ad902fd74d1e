//! What the server counts of its requests: numbers in fixed places, so that counting is one addition.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::http::{Method, StatusCode};

use crate::route::Route;

/// The methods that are told apart.
pub(crate) const METHODS: [&str; 6] = ["GET", "POST", "PATCH", "PUT", "DELETE", "other"];
/// The statuses that are told apart; all others are counted as 0.
pub(crate) const STATUSES: [u16; 23] = [
    0, 200, 201, 202, 204, 304, 307, 400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500, 501, 502, 503,
    504, 507,
];
/// The upper bounds of the latency histogram, in microseconds.
pub(crate) const LATENCY_BOUNDS_US: [u64; 15] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 10_000_000,
];

const ROUTES: usize = Route::ALL.len();

/// How long requests of one route took.
#[derive(Default)]
pub(crate) struct Latency {
    /// Counts for each bound, and for what lies beyond the last.
    pub(crate) counts: [AtomicU64; LATENCY_BOUNDS_US.len() + 1],
    pub(crate) sum_us: AtomicU64,
}

type ByStatus = [AtomicU64; STATUSES.len()];

/// What the server counts.
pub(crate) struct Figures {
    requests: Box<[[ByStatus; METHODS.len()]; ROUTES]>,
    latency: Box<[Latency; ROUTES]>,
    pub(crate) in_flight: AtomicI64,
    pub(crate) panics: AtomicU64,
    pub(crate) connections: AtomicI64,
    pub(crate) bulk_lines: AtomicU64,
}

impl Figures {
    pub(crate) fn new() -> Figures {
        Figures {
            requests: Box::new(std::array::from_fn(|_| Default::default())),
            latency: Box::new(std::array::from_fn(|_| Latency::default())),
            in_flight: AtomicI64::new(0),
            panics: AtomicU64::new(0),
            connections: AtomicI64::new(0),
            bulk_lines: AtomicU64::new(0),
        }
    }

    /// Counts a request that was answered.
    pub(crate) fn answered(&self, route: Route, method: &Method, status: StatusCode, took: Duration) {
        let method = match *method {
            Method::GET => 0,
            Method::POST => 1,
            Method::PATCH => 2,
            Method::PUT => 3,
            Method::DELETE => 4,
            _ => 5,
        };
        let status = STATUSES.binary_search(&status.as_u16()).unwrap_or(0);
        self.requests[route as usize][method][status].fetch_add(1, Relaxed);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let latency = &self.latency[route as usize];
        let bucket = LATENCY_BOUNDS_US.partition_point(|bound| *bound < us);
        latency.counts[bucket].fetch_add(1, Relaxed);
        latency.sum_us.fetch_add(us, Relaxed);
    }

    /// Every count of requests that is not 0: route, method, status, count.
    pub(crate) fn requests(&self) -> impl Iterator<Item = (Route, &'static str, u16, u64)> + '_ {
        let routes = Route::ALL.iter().zip(self.requests.iter());
        routes.flat_map(|(route, methods)| {
            METHODS.iter().zip(methods).flat_map(move |(method, statuses)| {
                let counts = STATUSES.iter().zip(statuses);
                counts.filter_map(move |(status, count)| {
                    let count = count.load(Relaxed);
                    (count > 0).then_some((*route, *method, *status, count))
                })
            })
        })
    }

    /// The latencies of each route.
    pub(crate) fn latencies(&self) -> impl Iterator<Item = (Route, &Latency)> {
        Route::ALL.iter().copied().zip(self.latency.iter())
    }
}
