//! The same work as a competent team would write it by hand: axum, sqlx and PostgreSQL, a counter beside a
//! history, one transaction an event that locks the stock rows, checks, updates and records, with a unique
//! idempotency key. It is meant to be as good as such a thing gets without another design: prepared
//! statements, arrays instead of loops, no ping before use, a Unix socket, locks held as shortly as can be.
//! In its favour it knows no callers, keeps no metrics and builds no views.

pub mod measure;
pub mod service;
mod transaction;

pub use transaction::Posted;

use crate::sampling::Catalogue;
use anyhow::Context as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};
use std::str::FromStr as _;

/// Settings of the server that such a team would choose: durable, as by default, with memory to work in.
/// (On macOS a sync reaches the disk only when it is told to; ours does, so the rival's must.)
pub const POSTGRES_SETTINGS: &[(&str, &str)] = &[
    ("shared_buffers", "512MB"),
    ("max_wal_size", "4GB"),
    ("max_connections", "120"),
    #[cfg(target_os = "macos")]
    ("wal_sync_method", "fsync_writethrough"),
];

/// The rival's service over its database.
#[derive(Debug, Clone)]
pub struct Rival {
    pool: PgPool,
}

/// What an audit of the rival's tables found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audit {
    /// Recorded events.
    pub events: i64,
    /// Recorded movements.
    pub movements: i64,
    /// Stock rows below zero.
    pub below_zero: i64,
    /// Stock rows that are not what they began with plus their movements.
    pub drifted: i64,
}

impl Rival {
    /// Connects to a database with a pool of so many connections.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn open(url: &str, connections: u32) -> anyhow::Result<Rival> {
        // Statements by arrays are otherwise planned anew at every execution.
        let options = PgConnectOptions::from_str(url)
            .context("the database's address")?
            .options([("plan_cache_mode", "force_generic_plan")]);
        let pool = PgPoolOptions::new()
            .min_connections(connections)
            .max_connections(connections)
            .test_before_acquire(false)
            .connect_with(options)
            .await
            .context("cannot connect to PostgreSQL")?;
        Ok(Rival { pool })
    }

    /// Makes the tables anew, with the catalogue and so much of everything on hand.
    ///
    /// # Errors
    /// What the database says.
    pub async fn fill(&self, catalogue: &Catalogue, on_hand: i64) -> anyhow::Result<()> {
        let drop_all = "drop table if exists stock_movements, stock_events, stock, variants, warehouses";
        sqlx::raw_sql(drop_all).execute(&self.pool).await?;
        sqlx::raw_sql(include_str!("rival/schema.sql"))
            .execute(&self.pool)
            .await?;
        sqlx::query("insert into warehouses (id, code) values ($1, 'WH-1')")
            .bind(catalogue.warehouse)
            .execute(&self.pool)
            .await?;
        sqlx::query(
            "insert into variants (id, sku)
             select v.id, 'SKU-' || lpad(v.n::text, 5, '0') from unnest($1::uuid[]) with ordinality v (id, n)",
        )
        .bind(&catalogue.variants)
        .execute(&self.pool)
        .await?;
        sqlx::query("insert into stock select $1, v.id, $2 from variants v")
            .bind(catalogue.warehouse)
            .bind(on_hand)
            .execute(&self.pool)
            .await?;
        // What filling left to do must not be done at the measurement's cost.
        for statement in ["vacuum (analyze)", "checkpoint"] {
            sqlx::query(AssertSqlSafe(statement)).execute(&self.pool).await?;
        }
        Ok(())
    }

    /// Checks the tables against each other, where everything began with so much on hand.
    ///
    /// # Errors
    /// What the database says.
    pub async fn audit(&self, on_hand_at_first: i64) -> anyhow::Result<Audit> {
        let (events, movements, below_zero, drifted) = sqlx::query_as(
            "select (select count(*) from stock_events),
                    (select count(*) from stock_movements),
                    (select count(*) from stock where on_hand < 0),
                    (select count(*) from stock s
                     left join (select variant_id, sum(quantity)::bigint as moved
                                from stock_movements group by variant_id) m using (variant_id)
                     where s.on_hand <> $1 + coalesce(m.moved, 0))",
        )
        .bind(on_hand_at_first)
        .fetch_one(&self.pool)
        .await?;
        Ok(Audit {
            events,
            movements,
            below_zero,
            drifted,
        })
    }

    /// Closes its connections.
    pub async fn close(self) {
        self.pool.close().await;
    }
}
