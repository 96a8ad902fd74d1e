//! What a view is to the projector: a schema, a fold, and rows to write.

use std::future::Future;

use bincard_ledger::{Inconsistent, Position, Recorded};
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use crate::error::Error;
use crate::name::ViewName;
use crate::sql::{Connection, query};

/// A fold of the log into tables.
///
/// The value itself is the *carry*: what the fold must know of the events so far, by stock key or less, never by
/// event. It can be loaded from the tables at any checkpoint, and runs ahead of them by the batches not yet written.
pub(crate) trait View: Sized + Send + 'static {
    /// Rows that a batch of events adds or changes.
    type Rows: Default + Send + Sync + 'static;
    /// What queries answer from memory; always the tables' content at the checkpoint.
    type Memory: Send + Sync + 'static;

    const NAME: ViewName;
    /// Whether queries are answered from memory at all.
    const IN_MEMORY: bool = false;
    /// Increased with every change to the tables or to what stands in them. A file of another version is not
    /// migrated: a new generation is built.
    const SCHEMA_VERSION: i64;
    const SCHEMA: &'static [&'static str];

    /// The carry of an empty log.
    fn empty() -> Self;
    /// The carry at the tables' checkpoint.
    fn load(connection: &mut Connection<'_>) -> impl Future<Output = Result<Self, sqlx::Error>> + Send;
    /// Folds one event into the carry and the rows of its batch.
    fn fold(&mut self, event: &Recorded, rows: &mut Self::Rows) -> Result<(), Inconsistent>;
    /// Finishes the rows of a batch.
    fn seal(&mut self, rows: &mut Self::Rows);
    /// Writes the rows of a batch.
    fn write(
        connection: &mut Connection<'_>,
        rows: &Self::Rows,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
    /// The memory that belongs to this carry, which stands at `position`.
    fn memory(&self, position: Position) -> Self::Memory;
    /// Brings the memory to `position` by rows that are committed.
    fn publish(memory: &Self::Memory, rows: &Self::Rows, position: Position);
}

pub(crate) const CHECKPOINT_SCHEMA: &str = "create table checkpoint (
    id integer primary key check (id = 1),
    schema_version integer not null,
    position integer not null
)";

/// The position that the tables stand at.
pub(crate) async fn checkpoint(connection: &mut Connection<'_>) -> Result<Position, sqlx::Error> {
    let row = query("select position from checkpoint where id = 1")
        .fetch_one(connection)
        .await?;
    Ok(Position(row.try_get::<i64>(0)?.cast_unsigned()))
}

/// The version of the schema and the position of a file; `None` when nothing was ever written to it.
pub(crate) async fn standing(
    connection: &mut SqliteConnection,
) -> Result<Option<(i64, Position)>, sqlx::Error> {
    let tables: i64 = sqlx::query_scalar("select count(*) from sqlite_master")
        .fetch_one(&mut *connection)
        .await?;
    if tables == 0 {
        return Ok(None);
    }
    let row = query("select schema_version, position from checkpoint where id = 1")
        .fetch_one(&mut Connection::Sqlite(connection))
        .await?;
    Ok(Some((
        row.try_get(0)?,
        Position(row.try_get::<i64>(1)?.cast_unsigned()),
    )))
}

/// Makes the tables of a view in an empty file.
pub(crate) async fn create<V: View>(connection: &mut SqliteConnection) -> Result<(), Error> {
    let database = Error::database(V::NAME);
    let mut tx = connection.begin().await.map_err(&database)?;
    for statement in std::iter::once(&CHECKPOINT_SCHEMA).chain(V::SCHEMA) {
        sqlx::query(*statement)
            .execute(&mut *tx)
            .await
            .map_err(&database)?;
    }
    sqlx::query("insert into checkpoint (id, schema_version, position) values (1, $1, 0)")
        .bind(V::SCHEMA_VERSION)
        .execute(&mut *tx)
        .await
        .map_err(&database)?;
    tx.commit().await.map_err(&database)
}

/// Writes the rows of a batch and the position they lead to into a file, together or not at all.
pub(crate) async fn write_batch<V: View>(
    connection: &mut SqliteConnection,
    rows: &V::Rows,
    position: Position,
) -> Result<(), sqlx::Error> {
    let mut tx = connection.begin_with("begin immediate").await?;
    V::write(&mut Connection::Sqlite(&mut tx), rows).await?;
    sqlx::query("update checkpoint set position = $1 where id = 1")
        .bind(position.0.cast_signed())
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}
