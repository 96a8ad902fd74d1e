//! A stock key that was folded again is compared with the view of stock, and the view put right.

use bincard_store::Reader;

use super::work::Work;
use crate::error::Error;
use crate::generation::Home;
use crate::lane::Lane;
use crate::name::ViewName;
use crate::postgres::Schemas;
use crate::refold::{Refold, Refolded};
use crate::serving::Shared;
use crate::stock::{self, Stock};

impl Work {
    /// Compares, at the feed's position.
    pub(super) async fn refold(&mut self, mut refold: Refold) -> Result<Refolded, Error> {
        self.settle().await?;
        let position = self.feed.position();
        let view = ViewName::Stock;
        if let Home::Postgres(schemas) = &self.shared.home
            && !self.feed.lanes.stock.as_ref().is_some_and(Lane::is_fed_here)
        {
            return refold_followed(&self.shared, schemas, &self.reader, refold).await;
        }
        let Some((lane, carry)) = self.feed.standing::<Stock>() else {
            return Err(Error::Building { view });
        };
        refold.advance(&self.reader, position)?;
        let (key, folded) = (refold.key(), refold.standing());
        let found = {
            let mut tx = lane.read().await?;
            let found = stock::standing(&mut tx.on(), key).await;
            found.map_err(Error::database(view))?
        };
        let is_right = found == folded && carry.standing(key) == folded;
        if !is_right {
            tracing::warn!(
                ?key,
                ?found,
                ?folded,
                "the view of stock was wrong about a key, and is put right"
            );
            let rows = carry.put_right(key, &found, &folded);
            lane.write(&rows, position).await?;
        }
        Ok(refold.told(&found, !is_right))
    }
}

/// Compares with the tables that another node feeds, which is asked to build them anew if they are wrong.
async fn refold_followed(
    shared: &Shared,
    schemas: &Schemas,
    reader: &Reader,
    mut refold: Refold,
) -> Result<Refolded, Error> {
    let view = ViewName::Stock;
    let mut reading = shared.begin(&shared.slots.stock).await?;
    let found = stock::standing(&mut reading.on(), refold.key()).await;
    let found = found.map_err(Error::database(view))?;
    refold.advance(reader, reading.position)?;
    let is_right = found == refold.standing();
    if !is_right {
        schemas.ask_to_rebuild(view).await?;
    }
    Ok(refold.told(&found, !is_right))
}
