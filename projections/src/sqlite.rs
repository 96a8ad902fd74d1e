//! How the views use SQLite: connections.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};

/// The size of a database's pages. A batch touches a leaf for nearly every row where rows are clustered by variant, and
/// each is written whole: small ones, because most of a large one would be written again for nothing.
const PAGE_BYTES: u32 = 1_024;
/// How long a page is in the write-ahead log.
pub(crate) const FRAME_BYTES: u64 = PAGE_BYTES as u64 + 24;
/// The connection that writes copies the write-ahead log by itself when it has so many pages: only where what keeps it
/// short ([`crate::wal`]) fails to.
const CHECKPOINT_PAGES: u32 = 262_144;
/// What is left of the write-ahead log's file after it was copied.
const WAL_KEPT_BYTES: u32 = 16 << 20;
/// The page cache of the connection that writes, in KiB: the leaves that a batch touches must fit. Only what is used is
/// allocated.
const WRITER_CACHE_KIB: u32 = 49_152;
/// The page cache of a connection that reads, in KiB.
pub(crate) const READER_CACHE_KIB: u32 = 8_192;
/// The most connections that read one view at a time.
const READERS_MAX: u32 = 8;
/// The connections to a database of records.
const RECORD_CONNECTIONS: u32 = 2;
/// How long a reader waits for its turn.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(Duration::from_secs(10))
        .disable_statement_logging()
}

/// Opens the one connection that writes the database at `path`, making it when there is none.
pub(crate) async fn open_writer(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    options(path)
        .create_if_missing(true)
        .page_size(PAGE_BYTES)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
        .pragma("journal_size_limit", WAL_KEPT_BYTES.to_string())
        .pragma("cache_size", format!("-{WRITER_CACHE_KIB}"))
        .connect()
        .await
}

/// Opens a connection to copy the write-ahead log of the database at `path`, beside the one that writes.
pub(crate) async fn open_copier(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    options(path)
        .synchronous(SqliteSynchronous::Normal)
        .connect()
        .await
}

fn reader_options(path: &Path) -> SqliteConnectOptions {
    options(path)
        .pragma("query_only", "on")
        .pragma("cache_size", format!("-{READER_CACHE_KIB}"))
}

/// Opens a single connection that reads the database at `path`.
pub(crate) async fn open_reader(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    reader_options(path).connect().await
}

/// The rows that a connection of [`open_scanner`] reads ahead.
pub(crate) const SCAN_ROWS: usize = 4_096;

/// Opens a single connection that reads whole tables of the database at `path`.
pub(crate) async fn open_scanner(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    reader_options(path).row_buffer_size(SCAN_ROWS).connect().await
}

/// Connections that read the database at `path`. None is opened before it is needed.
pub(crate) fn reader_pool(path: &Path) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_lazy_with(reader_options(path))
}

/// Connections to a database of records that cannot be rebuilt, made when there is none.
pub(crate) fn record_pool(path: &Path) -> SqlitePool {
    let options = options(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    SqlitePoolOptions::new()
        .max_connections(RECORD_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        // SQLite ends a transaction by itself when the disk is full, and the connection goes on as if it were in it.
        .before_acquire(|connection, _| {
            Box::pin(async move {
                connection.ping().await?;
                Ok(!connection.is_in_transaction())
            })
        })
        .connect_lazy_with(options)
}
