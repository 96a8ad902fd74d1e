//! Making the tables that say which views there are.

use std::borrow::Cow;

use sqlx::migrate::{Migrate, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, SqlStr};

use super::SCHEMA;
use crate::error::Error;

/// Every migration there is, in order. Applied ones never change.
const MIGRATIONS: [(i64, &str, &str); 1] = [(
    1,
    "views",
    include_str!("../../../migrations/postgres/views/0001_views.sql"),
)];
/// Held while the schema and its tables are made, so that nodes which start at once take turns.
const MIGRATION_LOCK: i64 = 0x6269_6e63_7669_6577;

fn migrator() -> Migrator {
    let migration = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(
            version,
            Cow::Borrowed(name),
            MigrationType::Simple,
            SqlStr::from_static(sql),
            false,
        )
    };
    let mut migrator = Migrator::with_migrations(MIGRATIONS.map(migration).into());
    migrator.set_locking(false);
    migrator
}

/// The schema and all migrations in one transaction: of several nodes that start at once, one makes them and the
/// others wait and find them made.
pub(super) async fn run(options: &PgConnectOptions) -> Result<(), Error> {
    // Waiting for another node's migration may take its time.
    let patient = [
        ("lock_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
    ];
    let mut connection = PgConnection::connect_with(&options.clone().options(patient)).await?;
    let mut tx = connection.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(MIGRATION_LOCK)
        .execute(&mut *tx)
        .await?;
    // Asked first: a role that may not create schemas can use one that was made for it.
    let is_there: bool = sqlx::query_scalar("select to_regnamespace($1) is not null")
        .bind(SCHEMA)
        .fetch_one(&mut *tx)
        .await?;
    if !is_there {
        sqlx::query("create schema bincard_views")
            .execute(&mut *tx)
            .await?;
    }
    let within: &mut PgConnection = &mut tx;
    migrator().run_direct(None, within, false).await?;
    tx.commit().await?;
    Ok(connection.close().await?)
}

pub(super) async fn pending(options: &PgConnectOptions) -> Result<Vec<&'static str>, Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    let is_there: bool = sqlx::query_scalar("select to_regclass($1) is not null")
        .bind(format!("{SCHEMA}._sqlx_migrations"))
        .fetch_one(&mut connection)
        .await?;
    let applied = if is_there {
        connection.list_applied_migrations("_sqlx_migrations").await?
    } else {
        Vec::new()
    };
    connection.close().await?;
    let is_pending = |version: i64| applied.iter().all(|applied| applied.version != version);
    let pending = MIGRATIONS.iter().filter(|(version, ..)| is_pending(*version));
    Ok(pending.map(|(_, name, _)| *name).collect())
}
