//! The replay: the log folded once more, apart from the views, into what their rows should come to.
//!
//! One thread reads and decodes, one folds the history, which has the most to do, and one all other views: each is about as
//! long about it. What they keep grows with the number of stock keys, of slots and of what is open, and with that of
//! transfers, counts and exceptions, but not with that of events, except for one number a block of positions.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use bincard_ledger::{Position, Recorded};
use bincard_store::Reader;

use super::digested::{Fold, Kept};
use crate::catalogue::Catalogue;
use crate::counts::Counts;
use crate::error::Error;
use crate::exceptions::Exceptions;
use crate::history::History;
use crate::reservations::Reservations;
use crate::source::Source;
use crate::stock::Stock;
use crate::transfers::Transfers;

/// The events that go from thread to thread at once: few enough to stay in a processor's cache.
const BATCH_EVENTS: u64 = 2_048;
/// Batches that wait for a thread.
const BATCHES_WAITING: usize = 4;
/// The longest rest between two batches.
const REST_MAX: Duration = Duration::from_millis(200);

/// How long to rest after a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pace {
    /// As long as the batch took, while others write; not at all while nobody does.
    Polite,
}

impl Pace {
    fn rest(self, took: Duration, is_written: bool) -> Duration {
        let rest = match self {
            Pace::Polite if is_written => took,
            Pace::Polite => Duration::ZERO,
        };
        rest.min(REST_MAX)
    }
}

/// What all views should come to at a position.
pub(super) struct Replay {
    pub(super) position: Position,
    pub(super) stock: Fold<Stock>,
    pub(super) history: Fold<History>,
    pub(super) reservations: Fold<Reservations>,
    pub(super) catalogue: Kept<Catalogue>,
    pub(super) exceptions: Kept<Exceptions>,
    pub(super) transfers: Kept<Transfers>,
    pub(super) counts: Kept<Counts>,
}

/// Events that several threads read.
pub(super) type Batch = Arc<Vec<Recorded>>;

impl Replay {
    /// Of an empty log.
    pub(super) fn empty() -> Replay {
        Replay {
            position: Position(0),
            stock: Fold::empty(),
            history: Fold::empty(),
            reservations: Fold::empty(),
            catalogue: Kept::empty(),
            exceptions: Kept::empty(),
            transfers: Kept::empty(),
            counts: Kept::empty(),
        }
    }

    /// Folds the log up to `through`, which a commit ends at. `tell` hears how far it is, and may stop it.
    pub(super) fn run(
        &mut self,
        reader: &Reader,
        through: Position,
        pace: Pace,
        mut tell: impl FnMut(Position) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Replay {
            position,
            stock,
            history,
            reservations,
            catalogue,
            exceptions,
            transfers,
            counts,
        } = self;
        thread::scope(|scope| {
            let (to_history, for_history) = sync_channel(BATCHES_WAITING);
            let (to_others, for_others) = sync_channel(BATCHES_WAITING);
            let others = move |batch: &[Recorded]| {
                stock.take(batch)?;
                reservations.take(batch)?;
                catalogue.take(batch)?;
                exceptions.take(batch)?;
                transfers.take(batch)?;
                counts.take(batch)
            };
            let folds = [
                scope.spawn(move || take_all(&for_history, |batch| history.take(batch))),
                scope.spawn(move || take_all(&for_others, others)),
            ];
            let to_all = [to_history, to_others];
            let read = read(reader, *position, through, pace, |batch, at| {
                *position = at;
                let sent = to_all
                    .iter()
                    .all(|to: &SyncSender<Batch>| to.send(batch.clone()).is_ok());
                // A fold that hears no more says why itself.
                if sent { tell(at) } else { Err(Error::Stopped) }
            });
            drop(to_all);
            let folded = folds
                .into_iter()
                .map(|fold| fold.join().unwrap_or(Err(Error::Stopped)));
            // Each is waited for; the first that failed says why.
            let folded: Vec<_> = folded.collect();
            folded.into_iter().collect::<Result<(), Error>>().and(read)
        })
    }
}

fn take_all(
    batches: &Receiver<Batch>,
    mut take: impl FnMut(&[Recorded]) -> Result<(), Error>,
) -> Result<(), Error> {
    while let Ok(batch) = batches.recv() {
        take(&batch)?;
    }
    Ok(())
}

/// Reads the log behind `after` up to `through` in batches, and rests between them.
pub(super) fn read(
    reader: &Reader,
    after: Position,
    through: Position,
    pace: Pace,
    mut each: impl FnMut(&Batch, Position) -> Result<(), Error>,
) -> Result<(), Error> {
    if after >= through {
        return Ok(());
    }
    let mut source = Source::after(reader, after);
    let mut batches: Vec<Batch> = Vec::new();
    while source.position() < through {
        let (began_at, head) = (Instant::now(), reader.head().position);
        let before = source.position();
        let mut batch = unused(&mut batches);
        let events = Arc::make_mut(&mut batch);
        // A commit may reach beyond: what it has there is not part of it.
        source.read(BATCH_EVENTS, through, |event| {
            if event.position <= through {
                events.push(event);
            }
        })?;
        if source.position() == before {
            // The log ends before the position that somebody said it had.
            return Err(Error::Stopped);
        }
        each(&batch, source.position().min(through))?;
        batches.push(batch);
        let rest = pace.rest(began_at.elapsed(), reader.head().position > head);
        if !rest.is_zero() {
            thread::sleep(rest);
        }
    }
    Ok(())
}

/// An empty batch: the room of one that nobody reads any more, where there is any.
fn unused(batches: &mut Vec<Batch>) -> Batch {
    let is_unused = |batch: &mut Batch| Arc::get_mut(batch).map(Vec::clear).is_some();
    match batches.iter_mut().position(is_unused) {
        Some(at) => batches.swap_remove(at),
        None => Batch::default(),
    }
}
