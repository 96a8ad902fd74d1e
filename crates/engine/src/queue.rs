//! The bounded queue before the writer.
//!
//! Callers push under a lock held for an instant; the writer takes everything that waits at once. One condition wakes
//! the writer for new requests, for a committer that has become free, and for the end.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bincard_ledger::{Position, Request};
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use crate::ledger::{Answer, Answers};

/// A request on its way, with what callers compute on their own threads.
pub(crate) struct Asked {
    pub(crate) request: Request,
    /// The hash of its key in this ledger; where there is a digest, of that.
    pub(crate) key_hash: Option<u64>,
    /// What its key is found by in a joint log, for one.
    pub(crate) key_digest: Option<Uuid>,
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
    /// How many submissions the last commit answered or left waiting: about as many as there are callers.
    callers: usize,
    /// What the writer sleeps for while it gathers.
    wanted: Option<Wanted>,
}

#[derive(Clone, Copy)]
struct Wanted {
    submissions: usize,
    requests: usize,
}

impl Inner {
    /// Whether the writer has what it gathers.
    fn has_wanted(&self) -> bool {
        self.wanted.is_some_and(|wanted| {
            self.is_closed || self.waiting.len() >= wanted.submissions || self.requests >= wanted.requests
        })
    }
}

/// How the writer waits for those whom the last commit answered. They come back at about the same time, and a commit that
/// leaves without them costs them another one.
#[derive(Clone, Copy)]
pub(crate) struct Gathering {
    /// Fewer callers are not waited for.
    pub(crate) callers_min: usize,
    /// So many requests are enough, however few callers sent them.
    pub(crate) requests_enough: usize,
    pub(crate) at_most: Duration,
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
            callers: 0,
            wanted: None,
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
        let (before, had_wanted) = (inner.requests, inner.has_wanted());
        inner.requests += requests;
        inner.waiting.push(submission);
        // While a commit is under way a few requests may wait for it: the committer wakes the writer when it is free.
        let is_first = before == 0 && inner.committer_is_free;
        let are_many = before < WAKING_REQUESTS && inner.requests >= WAKING_REQUESTS;
        let are_enough = !had_wanted && inner.has_wanted();
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

    /// Sleeps until about as many submissions wait as there are callers.
    pub(crate) fn gather(&self, how: Gathering) {
        let mut inner = self.lock();
        if inner.callers < how.callers_min {
            return;
        }
        inner.wanted = Some(Wanted {
            submissions: inner.callers,
            // More does not wait at once.
            requests: how.requests_enough.min(self.requests_max),
        });
        let are_few = |inner: &mut Inner| !inner.has_wanted();
        let woken = self.writer_wakes.wait_timeout_while(inner, how.at_most, are_few);
        woken.unwrap_or_else(PoisonError::into_inner).0.wanted = None;
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

    /// Says that the committer was given a batch.
    pub(crate) fn occupy_committer(&self) {
        self.lock().committer_is_free = false;
    }

    /// Says that the committer can take another batch, now that it is about to answer so many submissions.
    pub(crate) fn free_committer(&self, answered: usize) {
        let mut inner = self.lock();
        inner.committer_is_free = true;
        inner.callers = answered + inner.waiting.len();
        drop(inner);
        self.writer_wakes.notify_one();
    }

    /// Says that so many submissions are about to be answered, where there is no committer.
    pub(crate) fn answer(&self, answered: usize) {
        let mut inner = self.lock();
        inner.callers = answered + inner.waiting.len();
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    /// No test waits so long: one that should not have waited hangs instead.
    const FOR_EVER: Duration = Duration::from_secs(86_400);
    const HOW: Gathering = Gathering {
        callers_min: 2,
        requests_enough: 8,
        at_most: FOR_EVER,
    };

    /// A submission of so many requests; what would be answered is not looked at.
    fn submission(requests: usize) -> Submission {
        let asked = |_| Asked {
            request: Request {
                command: bincard_ledger::Command::ExpireDue { reservations_max: 0 },
                author: Uuid::nil(),
                on_behalf_of: None,
                key: None,
            },
            key_hash: None,
            key_digest: None,
            fingerprint: 0,
            other_keys: Vec::new(),
        };
        let (sender, _) = oneshot::channel();
        Submission::Many((0..requests).map(asked).collect(), sender)
    }

    fn push(queue: &Queue, requests: usize) {
        let pushed = queue.push(submission(requests));
        assert!(pushed.is_ok(), "there is room");
    }

    /// A queue whose last commit answered three callers, and one who waits already.
    fn of_four_callers() -> Arc<Queue> {
        let queue = Arc::new(Queue::new(100));
        push(&queue, 1);
        queue.free_committer(3);
        queue
    }

    #[test]
    fn as_many_are_gathered_as_the_last_commit_answered_and_left_waiting() {
        let queue = of_four_callers();
        let others = queue.clone();
        let others = thread::spawn(move || (0..3).for_each(|_| push(&others, 1)));
        queue.gather(HOW);
        assert_eq!(queue.take().len(), 4);
        others.join().expect("they push");
    }

    #[test]
    fn many_requests_of_few_callers_are_enough() {
        let queue = of_four_callers();
        let other = queue.clone();
        let other = thread::spawn(move || push(&other, 7));
        queue.gather(HOW);
        assert_eq!(queue.take().len(), 2);
        other.join().expect("it pushes");
    }

    #[test]
    fn few_callers_are_not_waited_for() {
        let queue = of_four_callers();
        queue.gather(Gathering {
            callers_min: 5,
            ..HOW
        });
        assert_eq!(queue.take().len(), 1);
    }

    #[test]
    fn who_does_not_come_back_is_not_waited_for_long() {
        let queue = of_four_callers();
        let at_most = Duration::from_millis(1);
        queue.gather(Gathering { at_most, ..HOW });
        assert_eq!(queue.take().len(), 1);
    }

    #[test]
    fn a_queue_that_is_closed_gathers_no_longer() {
        let queue = of_four_callers();
        let other = queue.clone();
        let other = thread::spawn(move || other.close());
        queue.gather(HOW);
        assert_eq!(queue.take().len(), 1);
        other.join().expect("it closes");
    }
}
