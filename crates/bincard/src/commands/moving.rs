//! `bincard move`: ledgers from a stopped data folder into PostgreSQL, and back.
//!
//! Copy, seal what they come from, copy what came meanwhile, check the whole chain, take the seal off where they are now. A
//! move that was interrupted anywhere goes on when it is asked for again, and at no moment do both places take events.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use bincard_projections::postgres::Database as Views;
use bincard_projections::reconcile::{self, Kept};
use bincard_store::disk::RealDisk;
use bincard_store::moving::{self, Target};
use bincard_store::postgres::{Database, Listed};
use bincard_store::segment::{self, Log};
use bincard_store::{Head, Reader, whereabouts};
use clap::Args;

use crate::config::{Config, Secret};
use crate::exit::WrongUse;
use crate::folder::DataFolder;
use crate::progress::Progress;

/// What a ledger says of itself until all of it is there.
const UNFINISHED: &str = "nowhere yet, it is being moved here: finish `bincard move`";

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct Move {
    /// Where to: the address of a PostgreSQL database, or a data folder
    #[arg(long, value_name = "URL or FOLDER")]
    to: String,
    /// Only this tenant's ledger
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
}

impl Move {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let from = DataFolder::existing(config)?;
        let _claim = from.claim()?;
        let is_database = self.to.starts_with("postgres://") || self.to.starts_with("postgresql://");
        match (from.database(), is_database) {
            (None, true) => {
                let database = Database::connect(&self.to)?;
                database.migrate()?;
                let views = Views::new(&self.to)?;
                views.migrate()?;
                let tenants = self.wanted(from.tenants_with_ledgers()?)?;
                for tenant in tenants {
                    into_database(&from.ledgers_path().join(&tenant), &database, &views, &tenant)?;
                }
                let to = from.on(database, Secret(self.to.clone()));
                self.move_accounts(config, &from, &to)
            }
            (Some(database), false) => {
                let to = DataFolder::at(Path::new(&self.to));
                // Back to the folder that this node has beside the database: it is claimed already.
                let is_same = from.is_same(&to);
                let _claim = (!is_same).then(|| to.claim()).transpose()?;
                let listed = database.ledgers()?.into_iter().map(|one| one.tenant).collect();
                for tenant in self.wanted(listed)? {
                    into_folder(&from, database, &to.ledgers_path().join(&tenant), &tenant)?;
                }
                self.move_accounts(config, &from, &to)
            }
            (None, false) => Err(WrongUse(format!(
                "--to {}: from a data folder ledgers move to a database, such as postgres://user@host/name (a folder is \
                 moved by copying it while it is stopped)",
                self.to
            ))
            .into()),
            (Some(_), true) => Err(WrongUse(
                "--to: from a database ledgers move to a data folder, and from there to another database".to_owned(),
            )
            .into()),
        }
    }

    /// Users and keys work where the ledgers are now; they stay where they were, too, until that is removed.
    fn move_accounts(&self, config: &Config, from: &DataFolder, to: &DataFolder) -> anyhow::Result<()> {
        let carried = super::block_on(async {
            let (here, there) = (from.accounts(config).await?, to.accounts(config).await?);
            let carried = here.copy_to(&there, self.tenant.as_deref()).await?;
            here.close().await?;
            there.close().await?;
            Ok(carried)
        })?;
        super::write_out(&format!(
            "accounts: {} tenants, {} users and {} API keys that were not there; everybody signs in anew\n",
            carried.tenants, carried.users, carried.keys
        ))
    }

    fn wanted(&self, all: Vec<String>) -> anyhow::Result<Vec<String>> {
        let Some(wanted) = &self.tenant else {
            return Ok(all);
        };
        ensure!(
            all.contains(wanted),
            "tenant {wanted} has no ledger there: nothing was recorded yet"
        );
        Ok(vec![wanted.clone()])
    }
}

fn into_database(dir: &Path, database: &Database, views: &Views, tenant: &str) -> anyhow::Result<()> {
    let here = database.whereabouts();
    let left_for = segment::moved_to(&RealDisk, dir)?;
    if let Some(to) = left_for.as_deref().filter(|to| *to != here) {
        bail!("the ledger of tenant {tenant} {} already", whereabouts(to));
    }
    let there = database.ledger(tenant)?;
    match &there {
        None if left_for.is_some() => bail!(
            "the ledger of tenant {tenant} has moved to {here}, which has no such ledger: name the database that has it, or \
             restore a backup"
        ),
        Some(Listed { moved_to: None, .. }) if left_for.is_some() => {
            return super::write_out(&format!("{tenant}: has moved to {here} already\n"));
        }
        _ => {}
    }
    let source = open_moved(dir, None)?;
    let reader = Reader::from(source.reader);
    let opened = database.open_for_moving(tenant, reader.ledger(), UNFINISHED)?;
    let tenants = [tenant.to_owned()];
    match there.map(|one| one.moved_to) {
        None => {}
        Some(None) => bail!(
            "the ledger of tenant {tenant} is in that database already and takes events there: what {} has is a copy or \
             another history, and stays",
            dir.display()
        ),
        Some(Some(seal)) if seal == UNFINISHED => {}
        // It was there before, and this folder alone takes events since it came back.
        Some(Some(to)) if left_for.is_none() && is_folder(&to, dir) => {
            database.change_seal(&tenants, Some(&to), Some(UNFINISHED))?;
        }
        Some(Some(to)) => bail!(
            "that database had the ledger of tenant {tenant} before, which {}: go on from there",
            whereabouts(&to)
        ),
    }
    let mut target = Target::Postgres(Box::new(opened.appender));
    // The folder is this process's own: nothing can come meanwhile.
    let head = copy(&reader, &mut target, tenant)?;
    segment::seal(&RealDisk, dir, &here)?;
    drop(target);
    let there = Reader::Postgres(
        database
            .open_for_moving(tenant, reader.ledger(), UNFINISHED)?
            .reader,
    );
    check(&there, &head, tenant)?;
    let went_along = take_along((Kept::Folder(dir), Kept::Postgres(views, reader.ledger())))?;
    database.change_seal(&tenants, Some(UNFINISHED), None)?;
    say(tenant, &head, &here, went_along)
}

fn into_folder(from: &DataFolder, database: &Database, dir: &Path, tenant: &str) -> anyhow::Result<()> {
    let here = std::path::absolute(dir)?.display().to_string();
    let listed = database.ledger(tenant)?;
    let listed = listed.with_context(|| format!("tenant {tenant} has no ledger there"))?;
    if let Some(to) = &listed.moved_to
        && *to != here
    {
        bail!("the ledger of tenant {tenant} {}", whereabouts(to));
    }
    // A folder that is new, or that this ledger once left for this database; sealed until all of it is there.
    if std::fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none()) {
        ensure!(
            listed.moved_to.is_none(),
            "the ledger of tenant {tenant} has moved to {here}, and is not there: look for the folder that has it, perhaps on \
             another machine, or restore a backup"
        );
        std::fs::create_dir_all(dir).with_context(|| format!("{} cannot be made", dir.display()))?;
        segment::seal(&RealDisk, dir, UNFINISHED)?;
    }
    match segment::moved_to(&RealDisk, dir)? {
        Some(to) => ensure!(
            to == UNFINISHED || to == database.whereabouts(),
            "{} has a ledger that {}: name another folder",
            dir.display(),
            whereabouts(&to)
        ),
        None => ensure!(
            listed.moved_to.is_some(),
            "{} has a ledger that has not moved away: remove it if it is not wanted, or name another folder",
            dir.display()
        ),
    }
    let opened = open_moved(dir, Some(listed.ledger))?;
    ensure!(
        opened.ledger == listed.ledger,
        "{} has another ledger: name another folder",
        dir.display()
    );
    let mut target = Target::Segment(Box::new(opened.appender));
    let bincard_store::postgres::Opened { reader, .. } =
        database.open_for_moving(tenant, listed.ledger, UNFINISHED)?;
    copy(&Reader::Postgres(reader.clone()), &mut target, tenant)?;
    // Nodes that still run append until this moment and no longer.
    database.change_seal(&[tenant.to_owned()], listed.moved_to.as_deref(), Some(&here))?;
    reader.announce(reader.look_ahead()?);
    let head = copy(&Reader::Postgres(reader), &mut target, tenant)?;
    check(&Reader::from(opened.reader), &head, tenant)?;
    drop(target);
    let went_along = match from.views_database() {
        Some(views) if segment::moved_to(&RealDisk, dir)?.is_some() => {
            take_along((Kept::Postgres(views, listed.ledger), Kept::Folder(dir)))?
        }
        _ => 0,
    };
    segment::unseal(&RealDisk, dir)?;
    say(tenant, &head, &here, went_along)
}

/// Whether what a seal names is this folder, by whatever path.
fn is_folder(named: &str, dir: &Path) -> bool {
    let (named, dir) = (Path::new(named).canonicalize(), dir.canonicalize());
    matches!((named, dir), (Ok(named), Ok(dir)) if named == dir)
}

fn open_moved(dir: &Path, ledger: Option<bincard_ledger::LedgerId>) -> anyhow::Result<segment::Opened> {
    let options = segment::Options {
        ledger,
        ..segment::Options::default()
    };
    let dir: PathBuf = dir.to_owned();
    Log::open_moved(Arc::new(RealDisk), &dir, options)
        .with_context(|| format!("the log in {} cannot be opened", dir.display()))
}

fn copy(from: &Reader, target: &mut Target, tenant: &str) -> anyhow::Result<Head> {
    let whole = from.head().position.0;
    let mut progress = Progress::start(&format!("moving {tenant}"), Some(whole));
    let head = moving::copy(from, target, |at| progress.show(at.0, at.0, "events", ""))?;
    progress.finish();
    Ok(head)
}

/// Reads all of it where it is now.
fn check(there: &Reader, head: &Head, tenant: &str) -> anyhow::Result<()> {
    let mut progress = Progress::start(&format!("checking {tenant}"), Some(head.position.0));
    let verified = there.verify(|at| progress.show(at.0, at.0, "events", ""))?;
    progress.finish();
    let found = (verified.position, verified.hash);
    ensure!(
        found == (head.position, head.hash),
        "the log of tenant {tenant} ends at {} there, and at {} where it comes from: nothing was unsealed, move it again",
        verified.position,
        head.position
    );
    Ok(())
}

/// Reconciliations do not follow from the log. They are copied while the ledger is sealed on both sides.
fn take_along((from, to): (Kept<'_>, Kept<'_>)) -> anyhow::Result<u64> {
    let copied = super::block_on(async { Ok(reconcile::copy(from, to).await?) });
    copied.context("the reconciliations could not be taken along: nothing was unsealed, move it again")
}

fn say(tenant: &str, head: &Head, to: &str, reconciliations: u64) -> anyhow::Result<()> {
    super::write_out(&format!(
        "{tenant}: {} events moved to {to}; the head's hash is {} as before\n",
        head.position, head.hash
    ))?;
    if reconciliations > 0 {
        super::write_out(&format!(
            "{tenant}: {reconciliations} reconciliations went along\n"
        ))?;
    }
    Ok(())
}
