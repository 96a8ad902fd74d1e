//! Snapshots beside the log, in parts that a database takes easily.

use std::convert::identity;
use std::time::Duration;

use bincard_ledger::Position;
use sqlx::postgres::PgPool;
use sqlx::{Executor, Row};

use super::fetch::failed;
use super::{Reader, hash_of, signed, unsigned};
use crate::chain::Hash;
use crate::error::ReadError;
use crate::snapshots::Snapshot;

/// How much of a snapshot one row has.
const PART_BYTES: usize = 1 << 20;
/// How long a snapshot may be on its way: they may be large.
const SNAPSHOT_MAX: Duration = Duration::from_secs(10 * 60);
/// How many snapshots are kept.
const KEPT: i64 = 2;

impl Reader {
    /// Keeps a snapshot, and removes all but the two newest. One that is there at the same position stays.
    ///
    /// # Errors
    /// What the database says. The log is not touched.
    pub fn put_snapshot(&self, position: Position, hash: Hash, bytes: &[u8]) -> Result<(), ReadError> {
        let (no, bytes, pool) = (self.no(), bytes.to_vec(), self.database().inner.pool.clone());
        let put = async move { put(&pool, no, position, hash, &bytes).await };
        let put = self.database().answer(SNAPSHOT_MAX, put, identity);
        self.database().run(put).map_err(failed("keep a snapshot"))
    }

    /// The newest snapshot that is whole and of this chain; damaged ones are logged and passed over.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub fn snapshot(&self) -> Result<Option<Snapshot>, ReadError> {
        let no = self.no();
        let kept = self.ask(move |pool| async move {
            let sql = "select position from snapshots where ledger = $1 order by position desc";
            let rows = sqlx::query(sql).bind(no).fetch_all(&pool).await;
            let positions: Result<Vec<u64>, _> =
                rows.and_then(|rows| rows.iter().map(|row| unsigned(row, "position")).collect());
            positions.map_err(failed("list the snapshots"))
        })?;
        for position in kept.into_iter().map(Position) {
            let pool = self.database().inner.pool.clone();
            let get = async move { get(&pool, no, position).await };
            let got = self.database().answer(SNAPSHOT_MAX, get, identity);
            let found = self.database().run(got).map_err(failed("read a snapshot"))?;
            match found {
                Some(snapshot) if self.hash_at(position)? == Some(snapshot.hash) => {
                    return Ok(Some(snapshot));
                }
                _ => tracing::warn!(
                    position = position.0,
                    "the snapshot is damaged or of another log; passed over"
                ),
            }
        }
        Ok(None)
    }
}

async fn put(
    pool: &PgPool,
    no: i32,
    position: Position,
    hash: Hash,
    bytes: &[u8],
) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    // A snapshot is large: its parts may take longer than a commit may idle.
    tx.execute("set local idle_in_transaction_session_timeout = 0")
        .await?;
    let parts = bytes.chunks(PART_BYTES);
    let made = sqlx::query(
        "insert into snapshots (ledger, position, hash, digest, parts) values ($1, $2, $3, $4, $5) on conflict do nothing",
    )
    .bind(no)
    .bind(signed(position.0))
    .bind(hash.0.as_slice())
    .bind(blake3::hash(bytes).as_bytes().as_slice())
    .bind(i32::try_from(parts.len()).unwrap_or(i32::MAX))
    .execute(&mut *tx)
    .await?;
    if made.rows_affected() == 0 {
        return Ok(());
    }
    for (part, bytes) in (0i32..).zip(parts) {
        sqlx::query("insert into snapshot_parts (ledger, position, part, bytes) values ($1, $2, $3, $4)")
            .bind(no)
            .bind(signed(position.0))
            .bind(part)
            .bind(bytes)
            .execute(&mut *tx)
            .await?;
    }
    let old = "delete from snapshots where ledger = $1 and position not in
        (select position from snapshots where ledger = $1 order by position desc limit $2)";
    sqlx::query(old).bind(no).bind(KEPT).execute(&mut *tx).await?;
    let orphans = "delete from snapshot_parts where ledger = $1 and position not in
        (select position from snapshots where ledger = $1)";
    sqlx::query(orphans).bind(no).execute(&mut *tx).await?;
    tx.commit().await
}

/// A snapshot, if it is whole.
async fn get(pool: &PgPool, no: i32, position: Position) -> Result<Option<Snapshot>, sqlx::Error> {
    let sql = "select hash, digest, parts from snapshots where ledger = $1 and position = $2";
    let head = sqlx::query(sql)
        .bind(no)
        .bind(signed(position.0))
        .fetch_optional(pool)
        .await?;
    // Another node may have replaced it meanwhile.
    let Some(head) = head else { return Ok(None) };
    let (hash, digest): (Hash, Vec<u8>) = (hash_of(&head)?, head.try_get("digest")?);
    let parts: i32 = head.try_get("parts")?;
    let mut bytes = Vec::new();
    for part in 0..parts {
        let sql = "select bytes from snapshot_parts where ledger = $1 and position = $2 and part = $3";
        let row = sqlx::query(sql)
            .bind(no)
            .bind(signed(position.0))
            .bind(part)
            .fetch_optional(pool)
            .await?;
        let Some(row) = row else { return Ok(None) };
        bytes.extend_from_slice(row.try_get("bytes")?);
    }
    let is_whole = blake3::hash(&bytes).as_bytes().as_slice() == digest;
    Ok(is_whole.then_some(Snapshot {
        position,
        hash,
        bytes,
    }))
}
