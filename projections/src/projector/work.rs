//! The projector's thread at work: views are opened, fed together and served.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bincard_ledger::Position;
use bincard_store::Reader;
use futures_util::FutureExt as _;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::{BATCH_EVENTS_MAX, Control};
use crate::build::{Builder, Built, HANDOVER_EVENTS_MAX, Plan, open_best};
use crate::each::{Listed, OfAny, PerView, each_view, of_any, with_view};
use crate::error::Error;
use crate::generation::Home;
use crate::lane::{Feed, Lane, Panicked};
use crate::name::ViewName;
use crate::pace::Pace;
use crate::postgres::News;
use crate::serving::Shared;
use crate::view::View;

/// From so many waiting events on, the next batch is folded while the last one is written. With fewer, waiting for
/// the write lets more events into one transaction.
const OVERLAP_EVENTS_MIN: u64 = 8_192;
/// How long to leave alone what failed.
pub(super) const RETRY: Duration = Duration::from_secs(1);
/// How soon to look again for what comes by and by.
pub(super) const SOON: Duration = Duration::from_millis(50);

type Done = oneshot::Sender<Result<(), Error>>;

/// The projector at work.
pub(super) struct Work {
    pub(super) shared: Arc<Shared>,
    pub(super) reader: Reader,
    pub(super) feed: Feed,
    commands: mpsc::Receiver<Control>,
    pub(super) control: mpsc::WeakSender<Control>,
    pub(super) builders: [Option<Builder>; ViewName::COUNT],
    pub(super) rebuilds: [Option<Done>; ViewName::COUNT],
    /// A view that nothing is served of is served when it has reached this position: the head when it was begun.
    pub(super) serve_at: [Position; ViewName::COUNT],
    pace: Pace,
    /// How the views stand in PostgreSQL, where they are there.
    pub(super) news: Option<watch::Receiver<News>>,
    /// Keeps the news coming.
    _watching: Option<Arc<watch::Sender<News>>>,
    /// When to hear again what could not be done yet.
    hear_at: Option<Instant>,
    /// Whether the log could not be read last.
    is_log_away: bool,
    /// Somebody waits for what is recorded up to here.
    awaited: Position,
    advanced: Arc<Notify>,
}

impl Work {
    /// Opens the views; one that cannot be opened is brought back by and by.
    pub(super) async fn open(
        shared: Arc<Shared>,
        reader: Reader,
        commands: mpsc::Receiver<Control>,
        control: mpsc::WeakSender<Control>,
    ) -> Work {
        let advanced = Arc::new(Notify::new());
        let wake = advanced.clone();
        reader.on_advance(move |_| wake.notify_one());
        let head = reader.head().position;
        let mut opened = Vec::new();
        for open in each_view!(($V:ty, $view:ident) => { open_any::<$V>(&shared, head).boxed() }) {
            opened.push(open.await);
        }
        let positions = opened
            .iter()
            .map(|opened| of_any!(opened, opened => opened.as_ref().ok().map(|(lane, _)| lane.position)));
        let position = positions.flatten().max().unwrap_or(head);
        let feed = Feed::after(&reader, position);
        let watching = match &shared.home {
            Home::Folder(_) => None,
            Home::Postgres(schemas) => Some(schemas.watch()),
        };
        let mut work = Work {
            shared,
            reader,
            feed,
            commands,
            control,
            builders: [const { None }; ViewName::COUNT],
            rebuilds: [const { None }; ViewName::COUNT],
            serve_at: [head; ViewName::COUNT],
            pace: Pace::new(Instant::now()),
            news: watching.as_ref().map(|watching| watching.subscribe()),
            _watching: watching,
            hear_at: None,
            is_log_away: false,
            awaited: Position(0),
            advanced,
        };
        for opened in opened {
            of_any!(opened, opened => Box::pin(work.take_up(opened)).await);
        }
        work.publish().await;
        work
    }

    /// Takes up a view that was opened; one that could not be, or is far behind the others, goes a way of its own.
    async fn take_up<V: Listed>(&mut self, opened: Result<(Lane<V>, V), Error>) {
        let (lane, carry) = match opened {
            Ok(opened) => opened,
            // It is followed as soon as there are news of it.
            Err(Error::FedElsewhere { .. }) => return,
            Err(error) => return self.lost::<V>(&error, None),
        };
        let served = match self.shared.home.live(V::NAME).await {
            Ok(live) if live == Some(lane.generation) => self.shared.serve(&lane).await,
            live => live.map(drop),
        };
        if let Err(error) = served {
            lane.close().await;
            return self.unserved::<V>(error).await;
        }
        if self.feed.position().0 - lane.position.0 > HANDOVER_EVENTS_MAX {
            lane.close().await;
            return self.build::<V>(Plan::CatchUp { damaged: None });
        }
        self.join(Built { lane, carry }).await;
    }

    /// Feeds the views until it is told to end, whatever becomes of the databases and of the log meanwhile: who fails is
    /// tried again.
    pub(super) async fn run(mut self) -> Result<(), Panicked> {
        loop {
            while let Ok(command) = self.commands.try_recv() {
                if !self.obey(command).await? {
                    return self.finish().await;
                }
            }
            let has_news = self
                .news
                .as_ref()
                .is_some_and(|news| news.has_changed().unwrap_or(false));
            if has_news || self.hear_at.is_some_and(|at| at <= Instant::now()) {
                self.hear_at = None;
                self.hear().await;
            }
            let (head, position) = (self.reader.head().position, self.feed.position());
            let waiting = head.0.saturating_sub(position.0);
            let settled = self.feed.is_settled();
            let pause = self.pace.wait(Instant::now(), self.awaited > position);
            if settled && (waiting == 0 || (!pause.is_zero() && waiting < BATCH_EVENTS_MAX)) {
                let command = tokio::select! {
                    command = self.commands.recv() => command.unwrap_or(Control::Stop),
                    () = self.advanced.notified(), if waiting == 0 => continue,
                    () = heard(&mut self.news, self.hear_at) => {
                        self.hear_in(Duration::ZERO);
                        continue;
                    }
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

    /// Hears again what is known of the views, so much later at the latest.
    pub(super) fn hear_in(&mut self, time: Duration) {
        let at = Instant::now() + time;
        self.hear_at = Some(self.hear_at.map_or(at, |sooner| sooner.min(at)));
    }

    /// Writes what is folded and folds what comes next.
    async fn step(&mut self, events_max: u64) -> Result<(), Panicked> {
        let (began_at, writes) = (Instant::now(), !self.feed.is_settled());
        let stepped = self.feed.step(events_max, Position(u64::MAX)).await;
        if writes {
            self.pace.spend(began_at, Instant::now());
        }
        let step = stepped?;
        for (view, error) in &step.dropped {
            self.dropped(*view, error);
        }
        self.publish().await;
        match step.unread {
            Some(error) => self.wait_for_log(&error).await,
            None if events_max > 0 => self.has_read(),
            None => {}
        }
        Ok(())
    }

    /// The log cannot be read: says so of every view, and leaves it alone for a little.
    async fn wait_for_log(&mut self, error: &Error) {
        let why: Arc<str> = error.chain().into();
        if !std::mem::replace(&mut self.is_log_away, true) {
            tracing::error!(error = %why, "the log cannot be read: the views stand still");
        }
        for view in ViewName::ALL {
            self.shared.set_error(view, why.clone());
        }
        tokio::time::sleep(RETRY).await;
    }

    /// The log could be read, perhaps for the first time again.
    fn has_read(&mut self) {
        if !std::mem::take(&mut self.is_log_away) {
            return;
        }
        tracing::info!("the log is read again");
        for view in ViewName::ALL {
            if self.builders[view.index()].is_none() {
                self.shared.set_status(view, |status| status.error = None);
            }
        }
    }

    /// Tells how far the views are, and serves those that have caught up for the first time.
    pub(super) async fn publish(&mut self) {
        for view in ViewName::ALL {
            with_view!(view, V => Box::pin(self.publish_one::<V>()).await);
        }
    }

    async fn publish_one<V: Listed>(&mut self) {
        if let Err(error) = self.serve_if_due::<V>().await {
            self.unserved::<V>(error).await;
        }
        self.tell_followed::<V>();
    }

    async fn serve_if_due<V: Listed>(&self) -> Result<(), Error> {
        let shared = &self.shared;
        let Some(lane) = V::of(&self.feed.lanes).as_ref().filter(|lane| lane.is_fed_here()) else {
            return Ok(());
        };
        let served = V::of(&shared.slots)
            .current()
            .ok()
            .map(|serving| serving.generation);
        if served == Some(lane.generation) {
            let position = lane.position;
            if shared.status.borrow()[V::NAME.index()].position != position {
                shared.set_status(V::NAME, |status| status.position = position);
            }
            Ok(())
        } else if served.is_none() && lane.position >= self.serve_at[V::NAME.index()] {
            shared.serve(lane).await
        } else {
            shared.set_status(V::NAME, |status| status.building = Some(lane.position));
            Ok(())
        }
    }

    /// Writes what is folded, and folds nothing more.
    pub(super) async fn settle(&mut self) -> Result<(), Panicked> {
        while !self.feed.is_settled() {
            self.step(0).await?;
        }
        Ok(())
    }

    async fn finish(mut self) -> Result<(), Panicked> {
        self.commands.close();
        for builder in self.builders.iter().flatten() {
            builder.stop();
        }
        // What fails now is brought back when the views are opened next.
        while !self.feed.is_settled() {
            self.feed.step(0, Position(u64::MAX)).await?;
        }
        // What a builder sends now meets a closed channel.
        while self.commands.recv().await.is_some() {}
        for builder in self.builders.into_iter().flatten() {
            builder.join();
        }
        self.feed.close().await;
        if let Err(error) = self.shared.home.release().await {
            tracing::warn!(error = %error.chain(), "other nodes wait until the right to feed these views runs out");
        }
        Ok(())
    }
}

/// Waits for news of views in PostgreSQL; for ever, where they are in files.
async fn heard(news: &mut Option<watch::Receiver<News>>, again_at: Option<Instant>) {
    let Some(news) = news else {
        return std::future::pending().await;
    };
    let changed = async {
        if news.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    match again_at {
        Some(at) => drop(tokio::time::timeout_at(at.into(), changed).await),
        None => changed.await,
    }
}

/// A view that was opened to go on with, with its carry; or why it could not be.
struct Opened;

impl PerView for Opened {
    type Of<V: View> = Result<(Lane<V>, V), Error>;
}

async fn open_any<V: Listed>(shared: &Arc<Shared>, head: Position) -> OfAny<Opened> {
    V::any(open_best::<V>(shared, head).await)
}
