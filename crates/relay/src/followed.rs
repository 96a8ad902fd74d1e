//! The ledgers that are relayed, and how far each is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bincard_ledger::{Position, PublicIds};
use bincard_store::Reader;
use tokio::sync::Notify;

/// How far a ledger is relayed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Whose it is.
    pub tenant: String,
    /// The last position that NATS acknowledged, or had at the beginning; 0 before the stream was looked at.
    pub position: Position,
    /// The end of the log.
    pub head: Position,
    /// How many events this node has sent and NATS has acknowledged.
    pub published: u64,
}

/// A ledger that is relayed.
#[derive(Debug)]
pub(crate) struct Followed {
    pub(crate) tenant: String,
    pub(crate) reader: Reader,
    pub(crate) ids: PublicIds,
    position: AtomicU64,
    published: AtomicU64,
    /// The position that was kept last.
    kept: AtomicU64,
}

impl Followed {
    /// The last position that is known to have been acknowledged.
    pub(crate) fn position(&self) -> Position {
        Position(self.position.load(Relaxed))
    }

    /// The stream was found to stand here.
    pub(crate) fn found(&self, position: Position) {
        self.position.store(position.0, Relaxed);
    }

    /// An event was acknowledged.
    pub(crate) fn acknowledged(&self, position: Position) {
        self.position.store(position.0, Relaxed);
        self.published.fetch_add(1, Relaxed);
    }

    /// Keeps how far it is, if that is news. Waits for the disk or the database.
    fn keep(&self) {
        let position = self.position();
        if position.0 == 0 || self.kept.load(Relaxed) == position.0 {
            return;
        }
        match self.reader.put_relayed(position) {
            Ok(()) => self.kept.store(position.0, Relaxed),
            // Only a stream that has nothing of the ledger is begun by it.
            Err(error) => tracing::debug!(
                tenant = self.tenant,
                error = &error as &dyn std::error::Error,
                "how far the ledger was relayed cannot be kept"
            ),
        }
    }
}

/// All ledgers that are relayed.
#[derive(Debug, Default)]
pub(crate) struct Ledgers {
    followed: Mutex<BTreeMap<String, Arc<Followed>>>,
    is_relaying: AtomicBool,
    /// Told when a ledger is new or has a new head.
    pub(crate) news: Arc<Notify>,
}

impl Ledgers {
    // A panic in a holder leaves the map whole: every change to it is a single insertion.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Followed>>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn follow(&self, tenant: &str, reader: Reader) {
        let mut followed = self.lock();
        if followed.contains_key(tenant) {
            return;
        }
        let news = self.news.clone();
        reader.on_advance(move |_| news.notify_one());
        let ledger = Arc::new(Followed {
            tenant: tenant.to_owned(),
            ids: PublicIds::new(reader.ledger()),
            reader,
            position: AtomicU64::new(0),
            published: AtomicU64::new(0),
            kept: AtomicU64::new(0),
        });
        followed.insert(tenant.to_owned(), ledger);
        self.news.notify_one();
    }

    pub(crate) fn has(&self, tenant: &str) -> bool {
        self.lock().contains_key(tenant)
    }

    pub(crate) fn all(&self) -> Vec<Arc<Followed>> {
        self.lock().values().cloned().collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    pub(crate) fn forget(&self) {
        self.lock().clear();
    }

    pub(crate) fn is_relaying(&self) -> bool {
        self.is_relaying.load(Relaxed)
    }

    pub(crate) fn set_relaying(&self, is_relaying: bool) {
        self.is_relaying.store(is_relaying, Relaxed);
    }

    /// How many events were sent and acknowledged.
    pub(crate) fn carried(&self) -> u64 {
        self.lock()
            .values()
            .map(|ledger| ledger.published.load(Relaxed))
            .sum()
    }

    pub(crate) fn standings(&self) -> Vec<Standing> {
        let standing = |ledger: &Arc<Followed>| Standing {
            tenant: ledger.tenant.clone(),
            position: ledger.position(),
            head: ledger.reader.head().position,
            published: ledger.published.load(Relaxed),
        };
        self.lock().values().map(standing).collect()
    }

    /// Keeps how far each ledger is, where that is news.
    pub(crate) async fn keep_checkpoints(&self) {
        let all = self.all();
        let kept = tokio::task::spawn_blocking(move || all.iter().for_each(|ledger| ledger.keep()));
        // Nothing in it panics, and if it did, checkpoints are not the truth.
        drop(kept.await);
    }
}
