//! News of the views that other nodes feed: how those of all open ledgers stand.

use std::sync::{Arc, PoisonError, Weak};

use bincard_ledger::Position;
use bincard_store::postgres::look_out;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use tokio::sync::watch;

use super::{Inner, Schemas};
use crate::error::Error;
use crate::name::ViewName;

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

impl Schemas {
    /// Keeps news of the ledger's views up to date for as long as what it answers is kept.
    pub(crate) fn watch(&self) -> Arc<watch::Sender<News>> {
        let news = Arc::new(watch::channel(None).0);
        let inner = &self.database.inner;
        let mut watched = inner.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if watched.add(self.ledger, &news) {
            let (options, weak) = (inner.options.clone(), Arc::downgrade(inner));
            // Who looks for news of the log says that the database does not answer.
            let looking = look_out(options, move || open(&weak), look, |_failed| {});
            drop(self.database.spawn(looking));
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

/// The open ledgers; `None`, once and for all, when none is.
fn open(database: &Weak<Inner>) -> Option<Vec<(i64, Arc<watch::Sender<News>>)>> {
    let inner = database.upgrade()?;
    let mut watched = inner.watched.lock().unwrap_or_else(PoisonError::into_inner);
    watched.open()
}

async fn look(
    session: &mut PgConnection,
    open: &[(i64, Arc<watch::Sender<News>>)],
) -> Result<(), sqlx::Error> {
    let numbers: Vec<i64> = open.iter().map(|(no, _)| *no).collect();
    let sql =
        "select o.ledger, o.view, o.epoch, l.generation, l.position, o.until < clock_timestamp() as is_free, o.rebuild
        from owners o left join live l on l.ledger = o.ledger and l.view = o.view where o.ledger = any($1)";
    let rows = sqlx::query(sql).bind(numbers).fetch_all(session).await?;
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
