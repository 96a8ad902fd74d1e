//! `bincard verify`: hold everything against the log, and the log against itself.

use std::io::Write as _;

use bincard_ledger::{Position, State};
use bincard_projections::{Difference, Projector, Verified, ViewName, verify};
use bincard_store::segment::Reader;
use clap::Args;

use super::rebuild::caught_up;
use crate::config::Config;
use crate::exit::SaidAlready;
use crate::folder::DataFolder;
use crate::import::grouped;
use crate::progress::Progress;

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// The tenant
    #[arg(long, default_value = "default", value_name = "NAME")]
    tenant: String,
}

impl Verify {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let folder = DataFolder::existing(config)?;
        let _claim = folder.claim()?;
        let tenant = super::tenant_of(&folder, config, &self.tenant)?;
        let reader = folder.log(&tenant)?.reader;
        verify_log(&reader)?;
        verify_state(&reader)?;
        let views = folder.views_path(&tenant);
        super::block_on(async {
            // Views that lag behind are no error; they are brought up first, so that all of them is looked at.
            let projector = Projector::open(&views, reader.clone())?;
            caught_up(&projector, &ViewName::ALL, "catching up", &reader).await?;
            projector.close();
            let mut progress = Progress::start("views", None);
            let verified = verify(&views, &reader, &ViewName::ALL, |at| {
                let more = format!(", {} rows of {} compared", grouped(at.rows), at.view);
                progress.show(at.folded.0, at.folded.0, "events", &more);
            });
            let verified = verified.await?;
            progress.finish();
            tell(&verified)
        })
    }
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

fn tell(verified: &[Verified]) -> anyhow::Result<()> {
    let mut differing = 0;
    for one in verified {
        let (view, rows, at) = (one.view, grouped(one.rows), one.position);
        if one.differing == 0 {
            super::write_out(&format!(
                "{view}: {rows} rows are what the log makes of them at position {at}\n"
            ))?;
            continue;
        }
        differing += one.differing;
        super::write_out(&format!(
            "{view}: {} of {rows} rows differ at position {at}\n",
            grouped(one.differing)
        ))?;
        for difference in &one.differences {
            super::write_out(&line_of(difference))?;
        }
    }
    if differing == 0 {
        return Ok(());
    }
    let views: Vec<_> = verified
        .iter()
        .filter(|one| one.differing > 0)
        .map(|one| one.view.as_str())
        .collect();
    // With standard error closed, the exit code says it.
    let _ = writeln!(
        std::io::stderr(),
        "bincard: {} rows of views differ from the log, which is whole: `bincard rebuild {}` puts them right",
        grouped(differing),
        views.join(" ")
    );
    Err(SaidAlready.into())
}

fn line_of(difference: &Difference) -> String {
    let Difference {
        table,
        key,
        expected,
        found,
        first,
    } = difference;
    let absent = || "no such row".to_owned();
    let first = first.map_or_else(|| "no event".to_owned(), |first| format!("event {first}"));
    format!(
        "  {table} ({key}): the log says {}, the view {}; from {first} on\n",
        expected.clone().unwrap_or_else(absent),
        found.clone().unwrap_or_else(absent),
    )
}
