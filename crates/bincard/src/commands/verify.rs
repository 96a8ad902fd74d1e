//! `bincard verify`: hold everything against the log, and the log against itself.

use std::io::Write as _;

use bincard_access::TenantName;
use bincard_backup::Backup;
use bincard_ledger::{Position, State};
use bincard_projections::{Difference, Place, Projector, Replaced, Verified, ViewName, verify};
use bincard_store::disk::RealDisk;
use bincard_store::postgres::Repaired;
use bincard_store::segment;
use bincard_store::{CopyError, Reader};
use clap::Args;

use super::rebuild::caught_up;
use crate::config::Config;
use crate::exit::{SaidAlready, chain_of, shown};
use crate::folder::DataFolder;
use crate::import::grouped;
use crate::progress::Progress;

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// The tenant
    #[arg(long, default_value = "default", value_name = "NAME")]
    tenant: String,
    /// Write damaged commits of the log again before, from this backup: a folder, or s3://bucket/prefix
    #[arg(long, value_name = "FOLDER or URL")]
    repair_from: Option<String>,
}

impl Verify {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let folder = DataFolder::existing(config)?;
        let _claim = folder.claim()?;
        let tenant = super::tenant_of(&folder, config, &self.tenant)?;
        if let Some(from) = &self.repair_from {
            repair(&folder, &tenant, from)?;
        }
        verify_all(&folder.log(&tenant)?, folder.views(&tenant))
    }
}

/// Writes what is damaged in a log again, from a backup, where the log itself proves what stood there.
fn repair(folder: &DataFolder, tenant: &TenantName, from: &str) -> anyhow::Result<()> {
    let backup = Backup::new(&bincard_backup::Place::open(from)?, tenant.as_str());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let copy =
        |ledger, first| -> Result<_, CopyError> { Ok(runtime.block_on(backup.body_at(ledger, first))?) };
    // Each is told as it is written, whatever comes after; that it cannot be said holds nothing up.
    let mut repaired = 0_u64;
    let mut say = |what: &str| {
        repaired += 1;
        let _ = super::write_out(what);
    };
    let commit = |first, last, what: &str| {
        format!("log: positions {first} to {last} were damaged{what}, and are what their hash says again\n")
    };
    let dir = folder.ledger_path(tenant);
    match folder.database() {
        None => segment::repair(&RealDisk, &dir, copy, |one| {
            let kept = one.kept.display();
            let what = format!(
                " in segment {} at byte {} (kept as it was: {kept})",
                one.segment, one.byte
            );
            say(&commit(one.first, one.last, &what));
        })?,
        Some(database) => database.repair(tenant.as_str(), &dir.join("damaged"), copy, |one| match one {
            Repaired::Commit { first, last, kept } => {
                let what = format!(" (kept as they were: {})", kept.display());
                say(&commit(first, last, &what));
            }
            Repaired::Outside { end, rows, kept } => say(&format!(
                "log: {rows} rows stood outside of it, which ends at position {end}, and are taken away (kept: {})\n",
                kept.display()
            )),
        })?,
    }
    if repaired == 0 {
        super::write_out("log: no commit is damaged\n")?;
    }
    Ok(())
}

/// Holds a log against itself, and its views against the log; tells what was found, and fails if anything was.
pub(crate) fn verify_all(reader: &Reader, views: Place) -> anyhow::Result<()> {
    verify_log(reader)?;
    verify_state(reader)?;
    super::block_on(async {
        // Views that lag behind are no error; they are brought up first, so that all of them is looked at.
        let projector = Projector::open(views.clone(), reader.clone())?;
        let (mut ready, mut stuck) = (Vec::new(), Vec::new());
        for view in ViewName::ALL {
            match caught_up(&projector, &[view], "catching up", reader).await {
                Ok(()) => ready.push(view),
                Err(error) => stuck.push(error),
            }
        }
        let statuses = projector.views().status();
        projector.close();
        let mut progress = Progress::start("views", None);
        let verified = verify(views, reader, &ready, |at| {
            let more = format!(", {} rows of {} compared", grouped(at.rows), at.view);
            progress.show(at.folded.0, at.folded.0, "events", &more);
        });
        let verified = verified.await?;
        progress.finish();
        // What opening a view met is gone by now, and must be told all the same.
        let replaced: Vec<_> = statuses
            .into_iter()
            .filter_map(|one| Some((one.view, one.replaced?)))
            .collect();
        tell(&replaced, &verified)?;
        conclude(&replaced, &verified, &stuck)
    })
}

/// Every commit's checksum and the chain over all of them, up to the head.
fn verify_log(reader: &Reader) -> anyhow::Result<()> {
    let mut progress = Progress::start("log", Some(reader.head().position.0));
    let verified = reader.verify(|Position(at)| progress.show(at, at, "events", ""))?;
    progress.finish();
    super::write_out(&format!(
        "log: {} events in {} commits are whole, and chained to hash {}\n",
        grouped(verified.position.0),
        grouped(verified.commits),
        verified.hash
    ))
}

/// Every event follows from those before it.
fn verify_state(reader: &Reader) -> anyhow::Result<()> {
    let mut state = State::new(reader.ledger());
    let mut progress = Progress::start("state", Some(reader.head().position.0));
    bincard_engine::replay(reader, &mut state, |Position(at)| {
        progress.show(at, at, "events", "")
    })?;
    progress.finish();
    super::write_out("state: every event follows from those before it\n")
}

/// Tells what was found, view by view.
fn tell(replaced: &[(ViewName, Replaced)], verified: &[Verified]) -> anyhow::Result<()> {
    for (view, old) in replaced {
        let what = if old.outdated {
            "of an older version of this program"
        } else {
            "damaged"
        };
        super::write_out(&format!(
            "{view}: generation {} was {what} and has been built anew: {}\n",
            old.generation,
            shown(&old.why)
        ))?;
    }
    for one in verified {
        let (view, rows, at) = (one.view, grouped(one.rows), one.position);
        if one.is_well() {
            super::write_out(&format!(
                "{view}: {rows} rows are what the log makes of them at position {at}\n"
            ))?;
        } else if !one.damage.is_empty() {
            super::write_out(&format!("{view}: generation {} is damaged\n", one.generation))?;
            for line in &one.damage {
                super::write_out(&format!("  {}\n", shown(line)))?;
            }
        } else {
            super::write_out(&format!(
                "{view}: {} of {rows} rows differ at position {at}\n",
                grouped(one.differing)
            ))?;
            for difference in &one.differences {
                super::write_out(&line_of(difference))?;
            }
        }
    }
    Ok(())
}

/// Says what is to be done, and fails if anything was found.
fn conclude(
    replaced: &[(ViewName, Replaced)],
    verified: &[Verified],
    stuck: &[anyhow::Error],
) -> anyhow::Result<()> {
    let names = |which: &dyn Fn(&Verified) -> bool| -> String {
        let named = verified.iter().filter(|one| which(one));
        named.map(|one| one.view.as_str()).collect::<Vec<_>>().join(" ")
    };
    let mut said = Vec::new();
    for (view, _) in replaced.iter().filter(|(_, old)| !old.outdated) {
        said.push(format!(
            "the view {view} was damaged and has been built anew from the log, which is whole; look for what damaged it"
        ));
    }
    let damaged = names(&|one| !one.damage.is_empty());
    if !damaged.is_empty() {
        let (are, them) = if damaged.contains(' ') {
            ("views are", "them")
        } else {
            ("a view is", "it")
        };
        said.push(format!(
            "{are} damaged, and the log is whole: `bincard rebuild {damaged}` builds {them} anew from the log"
        ));
    }
    let differing: u64 = verified.iter().map(|one| one.differing).sum();
    if differing > 0 {
        said.push(format!(
            "{} rows of views differ from the log, which is whole: `bincard rebuild {}` puts them right",
            grouped(differing),
            names(&|one| one.differing > 0)
        ));
    }
    said.extend(stuck.iter().map(chain_of));
    for what in &said {
        // With standard error closed, the exit code says it.
        let _ = writeln!(std::io::stderr(), "bincard: {}", shown(what));
    }
    if said.is_empty() {
        Ok(())
    } else {
        Err(SaidAlready.into())
    }
}

fn line_of(difference: &Difference) -> String {
    let Difference {
        table,
        key,
        expected,
        found,
        first,
        ..
    } = difference;
    // Some tables are all key.
    let row = |shown: &Option<String>| match shown.as_deref() {
        None => "no such row".to_owned(),
        Some("") => "such a row".to_owned(),
        Some(shown) => shown.to_owned(),
    };
    let first = first.map_or_else(String::new, |first| format!("; from event {first} on"));
    format!(
        "  {table} ({key}): the log says {}, the view {}{first}\n",
        row(expected),
        row(found),
    )
}
