//! Log lines: to standard error, plain on a terminal and JSON elsewhere, or as the configuration says.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};
use crate::exit::WrongUse;

/// Starts logging, once a process. That a ledger was opened or closed is news of a server only.
pub(crate) fn start(config: &Config, is_server: bool) -> Result<(), WrongUse> {
    let mut filter = EnvFilter::try_new(&config.log_filter)
        .map_err(|error| WrongUse(format!("log_filter: {:?}: {error}", config.log_filter)))?;
    if !is_server {
        // A directive of ours: it can be parsed.
        if let Ok(quiet) = "bincard_api::ledgers=warn".parse() {
            filter = filter.add_directive(quiet);
        }
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
        lines.json().init()
    } else {
        lines.init()
    }
    Ok(())
}
