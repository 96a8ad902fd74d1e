//! News of what other nodes append: the heads of all open ledgers.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};

use sqlx::{PgConnection, Row};

use super::lookout::look_out;
use super::{Database, Inner, head_of};
use crate::heads::Heads;

/// Keeps a ledger's head up to date for as long as anybody has it.
pub(super) fn watch(database: &Database, no: i32, heads: &Arc<Heads>) {
    let inner = &database.inner;
    let mut watched = inner.watched.lock().unwrap_or_else(PoisonError::into_inner);
    if watched.add(no.into(), heads) {
        let runtime = inner
            .runtime
            .as_ref()
            .expect("taken only when the last handle goes");
        let (options, weak) = (inner.options.clone(), Arc::downgrade(inner));
        let told = weak.clone();
        runtime.spawn(look_out(
            options,
            move || open(&weak),
            look,
            move |failed| {
                if let Some(inner) = told.upgrade() {
                    inner.is_away.store(failed.is_some(), Ordering::Relaxed);
                }
                match failed {
                    Some(error) => tracing::warn!(
                        error = error as &dyn std::error::Error,
                        "PostgreSQL does not answer"
                    ),
                    None => tracing::info!("PostgreSQL answers again"),
                }
            },
        ));
    }
}

fn open(database: &Weak<Inner>) -> Option<Vec<(i64, Arc<Heads>)>> {
    let inner = database.upgrade()?;
    let mut watched = inner.watched.lock().unwrap_or_else(PoisonError::into_inner);
    let open = watched.open();
    if open.is_none() {
        // Nobody looks any more: the next who opens a ledger will see.
        inner.is_away.store(false, Ordering::Relaxed);
    }
    open
}

async fn look(session: &mut PgConnection, open: &[(i64, Arc<Heads>)]) -> Result<(), sqlx::Error> {
    let numbers: Vec<i64> = open.iter().map(|(no, _)| *no).collect();
    let sql = "select no::int8, position, commit, hash, recorded_at from ledgers where no = any($1)";
    for row in sqlx::query(sql).bind(numbers).fetch_all(session).await? {
        let (no, head): (i64, _) = (row.try_get("no")?, head_of(&row)?);
        let of = open.iter().filter(|(other, _)| *other == no);
        of.for_each(|(_, heads)| heads.tell(head));
    }
    Ok(())
}
