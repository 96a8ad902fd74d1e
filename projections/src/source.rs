//! The log as the projector reads it: whole commits, one after the other, each event decoded once for all views, without
//! its idempotency key and its notes, which no view has.

use bincard_ledger::{Position, Recorded};
use bincard_store::{Commits, Reader};

use crate::error::Error;

/// A place in the log.
#[derive(Debug)]
pub(crate) struct Source {
    reader: Reader,
    /// `None` until it is read, and after it could not be read: then it is opened at the place.
    commits: Option<Commits>,
    position: Position,
}

impl Source {
    /// The log behind `after`.
    pub(crate) fn after(reader: &Reader, after: Position) -> Source {
        Source {
            reader: reader.clone(),
            commits: None,
            position: after,
        }
    }

    /// The last position read.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Reads whole commits, until there were `events_max` events, `through` is reached or the head. Stops at the first
    /// error, behind which nothing was read; what is read next begins there.
    pub(crate) fn read(
        &mut self,
        events_max: u64,
        through: Position,
        each: impl FnMut(Recorded),
    ) -> Result<(), Error> {
        let mut commits = match self.commits.take() {
            Some(commits) => commits,
            None => self.reader.commits(self.position)?,
        };
        self.read_on(&mut commits, events_max, through, each)?;
        self.commits = Some(commits);
        Ok(())
    }

    fn read_on(
        &mut self,
        commits: &mut Commits,
        events_max: u64,
        through: Position,
        mut each: impl FnMut(Recorded),
    ) -> Result<(), Error> {
        let start = self.position;
        while self.position < through && self.position.0 - start.0 < events_max {
            let Some(commit) = commits.next()? else { break };
            let recorded_at = commit.recorded_at;
            let decoding = |position| move |source| Error::Decode { position, source };
            let body = commit.records().map_err(decoding(commit.first))?;
            let mut position = commit.first;
            for record in body.records() {
                // The first commit may begin before the place that was asked for.
                if position > self.position {
                    let record = record
                        .and_then(|record| record.decode_bare())
                        .map_err(decoding(position))?;
                    each(Recorded {
                        position,
                        recorded_at,
                        record,
                    });
                    self.position = position;
                }
                position = position.next();
            }
        }
        Ok(())
    }
}
