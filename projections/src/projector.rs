//! The projector: one thread a ledger that reads the log once and feeds all views.
//!
//! It folds the next batch while the last one is written. When little happens, an event is in the views a few
//! milliseconds after it is durable; when much does, everything that waits becomes one transaction. A view that fails
//! leaves the feed and is brought back by a thread of its own; the others go on.

mod builds;
mod follow;
mod refold;
mod work;

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use bincard_store::Reader;
use tokio::sync::{mpsc, oneshot};

use crate::build::Outcome;
use crate::error::Error;
use crate::generation::Place;
use crate::name::ViewName;
use crate::refold::{Refold, Refolded};
use crate::serving::Shared;
use crate::views::Views;
use work::Work;

/// The most events of a transaction; a commit is never split.
pub(crate) const BATCH_EVENTS_MAX: u64 = 65_536;
/// Messages that may wait for the projector.
const CONTROL_MAX: usize = 16;

/// What the projector is told.
pub(crate) enum Control {
    /// Build a new generation of a view.
    Rebuild {
        view: ViewName,
        accepted: oneshot::Sender<Result<oneshot::Receiver<Result<(), Error>>, Error>>,
    },
    /// A thread has finished building.
    Built(Outcome),
    /// A query met damage in a generation.
    Damaged { view: ViewName, generation: u64 },
    /// Compare a stock key that was folded again with the view of stock, and put the view right.
    Refold {
        refold: Box<Refold>,
        done: oneshot::Sender<Result<Refolded, Error>>,
    },
    /// End.
    Stop,
}

/// Feeds the views of one ledger until it is closed or dropped.
pub struct Projector {
    views: Views,
    control: mpsc::Sender<Control>,
    thread: Option<JoinHandle<()>>,
}

impl Projector {
    /// Opens the views in a folder or in PostgreSQL, making what is missing, and begins to feed them from the log. Blocks while
    /// the views are opened, which takes time by stock keys, not by events.
    ///
    /// # Errors
    /// When the folder cannot be used, or PostgreSQL does not answer, or no thread can be started. A view that cannot be opened is no error: it is
    /// reported by [`Views::status`] and brought back when possible.
    pub fn open(place: impl Into<Place>, reader: Reader) -> Result<Projector, Error> {
        let home = place.into().home(reader.ledger())?;
        let shared = Arc::new(Shared::new(home, &reader));
        let (control, commands) = mpsc::channel(CONTROL_MAX);
        let views = Views::new(shared.clone(), control.clone());
        let (opened, is_open) = std::sync::mpsc::sync_channel(1);
        let weak = control.downgrade();
        let run = move || {
            // Before any connection is opened: the threads that serve connections inherit it.
            lower_priority();
            let home = shared.home.clone();
            let ended = runtime().and_then(|runtime| {
                // Boxed, and so are its parts: what all views' futures take together would fill the stack.
                let work = Box::pin(async move {
                    let work = Work::open(shared, reader, commands, weak).await;
                    let _waiting = opened.send(());
                    Ok(work.run().await?)
                });
                runtime.block_on(home.unless_let_go(work)).unwrap_or(Ok(()))
            });
            if let Err(error) = ended {
                tracing::error!(error = %error.chain(), "the projector has stopped");
            }
        };
        let thread = std::thread::Builder::new().name("projector".into()).spawn(run);
        let thread = thread.map_err(Error::folder("start a thread for", Path::new("the projector")))?;
        // An error ends the thread and is in its log; so does a closed channel.
        let _ended = is_open.recv();
        Ok(Projector {
            views,
            control,
            thread: Some(thread),
        })
    }

    /// The views, to be queried.
    pub fn views(&self) -> &Views {
        &self.views
    }

    /// Writes what is folded, closes the views and waits for that.
    pub fn close(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.views.shared.ask_no_more();
        // The queue may be full, and this may run where blocking on it is not allowed.
        let mut stop = Control::Stop;
        while let Err(mpsc::error::TrySendError::Full(back)) = self.control.try_send(stop) {
            stop = back;
            std::thread::yield_now();
        }
        if thread.join().is_err() {
            tracing::error!("the projector panicked");
        }
    }
}

impl Drop for Projector {
    fn drop(&mut self) {
        self.end();
    }
}

/// Lets the write path have the processor first where both want it.
pub(crate) fn lower_priority() {
    #[cfg(target_os = "linux")]
    {
        // On Linux a process id of none means the calling thread, and threads it makes inherit its priority.
        const NICE: i32 = 10;
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::debug!(%error, "the priority stays as it is");
        }
    }
}

pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Error::folder("start a runtime for", Path::new("the views")))
}
