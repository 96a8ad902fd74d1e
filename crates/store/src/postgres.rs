//! The log in PostgreSQL: for ledgers that several nodes write.
//!
//! [`Database`] is the connection that a node has; [`Database::open`] gives a ledger's [`Appender`] and a [`Reader`] to
//! clone. A commit is one transaction, which locks the ledger's row first: whoever holds that lock knows all that was
//! appended, so positions have no gaps, and the order of commits is their order. The tables are made by
//! `migrations/postgres/log`; records are the same bytes as in segment files, and the chain is the same.
//!
//! Every call blocks its thread. What reads runs on a small runtime of the database's own, so that it may be called from
//! anywhere.

mod append;
mod check;
mod cursor;
mod fetch;
mod known;
mod lookout;
pub mod migrate;
mod poll;
mod read;
mod relay;
mod repair;
mod rows;
mod snapshots;

use std::convert::identity;
use std::fmt;
use std::future::Future;
use std::io;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bincard_ledger::command::KeySpace;
use bincard_ledger::{IdempotencyKey, LedgerId, Position, Timestamp};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::{Connection, PgConnection, Row};
use tokio::runtime::Runtime;
use uuid::Uuid;

pub use append::{Appender, Followed};
pub(crate) use check::{Columns, columns_of};
pub use cursor::Commits;
pub use lookout::{Watched, look_out};
pub use read::Reader;
pub use repair::Repaired;

use crate::chain::Hash;
use crate::contract::Head;
use crate::heads::Heads;
use crate::segment;

/// Connections that read, at most.
const READERS_MAX: u32 = 8;
/// How long it may take to make one outside the pool.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// How long a database that answers takes for that.
const HELLO_MAX: Duration = Duration::from_secs(2);
/// How long an answer may take that is short, waiting for the head included. A connection may break without a word, and would
/// be waited for until the system gives it up, which takes it a quarter of an hour.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// How long an answer to a reader may take.
const READ_MAX: Duration = Duration::from_secs(60);
/// How long a reader waits for one of them.
const ACQUIRE_MAX: Duration = Duration::from_secs(10);
/// A session that stops in the middle of a commit holds the ledger's head no longer than this.
const IDLE_IN_TRANSACTION_MS: &str = "1000";
/// How long an appender waits for the head while others hold it.
const LOCK_MS: &str = "10000";
/// The schema that holds the log.
const SCHEMA: &str = "bincard_log";
const LOG: migrate::Schema = migrate::Schema {
    name: SCHEMA,
    migrations: &[
        (
            1,
            "log",
            include_str!("../../../migrations/postgres/log/0001_log.sql"),
        ),
        (
            2,
            "relay",
            include_str!("../../../migrations/postgres/log/0002_relay.sql"),
        ),
    ],
    lock: 0x0062_696e_6361_7264,
};

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The address is not one.
    #[error("the database's address is not of the form postgres://user@host/database")]
    Address(#[source] sqlx::Error),
    /// No thread to talk to it.
    #[error("no thread could be started to talk to the database")]
    Thread(#[source] std::io::Error),
    /// It did not do as asked.
    #[error("PostgreSQL: cannot {doing}")]
    Sql {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        source: sqlx::Error,
    },
    /// Its tables cannot be brought up to date.
    #[error("the tables of the log in PostgreSQL cannot be brought up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The ledger stands under another id already.
    #[error("PostgreSQL has another ledger of tenant {tenant} already: it is {}", Uuid::from_bytes(found.0))]
    AnotherLedger {
        /// Whose.
        tenant: String,
        /// Which it has.
        found: LedgerId,
    },
    /// Somebody else moves it as well.
    #[error(
        "the ledger of tenant {tenants} was moved by somebody else meanwhile: nothing was changed; look where it is now"
    )]
    MovedMeanwhile {
        /// Whose.
        tenants: String,
    },
    /// The ledger is somewhere else now, or not whole yet.
    #[error(
        "the ledger of tenant {tenant} is not used here: it {}",
        crate::error::whereabouts(to)
    )]
    Moved {
        /// Whose.
        tenant: String,
        /// Where it is.
        to: String,
    },
}

fn sql(doing: &'static str) -> impl FnOnce(sqlx::Error) -> DatabaseError {
    move |source| DatabaseError::Sql { doing, source }
}

/// A node's connection to the database that keeps its ledgers. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    options: PgConnectOptions,
    pool: PgPool,
    watched: Mutex<Watched<Heads>>,
    /// Whether it did not answer when it was asked last for news of open ledgers.
    is_away: AtomicBool,
    /// Taken when the last handle goes: a runtime may not be dropped where a task runs.
    runtime: Option<Runtime>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.inner.options.get_host();
        f.debug_struct("Database")
            .field("host", &host)
            .finish_non_exhaustive()
    }
}

/// One ledger of a database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Whose it is.
    pub tenant: String,
    /// Its identity.
    pub ledger: LedgerId,
    /// The end of its log.
    pub head: Head,
    /// Where it has gone, if it was moved.
    pub moved_to: Option<String>,
}

/// A ledger in PostgreSQL that is open.
#[derive(Debug)]
pub struct Opened {
    /// Makes commits; every node has one a ledger.
    pub appender: Appender,
    /// Reads; clone it at will.
    pub reader: Reader,
    /// Whether the ledger was made just now.
    pub created: bool,
}

impl Database {
    /// Connects to a database by its address, such as `postgres://user:password@host/database`.
    ///
    /// # Errors
    /// When the address is not one, or the database does not answer.
    pub fn connect(url: &str) -> Result<Database, DatabaseError> {
        let options = PgConnectOptions::from_str(url).map_err(DatabaseError::Address)?;
        let options = options.application_name("bincard").options([
            ("search_path", SCHEMA),
            // "Exists already" is no news.
            ("client_min_messages", "warning"),
            // Statements by arrays are otherwise planned anew at every execution.
            ("plan_cache_mode", "force_generic_plan"),
            // Such plans seem to read many rows: each execution would be compiled, for longer than it runs.
            ("jit", "off"),
            // What is answered must survive a power loss, whatever the server's own setting is.
            ("synchronous_commit", "on"),
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_MS),
            ("lock_timeout", LOCK_MS),
        ]);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("bincard-postgres")
            .enable_all()
            .build()
            .map_err(DatabaseError::Thread)?;
        let pool = {
            let _in_runtime = runtime.enter();
            pool_of(READERS_MAX, ACQUIRE_MAX).connect_lazy_with(options.clone())
        };
        let database = Database {
            inner: Arc::new(Inner {
                options,
                pool,
                watched: Mutex::default(),
                is_away: AtomicBool::new(false),
                runtime: Some(runtime),
            }),
        };
        // Not from the pool, which would try for long and then tell only that it did.
        let options = database.inner.options.clone();
        let reached = database.run(async move { connect(&options).await?.close().await });
        reached.map_err(sql("reach it"))?;
        Ok(database)
    }

    /// The database's name on its server, which is its user's where the address has none.
    pub fn name(&self) -> &str {
        let options = &self.inner.options;
        options.get_database().unwrap_or(options.get_username())
    }

    /// Where it is, as the seal of a ledger that has moved there names it: the database's name alone is one of many servers'.
    pub fn whereabouts(&self) -> String {
        let options = &self.inner.options;
        let server = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => options.get_host().to_owned(),
        };
        let name = self.name();
        format!("PostgreSQL (database {name} at {server}:{})", options.get_port())
    }

    /// Whether it did not answer when it was asked last, which it is all the time while a ledger is open.
    pub fn is_away(&self) -> bool {
        self.inner.is_away.load(Ordering::Relaxed)
    }

    /// Whether it answers within a moment, over a connection made for that.
    pub async fn answers(&self) -> bool {
        let options = self.inner.options.clone();
        let asked = async move { PgConnection::connect_with(&options).await?.close().await };
        self.spawn(in_time(HELLO_MAX, asked, identity)).await.is_ok()
    }

    /// Lets go of the database for good: whoever waits for it in this process is refused at once, and so is whoever asks it
    /// from now on. For a process that ends while it does not answer.
    pub fn let_go(&self) {
        // Closed when this returns; what the future waits for is that connections are given back.
        drop(self.inner.pool.close());
    }

    /// The migrations that are still to be applied, by name, in order. None are applied by this.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub fn pending_migrations(&self) -> Result<Vec<&'static str>, DatabaseError> {
        let options = self.inner.options.clone();
        let pending = self.run(async move { migrate::pending(&options, &LOG).await });
        Ok(pending?)
    }

    /// Makes the tables what this program needs. Of several nodes that do it at once, one does and the others wait.
    ///
    /// # Errors
    /// When a migration fails, or the tables are of a newer program.
    pub fn migrate(&self) -> Result<(), DatabaseError> {
        let options = self.inner.options.clone();
        Ok(self.run(async move { migrate::run(&options, &LOG).await })?)
    }

    /// Every ledger that the database has.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub fn ledgers(&self) -> Result<Vec<Listed>, DatabaseError> {
        self.query("list the ledgers", |pool| async move {
            let sql = "select tenant, id, position, commit, hash, recorded_at, moved_to from ledgers order by tenant";
            let rows = sqlx::query(sql).fetch_all(&pool).await?;
            rows.iter().map(listed_of).collect()
        })
    }

    /// A tenant's ledger, if the database has one.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub fn ledger(&self, tenant: &str) -> Result<Option<Listed>, DatabaseError> {
        Ok(self.ledgers()?.into_iter().find(|one| one.tenant == tenant))
    }

    /// Opens a tenant's ledger, making it when there is none.
    ///
    /// # Errors
    /// When it has moved away, or the database does not answer.
    pub fn open(&self, tenant: &str) -> Result<Opened, DatabaseError> {
        let (opened, listed) = self.open_drawn(tenant, segment::draw_id(), None)?;
        match listed.moved_to {
            None => Ok(opened),
            Some(to) => Err(DatabaseError::Moved {
                tenant: listed.tenant,
                to,
            }),
        }
    }

    /// Changes the seals on the ledgers of these tenants: `None` is none, anything else says where a ledger has moved, and that
    /// nobody appends to it here. Only if every one is as it is told to be, and all at once.
    ///
    /// # Errors
    /// When one is another, or the database does not answer.
    pub fn change_seal(
        &self,
        tenants: &[String],
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<(), DatabaseError> {
        let (names, from, to) = (tenants.to_vec(), from.map(str::to_owned), to.map(str::to_owned));
        let are_all = self.query("seal or unseal ledgers", move |pool| async move {
            let mut tx = pool.begin().await?;
            // Waits for whoever holds the head.
            let sql = "update ledgers set moved_to = $3 where tenant = any($1) and moved_to is not distinct from $2";
            let changing = sqlx::query(sql).bind(&names).bind(from).bind(to);
            let changed = changing.execute(&mut *tx).await?.rows_affected();
            let are_all = changed == names.len() as u64;
            if are_all {
                tx.commit().await?;
            }
            Ok(are_all)
        })?;
        if are_all {
            return Ok(());
        }
        let tenants = tenants.join(", ");
        Err(DatabaseError::MovedMeanwhile { tenants })
    }

    /// Opens the ledger with an id, making it for the tenant when there is none: for one that comes here. A new one is sealed
    /// with `unfinished` until it is all there, and the seal is taken off by [`Database::change_seal`].
    ///
    /// # Errors
    /// When the tenant has another ledger already, or the database does not answer.
    pub fn open_for_moving(
        &self,
        tenant: &str,
        ledger: LedgerId,
        unfinished: &'static str,
    ) -> Result<Opened, DatabaseError> {
        let (opened, listed) = self.open_drawn(tenant, ledger, Some(unfinished))?;
        if listed.ledger == ledger {
            return Ok(opened);
        }
        Err(DatabaseError::AnotherLedger {
            tenant: listed.tenant,
            found: listed.ledger,
        })
    }

    fn open_drawn(
        &self,
        tenant: &str,
        drawn: LedgerId,
        moved_to: Option<&'static str>,
    ) -> Result<(Opened, Listed), DatabaseError> {
        let tenant = tenant.to_owned();
        let (no, listed, created) = self.query("open a ledger", move |pool| async move {
            let made = sqlx::query(
                "insert into ledgers (tenant, id, hash, recorded_at, moved_to) values ($1, $2, $3, $4, $5)
                on conflict do nothing",
            )
            .bind(&tenant)
            .bind(Uuid::from_bytes(drawn.0))
            .bind(Hash::genesis(drawn).0.as_slice())
            .bind(Timestamp::MIN.micros())
            .bind(moved_to)
            .execute(&pool)
            .await?;
            let row = sqlx::query(
                "select no, tenant, id, position, commit, hash, recorded_at, moved_to from ledgers where tenant = $1",
            )
            .bind(&tenant)
            .fetch_one(&pool)
            .await?;
            Ok((row.try_get("no")?, listed_of(&row)?, made.rows_affected() > 0))
        })?;
        let heads = Arc::new(Heads::new(listed.head));
        poll::watch(self, no, &heads);
        let reader = Reader::new(self.clone(), listed.ledger, no, heads);
        let appender = Appender::new(reader.clone()).map_err(DatabaseError::Thread)?;
        let opened = Opened {
            appender,
            reader,
            created,
        };
        Ok((opened, listed))
    }

    /// A reader of a tenant's ledger, which must be there.
    ///
    /// # Errors
    /// When there is none, or the database does not answer.
    pub fn reader(&self, tenant: &str) -> Result<Reader, DatabaseError> {
        let tenant = tenant.to_owned();
        let (no, listed) = self.query("open a ledger to read", move |pool| async move {
            let row = sqlx::query(
                "select no, tenant, id, position, commit, hash, recorded_at, moved_to from ledgers where tenant = $1",
            )
            .bind(&tenant)
            .fetch_one(&pool)
            .await?;
            Ok((row.try_get("no")?, listed_of(&row)?))
        })?;
        let heads = Arc::new(Heads::new(listed.head));
        poll::watch(self, no, &heads);
        Ok(Reader::new(self.clone(), listed.ledger, no, heads))
    }

    /// Runs a future to its end on the database's own runtime.
    fn run<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        let (sender, receiver) = mpsc::sync_channel(1);
        let runtime = self
            .inner
            .runtime
            .as_ref()
            .expect("taken only when the last handle goes");
        runtime.spawn(async move {
            // Whoever asked waits for it.
            let _told = sender.send(future.await);
        });
        receiver.recv().expect("asking the database does not panic")
    }

    /// Runs a future on the database's own runtime, where its connections belong, and waits for it on this task.
    async fn spawn<T: Send + 'static>(&self, future: impl Future<Output = T> + Send + 'static) -> T {
        let runtime = self
            .inner
            .runtime
            .as_ref()
            .expect("taken only when the last handle goes");
        let ended = runtime.spawn(future).await;
        ended.expect("asking the database does not panic")
    }

    /// Lets something be read in the background, on the database's own runtime.
    fn spawn_reading<F>(&self, read: impl FnOnce(PgPool) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(runtime) = &self.inner.runtime {
            runtime.spawn(read(self.inner.pool.clone()));
        }
    }

    fn query<T, F>(&self, doing: &'static str, ask: impl FnOnce(PgPool) -> F) -> Result<T, DatabaseError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, sqlx::Error>> + Send + 'static,
    {
        let asked = ask(self.inner.pool.clone());
        self.run(self.answer(READ_MAX, asked, identity))
            .map_err(sql(doing))
    }

    /// The answer to what the pool is asked: it is not waited for for ever, nor once the database was let go of.
    fn answer<T, E, A, F>(
        &self,
        at_most: Duration,
        asked: A,
        failed: F,
    ) -> impl Future<Output = Result<T, E>> + use<T, E, A, F>
    where
        A: Future<Output = Result<T, E>>,
        F: FnOnce(sqlx::Error) -> E,
    {
        let mut let_go = self.inner.pool.close_event();
        async move {
            match let_go.do_until(tokio::time::timeout(at_most, asked)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(failed(late())),
                Err(closed) => Err(failed(closed)),
            }
        }
    }
}

fn late() -> sqlx::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer came in time").into()
}

/// Waits for an answer, but not for ever. The connection is good for nothing more when it did not come in time.
///
/// # Errors
/// The answer's, or what `failed` makes of its not coming.
pub async fn in_time<T, E>(
    at_most: Duration,
    answer: impl Future<Output = Result<T, E>>,
    failed: impl FnOnce(sqlx::Error) -> E,
) -> Result<T, E> {
    match tokio::time::timeout(at_most, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(failed(late())),
    }
}

/// A pool of so many connections at most, for each of which is waited so long at most. A connection that fell silent, and whose
/// answer was not waited for any longer, is given up when it comes back: the pool itself would ask it whether it still lives,
/// wait for that as long as the system does, and have one connection less meanwhile.
#[must_use]
pub fn pool_of(connections_max: u32, acquire_max: Duration) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(acquire_max)
        .after_release(|connection, _| {
            Box::pin(async move {
                in_time(HELLO_MAX, connection.ping(), identity).await?;
                Ok(true)
            })
        })
}

/// A connection outside the pool.
async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    in_time(CONNECT_MAX, PgConnection::connect_with(options), identity).await
}

fn listed_of(row: &PgRow) -> Result<Listed, sqlx::Error> {
    Ok(Listed {
        tenant: row.try_get("tenant")?,
        ledger: LedgerId(*row.try_get::<Uuid, _>("id")?.as_bytes()),
        head: head_of(row)?,
        moved_to: row.try_get("moved_to")?,
    })
}

/// The end of a log, from the columns of its row.
fn head_of(row: &PgRow) -> Result<Head, sqlx::Error> {
    Ok(Head {
        position: Position(unsigned(row, "position")?),
        commit: unsigned(row, "commit")?,
        hash: hash_of(row)?,
        recorded_at: Timestamp::from_micros(row.try_get("recorded_at")?),
    })
}

fn hash_of(row: &PgRow) -> Result<Hash, sqlx::Error> {
    let bytes: Vec<u8> = row.try_get("hash")?;
    let bytes = <[u8; 32]>::try_from(bytes.as_slice()).map_err(|error| sqlx::Error::ColumnDecode {
        index: "hash".to_owned(),
        source: error.into(),
    })?;
    Ok(Hash(bytes))
}

fn unsigned(row: &PgRow, column: &'static str) -> Result<u64, sqlx::Error> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(|error| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: error.into(),
    })
}

/// A number of ours as the database has it: positions and versions never come near its limit.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What stands for an idempotency key in the index: 128 bits of BLAKE3 of its space and text.
pub fn key_digest(key: &IdempotencyKey) -> Uuid {
    digest_of(key.space, &key.text)
}

fn digest_of(space: KeySpace, text: &str) -> Uuid {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[space as u8]).update(text.as_bytes());
    let mut digest = [0; 16];
    hasher.finalize_xof().fill(&mut digest);
    Uuid::from_bytes(digest)
}

/// What a row of `events` is checked by.
fn crc_of(position: Position, record: &[u8]) -> i32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&position.0.to_le_bytes()), record);
    crc.cast_signed()
}
