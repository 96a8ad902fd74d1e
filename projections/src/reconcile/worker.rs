//! The thread that reconciles: one run at a time, at a low priority, until it is closed.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bincard_ledger::{Position, Timestamp};
use bincard_store::Reader;
use tokio::sync::Notify;

use super::audit::Audit;
use super::compare::Bench;
use super::outside::{Explained, Variance, compare_outside};
use super::part::Part;
use super::past::compare_past;
use super::replay::{Pace, Replay};
use super::runs::{Asked, Run, RunDifference, RunState, Runs};
use crate::error::Error;
use crate::generation::Folder;
use crate::history::AsOf;
use crate::name::ViewName;
use crate::projector::{lower_priority, runtime};
use crate::verify::Verified;
use crate::views::{Page, Slice};

/// How long to leave the database of runs alone when it cannot be used.
const RETRY: Duration = Duration::from_secs(5);
/// The most differences of a view that the log of the program is told.
const TOLD_MAX: usize = 10;

/// What a run does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It folds the log.
    Replaying,
    /// It compares a view.
    Comparing(ViewName),
}

/// How far a run is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunProgress {
    /// Which run.
    pub run: u64,
    /// What it does.
    pub phase: Phase,
    /// The position that the log was folded up to.
    pub folded: Position,
    /// The position that it will be folded up to.
    pub through: Position,
    /// How many rows were compared, of all views.
    pub rows: u64,
}

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How reconciliations are done.
#[derive(Clone)]
pub struct Options {
    /// Where the instants of runs come from.
    pub clock: Clock,
    /// How often a part of the views is looked at while there is nothing else to do, at the most; never when `None`.
    pub audit_every: Option<Duration>,
}

/// Asks for reconciliations and reads them. Clones share everything.
#[derive(Clone)]
pub struct Reconciliations {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    runs: Runs,
    asked: Notify,
    stop: AtomicBool,
    /// Whether a run was asked for that was not looked at yet: the audit makes way.
    is_asked: AtomicBool,
    /// How many times the audit has looked at a part of every view.
    audited: AtomicU64,
    /// How many rows were found to differ, by view.
    diverged: [AtomicU64; ViewName::COUNT],
    /// The run that is to end; 0 for none.
    cancelled: AtomicU64,
    progress: Mutex<Option<RunProgress>>,
}

impl Shared {
    /// Fails when the run is to end.
    fn go_on(&self, run: u64) -> Result<(), Error> {
        if self.stop.load(Ordering::Relaxed) {
            Err(Error::Stopped)
        } else if self.cancelled.load(Ordering::Relaxed) == run {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }

    fn set_progress(&self, progress: Option<RunProgress>) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }
}

impl Reconciliations {
    /// Asks for a run. It is done in the background, after those that were asked for before.
    ///
    /// # Errors
    /// [`Error::TooManyWaiting`], or when it cannot be written down.
    pub async fn start(&self, asked: &Asked) -> Result<u64, Error> {
        let id = self.shared.runs.add(asked, (self.shared.clock)()).await?;
        self.shared.is_asked.store(true, Ordering::Relaxed);
        self.shared.asked.notify_one();
        Ok(id)
    }

    /// A run, and how far it is while it is under way; `None` when there is no such run.
    ///
    /// # Errors
    /// When the runs cannot be read.
    pub async fn run(&self, id: u64) -> Result<Option<(Run, Option<RunProgress>)>, Error> {
        let run = self.shared.runs.one(id).await?;
        Ok(run.map(|run| {
            let progress = self
                .progress()
                .filter(|progress| progress.run == id && !run.state.is_over());
            (run, progress)
        }))
    }

    /// How far the run is that is under way.
    pub fn progress(&self) -> Option<RunProgress> {
        *self
            .shared
            .progress
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// How many times the audit has looked at a part of every view, since this was opened.
    pub fn audited(&self) -> u64 {
        self.shared.audited.load(Ordering::Relaxed)
    }

    /// How many rows of each view were found to differ by runs and by the audit, since this was opened.
    pub fn diverged(&self) -> [(ViewName, u64); ViewName::COUNT] {
        ViewName::ALL.map(|view| (view, self.shared.diverged[view.index()].load(Ordering::Relaxed)))
    }

    /// A page of the runs, the latest first.
    ///
    /// # Errors
    /// When the runs cannot be read.
    pub async fn runs(&self, slice: Slice<u64>) -> Result<Page<Run>, Error> {
        self.shared.runs.page(slice).await
    }

    /// A page of the differences of a run, in order.
    ///
    /// # Errors
    /// When the runs cannot be read.
    pub async fn differences(&self, id: u64, slice: Slice<u64>) -> Result<Page<RunDifference>, Error> {
        self.shared.runs.differences(id, slice).await
    }

    /// A page of the lines of a run's source, in order, with what became of each.
    ///
    /// # Errors
    /// When the runs cannot be read.
    pub async fn variances(&self, id: u64, slice: Slice<u64>) -> Result<Page<Variance>, Error> {
        self.shared.runs.variances(id, slice).await
    }

    /// Ends a run that is not over: one that waits at once, one that is under way within moments, and at the next start if
    /// it is not to be any sooner.
    ///
    /// # Errors
    /// When the runs cannot be read or written.
    pub async fn cancel(&self, id: u64) -> Result<(), Error> {
        if self.shared.runs.cancel(id, (self.shared.clock)()).await? {
            self.shared.cancelled.store(id, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Does the reconciliations of one ledger until it is closed or dropped. A run that is under way then goes on when it is
/// opened again.
pub struct Reconciler {
    reconciliations: Reconciliations,
    thread: Option<JoinHandle<()>>,
}

impl Reconciler {
    /// Opens the reconciliations of the ledger in folder `path`, whose views are in `views`, and goes on with what is not
    /// over. Meanwhile it looks at a part of the views from time to time.
    ///
    /// # Errors
    /// When the database of reconciliations cannot be opened, or no thread be started.
    pub fn open(path: &Path, views: &Path, reader: Reader, options: Options) -> Result<Reconciler, Error> {
        let (file, folder) = (path.join("reconciliations.db"), Folder::open(views)?);
        let (opened, is_open) = std::sync::mpsc::sync_channel(1);
        let work = move || {
            // Before any connection is opened: the threads that serve connections inherit it.
            lower_priority();
            let ended = runtime().and_then(|runtime| {
                runtime.block_on(async move {
                    // Each side has connections of its own: the other side's runtime may have ended when they are closed.
                    let both = async { Ok::<_, Error>((Runs::open(&file).await?, Runs::open(&file).await?)) };
                    let (runs, theirs) = match both.await {
                        Ok(both) => both,
                        Err(error) => {
                            let _waiting = opened.send(Err(error));
                            return Ok(());
                        }
                    };
                    let shared = Arc::new(Shared {
                        runs: theirs,
                        asked: Notify::new(),
                        stop: AtomicBool::new(false),
                        is_asked: AtomicBool::new(false),
                        audited: AtomicU64::new(0),
                        clock: options.clock,
                        diverged: [const { AtomicU64::new(0) }; ViewName::COUNT],
                        cancelled: AtomicU64::new(0),
                        progress: Mutex::new(None),
                    });
                    let _waiting = opened.send(Ok(shared.clone()));
                    let worker = Worker {
                        shared,
                        runs,
                        folder,
                        reader,
                    };
                    worker.work(options.audit_every).await
                })
            });
            if let Err(error) = ended {
                tracing::error!(error = %error.chain(), "no reconciliation is done any more");
            }
        };
        let thread = std::thread::Builder::new().name("reconciler".into()).spawn(work);
        let thread = thread.map_err(Error::folder("start the reconciler of", path))?;
        let shared = is_open.recv().map_err(|_| Error::Stopped)??;
        Ok(Reconciler {
            reconciliations: Reconciliations { shared },
            thread: Some(thread),
        })
    }

    /// The reconciliations, to be asked for and read.
    pub fn reconciliations(&self) -> &Reconciliations {
        &self.reconciliations
    }

    /// Breaks off what is under way, and waits for that.
    pub fn close(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        let shared = &self.reconciliations.shared;
        shared.stop.store(true, Ordering::Relaxed);
        shared.asked.notify_one();
        if thread.join().is_err() {
            tracing::error!("the reconciler panicked");
        }
    }
}

impl Drop for Reconciler {
    fn drop(&mut self) {
        self.end();
    }
}

// A run compares every view: one that is new has its place in the replay, and is compared like the others.
const _: () = assert!(ViewName::COUNT == 7);

/// What a run found.
enum Found {
    /// Of views.
    Views(Vec<Verified>),
    /// Of the lines of a source.
    Outside(Vec<Option<Explained>>),
}

struct Worker {
    shared: Arc<Shared>,
    runs: Runs,
    folder: Folder,
    reader: Reader,
}

impl Worker {
    fn now(&self) -> Timestamp {
        (self.shared.clock)()
    }

    async fn work(self, audit_every: Option<Duration>) -> Result<(), Error> {
        let mut audit = Audit::new();
        while !self.shared.stop.load(Ordering::Relaxed) {
            self.shared.is_asked.store(false, Ordering::Relaxed);
            match self.runs.next().await {
                Ok(Some(run)) => self.take_up(run).await,
                Ok(None) => match audit_every {
                    None => self.shared.asked.notified().await,
                    Some(every) => self.audit(&mut audit, every).await,
                },
                Err(error) => self.wait(error).await,
            }
        }
        self.runs.close().await;
        Ok(())
    }

    /// Looks at the next parts of the views, and rests until there is something to do.
    async fn audit(&self, audit: &mut Audit, every: Duration) {
        let began_at = Instant::now();
        let go_on = || {
            let is_over =
                self.shared.stop.load(Ordering::Relaxed) || self.shared.is_asked.load(Ordering::Relaxed);
            if is_over { Err(Error::Stopped) } else { Ok(()) }
        };
        for found in audit.look(&self.folder, &self.reader, &go_on).await {
            tell(None, &found);
            self.count(&found);
        }
        self.shared.audited.fetch_add(1, Ordering::Relaxed);
        // At least as long as it took.
        let rest = every.saturating_add(began_at.elapsed());
        let _asked = tokio::time::timeout(rest, self.shared.asked.notified()).await;
    }

    fn count(&self, found: &Verified) {
        // A view that cannot be read differs, too.
        let differing = found.differing.max(u64::from(!found.is_well()));
        self.shared.diverged[found.view.index()].fetch_add(differing, Ordering::Relaxed);
    }

    async fn wait(&self, error: Error) {
        tracing::error!(error = %error.chain(), "the reconciliations cannot be read or written");
        let _told = tokio::time::timeout(RETRY, self.shared.asked.notified()).await;
    }

    async fn take_up(&self, run: Run) {
        let done = self.run(&run).await;
        self.shared.set_progress(None);
        let runs = &self.runs;
        let noted = match done {
            Ok(Some(Found::Outside(explained))) => {
                let source = run.asked.source.as_ref();
                let source = source.map(|source| runs.end_source(run.id, source, &explained, self.now()));
                match source {
                    Some(ending) => ending.await,
                    None => Ok(()),
                }
            }
            Ok(Some(Found::Views(found))) => {
                for one in found.iter().filter(|one| !one.is_well()) {
                    tell(Some(&run), one);
                    self.count(one);
                }
                runs.end(run.id, &found, self.now()).await
            }
            Err(Error::Stopped) if self.shared.stop.load(Ordering::Relaxed) => Ok(()),
            // Before it began, or went on, or since then.
            Ok(None) | Err(Error::Cancelled) => {
                let ended = runs.give_up(run.id, RunState::Cancelled, None, self.now()).await;
                ended.map(|_| ())
            }
            Err(error @ Error::Reconciliations { .. }) => Err(error),
            Err(error) => {
                let why = error.chain();
                tracing::error!(run = run.id, error = %why, "a reconciliation failed");
                let ended = runs
                    .give_up(run.id, RunState::Failed, Some(&why), self.now())
                    .await;
                ended.map(|_| ())
            }
        };
        if let Err(error) = noted {
            self.wait(error).await;
        }
    }

    /// Does a run. `None` when it was cancelled before it began.
    async fn run(&self, run: &Run) -> Result<Option<Found>, Error> {
        let position = run.position.unwrap_or_else(|| self.reader.head().position);
        if !self.runs.begin(run.id, position, self.now()).await? {
            return Ok(None);
        }
        let progress = Mutex::new(RunProgress {
            run: run.id,
            phase: Phase::Replaying,
            folded: Position(0),
            through: position,
            rows: 0,
        });
        // Rows of views that are done.
        let rows_before = AtomicU64::new(0);
        let advance = |change: &dyn Fn(&mut RunProgress)| {
            let mut now = progress.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut now);
            self.shared.set_progress(Some(*now));
            self.shared.go_on(run.id)
        };
        let folded = |at| advance(&|now| now.folded = at);
        let compared = |view, rows| {
            advance(&|now| {
                now.phase = Phase::Comparing(view);
                now.rows = rows_before.load(Ordering::Relaxed) + rows;
            })
        };
        let bench = Bench {
            folder: &self.folder,
            reader: &self.reader,
            part: Part::of(run.asked.filter),
            tell: &compared,
            folded: &folded,
        };
        if let Some(source) = &run.asked.source {
            let agreed = self.runs.agreed(source.measures).await?;
            let explained = compare_outside(&bench, source, &agreed, position, self.now()).await?;
            return Ok(Some(Found::Outside(explained)));
        }
        if run.asked.past != AsOf::default() {
            let found = compare_past(&bench, run.asked.filter, run.asked.past, position).await?;
            return Ok(Some(Found::Views(vec![found])));
        }
        let mut replay = Replay::empty();
        replay.run(&self.reader, position, Pace::Polite, folded)?;
        let Replay {
            stock,
            history,
            reservations,
            catalogue,
            exceptions,
            transfers,
            counts,
            ..
        } = replay;
        let mut found = Vec::new();
        let mut note = |one: Verified| {
            rows_before.fetch_add(one.rows, Ordering::Relaxed);
            found.push(one);
        };
        note(bench.compare(stock, position).await?);
        note(bench.compare(history, position).await?);
        if !run.asked.filter.is_set() {
            note(bench.compare_kept(catalogue, position).await?);
            note(bench.compare(reservations, position).await?);
            note(bench.compare_kept(exceptions, position).await?);
            note(bench.compare_kept(transfers, position).await?);
            note(bench.compare_kept(counts, position).await?);
        }
        Ok(Some(Found::Views(found)))
    }
}

/// Tells the log of the program what was found by a run, or by the audit.
fn tell(run: Option<&Run>, found: &Verified) {
    let run = run.map_or_else(|| "audit".to_owned(), |run| format!("reconciliation {}", run.id));
    for damage in &found.damage {
        tracing::error!(by = run, view = %found.view, damage, "a view cannot be read");
    }
    for one in found.differences.iter().take(TOLD_MAX) {
        tracing::error!(
            by = run,
            view = %found.view,
            table = one.table,
            key = one.key,
            expected = one.expected.as_deref().unwrap_or("no such row"),
            found = one.found.as_deref().unwrap_or("no such row"),
            first_event = one.first.map(|at| at.0),
            differing = found.differing,
            "a row of a view is not what the log makes of it; build the view anew"
        );
    }
}
