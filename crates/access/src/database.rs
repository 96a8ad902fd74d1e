//! Where accounts are kept: in the SQLite file `accounts.db`, or in PostgreSQL, where several nodes share them.
//!
//! What is asked of either is one SQL text; this module passes it to the one that is there. In both, whoever writes
//! writes alone, so that what is read in a transaction that writes is still true when it commits: SQLite has one
//! writer anyway, and in PostgreSQL everybody locks the same row first.

mod migrate;
mod postgres;
mod sqlite;

use std::io;
use std::ops::DerefMut;
use std::time::Duration;

use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{
    Decode, Encode, PgConnection, Pool, Postgres, Row as _, SqlSafeStr, Sqlite, SqliteConnection,
    Transaction, Type,
};

pub(crate) use postgres::{migrate, pending_migrations};

use crate::secret::random_bytes;
use crate::{AccessError, TenantName, UnixMs};

/// How long a writer waits for one in another process, and anybody for a connection of this one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer of PostgreSQL may take, waiting for another writer included.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long PostgreSQL takes to say that a connection lives.
const HELLO_MAX: Duration = Duration::from_secs(2);
const READERS_MAX: u32 = 4;
const ACCESS_TOKEN_KEY: &str = "access_token_key";

/// The same thing of either database.
pub(crate) enum Either<S, P> {
    Sqlite(S),
    Postgres(P),
}

pub(crate) type Database = Either<Pools<Sqlite>, Pools<Postgres>>;
/// A connection to read by, one statement at a time.
pub(crate) type Reader = Either<PoolConnection<Sqlite>, PoolConnection<Postgres>>;
/// Dropped without a commit, it leaves no trace.
pub(crate) type Tx = Either<Transaction<'static, Sqlite>, Transaction<'static, Postgres>>;
/// What a reader and a transaction have in common.
pub(crate) type Connection<'c> = Either<&'c mut SqliteConnection, &'c mut PgConnection>;
/// A statement with its values and the connection to run it on.
pub(crate) type Query<'c> = Either<Bound<'c, Sqlite>, Bound<'c, Postgres>>;
pub(crate) type Row = Either<SqliteRow, PgRow>;

/// Within a process there is one connection that writes, so that writers queue in order.
pub(crate) struct Pools<DB: sqlx::Database> {
    readers: Pool<DB>,
    writer: Pool<DB>,
}

pub(crate) struct Bound<'c, DB: sqlx::Database> {
    connection: &'c mut DB::Connection,
    query: sqlx::query::Query<'c, DB, DB::Arguments>,
}

/// Whatever both databases can give.
pub(crate) trait Value<'r>:
    Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{
}

impl<'r, T> Value<'r> for T where T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres> {}

impl Database {
    /// A connection to read by.
    pub(crate) async fn reader(&self) -> Result<Reader, AccessError> {
        Ok(match self {
            Either::Sqlite(pools) => Either::Sqlite(pools.readers.acquire().await?),
            Either::Postgres(pools) => Either::Postgres(pools.readers.acquire().await?),
        })
    }

    /// To read by, too: all statements see the same state.
    pub(crate) async fn snapshot(&self) -> Result<Tx, AccessError> {
        Ok(match self {
            Either::Sqlite(pools) => Either::Sqlite(pools.readers.begin().await?),
            Either::Postgres(pools) => {
                let begun = pools
                    .readers
                    .begin_with("begin isolation level repeatable read read only");
                Either::Postgres(in_time(begun).await?)
            }
        })
    }

    /// Takes the right to write at once, so that what is read within is still true when it is written.
    pub(crate) async fn begin(&self) -> Result<Tx, AccessError> {
        Ok(match self {
            Either::Sqlite(pools) => Either::Sqlite(pools.writer.begin_with("begin immediate").await?),
            Either::Postgres(pools) => Either::Postgres(in_time(postgres::begin(&pools.writer)).await?),
        })
    }

    pub(crate) fn let_go(&self) {
        if let Either::Postgres(pools) = self {
            // Closed when this returns; what the futures wait for is that connections are given back.
            drop((pools.readers.close(), pools.writer.close()));
        }
    }

    pub(crate) fn is_let_go(&self) -> bool {
        match self {
            Either::Sqlite(_) => false,
            Either::Postgres(pools) => pools.readers.is_closed(),
        }
    }

    pub(crate) async fn close(&self) {
        match self {
            Either::Sqlite(pools) => pools.close().await,
            Either::Postgres(pools) => pools.close().await,
        }
    }
}

impl<DB: sqlx::Database> Pools<DB> {
    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// An answer of PostgreSQL, which is not waited for for ever: a connection may fall silent without breaking.
async fn in_time<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    within(ANSWER_MAX, answer).await
}

async fn within<T>(
    at_most: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(at_most, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer came in time").into()),
    }
}

fn pool<DB: sqlx::Database>(connections_max: u32) -> PoolOptions<DB> {
    PoolOptions::new()
        .acquire_timeout(BUSY_TIMEOUT)
        .max_connections(connections_max)
}

impl Tx {
    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Either::Sqlite(tx) => tx.commit().await,
            Either::Postgres(tx) => in_time(tx.commit()).await,
        }
    }
}

impl<S, P> Either<S, P>
where
    S: DerefMut<Target = SqliteConnection>,
    P: DerefMut<Target = PgConnection>,
{
    /// Itself, for a function that does not care whether it is in a transaction.
    pub(crate) fn on(&mut self) -> Connection<'_> {
        match self {
            Either::Sqlite(connection) => Either::Sqlite(connection),
            Either::Postgres(connection) => Either::Postgres(connection),
        }
    }

    /// A statement that both databases understand.
    pub(crate) fn query(&mut self, sql: impl SqlSafeStr) -> Query<'_> {
        match self {
            Either::Sqlite(connection) => Either::Sqlite(Bound {
                connection,
                query: sqlx::query(sql),
            }),
            Either::Postgres(connection) => Either::Postgres(Bound {
                connection,
                query: sqlx::query(sql),
            }),
        }
    }
}

impl Query<'_> {
    /// The value of the next parameter.
    pub(crate) fn bind<'t, T>(self, value: T) -> Self
    where
        T: Encode<'t, Sqlite> + Type<Sqlite> + Encode<'t, Postgres> + Type<Postgres>,
    {
        match self {
            Either::Sqlite(Bound { connection, query }) => Either::Sqlite(Bound {
                connection,
                query: query.bind(value),
            }),
            Either::Postgres(Bound { connection, query }) => Either::Postgres(Bound {
                connection,
                query: query.bind(value),
            }),
        }
    }

    /// How many rows it changed.
    pub(crate) async fn execute(self) -> Result<u64, sqlx::Error> {
        Ok(match self {
            Either::Sqlite(bound) => bound.query.execute(bound.connection).await?.rows_affected(),
            Either::Postgres(bound) => in_time(bound.query.execute(bound.connection))
                .await?
                .rows_affected(),
        })
    }

    pub(crate) async fn fetch_all(self) -> Result<Vec<Row>, sqlx::Error> {
        Ok(match self {
            Either::Sqlite(bound) => {
                let rows = bound.query.fetch_all(bound.connection).await?;
                rows.into_iter().map(Either::Sqlite).collect()
            }
            Either::Postgres(bound) => {
                let rows = in_time(bound.query.fetch_all(bound.connection)).await?;
                rows.into_iter().map(Either::Postgres).collect()
            }
        })
    }

    pub(crate) async fn fetch_optional(self) -> Result<Option<Row>, sqlx::Error> {
        Ok(match self {
            Either::Sqlite(bound) => bound
                .query
                .fetch_optional(bound.connection)
                .await?
                .map(Either::Sqlite),
            Either::Postgres(bound) => in_time(bound.query.fetch_optional(bound.connection))
                .await?
                .map(Either::Postgres),
        })
    }

    /// The first column of the row that it gives.
    pub(crate) async fn fetch_value<T: for<'r> Value<'r>>(self) -> Result<T, sqlx::Error> {
        match self.fetch_optional().await?.ok_or(sqlx::Error::RowNotFound)? {
            Either::Sqlite(row) => row.try_get(0),
            Either::Postgres(row) => row.try_get(0),
        }
    }
}

impl Row {
    pub(crate) fn try_get<'r, T: Value<'r>>(&'r self, column: &str) -> Result<T, sqlx::Error> {
        match self {
            Either::Sqlite(row) => row.try_get(column),
            Either::Postgres(row) => row.try_get(column),
        }
    }
}

/// Creates what every installation has, and returns the key that signs access tokens.
pub(crate) async fn seed(db: &Database, now: UnixMs) -> Result<Vec<u8>, AccessError> {
    let mut tx = db.begin().await?;
    tx.query("insert into tenants (name, created_at) values ($1, $2) on conflict do nothing")
        .bind(TenantName::DEFAULT)
        .bind(now.0)
        .execute()
        .await?;
    tx.query("insert into secrets (name, bytes) values ($1, $2) on conflict do nothing")
        .bind(ACCESS_TOKEN_KEY)
        .bind(random_bytes::<32>()?.as_slice())
        .execute()
        .await?;
    let key = tx
        .query("select bytes from secrets where name = $1")
        .bind(ACCESS_TOKEN_KEY)
        .fetch_value()
        .await?;
    tx.commit().await?;
    Ok(key)
}
