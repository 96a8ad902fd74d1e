//! Feeding beside a server: on a node that feeds views in PostgreSQL, ledgers are opened whose views are behind, whichever
//! node appended to them. What is idle is closed again like any ledger.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bincard_access::TenantName;
use bincard_projections::postgres;
use bincard_store::postgres::{Database, Listed};

use crate::app::App;
use crate::ledgers::LedgerError;

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
    // Told once each, until it is over.
    let mut told = HashSet::new();
    loop {
        match behind(database, views).await {
            Ok(tenants) => {
                told.retain(|tenant| tenants.contains(tenant));
                open_all(&app, tenants, &mut told).await;
            }
            // Who looks for the log's news says it, too.
            Err(error) => tracing::debug!(error = &*error, "which views are behind cannot be asked"),
        }
        // An error says that the server is gone, which is as good.
        let stopped = stopping.wait_for(|stopping| *stopping);
        if tokio::time::timeout(LOOK_EVERY, stopped).await.is_ok() {
            return;
        }
    }
}

/// Tenants whose ledgers have come further than their views.
async fn behind(
    database: &Database,
    views: &postgres::Database,
) -> Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>> {
    let reached = views.reached().await?;
    let database = database.clone();
    let ledgers = tokio::task::spawn_blocking(move || database.ledgers()).await??;
    let is_behind = |ledger: &Listed| {
        let reached = reached.get(&ledger.ledger);
        ledger.moved_to.is_none() && reached.is_none_or(|reached| *reached < ledger.head.position)
    };
    let behind = ledgers.into_iter().filter(is_behind);
    Ok(behind.map(|ledger| ledger.tenant).collect())
}

/// Opens ledgers; one that cannot be opened does not hold up the others.
async fn open_all(app: &App, tenants: Vec<String>, told: &mut HashSet<String>) {
    for tenant in tenants {
        let Ok(name) = TenantName::parse(&tenant) else {
            continue;
        };
        match app.ledgers.open(&name).await {
            Ok(_) | Err(LedgerError::Stopping) => {}
            Err(error) => {
                if !told.contains(&tenant) {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(
                        tenant,
                        error,
                        "nobody feeds the views of a ledger that cannot be opened"
                    );
                    told.insert(tenant);
                }
            }
        }
    }
}
