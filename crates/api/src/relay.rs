//! The relay beside a server: what it is told of the ledgers that this process has.

use std::sync::Arc;

use crate::app::App;
use crate::following::each_ledger;

/// Relays until the server stops, if it is to relay at all.
pub(crate) async fn run(app: Arc<App>) {
    let Some(relay) = &app.relay else { return };
    let mut stopping = app.stopping.subscribe();
    let stopped = async move {
        // An error says that the server is gone, which is as good.
        drop(stopping.wait_for(|stopping| *stopping).await);
    };
    tokio::select! {
        () = relay.run(stopped) => {}
        () = each_ledger(&app, "relayed", |tenant, reader| relay.follow(tenant, reader)) => {}
    }
}
