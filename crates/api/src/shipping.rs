//! The backup beside a server: what is shipped of the ledgers that this process has, and of the accounts.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use bincard_access::{Accounts, UnixMs};
use bincard_backup::{BackupError, Place};

use crate::app::App;
use crate::following::each_ledger;

/// What the names of the folders begin with in which copies are made.
const SCRATCH: &str = "bincard-accounts-";
/// One that is older has been left.
const LEFT_AFTER: Duration = Duration::from_secs(3_600);

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
    clear_leftovers();
    let scratch = tempfile::Builder::new()
        .prefix(SCRATCH)
        .permissions(Permissions::from_mode(0o700))
        .tempdir()?;
    let file = scratch.path().join("accounts.db");
    let copy = Accounts::open(&file, bincard_access::Options::default()).await?;
    accounts.copy_to(&copy, None).await?;
    copy.close().await?;
    Ok(place.put_accounts(now.0, std::fs::read(&file)?).await?)
}

/// Takes away what processes left that were killed while they made a copy. None takes so long.
fn clear_leftovers() {
    let Ok(entries) = std::fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_string_lossy().starts_with(SCRATCH);
        let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        if is_ours && age().is_some_and(|age| age > LEFT_AFTER) {
            // Another user's stays.
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
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
