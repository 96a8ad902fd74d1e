//! `bincard serve`: the server.

use std::{env, path};

use anyhow::Context;
use bincard_access::{Accounts, FirstAdmin};
use clap::Args;

use crate::config::Config;
use crate::folder::DataFolder;
use crate::serving;

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    /// Where to listen; port 0 takes any free one [env: BINCARD_LISTEN] [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// What this node does, of several over one database: any of api, projector, worker [env: BINCARD_ROLES] [default: all]
    #[arg(long, value_name = "ROLE,…")]
    pub(crate) roles: Option<String>,
    /// NATS servers to relay every event to, such as nats://127.0.0.1:4222 [env: BINCARD_NATS_URL]
    #[arg(long, value_name = "URL")]
    pub(crate) nats_url: Option<String>,
    /// Where to ship a backup to all the while: a folder, or s3://bucket/prefix [env: BINCARD_SHIP_TO]
    #[arg(long, value_name = "FOLDER or URL")]
    pub(crate) ship_to: Option<String>,
}

impl Serve {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let folder = DataFolder::of(config)?;
        // Wrong settings are told before anything is made.
        let options = serving::options(&folder, config)?;
        let _claim = folder.claim()?;
        serving::runtime(config)?.block_on(async {
            let listener = serving::listen(&config.listen).await?;
            let accounts = folder.accounts(config).await?;
            // First, so that nobody is made where nothing can be served.
            let app = serving::open(accounts.clone(), options).await?;
            ensure_first_admin(&accounts).await?;
            let more = format!(
                "  data    {}\n  routes  {}/docs\n  a key   bincard key create NAME --role ADMIN\n",
                path::absolute(&config.data_dir)
                    .unwrap_or_else(|_| config.data_dir.clone())
                    .display(),
                serving::base_url(config, &listener)?,
            );
            serving::serve(listener, app, config, &more).await
        })
    }
}

/// Makes the first ADMIN of a fresh installation, as the environment says or by itself.
async fn ensure_first_admin(accounts: &Accounts) -> anyhow::Result<()> {
    let given = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let (email, password) = (given("BINCARD_ADMIN_EMAIL"), given("BINCARD_ADMIN_PASSWORD"));
    let made = accounts
        .ensure_first_admin(email.as_deref(), password.as_deref())
        .await;
    match made
        .context("the first ADMIN cannot be made from BINCARD_ADMIN_EMAIL and BINCARD_ADMIN_PASSWORD")?
    {
        FirstAdmin::Created {
            user,
            password: Some(password),
        } => super::write_out(&format!(
            "made the first ADMIN: {} with password {} (shown this once; to sign in at /api/auth/login)\n",
            user.email,
            password.reveal()
        )),
        FirstAdmin::Created { .. } | FirstAdmin::NotNeeded => Ok(()),
    }
}
