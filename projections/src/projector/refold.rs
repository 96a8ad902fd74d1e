//! A stock key that was folded again is compared with the view of stock, and the view put right.

use super::work::Work;
use crate::error::Error;
use crate::name::ViewName;
use crate::refold::{Refold, Refolded};
use crate::stock::{self, Stock};

impl Work {
    /// Compares, at the feed's position.
    pub(super) async fn refold(&mut self, mut refold: Refold) -> Result<Refolded, Error> {
        self.settle().await?;
        let position = self.feed.position();
        refold.advance(&self.reader, position)?;
        let view = ViewName::Stock;
        let Some((lane, carry)) = self.feed.standing::<Stock>() else {
            return Err(Error::Building { view });
        };
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
