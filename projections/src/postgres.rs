//! Views in PostgreSQL: a schema a generation of a view, a row that says which is live, and a row that says who feeds it.
//!
//! Any number of nodes read a view, and one feeds it. Who does holds a lease in `owners`, renewed as long as the process
//! runs. Rows are not guarded by the lease but by its epoch: whoever takes a view over writes a higher one into the
//! checkpoint of its tables, and a batch is only written where the checkpoint still says what its writer knows. So a node
//! that was stopped and wakes up cannot write, whatever it believes.
//!
//! The sockets belong to a runtime of the database's own, so that threads which build views may come and go.

mod leases;
mod records;
mod schemas;
mod watch;

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::convert::identity;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bincard_ledger::{LedgerId, Position};
use bincard_store::postgres::{Watched, in_time, migrate, pool_of};
use sqlx::postgres::{PgConnectOptions, PgPool, PgRow};
use sqlx::types::Uuid;
use sqlx::{AssertSqlSafe, Postgres, Row as _, Transaction};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::name::ViewName;
use crate::sql::{ANSWER_MAX, Connection, Tx, for_postgres, query};
use crate::view::View;
use leases::Lease;
pub(crate) use records::{Beside, RENEW_EVERY, Records};
use schemas::{RECONCILIATIONS, VIEWS};
pub(crate) use watch::{News, Told};

/// Connections that read views, at most.
const READERS_MAX: u32 = 8;
/// Connections that write them.
const WRITERS_MAX: u32 = 4;
/// How long to wait for one.
const ACQUIRE_MAX: Duration = Duration::from_secs(10);
/// A session that stops in the middle of a transaction holds up whoever takes over no longer than this.
const IDLE_IN_TRANSACTION_MS: &str = "5000";
const LOCK_MS: &str = "10000";
const SCHEMA: &str = "bincard_views";
const RECONCILIATIONS_SCHEMA: &str = "bincard_reconciliations";

/// A node's connection to the database that keeps views and reconciliations. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    options: PgConnectOptions,
    readers: PgPool,
    writers: PgPool,
    /// What this process is called in `owners`.
    node: String,
    held: Mutex<Vec<Lease>>,
    watched: Mutex<Watched<tokio::sync::watch::Sender<News>>>,
    /// Taken when the last handle goes: a runtime may not be dropped where a task runs.
    runtime: Option<Runtime>,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The options have a password.
        f.debug_struct("Database")
            .field("node", &self.inner.node)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The views of one ledger.
#[derive(Clone)]
pub(crate) struct Schemas {
    database: Database,
    ledger: i64,
    /// Whether this process feeds views at all.
    feeds: bool,
    /// The folder for what lives only as long as a comparison.
    scratch: PathBuf,
}

/// The tables of one generation of a view.
#[derive(Clone)]
pub(crate) struct Schema {
    database: Database,
    ledger: i64,
    view: ViewName,
    generation: u64,
    name: String,
}

impl Database {
    /// Prepares to connect to a database by its address, such as `postgres://user:password@host/database`.
    ///
    /// # Errors
    /// When the address is not one, or no thread can be started.
    pub fn new(url: &str) -> Result<Database, Error> {
        let options = PgConnectOptions::from_str(url).map_err(Error::Postgres)?;
        let options = options.application_name("bincard views").options([
            ("search_path", SCHEMA),
            ("client_min_messages", "warning"),
            ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_MS),
            ("lock_timeout", LOCK_MS),
        ]);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("bincard-views")
            .enable_all()
            .build()
            .map_err(Error::folder("start a thread for", SCHEMA.as_ref()))?;
        let pool = |connections_max| {
            let _in_runtime = runtime.enter();
            pool_of(connections_max, ACQUIRE_MAX).connect_lazy_with(options.clone())
        };
        let (readers, writers) = (pool(READERS_MAX), pool(WRITERS_MAX));
        let node = format!("{:016x}", RandomState::new().build_hasher().finish());
        let inner = Arc::new(Inner {
            options,
            readers,
            writers,
            node,
            held: Mutex::default(),
            watched: Mutex::default(),
            runtime: Some(runtime),
        });
        Ok(Database { inner })
    }

    /// Makes the tables what this program needs. Of several nodes that do it at once, one does and the others wait. Blocks.
    ///
    /// # Errors
    /// When the database does not answer, or its tables are of a newer program.
    pub fn migrate(&self) -> Result<(), Error> {
        let options = self.inner.options.clone();
        self.run_blocking(async move {
            migrate::run(&options, &VIEWS).await?;
            Ok(migrate::run(&options, &RECONCILIATIONS).await?)
        })
    }

    /// Lets go of the database for good: whoever waits for it in this process is refused at once, and so is whoever asks it
    /// from now on. For a process that ends while it does not answer.
    pub fn let_go(&self) {
        // Closed when this returns; what the futures wait for is that connections are given back.
        drop((self.inner.readers.close(), self.inner.writers.close()));
    }

    /// Does something until the database is let go of; `None` then.
    async fn unless_let_go<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        self.inner.writers.close_event().do_until(what).await.ok()
    }

    /// The migrations that are still to be applied, by name, in order. None are applied by this. Blocks.
    ///
    /// # Errors
    /// When the database does not answer.
    pub fn pending_migrations(&self) -> Result<Vec<&'static str>, Error> {
        let options = self.inner.options.clone();
        self.run_blocking(async move {
            let mut pending = migrate::pending(&options, &VIEWS).await?;
            pending.extend(migrate::pending(&options, &RECONCILIATIONS).await?);
            Ok(pending)
        })
    }

    /// How far the views of every ledger are that has all of them: up to where the last one is.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn reached(&self) -> Result<HashMap<LedgerId, Position>, Error> {
        self.query(|pool| async move {
            let sql = "select l.id, min(v.position) from ledgers l join live v on v.ledger = l.no group by l.id having count(*) = $1";
            let views = ViewName::COUNT as i64;
            let rows = sqlx::query(sql).bind(views).fetch_all(&pool).await?;
            let one = |row: &PgRow| {
                let id = LedgerId(row.try_get::<Uuid, _>(0)?.into_bytes());
                Ok((id, Position(row.try_get::<i64, _>(1)?.cast_unsigned())))
            };
            rows.iter().map(one).collect()
        })
        .await
    }

    /// Runs what makes connections: their sockets are to outlive whoever asked.
    async fn run<T: Send + 'static>(
        &self,
        what: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        self.spawn(what).await.map_err(|_| Error::Stopped)?
    }

    /// The same, on a thread that may wait for it.
    fn run_blocking<T: Send + 'static>(
        &self,
        what: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        drop(self.spawn(async move {
            let _gone = answer.send(what.await);
        }));
        answered.recv().map_err(|_| Error::Stopped)?
    }

    fn spawn<T: Send + 'static>(&self, what: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let runtime = self.inner.runtime.as_ref();
        let runtime = runtime.expect("taken only when the last handle goes");
        runtime.spawn(what)
    }

    async fn query<T, F>(&self, ask: impl FnOnce(PgPool) -> F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, sqlx::Error>> + Send + 'static,
    {
        let asked = in_time(ANSWER_MAX, ask(self.inner.writers.clone()), identity);
        let mut let_go = self.inner.writers.close_event();
        self.run(Box::pin(async move {
            let answered = let_go.do_until(asked).await;
            answered.and_then(identity).map_err(Error::Postgres)
        }))
        .await
    }

    /// Begins a transaction whose tables are those of a schema.
    async fn begin(
        &self,
        pool: &PgPool,
        mode: &str,
        schema: &str,
    ) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let pool = pool.clone();
        // In one go; a schema that is not there is no error of the second statement's.
        let sql = format!("begin isolation level {mode}; set local search_path to {schema}");
        let mut let_go = pool.close_event();
        // Boxed: whoever reads a view has this within his own future, beside what SQLite takes.
        let begun = Box::pin(async move {
            let begun = in_time(ANSWER_MAX, pool.begin_with(AssertSqlSafe(sql)), identity);
            Ok(let_go.do_until(begun).await.and_then(identity))
        });
        let begun = self.run(begun).await;
        match begun {
            // Which is what is told of a generation in a file that is replaced, and asked again.
            Err(_) | Ok(Err(sqlx::Error::PoolClosed)) => {
                let let_go = io::Error::new(io::ErrorKind::NotConnected, "the process ends");
                Err(let_go.into())
            }
            Ok(begun) => begun,
        }
    }

    /// The views of a ledger. Blocks.
    pub(crate) fn ledger(&self, id: LedgerId, feeds: bool, scratch: PathBuf) -> Result<Schemas, Error> {
        let database = self.clone();
        let ledger = self.run_blocking(async move { database.number_of(id).await })?;
        Ok(Schemas {
            database: self.clone(),
            ledger,
            feeds,
            scratch,
        })
    }

    async fn number_of(&self, id: LedgerId) -> Result<i64, Error> {
        self.query(move |pool| async move {
            let id = Uuid::from_bytes(id.0);
            sqlx::query("insert into ledgers (id) values ($1) on conflict do nothing")
                .bind(id)
                .execute(&pool)
                .await?;
            sqlx::query_scalar("select no from ledgers where id = $1")
                .bind(id)
                .fetch_one(&pool)
                .await
        })
        .await
    }
}

impl Schemas {
    pub(crate) async fn unless_let_go<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        self.database.unless_let_go(what).await
    }

    pub(crate) fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// What the schemas of a view's generations begin with.
    fn prefix(&self, view: ViewName) -> String {
        format!("bincard_view_{}_{view}_", self.ledger)
    }

    /// The tables of one generation.
    pub(crate) fn schema(&self, view: ViewName, generation: u64) -> Schema {
        Schema {
            database: self.database.clone(),
            ledger: self.ledger,
            view,
            generation,
            name: format!("{}{generation}", self.prefix(view)),
        }
    }

    /// The generation that is served, if any is.
    pub(crate) async fn live(&self, view: ViewName) -> Result<Option<u64>, Error> {
        let ledger = self.ledger;
        self.database
            .query(move |pool| async move {
                let sql = "select generation from live where ledger = $1 and view = $2";
                let live: Option<i64> = sqlx::query_scalar(sql)
                    .bind(ledger)
                    .bind(view.as_str())
                    .fetch_optional(&pool)
                    .await?;
                Ok(live.map(i64::cast_unsigned))
            })
            .await
    }

    /// Makes a generation with its position the one that is served, or none, if this node feeds the view.
    pub(crate) async fn set_live(&self, view: ViewName, live: Option<(u64, Position)>) -> Result<(), Error> {
        let (ledger, epoch) = (self.ledger, self.database.epoch_of(self.ledger, view)?);
        let is_mine = self
            .database
            .query(move |pool| async move {
                let mut tx = pool.begin().await?;
                if !leases::is_mine(&mut tx, ledger, view, epoch).await? {
                    return Ok(false);
                }
                let done = match live {
                    Some((generation, position)) => sqlx::query(
                        "insert into live (ledger, view, generation, position) values ($1, $2, $3, $4)
                         on conflict (ledger, view) do update
                         set generation = excluded.generation, position = excluded.position",
                    )
                    .bind(ledger)
                    .bind(view.as_str())
                    .bind(generation.cast_signed())
                    .bind(position.0.cast_signed()),
                    None => sqlx::query("delete from live where ledger = $1 and view = $2")
                        .bind(ledger)
                        .bind(view.as_str()),
                };
                done.execute(&mut *tx).await?;
                tx.commit().await.map(|()| true)
            })
            .await?;
        if is_mine {
            Ok(())
        } else {
            Err(Error::FedElsewhere { view })
        }
    }

    /// All generations there are, oldest first.
    pub(crate) async fn generations(&self, view: ViewName) -> Result<Vec<u64>, Error> {
        let prefix = self.prefix(view);
        let mut found: Vec<u64> = self
            .database
            .query(move |pool| async move {
                let sql = "select nspname::text from pg_namespace where starts_with(nspname, $1)";
                let names: Vec<String> = sqlx::query_scalar(sql).bind(&prefix).fetch_all(&pool).await?;
                let numbers = names
                    .iter()
                    .filter_map(|name| name.strip_prefix(&prefix)?.parse().ok());
                Ok(numbers.collect())
            })
            .await?;
        found.sort_unstable();
        Ok(found)
    }

    /// Deletes one generation, if this node feeds the view.
    pub(crate) async fn remove(&self, view: ViewName, generation: u64) -> Result<(), Error> {
        let (ledger, epoch) = (self.ledger, self.database.epoch_of(self.ledger, view)?);
        let name = self.schema(view, generation).name;
        self.database
            .query(move |pool| async move {
                let mut tx = pool.begin().await?;
                if leases::is_mine(&mut tx, ledger, view, epoch).await? {
                    let sql = format!("drop schema if exists {name} cascade");
                    sqlx::query(AssertSqlSafe(sql)).execute(&mut *tx).await?;
                }
                tx.commit().await
            })
            .await
    }

    /// Takes the right to feed a view, if nobody has it.
    pub(crate) async fn own(&self, view: ViewName) -> Result<(), Error> {
        if !self.feeds {
            return Err(Error::FedElsewhere { view });
        }
        self.database.own(self.ledger, view).await
    }

    /// Gives back the right to feed each view that this node has.
    pub(crate) async fn release(&self) -> Result<(), Error> {
        self.database.release(self.ledger).await
    }
}

/// What only PostgreSQL's checkpoints have.
const CHECKPOINT_SCHEMA: &str = "create table checkpoint (
    id int8 primary key check (id = 1),
    schema_version int8 not null,
    position int8 not null,
    epoch int8 not null
) with (fillfactor = 20)";

/// The tables of a generation, held by whoever is to feed them.
pub(crate) struct Taken {
    pub(crate) tx: Tx<'static>,
    pub(crate) epoch: i64,
    pub(crate) version: i64,
    pub(crate) position: Position,
    /// Whether they were made just now.
    pub(crate) was_empty: bool,
}

impl Schema {
    /// Begins to read: all statements see one state.
    pub(crate) async fn begin_read(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let mode = "repeatable read read only";
        let database = &self.database;
        database.begin(&database.inner.readers, mode, &self.name).await
    }

    /// Begins to read or write, as the one who feeds the view.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let mode = "read committed read write";
        let database = &self.database;
        database.begin(&database.inner.writers, mode, &self.name).await
    }

    /// Takes over the tables, making them where there are none. Nobody writes them until the transaction ends.
    pub(crate) async fn take_over<V: View>(&self) -> Result<Taken, Error> {
        let epoch = self.database.epoch_of(self.ledger, self.view)?;
        let taken = in_time(ANSWER_MAX, self.take_over_as::<V>(epoch), identity);
        taken
            .await
            .map_err(Error::database(V::NAME))?
            .ok_or(Error::FedElsewhere { view: V::NAME })
    }

    async fn take_over_as<V: View>(&self, epoch: i64) -> Result<Option<Taken>, sqlx::Error> {
        let mut tx = self.begin().await?;
        if !leases::is_mine(&mut tx, self.ledger, self.view, epoch).await? {
            return Ok(None);
        }
        let is_there: bool = sqlx::query_scalar("select to_regnamespace($1) is not null")
            .bind(&self.name)
            .fetch_one(&mut *tx)
            .await?;
        if !is_there {
            let create = format!("create schema {}", self.name);
            let tables = V::SCHEMA.iter().map(|ddl| for_postgres(ddl));
            let statements = [create, CHECKPOINT_SCHEMA.to_owned()].into_iter().chain(tables);
            for statement in statements {
                sqlx::query(AssertSqlSafe(statement)).execute(&mut *tx).await?;
            }
            let sql = "insert into checkpoint (id, schema_version, position, epoch) values (1, $1, 0, $2)";
            sqlx::query(sql)
                .bind(V::SCHEMA_VERSION)
                .bind(epoch)
                .execute(&mut *tx)
                .await?;
        }
        let sql = "update checkpoint set epoch = $1 where id = 1 and epoch <= $1 returning schema_version, position";
        let Some(row) = sqlx::query(sql).bind(epoch).fetch_optional(&mut *tx).await? else {
            return Ok(None);
        };
        Ok(Some(Taken {
            tx: Tx::Postgres(tx),
            epoch,
            version: row.try_get(0)?,
            position: Position(row.try_get::<i64, _>(1)?.cast_unsigned()),
            was_empty: !is_there,
        }))
    }

    /// Moves the checkpoint from one position to another, if it is still this writer's; whether it was. Nodes that follow
    /// hear of it, once it is committed.
    pub(crate) async fn advance(
        &self,
        connection: &mut Connection<'_>,
        epoch: i64,
        from: Position,
        to: Position,
    ) -> Result<bool, sqlx::Error> {
        let advanced = query(
            "with mine as (
                update checkpoint set position = $1 where id = 1 and position = $2 and epoch = $3 returning 1
             ), told as (
                update bincard_views.live set position = $1 where ledger = $4 and view = $5 and generation = $6
             )
             select count(*) from mine",
        )
        .bind(to.0.cast_signed())
        .bind(from.0.cast_signed())
        .bind(epoch)
        .bind(self.ledger)
        .bind(self.view.as_str())
        .bind(self.generation.cast_signed())
        .fetch_one(connection)
        .await?;
        Ok(advanced.try_get::<i64>(0)? == 1)
    }
}
