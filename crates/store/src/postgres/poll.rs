//! News of what other nodes append.
//!
//! One task a node asks for the heads of all its open ledgers, some fifty times a second while there are any. (Being told
//! by NOTIFY would make the commits of all ledgers of a server wait for one another: PostgreSQL holds one lock for it
//! until a commit is on the disk.)

use std::convert::identity;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgPool;

use super::{ANSWER_MAX, Database, Inner, head_of, in_time};
use crate::contract::Head;
use crate::heads::Heads;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(20);
/// Between two looks while the database does not answer.
const EVERY_WHILE_AWAY: Duration = Duration::from_secs(1);

/// Ledgers whose heads are to be asked for.
type Open = Vec<(i32, Arc<Heads>)>;

/// The open ledgers, by number.
#[derive(Default)]
pub(super) struct Watched {
    ledgers: Vec<(i32, Weak<Heads>)>,
    is_polled: bool,
}

/// Keeps a ledger's head up to date for as long as anybody has it.
pub(super) fn watch(database: &Database, no: i32, heads: &Arc<Heads>) {
    let mut watched = database
        .inner
        .watched
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    watched.ledgers.push((no, Arc::downgrade(heads)));
    if !std::mem::replace(&mut watched.is_polled, true) {
        let runtime = database
            .inner
            .runtime
            .as_ref()
            .expect("taken only when the last handle goes");
        runtime.spawn(poll(Arc::downgrade(&database.inner)));
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
        let found = look(&pool, &open).await;
        // The handle must not be held while this sleeps.
        drop(pool);
        if let Some(inner) = database.upgrade() {
            inner.is_away.store(found.is_err(), Ordering::Relaxed);
        }
        match found {
            Ok(found) => {
                is_away = false;
                for (no, head) in found {
                    let of = open.iter().filter(|(other, _)| *other == no);
                    of.for_each(|(_, heads)| heads.tell(head));
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut is_away, true) {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "PostgreSQL does not answer"
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
    watched.ledgers.retain(|(no, heads)| match heads.upgrade() {
        Some(heads) => {
            open.push((*no, heads));
            true
        }
        None => false,
    });
    if open.is_empty() {
        watched.is_polled = false;
        // Nobody looks any more: the next who opens a ledger will see.
        inner.is_away.store(false, Ordering::Relaxed);
        return None;
    }
    Some((inner.pool.clone(), open))
}

async fn look(pool: &PgPool, open: &Open) -> Result<Vec<(i32, Head)>, sqlx::Error> {
    let numbers: Vec<i32> = open.iter().map(|(no, _)| *no).collect();
    let sql = "select no, position, commit, hash, recorded_at from ledgers where no = any($1)";
    let mut connection = pool.acquire().await?;
    let asked = sqlx::query(sql).bind(numbers).fetch_all(&mut *connection);
    let rows = in_time(ANSWER_MAX, asked, identity).await;
    if rows.is_err() {
        // It may have broken without a word: nobody else is to wait for it.
        drop(connection.detach());
    }
    let rows = rows?;
    rows.iter()
        .map(|row| Ok((row.try_get("no")?, head_of(row)?)))
        .collect()
}
