//! `bincard snapshot`: write a ledger's state down now, so that the next start replays nothing.

use clap::Args;

use crate::config::Config;
use crate::folder::DataFolder;

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct Snapshot {
    /// The tenant
    #[arg(long, default_value = "default", value_name = "NAME")]
    tenant: String,
}

impl Snapshot {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let folder = DataFolder::existing(config)?;
        let _claim = folder.claim()?;
        let tenant = super::tenant_of(&folder, config, &self.tenant)?;
        let reader = folder.log(&tenant)?;
        let position = bincard_engine::take_snapshot(&reader)?;
        super::write_out(&format!("snapshot at position {position}\n"))
    }
}
