//! The file `accounts.db`: opening it, bringing its tables up to date.
//!
//! Other processes (the command line) may have the file open at the same time. Within this process there is one
//! writing connection, so that writers queue in order instead of polling SQLite's lock.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteSynchronous};
use sqlx::{Sqlite, SqliteConnection};

use super::migrate::{Embedded, migrator};
use super::{BUSY_TIMEOUT, Database, Either, Pools, READERS_MAX};
use crate::AccessError;

/// Every migration there is, in order.
const MIGRATIONS: [Embedded; 1] = [(
    1,
    "accounts",
    include_str!("../../../../migrations/sqlite/0001_accounts.sql"),
)];

impl Database {
    pub(crate) async fn open(path: &Path) -> Result<Database, AccessError> {
        let failed = |source| AccessError::Create {
            path: path.to_owned(),
            source,
        };
        let _alone = alone(path).await.map_err(failed)?;
        create_private(path).map_err(failed)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            // A revocation that was answered must survive a power loss.
            .synchronous(SqliteSynchronous::Full)
            // On macOS a sync without this leaves writes in the disk's own cache.
            .pragma("fullfsync", "on");
        let pool = |connections_max| {
            super::pool::<Sqlite>(connections_max)
                .test_before_acquire(false)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        // SQLite ends a transaction by itself when the disk is full, and the connection goes on as if it were in it.
        let writer = pool(1).before_acquire(|connection, _| {
            Box::pin(async move {
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        });
        let writer = writer.connect_with(options.clone()).await?;
        migrate(&writer, path).await?;
        let readers = pool(READERS_MAX).connect_with(options.read_only(true)).await?;
        Ok(Either::Sqlite(Pools { readers, writer }))
    }
}

/// All migrations in one transaction that takes the right to write first: of two processes that open a new file at
/// once, one migrates it and the other one finds it done.
async fn migrate(writer: &SqlitePool, path: &Path) -> Result<(), AccessError> {
    let mut tx = writer.begin_with("begin immediate").await?;
    let connection: &mut SqliteConnection = &mut tx;
    let failed = |source| AccessError::Migrate {
        path: path.to_owned(),
        source,
    };
    migrator(&MIGRATIONS)
        .run_direct(None, connection, false)
        .await
        .map_err(failed)?;
    Ok(tx.commit().await?)
}

/// Only its owner may read the file: it holds the key that signs tokens. SQLite gives its companions the same mode.
///
/// An existing file is not touched: closing a descriptor of it would drop the locks that SQLite holds on it for this
/// process.
fn create_private(path: &Path) -> Result<(), std::io::Error> {
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// One process at a time makes the file ready; dropping what this returns lets the next one in. (SQLite refuses
/// rather than waits when two connections switch a new file to WAL at once.)
async fn alone(path: &Path) -> Result<File, std::io::Error> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let take = move || {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(lock_path)?;
        file.lock()?;
        Ok(file)
    };
    tokio::task::spawn_blocking(take)
        .await
        .map_err(std::io::Error::other)?
}
