//! The bounded queue before the writer.
//!
//! Callers push under a lock held for an instant; the writer takes everything that waits at once. One condition wakes
//! the writer for new requests, for a committer that has become free, and for the end.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bincard_ledger::{Position, Request};
use tokio::sync::{Notify, oneshot};

use crate::ledger::{Answer, Answers};

/// A request on its way, with what callers compute on their own threads.
pub(crate) struct Asked {
    pub(crate) request: Request,
    /// The hash of its key in this ledger.
    pub(crate) key_hash: Option<u64>,
    pub(crate) fingerprint: u64,
    /// Positions that share the key's hash, looked at and found to carry another key.
    pub(crate) other_keys: Vec<Position>,
}

/// An answer, and the request back: it is dropped where it was made.
pub(crate) type Answered = (Box<Asked>, Answer);
/// Answers in the order of the requests, and the requests back.
pub(crate) type AnsweredBatch = (Vec<Asked>, Answers);

/// What a caller handed over.
pub(crate) enum Submission {
    One(Box<Asked>, oneshot::Sender<Answered>),
    Many(Vec<Asked>, oneshot::Sender<AnsweredBatch>),
}

impl Submission {
    fn requests(&self) -> usize {
        match self {
            Submission::One(..) => 1,
            Submission::Many(asked, _) => asked.len(),
        }
    }
}

/// So many waiting requests wake the writer although a commit is under way, so that it decides them meanwhile. Fewer are
/// decided in less time than waking takes.
const WAKING_REQUESTS: usize = 256;

/// Why a submission was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NotTaken {
    Full,
    Closed,
}

struct Inner {
    waiting: Vec<Submission>,
    requests: usize,
    committer_is_free: bool,
    is_closed: bool,
    /// Others appended something that the writer has not looked at.
    has_news: bool,
    /// The writer gathers requests, and is woken by the one that makes so many.
    wanted: usize,
}

/// What the writer finds when it looks.
pub(crate) struct Signs {
    pub(crate) has_requests: bool,
    pub(crate) committer_is_free: bool,
    pub(crate) is_closed: bool,
}

pub(crate) struct Queue {
    inner: Mutex<Inner>,
    writer_wakes: Condvar,
    has_room: Condvar,
    has_room_async: Notify,
    requests_max: usize,
}

impl Queue {
    pub(crate) fn new(requests_max: usize) -> Queue {
        let inner = Inner {
            waiting: Vec::new(),
            requests: 0,
            committer_is_free: true,
            is_closed: false,
            has_news: false,
            wanted: usize::MAX,
        };
        Queue {
            inner: Mutex::new(inner),
            writer_wakes: Condvar::new(),
            has_room: Condvar::new(),
            has_room_async: Notify::new(),
            requests_max,
        }
    }

    // A panic while the lock is held cannot leave the queue half changed: nothing under it can panic.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests wait.
    pub(crate) fn depth(&self) -> usize {
        self.lock().requests
    }

    /// Hands a submission over, or gives it back. One that is larger than the whole queue fits an empty one.
    pub(crate) fn push(&self, submission: Submission) -> Result<(), (Submission, NotTaken)> {
        let requests = submission.requests();
        let mut inner = self.lock();
        if inner.is_closed {
            return Err((submission, NotTaken::Closed));
        }
        if inner.requests > 0 && inner.requests + requests > self.requests_max {
            return Err((submission, NotTaken::Full));
        }
        let before = inner.requests;
        inner.requests += requests;
        inner.waiting.push(submission);
        // While a commit is under way a few requests may wait for it: the committer wakes the writer when it is free.
        let is_first = before == 0 && inner.committer_is_free;
        let are_many = before < WAKING_REQUESTS && inner.requests >= WAKING_REQUESTS;
        let are_enough = before < inner.wanted && inner.requests >= inner.wanted;
        drop(inner);
        if is_first || are_many || are_enough {
            self.writer_wakes.notify_one();
        }
        Ok(())
    }

    /// Hands a submission over, waiting for room on this thread.
    pub(crate) fn push_blocking(&self, mut submission: Submission) -> Result<(), NotTaken> {
        loop {
            match self.push(submission) {
                Ok(()) => return Ok(()),
                Err((_, NotTaken::Closed)) => return Err(NotTaken::Closed),
                Err((back, NotTaken::Full)) => submission = back,
            }
            let inner = self.lock();
            if inner.requests > 0 && !inner.is_closed {
                drop(self.has_room.wait(inner).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }

    /// Hands a submission over, waiting for room on this task.
    pub(crate) async fn push_waiting(&self, mut submission: Submission) -> Result<(), NotTaken> {
        loop {
            let room = self.has_room_async.notified();
            match self.push(submission) {
                Ok(()) => return Ok(()),
                Err((_, NotTaken::Closed)) => return Err(NotTaken::Closed),
                Err((back, NotTaken::Full)) => submission = back,
            }
            room.await;
        }
    }

    /// Sleeps while there is nothing worth waking for, at most `sleep_max`: the queue is open, there is no news, few requests
    /// wait, and the committer is busy or there is nothing to give it.
    pub(crate) fn await_work(&self, holds_batch: bool, sleep_max: Duration) -> Signs {
        let mut inner = self.lock();
        let is_idle = |i: &mut Inner| {
            let has_work = holds_batch || !i.waiting.is_empty();
            let is_called = i.is_closed || i.has_news || i.requests >= WAKING_REQUESTS;
            !(is_called || has_work && i.committer_is_free)
        };
        if is_idle(&mut inner) {
            let woken = self.writer_wakes.wait_timeout_while(inner, sleep_max, is_idle);
            inner = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        inner.has_news = false;
        Signs {
            has_requests: !inner.waiting.is_empty(),
            committer_is_free: inner.committer_is_free,
            is_closed: inner.is_closed,
        }
    }

    /// Sleeps until so many requests wait, at most so long.
    pub(crate) fn gather(&self, requests: usize, at_most: Duration) {
        let mut inner = self.lock();
        inner.wanted = requests;
        let are_few = |i: &mut Inner| i.requests < requests && !i.is_closed;
        let woken = self.writer_wakes.wait_timeout_while(inner, at_most, are_few);
        woken.unwrap_or_else(PoisonError::into_inner).0.wanted = usize::MAX;
    }

    /// Takes everything that waits.
    pub(crate) fn take(&self) -> Vec<Submission> {
        let mut inner = self.lock();
        let taken = std::mem::take(&mut inner.waiting);
        inner.requests = 0;
        drop(inner);
        if !taken.is_empty() {
            self.has_room.notify_all();
            self.has_room_async.notify_waiters();
        }
        taken
    }

    /// Waits until the committer is free.
    pub(crate) fn await_committer(&self) {
        let inner = self.lock();
        let woken = self
            .writer_wakes
            .wait_while(inner, |inner| !inner.committer_is_free);
        drop(woken.unwrap_or_else(PoisonError::into_inner));
    }

    /// Says whether the committer can take another batch.
    pub(crate) fn set_committer_free(&self, is_free: bool) {
        self.lock().committer_is_free = is_free;
        if is_free {
            self.writer_wakes.notify_one();
        }
    }

    /// Wakes the writer because others appended something.
    pub(crate) fn bring_news(&self) {
        self.lock().has_news = true;
        self.writer_wakes.notify_one();
    }

    /// Takes no more submissions; what waits is still decided.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.writer_wakes.notify_one();
        self.has_room.notify_all();
        self.has_room_async.notify_waiters();
    }
}
