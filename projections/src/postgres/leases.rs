//! Leases: which views this process feeds, and for how long nobody else takes them.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use sqlx::{Postgres, Transaction};

use super::{Database, Inner};
use crate::error::Error;
use crate::name::ViewName;

/// How long a lease lasts, by the database's clock.
const LASTS: &str = "5 seconds";
/// Between two renewals.
const RENEW_EVERY: Duration = Duration::from_secs(1);

/// The right to feed a view.
#[derive(Clone, Copy)]
pub(super) struct Lease {
    ledger: i64,
    view: ViewName,
    epoch: i64,
}

/// Whether a lease is still the last one that was given. Nobody else takes the view until the transaction ends.
pub(super) async fn is_mine(
    tx: &mut Transaction<'_, Postgres>,
    ledger: i64,
    view: ViewName,
    epoch: i64,
) -> Result<bool, sqlx::Error> {
    let sql = "select 1 from bincard_views.owners where ledger = $1 and view = $2 and epoch = $3 for update";
    let found = sqlx::query(sql)
        .bind(ledger)
        .bind(view.as_str())
        .bind(epoch)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(found.is_some())
}

impl Database {
    /// The epoch that this process feeds a view under.
    pub(super) fn epoch_of(&self, ledger: i64, view: ViewName) -> Result<i64, Error> {
        let held = self.inner.held.lock().unwrap_or_else(PoisonError::into_inner);
        let lease = held
            .iter()
            .find(|lease| (lease.ledger, lease.view) == (ledger, view));
        lease.map(|lease| lease.epoch).ok_or(Error::FedElsewhere { view })
    }

    /// Takes the right to feed a view, if nobody has it or who had it did not renew it.
    pub(super) async fn own(&self, ledger: i64, view: ViewName) -> Result<(), Error> {
        let node = self.inner.node.clone();
        let epoch: Option<i64> = self
            .query(move |pool| async move {
                // Who has it already keeps his epoch.
                let sql = format!(
                    "insert into owners as o (ledger, view, node, epoch, until)
                     values ($1, $2, $3, 1, clock_timestamp() + interval '{LASTS}')
                     on conflict (ledger, view) do update
                     set node = excluded.node, until = excluded.until,
                         epoch = case when o.node = excluded.node then o.epoch else o.epoch + 1 end
                     where o.node = excluded.node or o.until < clock_timestamp()
                     returning epoch"
                );
                sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                    .bind(ledger)
                    .bind(view.as_str())
                    .bind(node)
                    .fetch_optional(&pool)
                    .await
            })
            .await?;
        let mut held = self.inner.held.lock().unwrap_or_else(PoisonError::into_inner);
        let was_idle = held.is_empty();
        held.retain(|lease| (lease.ledger, lease.view) != (ledger, view));
        let epoch = epoch.ok_or(Error::FedElsewhere { view })?;
        held.push(Lease { ledger, view, epoch });
        if was_idle {
            drop(self.spawn(renew(Arc::downgrade(&self.inner))));
        }
        Ok(())
    }

    /// Gives back what this process holds of a ledger's views: another one may take them at once.
    pub(super) async fn release(&self, ledger: i64) -> Result<(), Error> {
        let mine: Vec<Lease> = {
            let mut held = self.inner.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.extract_if(.., |lease| lease.ledger == ledger).collect()
        };
        let (views, epochs) = columns(&mine);
        self.query(move |pool| async move {
            let sql = "update owners o set until = '-infinity', node = '' from unnest($2::text[], $3::int8[]) as mine (view, epoch)
                where o.ledger = $1 and o.view = mine.view and o.epoch = mine.epoch";
            sqlx::query(sql)
                .bind(ledger)
                .bind(views)
                .bind(epochs)
                .execute(&pool)
                .await
                .map(drop)
        })
        .await
    }
}

fn columns(leases: &[Lease]) -> (Vec<&'static str>, Vec<i64>) {
    leases
        .iter()
        .map(|lease| (lease.view.as_str(), lease.epoch))
        .unzip()
}

/// Renews what is held until nothing is.
async fn renew(database: Weak<Inner>) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let Some(inner) = database.upgrade() else { return };
        let held = {
            let held = inner.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.clone()
        };
        if held.is_empty() {
            return;
        }
        let (views, epochs) = columns(&held);
        let ledgers: Vec<i64> = held.iter().map(|lease| lease.ledger).collect();
        // One that somebody else has taken is left alone; whoever writes finds out by its epoch.
        let sql = format!(
            "update owners o set until = clock_timestamp() + interval '{LASTS}'
             from unnest($1::int8[], $2::text[], $3::int8[]) as mine (ledger, view, epoch)
             where o.ledger = mine.ledger and o.view = mine.view and o.epoch = mine.epoch"
        );
        let renewed = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(ledgers)
            .bind(views)
            .bind(epochs)
            .execute(&inner.writers)
            .await;
        if let Err(error) = renewed {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the right to feed views could not be renewed"
            );
        }
    }
}
