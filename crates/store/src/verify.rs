//! Checking a whole log.

use std::collections::HashMap;

use bincard_ledger::{Position, Record, Stream, Timestamp, Version};

use crate::chain::Hash;
use crate::error::{Corruption, ReadError};
use crate::postgres::{self, Columns, columns_of};
use crate::reader::{Reader, each_record};

/// How often progress is told, in commits.
const PROGRESS_EVERY: u64 = 256;
/// So many events at least are looked at together in a database.
const COLUMNS_EVENTS: usize = 4_096;

/// What a check went over without finding anything wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verified {
    /// How many commits.
    pub commits: u64,
    /// The last position.
    pub position: Position,
    /// The hash of the last commit.
    pub hash: Hash,
}

pub(crate) fn verify(reader: &Reader, mut progress: impl FnMut(Position)) -> Result<Verified, ReadError> {
    let head = reader.head();
    let mut versions: HashMap<Stream, Version> = HashMap::new();
    let mut verified = Verified {
        commits: 0,
        position: Position(0),
        hash: Hash::genesis(reader.ledger()),
    };
    let mut recorded_at = Timestamp::MIN;
    let mut commits = reader.commits(Position(0))?.checking_chain();
    let mut beside = Beside::new(reader);
    while verified.commits < head.commit {
        let Some(commit) = commits.next()? else { break };
        if commit.commit != verified.commits + 1 {
            let what = format!("commit {} follows commit {}", commit.commit, verified.commits);
            return Err(wrong(reader, commit.first, what));
        }
        if commit.recorded_at < recorded_at {
            let what = "recorded before the commit before it".to_owned();
            return Err(wrong(reader, commit.first, what));
        }
        recorded_at = commit.recorded_at;
        each_record(&commit, |position, record| {
            let record = record
                .decode()
                .map_err(|source| ReadError::Decode { position, source })?;
            let last = versions.entry(record.event.stream()).or_default();
            if record.version != last.next() {
                let what = format!("version {} follows version {last}", record.version);
                return Err(wrong(reader, position, what));
            }
            *last = record.version;
            beside.expect(&record);
            Ok(())
        })?;
        beside.check_when_many(commit.last())?;
        verified = Verified {
            commits: commit.commit,
            position: commit.last(),
            hash: commit.hash,
        };
        if verified.commits.is_multiple_of(PROGRESS_EVERY) {
            progress(verified.position);
        }
    }
    beside.check(verified.position)?;
    let (at, end) = (verified.position, head.position);
    if (verified.commits, at, verified.hash) != (head.commit, end, head.hash) {
        let what = format!(
            "the log tells its end as commit {} at position {end}",
            head.commit
        );
        return Err(wrong(reader, at.next(), what));
    }
    beside.check_outside()?;
    progress(verified.position);
    Ok(verified)
}

/// What stands beside the records of a log in a database, held against them. Segment files have nothing of the kind.
struct Beside<'a> {
    reader: Option<&'a postgres::Reader>,
    /// What is to stand beside the records up to the commit at hand that were not looked at.
    expected: Vec<Columns>,
}

impl Beside<'_> {
    fn new(reader: &Reader) -> Beside<'_> {
        let reader = match reader {
            Reader::Segment(_) => None,
            Reader::Postgres(reader) => Some(reader),
        };
        Beside {
            reader,
            expected: Vec::new(),
        }
    }

    fn expect(&mut self, record: &Record) {
        if self.reader.is_some() {
            self.expected.push(columns_of(record));
        }
    }

    fn check_when_many(&mut self, last: Position) -> Result<(), ReadError> {
        if self.expected.len() < COLUMNS_EVENTS {
            return Ok(());
        }
        self.check(last)
    }

    /// Looks at the rows of the records up to `last`.
    fn check(&mut self, last: Position) -> Result<(), ReadError> {
        let Some(reader) = self.reader.filter(|_| !self.expected.is_empty()) else {
            return Ok(());
        };
        let first = Position(last.0 + 1 - self.expected.len() as u64);
        let found = reader.columns(first, last)?;
        let differs = (first.0..)
            .zip(&self.expected)
            .enumerate()
            .find(|(at, (_, expected))| found.get(*at) != Some(*expected));
        if let Some((_, (position, _))) = differs {
            let what = "its columns tell another stream, version or key than its record does".to_owned();
            let position = Position(position);
            return Err(ReadError::Damaged { position, what });
        }
        self.expected.clear();
        Ok(())
    }

    fn check_outside(&self) -> Result<(), ReadError> {
        let Some(reader) = self.reader else { return Ok(()) };
        match reader.rows_outside()? {
            0 => Ok(()),
            rows => Err(ReadError::Damaged {
                position: reader.head().position.next(),
                what: format!("{rows} rows stand outside of the log, in the way of what comes next"),
            }),
        }
    }
}

fn wrong(reader: &Reader, position: Position, what: String) -> ReadError {
    match reader {
        Reader::Segment(reader) => ReadError::Corrupt(Corruption {
            path: reader.shared().dir.clone(),
            segment: 0,
            byte: 0,
            position,
            what,
        }),
        Reader::Postgres(_) => ReadError::Damaged { position, what },
    }
}
