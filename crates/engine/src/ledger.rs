//! The handle that callers hold, and what they are answered.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bincard_ledger::{
    IdempotencyKey, LedgerId, Position, PublicIds, Recorded, Rejection, Request, Timestamp, Version,
};
use bincard_store::keys::KeyIndex;
use bincard_store::postgres::key_digest;
use bincard_store::{Head, ReadError, Reader};
use tokio::sync::oneshot;

use crate::figures::Figures;
use crate::keys;
use crate::names::Names;
use crate::queue::{Asked, NotTaken, Queue, Submission};

/// What was recorded for a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Receipt {
    /// The position of the command's own event. Where nothing was to be recorded (a change that changes nothing), the
    /// head on which that was decided.
    pub position: Position,
    /// The version to which that event brought its stream; 0 where nothing was to be recorded.
    pub version: Version,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The number of the warehouse, product or variant that a catalogue command is about; 0 for stock.
    pub subject: u32,
    /// Whether the same request was answered before under the same key: nothing was recorded now.
    pub replayed: bool,
    /// Whether the event says more than what was asked for, such as how far below zero it went.
    pub says_more: bool,
}

/// Why a request was not recorded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The ledger's rules refuse it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// Another request was recorded under the same idempotency key.
    #[error("the idempotency key stands with another request, at position {position}")]
    KeyReused {
        /// Where.
        position: Position,
    },
    /// The queue is full; nothing was decided. Try again soon.
    #[error("the ledger has more requests than it can take: try again soon")]
    Busy,
    /// The disk is full; nothing was recorded, and nothing will be until there is space and the ledger is opened again.
    #[error("the disk is full: nothing was recorded; make space and restart")]
    DiskFull,
    /// The ledger is stopped or being closed; nothing was recorded.
    #[error("the ledger takes no requests: {why}")]
    Stopped {
        /// What stopped it.
        why: Arc<str>,
    },
    /// The database that keeps the log does not answer or refused; nothing was recorded. Try again soon.
    #[error("the ledger cannot be reached, nothing was recorded: {why}")]
    Unavailable {
        /// What went wrong.
        why: Arc<str>,
    },
    /// The ledger stopped while it recorded this; whether it is recorded will be known when it is opened again.
    #[error("the outcome is unknown: send the request again with the same idempotency key")]
    OutcomeUnknown,
    /// The log could not be read to find what was recorded under the key.
    #[error("what was recorded under the idempotency key could not be read: {why}")]
    Unreadable {
        /// What went wrong.
        why: Arc<str>,
    },
}

/// What the writer says of one request.
pub(crate) enum Answer {
    Recorded(Receipt),
    Rejected(Rejection),
    /// Something with the same key hash is recorded at these positions.
    Known(Vec<Position>),
    Failed(Refusal),
}

/// Answers to many requests, in order.
///
/// Nearly all requests are recorded. Their receipts stand as they are, so that the writer stores each once: as a list of
/// [`Answer`]s they would be put together elsewhere and copied.
#[derive(Default)]
pub(crate) struct Answers {
    /// One a request; meaningless where `others` has an answer.
    receipts: Vec<Receipt>,
    /// The answers that are not receipts, and to which request, in order.
    others: Vec<(usize, Answer)>,
}

impl Answers {
    pub(crate) fn with_capacity(requests: usize) -> Answers {
        Answers {
            receipts: Vec::with_capacity(requests),
            others: Vec::new(),
        }
    }

    pub(crate) fn recorded(&mut self, receipt: Receipt) {
        self.receipts.push(receipt);
    }

    pub(crate) fn other(&mut self, answer: Answer) {
        self.others.push((self.receipts.len(), answer));
        let nothing = Receipt {
            position: Position(0),
            version: Version(0),
            recorded_at: Timestamp::MIN,
            subject: 0,
            replayed: false,
            says_more: false,
        };
        self.receipts.push(nothing);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.receipts.len()
    }

    /// Refuses what was answered from the `from`th on: it was not made durable.
    pub(crate) fn refuse_from(&mut self, from: usize, refusal: &Refusal) {
        let count = self.receipts.len().saturating_sub(from);
        self.receipts.truncate(from);
        self.others.retain(|(of, _)| *of < from);
        for _ in 0..count {
            self.other(Answer::Failed(refusal.clone()));
        }
    }

    /// The answers one by one; none are left.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Answer> {
        let mut others = self.others.drain(..).peekable();
        self.receipts.drain(..).enumerate().map(move |(index, receipt)| {
            match others.next_if(|(of, _)| *of == index) {
                Some((_, answer)) => answer,
                None => Answer::Recorded(receipt),
            }
        })
    }
}

impl FromIterator<Answer> for Answers {
    fn from_iter<I: IntoIterator<Item = Answer>>(all: I) -> Answers {
        let mut answers = Answers::default();
        for answer in all {
            match answer {
                Answer::Recorded(receipt) => answers.recorded(receipt),
                other => answers.other(other),
            }
        }
        answers
    }
}

/// How a ledger stands.
#[derive(Clone, Debug)]
pub struct Status {
    /// The last durable event.
    pub head: Head,
    /// How many requests wait.
    pub queue_depth: usize,
    /// Why it takes no more requests.
    pub stopped: Option<Refusal>,
}

pub(crate) struct Shared {
    pub(crate) id: LedgerId,
    pub(crate) queue: Queue,
    pub(crate) reader: Reader,
    /// The index of keys beside a log in files; a log in PostgreSQL has its own. The writer puts keys in, a chunk of
    /// requests at a time; whoever looks one up holds it no longer than memory takes.
    pub(crate) keys: Option<Mutex<KeyIndex>>,
    pub(crate) names: Names,
    pub(crate) figures: Figures,
    /// Set once, when a commit failed or the engine was closed.
    pub(crate) stopped: OnceLock<Refusal>,
}

impl Shared {
    /// Whether other nodes append to the log as well.
    pub(crate) fn is_joint(&self) -> bool {
        matches!(self.reader, Reader::Postgres(_))
    }

    // A panic while the lock is held leaves an index that knows too little at worst, and the writer's panic stops the ledger.
    pub(crate) fn keys(&self) -> Option<MutexGuard<'_, KeyIndex>> {
        let keys = self.keys.as_ref()?;
        Some(keys.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A ledger that takes requests. Cheap to clone.
#[derive(Clone)]
pub struct Ledger {
    pub(crate) shared: Arc<Shared>,
}

impl Ledger {
    /// The ledger's identity.
    pub fn id(&self) -> LedgerId {
        self.shared.id
    }

    /// Its public ids.
    pub fn ids(&self) -> PublicIds {
        PublicIds::new(self.shared.id)
    }

    /// Reads its log, as far as it is durable.
    pub fn reader(&self) -> &Reader {
        &self.shared.reader
    }

    /// The event at a position; `None` beyond the head. What lies in files is mostly in memory and read at once; a database
    /// is waited for without holding up the thread.
    ///
    /// # Errors
    /// When the log cannot be read, or is damaged there.
    pub async fn event(&self, position: Position) -> Result<Option<Recorded>, ReadError> {
        match self.reader() {
            Reader::Segment(reader) => reader.event(position),
            Reader::Postgres(reader) => reader.event_soon(position).await,
        }
    }

    /// Codes and SKUs.
    pub fn names(&self) -> &Names {
        &self.shared.names
    }

    /// What it counts.
    pub fn figures(&self) -> &Figures {
        &self.shared.figures
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        Status {
            head: self.shared.reader.head(),
            queue_depth: self.shared.queue.depth(),
            stopped: self.shared.stopped.get().cloned(),
        }
    }

    /// Where an idempotency key stands, if what was recorded under it is durable. Reads the log, and at times the disk.
    ///
    /// # Errors
    /// When the log, or in its place its index, cannot be read.
    pub fn find_key(&self, key: &IdempotencyKey) -> Result<Option<Position>, ReadError> {
        if let Reader::Postgres(reader) = self.reader() {
            return Ok(reader.find_key(key)?.map(|found| found.position));
        }
        let probe = self
            .shared
            .keys()
            .map(|keys| keys.probe(key.hash(self.shared.id)));
        let Some(probe) = probe else { return Ok(None) };
        for position in probe.candidates()? {
            let recorded = self.reader().event(position)?;
            if recorded.is_some_and(|recorded| recorded.record.key.is_some_and(|known| known.key == *key)) {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    /// Decides one request and answers when what was decided is durable.
    pub async fn submit(&self, request: Request) -> Result<Receipt, Refusal> {
        let mut asked = Box::new(self.ask(request));
        loop {
            let (reply, answer) = oneshot::channel();
            let pushed = self.shared.queue.push(Submission::One(asked, reply));
            pushed.map_err(|(_, why)| self.not_taken(why))?;
            let (mut back, answer) = answer.await.map_err(|_| Refusal::OutcomeUnknown)?;
            let settle = move |reader: &Reader| {
                let settled = keys::settle(reader, &mut back, answer);
                (back, settled)
            };
            let (back, settled) = self.with_reader(settle).await?;
            if let Some(outcome) = settled {
                return outcome;
            }
            asked = back;
        }
    }

    /// Decides each request on its own, in order, and answers in the same order when all of it is durable. Waits for
    /// room in the queue instead of answering [`Refusal::Busy`].
    pub async fn submit_batch(&self, requests: Vec<Request>) -> Vec<Result<Receipt, Refusal>> {
        let mut batch = keys::Batch::new(requests.into_iter().map(|request| self.ask(request)));
        while let Some(asked) = batch.next_asked() {
            let (reply, answers) = oneshot::channel();
            let answers = match self
                .shared
                .queue
                .push_waiting(Submission::Many(asked, reply))
                .await
            {
                Ok(()) => answers.await.map_err(|_| Refusal::OutcomeUnknown),
                Err(why) => Err(self.not_taken(why)),
            };
            let asked_for = batch.len();
            let settle = move |reader: &Reader| {
                batch.settle(reader, answers);
                batch
            };
            batch = match self.with_reader(settle).await {
                Ok(batch) => batch,
                Err(refusal) => return vec![Err(refusal); asked_for],
            };
        }
        batch.into_outcomes()
    }

    /// Does something that may read the log: at once where that is in files, on a thread that may wait for a database.
    async fn with_reader<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        if matches!(self.reader(), Reader::Segment(_)) {
            return Ok(work(self.reader()));
        }
        let reader = self.reader().clone();
        let done = tokio::task::spawn_blocking(move || work(&reader)).await;
        done.map_err(|_| Refusal::OutcomeUnknown)
    }

    /// [`Ledger::submit_batch`] for threads without a runtime; must not be called from an asynchronous task.
    pub fn submit_batch_blocking(&self, requests: Vec<Request>) -> Vec<Result<Receipt, Refusal>> {
        let mut batch = keys::Batch::new(requests.into_iter().map(|request| self.ask(request)));
        while let Some(asked) = batch.next_asked() {
            let (reply, answers) = oneshot::channel();
            let answers = match self.shared.queue.push_blocking(Submission::Many(asked, reply)) {
                Ok(()) => answers.blocking_recv().map_err(|_| Refusal::OutcomeUnknown),
                Err(why) => Err(self.not_taken(why)),
            };
            batch.settle(self.reader(), answers);
        }
        batch.into_outcomes()
    }

    fn ask(&self, request: Request) -> Asked {
        let key = request.key.as_ref();
        let key_digest = key.filter(|_| self.shared.is_joint()).map(key_digest);
        let hash_of =
            |key: &IdempotencyKey| key_digest.map_or_else(|| key.hash(self.shared.id), keys::hash_of_digest);
        let key_hash = key.map(hash_of);
        let fingerprint = if key_hash.is_some() {
            request.fingerprint()
        } else {
            0
        };
        Asked {
            request,
            key_hash,
            key_digest,
            fingerprint,
            other_keys: Vec::new(),
        }
    }

    fn not_taken(&self, why: NotTaken) -> Refusal {
        match why {
            NotTaken::Full => Refusal::Busy,
            NotTaken::Closed => self.shared.stopped.get().cloned().unwrap_or(Refusal::Stopped {
                why: "it is being closed".into(),
            }),
        }
    }
}
