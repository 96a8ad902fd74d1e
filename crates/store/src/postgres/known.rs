//! Which idempotency keys are new, mostly without asking.
//!
//! Nearly every key is, and to ask the database about each costs a batch more than all else but its rows. So an appender
//! keeps a filter of all keys that the log has up to where it knows it: what is not in there was never used. The filter is
//! read from the log in the background once the ledger is open; until it is there, and where it says "perhaps", the
//! database is asked. It is never the truth: the index on the keys is, and refuses what would be there twice.

use std::time::{Duration, Instant};

use bincard_ledger::Position;
use sqlx::Row;
use sqlx::postgres::PgPool;
use tokio::sync::oneshot::{self, Receiver, error::TryRecvError};
use uuid::Uuid;

use super::{READ_MAX, Reader, in_time, signed};
use crate::keys::filter::Filter;

/// Keys that a filter has room for, at least.
const KEYS_MIN: u64 = 64 << 10;
/// Positions whose keys are read at once.
const STRETCH_POSITIONS: u64 = 64 << 10;
/// How long it is waited after the log could not be read.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The keys of a log up to a position that its owner keeps.
#[derive(Debug, Default)]
pub(super) struct KnownKeys {
    whole: Option<Keys>,
    loading: Option<Loading>,
    /// When the log could not be read.
    failed_at: Option<Instant>,
}

/// Keys, approximately.
struct Keys {
    filter: Filter,
    count: u64,
    /// How many it was made for. It takes more, and says "perhaps" more often then.
    room: u64,
}

/// A filter on its way.
#[derive(Debug)]
struct Loading {
    read: Receiver<Result<Keys, sqlx::Error>>,
    /// Keys that came after the position up to which it is read.
    since: Vec<u64>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys")
            .field("count", &self.count)
            .field("room", &self.room)
            .finish_non_exhaustive()
    }
}

impl Keys {
    fn with_room(room: u64) -> Keys {
        Keys {
            filter: Filter::new(room),
            count: 0,
            room,
        }
    }

    fn insert(&mut self, hash: u64) {
        self.filter.insert(hash);
        self.count += 1;
    }
}

impl KnownKeys {
    /// Takes in a key that the log has beyond what it had so far.
    pub(super) fn add(&mut self, digest: &Uuid) {
        let hash = hash_of(digest);
        if let Some(keys) = &mut self.whole {
            keys.insert(hash);
        }
        if let Some(loading) = &mut self.loading {
            loading.since.push(hash);
        }
    }

    /// Whether the log may have a key. "No" is certain.
    pub(super) fn may_have(&self, digest: &Uuid) -> bool {
        self.whole
            .as_ref()
            .is_none_or(|keys| keys.filter.may_contain(hash_of(digest)))
    }

    /// Forgets all keys: the owner's position has moved by ways that did not tell of them.
    pub(super) fn forget(&mut self) {
        *self = KnownKeys::default();
    }

    /// Takes a filter that has arrived, and sends for one where there is none or it has become too small. All keys up to
    /// `seen` were added, or none were.
    pub(super) fn tend(&mut self, reader: &Reader, seen: Position) {
        if let Some(loading) = &mut self.loading {
            match loading.read.try_recv() {
                Err(TryRecvError::Empty) => return,
                Ok(Ok(mut keys)) => {
                    loading.since.drain(..).for_each(|hash| keys.insert(hash));
                    self.whole = Some(keys);
                }
                Ok(Err(error)) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the idempotency keys could not be read; the database is asked about each"
                    );
                    self.failed_at = Some(Instant::now());
                }
                // The database's threads are ending.
                Err(TryRecvError::Closed) => self.failed_at = Some(Instant::now()),
            }
            self.loading = None;
        }
        let is_small = self.whole.as_ref().is_none_or(|keys| keys.count >= keys.room);
        let is_soon = self.failed_at.is_some_and(|at| at.elapsed() < RETRY_AFTER);
        if is_small && !is_soon {
            self.load(reader, seen);
        }
    }

    fn load(&mut self, reader: &Reader, seen: Position) {
        // As many keys again fit in before the next one is read. There are no more keys than positions.
        let keys = Keys::with_room(seen.0.saturating_mul(2).max(KEYS_MIN));
        if seen.0 == 0 {
            self.whole = Some(keys);
            return;
        }
        let (sender, read) = oneshot::channel();
        let no = reader.no();
        reader.database().spawn_reading(move |pool| async move {
            let loaded = load(&pool, no, seen, keys, || sender.is_closed()).await;
            // Whoever sent for it may be gone.
            let _told = sender.send(loaded);
        });
        self.loading = Some(Loading {
            read,
            since: Vec::new(),
        });
    }
}

/// A part of a digest is as good as all of it for a filter.
fn hash_of(digest: &Uuid) -> u64 {
    digest.as_u64_pair().0
}

/// Reads the keys up to a position. It takes no more than half of the time for itself: others wait for the same database.
async fn load(
    pool: &PgPool,
    no: i32,
    last: Position,
    mut keys: Keys,
    is_given_up: impl Fn() -> bool,
) -> Result<Keys, sqlx::Error> {
    let mut after = 0;
    while after < last.0 && !is_given_up() {
        let started = Instant::now();
        let to = last.0.min(after + STRETCH_POSITIONS);
        let asked = sqlx::query(
            "select array_agg(key) from events
            where ledger = $1 and position > $2 and position <= $3 and key is not null having count(*) > 0",
        )
        .bind(no)
        .bind(signed(after))
        .bind(signed(to))
        .fetch_optional(pool);
        let row = in_time(READ_MAX, asked, std::convert::identity).await?;
        let digests: Vec<Uuid> = row.map_or(Ok(Vec::new()), |row| row.try_get(0))?;
        digests.iter().for_each(|digest| keys.insert(hash_of(digest)));
        after = to;
        if after < last.0 {
            tokio::time::sleep(started.elapsed()).await;
        }
    }
    Ok(keys)
}
