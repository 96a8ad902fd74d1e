//! The reconciliations of a ledger in PostgreSQL: transactions on them, and the right to do them.
//!
//! One node at a time does the runs of a ledger, one after the other. It holds a lease on the ledger's row, which it renews
//! once a second. What a run writes is not guarded by the lease but by its epoch: whoever takes the lease over has a higher
//! one, and a write of a run locks the row and looks for its own. So of a run that two nodes believe to have, one writes.

use std::time::Duration;

use bincard_ledger::LedgerId;
use sqlx::postgres::PgPool;
use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, Postgres, Transaction};
use tokio::task::AbortHandle;

use super::{Database, RECONCILIATIONS_SCHEMA};
use crate::error::Error;

/// How long a lease lasts, by the database's clock.
const LASTS: &str = "5 seconds";
/// Between two renewals; a node that has nothing to do looks as often whether there is something.
pub(crate) const RENEW_EVERY: Duration = Duration::from_secs(1);

/// The reconciliations of one ledger. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    database: Database,
    /// Which ledger.
    pub(crate) ledger: i64,
}

/// Something that goes on by itself until this is dropped.
pub(crate) struct Beside(AbortHandle);

impl Drop for Beside {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Database {
    /// The reconciliations of a ledger.
    pub(crate) async fn records(&self, id: LedgerId) -> Result<Records, Error> {
        let ledger = self
            .query(move |pool| async move {
                let id = Uuid::from_bytes(id.0);
                sqlx::query(
                    "insert into bincard_reconciliations.ledgers (id) values ($1) on conflict do nothing",
                )
                .bind(id)
                .execute(&pool)
                .await?;
                sqlx::query_scalar("select no from bincard_reconciliations.ledgers where id = $1")
                    .bind(id)
                    .fetch_one(&pool)
                    .await
            })
            .await?;
        Ok(Records {
            database: self.clone(),
            ledger,
        })
    }
}

impl Records {
    /// Begins to read: all statements see one state.
    pub(crate) async fn read(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        self.begin(&self.database.inner.readers, "repeatable read read only")
            .await
    }

    /// Begins to write, alone among all nodes.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let writers = &self.database.inner.writers;
        let mut tx = self.begin(writers, "read committed read write").await?;
        sqlx::query("select 1 from ledgers where no = $1 for update")
            .bind(self.ledger)
            .fetch_one(&mut *tx)
            .await?;
        Ok(tx)
    }

    /// The same for whoever has the right to do runs; `None` when somebody else has it.
    pub(crate) async fn write_as(
        &self,
        epoch: i64,
    ) -> Result<Option<Transaction<'static, Postgres>>, sqlx::Error> {
        let mut tx = self.write().await?;
        let is_mine = sqlx::query("select 1 from ledgers where no = $1 and epoch = $2")
            .bind(self.ledger)
            .bind(epoch)
            .fetch_optional(&mut *tx)
            .await?;
        Ok(is_mine.map(|_| tx))
    }

    async fn begin(&self, pool: &PgPool, mode: &str) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        self.database.begin(pool, mode, RECONCILIATIONS_SCHEMA).await
    }

    /// Whether nobody has the right to do runs, or who had it did not renew it.
    pub(crate) async fn is_free(&self, tx: &mut Transaction<'static, Postgres>) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("select until < clock_timestamp() from ledgers where no = $1")
            .bind(self.ledger)
            .fetch_one(&mut **tx)
            .await
    }

    /// Takes the right to do runs, if nobody has it or who had it did not renew it: under which epoch.
    pub(crate) async fn take(
        &self,
        tx: &mut Transaction<'static, Postgres>,
    ) -> Result<Option<i64>, sqlx::Error> {
        let sql = format!(
            "update ledgers set epoch = epoch + 1, until = clock_timestamp() + interval '{LASTS}'
             where no = $1 and until < clock_timestamp() returning epoch"
        );
        sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(self.ledger)
            .fetch_optional(&mut **tx)
            .await
    }

    /// Keeps the right for longer; whether it is still there.
    pub(crate) async fn renew(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        epoch: i64,
    ) -> Result<bool, sqlx::Error> {
        let sql = format!(
            "update ledgers set until = clock_timestamp() + interval '{LASTS}' where no = $1 and epoch = $2"
        );
        let renewed = sqlx::query(AssertSqlSafe(sql))
            .bind(self.ledger)
            .bind(epoch)
            .execute(&mut **tx)
            .await?;
        Ok(renewed.rows_affected() == 1)
    }

    /// Gives the right back: another node may take it at once.
    pub(crate) async fn release(&self, epoch: i64) -> Result<(), Error> {
        let ledger = self.ledger;
        self.database
            .query(move |pool| async move {
                let sql = "update bincard_reconciliations.ledgers set until = '-infinity' where no = $1 and epoch = $2";
                sqlx::query(sql)
                    .bind(ledger)
                    .bind(epoch)
                    .execute(&pool)
                    .await
                    .map(drop)
            })
            .await
    }

    /// Does something beside whoever asks, on the database's own thread.
    pub(crate) fn beside(&self, what: impl Future<Output = ()> + Send + 'static) -> Beside {
        Beside(self.database.spawn(what).abort_handle())
    }
}
