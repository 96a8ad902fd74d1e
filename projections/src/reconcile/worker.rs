//! Asking for reconciliations and reading them, and the thread that does them: one run at a time, at a low priority,
//! until it is closed.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bincard_ledger::{Position, Timestamp};
use bincard_store::Reader;
use tokio::sync::Notify;

use super::outside::{Corrected, Correction, Variance};
use super::runs::{Asked, Run, RunDifference, RunState, Runs};
use super::work::Worker;
use crate::error::Error;
use crate::generation::Place;
use crate::name::ViewName;
use crate::projector::{lower_priority, runtime};
use crate::views::{Page, Slice};

/// What a run does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// It folds the log.
    Replaying,
    /// It compares a view.
    Comparing(ViewName),
    /// It corrects the ledger.
    Correcting,
}

impl Phase {
    /// As it is written down.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Phase::Replaying => "replaying",
            Phase::Correcting => "correcting",
            Phase::Comparing(view) => view.as_str(),
        }
    }

    pub(super) fn parse(text: &str) -> Option<Phase> {
        match text {
            "replaying" => Some(Phase::Replaying),
            "correcting" => Some(Phase::Correcting),
            view => ViewName::parse(view).map(Phase::Comparing),
        }
    }
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

/// Corrects the ledger by a line of a source, and answers what became of it. Asked for the same line of the same run again
/// it records nothing more. An error says why it cannot be said what became of it.
pub type Correct =
    Arc<dyn Fn(Correction) -> Pin<Box<dyn Future<Output = Result<Corrected, String>> + Send>> + Send + Sync>;

/// How reconciliations are done.
#[derive(Clone)]
pub struct Options {
    /// Where the instants of runs come from.
    pub clock: Clock,
    /// How often a part of the views is looked at while there is nothing else to do, at the most; never when `None`.
    pub audit_every: Option<Duration>,
    /// What corrects the ledger where a run is to; without it such a run fails.
    pub correct: Option<Correct>,
}

/// Asks for reconciliations and reads them. Clones share everything.
#[derive(Clone)]
pub struct Reconciliations {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) runs: Runs,
    pub(super) asked: Notify,
    pub(super) stop: AtomicBool,
    /// Whether a run was asked for that was not looked at yet: the audit makes way.
    pub(super) is_asked: AtomicBool,
    /// How many times the audit has looked at a part of every view.
    pub(super) audited: AtomicU64,
    /// How many rows were found to differ, by view.
    pub(super) diverged: [AtomicU64; ViewName::COUNT],
    /// The run that is to end; 0 for none.
    pub(super) cancelled: AtomicU64,
    /// Whether another node goes on with the run that is under way here.
    pub(super) is_lost: AtomicBool,
    pub(super) progress: Mutex<Option<RunProgress>>,
}

impl Shared {
    /// Fails when the run is to end.
    pub(super) fn go_on(&self, run: u64) -> Result<(), Error> {
        if self.stop.load(Ordering::Relaxed) {
            Err(Error::Stopped)
        } else if self.is_lost.load(Ordering::Relaxed) {
            Err(Error::ReconciledElsewhere)
        } else if self.cancelled.load(Ordering::Relaxed) == run {
            Err(Error::Cancelled)
        } else {
            Ok(())
        }
    }

    pub(super) fn set_progress(&self, progress: Option<RunProgress>) {
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

    /// A run, and how far it is while it is under way, on whichever node; `None` when there is no such run.
    ///
    /// # Errors
    /// When the runs cannot be read.
    pub async fn run(&self, id: u64) -> Result<Option<(Run, Option<RunProgress>)>, Error> {
        // First: a run has begun before there is progress of it.
        let progress = self.progress();
        let run = self.shared.runs.one(id).await?;
        Ok(run.map(|run| {
            let progress = progress_of(&run, progress);
            (run, progress)
        }))
    }

    /// How far the run is that is under way in this process.
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

    /// A page of the runs, the latest first, each with how far it is while it is under way.
    ///
    /// # Errors
    /// When the runs cannot be read.
    pub async fn runs(&self, slice: Slice<u64>) -> Result<Page<(Run, Option<RunProgress>)>, Error> {
        let progress = self.progress();
        let page = self.shared.runs.page(slice).await?;
        let told = |run| {
            let progress = progress_of(&run, progress);
            (run, progress)
        };
        Ok(Page {
            rows: page.rows.into_iter().map(told).collect(),
            more: page.more,
            total: page.total,
        })
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

    /// Writes down what became of the correction of a line.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub async fn note_correction(&self, id: u64, no: u64, corrected: &Corrected) -> Result<(), Error> {
        self.shared.runs.note_correction(id, no, corrected).await
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

/// How far a run is that is under way: as this process knows, or as the node that does it told last.
fn progress_of(run: &Run, here: Option<RunProgress>) -> Option<RunProgress> {
    let is_under_way = run.state == RunState::Running;
    let here = here.filter(|progress| progress.run == run.id);
    here.or(run.told).filter(|_| is_under_way)
}

/// Does the reconciliations of one ledger until it is closed or dropped. A run that is under way then goes on when it is
/// opened again.
pub struct Reconciler {
    reconciliations: Reconciliations,
    thread: Option<JoinHandle<()>>,
}

impl Reconciler {
    /// Opens the reconciliations of the ledger in folder `path`, whose views are in `views`, and goes on with what is not
    /// over. They are in the folder, or where the views are in PostgreSQL, there: then any number of nodes ask for them, and
    /// one does them. Meanwhile it looks at a part of the views from time to time.
    ///
    /// # Errors
    /// When the database of reconciliations cannot be opened, or no thread be started.
    pub fn open(
        path: &Path,
        views: impl Into<Place>,
        reader: Reader,
        options: Options,
    ) -> Result<Reconciler, Error> {
        let file = Runs::file(path);
        let place = views.into();
        let database = match &place {
            Place::Folder(_) => None,
            Place::Postgres { database, .. } => Some(database.clone()),
        };
        let ledger = reader.ledger();
        let home = place.home(ledger)?;
        let scratch = home.scratch()?;
        let (opened, is_open) = std::sync::mpsc::sync_channel(1);
        let work = move || {
            // Before any connection is opened: the threads that serve connections inherit it.
            lower_priority();
            let ended = runtime().and_then(|runtime| {
                runtime.block_on(async move {
                    // Each side has connections of its own: the other side's runtime may have ended when they are closed.
                    let both = async {
                        if let Some(database) = &database {
                            let runs = Runs::in_postgres(database, ledger).await?;
                            return Ok::<_, Error>((runs.clone(), runs));
                        }
                        Ok((Runs::open(&file).await?, Runs::open(&file).await?))
                    };
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
                        is_lost: AtomicBool::new(false),
                        progress: Mutex::new(None),
                    });
                    let _waiting = opened.send(Ok(shared.clone()));
                    let worker = Worker {
                        shared,
                        runs,
                        home: home.clone(),
                        scratch,
                        reader,
                        correct: options.correct,
                    };
                    let work = Box::pin(worker.work(options.audit_every));
                    home.unless_let_go(work).await.unwrap_or(Ok(()))
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
