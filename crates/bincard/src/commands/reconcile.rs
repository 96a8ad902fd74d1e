//! `bincard reconcile`: replay the log and compare every view with it, in a stopped folder or on a running server.

mod outside;
mod server;
mod source;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use bincard_ledger::Timestamp;
use bincard_projections::history::AsOf;
use bincard_projections::reconcile::{
    Asked, Options, Phase, Reconciler, Reconciliations, Run, RunDifference, RunState,
};
use bincard_projections::{Projector, Slice, ViewName};
use chrono::DateTime;
use clap::Args;

use super::rebuild::caught_up;
use crate::asking::Where;
use crate::config::Config;
use crate::exit::{SaidAlready, WrongUse, shown};
use crate::folder::{DataFolder, engine_options};
use crate::import::grouped;
use crate::progress::Progress;

/// How often to look how far a run is.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Differences that are read at once.
const PAGE: usize = 500;

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct Reconcile {
    /// Compare what is answered of the stock as it was at this instant, such as 2026-01-31T00:00:00Z
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<String>,
    /// Compare what is answered of the stock as it was known at this instant
    #[arg(long, value_name = "INSTANT")]
    known_at: Option<String>,
    /// Compare what was counted or reported outside: a CSV file with the columns `warehouse` (or `warehouseId`), `sku` (or
    /// `variantId`) and `quantity`, or NDJSON lines with such fields
    #[arg(long, conflicts_with_all = ["as_of", "known_at"], value_name = "FILE")]
    source: Option<PathBuf>,
    /// When that was counted or reported [default: now]
    #[arg(long, requires = "source", value_name = "INSTANT")]
    reported_at: Option<String>,
    /// Which figure it tells: onHand or available
    #[arg(long, requires = "source", default_value = "onHand", value_name = "FIGURE")]
    measures: String,
    /// Correct the ledger by what is unexplained, each line once
    #[arg(long, requires = "source")]
    apply: bool,
    /// Reconcile on the server at this address, instead of in a stopped data folder
    #[arg(long, requires = "key", value_name = "URL")]
    url: Option<String>,
    /// The API key to show the server, of a MANAGER or ADMIN
    #[arg(long, env = "BINCARD_KEY", hide_env_values = true, value_name = "KEY")]
    key: Option<String>,
    /// The tenant (without --url)
    #[arg(long, default_value = "default", value_name = "NAME", conflicts_with = "url")]
    tenant: String,
}

/// A difference to be told, wherever it was found.
struct Told {
    view: String,
    table: String,
    key: String,
    field: Option<String>,
    expected: Option<String>,
    found: Option<String>,
    first: Option<u64>,
}

/// What was found, wherever.
struct Outcome {
    id: u64,
    views: Vec<ViewOutcome>,
    differing: u64,
}

/// What was found of a view.
struct ViewOutcome {
    view: String,
    rows: u64,
    differing: u64,
    unnamed: u64,
    position: u64,
    damage: Option<String>,
}

impl Reconcile {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let past = AsOf {
            as_of: self
                .as_of
                .as_deref()
                .map(|text| instant("--as-of", text))
                .transpose()?,
            known_at: self
                .known_at
                .as_deref()
                .map(|text| instant("--known-at", text))
                .transpose()?,
        };
        if self.source.is_some() {
            let place = Where {
                url: self.url.clone(),
                key: self.key.clone(),
                tenant: self.tenant.clone(),
            };
            return outside::reconcile(&place, config, &source::read(&self)?, self.apply);
        }
        match (&self.url, &self.key) {
            (Some(url), Some(key)) => {
                server::reconcile(url, key, self.as_of.as_deref(), self.known_at.as_deref())
            }
            _ => self.in_folder(config, past),
        }
    }

    fn in_folder(&self, config: &Config, past: AsOf) -> anyhow::Result<()> {
        let folder = DataFolder::existing(config)?;
        let _claim = folder.claim()?;
        let tenant = super::tenant_of(&folder, config, &self.tenant)?;
        let reader = folder.log(&tenant)?;
        let views = folder.views(&tenant);
        super::block_on(async {
            let projector = Projector::open(views.clone(), reader.clone())?;
            caught_up(&projector, &ViewName::ALL, "catching up", &reader).await?;
            let options = Options {
                clock: engine_options(config).clock,
                audit_every: None,
                correct: None,
            };
            let reconciler = Reconciler::open(&folder.ledger_path(&tenant), views, reader, options)?;
            let reconciliations = reconciler.reconciliations();
            let asked = Asked {
                past,
                author: "the command line".to_owned(),
                ..Asked::default()
            };
            let id = reconciliations.start(&asked).await?;
            let run = wait(reconciliations, id).await?;
            let outcome = Outcome::of(&run)?;
            tell_views(&outcome)?;
            let mut after = None;
            loop {
                let slice = Slice {
                    after,
                    skip: 0,
                    limit: PAGE,
                    with_total: false,
                };
                let page = reconciliations.differences(id, slice).await?;
                for one in &page.rows {
                    tell(&one.into())?;
                }
                after = page.rows.last().map(|one| one.no);
                if !page.more {
                    break;
                }
            }
            reconciler.close();
            projector.close();
            conclude(&outcome)
        })
    }
}

fn instant(option: &str, text: &str) -> Result<Timestamp, WrongUse> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| Timestamp::from_micros(at.timestamp_micros()))
        .map_err(|_| {
            WrongUse(format!(
                "{option}: {text:?} is not an instant such as 2026-01-31T00:00:00Z"
            ))
        })
}

/// Waits for the end of a run, and shows how far it is.
async fn wait(reconciliations: &Reconciliations, id: u64) -> anyhow::Result<Run> {
    let mut steps = Steps::default();
    loop {
        let Some((run, progress)) = reconciliations.run(id).await? else {
            bail!("reconciliation {id} is gone");
        };
        if run.state.is_over() {
            steps.finish();
            return Ok(run);
        }
        if let Some(progress) = progress {
            let view = match progress.phase {
                Phase::Replaying | Phase::Correcting => None,
                Phase::Comparing(view) => Some(view.as_str()),
            };
            steps.show(view, progress.folded.0, progress.through.0, progress.rows);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The progress of both phases, one after the other.
#[derive(Default)]
struct Steps {
    shown: Option<(bool, Progress)>,
}

impl Steps {
    fn show(&mut self, view: Option<&str>, replayed: u64, through: u64, rows: u64) {
        let is_comparing = view.is_some();
        if self.shown.as_ref().is_none_or(|(was, _)| *was != is_comparing) {
            self.finish();
            let progress = if is_comparing {
                Progress::start("comparing", None)
            } else {
                Progress::start("replaying", Some(through))
            };
            self.shown = Some((is_comparing, progress));
        }
        if let Some((_, progress)) = &mut self.shown {
            match view {
                Some(view) => progress.show(rows, rows, "rows", &format!(", now {view}")),
                None => progress.show(replayed, replayed, "events", &format!(" of {}", grouped(through))),
            }
        }
    }

    fn finish(&mut self) {
        if let Some((_, progress)) = self.shown.take() {
            progress.finish();
        }
    }
}

impl Outcome {
    fn of(run: &Run) -> anyhow::Result<Outcome> {
        check(run.id, run.state, run.error.as_deref())?;
        let views = run.compared.iter().map(|one| ViewOutcome {
            view: one.view.as_str().to_owned(),
            rows: one.rows,
            differing: one.differing,
            unnamed: one.unnamed,
            position: one.position.0,
            damage: one.damage.clone(),
        });
        Ok(Outcome {
            id: run.id,
            views: views.collect(),
            differing: run.differing,
        })
    }
}

/// Fails when a run did not come to its end.
fn check(id: u64, state: RunState, error: Option<&str>) -> anyhow::Result<()> {
    match state {
        RunState::Cancelled => bail!("reconciliation {id} was cancelled"),
        RunState::Failed => bail!(
            "reconciliation {id} failed: {}",
            error.unwrap_or("nobody knows why")
        ),
        _ => Ok(()),
    }
}

impl From<&RunDifference> for Told {
    fn from(one: &RunDifference) -> Told {
        Told {
            view: one.view.as_str().to_owned(),
            table: one.table.clone(),
            key: one.key.clone(),
            field: one.field.clone(),
            expected: one.expected.clone(),
            found: one.found.clone(),
            first: one.first.map(|at| at.0),
        }
    }
}

fn tell_views(outcome: &Outcome) -> anyhow::Result<()> {
    for one in &outcome.views {
        let ViewOutcome {
            view,
            rows,
            differing,
            position,
            damage,
            ..
        } = one;
        let rows = grouped(*rows);
        super::write_out(&match damage {
            Some(damage) => format!("{view}: it cannot be read: {}\n", shown(damage)),
            None if *differing == 0 => {
                format!("{view}: {rows} rows are what the log makes of them at position {position}\n")
            }
            None => format!(
                "{view}: {} of {rows} rows differ at position {position}\n",
                grouped(*differing)
            ),
        })?;
    }
    Ok(())
}

fn tell(told: &Told) -> anyhow::Result<()> {
    let Told {
        view,
        table,
        key,
        field,
        expected,
        found,
        first,
    } = told;
    // Some tables are all key.
    let side = |text: &Option<String>| match text.as_deref() {
        None => "no such row".to_owned(),
        Some("") => "such a row".to_owned(),
        Some(text) => shown(text),
    };
    let field = field
        .as_ref()
        .map_or_else(String::new, |field| format!(" {field}"));
    let first = first.map_or_else(String::new, |first| format!("; from event {first} on"));
    super::write_out(&format!(
        "  {view}: {table} ({}){field}: the log says {}, the view {}{first}\n",
        shown(key),
        side(expected),
        side(found)
    ))
}

/// Says what is to be done, and fails if anything was found.
fn conclude(outcome: &Outcome) -> anyhow::Result<()> {
    use std::io::Write as _;
    for one in outcome.views.iter().filter(|one| one.unnamed > 0) {
        let (view, unnamed) = (&one.view, grouped(one.unnamed));
        super::write_out(&format!(
            "  {view}: {unnamed} more rows that differ are not named\n"
        ))?;
    }
    let bad = outcome.views.iter();
    let bad = bad.filter(|one| one.differing > 0 || one.damage.is_some());
    let bad: Vec<&str> = bad.map(|one| one.view.as_str()).collect();
    if bad.is_empty() {
        return Ok(());
    }
    // With standard error closed, the exit code says it.
    let _ = writeln!(
        std::io::stderr(),
        "bincard: reconciliation {}: {} rows of views differ from the log: `bincard rebuild {}`, or POST \
         /api/v1/views/{{view}}/rebuild on a running server, puts them right",
        outcome.id,
        grouped(outcome.differing),
        bad.join(" ")
    );
    Err(SaidAlready.into())
}
