//! `bincard log`: the log itself, of a stopped data folder.

use bincard_ledger::Timestamp;
use chrono::{DateTime, SecondsFormat};
use clap::{Args, Subcommand};

use crate::config::Config;
use crate::folder::DataFolder;

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
}

impl Log {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let folder = DataFolder::of(config);
        let _claim = folder.claim()?;
        let tenant = super::tenant_of(&folder, config, &self.tenant)?;
        let reader = folder.log(&tenant)?.reader;
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
        }
    }
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
