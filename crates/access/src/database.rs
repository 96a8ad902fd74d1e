//! The file `accounts.db`: opening it, bringing its tables up to date, the right to write.
//!
//! Other processes (the command line) may have the file open at the same time. Within this process there is one
//! writing connection, so that writers queue in order instead of polling SQLite's lock.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{SqlStr, Sqlite, SqliteConnection, Transaction};

use crate::secret::random_bytes;
use crate::{AccessError, TenantName, UnixMs};

/// How long a writer waits for one in another process, and anybody for a connection of this one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const READERS_MAX: u32 = 4;
const ACCESS_TOKEN_KEY: &str = "access_token_key";

/// Every migration there is, in order. Applied ones never change.
const MIGRATIONS: [(i64, &str, &str); 1] = [(
    1,
    "accounts",
    include_str!("../../../migrations/sqlite/0001_accounts.sql"),
)];

pub(crate) struct Database {
    readers: SqlitePool,
    writer: SqlitePool,
}

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
            .synchronous(SqliteSynchronous::Full);
        let pool = || {
            let pool = SqlitePoolOptions::new().acquire_timeout(BUSY_TIMEOUT);
            pool.test_before_acquire(false)
                .idle_timeout(None)
                .max_lifetime(None)
        };
        let writer = pool().max_connections(1).connect_with(options.clone()).await?;
        migrate(&writer, path).await?;
        let readers = pool()
            .max_connections(READERS_MAX)
            .connect_with(options.read_only(true))
            .await?;
        Ok(Database { readers, writer })
    }

    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    /// Takes the right to write at once, so that what is read within is still true when it is written.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Sqlite>, AccessError> {
        Ok(self.writer.begin_with("begin immediate").await?)
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Creates what every installation has, and returns the key that signs access tokens.
pub(crate) async fn seed(db: &Database, now: UnixMs) -> Result<Vec<u8>, AccessError> {
    let mut tx = db.begin().await?;
    sqlx::query("insert into tenants (name, created_at) values ($1, $2) on conflict do nothing")
        .bind(TenantName::DEFAULT)
        .bind(now.0)
        .execute(&mut *tx)
        .await?;
    sqlx::query("insert into secrets (name, bytes) values ($1, $2) on conflict do nothing")
        .bind(ACCESS_TOKEN_KEY)
        .bind(random_bytes::<32>()?.as_slice())
        .execute(&mut *tx)
        .await?;
    let key = sqlx::query_scalar("select bytes from secrets where name = $1")
        .bind(ACCESS_TOKEN_KEY)
        .fetch_one(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(key)
}

/// All migrations in one transaction that takes the right to write first: of two processes that open a new file at
/// once, one migrates it and the other one finds it done.
async fn migrate(writer: &SqlitePool, path: &Path) -> Result<(), AccessError> {
    let migration = |(version, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(
            version,
            Cow::Borrowed(name),
            MigrationType::Simple,
            SqlStr::from_static(sql),
            false,
        )
    };
    let migrator = Migrator::with_migrations(MIGRATIONS.map(migration).into());
    let mut tx = writer.begin_with("begin immediate").await?;
    let connection: &mut SqliteConnection = &mut tx;
    let failed = |source| AccessError::Migrate {
        path: path.to_owned(),
        source,
    };
    migrator
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
