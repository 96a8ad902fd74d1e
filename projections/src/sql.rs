//! What the views ask of a database: one text for SQLite and PostgreSQL, sent to the one that is there.
//!
//! Both understand `$1`. What a text must mind beyond that: sums are cast to `bigint`, a column that is added to in
//! `on conflict` is named with its table, and no column stands beside an aggregate unless it is grouped by. Truth values
//! are integers.

use std::convert::identity;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bincard_store::postgres::in_time;
use futures_util::TryStreamExt;
use futures_util::future::{join, ready};
use futures_util::stream::{self, BoxStream, Stream, StreamExt, once};
use smallvec::SmallVec;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteRow};
use sqlx::{
    Arguments, AssertSqlSafe, Decode, Encode, Postgres, Row as _, SqlSafeStr, SqlStr, Sqlite, Transaction,
    Type,
};

/// A connection to either database.
pub(crate) enum Connection<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

/// A transaction of either database. Dropped without a commit, it leaves no trace.
pub(crate) enum Tx<'c> {
    Sqlite(Transaction<'c, Sqlite>),
    Postgres(Transaction<'c, Postgres>),
}

impl Tx<'_> {
    /// Itself, for statements.
    pub(crate) fn on(&mut self) -> Connection<'_> {
        match self {
            Tx::Sqlite(tx) => Connection::Sqlite(tx),
            Tx::Postgres(tx) => Connection::Postgres(tx),
        }
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Tx::Sqlite(tx) => tx.commit().await,
            Tx::Postgres(tx) => in_time(ANSWER_MAX, tx.commit(), identity).await,
        }
    }
}

/// The columns of a row that are whole numbers all.
pub(crate) type Integers = SmallVec<[i64; 16]>;

/// A row that either database answered.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// Whatever both databases can give.
pub(crate) trait Given<'r>:
    Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{
}

impl<'r, T> Given<'r> for T where T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres> {}

impl Row {
    /// The value of a column.
    pub(crate) fn try_get<'r, T: Given<'r>>(&'r self, column: usize) -> Result<T, sqlx::Error> {
        match self {
            Row::Sqlite(row) => row.try_get(column),
            Row::Postgres(row) => row.try_get(column),
        }
    }

    /// All of its columns, where they are whole numbers.
    pub(crate) fn integers(&self) -> Result<Integers, sqlx::Error> {
        let columns = match self {
            Row::Sqlite(row) => row.len(),
            Row::Postgres(row) => row.len(),
        };
        (0..columns).map(|column| self.try_get(column)).collect()
    }
}

/// A value that a statement is given. What is not there has a type too: PostgreSQL asks for it.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Integer(Some(value))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Integer(Some(i64::from(value)))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Value {
        Value::Integer(value)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(Some(text))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(Some(text.to_owned()))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Value {
        Value::Text(text)
    }
}

impl From<Option<&str>> for Value {
    fn from(text: Option<&str>) -> Value {
        Value::Text(text.map(str::to_owned))
    }
}

/// A statement with the values of its parameters, in their order.
pub(crate) struct Query {
    sql: SqlStr,
    values: Vec<Value>,
}

/// A statement that both databases understand.
pub(crate) fn query(sql: impl SqlSafeStr) -> Query {
    Query {
        sql: sql.into_sql_str(),
        values: Vec::new(),
    }
}

impl Query {
    pub(crate) fn sql(&self) -> &str {
        self.sql.as_str()
    }

    pub(crate) fn values(&self) -> &[Value] {
        &self.values
    }

    /// The value of the next parameter.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Query {
        self.values.push(value.into());
        self
    }

    fn on_sqlite(self) -> Result<sqlx::query::Query<'static, Sqlite, SqliteArguments>, sqlx::Error> {
        Ok(sqlx::query_with(self.sql, arguments(self.values)?))
    }

    fn on_postgres(self) -> Result<sqlx::query::Query<'static, Postgres, PgArguments>, sqlx::Error> {
        Ok(sqlx::query_with(self.sql, arguments(self.values)?))
    }

    /// Runs it, for what it does.
    pub(crate) async fn execute(self, connection: &mut Connection<'_>) -> Result<(), sqlx::Error> {
        match connection {
            Connection::Sqlite(connection) => self.on_sqlite()?.execute(&mut **connection).await.map(drop),
            Connection::Postgres(connection) => {
                let done = self.on_postgres()?.execute(&mut **connection);
                in_time(ANSWER_MAX, done, identity).await.map(drop)
            }
        }
    }

    /// The rows, one by one.
    pub(crate) fn fetch<'c>(
        self,
        connection: &'c mut Connection<'_>,
    ) -> impl Stream<Item = Result<Row, sqlx::Error>> + Send + Unpin + 'c {
        match connection {
            Connection::Sqlite(connection) => match self.on_sqlite() {
                Ok(query) => query.fetch(&mut **connection),
                Err(error) => once(ready(Err(error))).boxed(),
            }
            .map_ok(Row::Sqlite)
            .left_stream(),
            Connection::Postgres(connection) => match self.on_postgres() {
                Ok(query) => each_in_time(query.fetch(&mut **connection)),
                Err(error) => once(ready(Err(error))).boxed(),
            }
            .map_ok(Row::Postgres)
            .right_stream(),
        }
    }

    pub(crate) async fn fetch_all(self, connection: &mut Connection<'_>) -> Result<Vec<Row>, sqlx::Error> {
        self.fetch(connection).try_collect().await
    }

    pub(crate) async fn fetch_optional(
        self,
        connection: &mut Connection<'_>,
    ) -> Result<Option<Row>, sqlx::Error> {
        Ok(match connection {
            Connection::Sqlite(connection) => {
                let found = self.on_sqlite()?.fetch_optional(&mut **connection);
                found.await?.map(Row::Sqlite)
            }
            Connection::Postgres(connection) => {
                let found = self.on_postgres()?.fetch_optional(&mut **connection);
                in_time(ANSWER_MAX, found, identity).await?.map(Row::Postgres)
            }
        })
    }

    pub(crate) async fn fetch_one(self, connection: &mut Connection<'_>) -> Result<Row, sqlx::Error> {
        let found = self.fetch_optional(connection).await?;
        found.ok_or(sqlx::Error::RowNotFound)
    }
}

/// The longest wait for what PostgreSQL is asked in one go: a connection may have broken without a word.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(30);

/// The rows of a statement, none of which is waited for for ever. After an error there are no more.
fn each_in_time<'c>(
    rows: BoxStream<'c, Result<PgRow, sqlx::Error>>,
) -> BoxStream<'c, Result<PgRow, sqlx::Error>> {
    let next = |rows: Option<BoxStream<'c, Result<PgRow, sqlx::Error>>>| async move {
        let mut rows = rows?;
        match in_time(ANSWER_MAX, rows.try_next(), identity).await {
            Ok(None) => None,
            Ok(Some(row)) => Some((Ok(row), Some(rows))),
            Err(error) => Some((Err(error), None)),
        }
    };
    stream::unfold(Some(rows), next).boxed()
}

/// Values as a database takes them.
fn arguments<A>(values: Vec<Value>) -> Result<A, sqlx::Error>
where
    A: Arguments + Default,
    for<'q> Option<i64>: Encode<'q, A::Database> + Type<A::Database>,
    for<'q> Option<String>: Encode<'q, A::Database> + Type<A::Database>,
{
    let mut arguments = A::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        let added = match value {
            Value::Integer(value) => arguments.add(value),
            Value::Text(text) => arguments.add(text),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// A value of rows in bulk.
pub(crate) trait Cell: Clone + Into<Value> + Sync {
    /// Adds it to a statement of SQLite's.
    fn add(&self, arguments: &mut SqliteArguments) -> Result<(), sqlx::error::BoxDynError>;
}

impl Cell for i64 {
    fn add(&self, arguments: &mut SqliteArguments) -> Result<(), sqlx::error::BoxDynError> {
        arguments.add(*self)
    }
}

impl Cell for Value {
    fn add(&self, arguments: &mut SqliteArguments) -> Result<(), sqlx::error::BoxDynError> {
        match self.clone() {
            Value::Integer(value) => arguments.add(value),
            Value::Text(text) => arguments.add(text),
        }
    }
}

/// The rows of one statement of SQLite's. More gain nothing; and no statement comes near SQLite's limit of 32,766
/// parameters.
const SQLITE_ROWS: usize = 500;
/// The rows of one statement of PostgreSQL's, which takes a column as one array.
const POSTGRES_ROWS: usize = 8_192;

/// A statement that inserts many rows, and what to do about rows that are there already. No two rows of a call may be in
/// each other's way.
///
/// SQLite's text is made once. `OR ROLLBACK` spares SQLite its statement journal: a failed statement rolls the whole
/// transaction back, which is what a projector does then anyway. The parameters have no numbers because SQLite looks
/// the name of a numbered one up in a list, every time it is bound.
pub(crate) struct Insert {
    /// The table, with its columns in brackets where they do not come in their order.
    table: String,
    columns: usize,
    on_conflict: &'static str,
    full: Arc<str>,
}

impl Insert {
    pub(crate) fn new(table: &str, columns: usize, on_conflict: &'static str) -> Insert {
        let full = places(table, columns, SQLITE_ROWS, on_conflict);
        Insert {
            table: table.to_owned(),
            columns,
            on_conflict,
            full,
        }
    }

    /// Inserts `values`, which are whole rows one after the other.
    pub(crate) async fn run<T: Cell>(
        &self,
        connection: &mut Connection<'_>,
        values: &[T],
    ) -> Result<(), sqlx::Error> {
        match connection {
            Connection::Sqlite(connection) => self.run_on_sqlite(connection, values).await,
            Connection::Postgres(connection) => self.run_on_postgres(connection, values).await,
        }
    }

    async fn run_on_sqlite<T: Cell>(
        &self,
        connection: &mut SqliteConnection,
        values: &[T],
    ) -> Result<(), sqlx::Error> {
        let mut statements = values.chunks(self.columns * SQLITE_ROWS);
        let mut next = statements.next().map(in_places).transpose()?;
        let mut left = values.len() / self.columns;
        while let Some(now) = next.take() {
            let rows = left.min(SQLITE_ROWS);
            left -= rows;
            let whole = rows == SQLITE_ROWS;
            let sql = if whole {
                self.full.clone()
            } else {
                places(&self.table, self.columns, rows, self.on_conflict)
            };
            // A rest of any length would fill the cache of statements; only a single row is common enough to stay.
            let query = sqlx::query_with(AssertSqlSafe(sql), now).persistent(whole || rows == 1);
            // The connection's thread works on one statement while this one prepares the next.
            let (done, prepared) = join(query.execute(&mut *connection), async {
                statements.next().map(in_places).transpose()
            })
            .await;
            done?;
            next = prepared?;
        }
        Ok(())
    }

    async fn run_on_postgres<T: Cell>(
        &self,
        connection: &mut PgConnection,
        values: &[T],
    ) -> Result<(), sqlx::Error> {
        for rows in values.chunks(self.columns * POSTGRES_ROWS) {
            let mut arguments = PgArguments::default();
            let mut types = Vec::with_capacity(self.columns);
            for column in 0..self.columns {
                let cells = rows.iter().skip(column).step_by(self.columns);
                let cells = cells.map(|cell| cell.clone().into());
                let (column_type, added) = match rows[column].clone().into() {
                    Value::Integer(_) => {
                        let column: Vec<Option<i64>> = cells.map(integer).collect();
                        ("bigint", arguments.add(column))
                    }
                    Value::Text(_) => {
                        let column: Vec<Option<String>> = cells.map(text).collect();
                        ("text", arguments.add(column))
                    }
                };
                added.map_err(sqlx::Error::Encode)?;
                types.push(format!("${}::{column_type}[]", column + 1));
            }
            let sql = format!(
                "insert into {} select * from unnest({}) {}",
                self.table,
                types.join(", "),
                self.on_conflict
            );
            let done = sqlx::query_with(AssertSqlSafe(sql), arguments).execute(&mut *connection);
            in_time(ANSWER_MAX, done, identity).await?;
        }
        Ok(())
    }
}

fn integer(value: Value) -> Option<i64> {
    match value {
        Value::Integer(value) => value,
        Value::Text(_) => None,
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => text,
        Value::Integer(_) => None,
    }
}

fn places(table: &str, columns: usize, rows: usize, on_conflict: &str) -> Arc<str> {
    let mut sql = String::with_capacity(rows * (columns * 2 + 2) + 100);
    sql.push_str("insert or rollback into ");
    sql.push_str(table);
    sql.push_str(" values ");
    for row in 0..rows {
        sql.push_str(if row == 0 { "(?" } else { ",(?" });
        for _ in 1..columns {
            sql.push_str(",?");
        }
        sql.push(')');
    }
    let written = write!(sql, " {on_conflict}");
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
    sql.into()
}

fn in_places<T: Cell>(values: &[T]) -> Result<SqliteArguments, sqlx::Error> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(values.len(), 0);
    for value in values {
        value.add(&mut arguments).map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

/// A statement that makes a table or an index in SQLite, as PostgreSQL wants it: the same columns under the same names.
/// SQLite orders text by its bytes, and clusters a table by its key only where it is told to.
pub(crate) fn for_postgres(ddl: &str) -> String {
    ddl.replace(" integer", " bigint")
        .replace(" text", " text collate \"C\"")
        .replace(" without rowid", "")
}
