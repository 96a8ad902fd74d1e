//! What is served: for each view the generation that queries read, and how far it stands.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bincard_ledger::Position;
use bincard_store::Reader;
use sqlx::sqlite::SqlitePool;
use tokio::sync::{Notify, watch};

use crate::ask::Asking;
use crate::each::{Each, Listed, PerView, each_view};
use crate::error::Error;
use crate::generation::{Home, Tables};
use crate::lane::Lane;
use crate::name::ViewName;
use crate::postgres::Schema;
use crate::sql::{Connection, Integers, Query, Tx};
use crate::sqlite::reader_pool;
use crate::view::{self, View};

/// How long to wait for news of the log, which come some fifty times a second while its database answers.
const HEAR_MAX: Duration = Duration::from_secs(5);
/// How long a generation in PostgreSQL stays after another one was made live.
const READ_ON: Duration = Duration::from_secs(5);

/// How a view stands.
#[derive(Clone, Debug)]
pub struct ViewStatus {
    /// Which view.
    pub view: ViewName,
    /// The generation that is served; `None` while the first one, or one that replaces a damaged one, is built.
    pub generation: Option<u64>,
    /// The position that is served.
    pub position: Position,
    /// What went wrong last, while it has not been put right. What is served stays served, but does not move on.
    pub error: Option<Arc<str>>,
    /// How far a generation is that is being built or that catches up; `None` when there is none.
    pub building: Option<Position>,
    /// The first generation that had to be given up since the views were opened; another one was built, or is being.
    pub replaced: Option<Replaced>,
}

impl ViewStatus {
    /// Whether what went wrong last is what the view is being built anew for. Whatever goes wrong with that is another
    /// error, even in the same words.
    pub fn is_being_replaced(&self) -> bool {
        match (&self.error, &self.replaced) {
            (Some(error), Some(replaced)) => Arc::ptr_eq(error, &replaced.why),
            _ => false,
        }
    }
}

/// A generation of a view that could not be used any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replaced {
    /// Which generation.
    pub generation: u64,
    /// Why it could not be used.
    pub why: Arc<str>,
    /// Whether it was merely made by an older version of this program, and not damaged.
    pub outdated: bool,
}

/// The tables that queries read.
#[derive(Clone)]
pub(crate) enum Readers {
    File(SqlitePool, Arc<Asking>),
    Schema(Schema),
}

impl Readers {
    fn of(tables: Tables) -> Readers {
        match tables {
            Tables::File(path) => Readers::File(reader_pool(&path), Arc::new(Asking::of(&path))),
            Tables::Schema(schema) => Readers::Schema(schema),
        }
    }

    async fn begin(&self) -> Result<Tx<'static>, sqlx::Error> {
        Ok(match self {
            Readers::File(pool, _) => Tx::Sqlite(pool.begin().await?),
            Readers::Schema(schema) => Tx::Postgres(schema.begin_read().await?),
        })
    }

    async fn ask(&self, query: Query) -> Result<Integers, sqlx::Error> {
        let row = match self {
            Readers::File(pool, asking) => {
                if let Some(integers) = asking.ask(&query) {
                    return Ok(integers);
                }
                let mut connection = pool.acquire().await?;
                query.fetch_one(&mut Connection::Sqlite(&mut connection)).await?
            }
            Readers::Schema(schema) => {
                let mut tx = schema.begin_read().await?;
                query.fetch_one(&mut Connection::Postgres(&mut tx)).await?
            }
        };
        row.integers()
    }

    /// Waits until nobody reads any more.
    async fn close(&self) {
        match self {
            Readers::File(pool, asking) => {
                asking.close();
                pool.close().await;
            }
            // Other nodes read it too: they have so long to hear that another generation is live.
            Readers::Schema(_) => tokio::time::sleep(READ_ON).await,
        }
    }
}

/// The generation of a view that queries read.
pub(crate) struct Serving<V: View> {
    pub(crate) generation: u64,
    pub(crate) readers: Readers,
    pub(crate) memory: Arc<V::Memory>,
}

/// The place that says which generation is served. Locked only to take or replace a pointer.
pub(crate) struct Slot<V: View> {
    current: RwLock<Option<Arc<Serving<V>>>>,
}

/// The slot of each view.
pub(crate) struct Slots;

impl PerView for Slots {
    type Of<V: View> = Slot<V>;
}

impl<V: View> Default for Slot<V> {
    fn default() -> Slot<V> {
        Slot {
            current: RwLock::new(None),
        }
    }
}

impl<V: View> Slot<V> {
    /// The generation to read.
    pub(crate) fn current(&self) -> Result<Arc<Serving<V>>, Error> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone().ok_or(Error::Building { view: V::NAME })
    }

    fn replace(&self, serving: Option<Serving<V>>) -> Option<Arc<Serving<V>>> {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, serving.map(Arc::new))
    }
}

/// A read transaction, and the position that it sees.
pub(crate) struct Reading {
    tx: Tx<'static>,
    pub(crate) position: Position,
}

impl Reading {
    /// Its connection, for statements.
    pub(crate) fn on(&mut self) -> Connection<'_> {
        self.tx.on()
    }
}

/// What queries and the projector share.
pub(crate) struct Shared {
    pub(crate) home: Home,
    pub(crate) slots: Each<Slots>,
    pub(crate) status: watch::Sender<[ViewStatus; ViewName::COUNT]>,
    /// The end of the log as this process knows it, where others write views too.
    head: Option<watch::Receiver<Position>>,
    /// Told when somebody begins to wait for a position: the projector rests no longer.
    pub(crate) awaited: Notify,
    /// The youngest generation of each view that this process has seen.
    youngest: [AtomicU64; ViewName::COUNT],
}

impl Shared {
    pub(crate) fn new(home: Home, reader: &Reader) -> Shared {
        let statuses = ViewName::ALL.map(|view| ViewStatus {
            view,
            generation: None,
            position: Position(0),
            error: None,
            building: None,
            replaced: None,
        });
        let head = matches!(home, Home::Postgres(_)).then(|| {
            let (moved, head) = watch::channel(reader.head().position);
            reader.on_advance(move |head| {
                moved.send_replace(head.position);
            });
            head
        });
        let youngest = [const { AtomicU64::new(0) }; ViewName::COUNT];
        Shared {
            home,
            slots: Each::default(),
            status: watch::channel(statuses).0,
            head,
            awaited: Notify::new(),
            youngest,
        }
    }

    /// A number for a new generation. None is given twice while this process runs, not even after its file was
    /// deleted: somebody may still be about to delete it.
    pub(crate) fn new_generation(&self, view: ViewName, on_disk: &[u64]) -> u64 {
        let youngest = &self.youngest[view.index()];
        youngest.fetch_max(on_disk.last().copied().unwrap_or(0), Ordering::Relaxed);
        youngest.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn set_status(&self, view: ViewName, change: impl FnOnce(&mut ViewStatus)) {
        self.status.send_modify(|all| change(&mut all[view.index()]));
    }

    /// Sets what went wrong last with a view; whether that is news.
    pub(crate) fn set_error(&self, view: ViewName, why: Arc<str>) -> bool {
        let mut is_new = false;
        self.set_status(view, |status| {
            is_new = status.error.as_ref() != Some(&why);
            status.error = Some(why);
        });
        is_new
    }

    /// Records that a generation is given up, and why.
    pub(crate) fn give_up(&self, view: ViewName, generation: u64, why: &Arc<str>, outdated: bool) {
        self.set_status(view, |status| {
            status.replaced.get_or_insert_with(|| Replaced {
                generation,
                why: why.clone(),
                outdated,
            });
        });
    }

    /// Begins to read a view. A generation that is replaced meanwhile is left for the new one. What another node wrote of
    /// events that this one has not heard of yet is not answered before it has: whoever asks may ask the log for them next.
    pub(crate) async fn begin<V: View>(&self, slot: &Slot<V>) -> Result<Reading, Error> {
        let database = Error::database(V::NAME);
        loop {
            let serving = slot.current()?;
            let mut tx = match serving.readers.begin().await {
                Err(sqlx::Error::PoolClosed) => continue,
                other => other.map_err(&database)?,
            };
            let position = view::checkpoint(&mut tx.on()).await.map_err(&database)?;
            self.hear_of(V::NAME, position).await?;
            return Ok(Reading { tx, position });
        }
    }

    /// Asks what one statement answers, a row of whole numbers. It sees one state without a transaction, and is to tell the position of that state,
    /// which whoever asks must hear of before it answers.
    pub(crate) async fn ask<V: View>(
        &self,
        slot: &Slot<V>,
        query: impl Fn() -> Query,
    ) -> Result<Integers, Error> {
        let database = Error::database(V::NAME);
        loop {
            let serving = slot.current()?;
            return match serving.readers.ask(query()).await {
                Err(sqlx::Error::PoolClosed) => continue,
                other => other.map_err(&database),
            };
        }
    }

    /// From now on what one statement answers goes through the pools as well. That leaves the files to connections that can
    /// copy what is in their write-ahead logs, as the last one to close does.
    pub(crate) fn ask_no_more(&self) {
        fn end<V: View>(slot: &Slot<V>) {
            if let Ok(serving) = slot.current()
                && let Readers::File(_, asking) = &serving.readers
            {
                asking.close();
            }
        }
        each_view!(($V:ty, $view:ident) => { end::<$V>(&self.slots.$view) });
    }

    /// Waits until this process knows the log up to a position.
    pub(crate) async fn hear_of(&self, view: ViewName, position: Position) -> Result<(), Error> {
        let Some(known) = &self.head else { return Ok(()) };
        let head = *known.borrow();
        if head >= position {
            return Ok(());
        }
        let mut known = known.clone();
        let heard = known.wait_for(|head| *head >= position);
        match tokio::time::timeout(HEAR_MAX, heard).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Error::Stopped),
            Err(_) => Err(Error::LogBehind { view, position, head }),
        }
    }

    /// Serves what `lane` writes from now on; what was served before is closed once nobody reads it any more, and its
    /// file deleted when it is of another generation.
    pub(crate) async fn serve<V: Listed>(self: &Arc<Self>, lane: &Lane<V>) -> Result<(), Error> {
        let slot = V::of(&self.slots);
        let before = slot.current().ok();
        let same = before
            .as_ref()
            .filter(|before| before.generation == lane.generation);
        let readers = match same {
            Some(before) => before.readers.clone(),
            None => {
                self.home
                    .set_live(V::NAME, lane.generation, lane.position)
                    .await?;
                Readers::of(self.home.tables(V::NAME, lane.generation))
            }
        };
        let replaced = same.is_none();
        let memory = lane.memory.clone();
        let old = slot.replace(Some(Serving {
            generation: lane.generation,
            readers,
            memory,
        }));
        self.youngest[V::NAME.index()].fetch_max(lane.generation, Ordering::Relaxed);
        self.set_status(V::NAME, |status| {
            status.generation = Some(lane.generation);
            status.position = lane.position;
            status.building = None;
            status.error = None;
        });
        if let Some(old) = old.filter(|_| replaced) {
            self.retire(old);
        }
        Ok(())
    }

    /// Serves a generation that another node feeds, and that another node deletes.
    pub(crate) fn serve_followed<V: Listed>(&self, generation: u64, schema: Schema, memory: Arc<V::Memory>) {
        let readers = Readers::Schema(schema);
        V::of(&self.slots).replace(Some(Serving {
            generation,
            readers,
            memory,
        }));
        self.youngest[V::NAME.index()].fetch_max(generation, Ordering::Relaxed);
    }

    /// Serves nothing any more of a view that another node feeds.
    pub(crate) fn withdraw_followed<V: Listed>(&self) {
        V::of(&self.slots).replace(None);
        self.set_status(V::NAME, |status| status.generation = None);
    }

    /// Serves nothing of a view any more.
    pub(crate) fn withdraw<V: Listed>(self: &Arc<Self>) {
        let old = V::of(&self.slots).replace(None);
        self.set_status(V::NAME, |status| status.generation = None);
        if let Some(old) = old {
            self.retire(old);
        }
    }

    /// Closes a generation behind its last reader and deletes it.
    fn retire<V: View>(self: &Arc<Self>, old: Arc<Serving<V>>) {
        let shared = self.clone();
        tokio::spawn(async move {
            old.readers.close().await;
            if let Err(error) = shared.home.remove(V::NAME, old.generation).await {
                // It is found and deleted when the views are opened next.
                tracing::warn!(view = %V::NAME, generation = old.generation, error = %error.chain(), "cannot delete an old view");
            }
        });
    }
}
