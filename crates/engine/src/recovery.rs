//! From the log to a state.

use bincard_ledger::codec::{DecodeError, RawRecord};
use bincard_ledger::{Event, Inconsistent, Position, Recorded, State, snapshot};
use bincard_store::{Commits, ReadError, Reader};

/// Events that are folded in together.
const CHUNK_EVENTS: usize = 32;

/// Folds events into a state, some at a time, so that what they need from memory is fetched together.
pub(crate) struct Folding<'a> {
    state: &'a mut State,
    chunk: Vec<Recorded>,
    /// The first event that did not follow; nothing after it is folded in.
    failed: Option<Inconsistent>,
}

impl<'a> Folding<'a> {
    pub(crate) fn new(state: &'a mut State) -> Folding<'a> {
        Folding {
            state,
            chunk: Vec::with_capacity(CHUNK_EVENTS),
            failed: None,
        }
    }

    /// Takes the next event.
    pub(crate) fn take(&mut self, recorded: Recorded) {
        self.chunk.push(recorded);
        if self.chunk.len() == CHUNK_EVENTS {
            self.fold();
        }
    }

    /// Folds in what was taken; the position reached.
    pub(crate) fn finish(&mut self) -> Result<Position, Inconsistent> {
        self.fold();
        self.failed.take().map_or(Ok(self.state.head()), Err)
    }

    fn fold(&mut self) {
        // One after the other with nothing in between, so that the processor waits for many of them at once.
        for recorded in &self.chunk {
            self.state.warm_event(&recorded.record.event);
        }
        for recorded in self.chunk.drain(..) {
            if self.failed.is_none() {
                self.failed = self.state.apply(&recorded).err();
            }
        }
    }
}

/// Why a state could not be rebuilt.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The log could not be read.
    #[error("the log could not be read")]
    Read(#[from] ReadError),
    /// A commit's checksum holds, but it is not what this program understands.
    #[error(
        "the commit that begins at position {position} could not be understood; a newer program may have written it"
    )]
    Decode {
        /// The position of the commit's first event.
        position: Position,
        /// What is wrong with it.
        source: DecodeError,
    },
    /// An event does not follow from those before it.
    #[error(transparent)]
    Inconsistent(#[from] Inconsistent),
}

/// Folds what the log has after the state's head into the state, up to the log's head. The state's head is where a
/// commit ends. `progress` is called after each commit with the position reached.
pub fn replay(
    reader: &Reader,
    state: &mut State,
    mut progress: impl FnMut(Position),
) -> Result<(), RecoveryError> {
    let commits = reader.commits(state.head())?;
    fold_commits(commits, state, |_, _| Ok(()), &mut progress)
}

/// Folds commits, up to where they end, into the state; `each` sees every record, and its event, before it is folded in.
pub(crate) fn fold(
    commits: Commits,
    state: &mut State,
    each: impl FnMut(RawRecord<'_>, &Event) -> Result<(), DecodeError>,
) -> Result<(), RecoveryError> {
    fold_commits(commits, state, each, &mut |_| {})
}

fn fold_commits(
    mut commits: Commits,
    state: &mut State,
    mut each: impl FnMut(RawRecord<'_>, &Event) -> Result<(), DecodeError>,
    progress: &mut dyn FnMut(Position),
) -> Result<(), RecoveryError> {
    let mut folding = Folding::new(state);
    while let Some(commit) = commits.next()? {
        let mut position = commit.first;
        let decode = |source| RecoveryError::Decode {
            position: commit.first,
            source,
        };
        for raw in commit.records().map_err(decode)?.records() {
            // A state knows nothing of keys and notes.
            let raw = raw.map_err(decode)?;
            let record = raw.decode_bare().map_err(decode)?;
            each(raw, &record.event).map_err(decode)?;
            folding.take(Recorded {
                position,
                recorded_at: commit.recorded_at,
                record,
            });
            position = position.next();
        }
        // A state ends where a commit ends: no commit is known in part.
        progress(folding.finish()?);
    }
    Ok(())
}

/// The state of the newest snapshot that can be used, or the empty one.
pub(crate) fn from_snapshot(reader: &Reader) -> Result<State, ReadError> {
    let empty = || State::new(reader.ledger());
    let Some(found) = reader.snapshot()? else {
        return Ok(empty());
    };
    match snapshot::decode_for(reader.ledger(), &found.bytes) {
        Ok(state) if state.head() == found.position => Ok(state),
        Ok(_) | Err(_) => {
            // Another version's, perhaps. The log is the truth, and only takes longer.
            tracing::warn!(
                position = found.position.0,
                "the snapshot could not be understood; replaying the log"
            );
            Ok(empty())
        }
    }
}
