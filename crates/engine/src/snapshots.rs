//! Snapshots: a state written down, so that a start need not replay all of history.
//!
//! Made by replaying the log beside the writer, which never stops for it: from the newest snapshot to the head as it
//! is when the work ends. The log stays the truth; a snapshot that cannot be read is passed over.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bincard_ledger::{Position, State, snapshot};
use bincard_store::{ReadError, Reader, StoreError};

use crate::recovery::{self, RecoveryError, replay};

/// How often it is looked whether a snapshot is due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why no snapshot was taken.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The log could not be replayed.
    #[error("the log could not be replayed for a snapshot")]
    Replay(#[from] RecoveryError),
    /// The snapshot could not be written.
    #[error("the snapshot could not be written")]
    Write(#[from] StoreError),
}

/// Takes a snapshot at the head of the log, beside whoever writes it. Answers the position it stands at.
pub fn take_snapshot(reader: &Reader) -> Result<Position, SnapshotError> {
    let mut state = recovery::from_snapshot(reader).map_err(RecoveryError::from)?;
    replay(reader, &mut state, |_| {})?;
    put(reader, &state)
}

/// Keeps `state`, which ends where a commit ends, as a snapshot.
pub(crate) fn put(reader: &Reader, state: &State) -> Result<Position, SnapshotError> {
    let position = state.head();
    let hash = reader.hash_at(position).map_err(RecoveryError::from)?;
    // Nothing is recorded yet, or the state is ahead of the durable log: there is nothing to keep.
    let Some(hash) = hash.filter(|_| position > Position(0)) else {
        return Ok(Position(0));
    };
    reader.put_snapshot(position, hash, &snapshot::encode(state))?;
    Ok(position)
}

/// The thread that takes a snapshot whenever so many events have been recorded.
pub(crate) struct Snapshotter {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Snapshotter {
    pub(crate) fn start(reader: Reader, every_events: u64, last: Position) -> io::Result<Snapshotter> {
        let (stop, stopped) = sync_channel(1);
        let work = move || watch(&reader, every_events.max(1), last, &stopped);
        let thread = thread::Builder::new()
            .name("bincard-snapshot".into())
            .spawn(work)?;
        Ok(Snapshotter { stop, thread })
    }

    pub(crate) fn stop(self) {
        drop(self.stop);
        // It ends by itself; a panic in it was reported by the panic hook and costs no more than a snapshot.
        drop(self.thread.join());
    }
}

/// How far the thread's priority is lowered: it has all the time there is, callers have not.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

fn lower_priority() {
    // On Linux a process id of none means the calling thread.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "the priority stays as it is");
    }
}

/// As many events between two looks, and more, mean that callers want all there is of the processor.
const BUSY_EVENTS: u64 = 20_000;
/// How many times its due a snapshot waits for a quiet moment. A start replays so much more at the most.
const WAIT_TIMES: u64 = 4;

/// Whether to take a snapshot now, so many events after the last one, when so many came since the last look.
fn is_time(events: u64, since_look: u64, every_events: u64) -> bool {
    let is_quiet = since_look < BUSY_EVENTS;
    events >= every_events && (is_quiet || events >= every_events.saturating_mul(WAIT_TIMES))
}

fn watch(reader: &Reader, every_events: u64, mut last: Position, stopped: &Receiver<()>) {
    lower_priority();
    let mut seen = reader.head().position;
    while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        let before = std::mem::replace(&mut seen, reader.head().position);
        let since = |before: Position| seen.0.saturating_sub(before.0);
        if !is_time(since(last), since(before), every_events) {
            continue;
        }
        match take_snapshot(reader) {
            Ok(position) => last = position,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "no snapshot was taken");
                last = reader.head().position;
            }
        }
    }
}

/// The position of the newest snapshot that holds; 0 when there is none.
pub(crate) fn newest(reader: &Reader) -> Result<Position, ReadError> {
    Ok(reader
        .snapshot()?
        .map_or(Position(0), |snapshot| snapshot.position))
}

#[cfg(test)]
mod tests {
    use super::is_time;

    #[test]
    fn a_snapshot_that_is_due_waits_for_a_quiet_moment_but_not_for_ever() {
        for (events, since_look, expected) in [
            (999, 0, false),
            (1_000, 0, true),
            (1_000, 19_999, true),
            (1_000, 20_000, false),
            (3_999, 20_000, false),
            (4_000, 20_000, true),
        ] {
            assert_eq!(
                is_time(events, since_look, 1_000),
                expected,
                "{events} {since_look}"
            );
        }
    }
}
