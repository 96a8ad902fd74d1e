//! `bincard key`: the API keys of a tenant.

use bincard_access::{AccessError, Accounts, Clock, NewKey, Plan, Role, TenantName};
use clap::{Args, Subcommand};
use uuid::Uuid;

use super::user::wrong_use;
use crate::config::Config;
use crate::exit::WrongUse;
use crate::folder::DataFolder;
use crate::output::{List, instant, maybe_instant};

/// Keys a page, as lists are read.
const PAGE_SIZE: u32 = 500;
const DAY_S: i64 = 24 * 60 * 60;

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct Key {
    /// The tenant
    #[arg(long, default_value = "default", value_name = "NAME", global = true)]
    tenant: String,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    /// Make a key; it is shown once
    Create {
        /// What it is called
        name: String,
        /// ADMIN, MANAGER, SELLER or VIEWER
        #[arg(long, default_value = "MANAGER")]
        role: String,
        /// The id of a warehouse of a SELLER's; may be given several times
        #[arg(long = "warehouse", value_name = "ID")]
        warehouses: Vec<Uuid>,
        /// standard, premium or service (no limit of requests)
        #[arg(long, default_value = "service")]
        plan: String,
        /// After how many days it stops working [default: never]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
        expires_in: Option<u32>,
    },
    /// List the keys, without their secrets
    List,
    /// Make a key stop working, at once and for good
    Revoke {
        /// The key's id
        id: Uuid,
    },
}

impl Key {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let folder = DataFolder::existing(config)?;
        super::block_on(async {
            let accounts = folder.accounts(config).await?;
            let tenant = folder.tenant(&accounts, &self.tenant).await?;
            if let Action::Create { warehouses, .. } = &self.action {
                super::check_warehouses(&folder, config, &tenant, warehouses)?;
            }
            self.action.run(&accounts, &tenant).await?;
            Ok(accounts.close().await?)
        })
    }
}

impl Action {
    async fn run(self, accounts: &Accounts, tenant: &TenantName) -> anyhow::Result<()> {
        match self {
            Action::Create {
                name,
                role,
                warehouses,
                plan,
                expires_in,
            } => {
                let now = Clock::system().now();
                let new = NewKey {
                    name: &name,
                    role: wrong_use(Role::parse(&role))?,
                    warehouses: &warehouses,
                    plan: wrong_use(Plan::parse(&plan))?,
                    expires_at: expires_in.map(|days| now.plus_s(i64::from(days) * DAY_S)),
                    created_by: None,
                };
                let issued = match accounts.key_create(tenant, new).await {
                    Err(error @ AccessError::Invalid { .. }) => {
                        return Err(WrongUse(error.to_string()).into());
                    }
                    issued => issued?,
                };
                super::write_out(&format!("{}\n", issued.secret.reveal()))
            }
            Action::List => list(accounts, tenant).await,
            Action::Revoke { id } => {
                accounts.key_revoke(tenant, id).await?;
                super::write_out(&format!("revoked {id}\n"))
            }
        }
    }
}

async fn list(accounts: &Accounts, tenant: &TenantName) -> anyhow::Result<()> {
    let mut list = List::new([
        "NAME",
        "ROLE",
        "PLAN",
        "CREATED",
        "EXPIRES",
        "LAST USED",
        "REVOKED",
        "ID",
    ]);
    for page in 0.. {
        let keys = accounts.keys(tenant, page, PAGE_SIZE).await?.content;
        if keys.is_empty() {
            break;
        }
        for key in keys {
            list.row([
                key.name,
                key.role.to_string(),
                key.plan.to_string(),
                instant(key.created_at),
                maybe_instant(key.expires_at),
                maybe_instant(key.last_used_at),
                maybe_instant(key.revoked_at),
                key.id.to_string(),
            ]);
        }
    }
    list.write()
}
