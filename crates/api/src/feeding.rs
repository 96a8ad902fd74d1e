//! Feeding beside a server: on a node that feeds views in PostgreSQL, ledgers are opened whose views are behind, whichever
//! node appended to them. What is idle is closed again like any ledger.

use std::sync::Arc;
use std::time::Duration;

use bincard_access::TenantName;
use bincard_projections::postgres;
use bincard_store::postgres::Database;

use crate::app::App;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Opens what is behind until the server stops, if this node feeds views at all.
pub(crate) async fn run(app: Arc<App>) {
    let (Some(database), Some(views)) = (&app.options.database, &app.options.views) else {
        return;
    };
    if !app.options.roles.projector {
        return;
    }
    let mut stopping = app.stopping.subscribe();
    let mut is_failing = false;
    loop {
        match open_what_is_behind(&app, database, views).await {
            Ok(()) => is_failing = false,
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    let error: &dyn std::error::Error = &*error;
                    tracing::warn!(
                        error,
                        "a view may be behind that nobody feeds; it is looked again"
                    );
                }
            }
        }
        // An error says that the server is gone, which is as good.
        let stopped = stopping.wait_for(|stopping| *stopping);
        if tokio::time::timeout(LOOK_EVERY, stopped).await.is_ok() {
            return;
        }
    }
}

async fn open_what_is_behind(
    app: &App,
    database: &Database,
    views: &postgres::Database,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let reached = views.reached().await?;
    let database = database.clone();
    let ledgers = tokio::task::spawn_blocking(move || database.ledgers()).await??;
    for ledger in ledgers {
        let is_behind = reached
            .get(&ledger.ledger)
            .is_none_or(|reached| *reached < ledger.head.position);
        if ledger.moved_to.is_none() && is_behind && !app.is_stopping() {
            app.ledgers.open(&TenantName::parse(&ledger.tenant)?).await?;
        }
    }
    Ok(())
}
