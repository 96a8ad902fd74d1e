//! Reading commits out of their rows, each checked: its records, that none is missing, its hash.

use bincard_ledger::codec::{Body, Leading, RawRecord};
use bincard_ledger::{Position, Timestamp};
use futures_util::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::{crc_of, hash_of, signed, unsigned};
use crate::chain::Hash;
use crate::contract::Head;
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
    /// The commit that ends at a head, and begins behind a position, without its records.
    pub(super) fn outline(after: Position, head: &Head) -> Fetched {
        Fetched {
            commit: head.commit,
            first: after.next(),
            count: u32::try_from(head.position.0.saturating_sub(after.0)).unwrap_or(u32::MAX),
            hash: head.hash,
            recorded_at: head.recorded_at,
            body: Body::new(head.recorded_at),
        }
    }

    /// Whether its hash follows from the one before it and all its records; gives it.
    fn check(&self, previous: Hash) -> Result<Hash, ReadError> {
        let follows = previous.follow(self.first, self.body.as_bytes());
        if follows == self.hash {
            return Ok(follows);
        }
        Err(ReadError::Damaged {
            position: self.first,
            what: "the commit's hash does not follow from what it holds".to_owned(),
        })
    }

    /// The end of the log, as of this commit.
    pub(super) fn head(&self) -> Head {
        Head {
            position: self.as_commit().last(),
            commit: self.commit,
            hash: self.hash,
            recorded_at: self.recorded_at,
        }
    }

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
    let mut commits = outlines(connection, place).await?;
    fill(connection, place, &mut commits).await?;
    Ok(commits)
}

/// The same commits without their records.
pub(super) async fn outlines(connection: &mut PgConnection, place: Place) -> Result<Vec<Fetched>, ReadError> {
    let reading = || failed("read commits");
    let rows = sqlx::query(
        "select first, count, commit, recorded_at, hash from commits where ledger = $1 and first >= coalesce(
            (select max(first) from commits where ledger = $1 and first <= $2), 1) order by first limit $3",
    )
    .bind(place.no)
    .bind(signed(place.after.0).saturating_add(1))
    .bind(COMMITS_MAX)
    .fetch_all(connection)
    .await
    .map_err(reading())?;
    let mut commits = Vec::with_capacity(rows.len());
    let mut events = 0;
    for row in &rows {
        let outline = outline_of(row).map_err(reading())?;
        let is_past = outline.first.0 + u64::from(outline.count) <= place.after.next().0;
        // The last commit of the log ends before what is wanted.
        if is_past {
            continue;
        }
        if events > 0 && events + u64::from(outline.count) > EVENTS_MAX {
            break;
        }
        events += u64::from(outline.count);
        commits.push(outline);
    }
    Ok(commits)
}

/// Reads the records of outlines. Whatever is wrong with one is named.
async fn fill(connection: &mut PgConnection, place: Place, commits: &mut [Fetched]) -> Result<(), ReadError> {
    walk(
        connection,
        place,
        commits,
        STRETCHES,
        |stretch, position, end, commit| {
            let before = Framed(stretch);
            let mut records = before.clone();
            let (crc, record) = records.next().ok_or_else(|| missing(position))?;
            let record = checked(record, crc, position).map_err(|error| {
                // Behind one that is missing there is another one's record.
                let is_whole = before.count() as u64 == end.0 - position.0;
                if is_whole { error } else { missing(position) }
            })?;
            commit.body.push_encoded(record);
            *stretch = records.0;
            Ok(())
        },
    )
    .await
}

/// Reads the records of outlines for somebody who holds the head: as fast as can be. `each` sees every record as soon as it
/// is there, while the database gets the next ones ready, and the digest of its key, if it has one. That is before its
/// commit's hash is checked, which is all that is: nothing counts when this fails.
pub(super) async fn follow(
    connection: &mut PgConnection,
    place: Place,
    commits: &mut [Fetched],
    mut each: impl FnMut(Position, Leading<'_>, Option<Uuid>) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let take = |stretch: &mut &[u8], position, _, commit: &mut Fetched| {
        let (digest, records) = stretch.split_first_chunk().ok_or_else(|| missing(position))?;
        let leading = RawRecord::leading(records, commit.recorded_at)
            .map_err(|source| ReadError::Decode { position, source })?;
        let record = leading.raw.as_bytes();
        commit.body.push_encoded(record);
        *stretch = records.get(record.len()..).unwrap_or_default();
        let digest = Some(Uuid::from_bytes(*digest)).filter(|digest| !digest.is_nil());
        if digest.is_some() != leading.head.key.is_some() {
            let what = "the column of the event's key is not its record's".to_owned();
            return Err(ReadError::Damaged { position, what });
        }
        each(position, leading, digest)
    };
    let followed = walk(connection, place, commits, UNFRAMED_STRETCHES, take).await;
    if let Err(ReadError::Damaged { .. } | ReadError::Decode { .. }) = followed {
        // It names a place behind what is wrong at times. Which record that is is seen by the checksums.
        for commit in &mut *commits {
            commit.body.clear(commit.recorded_at);
        }
        fill(connection, place, commits).await?;
    }
    followed
}

/// Goes over the records of outlines by one of two statements. `take` takes the record at a position, which belongs to a
/// commit, from the front of a stretch that ends before another position. A commit's hash is checked behind its last record.
async fn walk(
    connection: &mut PgConnection,
    place: Place,
    commits: &mut [Fetched],
    sql: &'static str,
    mut take: impl FnMut(&mut &[u8], Position, Position, &mut Fetched) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let reading = || failed("read commits");
    let (Some(first), Some(last)) = (commits.first(), commits.last()) else {
        return Ok(());
    };
    let (first, last) = (first.first, last.as_commit().last());
    let mut previous = match place.previous.filter(|_| first == place.after.next()) {
        Some(hash) => hash,
        None => hash_before(connection, place, first).await.map_err(reading())?,
    };
    // The first may begin before what is wanted; none begins behind it, and each where the one before it ends.
    let mut expected = first.min(place.after.next());
    for commit in &*commits {
        if commit.first != expected {
            return Err(ReadError::Damaged {
                position: expected,
                what: "no commit begins here".to_owned(),
            });
        }
        expected = commit.as_commit().last().next();
    }
    let mut stretches = sqlx::query(sql)
        .bind(place.no)
        .bind(signed(first.0))
        .bind(signed(last.0))
        .bind(STRETCH_EVENTS)
        .fetch(connection);
    let (mut position, mut commits) = (first, commits.iter_mut());
    let mut filling = commits.next();
    while let Some(row) = stretches.try_next().await.map_err(reading())? {
        let stretch: Option<&[u8]> = row.try_get(0).map_err(reading())?;
        let mut stretch = stretch.unwrap_or_default();
        let end = position.0.saturating_add(STRETCH_EVENTS.unsigned_abs());
        let end = Position(end).min(last.next());
        while position < end {
            let commit = filling.as_mut().ok_or_else(|| missing(position))?;
            take(&mut stretch, position, end, commit)?;
            if position == commit.as_commit().last() {
                previous = commit.check(previous)?;
                filling = commits.next();
            }
            position = position.next();
        }
        if !stretch.is_empty() {
            let what = "the record before it has too many bytes".to_owned();
            return Err(ReadError::Damaged { position, what });
        }
    }
    // One that claims to hold nothing is not come to above, nor is any after it.
    for commit in filling.into_iter().chain(commits) {
        previous = commit.check(previous)?;
    }
    Ok(())
}

fn missing(position: Position) -> ReadError {
    let what = "the event is missing".to_owned();
    ReadError::Damaged { position, what }
}

/// A statement for the records between two positions, some rows of many each: one row of all would have to be whole before
/// anything of it is seen, and a row for each record costs both ends more. `$record` is what it gives of each.
macro_rules! stretches {
    ($record:literal) => {
        concat!(
            "select records from generate_series($2::int8, $3::int8, $4::int8) as stretches (first), lateral (
                select string_agg(",
            $record,
            ", ''::bytea) as records
                from (
                    select crc, key, record from events
                    where ledger = $1 and position between first and least(first + $4 - 1, $3) order by position
                ) as stretch
            ) as gathered"
        )
    };
}
/// Each record behind its length and its checksum.
const STRETCHES: &str =
    stretches!("int8send(octet_length(record)::int8 << 32 | (crc::int8 & 4294967295)) || record");
/// Each record behind the digest of its key, nil without one. That is a quarter less work for the database.
const UNFRAMED_STRETCHES: &str =
    stretches!("uuid_send(coalesce(key, '00000000-0000-0000-0000-000000000000')) || record");
/// Events in a row of either.
const STRETCH_EVENTS: i64 = 128;

/// Records one after the other, as a row of [`STRETCHES`] has them.
#[derive(Clone)]
struct Framed<'a>(&'a [u8]);

impl<'a> Iterator for Framed<'a> {
    type Item = (i32, &'a [u8]);

    fn next(&mut self) -> Option<(i32, &'a [u8])> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (crc, rest) = rest.split_first_chunk()?;
        let (record, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        self.0 = rest;
        Some((i32::from_be_bytes(*crc), record))
    }
}

fn outline_of(row: &PgRow) -> Result<Fetched, sqlx::Error> {
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
