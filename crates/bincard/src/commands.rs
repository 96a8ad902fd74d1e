//! The commands, a module each.

pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod export;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod key;
pub(crate) mod log;
pub(crate) mod migrate;
pub(crate) mod moving;
pub(crate) mod race;
pub(crate) mod rebuild;
pub(crate) mod reconcile;
pub(crate) mod restore;
pub(crate) mod serve;
pub(crate) mod ship;
pub(crate) mod snapshot;
pub(crate) mod stock;
pub(crate) mod tenant;
pub(crate) mod user;
pub(crate) mod verify;

use std::io::{self, Write};

use bincard_access::TenantName;
use bincard_ledger::PublicIds;
use reqwest::Url;
use uuid::Uuid;

use crate::config::Config;
use crate::exit::WrongUse;
use crate::folder::DataFolder;

/// Writes a result to standard output. A reader that has heard enough (`| head`) ends the command without an error.
pub(crate) fn write_out(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Runs what waits for I/O on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// The tenant of this name, which must have been added.
pub(crate) fn tenant_of(folder: &DataFolder, config: &Config, name: &str) -> anyhow::Result<TenantName> {
    block_on(async {
        let accounts = folder.accounts(config).await?;
        let tenant = folder.tenant(&accounts, name).await?;
        accounts.close().await?;
        Ok(tenant)
    })
}

/// The address of a server that was given by --url.
pub(crate) fn parse_url(url: &str) -> Result<Url, WrongUse> {
    Url::parse(url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            WrongUse(format!(
                "--url: {url:?} is not a URL such as http://127.0.0.1:8080"
            ))
        })
}

/// Refuses ids that are not those of this tenant's warehouses. While a server has the folder, that cannot be known, and
/// is said.
pub(crate) fn check_warehouses(
    folder: &DataFolder,
    config: &Config,
    tenant: &TenantName,
    warehouses: &[Uuid],
) -> anyhow::Result<()> {
    if warehouses.is_empty() {
        return Ok(());
    }
    let Some(_claim) = folder.claim_if_free()? else {
        let _ = writeln!(
            io::stderr(),
            "bincard: a server has the folder open, so that the ids of warehouses were taken unchecked"
        );
        return Ok(());
    };
    let unknown = |id: &Uuid| {
        WrongUse(format!(
            "--warehouse: tenant {tenant} has no warehouse with the id {id}: GET /api/v1/warehouses lists them"
        ))
    };
    if !folder.has_ledger(tenant)? {
        return warehouses.first().map_or(Ok(()), |id| Err(unknown(id).into()));
    }
    let engine = folder.engine(config, tenant)?;
    let ledger = engine.ledger();
    let ids = PublicIds::new(ledger.id());
    let is_known = |id: Uuid| {
        ids.resolve_warehouse(id)
            .is_some_and(|no| ledger.names().warehouse(no).is_some())
    };
    let stranger = warehouses.iter().find(|id| !is_known(**id));
    engine.close();
    stranger.map_or(Ok(()), |id| Err(unknown(id).into()))
}
