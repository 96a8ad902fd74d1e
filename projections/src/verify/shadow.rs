//! The shadow: what the log makes of a view, folded into a database beside it that lives only as long as the comparison. So
//! does the copy of a view in PostgreSQL: SQLite is what compares.

use std::path::{Path, PathBuf};

use bincard_ledger::Position;
use bincard_store::Reader;
use futures_util::StreamExt;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _, TypeInfo, ValueRef};

use crate::build::{Built, feed_through};
use crate::each::Listed;
use crate::error::Error;
use crate::generation::{Folder, Tables, remove_database};
use crate::lane::Lane;
use crate::name::ViewName;
use crate::sql::{Connection, Insert, Row, Value, query};
use crate::sqlite::open_writer;
use crate::view::{CHECKPOINT_SCHEMA, View};

use super::tables::{CHECKPOINT, Table};

/// A shadow on the disk, where it does not stay.
pub(crate) struct Shadow {
    path: PathBuf,
}

impl Shadow {
    /// One without anything in it yet.
    pub(crate) fn empty(folder: &Folder, view: ViewName) -> Result<Shadow, Error> {
        Shadow::at(folder.shadow(view))
    }

    fn at(path: PathBuf) -> Result<Shadow, Error> {
        remove_database(&path)?;
        Ok(Shadow { path })
    }

    /// A copy of what a view in PostgreSQL says in one transaction, so that SQLite can compare it: of these tables the rows
    /// that pass a condition, which is empty for all of them, and the checkpoint.
    pub(crate) async fn copy<V: View>(
        folder: &Folder,
        view: &mut PgConnection,
        tables: impl IntoIterator<Item = (&'static Table, String)>,
    ) -> Result<Shadow, Error> {
        let copy = Shadow::at(folder.copy(V::NAME))?;
        let copied = async {
            let mut file = open_writer(&copy.path).await?;
            let mut view = Connection::Postgres(view);
            let mut tx = file.begin().await?;
            for statement in V::SCHEMA {
                sqlx::query(*statement).execute(&mut *tx).await?;
            }
            sqlx::query(CHECKPOINT_SCHEMA).execute(&mut *tx).await?;
            for (table, condition) in tables {
                copy_table(table, &condition, &mut view, &mut Connection::Sqlite(&mut tx)).await?;
            }
            copy_table(&CHECKPOINT, "", &mut view, &mut Connection::Sqlite(&mut tx)).await?;
            tx.commit().await?;
            file.close().await
        };
        copied.await.map_err(Error::database(V::NAME))?;
        Ok(copy)
    }

    /// Folds the log up to `through`.
    pub(crate) async fn fold<V: Listed>(
        folder: &Folder,
        reader: &Reader,
        generation: u64,
        through: Position,
        tell: impl FnMut(Position),
    ) -> Result<Shadow, Error> {
        let shadow = Shadow::empty(folder, V::NAME)?;
        let (lane, carry) = Lane::<V>::open(shadow.tables(), generation, through).await?;
        let built = feed_through(reader, Built { lane, carry }, through, tell).await?;
        built.lane.close().await;
        Ok(shadow)
    }

    pub(crate) fn tables(&self) -> Tables {
        Tables::File(self.path.clone())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Deletes it.
    pub(crate) fn remove(self) -> Result<(), Error> {
        remove_database(&self.path)
    }
}

/// Rows that are copied at once.
const COPY_ROWS: usize = 8_192;

/// Copies rows of a table, column by column under the names that both databases have.
async fn copy_table(
    table: &'static Table,
    condition: &str,
    from: &mut Connection<'_>,
    into: &mut Connection<'_>,
) -> Result<(), sqlx::Error> {
    let columns = table.columns();
    let list = columns.join(", ");
    let insert = Insert::new(&format!("{} ({list})", table.name), columns.len(), "");
    let mut rows = query(AssertSqlSafe(format!(
        "select {list} from {}{condition}",
        table.name
    )))
    .fetch(from)
    .ready_chunks(COPY_ROWS);
    while let Some(chunk) = rows.next().await {
        let mut values = Vec::with_capacity(chunk.len() * columns.len());
        for row in chunk {
            let Row::Postgres(row) = row? else { continue };
            for column in 0..columns.len() {
                values.push(match row.try_get_raw(column)?.type_info().name() {
                    "TEXT" => Value::Text(row.try_get(column)?),
                    _ => Value::Integer(row.try_get(column)?),
                });
            }
        }
        insert.run(into, &values).await?;
    }
    Ok(())
}

impl Drop for Shadow {
    fn drop(&mut self) {
        // Nothing is left of one that was removed; this is for those that an error or the caller left behind.
        if let Err(error) = remove_database(&self.path) {
            tracing::warn!(error = %error.chain(), "a shadow stays; the next verification deletes it");
        }
    }
}
