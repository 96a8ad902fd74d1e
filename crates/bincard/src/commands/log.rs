//! `bincard log`: the log itself, of a stopped data folder.

use std::io::{self, Write};

use bincard_api::feed_line;
use bincard_ledger::{Position, PublicIds, Timestamp};
use bincard_store::Reader;
use chrono::{DateTime, SecondsFormat};
use clap::{Args, Subcommand};

use crate::config::Config;
use crate::folder::DataFolder;

/// How many events are read at once.
const CHUNK_EVENTS: usize = 1_024;

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct Log {
    /// The tenant
    #[arg(long, default_value = "default", value_name = "NAME", global = true)]
    tenant: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Where the log ends: its last position, and the hash that commits to everything before it
    Head,
    /// The events, one line of JSON each, as `GET /api/v1/ledger/events` answers them
    Dump {
        /// Only events after this position
        #[arg(long, default_value_t = 0, value_name = "POSITION")]
        after: u64,
        /// At most so many
        #[arg(long, value_name = "COUNT")]
        limit: Option<u64>,
    },
}

impl Log {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let folder = DataFolder::existing(config)?;
        let _claim = folder.claim()?;
        let tenant = super::tenant_of(&folder, config, &self.tenant)?;
        let reader = folder.log(&tenant)?;
        match self.action {
            Action::Head => {
                let head = reader.head();
                super::write_out(&format!(
                    "position\t{}\ncommit\t{}\nhash\t{}\nrecorded at\t{}\n",
                    head.position,
                    head.commit,
                    head.hash,
                    instant(head.recorded_at),
                ))
            }
            Action::Dump { after, limit } => dump(&reader, Position(after), limit.unwrap_or(u64::MAX)),
        }
    }
}

fn dump(reader: &Reader, mut after: Position, mut left: u64) -> anyhow::Result<()> {
    let ids = PublicIds::new(reader.ledger());
    let mut out = io::stdout().lock();
    while left > 0 {
        let limit = usize::try_from(left).unwrap_or(CHUNK_EVENTS).min(CHUNK_EVENTS);
        let events = reader.read(after, limit)?;
        let Some(last) = events.last() else { break };
        (after, left) = (last.position, left - events.len() as u64);
        let lines: Vec<u8> = events.iter().flat_map(|event| feed_line(ids, event)).collect();
        match out.write_all(&lines) {
            // Whoever reads has heard enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
    Ok(out.flush()?)
}

fn instant(at: Timestamp) -> String {
    let at = Some(at)
        .filter(|at| *at != Timestamp::MIN)
        .and_then(|at| DateTime::from_timestamp_micros(at.micros()));
    at.map_or_else(
        || "never".to_owned(),
        |at| at.to_rfc3339_opts(SecondsFormat::Micros, true),
    )
}
