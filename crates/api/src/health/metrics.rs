//! Everything that is counted, as Prometheus reads it. Rendered from the counters themselves when asked for, so that
//! counting costs an addition and nothing more.

use std::fmt::{Display, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::time::UNIX_EPOCH;

use bincard_backup::Standing;
use bincard_engine::HistogramReading;
use bincard_relay::Relay;

use crate::app::App;
use crate::figures::LATENCY_BOUNDS_US;

/// A text being written.
#[derive(Default)]
struct Text(String);

impl Text {
    /// Begins a metric.
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    /// One value.
    fn value(&mut self, name: &str, labels: &str, value: impl Display) {
        if labels.is_empty() {
            self.line(format_args!("{name} {value}"));
        } else {
            self.line(format_args!("{name}{{{labels}}} {value}"));
        }
    }

    /// A histogram, whose counts include those of the bounds before.
    fn histogram(&mut self, name: &str, labels: &str, reading: &HistogramReading) {
        let comma = if labels.is_empty() { "" } else { "," };
        for (bound, count) in &reading.cumulative {
            let bound = if bound.is_finite() {
                bound.to_string()
            } else {
                "+Inf".to_owned()
            };
            self.value(
                &format!("{name}_bucket"),
                &format!("{labels}{comma}le=\"{bound}\""),
                count,
            );
        }
        let count = reading.cumulative.last().map_or(0, |(_, count)| *count);
        self.value(&format!("{name}_sum"), labels, reading.sum);
        self.value(&format!("{name}_count"), labels, count);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let written = writeln!(self.0, "{line}");
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
    }
}

pub(super) fn render(app: &App) -> String {
    let mut text = Text::default();
    render_requests(&mut text, app);
    render_ledgers(&mut text, app);
    if let Some(relay) = &app.relay {
        render_relay(&mut text, relay);
    }
    if let Some(shipping) = &app.shipping {
        render_shipping(&mut text, &shipping.standings());
    }
    text.0
}

fn render_requests(text: &mut Text, app: &App) {
    let figures = &app.figures;
    text.metric(
        "bincard_uptime_seconds",
        "gauge",
        "How long the server has been running.",
    );
    text.value(
        "bincard_uptime_seconds",
        "",
        app.started_at.elapsed().as_secs_f64(),
    );
    text.metric(
        "bincard_http_requests_total",
        "counter",
        "Requests answered, by route, method and status.",
    );
    for (route, method, status, count) in figures.requests() {
        let labels = format!(
            "route=\"{}\",method=\"{method}\",status=\"{status}\"",
            route.template()
        );
        text.value("bincard_http_requests_total", &labels, count);
    }
    text.metric(
        "bincard_http_request_duration_seconds",
        "histogram",
        "How long requests took, by route.",
    );
    for (route, latency) in figures.latencies() {
        let mut sum = 0;
        let bounds = LATENCY_BOUNDS_US
            .iter()
            .map(|us| *us as f64 / 1e6)
            .chain([f64::INFINITY]);
        let counts = latency.counts.iter().map(|count| {
            sum += count.load(Relaxed);
            sum
        });
        let cumulative: Vec<(f64, u64)> = bounds.zip(counts).collect();
        if sum == 0 {
            continue;
        }
        let reading = HistogramReading {
            cumulative,
            sum: latency.sum_us.load(Relaxed) as f64 / 1e6,
        };
        let labels = format!("route=\"{}\"", route.template());
        text.histogram("bincard_http_request_duration_seconds", &labels, &reading);
    }
    text.metric(
        "bincard_http_requests_in_flight",
        "gauge",
        "Requests being answered.",
    );
    text.value(
        "bincard_http_requests_in_flight",
        "",
        figures.in_flight.load(Relaxed),
    );
    text.metric("bincard_http_connections", "gauge", "Connections open.");
    text.value("bincard_http_connections", "", figures.connections.load(Relaxed));
    text.metric(
        "bincard_http_panics_total",
        "counter",
        "Requests that ended in a panic.",
    );
    text.value("bincard_http_panics_total", "", figures.panics.load(Relaxed));
    text.metric("bincard_bulk_lines_total", "counter", "Lines of bulk requests.");
    text.value("bincard_bulk_lines_total", "", figures.bulk_lines.load(Relaxed));
    text.metric(
        "bincard_rate_limit_counters",
        "gauge",
        "Callers and addresses whose requests are counted.",
    );
    text.value("bincard_rate_limit_counters", "", app.limits.counters_count());
}

fn render_ledgers(text: &mut Text, app: &App) {
    let ledgers = app.ledgers.all();
    let each = |text: &mut Text,
                name: &str,
                kind: &str,
                help: &str,
                value: &dyn Fn(&crate::ledgers::OpenLedger) -> f64| {
        text.metric(name, kind, help);
        for (tenant, open) in &ledgers {
            text.value(name, &format!("tenant=\"{}\"", tenant.as_str()), value(open));
        }
    };
    each(
        text,
        "bincard_ledger_position",
        "gauge",
        "The last durable position.",
        &|open| open.ledger.reader().head().position.0 as f64,
    );
    each(
        text,
        "bincard_ledger_stopped",
        "gauge",
        "1 when the ledger takes no more requests.",
        &|open| f64::from(u8::from(open.ledger.status().stopped.is_some())),
    );
    each(
        text,
        "bincard_queue_depth",
        "gauge",
        "Requests that wait for the writer.",
        &|open| open.ledger.status().queue_depth as f64,
    );
    each(
        text,
        "bincard_decisions_accepted_total",
        "counter",
        "Requests accepted.",
        &|open| open.ledger.figures().accepted() as f64,
    );
    each(
        text,
        "bincard_decisions_replayed_total",
        "counter",
        "Requests whose key was known.",
        &|open| open.ledger.figures().replayed() as f64,
    );
    each(
        text,
        "bincard_events_total",
        "counter",
        "Events recorded.",
        &|open| open.ledger.figures().events() as f64,
    );
    each(
        text,
        "bincard_commit_bytes_total",
        "counter",
        "Bytes of records made durable.",
        &|open| open.ledger.figures().commit_bytes() as f64,
    );
    text.metric(
        "bincard_rejections_total",
        "counter",
        "Requests rejected, by code.",
    );
    for (tenant, open) in &ledgers {
        for (code, count) in open.ledger.figures().rejections() {
            let labels = format!("tenant=\"{}\",code=\"{code}\"", tenant.as_str());
            text.value("bincard_rejections_total", &labels, count);
        }
    }
    text.metric(
        "bincard_batch_requests",
        "histogram",
        "Requests decided together.",
    );
    for (tenant, open) in &ledgers {
        let labels = format!("tenant=\"{}\"", tenant.as_str());
        text.histogram(
            "bincard_batch_requests",
            &labels,
            &open.ledger.figures().batch_requests().read(),
        );
    }
    text.metric(
        "bincard_commit_seconds",
        "histogram",
        "How long it took to make a batch durable.",
    );
    for (tenant, open) in &ledgers {
        let labels = format!("tenant=\"{}\"", tenant.as_str());
        text.histogram(
            "bincard_commit_seconds",
            &labels,
            &open.ledger.figures().commit_seconds().read(),
        );
    }
    text.metric(
        "bincard_view_divergence_total",
        "counter",
        "Rows of views that were found to differ from the log, by the audit and by reconciliations.",
    );
    for (tenant, open) in &ledgers {
        for (view, count) in open.reconciliations.diverged() {
            let labels = format!("tenant=\"{}\",view=\"{view}\"", tenant.as_str());
            text.value("bincard_view_divergence_total", &labels, count);
        }
    }
    text.metric(
        "bincard_view_position",
        "gauge",
        "The position that a view stands at.",
    );
    each_view(text, &ledgers, "bincard_view_position", |_, position| position);
    text.metric(
        "bincard_view_behind_events",
        "gauge",
        "How many events a view is behind the head.",
    );
    each_view(text, &ledgers, "bincard_view_behind_events", u64::saturating_sub);
}

fn render_relay(text: &mut Text, relay: &Relay) {
    text.metric(
        "bincard_relay_active",
        "gauge",
        "1 when this node is the one that relays, and is connected to NATS.",
    );
    text.value("bincard_relay_active", "", u8::from(relay.is_relaying()));
    let standings = relay.standings();
    let mut each = |name: &str, kind: &str, help: &str, value: &dyn Fn(&bincard_relay::Standing) -> u64| {
        text.metric(name, kind, help);
        for standing in &standings {
            text.value(name, &format!("tenant=\"{}\"", standing.tenant), value(standing));
        }
    };
    each(
        "bincard_relay_position",
        "gauge",
        "The last position that NATS acknowledged.",
        &|standing| standing.position.0,
    );
    each(
        "bincard_relay_behind_events",
        "gauge",
        "How many events NATS has not acknowledged yet.",
        &|standing| standing.head.0.saturating_sub(standing.position.0),
    );
    each(
        "bincard_relay_published_total",
        "counter",
        "Events that this node has relayed.",
        &|standing| standing.published,
    );
}

fn render_shipping(text: &mut Text, standings: &[Standing]) {
    let mut each = |name: &str, kind: &str, help: &str, value: &dyn Fn(&Standing) -> u64| {
        text.metric(name, kind, help);
        for standing in standings {
            text.value(name, &format!("tenant=\"{}\"", standing.tenant), value(standing));
        }
    };
    each(
        "bincard_ship_position",
        "gauge",
        "The last position that the backup has.",
        &|one| one.position.0,
    );
    each(
        "bincard_ship_behind_events",
        "gauge",
        "How many events the backup does not have yet.",
        &|one| one.head.0.saturating_sub(one.position.0),
    );
    each(
        "bincard_ship_caught_up_timestamp_seconds",
        "gauge",
        "When the backup had all there was, last; 0 when it never had since the start.",
        &|one| {
            let since = one.caught_up_at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
            since.map_or(0, |since| since.as_secs())
        },
    );
    each(
        "bincard_ship_failures_total",
        "counter",
        "Attempts to ship that failed.",
        &|one| one.failures,
    );
    each(
        "bincard_ship_failing",
        "gauge",
        "1 when the last attempt to ship failed.",
        &|one| u64::from(one.is_failing),
    );
}

type Ledgers = [(
    bincard_access::TenantName,
    std::sync::Arc<crate::ledgers::OpenLedger>,
)];

fn each_view(text: &mut Text, ledgers: &Ledgers, name: &str, value: impl Fn(u64, u64) -> u64) {
    for (tenant, open) in ledgers {
        let head = open.ledger.reader().head().position.0;
        for view in open.views.status() {
            let labels = format!("tenant=\"{}\",view=\"{}\"", tenant.as_str(), view.view.as_str());
            text.value(name, &labels, value(head, view.position.0));
        }
    }
}
