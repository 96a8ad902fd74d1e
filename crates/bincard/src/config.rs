//! Configuration: the embedded defaults, then a file, then the environment, then options of the command line. Read
//! once, checked as a whole, passed down as what each part needs.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use crate::exit::WrongUse;

/// The defaults, which are also the documentation of every setting.
pub(crate) const DEFAULTS: &str = include_str!("config.default.toml");

/// Every setting.
#[derive(Deserialize, Clone, PartialEq, Eq, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) database_url: Secret,
    pub(crate) database_url_file: String,
    pub(crate) roles: String,
    pub(crate) nats_url: Secret,
    pub(crate) nats_credentials_file: String,
    pub(crate) nats_replicas: usize,
    pub(crate) nats_max_age_s: u64,
    pub(crate) nats_max_bytes: u64,
    pub(crate) ship_to: String,
    pub(crate) ship_every_s: u64,
    pub(crate) listen: String,
    pub(crate) tls_certificate_file: String,
    pub(crate) tls_key_file: String,
    pub(crate) trusted_proxies: String,
    pub(crate) metrics_to_all: bool,
    pub(crate) log_format: LogFormat,
    pub(crate) log_filter: String,
    pub(crate) workers: usize,
    pub(crate) queue_requests_max: usize,
    pub(crate) batch_requests_max: usize,
    pub(crate) snapshot_every_events: u64,
    pub(crate) audit_every_ms: u64,
    pub(crate) access_token_lifetime_s: u32,
    pub(crate) session_idle_max_s: u32,
}

/// A text that is never shown.
#[derive(Deserialize, Clone, PartialEq, Eq)]
#[serde(transparent)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// How log lines are written.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    Auto,
    Plain,
    Json,
}

/// What the command line sets.
#[derive(Clone, Default)]
pub(crate) struct Overrides {
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) database_url: Option<String>,
    pub(crate) roles: Option<String>,
    pub(crate) nats_url: Option<String>,
    pub(crate) ship_to: Option<String>,
    pub(crate) listen: Option<String>,
    pub(crate) log_format: Option<String>,
}

/// Settings that are numbers, and the least and the most that can be meant by one.
const RANGES: [(&str, i64, i64); 8] = [
    ("nats_replicas", 1, 5),
    ("ship_every_s", 1, i64::MAX),
    ("workers", 0, 1_024),
    ("queue_requests_max", 1, i64::MAX),
    ("batch_requests_max", 1, i64::MAX),
    ("snapshot_every_events", 1, i64::MAX),
    ("access_token_lifetime_s", 1, 0xFFFF_FFFF),
    ("session_idle_max_s", 1, 0xFFFF_FFFF),
];

impl Config {
    /// Reads every source; `file` is the one of `--config`.
    pub(crate) fn open(file: Option<&Path>, overrides: &Overrides) -> Result<Config, WrongUse> {
        let named = |what: String| match file {
            Some(file) => WrongUse(format!("the configuration {}: {what}", file.display())),
            None => WrongUse(what),
        };
        let given = match file {
            None => Table::new(),
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|error| named(format!("cannot be read: {error}")))?;
                let given: Table = text
                    .parse()
                    .map_err(|error: toml::de::Error| named(error.to_string()))?;
                check_keys(&given).map_err(named)?;
                check_ranges(&given, str::to_owned).map_err(named)?;
                given
            }
        };
        let environment = |name: &str| std::env::var(name).ok();
        Config::merge(given, environment, overrides).map_err(WrongUse)
    }

    /// The address of the database that keeps the ledgers, where they are not in the data folder.
    pub(crate) fn database(&self) -> Result<Option<Secret>, WrongUse> {
        let file = Path::new(&self.database_url_file);
        let url = match (self.database_url.0.is_empty(), self.database_url_file.is_empty()) {
            (true, true) => return Ok(None),
            (false, true) => self.database_url.0.clone(),
            (true, false) => std::fs::read_to_string(file)
                .map_err(|error| WrongUse(format!("database_url_file {}: {error}", file.display())))?,
            (false, false) => {
                return Err(WrongUse(
                    "database_url and database_url_file are both set: leave one of them out".to_owned(),
                ));
            }
        };
        let url = url.trim();
        if !["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            return Err(WrongUse(
                "database_url: it must be of the form postgres://user@host/database".to_owned(),
            ));
        }
        Ok(Some(Secret(url.to_owned())))
    }

    fn merge(
        given: Table,
        environment: impl Fn(&str) -> Option<String>,
        overrides: &Overrides,
    ) -> Result<Config, String> {
        let mut merged = defaults();
        merged.extend(given);
        let keys: Vec<String> = merged.keys().cloned().collect();
        for key in keys {
            let variable = variable_of(&key);
            if let Some(text) = environment(&variable) {
                let value = match merged[&key] {
                    Value::Integer(_) => {
                        let number = text.parse().map_err(|_| {
                            format!("{variable}: {text:?} is not a whole number, or is too large a one")
                        })?;
                        Value::Integer(number)
                    }
                    Value::Boolean(_) => {
                        let answer = text
                            .parse()
                            .map_err(|_| format!("{variable}: {text:?} is neither true nor false"))?;
                        Value::Boolean(answer)
                    }
                    _ => Value::String(text),
                };
                merged.insert(key, value);
            }
        }
        check_ranges(&merged, variable_of)?;
        let data_dir = overrides
            .data_dir
            .as_ref()
            .map(|dir| dir.to_string_lossy().into_owned());
        for (key, value) in [
            ("data_dir", &data_dir),
            ("database_url", &overrides.database_url),
            ("roles", &overrides.roles),
            ("nats_url", &overrides.nats_url),
            ("ship_to", &overrides.ship_to),
            ("listen", &overrides.listen),
            ("log_format", &overrides.log_format),
        ] {
            if let Some(value) = value {
                merged.insert(key.to_owned(), Value::String(value.clone()));
            }
        }
        Value::Table(merged).try_into().map_err(|error: toml::de::Error| {
            format!("the configuration is wrong: {}", error.to_string().trim_end())
        })
    }
}

fn defaults() -> Table {
    DEFAULTS
        .parse()
        .expect("the embedded defaults are TOML, which a test holds")
}

/// The environment variable that sets a setting.
fn variable_of(key: &str) -> String {
    format!("BINCARD_{}", key.to_uppercase())
}

/// Checks numbers against what can be meant; `shown` tells how a setting is called where it was set.
fn check_ranges(given: &Table, shown: impl Fn(&str) -> String) -> Result<(), String> {
    for (key, least, most) in RANGES {
        let Some(Value::Integer(number)) = given.get(key) else {
            continue;
        };
        if *number < least {
            return Err(format!(
                "{}: {number} is too little: at least {least}",
                shown(key)
            ));
        }
        if *number > most {
            return Err(format!("{}: {number} is too much: at most {most}", shown(key)));
        }
    }
    Ok(())
}

fn check_keys(given: &Table) -> Result<(), String> {
    let known = defaults();
    match given.keys().find(|key| !known.contains_key(*key)) {
        None => Ok(()),
        Some(key) => {
            let known: Vec<&str> = known.keys().map(String::as_str).collect();
            Err(format!(
                "there is no setting {key:?}; there are {}",
                known.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(given: &str, environment: &[(&str, &str)], overrides: &Overrides) -> Result<Config, String> {
        let given: Table = given.parse().expect("TOML");
        check_keys(&given)?;
        check_ranges(&given, str::to_owned)?;
        let find = |name: &str| {
            environment
                .iter()
                .find(|one| one.0 == name)
                .map(|one| one.1.to_owned())
        };
        Config::merge(given, find, overrides)
    }

    /// Deserialising without a default for any field proves that none is missing, and refusing unknown ones that none is
    /// left over.
    #[test]
    fn the_defaults_name_every_setting_and_say_what_each_is() {
        merge("", &[], &Overrides::default()).expect("the defaults are a whole configuration");
        let lines: Vec<&str> = DEFAULTS.lines().collect();
        for key in defaults().keys() {
            let at = lines
                .iter()
                .position(|line| line.starts_with(&format!("{key} =")))
                .expect("a line of its own");
            assert!(lines[at - 1].starts_with("# "), "{key} has no comment");
        }
    }

    #[test]
    fn the_file_then_the_environment_then_options_go_before_the_defaults() {
        let file = "listen = \"f:1\"\nlog_filter = \"debug\"\nworkers = 3";
        let environment = [("BINCARD_LISTEN", "e:1"), ("BINCARD_WORKERS", "4")];
        let overrides = Overrides {
            listen: Some("o:1".to_owned()),
            ..Overrides::default()
        };
        let config = merge(file, &environment, &overrides).expect("all of it is well formed");
        assert_eq!(
            (config.listen.as_str(), config.workers, config.log_filter.as_str()),
            ("o:1", 4, "debug")
        );
        let config = merge(file, &environment, &Overrides::default()).expect("all of it is well formed");
        assert_eq!(config.listen, "e:1");
    }

    #[test]
    fn a_number_that_cannot_be_meant_is_refused_where_it_was_set() {
        let none = Overrides::default();
        for (key, least, most) in RANGES {
            for (number, limit) in [(least.checked_sub(1), least), (most.checked_add(1), most)] {
                let Some(number) = number else { continue };
                let error = merge(&format!("{key} = {number}"), &[], &none).expect_err("out of range");
                let says =
                    error.starts_with(&format!("{key}: {number} is")) && error.ends_with(&limit.to_string());
                assert!(says, "{error}");
                let (variable, number) = (format!("BINCARD_{}", key.to_uppercase()), number.to_string());
                let error = merge("", &[(&variable, &number)], &none).expect_err("out of range");
                assert!(error.starts_with(&format!("{variable}: {number} is")), "{error}");
            }
            for number in [least, most.min(100_000)] {
                merge(&format!("{key} = {number}"), &[], &none).expect("it is in range");
            }
        }
        // 0 stands for something in these.
        for key in ["nats_max_age_s", "nats_max_bytes", "audit_every_ms"] {
            merge(&format!("{key} = 0"), &[], &none).expect("it means something");
        }
    }

    #[test]
    fn what_is_unknown_or_of_the_wrong_type_is_named() {
        let none = Overrides::default();
        let error = merge("lisen = \"x\"", &[], &none).expect_err("unknown");
        assert!(error.contains("\"lisen\"") && error.contains("listen"), "{error}");
        let error = merge("", &[("BINCARD_WORKERS", "many")], &none).expect_err("no number");
        assert!(error.contains("BINCARD_WORKERS"), "{error}");
        let error = merge("log_format = \"xml\"", &[], &none).expect_err("no such format");
        assert!(error.contains("xml"), "{error}");
    }
}
