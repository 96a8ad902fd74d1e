//! `bincard ship`: the backup of a stopped folder's ledgers, or of a database's.

use std::time::Duration;

use anyhow::{bail, ensure};
use bincard_access::{TenantName, UnixMs};
use bincard_backup::{Backup, Following, Options, Place, Shipper};
use bincard_ledger::Position;
use bincard_store::{Head, NOWHERE_YET, Reader, whereabouts};
use clap::Args;

use crate::config::Config;
use crate::exit::WrongUse;
use crate::folder::{Claim, DataFolder};
use crate::import::grouped;
use crate::output::{List, instant};
use crate::progress::Progress;

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct Ship {
    /// Where to: a folder, or s3://bucket/prefix with the AWS_… variables [default: the setting ship_to]
    #[arg(long, value_name = "FOLDER or URL")]
    to: Option<String>,
    /// Only this tenant's ledger
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Go on until told to end (a database's ledgers; a folder's are shipped by `serve --ship-to`)
    #[arg(long, conflicts_with_all = ["status", "check", "tenant"])]
    follow: bool,
    /// Only tell how far the backup is
    #[arg(long, conflicts_with = "check")]
    status: bool,
    /// Read the whole backup as well, name what is damaged and put again what is missing
    #[arg(long)]
    check: bool,
}

impl Ship {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let to = self
            .to
            .clone()
            .or_else(|| Some(config.ship_to.trim().to_owned()).filter(|to| !to.is_empty()));
        let Some(to) = to else {
            return Err(WrongUse(
                "--to: name a folder or a bucket (s3://bucket/prefix), or set ship_to".to_owned(),
            )
            .into());
        };
        if self.status {
            return self.status(config, &Place::open(&to)?);
        }
        let folder = DataFolder::existing(config)?;
        folder.check_backup_place(&to)?;
        let _claim = claim(&folder)?;
        let place = Place::make(&to)?;
        if self.follow {
            return follow(config, &folder, &place);
        }
        let mut unfinished = Vec::new();
        for tenant in self.tenants(&folder)? {
            match folder.moved_to(&tenant)? {
                Some(to) if self.tenant.is_none() && folder.database().is_some() => {
                    let what = format!("{tenant}: {}, and is not shipped from here\n", whereabouts(&to));
                    super::write_out(&what)?;
                    if to.starts_with(NOWHERE_YET) {
                        unfinished.push(tenant.to_string());
                    }
                }
                _ => self.one(&place, &tenant, folder.log(&tenant)?)?,
            }
        }
        super::block_on(async {
            let accounts = folder.accounts(config).await?;
            let shipped = bincard_api::ship_accounts(&accounts, &place, now()).await;
            accounts.close().await?;
            Ok(shipped?)
        })?;
        super::write_out(&format!("accounts: a copy is at {place}\n"))?;
        ensure!(
            unfinished.is_empty(),
            "not all ledgers were shipped: {} is not whole yet",
            unfinished.join(", ")
        );
        Ok(())
    }

    fn tenants(&self, folder: &DataFolder) -> anyhow::Result<Vec<TenantName>> {
        let names = match folder.database() {
            Some(database) => database.ledgers()?.into_iter().map(|one| one.tenant).collect(),
            None if folder.ledgers_path().is_dir() => folder.tenants_with_ledgers()?,
            None => Vec::new(),
        };
        let wanted = |name: &String| self.tenant.as_ref().is_none_or(|wanted| wanted == name);
        let tenants: Vec<String> = names.into_iter().filter(wanted).collect();
        if let (Some(wanted), true) = (&self.tenant, tenants.is_empty()) {
            bail!("tenant {wanted} has no ledger here: nothing was recorded yet");
        }
        let parsed = tenants.iter().map(|name| TenantName::parse(name));
        Ok(parsed.collect::<Result<_, _>>()?)
    }

    fn one(&self, place: &Place, tenant: &TenantName, reader: Reader) -> anyhow::Result<()> {
        let head = reader.head().position.0;
        let mut shipper = Shipper::new(Backup::new(place, tenant.as_str()), reader);
        super::block_on(async {
            let mut progress = Progress::start(&format!("shipping {tenant}"), Some(head));
            let before = shipper.look().await?;
            let after = shipper
                .ship(|Position(at)| progress.show(at, at, "events", ""))
                .await?;
            progress.finish();
            super::write_out(&format!(
                "{tenant}: {} events shipped; the backup ends at position {} with hash {}, as the log does\n",
                grouped(after.position.0.saturating_sub(before.position.0)),
                after.position,
                after.hash
            ))?;
            if self.check {
                let mut progress = Progress::start(&format!("checking {tenant}"), Some(head));
                let checked = shipper
                    .check_all(|Position(at)| progress.show(at, at, "events", ""))
                    .await?;
                progress.finish();
                super::write_out(&format!(
                    "{tenant}: {} objects of the backup are whole; {} were missing and are there again\n",
                    grouped(checked.chunks),
                    checked.filled
                ))?;
            }
            Ok(())
        })
    }

    /// What the place has, and how far behind that is where the log can be looked at.
    fn status(&self, config: &Config, place: &Place) -> anyhow::Result<()> {
        let folder = DataFolder::of(config)?;
        let claim = match folder.database() {
            Some(_) => None,
            None if config.data_dir.is_dir() => folder.claim_if_free()?,
            None => None,
        };
        let mut list = List::new(["tenant", "position", "recorded", "behind", "hash"]);
        for name in super::block_on(async { Ok(place.tenants().await?) })? {
            if self.tenant.as_ref().is_some_and(|wanted| *wanted != name) {
                continue;
            }
            let backup = Backup::new(place, &name);
            let tenant = TenantName::parse(&name)?;
            let can_look = (claim.is_some() || folder.database().is_some())
                && folder.has_ledger(&tenant)?
                && folder.moved_to(&tenant)?.is_none();
            let (end, behind) = if can_look {
                let mut shipper = Shipper::new(backup, folder.log(&tenant)?);
                let end = super::block_on(async { Ok(shipper.look().await?) })?;
                // What others shipped may be news to this process.
                let behind = shipper.reader().head().position.0.saturating_sub(end.position.0);
                (Some(end), behind.to_string())
            } else {
                (
                    super::block_on(async { Ok(backup.end().await?) })?,
                    "-".to_owned(),
                )
            };
            if let Some(Head {
                position,
                hash,
                recorded_at,
                ..
            }) = end
            {
                let at = instant(UnixMs(recorded_at.micros() / 1_000));
                list.row([name, position.to_string(), at, behind, hash.to_string()]);
            }
        }
        list.write()
    }
}

fn now() -> UnixMs {
    UnixMs(chrono::Utc::now().timestamp_millis())
}

/// A folder that keeps its ledgers is claimed; with a database others may use it meanwhile.
fn claim(folder: &DataFolder) -> anyhow::Result<Option<Claim>> {
    match folder.database() {
        Some(_) => Ok(None),
        None => folder.claim().map(Some),
    }
}

/// Ships until the process is told to end.
fn follow(config: &Config, folder: &DataFolder, place: &Place) -> anyhow::Result<()> {
    let Some(database) = folder.database().cloned() else {
        return Err(WrongUse(
            "--follow: a folder's ledgers belong to the server that has it: start that with `bincard serve --ship-to`"
                .to_owned(),
        )
        .into());
    };
    let options = Options {
        place: place.clone(),
        every: Duration::from_secs(config.ship_every_s),
    };
    super::write_out(&format!("shipping to {place}\n"))?;
    super::block_on(async {
        let told = crate::serving::asked_to_end()?;
        Following::new(options, Some(database)).run(told).await;
        Ok(())
    })
}
