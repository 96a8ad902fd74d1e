//! The relay beside a server: what it is told of the ledgers that this process has.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bincard_access::TenantName;
use bincard_relay::Relay;
use bincard_store::Reader;

use crate::app::App;
use crate::ledgers::OpenLedger;

/// How often new ledgers are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Relays until the server stops, if it is to relay at all.
pub(crate) async fn run(app: Arc<App>) {
    let Some(relay) = &app.relay else { return };
    let mut stopping = app.stopping.subscribe();
    let stopped = async move {
        // An error says that the server is gone, which is as good.
        drop(stopping.wait_for(|stopping| *stopping).await);
    };
    // A ledger that is relayed stays open: what it holds must go out whether anybody uses it or not.
    let mut held = Vec::new();
    if app.options.database.is_some() {
        relay.run(stopped).await;
    } else {
        tokio::select! {
            () = relay.run(stopped) => {}
            () = follow(&app, relay, &mut held) => {}
        }
    }
}

/// Has the relay follow every ledger in the folder, and those that come.
async fn follow(app: &App, relay: &Relay, held: &mut Vec<Arc<OpenLedger>>) {
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
            // A tenant that never recorded anything has nothing to relay.
            if !app.options.ledgers_folder.join(tenant.as_str()).is_dir() {
                continue;
            }
            match app.ledgers.open(&tenant).await {
                Ok(open) => {
                    let reader: &Reader = open.ledger.reader();
                    relay.follow(tenant.as_str(), reader.clone());
                    held.push(open);
                    followed.insert(tenant);
                }
                Err(error) => {
                    if told.insert(tenant.clone()) {
                        tracing::warn!(
                            tenant = tenant.as_str(),
                            error = &error as &dyn std::error::Error,
                            "a ledger that cannot be opened is not relayed"
                        );
                    }
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
