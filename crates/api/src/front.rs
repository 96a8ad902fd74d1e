//! What stands before every route: ids, time, counting, log, failures rendered, panics caught, headers that every
//! answer has. Written by hand and once, because the hottest route pays for it too; that one is answered from here,
//! without a router.

use std::convert::Infallible;
use std::error::Error;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::http::header::{ALLOW, CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use tower::Service;

use crate::app::App;
use crate::failure::Failure;
use crate::figures::Figures;
use crate::problem::{self, Dialect};
use crate::route::Route;
use crate::stock_events;
use crate::trace::{Trace, X_REQUEST_ID};
use crate::versions::{self, Version};

const RATE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const RATE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RATE_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// What an answer is counted under, and in whose words failures are told.
type Told = (Route, Dialect);

/// The routes with what stands before them.
#[derive(Clone)]
pub(crate) struct Front {
    app: Arc<App>,
    routes: Router,
}

impl Front {
    pub(crate) fn new(app: Arc<App>, routes: Router) -> Front {
        Front { app, routes }
    }

    /// What the routes share.
    pub(crate) fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Answers one request.
    pub(crate) async fn answer<B>(&self, request: Request<B>, peer: IpAddr) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes> + Unpin + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let began = Instant::now();
        let app = &*self.app;
        let _in_flight = InFlight::begin(&app.figures);
        let id = app.request_ids.of(request.headers());
        let peer = app.options.trusted_proxies.client(peer, request.headers());
        let trace = Arc::new(Trace {
            id,
            peer,
            quota: OnceLock::new(),
        });
        let method = request.method().clone();
        let route = Route::of(request.uri().path());
        let told = (route, route.dialect(request.uri().path()));
        let answered = async {
            if route == Route::StockEvents && method == Method::POST {
                let created = stock_events::create(app, request, &trace).await;
                created.unwrap_or_else(|failure| self.fail(&failure, told, &trace))
            } else {
                // Boxed, so that the hot route's future is not as large as every other's.
                Box::pin(self.answer_told(request, told, &trace)).await
            }
        };
        let mut response = match AssertUnwindSafe(answered).catch_unwind().await {
            Ok(response) => response,
            Err(panic) => self.panicked(&*panic, told, &trace),
        };
        finish(response.headers_mut(), &trace);
        let took = began.elapsed();
        app.figures.answered(route, &method, response.status(), took);
        if tracing::enabled!(tracing::Level::DEBUG) {
            let (status, took_us) = (response.status().as_u16(), took.as_micros());
            tracing::debug!(request_id = trace.id(), %method, route = route.template(), status, took_us, "answered");
        }
        response
    }

    /// Answers in the version of the warehouse family's documents that is asked for; others have no versions.
    async fn answer_told<B>(&self, request: Request<B>, told: Told, trace: &Arc<Trace>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if told.1 != Dialect::Warehouse {
            return self.answer_routed(request, told, trace).await;
        }
        match Version::asked(request.headers()) {
            Ok(version) => version.mark(self.answer_routed(request, told, trace).await),
            Err(versions::Unknown) => self.fail(&Failure::NotAcceptable, told, trace),
        }
    }

    async fn answer_routed<B>(&self, request: Request<B>, told: Told, trace: &Arc<Trace>) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(trace.clone());
        // A router is always ready, and its call does not fail.
        let answered: Result<_, Infallible> = self.routes.clone().call(request).await;
        let mut response = match answered {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let Some(failure) = response.extensions_mut().remove::<Arc<Failure>>() else {
            return response;
        };
        let mut failed = self.fail(&failure, told, trace);
        if let Some(allow) = response.headers_mut().remove(ALLOW) {
            failed.headers_mut().insert(ALLOW, allow);
        }
        failed
    }

    fn fail(&self, failure: &Failure, (route, dialect): Told, trace: &Trace) -> Response<Body> {
        if let Some(cause) = failure.cause() {
            let status = failure.code().status().as_u16();
            tracing::error!(
                request_id = trace.id(),
                route = route.template(),
                status,
                cause = chain(cause),
                "failed"
            );
        }
        problem::respond(failure, dialect, trace.id(), self.app.timestamp())
    }

    fn panicked(&self, panic: &(dyn std::any::Any + Send), told: Told, trace: &Trace) -> Response<Body> {
        self.app.figures.panics.fetch_add(1, Relaxed);
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        self.fail(&Failure::internal(format!("a panic: {text}")), told, trace)
    }
}

/// An error with everything that caused it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What every answer tells.
fn finish(headers: &mut HeaderMap, trace: &Trace) {
    headers.insert(X_REQUEST_ID, trace.id.clone());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    if let Some(quota) = trace.quota.get() {
        headers.insert(RATE_LIMIT, HeaderValue::from(quota.limit));
        headers.insert(RATE_REMAINING, HeaderValue::from(quota.remaining));
        headers.insert(RATE_RESET, HeaderValue::from(quota.reset_at.seconds()));
    }
}

/// Counts a request for as long as it is being answered, however that ends.
struct InFlight<'a>(&'a Figures);

impl InFlight<'_> {
    fn begin(figures: &Figures) -> InFlight<'_> {
        figures.in_flight.fetch_add(1, Relaxed);
        InFlight(figures)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}
