//! Reading one ledger on from where it was relayed to, and making its messages.

use std::sync::Arc;
use std::time::Duration;

use bincard_ledger::codec::DecodeError;
use bincard_ledger::{Position, Recorded};
use bincard_store::{Commit, Commits, ReadError, Reader};
use bytes::Bytes;
use tokio::time::Instant;

use crate::followed::Followed;
use crate::{Render, message};

/// How many events are read at once, about: commits are read whole.
const CHUNK_EVENTS: usize = 256;
/// A ledger that cannot be read is passed over for so long.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// An event on its way.
pub(crate) struct Message {
    pub(crate) ledger: Arc<Followed>,
    pub(crate) position: Position,
    pub(crate) subject: String,
    pub(crate) id: String,
    pub(crate) body: Bytes,
}

/// Why a ledger cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CourseError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("position {position} cannot be decoded")]
    Decode { position: Position, source: DecodeError },
}

/// One ledger under way.
pub(crate) struct Course {
    pub(crate) ledger: Arc<Followed>,
    /// The last position that was read.
    after: Position,
    cursor: Option<Commits>,
    /// When it is tried again after a failure.
    again_at: Option<Instant>,
}

/// Where a ledger stands by itself.
pub(crate) struct Kept {
    /// How far it was relayed, as kept beside the log.
    pub(crate) relayed: Option<Position>,
    /// The end of its log.
    pub(crate) head: Position,
}

/// Looks where a ledger stands by itself. Waits for the disk or the database.
pub(crate) fn kept(reader: &Reader) -> Result<Kept, ReadError> {
    let head = match reader {
        Reader::Segment(reader) => reader.head(),
        // News of what other nodes appended may still be on the way.
        Reader::Postgres(reader) => reader.look_ahead()?,
    };
    Ok(Kept {
        relayed: reader.relayed()?,
        head: head.position,
    })
}

impl Course {
    pub(crate) fn new(ledger: Arc<Followed>, after: Position) -> Course {
        Course {
            ledger,
            after,
            cursor: None,
            again_at: None,
        }
    }

    /// Whether there is more to read, now.
    pub(crate) fn has_more(&self) -> bool {
        self.ledger.reader.head().position > self.after && self.again_at.is_none_or(|at| at <= Instant::now())
    }

    /// Reads some more events. Waits for the disk or the database.
    pub(crate) fn read(&mut self, render: Render) -> Vec<Message> {
        let mut messages = Vec::new();
        let read = self.read_into(render, &mut messages);
        if let Some(last) = messages.last() {
            self.after = last.position;
        }
        match read {
            Ok(()) => self.again_at = None,
            Err(error) => {
                tracing::warn!(
                    tenant = self.ledger.tenant,
                    after = self.after.0,
                    error = &error as &dyn std::error::Error,
                    "the log cannot be read, so that its events are not relayed; it is tried again"
                );
                self.cursor = None;
                self.again_at = Some(Instant::now() + AGAIN_AFTER);
            }
        }
        messages
    }

    fn read_into(&mut self, render: Render, messages: &mut Vec<Message>) -> Result<(), CourseError> {
        let cursor = match &mut self.cursor {
            Some(cursor) => cursor,
            none => none.insert(self.ledger.reader.commits(self.after)?),
        };
        while messages.len() < CHUNK_EVENTS {
            let Some(commit) = cursor.next()? else { break };
            add(&self.ledger, self.after, &commit, render, messages)?;
        }
        Ok(())
    }
}

/// Adds a commit's events after a position.
fn add(
    ledger: &Arc<Followed>,
    after: Position,
    commit: &Commit<'_>,
    render: Render,
    messages: &mut Vec<Message>,
) -> Result<(), CourseError> {
    let wrong = |position| move |source| CourseError::Decode { position, source };
    let mut position = commit.first;
    let records = commit.records().map_err(wrong(position))?;
    for record in records.records() {
        if position > after {
            let record = record
                .and_then(|record| record.decode())
                .map_err(wrong(position))?;
            let recorded = Recorded {
                position,
                recorded_at: commit.recorded_at,
                record,
            };
            messages.push(Message {
                ledger: ledger.clone(),
                position,
                subject: message::subject(&ledger.tenant, ledger.ids, recorded.record.event.stream()),
                id: message::id(ledger.reader.ledger(), position),
                body: render(&ledger.tenant, ledger.ids, &recorded).into(),
            });
        }
        position = position.next();
    }
    Ok(())
}
