//! Putting damaged rows right, from a copy whose hash is the one that the log itself demands.
//!
//! As with segment files nothing is guessed: the rows of a commit are written again only with a body whose hash follows from
//! the commit before, and only when that hash is also what the log has for it: in the commit's own row, in the hash of the
//! commit that follows, or, at the end of the log, in the ledger's row. The columns beside a record, by which it is found, are
//! held against the record itself. The rows as they were are kept in a file before.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use bincard_ledger::codec::Body;
use bincard_ledger::{LedgerId, Position, Timestamp};
use sqlx::Row as _;
use sqlx::postgres::{PgPool, PgRow};
use uuid::Uuid;

use super::rows::{Rows, insert, rows_of};
use super::{Database, Reader, hash_of, signed, unsigned};
use crate::chain::Hash;
use crate::contract::Head;
use crate::disk::UNFINISHED;
use crate::error::{CopyError, OpenError, RepairError};
use crate::moving::body_from;

/// Commits that are looked at at once, at most.
const COMMITS_MAX: i64 = 256;
/// Events that are, at most, but for a commit that is larger.
const EVENTS_MAX: u64 = 16_384;

/// What was put right. The file `kept` has the rows as they were.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Repaired {
    /// The rows of a commit, which were written again.
    Commit {
        /// Its first position.
        first: Position,
        /// Its last.
        last: Position,
        /// What keeps what stood there.
        kept: PathBuf,
    },
    /// Rows before the beginning of the log or behind its end, which were taken away.
    Outside {
        /// Where the log ends.
        end: Position,
        /// How many there were.
        rows: usize,
        /// What keeps them.
        kept: PathBuf,
    },
}

/// A row of `commits`.
#[derive(Clone, Copy, Debug)]
struct CommitRow {
    first: Position,
    count: u64,
    commit: u64,
    recorded_at: Timestamp,
    hash: Hash,
}

/// A row of `events`.
#[derive(Debug)]
struct EventRow {
    position: Position,
    stream: i64,
    version: i64,
    key: Option<Uuid>,
    crc: i32,
    record: Vec<u8>,
}

/// What stands where a commit should.
struct Stored {
    row: CommitRow,
    events: Vec<EventRow>,
}

impl Stored {
    /// The body that the rows make, whether it is the right one or not.
    fn body(&self) -> Body {
        let mut body = Body::new(self.row.recorded_at);
        for event in &self.events {
            body.push_encoded(&event.record);
        }
        body
    }

    /// The body, when its hash proves that it is what was committed after `end`.
    fn follows(&self, end: &Head) -> Option<Body> {
        let (body, row) = (self.body(), &self.row);
        let first = end.position.next();
        let is_it = row.first == first && row.hash == end.hash.follow(first, body.as_bytes());
        is_it.then_some(body)
    }

    /// Whether every column is what the commit's rows are to be.
    fn is_as(&self, rows: &Rows<'_>) -> bool {
        let row = &self.row;
        let of_commit = (row.first, row.count, row.commit, row.recorded_at, row.hash);
        let Head {
            commit,
            hash,
            recorded_at,
            ..
        } = rows.head;
        let count = rows.records.len() as u64;
        let mut position = rows.first;
        of_commit == (rows.first, count, commit, recorded_at, hash)
            && self.events.len() == rows.records.len()
            && self.events.iter().enumerate().all(|(at, event)| {
                let found = (event.position, event.stream, event.version, event.key);
                let expected = (position, rows.streams[at], rows.versions[at], rows.keys[at]);
                position = position.next();
                found == expected && (event.crc, &*event.record) == (rows.crcs[at], rows.records[at])
            })
    }
}

const UNREADABLE: &str = "it cannot be read";

fn unproven(position: Position, why: &'static str) -> RepairError {
    RepairError::Unproven { position, why }
}

/// A ledger whose rows are gone over.
struct Repair<'a> {
    database: &'a Database,
    no: i32,
    /// The end of its log, as its own row has it.
    head: Head,
    dir: &'a Path,
}

impl Database {
    /// Goes over a tenant's log and writes the rows of damaged commits again, with the bodies that `copy` gives for their
    /// first positions. What is not damaged is not touched. Rows before the beginning and behind the end, which nobody reads
    /// and which would stand in the way of what is appended next, are taken away. The rows as they were are kept in the
    /// folder `dir`; `told` is called with all that was put right, as it is.
    ///
    /// # Errors
    /// [`RepairError`]; what was put right by then stays so.
    pub fn repair(
        &self,
        tenant: &str,
        dir: &Path,
        mut copy: impl FnMut(LedgerId, Position) -> Result<Option<Vec<u8>>, CopyError>,
        mut told: impl FnMut(Repaired),
    ) -> Result<(), RepairError> {
        let reader = self.reader(tenant)?;
        let (ledger, head) = (reader.ledger(), reader.look_ahead()?);
        let repair = Repair {
            database: self,
            no: reader.no(),
            head,
            dir,
        };
        let mut end = Head::empty(ledger);
        let mut window = VecDeque::new();
        while end.position < head.position {
            if window.is_empty() {
                window = repair.window(end.position)?;
            }
            let (first, stored) = (end.position.next(), window.pop_front());
            let proven = stored.as_ref().and_then(|stored| stored.follows(&end));
            let body = match proven {
                Some(body) => body,
                None => {
                    let bytes = copy(ledger, first).map_err(|source| RepairError::Copy {
                        position: first,
                        source,
                    })?;
                    let bytes = bytes.ok_or(RepairError::NoCopy { position: first })?;
                    body_from(&bytes).map_err(|_| unproven(first, UNREADABLE))?
                }
            };
            let rows = rows_of(&body, &end, &[]).map_err(|_| unproven(first, UNREADABLE))?;
            if !stored.as_ref().is_some_and(|stored| stored.is_as(&rows)) {
                repair.prove(&rows, stored.as_ref())?;
                let last = rows.head.position;
                let found = repair.rows(signed(first.0), signed(last.0))?;
                let kept = repair.keep(&format!("{:020}", first.0), &found)?;
                repair.write(body.clone(), end)?;
                told(Repaired::Commit { first, last, kept });
                window.clear();
            }
            end = rows.head;
        }
        if end != head {
            return Err(unproven(head.position, "the ledger's own row tells another end"));
        }
        if let Some(outside) = repair.clear_outside(&reader)? {
            told(outside);
        }
        Ok(())
    }
}

impl Repair<'_> {
    /// What stands after a position, commit by commit; nothing when no commit does.
    fn window(&self, after: Position) -> Result<VecDeque<Stored>, RepairError> {
        let (no, head) = (self.no, self.head.position);
        let read = async move |pool: PgPool| -> Result<_, sqlx::Error> {
            let rows = sqlx::query(
                "select first, count, commit, recorded_at, hash from commits where ledger = $1 and first > $2
                order by first limit $3",
            )
            .bind(no)
            .bind(signed(after.0))
            .bind(COMMITS_MAX)
            .fetch_all(&pool)
            .await?;
            let rows: Vec<CommitRow> = rows.iter().map(commit_of).collect::<Result<_, _>>()?;
            let mut window: VecDeque<Stored> = VecDeque::new();
            let mut last = after;
            for (at, row) in rows.iter().enumerate() {
                // No commit reaches into the one after it, whatever its row says.
                let next = rows.get(at + 1).map_or(head.next(), |next| next.first);
                let end = Position(row.first.0.saturating_add(row.count).min(next.0) - 1);
                if !window.is_empty() && end.0 - after.0 > EVENTS_MAX {
                    break;
                }
                last = end;
                window.push_back(Stored {
                    row: *row,
                    events: Vec::new(),
                });
            }
            let rows = sqlx::query(
                "select position, stream, version, key, crc, record from events where ledger = $1 and position > $2
                and position <= $3 order by position",
            )
            .bind(no)
            .bind(signed(after.0))
            .bind(signed(last.0))
            .fetch_all(&pool)
            .await?;
            for row in &rows {
                let event = event_of(row)?;
                let of = window
                    .iter_mut()
                    .rev()
                    .find(|stored| stored.row.first <= event.position);
                // Where a commit's row is gone, its events are of none.
                if let Some(stored) = of.filter(|stored| (stored.events.len() as u64) < stored.row.count) {
                    stored.events.push(event);
                }
            }
            Ok(window)
        };
        Ok(self.database.query("read rows of the log", read)?)
    }

    /// Whether the log has the hash of a commit that is to be written.
    fn prove(&self, rows: &Rows<'_>, stored: Option<&Stored>) -> Result<(), RepairError> {
        let own = stored.filter(|stored| stored.row.first == rows.first);
        let own = own.map(|stored| stored.row.hash);
        if own == Some(rows.head.hash) || rows.head == self.head {
            return Ok(());
        }
        let next = self.window(rows.head.position)?.pop_front();
        if next.is_some_and(|next| next.follows(&rows.head).is_some()) {
            return Ok(());
        }
        Err(unproven(
            rows.first,
            match own {
                Some(_) => "its hash is another one than the log demands",
                None => "neither the commit after it nor what is left of it tells its hash",
            },
        ))
    }

    /// What stands at positions, a line a row.
    fn rows(&self, first: i64, last: i64) -> Result<Vec<String>, RepairError> {
        let no = self.no;
        let read = async move |pool: PgPool| {
            sqlx::query_scalar(
                "select json_build_object('table', 'commits', 'row', row_to_json(commits))::text from commits
                where ledger = $1 and first between $2 and $3
                union all
                select json_build_object('table', 'events', 'row', row_to_json(events))::text from events
                where ledger = $1 and position between $2 and $3",
            )
            .bind(no)
            .bind(first)
            .bind(last)
            .fetch_all(&pool)
            .await
        };
        Ok(self.database.query("read rows of the log", read)?)
    }

    /// Takes away what stands outside of the log, with the head locked and only while the log ends where it did. What goes on
    /// from the end is no stray: there the ledger's own row is what is wrong.
    fn clear_outside(&self, reader: &Reader) -> Result<Option<Repaired>, RepairError> {
        let (no, end) = (self.no, self.head.position);
        let mut lines = self.rows(i64::MIN, 0)?;
        lines.extend(self.rows(signed(end.next().0), i64::MAX)?);
        if lines.is_empty() {
            return Ok(None);
        }
        let all = Repair {
            head: Head {
                position: Position(u64::MAX - 1),
                ..self.head
            },
            ..*self
        };
        let next = all.window(end)?.pop_front();
        // Where something was appended meanwhile, nothing was in its way; a later repair looks again.
        if reader.look_ahead()?.position != end {
            return Ok(None);
        }
        if next.is_some_and(|next| next.follows(&self.head).is_some()) {
            let why = "it follows from what is before it, although the ledger's own row tells an earlier end";
            return Err(unproven(end.next(), why));
        }
        let kept = self.keep(&format!("{:020}-outside", end.0), &lines)?;
        let clear = async move |pool: PgPool| -> Result<bool, sqlx::Error> {
            let mut tx = pool.begin().await?;
            let sql = "select 1 from ledgers where no = $1 and position = $2 for update";
            let is_end = sqlx::query(sql).bind(no).bind(signed(end.0));
            if is_end.fetch_optional(&mut *tx).await?.is_none() {
                return Ok(false);
            }
            for sql in [
                "delete from commits where ledger = $1 and (first > $2 or first < 1)",
                "delete from events where ledger = $1 and (position > $2 or position < 1)",
            ] {
                let deleting = sqlx::query(sql).bind(no).bind(signed(end.0));
                deleting.execute(&mut *tx).await?;
            }
            tx.commit().await.map(|()| true)
        };
        let is_cleared = self.database.query("take rows outside of the log away", clear)?;
        let rows = lines.len();
        Ok(is_cleared.then_some(Repaired::Outside { end, rows, kept }))
    }

    /// Keeps rows in a file of a line each, whose name begins with `stem`.
    fn keep(&self, stem: &str, lines: &[String]) -> Result<PathBuf, RepairError> {
        let mut name = format!("{stem}.rows");
        let mut times = 1;
        while self.dir.join(&name).exists() {
            times += 1;
            name = format!("{stem}-{times}.rows");
        }
        let (path, beside) = (self.dir.join(&name), self.dir.join(format!("{name}{UNFINISHED}")));
        let written = (|| -> io::Result<()> {
            fs::create_dir_all(self.dir)?;
            let mut file = fs::File::create(&beside)?;
            for line in lines {
                writeln!(file, "{line}")?;
            }
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            fs::File::open(self.dir)?.sync_all()
        })();
        written.map_err(OpenError::io("write", &path))?;
        Ok(path)
    }

    /// Puts the rows of a commit after `before` in the place of what stands there, all or nothing.
    fn write(&self, body: Body, before: Head) -> Result<(), RepairError> {
        let no = self.no;
        let write = async move |pool: PgPool| -> Result<(), sqlx::Error> {
            let rows = rows_of(&body, &before, &[]).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
            let (first, last) = (signed(rows.first.0), signed(rows.head.position.0));
            let mut tx = pool.begin().await?;
            for sql in [
                "delete from commits where ledger = $1 and first between $2 and $3",
                "delete from events where ledger = $1 and position between $2 and $3",
            ] {
                let deleting = sqlx::query(sql).bind(no).bind(first).bind(last);
                deleting.execute(&mut *tx).await?;
            }
            insert(&mut tx, no, &rows).await?;
            tx.commit().await
        };
        Ok(self.database.query("write rows of the log again", write)?)
    }
}

fn commit_of(row: &PgRow) -> Result<CommitRow, sqlx::Error> {
    let count: i32 = row.try_get("count")?;
    Ok(CommitRow {
        first: Position(unsigned(row, "first")?),
        count: u64::try_from(count).unwrap_or_default(),
        commit: unsigned(row, "commit").unwrap_or_default(),
        recorded_at: Timestamp::from_micros(row.try_get("recorded_at")?),
        hash: hash_of(row).unwrap_or(Hash([0; 32])),
    })
}

fn event_of(row: &PgRow) -> Result<EventRow, sqlx::Error> {
    Ok(EventRow {
        position: Position(unsigned(row, "position")?),
        stream: row.try_get("stream")?,
        version: row.try_get("version")?,
        key: row.try_get("key")?,
        crc: row.try_get("crc")?,
        record: row.try_get("record")?,
    })
}
