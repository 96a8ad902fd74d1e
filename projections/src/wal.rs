//! Keeping a database's write-ahead log short, beside the connection that writes.
//!
//! Whoever copies the log into the database stands still meanwhile, for a second and more where much was written. So a
//! thread of its own copies, while the writer goes on: SQLite lets the two work side by side. What the writer adds
//! meanwhile is left in the log; once that is little, the writer copies the rest itself, because SQLite begins the log
//! again only when nothing is left in it.

use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};

use crate::error::Error;
use crate::name::ViewName;
use crate::projector::runtime;
use crate::sqlite::{FRAME_BYTES, open_copier};

/// The log is copied when it has so many pages: far apart, because a page that many transactions touch is then copied
/// once for all of them.
const COPY_PAGES: u64 = 32_768;
/// So many pages are little: the writer copies them itself.
const REST_PAGES: u64 = 2_048;
/// How often the thread copies before the writer copies whatever is left: it does not gain on a writer that is in a hurry.
const ROUNDS_MAX: u32 = 3;

/// Copies the write-ahead log of one database when it has grown.
#[derive(Debug)]
pub(crate) struct WalKeeper {
    view: ViewName,
    database: PathBuf,
    log: PathBuf,
    copying: Option<Copying>,
}

#[derive(Debug)]
struct Copying {
    round: u32,
    /// Answers how many pages of the log are in the database.
    thread: JoinHandle<Result<u64, Error>>,
}

impl WalKeeper {
    /// Keeps the log of a view's database at `path`.
    pub(crate) fn new(view: ViewName, path: &Path) -> WalKeeper {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        WalKeeper {
            view,
            database: path.to_owned(),
            log: log.into(),
            copying: None,
        }
    }

    /// To be called after a transaction of `writer`. What fails is tried again later: the log only grows meanwhile.
    pub(crate) async fn look(&mut self, writer: &mut SqliteConnection) {
        let looked = match self.copying.take() {
            None if self.pages() >= COPY_PAGES => self.copy(1),
            None => Ok(()),
            Some(copying) if !copying.thread.is_finished() => {
                self.copying = Some(copying);
                Ok(())
            }
            Some(Copying { round, thread }) => match join(thread) {
                Ok(copied) if round < ROUNDS_MAX && self.pages().saturating_sub(copied) > REST_PAGES => {
                    self.copy(round + 1)
                }
                Ok(_) => copy_log(self.view, writer).await.map(|_| ()),
                Err(error) => Err(error),
            },
        };
        if let Err(error) = looked {
            tracing::warn!(view = %self.view, error = %error.chain(), "the write-ahead log could not be copied yet");
        }
    }

    /// Waits for the thread, if there is one.
    pub(crate) fn close(self) {
        if let Some(Err(error)) = self.copying.map(|copying| join(copying.thread)) {
            tracing::debug!(view = %self.view, error = %error.chain(), "the write-ahead log was not copied");
        }
    }

    /// How many pages the log has at most: its file keeps some of its length when it begins again, less than
    /// [`COPY_PAGES`].
    fn pages(&self) -> u64 {
        let length = std::fs::metadata(&self.log).map_or(0, |log| log.len());
        length / FRAME_BYTES
    }

    fn copy(&mut self, round: u32) -> Result<(), Error> {
        let (view, database) = (self.view, self.database.clone());
        let copy = move || {
            runtime()?.block_on(async {
                let mut connection = open_copier(&database).await.map_err(Error::database(view))?;
                let copied = copy_log(view, &mut connection).await?;
                connection.close().await.map_err(Error::database(view))?;
                Ok(copied)
            })
        };
        let thread = std::thread::Builder::new()
            .name("projector-wal".into())
            .spawn(copy);
        let thread = thread.map_err(Error::folder("start a thread for", &self.database))?;
        self.copying = Some(Copying { round, thread });
        Ok(())
    }
}

fn join(thread: JoinHandle<Result<u64, Error>>) -> Result<u64, Error> {
    thread.join().unwrap_or(Err(Error::Stopped))
}

/// Copies as much of the log as readers allow, and answers how many of its pages are in the database.
async fn copy_log(view: ViewName, connection: &mut SqliteConnection) -> Result<u64, Error> {
    let copy = sqlx::query("pragma wal_checkpoint(passive)");
    let row = copy.fetch_one(connection).await.map_err(Error::database(view))?;
    let copied: i64 = row.try_get(2).map_err(Error::database(view))?;
    // -1 where there is no log.
    Ok(u64::try_from(copied).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::open_writer;

    /// What a transaction of the test writes, in bytes.
    const WRITTEN: u64 = 4 << 20;

    async fn write(connection: &mut SqliteConnection) {
        let insert = sqlx::query("insert into chunk values (zeroblob($1))").bind(WRITTEN.cast_signed());
        insert.execute(connection).await.unwrap();
    }

    #[test]
    fn the_log_begins_again_while_its_writer_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("view.sqlite");
        runtime().unwrap().block_on(async {
            let mut writer = open_writer(&path).await.unwrap();
            let create = sqlx::query("create table chunk (bytes blob not null)");
            create.execute(&mut writer).await.unwrap();
            let mut keeper = WalKeeper::new(ViewName::Stock, &path);
            let (mut written, mut longest) = (0, 0);
            // The log's file is cut to what is kept of it when it begins again.
            while longest < COPY_PAGES || keeper.pages() >= COPY_PAGES {
                write(&mut writer).await;
                keeper.look(&mut writer).await;
                written += WRITTEN;
                longest = longest.max(keeper.pages());
                assert!(
                    written < 100 * COPY_PAGES * FRAME_BYTES,
                    "the log never begins again"
                );
            }
            keeper.close();
            let count = sqlx::query_scalar::<_, i64>("select sum(length(bytes)) from chunk");
            assert_eq!(count.fetch_one(&mut writer).await.unwrap(), written.cast_signed());
        });
    }

    #[test]
    fn a_log_that_cannot_be_copied_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("view.sqlite");
        runtime().unwrap().block_on(async {
            let mut writer = open_writer(&path).await.unwrap();
            let create = sqlx::query("create table chunk (bytes blob not null)");
            create.execute(&mut writer).await.unwrap();
            // A keeper of a file that is no database: copying it fails, in the thread.
            let other = folder.path().join("other.sqlite");
            std::fs::write(&other, vec![0x55; 4_096]).unwrap();
            let log = std::fs::File::create(folder.path().join("other.sqlite-wal")).unwrap();
            log.set_len(COPY_PAGES * FRAME_BYTES).unwrap();
            let mut keeper = WalKeeper::new(ViewName::Stock, &other);
            keeper.look(&mut writer).await;
            let copying = keeper.copying.take().unwrap();
            assert!(matches!(join(copying.thread), Err(Error::Database { .. })));
            write(&mut writer).await;
        });
    }
}
