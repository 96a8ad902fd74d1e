//! The schema `bincard_accounts` of a PostgreSQL database: reaching it, bringing its tables up to date, the right to
//! write.

use std::str::FromStr;

use sqlx::migrate::Migrate;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::{Connection, PgConnection, Postgres, Transaction};

use super::migrate::{Embedded, migrator};
use super::{Database, Either, Pools, READERS_MAX};
use crate::AccessError;

/// Every migration there is, in order.
const MIGRATIONS: [Embedded; 1] = [(
    1,
    "accounts",
    include_str!("../../../../migrations/postgres/accounts/0001_accounts.sql"),
)];
const SCHEMA: &str = "bincard_accounts";
/// Held while the schema and its tables are made, so that nodes which start at once take turns.
const MIGRATION_LOCK: i64 = 0x6269_6e63_6163_6374;
/// How long a writer waits for those of other nodes.
const LOCK_MS: &str = "5000";
/// A node that stops in the middle of a change keeps others from writing no longer than this.
const IDLE_IN_TRANSACTION_MS: &str = "5000";

/// The parameters of an address, as libpq names them. `options[…]` are settings of the server's.
const PARAMETERS: [&str; 17] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
];

impl Database {
    pub(crate) async fn connect(url: &str) -> Result<Database, AccessError> {
        let options = options(url)?;
        run_migrations(&options).await?;
        // Pools look whether a connection still lives before they hand it out: so a server that went away and came back
        // is found again.
        let pool = |connections_max| {
            super::pool::<Postgres>(connections_max)
                // Not waited for for ever, either: the pool would have one connection less meanwhile.
                .after_release(|connection, _| {
                    Box::pin(async move {
                        super::within(super::HELLO_MAX, connection.ping()).await?;
                        Ok(true)
                    })
                })
                .connect_lazy_with(options.clone())
        };
        Ok(Either::Postgres(Pools {
            readers: pool(READERS_MAX),
            writer: pool(1),
        }))
    }
}

/// Begins a transaction that is the only one to write, over all nodes.
///
/// (In two steps: a statement that failed together with `begin` would leave a transaction that nobody rolls back.)
pub(super) async fn begin(writer: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mut tx = writer
        .begin_with("begin isolation level read committed read write")
        .await?;
    sqlx::query("select epoch from newest_epoch for update")
        .fetch_one(&mut *tx)
        .await?;
    Ok(tx)
}

/// Makes the schema and brings its tables up to date.
pub(crate) async fn migrate(url: &str) -> Result<(), AccessError> {
    run_migrations(&options(url)?).await
}

/// The names of the migrations that are still to be applied, in order.
pub(crate) async fn pending_migrations(url: &str) -> Result<Vec<&'static str>, AccessError> {
    let options = options(url)?;
    let mut connection = connect(&options).await?;
    let is_there: bool = sqlx::query_scalar("select to_regclass($1) is not null")
        .bind(format!("{SCHEMA}._sqlx_migrations"))
        .fetch_one(&mut connection)
        .await?;
    let applied = match is_there {
        true => connection
            .list_applied_migrations("_sqlx_migrations")
            .await
            .map_err(|source| AccessError::Schema {
                database: name(&options),
                source,
            })?,
        false => Vec::new(),
    };
    connection.close().await?;
    let is_pending = |version: i64| applied.iter().all(|applied| applied.version != version);
    let pending = MIGRATIONS.iter().filter(|(version, ..)| is_pending(*version));
    Ok(pending.map(|(_, name, _)| *name).collect())
}

/// The schema and all migrations in one transaction: of several nodes that start at once, one makes them and the
/// others wait and find them made.
async fn run_migrations(options: &PgConnectOptions) -> Result<(), AccessError> {
    // Waiting for another node's migration may take its time.
    let patient = [
        ("lock_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
    ];
    let mut connection = connect(&options.clone().options(patient)).await?;
    let mut tx = connection
        .begin_with("begin isolation level read committed read write")
        .await?;
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
        sqlx::query("create schema bincard_accounts")
            .execute(&mut *tx)
            .await?;
    }
    let within: &mut PgConnection = &mut tx;
    migrator(&MIGRATIONS)
        .run_direct(None, within, false)
        .await
        .map_err(|source| AccessError::Schema {
            database: name(options),
            source,
        })?;
    tx.commit().await?;
    Ok(connection.close().await?)
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, AccessError> {
    PgConnection::connect_with(options)
        .await
        .map_err(|source| AccessError::Connect {
            database: name(options),
            source,
        })
}

fn options(url: &str) -> Result<PgConnectOptions, AccessError> {
    check_address(url)?;
    let options =
        PgConnectOptions::from_str(url).map_err(|source| AccessError::Address { source: Some(source) })?;
    Ok(options.application_name("bincard").options([
        ("search_path", SCHEMA),
        // A revocation that was answered must survive a power loss, whatever the server's own setting is.
        ("synchronous_commit", "on"),
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_MS),
        ("lock_timeout", LOCK_MS),
        ("client_min_messages", "warning"),
    ]))
}

/// Finds fault with an address before it is taken apart: of a parameter that is not known, its value would be logged,
/// and that may be a password after a slip of the pen. So it says neither.
fn check_address(url: &str) -> Result<(), AccessError> {
    let rest = url
        .strip_prefix("postgres://")
        .or_else(|| url.strip_prefix("postgresql://"))
        .ok_or(AccessError::Address { source: None })?;
    let before_fragment = rest.split_once('#').map_or(rest, |(before, _)| before);
    let parameters = before_fragment
        .split_once('?')
        .map_or("", |(_, parameters)| parameters);
    let is_known = |parameter: &str| {
        let name = parameter.split_once('=').map_or(parameter, |(name, _)| name);
        name == "options" || name.starts_with("options[") || PARAMETERS.contains(&name)
    };
    match parameters.is_empty() || parameters.split('&').all(is_known) {
        true => Ok(()),
        false => Err(AccessError::Address { source: None }),
    }
}

/// What people may see of an address.
fn name(options: &PgConnectOptions) -> String {
    let database = options.get_database().unwrap_or(options.get_username());
    format!("{database} at {}", options.get_host())
}
