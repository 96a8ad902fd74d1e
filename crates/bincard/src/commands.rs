//! The commands, a module each.

pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod import;
pub(crate) mod key;
pub(crate) mod log;
pub(crate) mod race;
pub(crate) mod rebuild;
pub(crate) mod serve;
pub(crate) mod snapshot;
pub(crate) mod tenant;
pub(crate) mod user;
pub(crate) mod verify;

use std::io::{self, Write};

use bincard_access::TenantName;

use crate::config::Config;
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
