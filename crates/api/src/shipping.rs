//! The backup beside a server: what is shipped of the ledgers that this process has, and of the accounts.

use std::sync::Arc;

use bincard_access::{Accounts, UnixMs};
use bincard_backup::{BackupError, Place};

use crate::app::App;
use crate::following::each_ledger;

/// Why the accounts could not be shipped.
#[derive(Debug, thiserror::Error)]
pub enum ShipAccountsError {
    /// They could not be copied.
    #[error("the accounts cannot be copied")]
    Copy(#[from] bincard_access::AccessError),
    /// The copy could not be written here.
    #[error("the copy of the accounts cannot be written to the system's temporary folder")]
    Io(#[from] std::io::Error),
    /// It could not be put into the backup.
    #[error(transparent)]
    Backup(#[from] BackupError),
}

/// Ships a copy of tenants, users and keys, as an `accounts.db`, whatever database keeps them. Sessions are left out.
///
/// # Errors
/// [`ShipAccountsError`].
pub async fn ship_accounts(accounts: &Accounts, place: &Place, now: UnixMs) -> Result<(), ShipAccountsError> {
    let scratch = tempfile::tempdir()?;
    let file = scratch.path().join("accounts.db");
    let copy = Accounts::open(&file, bincard_access::Options::default()).await?;
    accounts.copy_to(&copy, None).await?;
    copy.close().await?;
    Ok(place.put_accounts(now.0, std::fs::read(&file)?).await?)
}

/// Ships until the server stops, if it is to ship at all.
pub(crate) async fn run(app: Arc<App>) {
    let (Some(shipping), Some(options)) = (&app.shipping, &app.options.shipping) else {
        return;
    };
    let mut stopping = app.stopping.subscribe();
    let stopped = async move {
        // An error says that the server is gone, which is as good.
        drop(stopping.wait_for(|stopping| *stopping).await);
    };
    tokio::select! {
        () = shipping.run(stopped) => {}
        () = each_ledger(&app, "shipped", |tenant, reader| shipping.follow(tenant, reader)) => {}
        () = follow_accounts(&app, options) => {}
    }
}

/// Ships the accounts whenever they have changed.
async fn follow_accounts(app: &App, options: &bincard_backup::Options) {
    let (mut shipped, mut is_failing) = (None, false);
    loop {
        let looked = async {
            let fingerprint = app.accounts.fingerprint().await?;
            if shipped != Some(fingerprint) {
                ship_accounts(&app.accounts, &options.place, app.now()).await?;
                shipped = Some(fingerprint);
            }
            Ok::<(), ShipAccountsError>(())
        };
        match looked.await {
            Ok(()) => is_failing = false,
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the accounts cannot be shipped; it is tried again"
                    );
                }
            }
        }
        tokio::time::sleep(options.every).await;
    }
}
