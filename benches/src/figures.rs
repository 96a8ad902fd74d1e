//! A table of measurements, in Markdown, with ratios beside the absolute figures: absolute figures belong
//! to one machine on one day, ratios of one run travel.

use bincard_testkit::load::Outcome;
use hdrhistogram::Histogram;
use std::fmt;
use std::time::Duration;

/// One row: what was done, how fast, and what it cost. What was not measured is not shown.
#[derive(Debug, Clone, Default)]
pub struct Figure {
    /// What was done.
    pub name: String,
    /// Things a second.
    pub per_second: f64,
    /// Latency that half, 99% and 99.9% of them did not exceed.
    pub latency: Option<[Duration; 3]>,
    /// CPU time of the server's (with its database's) for each.
    pub server_cpu: Option<Duration>,
    /// Bytes written for each.
    pub bytes: Option<f64>,
}

impl Figure {
    /// A row with a rate only; set the other fields as they were measured.
    #[must_use]
    pub fn new(name: impl Into<String>, per_second: f64) -> Figure {
        Figure {
            name: name.into(),
            per_second,
            ..Figure::default()
        }
    }

    /// A row from a drive over HTTP.
    #[must_use]
    pub fn of_load(name: impl Into<String>, outcome: &Outcome) -> Figure {
        Figure {
            latency: Some(shares(outcome.latencies_ns())),
            server_cpu: outcome.server_cpu_each(),
            ..Figure::new(name, outcome.per_second())
        }
    }

    /// Adds latencies, in nanoseconds.
    #[must_use]
    pub fn with_latency(mut self, latencies_ns: &Histogram<u64>) -> Figure {
        self.latency = Some(shares(latencies_ns));
        self
    }
}

fn shares(latencies_ns: &Histogram<u64>) -> [Duration; 3] {
    [0.5, 0.99, 0.999].map(|share| Duration::from_nanos(latencies_ns.value_at_quantile(share)))
}

/// A table of figures of one run.
#[derive(Debug, Clone)]
pub struct Figures {
    title: String,
    /// How busy the machine was with other work when the run began.
    load_before: Option<String>,
    /// Names of rows that every row is compared with, each in a column of its own.
    baselines: Vec<String>,
    rows: Vec<Figure>,
    /// What is no rate: said below the table, a line each.
    notes: Vec<String>,
}

impl Figures {
    /// An empty table.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Figures {
        Figures {
            title: title.into(),
            load_before: load_average(),
            baselines: Vec::new(),
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Tells how busy the machine was when the run began, where that is longer ago than the table.
    #[must_use]
    pub fn begun_under(mut self, load_average: Option<String>) -> Figures {
        self.load_before = load_average;
        self
    }

    /// Compares every row with the row of this name, which may come later.
    #[must_use]
    pub fn against(mut self, baseline: impl Into<String>) -> Figures {
        self.baselines.push(baseline.into());
        self
    }

    /// Adds a row.
    pub fn push(&mut self, figure: Figure) {
        self.rows.push(figure);
    }

    /// Adds a line below the table.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// The row of this name.
    #[must_use]
    pub fn row(&self, name: &str) -> Option<&Figure> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// All rows, in order.
    #[must_use]
    pub fn rows(&self) -> &[Figure] {
        &self.rows
    }

    /// How many times as fast one row is as another; `None` when one is missing.
    #[must_use]
    pub fn ratio(&self, of: &str, to: &str) -> Option<f64> {
        Some(self.row(of)?.per_second / self.row(to)?.per_second)
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_latency = self.rows.iter().any(|row| row.latency.is_some());
        let has_cpu = self.rows.iter().any(|row| row.server_cpu.is_some());
        let has_bytes = self.rows.iter().any(|row| row.bytes.is_some());
        let mut columns = vec!["work".to_owned(), "per second".to_owned()];
        columns.extend(self.baselines.iter().map(|name| format!("× {name}")));
        if has_latency {
            columns.extend(["p50", "p99", "p99.9"].map(str::to_owned));
        }
        if has_cpu {
            columns.push("server CPU each".to_owned());
        }
        if has_bytes {
            columns.push("bytes each".to_owned());
        }
        writeln!(f, "### {}\n", self.title)?;
        match &self.load_before {
            Some(load) => writeln!(f, "{}, load average {load} at the start\n", machine())?,
            None => writeln!(f, "{}\n", machine())?,
        }
        writeln!(f, "| {} |", columns.join(" | "))?;
        writeln!(f, "| --- |{}", " ---: |".repeat(columns.len() - 1))?;
        for row in &self.rows {
            let mut cells = vec![row.name.clone(), grouped(row.per_second)];
            cells.extend(
                self.baselines
                    .iter()
                    .map(|name| self.ratio(&row.name, name).map_or("".to_owned(), ratio)),
            );
            if has_latency {
                let cell = |index: usize| row.latency.map_or(String::new(), |latency| time(latency[index]));
                cells.extend((0..3).map(cell));
            }
            if has_cpu {
                cells.push(row.server_cpu.map_or(String::new(), time));
            }
            if has_bytes {
                cells.push(row.bytes.map_or(String::new(), |bytes| format!("{bytes:.0}")));
            }
            writeln!(f, "| {} |", cells.join(" | "))?;
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        for note in &self.notes {
            writeln!(f, "- {note}")?;
        }
        Ok(())
    }
}

/// The machine and the build that figures belong to.
#[must_use]
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let build = if cfg!(debug_assertions) {
        "debug build"
    } else {
        "release build"
    };
    let scratch = bincard_testkit::scratch::parent();
    let disk = if bincard_testkit::scratch::is_in_memory(&scratch) {
        "scratch in MEMORY: durable figures mean nothing"
    } else {
        "scratch on disk"
    };
    let (system, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("{cores} cores, {system} {architecture}, {build}, {disk}")
}

/// How busy the machine was in the last minute, where the system tells.
#[must_use]
pub fn load_average() -> Option<String> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_ascii_whitespace().next().map(str::to_owned)
}

fn ratio(ratio: f64) -> String {
    if ratio >= 10.0 {
        grouped(ratio)
    } else {
        format!("{ratio:.2}")
    }
}

/// A number with its thousands apart.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn time(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    if micros < 1.0 {
        format!("{:.0} ns", micros * 1e3)
    } else if micros < 100.0 {
        format!("{micros:.1} µs")
    } else if micros < 10_000.0 {
        format!("{:.2} ms", micros / 1e3)
    } else {
        format!("{:.0} ms", micros / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_shows_ratios_beside_figures_and_nothing_that_was_not_measured() {
        let mut figures = Figures::new("Pace").against("rival").against("bare");
        figures.push(Figure::new("rival", 5000.0));
        let server_cpu = Some(Duration::from_nanos(12_340));
        figures.push(Figure {
            server_cpu,
            ..Figure::new("ours", 1_234_567.0)
        });
        let text = figures.to_string();
        let table: Vec<&str> = text.lines().skip(4).collect();
        assert_eq!(
            table,
            [
                "| work | per second | × rival | × bare | server CPU each |",
                "| --- | ---: | ---: | ---: | ---: |",
                "| rival | 5,000 | 1.00 |  |  |",
                "| ours | 1,234,567 | 247 |  | 12.3 µs |",
            ]
        );
        assert_eq!(figures.ratio("ours", "bare"), None);
    }

    #[test]
    fn times_are_told_in_their_own_unit() {
        let told = [42, 4200, 420_000, 42_000_000].map(|nanos| time(Duration::from_nanos(nanos)));
        assert_eq!(told, ["42 ns", "4.2 µs", "0.42 ms", "42 ms"]);
    }
}
