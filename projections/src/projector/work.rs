//! The projector's thread at work: views are opened, fed together and served.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bincard_ledger::Position;
use bincard_store::Reader;
use futures_util::FutureExt as _;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::{BATCH_EVENTS_MAX, Control};
use crate::build::{Builder, Built, HANDOVER_EVENTS_MAX, Plan, open_best};
use crate::each::{Listed, OfAny, PerView, each_view, of_any};
use crate::error::Error;
use crate::generation::Home;
use crate::lane::{Feed, Lane};
use crate::name::ViewName;
use crate::pace::Pace;
use crate::postgres::News;
use crate::serving::Shared;
use crate::view::View;

/// From so many waiting events on, the next batch is folded while the last one is written. With fewer, waiting for
/// the write lets more events into one transaction.
const OVERLAP_EVENTS_MIN: u64 = 8_192;
/// How long to leave a log alone that cannot be read.
const LOG_RETRY: Duration = Duration::from_secs(1);

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
    /// Something that was heard could not be done yet.
    pub(super) hear_again: bool,
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
    ) -> Result<Work, Error> {
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
        let feed = Feed::open(&reader, position)?;
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
            hear_again: false,
            awaited: Position(0),
            advanced,
        };
        for opened in opened {
            of_any!(opened, opened => work.take_up(opened).await?);
        }
        work.publish().await?;
        Ok(work)
    }

    /// Takes up a view that was opened; one that could not be, or is far behind the others, goes a way of its own.
    async fn take_up<V: Listed>(&mut self, opened: Result<(Lane<V>, V), Error>) -> Result<(), Error> {
        match opened {
            Ok((lane, carry)) => {
                let live = self.shared.home.live(V::NAME).await? == Some(lane.generation);
                if live {
                    self.shared.serve(&lane).await?;
                }
                if self.feed.position().0 - lane.position.0 > HANDOVER_EVENTS_MAX {
                    lane.close().await;
                    return self.build::<V>(Plan::CatchUp { damaged: None });
                }
                self.join(Built { lane, carry }).await
            }
            // It is followed as soon as there are news of it.
            Err(Error::FedElsewhere { .. }) => Ok(()),
            Err(error) => self.lost::<V>(error, None),
        }
    }

    /// Feeds the views until it is told to end.
    pub(super) async fn run(mut self) -> Result<(), Error> {
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
            if has_news || std::mem::take(&mut self.hear_again) {
                self.hear().await?;
            }
            let (head, position) = (self.reader.head().position, self.feed.position());
            let waiting = head.0.saturating_sub(position.0);
            let settled = self.feed.is_settled();
            let pause = self.pace.wait(Instant::now(), self.awaited > position);
            if settled && (waiting == 0 || (!pause.is_zero() && waiting < BATCH_EVENTS_MAX)) {
                let command = tokio::select! {
                    command = self.commands.recv() => command.unwrap_or(Control::Stop),
                    () = self.advanced.notified(), if waiting == 0 => continue,
                    () = heard(&mut self.news, self.hear_again) => {
                        self.hear_again = true;
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
                self.publish().await
            }
            Err(Error::Stopped) => Err(Error::Stopped),
            Err(error) => {
                self.publish().await?;
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
    pub(super) async fn publish(&mut self) -> Result<(), Error> {
        async fn one<V: Listed>(
            shared: &Arc<Shared>,
            lane: Option<&Lane<V>>,
            serve_at: Position,
        ) -> Result<(), Error> {
            let Some(lane) = lane.filter(|lane| lane.is_fed_here()) else {
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
            } else if served.is_none() && lane.position >= serve_at {
                shared.serve(lane).await
            } else {
                shared.set_status(V::NAME, |status| status.building = Some(lane.position));
                Ok(())
            }
        }
        each_view!(($V:ty, $view:ident) => {
            one::<$V>(
                &self.shared,
                self.feed.lanes.$view.as_ref(),
                self.serve_at[<$V>::NAME.index()],
            )
            .await?
        });
        each_view!(($V:ty, $view:ident) => { self.tell_followed::<$V>() });
        Ok(())
    }

    /// Writes what is folded, and folds nothing more.
    pub(super) async fn settle(&mut self) -> Result<(), Error> {
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
        self.shared.home.release().await
    }
}

/// Waits for news of views in PostgreSQL; for ever, where they are in files.
async fn heard(news: &mut Option<watch::Receiver<News>>, again: bool) {
    /// How soon to try again what could not be done.
    const AGAIN: Duration = Duration::from_millis(50);
    match news {
        None => std::future::pending().await,
        Some(_) if again => tokio::time::sleep(AGAIN).await,
        Some(news) => {
            if news.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
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
