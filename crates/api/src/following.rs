//! Following the ledgers of a folder, those that there are and those that come, for what runs beside a server.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bincard_access::TenantName;
use bincard_store::Reader;

use crate::app::App;
use crate::ledgers::OpenLedger;

/// How often new ledgers are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Calls `follow` with every ledger in the folder, once, and never ends. All of them stay open until it is dropped: what they
/// hold must go out whether anybody uses them or not. `done` is what is done to them, for people.
pub(crate) async fn each_ledger(app: &App, done: &'static str, follow: impl Fn(&str, Reader)) {
    if app.options.database.is_some() {
        // Those of a database are found without.
        return std::future::pending().await;
    }
    let mut held: Vec<Arc<OpenLedger>> = Vec::new();
    let mut followed = HashSet::new();
    let mut told = HashSet::new();
    loop {
        // Without accounts nothing is served either.
        let tenants = app.accounts.tenants().await.unwrap_or_default();
        let new = tenants.into_iter().map(|tenant| tenant.name);
        for tenant in new
            .filter(|tenant| !followed.contains(tenant))
            .collect::<Vec<TenantName>>()
        {
            // A tenant that never recorded anything has nothing to send.
            if !app.options.ledgers_folder.join(tenant.as_str()).is_dir() {
                continue;
            }
            match app.ledgers.open(&tenant).await {
                Ok(open) => {
                    follow(tenant.as_str(), open.ledger.reader().clone());
                    held.push(open);
                    followed.insert(tenant);
                }
                Err(error) => {
                    if told.insert(tenant.clone()) {
                        tracing::warn!(
                            tenant = tenant.as_str(),
                            error = &error as &dyn std::error::Error,
                            "a ledger that cannot be opened is not {done}"
                        );
                    }
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
