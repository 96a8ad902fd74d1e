//! News of the views that other nodes feed.
//!
//! One task a node asks how the views of all its open ledgers stand, some fifty times a second while there are any, in one
//! query. (PostgreSQL's NOTIFY would make the commits of all of them wait for one another.)

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use bincard_ledger::Position;
use sqlx::Row as _;
use sqlx::postgres::{PgPool, PgRow};
use tokio::sync::watch;

use super::{Inner, Schemas};
use crate::error::Error;
use crate::name::ViewName;
use crate::sql::in_time;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(20);
/// Between two looks while the database does not answer.
const EVERY_WHILE_AWAY: Duration = Duration::from_secs(1);

/// The longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// How a view stands in the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Told {
    /// The generation that is served, and the position that it has come to.
    pub(crate) live: Option<(u64, Position)>,
    /// Under which it was taken last; 0 when it never was.
    pub(crate) epoch: i64,
    /// Whether nobody feeds it.
    pub(crate) is_free: bool,
    /// Whether it is to be built anew by whoever feeds it.
    pub(crate) is_to_be_rebuilt: bool,
}

/// How each view of a ledger stands, once that is known.
pub(crate) type News = Option<[Told; ViewName::COUNT]>;

/// Ledgers whose views are to be asked for.
type Open = Vec<(i64, Arc<watch::Sender<News>>)>;

/// The open ledgers, by number.
#[derive(Default)]
pub(super) struct Watched {
    ledgers: Vec<(i64, Weak<watch::Sender<News>>)>,
    is_polled: bool,
}

impl Schemas {
    /// Keeps news of the ledger's views up to date for as long as what it answers is kept.
    pub(crate) fn watch(&self) -> Arc<watch::Sender<News>> {
        let news = Arc::new(watch::channel(None).0);
        let inner = &self.database.inner;
        let mut watched = inner.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.ledgers.push((self.ledger, Arc::downgrade(&news)));
        if !std::mem::replace(&mut watched.is_polled, true) {
            drop(self.database.spawn(poll(Arc::downgrade(inner))));
        }
        news
    }

    /// Asks whoever feeds a view to build it anew.
    pub(crate) async fn ask_to_rebuild(&self, view: ViewName) -> Result<(), Error> {
        self.set_rebuild(view, true).await.map(drop)
    }

    /// Whether a view was to be built anew; it is taken care of from now on.
    pub(crate) async fn take_rebuild(&self, view: ViewName) -> Result<bool, Error> {
        self.set_rebuild(view, false).await
    }

    async fn set_rebuild(&self, view: ViewName, rebuild: bool) -> Result<bool, Error> {
        let ledger = self.ledger;
        self.database
            .query(move |pool| async move {
                let sql = "update owners set rebuild = $3 where ledger = $1 and view = $2 and rebuild <> $3";
                let done = sqlx::query(sql)
                    .bind(ledger)
                    .bind(view.as_str())
                    .bind(rebuild)
                    .execute(&pool)
                    .await?;
                Ok(done.rows_affected() > 0)
            })
            .await
    }
}

/// Looks until no ledger is open any more.
async fn poll(database: Weak<Inner>) {
    let mut is_away = false;
    loop {
        tokio::time::sleep(if is_away { EVERY_WHILE_AWAY } else { EVERY }).await;
        let Some((pool, open)) = open_ledgers(&database) else {
            return;
        };
        let looked = look(&pool, &open).await;
        // The handle must not be held while this sleeps.
        drop(pool);
        match looked {
            Ok(()) => is_away = false,
            Err(error) => {
                if !std::mem::replace(&mut is_away, true) {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "PostgreSQL does not tell how the views stand"
                    );
                }
            }
        }
    }
}

/// What is open; `None`, once and for all, when nothing is.
fn open_ledgers(database: &Weak<Inner>) -> Option<(PgPool, Open)> {
    let inner = database.upgrade()?;
    let mut watched = inner.watched.lock().unwrap_or_else(PoisonError::into_inner);
    let mut open = Vec::with_capacity(watched.ledgers.len());
    watched.ledgers.retain(|(no, news)| match news.upgrade() {
        Some(news) => {
            open.push((*no, news));
            true
        }
        None => false,
    });
    if open.is_empty() {
        watched.is_polled = false;
        return None;
    }
    Some((inner.writers.clone(), open))
}

async fn look(pool: &PgPool, open: &Open) -> Result<(), sqlx::Error> {
    let numbers: Vec<i64> = open.iter().map(|(no, _)| *no).collect();
    let sql =
        "select o.ledger, o.view, o.epoch, l.generation, l.position, o.until < clock_timestamp() as is_free, o.rebuild
        from owners o left join live l on l.ledger = o.ledger and l.view = o.view where o.ledger = any($1)";
    let mut connection = pool.acquire().await?;
    let asked = sqlx::query(sql).bind(numbers).fetch_all(&mut *connection);
    let answered = in_time(ANSWER_MAX, asked).await;
    if answered.is_err() {
        // Nobody else is to wait for it.
        drop(connection.detach());
        return answered.map(drop);
    }
    drop(connection);
    let rows = answered?;
    for (no, news) in open {
        // What nobody ever fed has no row.
        let mut told = [Told {
            live: None,
            epoch: 0,
            is_free: true,
            is_to_be_rebuilt: false,
        }; ViewName::COUNT];
        for row in &rows {
            if row.try_get::<i64, _>("ledger")? == *no
                && let Some(view) = ViewName::parse(row.try_get("view")?)
            {
                told[view.index()] = read(row)?;
            }
        }
        news.send_if_modified(|news| news.replace(told) != Some(told));
    }
    Ok(())
}

fn read(row: &PgRow) -> Result<Told, sqlx::Error> {
    let generation: Option<i64> = row.try_get("generation")?;
    let position: Option<i64> = row.try_get("position")?;
    let live = generation.zip(position);
    Ok(Told {
        live: live
            .map(|(generation, position)| (generation.cast_unsigned(), Position(position.cast_unsigned()))),
        epoch: row.try_get("epoch")?,
        is_free: row.try_get("is_free")?,
        is_to_be_rebuilt: row.try_get("rebuild")?,
    })
}
