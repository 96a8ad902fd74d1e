//! What the projector is told, and the threads that build: a view is rebuilt, lost and brought back, and taken over.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Control;
use super::work::{RETRY, SOON, Work};
use crate::build::{Builder, Built, Outcome, Plan, feed_through};
use crate::each::{Listed, of_any, with_view};
use crate::error::Error;
use crate::generation::Home;
use crate::lane::{Lane, Panicked};
use crate::name::ViewName;

impl Work {
    /// Does as told; `false` when told to end.
    pub(super) async fn obey(&mut self, command: Control) -> Result<bool, Panicked> {
        match command {
            Control::Stop => return Ok(false),
            Control::Rebuild { view, accepted } => {
                let started = self.rebuild(view).await;
                // Somebody who no longer waits for the answer gets the rebuild all the same.
                let _gone = accepted.send(started);
            }
            Control::Built(Outcome::Built(built)) => {
                of_any!(built, built => Box::pin(self.built(*built)).await?)
            }
            Control::Built(Outcome::Failed(view, error)) => self.build_failed(view, error),
            Control::Refold { refold, done } => {
                // What goes wrong is for whoever asked to hear: the view itself is fed on as before, and fails there if
                // it must.
                let _gone = done.send(self.refold(*refold).await);
            }
            Control::Damaged { view, generation } => {
                with_view!(view, V => Box::pin(self.damaged::<V>(generation)).await?);
            }
        }
        Ok(true)
    }

    async fn rebuild(&mut self, view: ViewName) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        let is_fed_here =
            with_view!(view, V => V::of(&self.feed.lanes).as_ref().is_some_and(Lane::is_fed_here));
        match &self.shared.home {
            // Whoever feeds it is asked to; that it is done, this node sees by the generation that is served.
            Home::Postgres(schemas) if !is_fed_here => {
                if self.rebuilds[view.index()].is_some() {
                    return Err(Error::Rebuilding { view });
                }
                schemas.ask_to_rebuild(view).await?;
                let (done, finished) = oneshot::channel();
                self.rebuilds[view.index()] = Some(done);
                Ok(finished)
            }
            _ => self.start_rebuild(view),
        }
    }

    pub(super) fn start_rebuild(
        &mut self,
        view: ViewName,
    ) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        if self.builders[view.index()].is_some() {
            return Err(Error::Rebuilding { view });
        }
        with_view!(view, V => self.build::<V>(Plan::Rebuild));
        let (done, finished) = oneshot::channel();
        self.rebuilds[view.index()] = Some(done);
        Ok(finished)
    }

    pub(super) fn build<V: Listed>(&mut self, plan: Plan) {
        let builder = Builder::spawn::<V>(
            self.shared.clone(),
            self.reader.clone(),
            plan,
            self.control.clone(),
        );
        match builder {
            Ok(builder) => self.builders[V::NAME.index()] = Some(builder),
            Err(error) => self.tell_in(RETRY, Outcome::Failed(V::NAME, error)),
        }
    }

    /// Has this thread hear of an outcome a little later.
    fn tell_in(&self, time: Duration, outcome: Outcome) {
        let control = self.control.clone();
        tokio::spawn(async move {
            tokio::time::sleep(time).await;
            if let Some(control) = control.upgrade() {
                let _gone = control.send(Control::Built(outcome)).await;
            }
        });
    }

    /// Takes over what was built apart.
    async fn built<V: Listed>(&mut self, built: Built<V>) -> Result<(), Panicked> {
        self.settle().await?;
        if built.lane.position > self.feed.position() {
            // The others are behind: they come closer by and by.
            self.tell_in(SOON, Outcome::Built(V::any(Box::new(built))));
            return Ok(());
        }
        if let Some(builder) = self.builders[V::NAME.index()].take() {
            builder.join();
        }
        self.join(built).await;
        Ok(())
    }

    /// Feeds a view from now on, after closing the gap to the others.
    pub(super) async fn join<V: Listed>(&mut self, built: Built<V>) {
        let generation = built.lane.generation;
        let position = self.feed.position();
        let built = match feed_through(&self.reader, built, position, |_| {}).await {
            Ok(built) => built,
            Err(error) => return self.lost::<V>(&error, Some(generation)),
        };
        // Another generation replaces the one that is served; the same one brings its memory along.
        if V::of(&self.shared.slots).current().is_ok()
            && let Err(error) = self.shared.serve(&built.lane).await
        {
            built.lane.close().await;
            return self.unserved::<V>(error).await;
        }
        if let Some(old) = self.feed.join(built.lane, built.carry) {
            old.close().await;
        }
        self.shared.set_status(V::NAME, |status| status.error = None);
        self.publish().await;
        if let Some(done) = self.rebuilds[V::NAME.index()].take() {
            let _gone = done.send(Ok(()));
        }
    }

    /// A generation could not be made the one that is served, or nobody knows whether it was: what is fed now is left, and
    /// the thread that brings the view back looks.
    pub(super) async fn unserved<V: Listed>(&mut self, error: Error) {
        if let (Some(lane), _) = self.feed.leave::<V>() {
            lane.close().await;
        }
        self.lost::<V>(&error, None);
        if let Some(done) = self.rebuilds[V::NAME.index()].take() {
            let _gone = done.send(Err(error));
        }
    }

    fn build_failed(&mut self, view: ViewName, error: Error) {
        if let Some(builder) = self.builders[view.index()].take() {
            builder.join();
        }
        self.shared.set_status(view, |status| status.building = None);
        if let Error::FedElsewhere { .. } = error {
            // This node follows whoever does.
            self.hear_in(SOON);
            if let Some(done) = self.rebuilds[view.index()].take() {
                let _gone = done.send(Err(error));
            }
            return;
        }
        if let Some(done) = self.rebuilds[view.index()].take() {
            let _gone = done.send(Err(error));
        }
        // A view that dropped out meanwhile was waiting for the rebuild.
        with_view!(view, V => if V::of(&self.feed.lanes).is_none() {
            self.build::<V>(Plan::CatchUp { damaged: None });
        });
    }

    pub(super) fn dropped(&mut self, view: ViewName, error: &Error) {
        with_view!(view, V => self.lost::<V>(error, None));
    }

    /// A view is no longer fed: reports it, and sends a thread to bring it back.
    pub(super) fn lost<V: Listed>(&mut self, error: &Error, generation: Option<u64>) {
        let why: Arc<str> = error.chain().into();
        let is_building = self.builders[V::NAME.index()].is_some();
        let served = || {
            V::of(&self.shared.slots)
                .current()
                .ok()
                .map(|serving| serving.generation)
        };
        let damaged = if error.is_damage() && !is_building {
            generation.or_else(served)
        } else {
            None
        };
        if let Some(generation) = damaged {
            self.shared.give_up(V::NAME, generation, &why, false);
        }
        if self.shared.set_error(V::NAME, why.clone()) {
            tracing::warn!(view = %V::NAME, error = %why, "a view fails; the others go on");
        }
        self.serve_at[V::NAME.index()] = self.reader.head().position;
        if !is_building {
            self.build::<V>(Plan::CatchUp { damaged });
        }
    }

    /// A query met damage: the generation is built anew, if it is still the one that is served.
    async fn damaged<V: Listed>(&mut self, generation: u64) -> Result<(), Panicked> {
        let served = V::of(&self.shared.slots)
            .current()
            .ok()
            .map(|serving| serving.generation);
        if served != Some(generation) || self.builders[V::NAME.index()].is_some() {
            return Ok(());
        }
        self.settle().await?;
        if let (Some(lane), _) = self.feed.leave::<V>() {
            lane.close().await;
        }
        tracing::warn!(view = %V::NAME, generation, "a query met damage in a view; it is built anew");
        let why: Arc<str> = format!("generation {generation} is damaged and is being built anew").into();
        self.shared.give_up(V::NAME, generation, &why, false);
        self.shared.set_status(V::NAME, |status| status.error = Some(why));
        self.serve_at[V::NAME.index()] = self.reader.head().position;
        self.build::<V>(Plan::CatchUp {
            damaged: Some(generation),
        });
        Ok(())
    }
}
