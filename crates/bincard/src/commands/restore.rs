//! `bincard restore`: ledgers from a backup into a new folder or database, and the drill that shows that it works.
//!
//! Nothing is used before all of it is there: a folder says that it is not whole, a database's ledgers are sealed. A restore
//! that was broken off anywhere goes on when it is asked for again; nothing is ever removed.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use bincard_access::{Accounts, TenantName, UnixMs};
use bincard_backup::{Backup, Place, ShippedCommit};
use bincard_ledger::{LedgerId, Position, Timestamp};
use bincard_store::disk::RealDisk;
use bincard_store::moving::{Target, body_from};
use bincard_store::segment::{self, Log};
use bincard_store::{Head, Reader};
use chrono::{DateTime, SecondsFormat};
use clap::Args;
use tokio::runtime::Runtime;

use crate::config::Config;
use crate::exit::WrongUse;
use crate::folder::DataFolder;
use crate::import::grouped;
use crate::progress::Progress;

/// What a ledger in a database says of itself until all is there.
const UNFINISHED: &str = "nowhere yet, it is being restored: finish `bincard restore`";

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct Restore {
    /// Where the backup is: a folder, or s3://bucket/prefix with the AWS_… variables [default: the setting ship_to]
    #[arg(long, value_name = "FOLDER or URL")]
    from: Option<String>,
    /// Up to this position (whole commits: the last one that ends there or before)
    #[arg(long, value_name = "N", conflicts_with = "to_time")]
    to_position: Option<u64>,
    /// Up to what was recorded at this instant, such as 2026-07-28T09:30:00Z
    #[arg(long, value_name = "T")]
    to_time: Option<String>,
    /// Only this tenant's ledger
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// Restore into a scratch folder, check everything there, compare it with the live log if that is stopped, and remove it
    #[arg(long, conflicts_with_all = ["to_position", "to_time"])]
    drill: bool,
    /// Where the drill has its scratch folder [default: the system's folder for such]
    #[arg(long, value_name = "FOLDER", requires = "drill")]
    scratch: Option<PathBuf>,
    /// The drill fails when the newest event of the backup is older than so many seconds
    #[arg(long, value_name = "SECONDS", requires = "drill")]
    age_max_s: Option<i64>,
}

/// Where a restore ends.
#[derive(Clone, Copy, Debug)]
enum Until {
    End,
    Position(Position),
    Time(Timestamp),
}

impl Until {
    fn has(self, end: &Head) -> bool {
        match self {
            Until::End => true,
            Until::Position(position) => end.position <= position,
            Until::Time(at) => end.recorded_at <= at,
        }
    }
}

/// A ledger that is read back.
struct Restored {
    target: Target,
    /// The end of what an earlier restore left there.
    found: Head,
    head: Head,
    /// Where the commit ends that lies across the position that was asked for.
    across: Option<Position>,
}

impl Restored {
    fn begin(target: Target, ledger: LedgerId) -> Restored {
        Restored {
            found: target.head(),
            target,
            head: Head::empty(ledger),
            across: None,
        }
    }

    /// Comes to the next commit; whether it is still to be written.
    fn lacks(&mut self, next: &ShippedCommit<'_>, tenant: &str) -> anyhow::Result<bool> {
        let lacks = next.head.position > self.found.position;
        if lacks && self.head.position <= self.found.position {
            self.check_found(tenant)?;
        }
        self.head = next.head;
        Ok(lacks)
    }

    /// What was found must be the beginning of what is restored; it is told.
    fn check_found(&self, tenant: &str) -> anyhow::Result<()> {
        ensure!(
            self.head == self.found,
            "what an earlier restore left there ends at position {}, and is no beginning of what is to be restored now: name \
             another folder or database, or restore with the options that it had",
            self.found.position
        );
        if self.found.position == Position(0) {
            return Ok(());
        }
        super::write_out(&format!(
            "{tenant}: goes on from position {}, which an earlier restore came to\n",
            self.found.position
        ))
    }
}

impl Restore {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let until = self.until()?;
        let from = self
            .from
            .clone()
            .unwrap_or_else(|| config.ship_to.trim().to_owned());
        if from.is_empty() {
            return Err(
                WrongUse("--from: name the folder or the bucket that has the backup".to_owned()).into(),
            );
        }
        let place = Place::open(&from)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let mut tenants = runtime.block_on(place.tenants())?;
        if let Some(wanted) = &self.tenant {
            tenants.retain(|name| name == wanted);
        }
        ensure!(
            !tenants.is_empty(),
            "there is no backup of {} at {place}",
            match &self.tenant {
                Some(tenant) => format!("tenant {tenant}"),
                None => "a ledger".to_owned(),
            }
        );
        if self.drill {
            return self.drill(config, &runtime, &place, &tenants);
        }
        let folder = DataFolder::of(config)?;
        let _claim = match folder.database() {
            None => folder.claim_to_restore()?,
            Some(_) => folder.claim()?,
        };
        check_no_others(&folder, &tenants)?;
        for tenant in &tenants {
            restore(&runtime, &folder, &place, tenant, until)?;
        }
        restore_accounts(&runtime, config, &folder, &place, &tenants)?;
        match folder.database() {
            None => folder.end_restore(),
            Some(database) => Ok(database.change_seal(&tenants, Some(UNFINISHED), None)?),
        }
    }

    fn until(&self) -> Result<Until, WrongUse> {
        match (self.to_position, &self.to_time) {
            (Some(position), _) => Ok(Until::Position(Position(position))),
            (None, None) => Ok(Until::End),
            (None, Some(text)) => {
                let at = DateTime::parse_from_rfc3339(text).map_err(|_| {
                    WrongUse(format!(
                        "--to-time: {text:?} is not an instant such as 2026-07-28T09:30:00Z"
                    ))
                })?;
                Ok(Until::Time(Timestamp::from_micros(at.timestamp_micros())))
            }
        }
    }

    fn drill(
        &self,
        config: &Config,
        runtime: &Runtime,
        place: &Place,
        tenants: &[String],
    ) -> anyhow::Result<()> {
        let scratch = match &self.scratch {
            Some(parent) => tempfile::tempdir_in(parent),
            None => tempfile::tempdir(),
        };
        let scratch =
            scratch.context("the drill cannot make its scratch folder: name another by --scratch")?;
        let folder = DataFolder::at(scratch.path());
        let live = live_of(config)?;
        let mut stale = Vec::new();
        for name in tenants {
            let tenant = TenantName::parse(name)?;
            let head = restore(runtime, &folder, place, name, Until::End)?;
            let reader = folder.log(&tenant)?;
            super::verify::verify_all(&reader, folder.views(&tenant))?;
            let age_s = chrono::Utc::now().timestamp() - head.recorded_at.micros().div_euclid(1_000_000);
            super::write_out(&format!(
                "{name}: the newest event is {} s old\n",
                grouped(age_s.max(0).unsigned_abs())
            ))?;
            if self.age_max_s.is_some_and(|max| age_s > max) {
                stale.push(name.clone());
            }
            compare(live.as_ref(), &tenant, &head)?;
        }
        let kept = runtime.block_on(place.accounts())?;
        super::write_out(&match kept {
            Some((at, bytes)) => {
                let file = scratch.path().join("accounts.db");
                std::fs::write(&file, bytes)?;
                let known = runtime.block_on(async {
                    let accounts = Accounts::open(&file, bincard_access::Options::default()).await?;
                    let tenants = accounts.tenants().await?;
                    accounts.close().await?;
                    anyhow::Ok(tenants.len())
                })?;
                format!(
                    "accounts: {known} tenants, as of {}\n",
                    crate::output::instant(UnixMs(at))
                )
            }
            None => "accounts: there is no copy\n".to_owned(),
        })?;
        ensure!(
            stale.is_empty(),
            "the backup of {} is older than --age-max-s allows: see whether it is still shipped",
            stale.join(", ")
        );
        super::write_out("the drill is passed: this backup can be restored\n")
    }
}

/// What an earlier restore began must be restored now as well: a folder is whole or not.
fn check_no_others(folder: &DataFolder, tenants: &[String]) -> anyhow::Result<()> {
    if folder.database().is_some() || !folder.ledgers_path().is_dir() {
        return Ok(());
    }
    let mut begun = folder.tenants_with_ledgers()?;
    begun.retain(|name| !tenants.contains(name));
    ensure!(
        begun.is_empty(),
        "an earlier restore into this folder began with the ledger of {} as well: restore that too, or name another folder by \
         --data-dir",
        begun.join(", ")
    );
    Ok(())
}

/// Restores one ledger, checks it where it is now, and tells what it is.
fn restore(
    runtime: &Runtime,
    folder: &DataFolder,
    place: &Place,
    name: &str,
    until: Until,
) -> anyhow::Result<Head> {
    let tenant = TenantName::parse(name)?;
    let open = |ledger| open(folder, &tenant, ledger);
    let Some(restored) = read_back(runtime, &Backup::new(place, name), until, open)? else {
        bail!("the backup of tenant {name} has nothing that far back");
    };
    let Restored {
        target, head, across, ..
    } = restored;
    drop(target);
    let reader = match folder.database() {
        None => folder.log(&tenant)?,
        Some(database) => Reader::Postgres(database.reader(name)?),
    };
    let mut progress = Progress::start(&format!("checking {name}"), Some(head.position.0));
    let verified = reader.verify(|Position(at)| progress.show(at, at, "events", ""))?;
    progress.finish();
    ensure!(
        (verified.position, verified.hash) == (head.position, head.hash),
        "the log of tenant {name} ends at {} where it was restored, and at {} in the backup",
        verified.position,
        head.position
    );
    let at = DateTime::from_timestamp_micros(head.recorded_at.micros())
        .map_or_else(String::new, |at| at.to_rfc3339_opts(SecondsFormat::Micros, true));
    super::write_out(&format!(
        "{name}: restored up to position {}, recorded at {at}, with hash {}\n",
        head.position, head.hash
    ))?;
    match (until, across) {
        (Until::Position(asked), Some(end)) => super::write_out(&format!(
            "{name}: position {asked} lies within a commit, of {} to {end}, which is restored whole or not at all\n",
            head.position.next()
        ))?,
        (Until::Position(asked), None) if head.position < asked => {
            super::write_out(&format!(
                "{name}: the backup ends there, before position {asked}\n"
            ))?;
        }
        _ => {}
    }
    Ok(head)
}

/// Reads a backup back, commit by commit, each checked on both sides.
fn read_back(
    runtime: &Runtime,
    backup: &Backup,
    until: Until,
    open: impl FnOnce(LedgerId) -> anyhow::Result<Target>,
) -> anyhow::Result<Option<Restored>> {
    let mut chunks = runtime.block_on(backup.chunks())?;
    let mut progress = Progress::start(&format!("restoring {}", backup.tenant()), None);
    let mut open = Some(open);
    let mut restored: Option<Restored> = None;
    let mut across = None;
    let mut is_over = false;
    while let (false, Some(chunk)) = (is_over, runtime.block_on(chunks.next())?) {
        let mut bodies = Vec::new();
        for commit in chunk.commits() {
            let commit = commit.map_err(anyhow::Error::msg)?;
            if !until.has(&commit.head) {
                if let Until::Position(asked) = until
                    && commit.first <= asked
                {
                    across = Some(commit.head.position);
                }
                is_over = true;
                break;
            }
            let one = match &mut restored {
                Some(one) => one,
                None => {
                    let open = open.take().context("a target is opened once")?;
                    restored.insert(Restored::begin(open(chunk.ledger)?, chunk.ledger))
                }
            };
            if one.lacks(&commit, backup.tenant())? {
                let wrong = || format!("the commit at position {} cannot be read", commit.first);
                bodies.push(body_from(commit.body).with_context(wrong)?);
            }
        }
        let Some(one) = &mut restored else { break };
        if !bodies.is_empty() {
            let head = one.target.append(&bodies)?;
            ensure!(
                head == one.head,
                "the commit that ends at position {} has another hash where it goes",
                one.head.position
            );
        }
        progress.show(one.head.position.0, one.head.position.0, "events", "");
    }
    progress.finish();
    if let Some(one) = &mut restored {
        if one.head.position <= one.found.position {
            one.check_found(backup.tenant())?;
        }
        one.across = across;
    }
    Ok(restored)
}

/// Where a ledger goes: new, or as far as an earlier restore came.
fn open(folder: &DataFolder, tenant: &TenantName, ledger: LedgerId) -> anyhow::Result<Target> {
    let Some(database) = folder.database() else {
        let dir = folder.ledger_path(tenant);
        std::fs::create_dir_all(&dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        let options = segment::Options {
            ledger: Some(ledger),
            ..segment::Options::default()
        };
        let opened = Log::open(Arc::new(RealDisk), &dir, options)?;
        return Ok(Target::Segment(Box::new(opened.appender)));
    };
    if let Some(there) = database.ledger(tenant.as_str())?
        && there.moved_to.as_deref() != Some(UNFINISHED)
    {
        bail!(
            "the database has a ledger of tenant {tenant} already, which ends at position {}: name another database",
            there.head.position
        );
    }
    let opened = database.open_for_moving(tenant.as_str(), ledger, UNFINISHED)?;
    Ok(Target::Postgres(Box::new(opened.appender)))
}

/// Users and keys from the newest copy; where there is none, the tenants alone.
fn restore_accounts(
    runtime: &Runtime,
    config: &Config,
    folder: &DataFolder,
    place: &Place,
    tenants: &[String],
) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let file = scratch.path().join("accounts.db");
    let kept = runtime.block_on(place.accounts())?;
    // A database's may be newer than any copy, and other tenants' as well: what is there stays.
    if folder.database().is_none() {
        folder.clear_restored_accounts()?;
    }
    let said = runtime.block_on(async {
        let here = folder.accounts(config).await?;
        let said = match kept {
            Some((at, bytes)) => {
                std::fs::write(&file, bytes)?;
                let copy = Accounts::open(&file, bincard_access::Options::default()).await?;
                let mut carried = bincard_access::Carried::default();
                for tenant in tenants {
                    let one = copy.copy_to(&here, Some(tenant)).await?;
                    carried.users += one.users;
                    carried.keys += one.keys;
                }
                copy.close().await?;
                format!(
                    "accounts: {} users and {} API keys, as of {}; everybody signs in anew\n",
                    carried.users,
                    carried.keys,
                    crate::output::instant(UnixMs(at))
                )
            }
            None => "accounts: the backup has no copy; `serve` makes a new first ADMIN\n".to_owned(),
        };
        let known = here.tenants().await?;
        for tenant in tenants {
            if !known.iter().any(|one| one.name.as_str() == tenant) {
                here.tenant_add(tenant).await?;
            }
        }
        here.close().await?;
        anyhow::Ok(said)
    })?;
    super::write_out(&said)
}

/// The installation that the configuration names, if it can be looked at.
fn live_of(config: &Config) -> anyhow::Result<Option<(DataFolder, Option<crate::folder::Claim>)>> {
    let Ok(folder) = DataFolder::existing(config) else {
        return Ok(None);
    };
    if folder.database().is_some() {
        return Ok(Some((folder, None)));
    }
    Ok(folder.claim_if_free()?.map(|claim| (folder, Some(claim))))
}

fn compare(
    live: Option<&(DataFolder, Option<crate::folder::Claim>)>,
    tenant: &TenantName,
    head: &Head,
) -> anyhow::Result<()> {
    let Some((folder, _claim)) = live else {
        return super::write_out(&format!(
            "{tenant}: not compared with a live log: none is here, or a server has it\n"
        ));
    };
    if !folder.has_ledger(tenant)? {
        return super::write_out(&format!("{tenant}: not compared with a live log: none is here\n"));
    }
    let reader = folder.log(tenant)?;
    let there = reader.head().position;
    ensure!(
        there >= head.position,
        "{tenant}: the live log ends at position {there}, before the backup: it has lost events, or was restored"
    );
    ensure!(
        reader.hash_at(head.position)? == Some(head.hash),
        "{tenant}: the live log has another hash at position {}: it is another history",
        head.position
    );
    super::write_out(&format!(
        "{tenant}: the live log has the same hash at position {}, and {} events after it\n",
        head.position,
        grouped(there.0 - head.position.0)
    ))
}
