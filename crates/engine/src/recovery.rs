//! From the log to a state.

use bincard_ledger::codec::DecodeError;
use bincard_ledger::{Inconsistent, Position, Record, Recorded, State, snapshot};
use bincard_store::{Commits, ReadError, Reader};

/// Records that are decoded before they are applied, so that what they need from memory is fetched together.
pub(crate) const CHUNK_RECORDS: usize = 128;

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
    fold_commits(commits, state, |_| {}, &mut progress)
}

/// Folds commits, up to where they end, into the state; `each` sees every record first.
pub(crate) fn fold(
    commits: Commits,
    state: &mut State,
    each: impl FnMut(&Record),
) -> Result<(), RecoveryError> {
    fold_commits(commits, state, each, &mut |_| {})
}

fn fold_commits(
    mut commits: Commits,
    state: &mut State,
    mut each: impl FnMut(&Record),
    progress: &mut dyn FnMut(Position),
) -> Result<(), RecoveryError> {
    let mut chunk: Vec<Record> = Vec::with_capacity(CHUNK_RECORDS);
    while let Some(commit) = commits.next()? {
        let decode = |source| RecoveryError::Decode {
            position: commit.first,
            source,
        };
        // A state ends where a commit ends: no commit is known in part.
        let mut records = commit.records().map_err(decode)?.records().peekable();
        while records.peek().is_some() {
            for raw in records.by_ref().take(CHUNK_RECORDS) {
                chunk.push(raw.and_then(|raw| raw.decode()).map_err(decode)?);
            }
            for record in &chunk {
                state.warm_event(&record.event);
                each(record);
            }
            for record in chunk.drain(..) {
                let (position, recorded_at) = (state.head().next(), commit.recorded_at);
                state.apply(&Recorded {
                    position,
                    recorded_at,
                    record,
                })?;
            }
        }
        progress(state.head());
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
