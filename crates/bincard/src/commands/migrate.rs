//! `bincard migrate`: the tables that PostgreSQL needs. `serve` makes them by itself as well.

use bincard_access::Accounts;
use bincard_store::postgres::Database;
use clap::Args;

use crate::config::{Config, Secret};
use crate::exit::WrongUse;

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct Migrate {
    /// Say what would be done, and do nothing
    #[arg(long)]
    check: bool,
}

impl Migrate {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let Some(Secret(url)) = config.database()? else {
            let what = "there is no database: name one by --database-url or BINCARD_DATABASE_URL";
            return Err(WrongUse(what.to_owned()).into());
        };
        let database = Database::connect(&url)?;
        let mut pending = database.pending_migrations()?;
        let views = bincard_projections::postgres::Database::new(&url)?;
        pending.extend(super::block_on(async {
            Ok(Accounts::pending_migrations(&url).await?)
        })?);
        pending.extend(views.pending_migrations()?);
        if !self.check {
            database.migrate()?;
            super::block_on(async { Ok(Accounts::migrate(&url).await?) })?;
            views.migrate()?;
        }
        let what = if self.check { "to be applied" } else { "applied" };
        let mut said: String = pending.iter().map(|name| format!("{what}: {name}\n")).collect();
        if said.is_empty() {
            said.push_str("everything is up to date\n");
        }
        super::write_out(&said)
    }
}
