//! Building a view apart from the others: a new generation beside the live one, or a view that fell behind.
//!
//! It happens on a thread of its own, which hands the view over to the projector once it is close behind the head.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bincard_ledger::Position;
use bincard_store::Reader;
use tokio::sync::mpsc;

use crate::each::{Listed, OfAny, PerView};
use crate::error::Error;
use crate::lane::{Feed, Lane};
use crate::name::ViewName;
use crate::projector::{BATCH_EVENTS_MAX, Control, lower_priority, runtime};
use crate::serving::Shared;
use crate::view::View;

/// So close behind the head a view is handed over: the projector reads the rest in one go.
pub(crate) const HANDOVER_EVENTS_MAX: u64 = 10_000;
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// What to build.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Plan {
    /// A new generation from the whole log, once.
    Rebuild,
    /// The generation there is, or a new one if it is damaged, again and again until it works.
    CatchUp {
        /// A generation that was found to be damaged and is not to be used.
        damaged: Option<u64>,
    },
}

/// A view and its carry, ready to be fed with the others.
pub(crate) struct Built<V: View> {
    pub(crate) lane: Lane<V>,
    pub(crate) carry: V,
}

/// The view that a thread has built.
pub(crate) struct Builds;

impl PerView for Builds {
    type Of<V: View> = Box<Built<V>>;
}

/// What a thread that builds ends with.
pub(crate) enum Outcome {
    Built(OfAny<Builds>),
    Failed(ViewName, Error),
}

/// A thread that builds.
pub(crate) struct Builder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Builder {
    /// Starts building.
    pub(crate) fn spawn<V: Listed>(
        shared: Arc<Shared>,
        reader: Reader,
        plan: Plan,
        control: mpsc::WeakSender<Control>,
    ) -> Result<Builder, Error> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let build = move || {
            lower_priority();
            let build = Box::pin(async {
                match plan {
                    Plan::Rebuild => rebuild::<V>(&shared, &reader, &stopped).await,
                    Plan::CatchUp { damaged } => catch_up::<V>(&shared, &reader, &stopped, damaged).await,
                }
            });
            let outcome = runtime().and_then(|runtime| {
                let built = runtime.block_on(shared.home.unless_let_go(build));
                built.unwrap_or(Err(Error::Stopped))
            });
            let outcome = match outcome {
                Ok(built) => Outcome::Built(V::any(Box::new(built))),
                Err(error) => Outcome::Failed(V::NAME, error),
            };
            // A projector that is gone needs no outcome: what was built is found when it is opened next.
            if let Some(control) = control.upgrade() {
                let _gone = control.blocking_send(Control::Built(outcome));
            }
        };
        let thread = std::thread::Builder::new()
            .name(format!("build-{}", V::NAME))
            .spawn(build);
        let thread = thread.map_err(Error::folder(
            "start a thread to build",
            Path::new(V::NAME.as_str()),
        ))?;
        Ok(Builder { stop, thread })
    }

    /// Asks the thread to end; it does so after the transaction at hand.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Waits for the end of the thread.
    pub(crate) fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("a thread that built a view panicked");
        }
    }
}

/// Opens the generation to go on with: the live one, else the youngest that was being built, else a new one. All others
/// are left over, and deleted.
pub(crate) async fn open_best<V: Listed>(
    shared: &Arc<Shared>,
    head: Position,
) -> Result<(Lane<V>, V), Error> {
    let home = &shared.home;
    home.own(V::NAME).await?;
    let all = home.generations(V::NAME).await?;
    let served = home.live(V::NAME).await?;
    let live = served.filter(|live| all.contains(live));
    let give_up = |generation, error: &Error| {
        let why = error.chain().into();
        shared.give_up(V::NAME, generation, &why, error.is_outdated());
    };
    let gone = |generation| Error::Gone {
        view: V::NAME,
        generation,
    };
    if let Some(generation) = served.filter(|_| live.is_none()) {
        give_up(generation, &gone(generation));
    }
    if let Some(generation) = live.or(all.last().copied()) {
        match Lane::open(home.tables(V::NAME, generation), generation, head).await {
            Ok(found) => {
                if found.0.was_empty && live.is_some() {
                    give_up(generation, &gone(generation));
                }
                for other in all.into_iter().filter(|other| *other != generation) {
                    home.remove(V::NAME, other).await?;
                }
                return Ok(found);
            }
            Err(error) if error.is_damage() => {
                tracing::warn!(view = %V::NAME, generation, error = %error.chain(), "a view is damaged or of another version; it is built anew");
                give_up(generation, &error);
            }
            Err(error) => return Err(error),
        }
    }
    let next = shared.new_generation(V::NAME, &all);
    shared.withdraw::<V>();
    home.clear_live(V::NAME).await?;
    for old in all {
        home.remove(V::NAME, old).await?;
    }
    Lane::open(home.tables(V::NAME, next), next, head).await
}

async fn rebuild<V: Listed>(
    shared: &Arc<Shared>,
    reader: &Reader,
    stop: &AtomicBool,
) -> Result<Built<V>, Error> {
    let home = &shared.home;
    let all = home.generations(V::NAME).await?;
    let generation = shared.new_generation(V::NAME, &all);
    let build = async {
        let (lane, carry) = Lane::open(
            home.tables(V::NAME, generation),
            generation,
            reader.head().position,
        )
        .await?;
        feed_to_head(shared, reader, stop, Built { lane, carry }).await
    };
    let built = build.await;
    if built.is_err() {
        home.remove(V::NAME, generation).await?;
    }
    built
}

async fn catch_up<V: Listed>(
    shared: &Arc<Shared>,
    reader: &Reader,
    stop: &AtomicBool,
    mut damaged: Option<u64>,
) -> Result<Built<V>, Error> {
    let mut backoff = BACKOFF_MIN;
    loop {
        let attempt = async {
            if let Some(generation) = damaged.take() {
                discard::<V>(shared, generation).await?;
            }
            let (lane, carry) = open_best::<V>(shared, reader.head().position).await?;
            let generation = lane.generation;
            let fed = feed_to_head(shared, reader, stop, Built { lane, carry }).await;
            if fed.as_ref().is_err_and(Error::is_damage) {
                damaged = Some(generation);
            }
            fed
        };
        let error = match attempt.await {
            Ok(built) => return Ok(built),
            Err(error) => error,
        };
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        if let Error::FedElsewhere { .. } = error {
            return Err(error);
        }
        let why: Arc<str> = error.chain().into();
        if let Some(generation) = damaged {
            shared.give_up(V::NAME, generation, &why, false);
        }
        if shared.set_error(V::NAME, why.clone()) {
            tracing::warn!(view = %V::NAME, error = %why, "a view cannot be fed; it is tried again");
        }
        sleep_unless_stopped(backoff, stop).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

/// Takes a damaged generation out of service and deletes it.
async fn discard<V: Listed>(shared: &Arc<Shared>, generation: u64) -> Result<(), Error> {
    if shared.home.live(V::NAME).await? == Some(generation) {
        shared.withdraw::<V>();
        shared.home.clear_live(V::NAME).await?;
    }
    shared.home.remove(V::NAME, generation).await
}

async fn sleep_unless_stopped(time: Duration, stop: &AtomicBool) {
    const STEP: Duration = Duration::from_millis(50);
    let mut left = time;
    while !left.is_zero() && !stop.load(Ordering::Relaxed) {
        let now = left.min(STEP);
        tokio::time::sleep(now).await;
        left -= now;
    }
}

async fn feed_to_head<V: Listed>(
    shared: &Arc<Shared>,
    reader: &Reader,
    stop: &AtomicBool,
    built: Built<V>,
) -> Result<Built<V>, Error> {
    let mut feed = Feed::after(reader, built.lane.position);
    feed.join(built.lane, built.carry);
    loop {
        if stop.load(Ordering::Relaxed) {
            feed.close().await;
            return Err(Error::Stopped);
        }
        let behind = reader.head().position.0.saturating_sub(feed.position().0);
        let events_max = if behind > HANDOVER_EVENTS_MAX {
            BATCH_EVENTS_MAX
        } else {
            0
        };
        if events_max == 0 && feed.is_settled() {
            break;
        }
        step_of_one(&mut feed, events_max, Position(u64::MAX)).await?;
        let position = feed.position();
        shared.set_status(V::NAME, |status| status.building = Some(position));
    }
    taken(feed.leave())
}

/// Brings a view to `position`, which a commit ends at.
pub(crate) async fn feed_through<V: Listed>(
    reader: &Reader,
    built: Built<V>,
    position: Position,
    mut progress: impl FnMut(Position),
) -> Result<Built<V>, Error> {
    let mut feed = Feed::after(reader, built.lane.position);
    feed.join(built.lane, built.carry);
    while feed.position() < position || !feed.is_settled() {
        if !step_of_one(&mut feed, BATCH_EVENTS_MAX, position).await? && feed.position() < position {
            return Err(Error::Stopped);
        }
        progress(feed.position());
    }
    taken(feed.leave())
}

fn taken<V: View>(left: (Option<Lane<V>>, Option<V>)) -> Result<Built<V>, Error> {
    match left {
        (Some(lane), Some(carry)) => Ok(Built { lane, carry }),
        _ => Err(Error::Stopped),
    }
}

async fn step_of_one(feed: &mut Feed, events_max: u64, through: Position) -> Result<bool, Error> {
    let had_pending = !feed.is_settled();
    let step = feed.step(events_max, through).await?;
    let dropped = step.dropped.into_iter().map(|(_, error)| error);
    match dropped.chain(step.unread).next() {
        Some(error) => Err(error),
        None => Ok(step.moved || had_pending),
    }
}
