//! `bincard tenant`: the tenants of an installation.

use bincard_access::TenantName;
use clap::Subcommand;

use crate::config::Config;
use crate::folder::DataFolder;
use crate::output::{List, instant};

/// See the command line's own words.
#[derive(Subcommand, Debug)]
pub(crate) enum Tenant {
    /// Add a tenant, with a ledger of its own
    Add {
        /// 1 to 63 lower-case letters, digits and dashes
        name: String,
    },
    /// List the tenants
    List,
}

impl Tenant {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let folder = match &self {
            Tenant::Add { name } => {
                // Before a folder is made for it.
                TenantName::parse(name)?;
                DataFolder::of(config)?
            }
            Tenant::List => DataFolder::existing(config)?,
        };
        let is_new = folder.database().is_none() && !folder.has_accounts();
        super::block_on(async {
            let accounts = folder.accounts(config).await?;
            match self {
                Tenant::Add { name } => {
                    if is_new {
                        super::write_out(&format!("made the data folder {}\n", config.data_dir.display()))?;
                    }
                    let tenant = accounts.tenant_add(&name).await?;
                    super::write_out(&format!("added tenant {}\n", tenant.name))?;
                }
                Tenant::List => {
                    let mut list = List::new(["NAME", "ADDED"]);
                    for tenant in accounts.tenants().await? {
                        list.row([tenant.name.to_string(), instant(tenant.created_at)]);
                    }
                    list.write()?;
                }
            }
            Ok(accounts.close().await?)
        })
    }
}
