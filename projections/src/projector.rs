//! The projector: one thread a ledger that reads the log once and feeds all views.
//!
//! It folds the next batch while the last one is written. When little happens, an event is in the views a few
//! milliseconds after it is durable; when much does, everything that waits becomes one transaction. A view that fails
//! leaves the feed and is brought back by a thread of its own; the others go on.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bincard_ledger::Position;
use bincard_store::segment::Reader;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::build::{Buildable, Builder, Built, HANDOVER_EVENTS_MAX, Outcome, Plan, feed_through, open_best};
use crate::catalogue::Catalogue;
use crate::error::Error;
use crate::generation::Folder;
use crate::history::History;
use crate::lane::{Feed, Lane};
use crate::name::ViewName;
use crate::pace::Pace;
use crate::serving::{Served, Shared};
use crate::stock::Stock;
use crate::view::View;
use crate::views::Views;

/// The most events of a transaction; a commit is never split.
pub(crate) const BATCH_EVENTS_MAX: u64 = 131_072;
/// From so many waiting events on, the next batch is folded while the last one is written. With fewer, waiting for
/// the write lets more events into one transaction.
const OVERLAP_EVENTS_MIN: u64 = 8_192;
/// Messages that may wait for the projector.
const CONTROL_MAX: usize = 16;
/// How long to leave a log alone that cannot be read.
const LOG_RETRY: Duration = Duration::from_secs(1);

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
    /// Opens the views in folder `path`, making what is missing, and begins to feed them from the log. Blocks while
    /// the views are opened, which takes time by stock keys, not by events.
    ///
    /// # Errors
    /// When the folder cannot be used or no thread be started. A view that cannot be opened is no error: it is
    /// reported by [`Views::status`] and brought back when possible.
    pub fn open(path: &Path, reader: Reader) -> Result<Projector, Error> {
        let shared = Arc::new(Shared::new(Folder::open(path)?));
        let (control, commands) = mpsc::channel(CONTROL_MAX);
        let views = Views::new(shared.clone(), control.clone());
        let (opened, is_open) = std::sync::mpsc::sync_channel(1);
        let weak = control.downgrade();
        let run = move || {
            // Before any connection is opened: the threads that serve connections inherit it.
            lower_priority();
            let ended = runtime().and_then(|runtime| {
                runtime.block_on(async move {
                    let work = Work::open(shared, reader, commands, weak).await;
                    let _waiting = opened.send(());
                    work?.run().await
                })
            });
            if let Err(error) = ended {
                tracing::error!(error = %error.chain(), "the projector has stopped");
            }
        };
        let thread = std::thread::Builder::new().name("projector".into()).spawn(run);
        let thread = thread.map_err(Error::folder("start the projector of", path))?;
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

type Done = oneshot::Sender<Result<(), Error>>;

/// The projector at work.
struct Work {
    shared: Arc<Shared>,
    reader: Reader,
    feed: Feed,
    commands: mpsc::Receiver<Control>,
    control: mpsc::WeakSender<Control>,
    builders: [Option<Builder>; 3],
    rebuilds: [Option<Done>; 3],
    /// A view that nothing is served of is served when it has reached this position: the head when it was begun.
    serve_at: [Position; 3],
    pace: Pace,
    /// Somebody waits for what is recorded up to here.
    awaited: Position,
    advanced: Arc<Notify>,
}

impl Work {
    async fn open(
        shared: Arc<Shared>,
        reader: Reader,
        commands: mpsc::Receiver<Control>,
        control: mpsc::WeakSender<Control>,
    ) -> Result<Work, Error> {
        let advanced = Arc::new(Notify::new());
        let wake = advanced.clone();
        reader.on_advance(move |_| wake.notify_one());
        let head = reader.head().position;
        let stock = open_best::<Stock>(&shared, head).await;
        let history = open_best::<History>(&shared, head).await;
        let catalogue = open_best::<Catalogue>(&shared, head).await;
        let positions = [
            position_of(&stock),
            position_of(&history),
            position_of(&catalogue),
        ];
        let position = positions.into_iter().flatten().max().unwrap_or(head);
        let feed = Feed::open(&reader, position)?;
        let mut work = Work {
            shared,
            reader,
            feed,
            commands,
            control,
            builders: [None, None, None],
            rebuilds: [None, None, None],
            serve_at: [head; 3],
            pace: Pace::new(Instant::now()),
            awaited: Position(0),
            advanced,
        };
        work.take_up(stock).await?;
        work.take_up(history).await?;
        work.take_up(catalogue).await?;
        work.publish()?;
        Ok(work)
    }

    /// Takes up a view that was opened; one that could not be, or is far behind the others, goes a way of its own.
    async fn take_up<V: Buildable>(&mut self, opened: Result<(Lane<V>, V), Error>) -> Result<(), Error> {
        match opened {
            Ok((lane, carry)) => {
                let live = self.shared.folder.live(V::NAME)? == Some(lane.generation);
                if live {
                    self.shared.serve(&lane)?;
                }
                if self.feed.position().0 - lane.position.0 > HANDOVER_EVENTS_MAX {
                    lane.close().await;
                    return self.build::<V>(Plan::CatchUp { damaged: None });
                }
                self.join(Built { lane, carry }).await
            }
            Err(error) => self.lost::<V>(error, None),
        }
    }

    async fn run(mut self) -> Result<(), Error> {
        loop {
            while let Ok(command) = self.commands.try_recv() {
                if !self.obey(command).await? {
                    return self.finish().await;
                }
            }
            let (head, position) = (self.reader.head().position, self.feed.position());
            let waiting = head.0.saturating_sub(position.0);
            let settled = self.feed.is_settled();
            let pause = self.pace.wait(Instant::now(), self.awaited > position);
            if settled && (waiting == 0 || (!pause.is_zero() && waiting < BATCH_EVENTS_MAX)) {
                let command = tokio::select! {
                    command = self.commands.recv() => command.unwrap_or(Control::Stop),
                    () = self.advanced.notified(), if waiting == 0 => continue,
                    () = self.shared.awaited.notified() => {
                        self.awaited = self.reader.head().position;
                        continue;
                    }
                    () = tokio::time::sleep(pause), if waiting > 0 => {
                        self.step(BATCH_EVENTS_MAX).await?;
                        continue;
                    }
                };
                if !self.obey(command).await? {
                    return self.finish().await;
                }
                continue;
            }
            self.step(if settled || waiting >= OVERLAP_EVENTS_MIN {
                BATCH_EVENTS_MAX
            } else {
                0
            })
            .await?;
        }
    }

    /// Writes what is folded and folds what comes next.
    async fn step(&mut self, events_max: u64) -> Result<(), Error> {
        let (began_at, writes) = (Instant::now(), !self.feed.is_settled());
        let stepped = self.feed.step(events_max, Position(u64::MAX)).await;
        if writes {
            self.pace.spend(began_at, Instant::now());
        }
        match stepped {
            Ok(step) => {
                for (view, error) in step.dropped {
                    self.dropped(view, error)?;
                }
                self.publish()
            }
            Err(Error::Stopped) => Err(Error::Stopped),
            Err(error) => {
                self.publish()?;
                self.wait_for_log(error).await
            }
        }
    }

    /// The log cannot be read: says so of every view, and tries again from the same place a little later.
    async fn wait_for_log(&mut self, error: Error) -> Result<(), Error> {
        let text: Arc<str> = error.chain().into();
        tracing::error!(error = %text, "the views stand still");
        for view in ViewName::ALL {
            self.shared
                .set_status(view, |status| status.error = Some(text.clone()));
        }
        tokio::time::sleep(LOG_RETRY).await;
        match self.feed.reopen(&self.reader) {
            Ok(()) => {
                for view in ViewName::ALL {
                    if self.builders[view.index()].is_none() {
                        self.shared.set_status(view, |status| status.error = None);
                    }
                }
                Ok(())
            }
            // The next step fails in the same way and comes back here.
            Err(error) => {
                tracing::debug!(error = %error.chain(), "the log cannot be opened again yet");
                Ok(())
            }
        }
    }

    /// Tells how far the views are, and serves those that have caught up for the first time.
    fn publish(&mut self) -> Result<(), Error> {
        fn one<V: Served>(
            shared: &Arc<Shared>,
            lane: Option<&Lane<V>>,
            serve_at: Position,
        ) -> Result<(), Error> {
            let Some(lane) = lane else { return Ok(()) };
            let served = V::slot(&shared.slots)
                .current()
                .ok()
                .map(|serving| serving.generation);
            if served == Some(lane.generation) {
                let position = lane.position;
                if shared.status.borrow()[V::NAME.index()].position != position {
                    shared.set_status(V::NAME, |status| status.position = position);
                }
                Ok(())
            } else if served.is_none() && lane.position >= serve_at {
                shared.serve(lane)
            } else {
                shared.set_status(V::NAME, |status| status.building = Some(lane.position));
                Ok(())
            }
        }
        let [stock, history, catalogue] = self.serve_at;
        one(&self.shared, self.feed.lanes.stock.as_ref(), stock)?;
        one(&self.shared, self.feed.lanes.history.as_ref(), history)?;
        one(&self.shared, self.feed.lanes.catalogue.as_ref(), catalogue)
    }

    /// Does as told; `false` when told to end.
    async fn obey(&mut self, command: Control) -> Result<bool, Error> {
        match command {
            Control::Stop => return Ok(false),
            Control::Rebuild { view, accepted } => {
                let started = self.start_rebuild(view);
                // Somebody who no longer waits for the answer gets the rebuild all the same.
                let _gone = accepted.send(started);
            }
            Control::Built(outcome) => match outcome {
                Outcome::Stock(built) => self.built(*built).await?,
                Outcome::History(built) => self.built(*built).await?,
                Outcome::Catalogue(built) => self.built(*built).await?,
                Outcome::Failed(view, error) => self.build_failed(view, error)?,
            },
            Control::Damaged { view, generation } => match view {
                ViewName::Stock => self.damaged::<Stock>(generation).await?,
                ViewName::History => self.damaged::<History>(generation).await?,
                ViewName::Catalogue => self.damaged::<Catalogue>(generation).await?,
            },
        }
        Ok(true)
    }

    fn start_rebuild(&mut self, view: ViewName) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        if self.builders[view.index()].is_some() {
            return Err(Error::Rebuilding { view });
        }
        match view {
            ViewName::Stock => self.build::<Stock>(Plan::Rebuild)?,
            ViewName::History => self.build::<History>(Plan::Rebuild)?,
            ViewName::Catalogue => self.build::<Catalogue>(Plan::Rebuild)?,
        }
        let (done, finished) = oneshot::channel();
        self.rebuilds[view.index()] = Some(done);
        Ok(finished)
    }

    fn build<V: Buildable>(&mut self, plan: Plan) -> Result<(), Error> {
        let builder = Builder::spawn::<V>(
            self.shared.clone(),
            self.reader.clone(),
            plan,
            self.control.clone(),
        )?;
        self.builders[V::NAME.index()] = Some(builder);
        Ok(())
    }

    /// Takes over what was built apart.
    async fn built<V: Buildable>(&mut self, built: Built<V>) -> Result<(), Error> {
        self.settle().await?;
        if built.lane.position > self.feed.position() {
            // The others are behind: they come closer by and by.
            let control = self.control.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(20)).await;
                if let Some(control) = control.upgrade() {
                    let _gone = control.send(Control::Built(V::outcome(Box::new(built)))).await;
                }
            });
            return Ok(());
        }
        if let Some(builder) = self.builders[V::NAME.index()].take() {
            builder.join();
        }
        self.join(built).await
    }

    /// Feeds a view from now on, after closing the gap to the others.
    async fn join<V: Buildable>(&mut self, built: Built<V>) -> Result<(), Error> {
        let generation = built.lane.generation;
        let position = self.feed.position();
        let built = match feed_through(&self.reader, built, position, |_| {}).await {
            Ok(built) => built,
            Err(error) => return self.lost::<V>(error, Some(generation)),
        };
        let served = V::slot(&self.shared.slots)
            .current()
            .ok()
            .map(|serving| serving.generation);
        if served.is_some() {
            // Another generation replaces the one that is served; the same one brings its memory along.
            self.shared.serve(&built.lane)?;
        }
        if let Some(old) = self.feed.join(built.lane, built.carry) {
            old.close().await;
        }
        self.shared.set_status(V::NAME, |status| status.error = None);
        self.publish()?;
        if let Some(done) = self.rebuilds[V::NAME.index()].take() {
            let _gone = done.send(Ok(()));
        }
        Ok(())
    }

    fn build_failed(&mut self, view: ViewName, error: Error) -> Result<(), Error> {
        if let Some(builder) = self.builders[view.index()].take() {
            builder.join();
        }
        self.shared.set_status(view, |status| status.building = None);
        if let Some(done) = self.rebuilds[view.index()].take() {
            let _gone = done.send(Err(error));
        }
        // A view that dropped out meanwhile was waiting for the rebuild.
        match view {
            ViewName::Stock if self.feed.lanes.stock.is_none() => {
                self.build::<Stock>(Plan::CatchUp { damaged: None })
            }
            ViewName::History if self.feed.lanes.history.is_none() => {
                self.build::<History>(Plan::CatchUp { damaged: None })
            }
            ViewName::Catalogue if self.feed.lanes.catalogue.is_none() => {
                self.build::<Catalogue>(Plan::CatchUp { damaged: None })
            }
            _ => Ok(()),
        }
    }

    fn dropped(&mut self, view: ViewName, error: Error) -> Result<(), Error> {
        match view {
            ViewName::Stock => self.lost::<Stock>(error, None),
            ViewName::History => self.lost::<History>(error, None),
            ViewName::Catalogue => self.lost::<Catalogue>(error, None),
        }
    }

    /// A view is no longer fed: reports it, and sends a thread to bring it back.
    fn lost<V: Buildable>(&mut self, error: Error, generation: Option<u64>) -> Result<(), Error> {
        tracing::warn!(view = %V::NAME, error = %error.chain(), "a view fails; the others go on");
        self.shared
            .set_status(V::NAME, |status| status.error = Some(error.chain().into()));
        self.serve_at[V::NAME.index()] = self.reader.head().position;
        if self.builders[V::NAME.index()].is_some() {
            return Ok(());
        }
        let served = || {
            V::slot(&self.shared.slots)
                .current()
                .ok()
                .map(|serving| serving.generation)
        };
        let damaged = if error.is_damage() {
            generation.or_else(served)
        } else {
            None
        };
        self.build::<V>(Plan::CatchUp { damaged })
    }

    /// A query met damage: the generation is built anew, if it is still the one that is served.
    async fn damaged<V: Buildable>(&mut self, generation: u64) -> Result<(), Error> {
        let served = V::slot(&self.shared.slots)
            .current()
            .ok()
            .map(|serving| serving.generation);
        if served != Some(generation) || self.builders[V::NAME.index()].is_some() {
            return Ok(());
        }
        self.settle().await?;
        if let Some((lane, _)) = self.feed.leave::<V>() {
            lane.close().await;
        }
        tracing::warn!(view = %V::NAME, generation, "a query met damage in a view; it is built anew");
        let text = format!("generation {generation} is damaged and is being built anew");
        self.shared
            .set_status(V::NAME, |status| status.error = Some(text.into()));
        self.serve_at[V::NAME.index()] = self.reader.head().position;
        self.build::<V>(Plan::CatchUp {
            damaged: Some(generation),
        })
    }

    /// Writes what is folded, and folds nothing more.
    async fn settle(&mut self) -> Result<(), Error> {
        while !self.feed.is_settled() {
            self.step(0).await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<(), Error> {
        self.commands.close();
        for builder in self.builders.iter().flatten() {
            builder.stop();
        }
        self.settle().await?;
        // What a builder sends now meets a closed channel.
        while self.commands.recv().await.is_some() {}
        for builder in self.builders.into_iter().flatten() {
            builder.join();
        }
        self.feed.close().await;
        Ok(())
    }
}

fn position_of<V: View>(opened: &Result<(Lane<V>, V), Error>) -> Option<Position> {
    opened.as_ref().ok().map(|(lane, _)| lane.position)
}
