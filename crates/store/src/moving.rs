//! Carrying a log from one store to another, commit by commit, with every hash the same.

use bincard_ledger::Position;
use bincard_ledger::codec::{Body, BodyRef, DecodeError};

use crate::contract::Head;
use crate::error::{CommitError, ReadError};
use crate::reader::{Commit, Reader};
use crate::{postgres, segment};

/// Events that go into one transaction of the other store, at least.
const CHUNK_EVENTS: u64 = 8_192;

/// Where a log goes.
#[derive(Debug)]
pub enum Target {
    /// Into segment files.
    Segment(Box<segment::Appender>),
    /// Into PostgreSQL.
    Postgres(Box<postgres::Appender>),
}

/// Why a log could not be carried over.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// The log could not be read where it is.
    #[error("the log cannot be read where it is")]
    Read(#[from] ReadError),
    /// It could not be written where it goes.
    #[error("the log cannot be written where it goes")]
    Commit(#[from] CommitError),
    /// What is there already does not belong to this log.
    #[error(
        "what is there ends at position {at} with a hash that this log does not have: it is another history, and stays"
    )]
    Forked {
        /// Where it ends.
        at: Position,
    },
    /// A commit has another hash there. Nothing that is here was changed.
    #[error("the commit that ends at position {at} has another hash where it goes")]
    Differs {
        /// Its last position.
        at: Position,
    },
}

impl Target {
    /// The end of what is there.
    pub fn head(&self) -> Head {
        match self {
            Target::Segment(appender) => appender.head(),
            Target::Postgres(appender) => appender.head(),
        }
    }

    /// Appends bodies, in order; all of them or the first few.
    ///
    /// # Errors
    /// See [`CommitError`].
    pub fn append(&mut self, bodies: &[Body]) -> Result<Head, CommitError> {
        match self {
            Target::Segment(appender) => {
                for body in bodies {
                    appender.commit(body)?;
                }
                Ok(appender.head())
            }
            Target::Postgres(appender) => appender.copy(bodies),
        }
    }
}

/// Appends to `target` what it lacks of the log that `from` reads, up to the head that is known there. Every hash is computed
/// anew on both sides and compared, so that going on where an earlier attempt ended is as safe as beginning. `progress` is
/// told of every position reached.
///
/// # Errors
/// [`MoveError`]; what was carried over by then stays there.
pub fn copy(
    from: &Reader,
    target: &mut Target,
    mut progress: impl FnMut(Position),
) -> Result<Head, MoveError> {
    let there = target.head();
    if from.hash_at(there.position)? != Some(there.hash) {
        return Err(MoveError::Forked { at: there.position });
    }
    let mut commits = from.commits(there.position)?.checking_chain();
    let (mut bodies, mut events, mut last) = (Vec::new(), 0, there);
    loop {
        let commit = commits.next()?;
        let is_end = commit.is_none();
        if let Some(commit) = commit {
            bodies.push(body_of(&commit)?);
            events += u64::from(commit.count);
            last = Head {
                position: commit.last(),
                commit: commit.commit,
                hash: commit.hash,
                recorded_at: commit.recorded_at,
            };
        }
        if bodies.is_empty() {
            return Ok(target.head());
        }
        if is_end || events >= CHUNK_EVENTS {
            let head = target.append(&bodies)?;
            if head != last {
                return Err(MoveError::Differs { at: last.position });
            }
            progress(head.position);
            bodies.clear();
            events = 0;
        }
    }
}

fn body_of(commit: &Commit<'_>) -> Result<Body, ReadError> {
    body_from(commit.body).map_err(|source| ReadError::Decode {
        position: commit.first,
        source,
    })
}

/// A body to append, from the bytes of one that was committed.
///
/// # Errors
/// When they are none.
pub fn body_from(bytes: &[u8]) -> Result<Body, DecodeError> {
    let parsed = BodyRef::parse(bytes)?;
    let mut body = Body::new(parsed.recorded_at());
    for record in parsed.records() {
        body.push_encoded(record?.as_bytes());
    }
    Ok(body)
}
