//! Log lines: to standard error, plain on a terminal and JSON elsewhere, or as the configuration says.

use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal};

use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{Config, LogFormat};
use crate::exit::WrongUse;

/// Starts logging, once a process. That a ledger was opened or closed is news of a server only.
pub(crate) fn start(config: &Config, is_server: bool) -> Result<(), WrongUse> {
    let mut filter = EnvFilter::try_new(&config.log_filter)
        .map_err(|error| WrongUse(format!("log_filter: {:?}: {error}", config.log_filter)))?;
    // Of a parameter of a database's address that it does not know, the library tells the value: after a slip of the pen that
    // is a password. A directive of ours can be parsed.
    if let Ok(silent) = "sqlx_postgres::options=off".parse() {
        filter = filter.add_directive(silent);
    }
    if !is_server && let Ok(quiet) = "bincard_api::ledgers=warn".parse() {
        filter = filter.add_directive(quiet);
    }
    let is_terminal = io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(is_terminal);
    let is_json = match config.log_format {
        LogFormat::Auto => !is_terminal,
        LogFormat::Plain => false,
        LogFormat::Json => true,
    };
    if is_json {
        lines.event_format(JsonLines).init()
    } else {
        lines.init()
    }
    Ok(())
}

/// A line as a JSON object. Unlike the library's own, it tells what is behind an error as well: an operator who reads that the
/// database does not answer wants to know why.
struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        SystemTime.format_time(&mut Writer::new(&mut timestamp))?;
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        writeln!(
            line,
            r#"{{"timestamp":{},"level":{},"fields":{},"target":{}}}"#,
            json!(timestamp),
            json!(metadata.level().as_str()),
            Value::Object(fields.0),
            json!(metadata.target()),
        )
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut said = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            let cause_said = cause.to_string();
            // Some libraries repeat their cause in their own words.
            if !said.ends_with(&cause_said) {
                said = format!("{said}: {cause_said}");
            }
            source = cause.source();
        }
        self.put(field, said);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the database does not answer")]
    struct Away(#[source] io::Error);

    #[test]
    fn a_line_is_json_and_tells_what_is_behind_an_error() {
        let written = Written::default();
        let writer = written.clone();
        let lines = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .event_format(JsonLines)
            .finish();
        tracing::subscriber::with_default(lines, || {
            let error = Away(io::Error::other("connection \"refused\""));
            let error = &error as &dyn Error;
            tracing::warn!(error, count = 3, sound = true, who = %"node\n1", "it failed");
        });
        let line = written.0.lock().expect("nobody panicked").clone();
        let line = String::from_utf8(line).expect("UTF-8");
        assert_eq!(line.lines().count(), 1, "{line}");
        let line: Value = serde_json::from_str(&line).expect("JSON");
        let expected = json!({
            "message": "it failed",
            "error": "the database does not answer: connection \"refused\"",
            "count": 3,
            "sound": true,
            "who": "node\n1",
        });
        assert_eq!((&line["fields"], &line["level"]), (&expected, &json!("WARN")));
        assert!(
            line["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')),
            "{line}"
        );
    }
}
