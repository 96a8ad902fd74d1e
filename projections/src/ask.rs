//! Single statements asked of a view's file on the thread that asks.
//!
//! A connection of the pool has a thread of its own, and waking it and being woken takes several times as long as a small
//! statement does. What is looked up by a key and answered in one row is asked here instead. Whoever asks is blocked
//! meanwhile, so what would take long is broken off: the pool answers that, and whatever fails here.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::sql::{Integers, Query, Value};
use crate::sqlite::READER_CACHE_KIB;

/// The steps of SQLite's machine after which a statement is broken off, about: it is asked whether to go on each so many,
/// counted over all statements that were the same, and goes on once. Half a millisecond to one.
const STEPS_MAX: i32 = 25_000;
/// Few kinds of questions are asked here: a quarter of what a connection of the pool has for all kinds.
const CACHE_KIB: u32 = READER_CACHE_KIB / 4;

/// The connections for it. As many are opened as threads ask at a time.
pub(crate) struct Asking {
    path: PathBuf,
    /// Those that nobody uses; `None` once no more is to be asked.
    idle: Mutex<Option<Vec<Asked>>>,
}

/// A connection that one thread asks at a time.
struct Asked {
    connection: Connection,
    /// How often the statement at hand went on.
    went_on: Arc<AtomicU32>,
}

impl Asking {
    /// Nothing is opened before it is needed.
    pub(crate) fn of(path: &Path) -> Asking {
        Asking {
            path: path.to_owned(),
            idle: Mutex::new(Some(Vec::new())),
        }
    }

    /// The row that a statement answers, of whole numbers only. `None` where that took too long, failed, or is over.
    pub(crate) fn ask(&self, query: &Query) -> Option<Integers> {
        let mut asked = self.take()?;
        let answer = asked.ask(query);
        // A connection that failed otherwise may fail again.
        let is_well = match &answer {
            Ok(_) => true,
            Err(error) => error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted),
        };
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(idle) = idle.as_mut().filter(|_| is_well) {
            idle.push(asked);
        }
        answer.ok()
    }

    /// Answers nothing any more. Who is being answered has the files open, and needs them no longer at their place.
    pub(crate) fn close(&self) {
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn take(&self) -> Option<Asked> {
        // Opened under the lock, so that no file is looked for that is deleted after closing.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        match idle.as_mut()?.pop() {
            Some(asked) => Some(asked),
            None => Asked::open(&self.path).ok(),
        }
    }
}

impl Asked {
    fn open(path: &Path) -> Result<Asked, rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(Duration::ZERO)?;
        connection.pragma_update(None, "cache_size", -i64::from(CACHE_KIB))?;
        // The write-ahead log is opened with the first look.
        connection.query_row("select position from checkpoint where id = 1", [], |_| Ok(()))?;
        let went_on = Arc::new(AtomicU32::new(0));
        let counted = went_on.clone();
        let give_up = move || counted.fetch_add(1, Ordering::Relaxed) > 0;
        connection.progress_handler(STEPS_MAX, Some(give_up))?;
        Ok(Asked { connection, went_on })
    }

    fn ask(&mut self, query: &Query) -> Result<Integers, rusqlite::Error> {
        self.went_on.store(0, Ordering::Relaxed);
        let mut statement = self.connection.prepare_cached(query.sql())?;
        // `$3` is a name to SQLite, which numbers parameters as they come first in the text.
        for index in 1..=statement.parameter_count() {
            let name = statement.parameter_name(index);
            let number = name.and_then(|name| name.strip_prefix('$')?.parse::<usize>().ok());
            let value = number.and_then(|number| query.values().get(number.checked_sub(1)?));
            match value {
                Some(Value::Integer(value)) => statement.raw_bind_parameter(index, value)?,
                Some(Value::Text(text)) => statement.raw_bind_parameter(index, text)?,
                None => {
                    return Err(rusqlite::Error::InvalidParameterName(
                        name.unwrap_or_default().to_owned(),
                    ));
                }
            }
        }
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        (0..columns).map(|column| row.get(column)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::query;

    fn file() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("view.db");
        let writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "wal").unwrap();
        writer
            .execute_batch("create table checkpoint (id integer primary key, position integer); insert into checkpoint values (1, 7)")
            .unwrap();
        (folder, path)
    }

    const COUNT: &str = "with recursive n (i) as (select 1 union all select i + 1 from n where i < $1) select count(*) from n";

    #[test]
    fn parameters_are_bound_by_their_numbers_wherever_they_stand() {
        let (_folder, path) = file();
        let asking = Asking::of(&path);
        let query = query("select $3, (select position from checkpoint), $1, $3, length($2), $4")
            .bind(1)
            .bind("four")
            .bind(3)
            .bind(4);
        assert_eq!(asking.ask(&query).as_deref(), Some(&[3, 7, 1, 3, 4, 4][..]));
    }

    #[test]
    fn what_takes_long_is_broken_off_and_the_next_question_is_answered() {
        let (_folder, path) = file();
        let asking = Asking::of(&path);
        for _ in 0..50 {
            assert_eq!(asking.ask(&query(COUNT).bind(300)).as_deref(), Some(&[300][..]));
            assert_eq!(asking.ask(&query(COUNT).bind(1_000_000)), None);
        }
    }

    #[test]
    fn what_fails_is_not_answered() {
        let (_folder, path) = file();
        let asking = Asking::of(&path);
        assert_eq!(asking.ask(&query("select position from nowhere")), None);
        assert_eq!(asking.ask(&query("select 1 where false")), None);
        assert_eq!(asking.ask(&query("select $2").bind(1)), None);
        assert_eq!(asking.ask(&query("select 'text'")), None);
        assert_eq!(
            asking.ask(&query("update checkpoint set position = 8 returning 1")),
            None
        );
        assert_eq!(
            asking.ask(&query("select position from checkpoint")).as_deref(),
            Some(&[7][..])
        );
    }

    #[test]
    fn nothing_is_answered_or_made_once_it_is_closed_or_where_no_file_is() {
        let (folder, path) = file();
        let asking = Asking::of(&path);
        assert!(asking.ask(&query("select 1")).is_some());
        asking.close();
        assert_eq!(asking.ask(&query("select 1")), None);
        let nowhere = folder.path().join("nowhere.db");
        assert_eq!(Asking::of(&nowhere).ask(&query("select 1")), None);
        assert!(!nowhere.exists());
    }
}
