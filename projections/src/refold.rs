//! One stock key folded again from the log, and compared with the view of stock.
//!
//! Whoever asks folds the long way up to where the view stands. The projector folds what came since, which is little,
//! compares, and puts right what differs: nobody else writes a view.

use bincard_ledger::{Buckets, Event, Position, Recorded, StockEvent, Stream};
use bincard_store::Reader;

use crate::error::Error;
use crate::stock::{Standing, Stock, StockKey};
use crate::view::View;

/// What came of folding a stock key again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refolded {
    /// Where the view stood when it was compared.
    pub position: Position,
    /// What the view said.
    pub found: Buckets,
    /// What the log says, and the view from now on.
    pub folded: Buckets,
    /// Whether the view was put right.
    pub was_repaired: bool,
    /// How many events moved or concerned the key.
    pub events: u64,
}

/// What a key held before and after the event at `position`, by the log alone: for who cannot wait for a view.
///
/// # Errors
/// When the log cannot be read.
pub async fn stock_around(
    log: &Reader,
    key: StockKey,
    position: Position,
) -> Result<(Buckets, Buckets), Error> {
    let log = log.clone();
    let folding = move || {
        let mut refold = Refold::new(key);
        refold.advance(&log, Position(position.0.saturating_sub(1)))?;
        let before = refold.standing().buckets();
        refold.advance(&log, position)?;
        Ok((before, refold.standing().buckets()))
    };
    tokio::task::spawn_blocking(folding)
        .await
        .map_err(|_| Error::Stopped)?
}

/// A stock key being folded.
pub(crate) struct Refold {
    key: StockKey,
    stock: Stock,
    position: Position,
    events: u64,
}

impl Refold {
    pub(crate) fn new(key: StockKey) -> Refold {
        Refold {
            key,
            stock: Stock::default(),
            position: Position(0),
            events: 0,
        }
    }

    pub(crate) fn key(&self) -> StockKey {
        self.key
    }

    /// Folds on up to a position. Of other streams no more is read than that they are others.
    pub(crate) fn advance(&mut self, log: &Reader, through: Position) -> Result<(), Error> {
        if self.position >= through {
            return Ok(());
        }
        // The catalogue says which lots are the variant's.
        let streams = [Stream::Warehouse(self.key.warehouse), Stream::Catalogue];
        let mut commits = log.commits(self.position)?;
        while self.position < through {
            let Some(commit) = commits.next()? else { break };
            let recorded_at = commit.recorded_at;
            let decoding = |position| move |source| Error::Decode { position, source };
            let mut position = commit.first;
            for record in commit.records().map_err(decoding(commit.first))?.records() {
                let record = record.map_err(decoding(position))?;
                let head = record.head().map_err(decoding(position))?;
                if position > self.position && position <= through && streams.contains(&head.stream) {
                    let record = record.decode().map_err(decoding(position))?;
                    self.take(Recorded {
                        position,
                        recorded_at,
                        record,
                    })?;
                }
                position = position.next();
            }
            self.position = commit.last().min(through);
        }
        Ok(())
    }

    fn take(&mut self, mut recorded: Recorded) -> Result<(), Error> {
        if let Event::Stock(event) = &mut recorded.record.event {
            let (wanted, lots) = (self.key.variant, &self.stock.lots);
            let concerns = |no| no == wanted || lots.variant_of(no) == wanted;
            let StockEvent { postings, noted, .. } = event;
            postings.retain(|posting| concerns(posting.variant));
            noted.retain(|(of, _)| concerns(*of));
            if postings.is_empty() && noted.is_empty() {
                return Ok(());
            }
            self.events += 1;
        }
        let mut rows = Default::default();
        self.stock.fold(&recorded, &mut rows)?;
        Ok(())
    }

    /// What the log says of the key.
    pub(crate) fn standing(&self) -> Standing {
        self.stock.standing(self.key)
    }

    /// What is to be told, when the view said `found`.
    pub(crate) fn told(&self, found: &Standing, was_repaired: bool) -> Refolded {
        Refolded {
            position: self.position,
            found: found.buckets(),
            folded: self.standing().buckets(),
            was_repaired,
            events: self.events,
        }
    }
}
