//! Opening and closing a ledger, and the threads in between.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use bincard_ledger::{LedgerId, Position, State, Timestamp};
use bincard_store::OpenError as StoreError;
use bincard_store::Reader;
use bincard_store::disk::{Disk, RealDisk};
use bincard_store::keys::{KeyIndex, KeyOptions};
use bincard_store::postgres::{self, Database, DatabaseError};
use bincard_store::segment::{self, Log, Opened};

use crate::committer::Committer;
use crate::figures::Figures;
use crate::joint::JointLog;
use crate::ledger::{Ledger, Refusal, Shared};
use crate::names::Names;
use crate::queue::Queue;
use crate::recovery::{self, RecoveryError, replay};
use crate::snapshots::{self, Snapshotter};
use crate::writer::{Chunk, Sink, Writer};

/// Where the ledger has its time from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A snapshot is written on closing when so many events came after the last one: opening is as quick then.
const CLOSING_SNAPSHOT_EVENTS_MIN: u64 = 10_000;

/// How a ledger is opened.
#[derive(Clone)]
pub struct Options {
    /// The most requests that wait; more are refused with [`Refusal::Busy`].
    pub queue_requests_max: usize,
    /// A batch is committed once it has this many requests, however many wait.
    pub batch_requests_max: usize,
    /// A snapshot is taken after so many events.
    pub snapshot_every_events: u64,
    /// The size of new segment files, a multiple of 4096.
    pub segment_bytes: u64,
    /// Where the ledger has its time from.
    pub clock: Clock,
    /// Where its files lie.
    pub disk: Arc<dyn Disk>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            queue_requests_max: 65_536,
            batch_requests_max: 8_192,
            snapshot_every_events: 1_000_000,
            segment_bytes: segment::Options::default().segment_bytes,
            clock: Arc::new(system_clock),
            disk: Arc::new(RealDisk),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("queue_requests_max", &self.queue_requests_max)
            .field("batch_requests_max", &self.batch_requests_max)
            .field("snapshot_every_events", &self.snapshot_every_events)
            .field("segment_bytes", &self.segment_bytes)
            .finish_non_exhaustive()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the edge at which the ledger gets its time"
)]
fn system_clock() -> Timestamp {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}

/// Why a ledger was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database could not be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The log could not be replayed.
    #[error("the ledger in {folder} could not be recovered")]
    Recovery {
        /// Which ledger.
        folder: String,
        /// What went wrong.
        source: RecoveryError,
    },
    /// A thread could not be started.
    #[error("a thread could not be started")]
    Thread(#[from] io::Error),
}

/// An open ledger: its threads. Dropping it closes the ledger; what waits is still decided and made durable.
pub struct Engine {
    ledger: Ledger,
    threads: Option<Threads>,
}

struct Threads {
    writer: JoinHandle<State>,
    /// A joint log has none.
    committer: Option<JoinHandle<()>>,
    snapshotter: Snapshotter,
    snapshot_at_start: Position,
}

impl Engine {
    /// Opens the ledger in `folder`, making a new one where there is none: takes the folder's lock, recovers the log,
    /// rebuilds the state from the newest snapshot and the log's tail, and starts to take requests.
    pub fn open(folder: &Path, options: Options) -> Result<Engine, OpenError> {
        let store = segment::Options {
            segment_bytes: options.segment_bytes,
            ..segment::Options::default()
        };
        let Opened {
            appender,
            reader,
            ledger: id,
            recovered,
        } = Log::open(options.disk.clone(), folder, store)?;
        tracing::debug!(?recovered, folder = %folder.display(), "the log is open");
        let recovery = |source| OpenError::Recovery {
            folder: folder.display().to_string(),
            source,
        };
        let keys = KeyIndex::open(&reader, KeyOptions::default())?;
        let reader = Reader::from(reader);
        let mut state = recovery::from_snapshot(&reader).map_err(|error| recovery(error.into()))?;
        let snapshot_at_start = state.head();
        replay(&reader, &mut state, |_| {}).map_err(recovery)?;

        let shared = shared(id, &options, Names::of(&state), reader, Some(Mutex::new(keys)));
        let (to_committer, batches) = sync_channel(1);
        let (to_writer, spare_bodies) = sync_channel(2);
        let committer = Committer {
            shared: shared.clone(),
            appender,
            batches,
            spare_bodies: to_writer,
        };
        let committer = named("bincard-commit").spawn(move || committer.run())?;
        let sink = Sink::Committer {
            to_committer,
            spare_bodies,
        };
        Engine::start(shared, state, sink, Some(committer), options, snapshot_at_start)
    }

    /// Opens a tenant's ledger in PostgreSQL, making a new one where there is none; other nodes may have it open as well.
    pub fn open_in(database: &Database, tenant: &str, options: Options) -> Result<Engine, OpenError> {
        let postgres::Opened { appender, reader, .. } = database.open(tenant)?;
        let recovery = |source| OpenError::Recovery {
            folder: format!("PostgreSQL, of tenant {tenant}"),
            source,
        };
        let log = Reader::Postgres(reader.clone());
        let mut state = recovery::from_snapshot(&log).map_err(|error| recovery(error.into()))?;
        let snapshot_at_start = state.head();
        replay(&log, &mut state, |_| {}).map_err(recovery)?;
        let shared = shared(log.ledger(), &options, Names::of(&state), log, None);
        let mut joint = JointLog::new(shared.clone(), appender, reader);
        joint.read_along(&mut state);
        let sink = Sink::Joint(Box::new(joint));
        Engine::start(shared, state, sink, None, options, snapshot_at_start)
    }

    fn start(
        shared: Arc<Shared>,
        state: State,
        sink: Sink,
        committer: Option<JoinHandle<()>>,
        options: Options,
        snapshot_at_start: Position,
    ) -> Result<Engine, OpenError> {
        let writer = Writer {
            shared: shared.clone(),
            state,
            clock: options.clock,
            batch_requests_max: options.batch_requests_max,
            sink,
            chunk: Chunk::default(),
            refusal: None,
            joint_commit_took: Duration::ZERO,
        };
        let writer = named("bincard-write").spawn(move || writer.run())?;
        let every_events = options.snapshot_every_events;
        let snapshotter = Snapshotter::start(shared.reader.clone(), every_events, snapshot_at_start)?;
        let threads = Threads {
            writer,
            committer,
            snapshotter,
            snapshot_at_start,
        };
        Ok(Engine {
            ledger: Ledger { shared },
            threads: Some(threads),
        })
    }

    /// A handle for callers.
    pub fn ledger(&self) -> Ledger {
        self.ledger.clone()
    }

    /// Closes the ledger: what waits is decided and made durable, later requests are refused. The folder is free for
    /// another to open once all handles and readers are gone, too.
    pub fn close(mut self) {
        self.close_threads();
    }

    fn close_threads(&mut self) {
        let Some(threads) = self.threads.take() else {
            return;
        };
        let shared = &self.ledger.shared;
        shared.queue.close();
        threads.snapshotter.stop();
        let state = threads.writer.join();
        // The writer's end closes the committer's channel; a panic in either was reported by the panic hook.
        drop(threads.committer.map(JoinHandle::join));
        let was_whole = shared
            .stopped
            .set(Refusal::Stopped {
                why: "it is closed".into(),
            })
            .is_ok();
        if let (Ok(state), true) = (state, was_whole) {
            snapshot_on_closing(&shared.reader, &state, threads.snapshot_at_start);
        }
    }
}

fn shared(
    id: LedgerId,
    options: &Options,
    names: Names,
    reader: Reader,
    keys: Option<Mutex<KeyIndex>>,
) -> Arc<Shared> {
    Arc::new(Shared {
        id,
        queue: Queue::new(options.queue_requests_max),
        names,
        figures: Figures::new(),
        stopped: OnceLock::new(),
        keys,
        reader,
    })
}

fn named(name: &str) -> thread::Builder {
    thread::Builder::new().name(name.into())
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close_threads();
    }
}

fn snapshot_on_closing(reader: &Reader, state: &State, at_start: Position) {
    let newest = snapshots::newest(reader).unwrap_or(at_start);
    if state.head().0 < newest.0.saturating_add(CLOSING_SNAPSHOT_EVENTS_MIN) {
        return;
    }
    if let Err(error) = snapshots::put(reader, state) {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "no snapshot was taken on closing"
        );
    }
}
