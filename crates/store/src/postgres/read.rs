//! Reading a log while it grows.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bincard_ledger::codec::{Body, BodyRef};
use bincard_ledger::{IdempotencyKey, LedgerId, Position, Recorded, Stream, Timestamp, Version};
use sqlx::Row;
use sqlx::postgres::{PgPool, PgRow};

use super::fetch::{failed, record_of};
use super::{Commits, Database, READ_MAX, head_of, key_digest, signed, unsigned};
use crate::chain::Hash;
use crate::contract::{FoundKey, Head};
use crate::error::ReadError;
use crate::heads::Heads;
use crate::reader;

/// Reads a log up to its head. Clones share everything and cost nothing.
#[derive(Clone, Debug)]
pub struct Reader {
    database: Database,
    ledger: LedgerId,
    no: i32,
    heads: Arc<Heads>,
}

impl Reader {
    pub(super) fn new(database: Database, ledger: LedgerId, no: i32, heads: Arc<Heads>) -> Reader {
        Reader {
            database,
            ledger,
            no,
            heads,
        }
    }

    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    pub(super) fn no(&self) -> i32 {
        self.no
    }

    /// Asks the database something on its own runtime.
    pub(super) fn ask<T, F>(&self, ask: impl FnOnce(PgPool) -> F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, ReadError>> + Send + 'static,
    {
        let answer = ask(self.database.inner.pool.clone());
        self.database
            .run(self.database.answer(READ_MAX, answer, failed("read the log")))
    }

    /// The ledger's identity.
    pub fn ledger(&self) -> LedgerId {
        self.ledger
    }

    /// The end of the log as far as this node knows, which looks for news many times a second.
    pub fn head(&self) -> Head {
        self.heads.get()
    }

    /// The end of the log as it is; nobody is told.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub fn look_ahead(&self) -> Result<Head, ReadError> {
        let no = self.no;
        self.ask(move |pool| async move {
            let sql = "select position, commit, hash, recorded_at from ledgers where no = $1";
            let row = sqlx::query(sql).bind(no).fetch_one(&pool).await;
            row.and_then(|row| head_of(&row)).map_err(failed("read the head"))
        })
    }

    /// Makes a head known to everybody who reads this log in this process.
    pub fn announce(&self, head: Head) {
        self.heads.announce(head);
    }

    /// From now on `keeper` alone is told of what other nodes append, on the thread that brings the news: it must be quick,
    /// and announces the head itself when it is ready for that. So whoever reads is never ahead of it.
    pub fn keep_gate(&self, keeper: impl Fn(Head) + Send + Sync + 'static) {
        self.heads.keep_gate(Box::new(keeper));
    }

    /// The commits that hold anything after a position, in order. The first may begin before it.
    pub fn commits(&self, after: Position) -> Commits {
        Commits::new(self.clone(), after, None)
    }

    /// The commits that hold anything after a position, up to one that need not be announced yet.
    pub fn commits_up_to(&self, after: Position, end: Position) -> Commits {
        Commits::new(self.clone(), after, Some(end))
    }

    /// At most `limit` events after a position, in order.
    ///
    /// # Errors
    /// [`ReadError`]; nothing damaged is ever given.
    pub fn read(&self, after: Position, limit: usize) -> Result<Vec<Recorded>, ReadError> {
        reader::read(reader::Commits::Postgres(self.commits(after)), after, limit)
    }

    /// The event at a position; `None` beyond the head.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn event(&self, position: Position) -> Result<Option<Recorded>, ReadError> {
        let no = self.no;
        self.ask(move |pool| event(pool, no, position))
    }

    /// [`Reader::event`] for tasks: it holds up no thread.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn event_soon(&self, position: Position) -> Result<Option<Recorded>, ReadError> {
        let asked = event(self.database.inner.pool.clone(), self.no, position);
        self.database
            .spawn(self.database.answer(READ_MAX, asked, failed("read the log")))
            .await
    }

    /// At most `limit` events of a stream after a version, in order.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read_stream(
        &self,
        stream: Stream,
        after: Version,
        limit: usize,
    ) -> Result<Vec<Recorded>, ReadError> {
        let no = self.no;
        self.ask(move |pool| async move {
            let rows = sqlx::query(
                "select e.position, e.crc, e.record, (select c.recorded_at from commits c where c.ledger = $1
                    and c.first <= e.position order by c.first desc limit 1) as recorded_at
                from events e where e.ledger = $1 and e.stream = $2 and e.version > $3 order by e.version limit $4",
            )
            .bind(no)
            .bind(i64::from(stream.code()))
            .bind(signed(after.0))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&pool)
            .await
            .map_err(failed("read a stream"))?;
            rows.iter().map(recorded_of).collect()
        })
    }

    /// The chain's hash at a position, when a commit ends there.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn hash_at(&self, position: Position) -> Result<Option<Hash>, ReadError> {
        if position.0 == 0 {
            return Ok(Some(Hash::genesis(self.ledger)));
        }
        let no = self.no;
        self.ask(move |pool| async move {
            let row = sqlx::query(
                "select hash from (select first, count, hash from commits where ledger = $1 and first <= $2
                    order by first desc limit 1) as last where first + count - 1 = $2",
            )
            .bind(no)
            .bind(signed(position.0))
            .fetch_optional(&pool)
            .await;
            let hash = row.and_then(|row| row.map(|row| super::hash_of(&row)).transpose());
            hash.map_err(failed("read a hash"))
        })
    }

    /// Where an idempotency key was used.
    ///
    /// # Errors
    /// When the database cannot be asked, or what the key stands with is damaged.
    pub fn find_key(&self, key: &IdempotencyKey) -> Result<Option<FoundKey>, ReadError> {
        let (no, digest) = (self.no, key_digest(key));
        let position = self.ask(move |pool| async move {
            let sql = "select position from events where ledger = $1 and key = $2";
            let row = sqlx::query(sql).bind(no).bind(digest).fetch_optional(&pool).await;
            let position = row.and_then(|row| row.map(|row| unsigned(&row, "position")).transpose());
            position.map_err(failed("look a key up"))
        })?;
        let Some(position) = position.map(Position) else {
            return Ok(None);
        };
        let recorded = self.event(position)?.and_then(|event| event.record.key);
        let found = recorded.filter(|recorded| recorded.key == *key);
        Ok(found.map(|recorded| FoundKey {
            position,
            fingerprint: recorded.fingerprint,
        }))
    }

    /// Waits until the head has reached a position, at most for `timeout`; the head then.
    pub fn wait_for(&self, position: Position, timeout: Duration) -> Head {
        self.heads.wait_for(position, timeout)
    }

    /// Calls `listener` with every new head from now on, on the thread that brings the news: it must be quick.
    pub fn on_advance(&self, listener: impl Fn(Head) + Send + Sync + 'static) {
        self.heads.listen(Box::new(listener));
    }
}

async fn event(pool: PgPool, no: i32, position: Position) -> Result<Option<Recorded>, ReadError> {
    let row = sqlx::query(
        "select e.position, e.crc, e.record, (select c.recorded_at from commits c where c.ledger = $1
            and c.first <= e.position order by c.first desc limit 1) as recorded_at
        from events e where e.ledger = $1 and e.position = $2",
    )
    .bind(no)
    .bind(signed(position.0))
    .fetch_optional(&pool)
    .await
    .map_err(failed("read an event"))?;
    row.map(|row| recorded_of(&row)).transpose()
}

/// An event from its row.
fn recorded_of(row: &PgRow) -> Result<Recorded, ReadError> {
    let position = Position(unsigned(row, "position").map_err(failed("read an event"))?);
    let recorded_at = row.try_get("recorded_at").map_err(failed("read an event"))?;
    let recorded_at = Timestamp::from_micros(recorded_at);
    // A record is decoded as a part of a body, which has the instant.
    let mut body = Body::new(recorded_at);
    body.push_encoded(record_of(row, position)?);
    let decoded = BodyRef::parse(body.as_bytes()).and_then(|body| {
        let record = body.records().next().transpose()?;
        record.map(|record| record.decode()).transpose()
    });
    let record = decoded.map_err(|source| ReadError::Decode { position, source })?;
    let record = record.ok_or_else(|| ReadError::Damaged {
        position,
        what: "the record is empty".to_owned(),
    })?;
    Ok(Recorded {
        position,
        recorded_at,
        record,
    })
}
