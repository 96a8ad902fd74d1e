//! `bincard restore`: ledgers from a backup into a new folder or database, and the drill that shows that it works.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use bincard_access::{Accounts, TenantName, UnixMs};
use bincard_backup::{Backup, Place};
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

/// What a folder says of itself until all of it is there.
const UNFINISHED: &str = "nowhere yet, it was being restored: remove the folder and restore it again";

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

/// A ledger that was read back.
struct Restored {
    target: Target,
    head: Head,
    /// Where the commit ends that lies across the position that was asked for.
    across: Option<Position>,
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
        if folder.database().is_none() {
            refuse_what_has_something(&config.data_dir)?;
        }
        let _claim = folder.claim()?;
        for tenant in &tenants {
            restore(&runtime, &folder, &place, tenant, until)?;
        }
        restore_accounts(&runtime, config, &folder, &place, &tenants)
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

/// Restores one ledger, checks it where it is now, and tells what it is.
fn restore(
    runtime: &Runtime,
    folder: &DataFolder,
    place: &Place,
    name: &str,
    until: Until,
) -> anyhow::Result<Head> {
    let tenant = TenantName::parse(name)?;
    let dir = folder.ledger_path(&tenant);
    let open = |ledger| match folder.database() {
        None => open_folder(&dir, ledger),
        Some(database) => {
            if let Some(there) = database.ledgers()?.into_iter().find(|one| one.tenant == name)
                && (there.head.position.0 > 0 || there.ledger != ledger)
            {
                bail!(
                    "the database has a ledger of tenant {name} already, which ends at position {}: name another database",
                    there.head.position
                );
            }
            let opened = database.open_for_moving(name, ledger)?;
            Ok(Target::Postgres(Box::new(opened.appender)))
        }
    };
    let Some(restored) = read_back(runtime, &Backup::new(place, name), until, open)? else {
        bail!("the backup of tenant {name} has nothing that far back");
    };
    let Restored { target, head, across } = restored;
    drop(target);
    let reader = match folder.database() {
        None => Log::open_moved(Arc::new(RealDisk), &dir, segment::Options::default())?
            .reader
            .into(),
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
    match folder.database() {
        None => segment::unseal(&RealDisk, &dir)?,
        Some(database) => database.unseal(name)?,
    }
    let at = DateTime::from_timestamp_micros(head.recorded_at.micros())
        .map_or_else(String::new, |at| at.to_rfc3339_opts(SecondsFormat::Micros, true));
    super::write_out(&format!(
        "{name}: restored up to position {}, recorded at {at}, with hash {}\n",
        head.position, head.hash
    ))?;
    if let (Until::Position(asked), Some(end)) = (until, across) {
        super::write_out(&format!(
            "{name}: position {asked} lies within a commit, of {} to {end}, which is restored whole or not at all\n",
            head.position.next()
        ))?;
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
    let mut is_over = false;
    while let (false, Some(chunk)) = (is_over, runtime.block_on(chunks.next())?) {
        let (mut bodies, mut last, mut across) = (Vec::new(), None, None);
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
            let wrong = || format!("the commit at position {} cannot be read", commit.first);
            bodies.push(body_from(commit.body).with_context(wrong)?);
            last = Some(commit.head);
        }
        if let Some(last) = last {
            let target = match restored.take() {
                Some(restored) => restored.target,
                None => open.take().context("a target is opened once")?(chunk.ledger)?,
            };
            let mut one = Restored {
                target,
                head: last,
                across: None,
            };
            let head = one.target.append(&bodies)?;
            ensure!(
                head == last,
                "the commit that ends at position {} has another hash where it goes",
                last.position
            );
            progress.show(head.position.0, head.position.0, "events", "");
            restored = Some(one);
        }
        if let Some(restored) = &mut restored {
            restored.across = across;
        }
    }
    progress.finish();
    Ok(restored)
}

fn open_folder(dir: &Path, ledger: LedgerId) -> anyhow::Result<Target> {
    std::fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
    segment::seal(&RealDisk, dir, UNFINISHED)?;
    let options = segment::Options {
        ledger: Some(ledger),
        ..segment::Options::default()
    };
    let opened = Log::open_moved(Arc::new(RealDisk), dir, options)?;
    Ok(Target::Segment(Box::new(opened.appender)))
}

/// A restore never touches what is there.
fn refuse_what_has_something(dir: &Path) -> Result<(), WrongUse> {
    let is_empty = match std::fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => !dir.exists(),
    };
    if is_empty {
        return Ok(());
    }
    Err(WrongUse(format!(
        "{} has something in it already: a backup is restored into a new folder only; name one by --data-dir",
        dir.display()
    )))
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
