//! The end of a log as it moves: for those who look at it, wait for it, or want to be told.

use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bincard_ledger::Position;

use crate::contract::Head;

/// A callback on every new head.
type Listener = Box<dyn Fn(Head) + Send + Sync>;

/// How far a log is durable, as far as this process knows.
pub(crate) struct Heads {
    head: Mutex<Head>,
    advanced: Condvar,
    listeners: RwLock<Vec<Listener>>,
    /// Who is told first of what others appended, and announces it when it is ready for that.
    gate: RwLock<Option<Listener>>,
}

impl Heads {
    pub(crate) fn new(head: Head) -> Heads {
        Heads {
            head: Mutex::new(head),
            advanced: Condvar::new(),
            listeners: RwLock::default(),
            gate: RwLock::default(),
        }
    }

    // A panic while the lock is held leaves nothing half changed: every change is one plain store.
    fn lock(&self) -> MutexGuard<'_, Head> {
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self) -> Head {
        *self.lock()
    }

    /// Tells everybody about a head that readers can read up to. One that is behind what is known is passed over: news
    /// of one log may come by two ways.
    pub(crate) fn announce(&self, head: Head) {
        {
            let mut known = self.lock();
            if head.position <= known.position {
                return;
            }
            *known = head;
        }
        self.advanced.notify_all();
        let listeners = self.listeners.read().unwrap_or_else(PoisonError::into_inner);
        for listener in listeners.iter() {
            listener(head);
        }
    }

    /// News of what others appended: for whoever keeps the gate, or for everybody.
    pub(crate) fn tell(&self, head: Head) {
        if head.position <= self.get().position {
            return;
        }
        let gate = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        match &*gate {
            Some(keeper) => keeper(head),
            None => self.announce(head),
        }
    }

    /// From now on `keeper` is told of what others append, and nobody else until it is announced.
    pub(crate) fn keep_gate(&self, keeper: Listener) {
        *self.gate.write().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
    }

    /// Calls `listener` with every new head, on the thread that brings the news.
    pub(crate) fn listen(&self, listener: Listener) {
        let mut listeners = self.listeners.write().unwrap_or_else(PoisonError::into_inner);
        listeners.push(listener);
    }

    /// Waits until the head has reached a position, at most for `timeout`; the head then.
    pub(crate) fn wait_for(&self, position: Position, timeout: Duration) -> Head {
        let deadline = Instant::now() + timeout;
        let mut head = self.lock();
        while head.position < position {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.advanced.wait_timeout(head, left);
            head = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *head
    }
}

impl fmt::Debug for Heads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Heads").field(&self.get()).finish()
    }
}
