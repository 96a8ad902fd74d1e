//! The rows that a commit is in PostgreSQL, and the statement that writes them all.

use bincard_ledger::Position;
use bincard_ledger::codec::{Body, BodyRef};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};
use uuid::Uuid;

use super::{crc_of, digest_of, signed};
use crate::contract::Head;
use crate::error::CommitError;

/// The rows of a commit.
pub(super) struct Rows<'a> {
    pub(super) head: Head,
    pub(super) first: Position,
    pub(super) streams: Vec<i64>,
    pub(super) versions: Vec<i64>,
    pub(super) keys: Vec<Option<Uuid>>,
    pub(super) crcs: Vec<i32>,
    pub(super) records: Vec<&'a [u8]>,
}

/// Takes a body apart into the rows that follow a head. `digests` are those of the keys, in order; what it lacks is computed.
pub(super) fn rows_of<'a>(body: &'a Body, before: &Head, digests: &[Uuid]) -> Result<Rows<'a>, CommitError> {
    let count = body.count() as usize;
    let first = before.position.next();
    let mut rows = Rows {
        head: Head {
            position: Position(before.position.0 + u64::from(body.count())),
            commit: before.commit + 1,
            hash: before.hash.follow(first, body.as_bytes()),
            recorded_at: body.recorded_at(),
        },
        first,
        streams: Vec::with_capacity(count),
        versions: Vec::with_capacity(count),
        keys: Vec::with_capacity(count),
        crcs: Vec::with_capacity(count),
        records: Vec::with_capacity(count),
    };
    let (mut position, mut digests) = (first, digests.iter());
    for record in BodyRef::parse(body.as_bytes())?.records() {
        let record = record?;
        let head = record.head()?;
        rows.streams.push(i64::from(head.stream.code()));
        rows.versions.push(signed(head.version.0));
        rows.keys.push(head.key.map(|(space, text, _)| {
            let computed = || digest_of(space, text);
            let digest = digests.next().copied().unwrap_or_else(computed);
            debug_assert_eq!(digest, computed(), "the digests are those of the keys");
            digest
        }));
        rows.crcs.push(crc_of(position, record.as_bytes()));
        rows.records.push(record.as_bytes());
        position = position.next();
    }
    Ok(rows)
}

/// The beginning of a statement that inserts a commit, with the arguments that [`bound`] gives.
macro_rules! inserting {
    () => {
        "with appended as (
            insert into events (ledger, position, stream, version, key, crc, record)
            select $1, $2 + place - 1, stream, version, key, crc, record
            from unnest($3::int8[], $4::int8[], $5::uuid[], $6::int4[], $7::bytea[]) with ordinality
                as records (stream, version, key, crc, record, place)
        ), committed as (
            insert into commits (ledger, first, count, commit, recorded_at, hash)
            values ($1, $2, $8, $9, $10, $11)
        )
        "
    };
}

/// A statement that begins with [`inserting`], with its arguments.
fn bound<'a>(sql: &'static str, no: i32, rows: &'a Rows<'_>) -> Query<'a, Postgres, PgArguments> {
    sqlx::query(sql)
        .bind(no)
        .bind(signed(rows.first.0))
        .bind(&rows.streams)
        .bind(&rows.versions)
        .bind(&rows.keys)
        .bind(&rows.crcs)
        .bind(&rows.records)
        .bind(i32::try_from(rows.records.len()).unwrap_or(i32::MAX))
        .bind(signed(rows.head.commit))
        .bind(rows.head.recorded_at.micros())
        .bind(rows.head.hash.0.as_slice())
}

/// Inserts the rows of a commit and leaves the ledger's end where it is.
pub(super) async fn insert(session: &mut PgConnection, no: i32, rows: &Rows<'_>) -> Result<(), sqlx::Error> {
    let inserting = bound(concat!(inserting!(), "select 1"), no, rows);
    inserting.execute(session).await.map(drop)
}

/// Writes everything in one statement.
pub(super) async fn write(
    session: &mut PgConnection,
    no: i32,
    rows: &Rows<'_>,
    before: &Head,
) -> Result<(), sqlx::Error> {
    let written = bound(
        concat!(
            inserting!(),
            "update ledgers set position = $12, commit = $9, recorded_at = $10, hash = $11
            where no = $1 and position = $13"
        ),
        no,
        rows,
    )
    .bind(signed(rows.head.position.0))
    .bind(signed(before.position.0))
    .execute(session)
    .await?;
    // The row is locked by this session: it cannot have changed.
    if written.rows_affected() == 1 {
        Ok(())
    } else {
        Err(sqlx::Error::RowNotFound)
    }
}
