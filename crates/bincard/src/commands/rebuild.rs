//! `bincard rebuild`: build views anew from the log, beside those that are there, and swap them in.

use std::time::Duration;

use anyhow::bail;
use bincard_projections::{Projector, ViewName, ViewStatus, Views};
use bincard_store::Reader;
use clap::Args;

use crate::config::Config;
use crate::exit::WrongUse;
use crate::folder::DataFolder;
use crate::import::grouped;
use crate::progress::Progress;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// See the command line's own words.
#[derive(Args, Debug)]
pub(crate) struct Rebuild {
    /// Which views: stock, history, catalogue, reservations, exceptions, transfers, counts [default: all]
    #[arg(value_name = "VIEW")]
    views: Vec<String>,
    /// The tenant
    #[arg(long, default_value = "default", value_name = "NAME")]
    tenant: String,
}

impl Rebuild {
    pub(crate) fn run(self, config: &Config) -> anyhow::Result<()> {
        let views = self.views()?;
        let folder = DataFolder::existing(config)?;
        let _claim = folder.claim()?;
        let tenant = super::tenant_of(&folder, config, &self.tenant)?;
        let reader = folder.log(&tenant)?;
        super::block_on(async {
            let projector = Projector::open(folder.views(&tenant), reader.clone())?;
            caught_up(&projector, &views, "catching up", &reader).await?;
            for view in views {
                rebuild(projector.views(), view, &reader).await?;
                let position = projector
                    .views()
                    .status()
                    .into_iter()
                    .find(|one| one.view == view);
                let position = position.map_or(0, |one| one.position.0);
                super::write_out(&format!("{view}: built anew up to position {position}\n"))?;
            }
            projector.close();
            Ok(())
        })
    }

    fn views(&self) -> Result<Vec<ViewName>, WrongUse> {
        if self.views.is_empty() {
            return Ok(ViewName::ALL.to_vec());
        }
        let parse = |name: &String| {
            let known = ViewName::ALL.map(ViewName::as_str).join(", ");
            ViewName::parse(name)
                .ok_or_else(|| WrongUse(format!("there is no view {name:?}; there are {known}")))
        };
        self.views.iter().map(parse).collect()
    }
}

async fn rebuild(views: &Views, view: ViewName, reader: &Reader) -> anyhow::Result<()> {
    let whole = reader.head().position.0;
    let mut progress = Progress::start(view.as_str(), Some(whole));
    let finished = views.rebuild(view).await?.finished();
    let mut finished = std::pin::pin!(finished);
    loop {
        tokio::select! {
            done = &mut finished => {
                progress.finish();
                return Ok(done?);
            }
            () = tokio::time::sleep(LOOK_EVERY) => {
                let status = views.status().into_iter().find(|one| one.view == view);
                let at = status.and_then(|one| one.building).map_or(0, |at| at.0);
                progress.show(at, at, "events", &format!(" of {}", grouped(whole)));
            }
        }
    }
}

/// Waits until `views` have come to the head of the log, which does not move meanwhile. One that is damaged is built
/// anew by then.
pub(super) async fn caught_up(
    projector: &Projector,
    views: &[ViewName],
    what: &str,
    reader: &Reader,
) -> anyhow::Result<()> {
    let head = reader.head().position;
    let mut progress = Progress::start(what, Some(head.0));
    loop {
        match projector.views().wait_for(views, head, LOOK_EVERY).await {
            Ok(()) => {
                progress.finish();
                return Ok(());
            }
            Err(bincard_projections::Error::Behind { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let status = projector.views().status();
        let ours = || status.iter().filter(|one| views.contains(&one.view));
        let stuck = |one: &&ViewStatus| !one.is_being_replaced();
        if let Some((view, error)) = ours()
            .filter(stuck)
            .find_map(|one| Some((one.view, one.error.as_ref()?)))
        {
            bail!("the view {view} cannot be brought up to the log: {error}");
        }
        let at = ours()
            .map(|one| one.building.unwrap_or(one.position).0)
            .min()
            .unwrap_or(0);
        progress.show(at, at, "events", &format!(" of {}", grouped(head.0)));
    }
}
