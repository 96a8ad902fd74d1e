//! What a check of a log goes over in a database beside its commits: the columns by which events are found, and rows that are no
//! part of it.

use bincard_ledger::{Position, Record};
use sqlx::Row as _;
use uuid::Uuid;

use super::fetch::failed;
use super::{Reader, key_digest, signed};
use crate::error::ReadError;

/// What stands beside a record, by which it is found: its stream, its version there, and its key's digest.
pub(crate) type Columns = (i64, i64, Option<Uuid>);

/// What is to stand beside a record.
pub(crate) fn columns_of(record: &Record) -> Columns {
    let key = record.key.as_ref().map(|recorded| key_digest(&recorded.key));
    let stream = i64::from(record.event.stream().code());
    (stream, signed(record.version.0), key)
}

impl Reader {
    /// What stands beside the records from one position to another, in order.
    pub(crate) fn columns(&self, first: Position, last: Position) -> Result<Vec<Columns>, ReadError> {
        let no = self.no();
        self.ask(move |pool| async move {
            let rows = sqlx::query(
                "select stream, version, key from events where ledger = $1 and position between $2 and $3 order by position",
            )
            .bind(no)
            .bind(signed(first.0))
            .bind(signed(last.0))
            .fetch_all(&pool)
            .await;
            let columns = rows.and_then(|rows| {
                let columns = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?)));
                columns.collect()
            });
            columns.map_err(failed("read events"))
        })
    }

    /// How many rows stand before the beginning of the log or behind its end, as one statement sees them and it; of very many
    /// the first few thousand.
    pub(crate) fn rows_outside(&self) -> Result<i64, ReadError> {
        let no = self.no();
        self.ask(move |pool| async move {
            let counted = sqlx::query_scalar(
                // From its end, as far as the index goes: who plans this does not know how few there are.
                "select (select count(*) from (select 1 from events where ledger = no and position > ledgers.position
                        order by position desc limit 1000) as behind)
                    + (select count(*) from (select 1 from events where ledger = no and position < 1
                        order by position limit 1000) as before)
                    + (select count(*) from (select 1 from commits where ledger = no and first > ledgers.position
                        order by first desc limit 1000) as behind)
                    + (select count(*) from (select 1 from commits where ledger = no and first < 1
                        order by first limit 1000) as before)
                from ledgers where no = $1",
            )
            .bind(no)
            .fetch_one(&pool)
            .await;
            counted.map_err(failed("count rows outside of the log"))
        })
    }
}
