//! The thread that makes batches durable, and then answers.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use bincard_ledger::Position;
use bincard_ledger::codec::Body;
use bincard_store::CommitError;
use bincard_store::segment::Appender;

use crate::ledger::{Answer, Refusal, Shared};
use crate::writer::{Batch, Reply};

pub(crate) struct Committer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) appender: Appender,
    pub(crate) batches: Receiver<Batch>,
    pub(crate) spare_bodies: SyncSender<Body>,
}

impl Committer {
    /// Commits until the writer is gone.
    pub(crate) fn run(mut self) {
        while let Ok(batch) = self.batches.recv() {
            let body = self.settle(batch);
            // A full or closed channel only means that the writer makes a new body.
            drop(self.spare_bodies.try_send(body));
        }
    }

    fn settle(&mut self, batch: Batch) -> Body {
        let Batch {
            body,
            replies,
            catalogue,
            figures,
            ..
        } = batch;
        let started = Instant::now();
        let outcome = self.commit(&body);
        let took: Duration = started.elapsed();
        if outcome.is_ok() {
            self.shared.names.apply(&catalogue);
        }
        // Free before answering: the next batch is written while callers wake up.
        self.shared.queue.free_committer(replies.len());
        match outcome {
            Ok(()) => {
                self.shared
                    .figures
                    .committed(&figures, took, body.as_bytes().len());
                answer_all(replies);
            }
            Err(refusal) => refuse_all(replies, &refusal, self.shared.reader.head().position),
        }
        body
    }

    /// Makes a body durable. After a failure nothing is committed any more: the state that decides has gone on, and
    /// only the log says what is true.
    fn commit(&mut self, body: &Body) -> Result<(), Refusal> {
        if let Some(stopped) = self.shared.stopped.get() {
            return Err(stopped.clone());
        }
        if body.is_empty() {
            return Ok(());
        }
        let Err(error) = self.appender.commit(body) else {
            return Ok(());
        };
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the ledger stops, a commit failed: restart when the cause is gone"
        );
        let (now, later) = match error {
            CommitError::Full { .. } => (Refusal::DiskFull, Refusal::DiskFull),
            _ => (
                Refusal::OutcomeUnknown,
                Refusal::Stopped {
                    why: error.to_string().into(),
                },
            ),
        };
        // Set once: this thread is the only one that sets it before the queue is closed.
        drop(self.shared.stopped.set(later));
        self.shared.queue.close();
        Err(now)
    }
}

// A caller that has gone away is no failure: what it asked for is recorded all the same.
pub(crate) fn answer_all(replies: Vec<Reply>) {
    for reply in replies {
        match reply {
            Reply::One(sender, answered) => drop(sender.send(answered)),
            Reply::Many(sender, answered) => drop(sender.send(answered)),
        }
    }
}

/// Refuses what was not made durable. A submission that was spread over several commits may have answers that rest on
/// earlier ones only: those stand.
pub(crate) fn refuse_all(replies: Vec<Reply>, refusal: &Refusal, durable: Position) {
    let settle = |answer| match answer {
        Answer::Recorded(receipt) if receipt.position <= durable => Answer::Recorded(receipt),
        _ => Answer::Failed(refusal.clone()),
    };
    for reply in replies {
        match reply {
            Reply::One(sender, (asked, answer)) => drop(sender.send((asked, settle(answer)))),
            Reply::Many(sender, (asked, mut answers)) => {
                drop(sender.send((asked, answers.drain().map(settle).collect())));
            }
        }
    }
}
