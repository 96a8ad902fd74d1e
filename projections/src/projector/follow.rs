//! Views in PostgreSQL that other nodes feed: this one reads their tables, keeps what is answered from memory up to date by
//! folding the log, and takes over what nobody feeds any more.

use std::sync::Arc;

use bincard_ledger::Position;

use super::work::{RETRY, SOON, Work};
use crate::build::{Built, Plan, feed_through};
use crate::each::{Listed, with_view};
use crate::error::Error;
use crate::generation::Home;
use crate::lane::Lane;
use crate::name::ViewName;
use crate::postgres::{Schemas, Told};

impl Work {
    /// Does what the news ask for. What cannot be done, whatever the reason, is tried again a little later.
    pub(super) async fn hear(&mut self) {
        let Home::Postgres(schemas) = self.shared.home.clone() else {
            return;
        };
        let Some(news) = &mut self.news else { return };
        let Some(told) = *news.borrow_and_update() else {
            return;
        };
        for view in ViewName::ALL {
            let heard =
                with_view!(view, V => Box::pin(self.hear_of::<V>(&schemas, told[view.index()])).await);
            match heard {
                Ok(()) | Err(Error::FedElsewhere { .. }) => {}
                Err(error) => {
                    let why: Arc<str> = error.chain().into();
                    if self.shared.set_error(view, why.clone()) {
                        tracing::warn!(%view, error = %why, "the news of a view cannot be followed; it is tried again");
                    }
                    self.hear_in(RETRY);
                    if error.is_of_connection() {
                        // The next views would be waited for in vain.
                        return;
                    }
                }
            }
        }
    }

    async fn hear_of<V: Listed>(&mut self, schemas: &Schemas, told: Told) -> Result<(), Error> {
        let lane = V::of(&self.feed.lanes).as_ref();
        if lane.is_some_and(|lane| lane.is_lost_to(told.epoch)) {
            // It need not have anything to write to find out.
            self.settle().await?;
            self.feed.leave::<V>();
        }
        let is_building = self.builders[V::NAME.index()].is_some();
        if V::of(&self.feed.lanes).as_ref().is_some_and(Lane::is_fed_here) {
            if told.is_to_be_rebuilt && !is_building && schemas.take_rebuild(V::NAME).await? {
                drop(self.start_rebuild(V::NAME)?);
            }
            return Ok(());
        }
        if told.is_free && !is_building {
            match schemas.own(V::NAME).await {
                Ok(()) => {
                    tracing::info!(view = %V::NAME, "nobody feeds a view; this node does from now on");
                    self.build::<V>(Plan::CatchUp { damaged: None });
                }
                Err(Error::FedElsewhere { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        match told.live {
            Some((generation, _)) => self.follow::<V>(schemas, generation).await,
            None => {
                self.shared.withdraw_followed::<V>();
                Ok(())
            }
        }
    }

    /// Serves a generation that another node feeds.
    async fn follow<V: Listed>(&mut self, schemas: &Schemas, generation: u64) -> Result<(), Error> {
        let served = V::of(&self.shared.slots).current().ok();
        let is_known = served
            .as_ref()
            .is_some_and(|served| served.generation == generation);
        let is_kept = !V::IN_MEMORY || V::of(&self.feed.lanes).is_some();
        if !is_known || !is_kept {
            let schema = schemas.schema(V::NAME, generation);
            let memory = if V::IN_MEMORY {
                self.settle().await?;
                let (lane, carry) = Lane::<V>::follow(&schema, generation).await?;
                let position = self.feed.position();
                if lane.position > position {
                    // The log comes there by and by.
                    self.hear_in(SOON);
                    return Ok(());
                }
                let built = feed_through(&self.reader, Built { lane, carry }, position, |_| {}).await?;
                let memory = built.lane.memory.clone();
                self.feed.join(built.lane, built.carry);
                memory
            } else {
                V::empty().memory(Position(0)).into()
            };
            self.shared.serve_followed::<V>(generation, schema, memory);
            self.tell_followed::<V>();
            if let Some(done) = self.rebuilds[V::NAME.index()].take() {
                let _gone = done.send(Ok(()));
            }
        }
        self.tell_followed::<V>();
        Ok(())
    }

    /// Tells how far a view is that another node feeds.
    pub(super) fn tell_followed<V: Listed>(&mut self) {
        let Some(news) = &self.news else { return };
        let lane = V::of(&self.feed.lanes).as_ref();
        let Some((generation, position)) = (*news.borrow()).and_then(|told| told[V::NAME.index()].live)
        else {
            return;
        };
        let Ok(serving) = V::of(&self.shared.slots).current() else {
            return;
        };
        let reached = match lane {
            Some(lane) if lane.is_fed_here() => return,
            Some(lane) => position.min(lane.position),
            None if V::IN_MEMORY => return,
            None => position,
        };
        let status = self.shared.status.borrow()[V::NAME.index()].clone();
        let generation = Some(generation).filter(|generation| *generation == serving.generation);
        let Some(generation) = generation else { return };
        if status.generation != Some(generation) || status.position < reached || status.error.is_some() {
            self.shared.set_status(V::NAME, |status| {
                status.generation = Some(generation);
                status.position = reached;
                status.error = None;
            });
        }
    }
}
