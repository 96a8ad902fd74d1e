//! Making the tables of the log.

use std::borrow::Cow;

use sqlx::migrate::{Migrate, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, SqlStr};

use super::{DatabaseError, SCHEMA, connect, sql};

/// Every migration there is, in order. Applied ones never change.
const MIGRATIONS: [(i64, &str, &str); 2] = [
    (
        1,
        "log",
        include_str!("../../../../migrations/postgres/log/0001_log.sql"),
    ),
    (
        2,
        "relay",
        include_str!("../../../../migrations/postgres/log/0002_relay.sql"),
    ),
];
/// Held while the schema is made; the migrations have a lock of their own.
const SCHEMA_LOCK: i64 = 0x0062_696e_6361_7264;

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
    Migrator::with_migrations(MIGRATIONS.map(migration).into())
}

pub(super) async fn run(options: &PgConnectOptions) -> Result<(), DatabaseError> {
    let mut connection = for_migrating(options).await?;
    make_schema(&mut connection)
        .await
        .map_err(sql("make the schema bincard_log"))?;
    migrator().run_direct(None, &mut connection, false).await?;
    connection.close().await.map_err(sql("end a session"))
}

/// Waiting for another node's migration may take its time, and idling between two statements is no failure.
async fn for_migrating(options: &PgConnectOptions) -> Result<PgConnection, DatabaseError> {
    let patient = [
        ("lock_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
    ];
    connect(&options.clone().options(patient))
        .await
        .map_err(sql("reach it"))
}

/// Of two sessions that make the same schema at once, PostgreSQL may fail one: so they take turns.
async fn make_schema(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let mut tx = connection.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(SCHEMA_LOCK)
        .execute(&mut *tx)
        .await?;
    sqlx::query("create schema if not exists bincard_log")
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

pub(super) async fn pending(options: &PgConnectOptions) -> Result<Vec<&'static str>, DatabaseError> {
    let mut connection = for_migrating(options).await?;
    let is_there: bool = sqlx::query_scalar("select to_regclass($1) is not null")
        .bind(format!("{SCHEMA}._sqlx_migrations"))
        .fetch_one(&mut connection)
        .await
        .map_err(sql("look at its migrations"))?;
    let applied = if is_there {
        connection.list_applied_migrations("_sqlx_migrations").await?
    } else {
        Vec::new()
    };
    connection.close().await.map_err(sql("end a session"))?;
    let is_pending = |version: i64| applied.iter().all(|applied| applied.version != version);
    let pending = MIGRATIONS.iter().filter(|(version, ..)| is_pending(*version));
    Ok(pending.map(|(_, name, _)| *name).collect())
}
