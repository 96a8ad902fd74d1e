//! Reading commits out of their rows, each checked: its records' checksums, that none is missing, its hash.

use bincard_ledger::codec::Body;
use bincard_ledger::{Position, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::{crc_of, hash_of, signed, unsigned};
use crate::chain::Hash;
use crate::error::ReadError;
use crate::reader::Commit;

/// Commits that are fetched at once, at most.
const COMMITS_MAX: i64 = 256;
/// Events that are fetched at once, at most, but for a commit that is larger.
const EVENTS_MAX: u64 = 16_384;

/// A commit that was read.
#[derive(Debug)]
pub(super) struct Fetched {
    commit: u64,
    first: Position,
    count: u32,
    hash: Hash,
    recorded_at: Timestamp,
    body: Body,
}

impl Fetched {
    pub(super) fn as_commit(&self) -> Commit<'_> {
        Commit {
            commit: self.commit,
            first: self.first,
            count: self.count,
            hash: self.hash,
            recorded_at: self.recorded_at,
            body: self.body.as_bytes(),
        }
    }
}

/// Where in the log to read on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// The ledger's number.
    pub(super) no: i32,
    /// The last position that is not wanted.
    pub(super) after: Position,
    /// The hash of the commit that ends there, where it is known.
    pub(super) previous: Option<Hash>,
    /// What precedes everything.
    pub(super) genesis: Hash,
}

pub(super) fn failed(doing: &'static str) -> impl FnOnce(sqlx::Error) -> ReadError {
    move |source| ReadError::Database { doing, source }
}

/// The commits that hold anything after a place; the first may begin before it. None at the end of the log.
pub(super) async fn commits(connection: &mut PgConnection, place: Place) -> Result<Vec<Fetched>, ReadError> {
    let reading = || failed("read commits");
    let heads = sqlx::query(
        "select first, count, commit, recorded_at, hash from commits where ledger = $1 and first >= coalesce(
            (select max(first) from commits where ledger = $1 and first <= $2), 1) order by first limit $3",
    )
    .bind(place.no)
    .bind(signed(place.after.0).saturating_add(1))
    .bind(COMMITS_MAX)
    .fetch_all(&mut *connection)
    .await
    .map_err(reading())?;
    let mut commits = Vec::with_capacity(heads.len());
    let mut events = 0;
    for row in &heads {
        let fetched = fetched_of(row).map_err(reading())?;
        let is_past = fetched.first.0 + u64::from(fetched.count) <= place.after.next().0;
        // The last commit of the log ends before what is wanted.
        if is_past {
            continue;
        }
        if events > 0 && events + u64::from(fetched.count) > EVENTS_MAX {
            break;
        }
        events += u64::from(fetched.count);
        commits.push(fetched);
    }
    let (Some(first), Some(last)) = (commits.first(), commits.last()) else {
        return Ok(commits);
    };
    let (first, last) = (first.first, last.as_commit().last());
    let mut previous = match place.previous.filter(|_| first == place.after.next()) {
        Some(hash) => hash,
        None => hash_before(connection, place, first).await.map_err(reading())?,
    };
    let records = Records::between(connection, place.no, first, last)
        .await
        .map_err(reading())?;
    let mut records = records.iter();
    // The first may begin before what is wanted; none begins behind it, and each where the one before it ends.
    let mut expected = first.min(place.after.next());
    for commit in &mut commits {
        if commit.first != expected {
            return Err(ReadError::Damaged {
                position: expected,
                what: "no commit begins here".to_owned(),
            });
        }
        expected = commit.as_commit().last().next();
        fill(commit, &mut records)?;
        let follows = previous.follow(commit.first, commit.body.as_bytes());
        if follows != commit.hash {
            let what = "the commit's hash does not follow from what it holds".to_owned();
            return Err(ReadError::Damaged {
                position: commit.first,
                what,
            });
        }
        previous = follows;
    }
    Ok(commits)
}

/// The records of a stretch, column by column: a row of arrays costs both ends a fraction of what as many rows do.
#[derive(Default)]
struct Records {
    positions: Vec<i64>,
    crcs: Vec<i32>,
    records: Vec<Vec<u8>>,
}

impl Records {
    /// What there is from one position to another, in order.
    async fn between(
        connection: &mut PgConnection,
        no: i32,
        first: Position,
        last: Position,
    ) -> Result<Records, sqlx::Error> {
        let row = sqlx::query(
            "select array_agg(position), array_agg(crc), array_agg(record) from (
                select position, crc, record from events where ledger = $1 and position between $2 and $3 order by position
            ) as stretch having count(*) > 0",
        )
        .bind(no)
        .bind(signed(first.0))
        .bind(signed(last.0))
        .fetch_optional(connection)
        .await?;
        let Some(row) = row else {
            return Ok(Records::default());
        };
        Ok(Records {
            positions: row.try_get(0)?,
            crcs: row.try_get(1)?,
            records: row.try_get(2)?,
        })
    }

    fn iter(&self) -> impl Iterator<Item = (i64, i32, &[u8])> {
        let columns = self.positions.iter().zip(&self.crcs).zip(&self.records);
        columns.map(|((position, crc), record)| (*position, *crc, record.as_slice()))
    }
}

fn fetched_of(row: &PgRow) -> Result<Fetched, sqlx::Error> {
    let recorded_at = Timestamp::from_micros(row.try_get("recorded_at")?);
    let count: i32 = row.try_get("count")?;
    Ok(Fetched {
        commit: unsigned(row, "commit")?,
        first: Position(unsigned(row, "first")?),
        count: count.unsigned_abs(),
        hash: hash_of(row)?,
        recorded_at,
        body: Body::new(recorded_at),
    })
}

/// Takes a commit's records from the stretch.
fn fill<'a>(
    commit: &mut Fetched,
    records: &mut impl Iterator<Item = (i64, i32, &'a [u8])>,
) -> Result<(), ReadError> {
    let mut position = commit.first;
    for _ in 0..commit.count {
        let found = records.next().filter(|(at, ..)| *at == signed(position.0));
        let (_, crc, record) = found.ok_or_else(|| ReadError::Damaged {
            position,
            what: "the event is missing".to_owned(),
        })?;
        commit.body.push_encoded(checked(record, crc, position)?);
        position = position.next();
    }
    Ok(())
}

/// The record in a row of `events`, checked.
pub(super) fn record_of(row: &PgRow, position: Position) -> Result<&[u8], ReadError> {
    let record: &[u8] = row.try_get("record").map_err(failed("read a record"))?;
    let crc: i32 = row.try_get("crc").map_err(failed("read a record"))?;
    checked(record, crc, position)
}

fn checked(record: &[u8], crc: i32, position: Position) -> Result<&[u8], ReadError> {
    if crc_of(position, record) == crc {
        return Ok(record);
    }
    let what = "the record fails its checksum".to_owned();
    Err(ReadError::Damaged { position, what })
}

/// The hash of the commit before the one that begins at a position.
async fn hash_before(
    connection: &mut PgConnection,
    place: Place,
    first: Position,
) -> Result<Hash, sqlx::Error> {
    let sql = "select hash from commits where ledger = $1 and first < $2 order by first desc limit 1";
    let found = sqlx::query(sql)
        .bind(place.no)
        .bind(signed(first.0))
        .fetch_optional(connection)
        .await?;
    found.map_or(Ok(place.genesis), |row| hash_of(&row))
}
