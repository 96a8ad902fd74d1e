//! Making the tables of a schema.

use std::borrow::Cow;

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqlStr};

use super::connect;

/// A schema and what makes its tables.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// What it is called.
    pub name: &'static str,
    /// Number, name and SQL of every migration there is, in order. Applied ones never change.
    pub migrations: &'static [(i64, &'static str, &'static str)],
    /// Held while the schema and its tables are made, so that nodes which start at once take turns.
    pub lock: i64,
}

fn migrator(schema: &Schema) -> Migrator {
    let migration = |(version, name, sql): &(i64, &'static str, &'static str)| {
        Migration::new(
            *version,
            Cow::Borrowed(*name),
            MigrationType::Simple,
            SqlStr::from_static(sql),
            false,
        )
    };
    let mut migrator = Migrator::with_migrations(schema.migrations.iter().map(migration).collect());
    migrator.set_locking(false);
    migrator
}

/// The schema and all migrations in one transaction: of several nodes that start at once, one makes them and the
/// others wait and find them made.
///
/// # Errors
/// When a migration fails, the database does not answer, or the tables are of a newer program.
pub async fn run(options: &PgConnectOptions, schema: &Schema) -> Result<(), MigrateError> {
    // Waiting for another node's migration may take its time.
    let patient = [
        ("search_path", schema.name),
        ("lock_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
    ];
    let mut connection = connect(&options.clone().options(patient)).await?;
    let mut tx = connection.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(schema.lock)
        .execute(&mut *tx)
        .await?;
    // Asked first: a role that may not create schemas can use one that was made for it.
    let is_there: bool = sqlx::query_scalar("select to_regnamespace($1) is not null")
        .bind(schema.name)
        .fetch_one(&mut *tx)
        .await?;
    if !is_there {
        let sql = format!("create schema {}", schema.name);
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *tx).await?;
    }
    let within: &mut PgConnection = &mut tx;
    migrator(schema).run_direct(None, within, false).await?;
    tx.commit().await?;
    Ok(connection.close().await?)
}

/// The migrations that are still to be applied, by name, in order. None are applied by this.
///
/// # Errors
/// When the database does not answer.
pub async fn pending(options: &PgConnectOptions, schema: &Schema) -> Result<Vec<&'static str>, MigrateError> {
    let options = options.clone().options([("search_path", schema.name)]);
    let mut connection = connect(&options).await?;
    let is_there: bool = sqlx::query_scalar("select to_regclass($1) is not null")
        .bind(format!("{}._sqlx_migrations", schema.name))
        .fetch_one(&mut connection)
        .await?;
    let applied = if is_there {
        connection.list_applied_migrations("_sqlx_migrations").await?
    } else {
        Vec::new()
    };
    connection.close().await?;
    let is_pending = |version: i64| applied.iter().all(|applied| applied.version != version);
    let pending = schema
        .migrations
        .iter()
        .filter(|(version, ..)| is_pending(*version));
    Ok(pending.map(|(_, name, _)| *name).collect())
}
