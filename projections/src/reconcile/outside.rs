//! Reconciliation with the outside: what was counted, or what a channel reports, against what the ledger says.
//!
//! A variance is explained as far as the ledger can. What moved after the report does not count: the report is held
//! against the stock as it was then. Of what is left, units that a counter cannot have found on the shelf, or that a
//! channel takes for available, explain as much as there are of them. So do units on the way from or to the warehouse
//! where more is reported than the ledger has: what was booked out may stand there still, and what is to be booked in may
//! stand there already. The rest is unexplained.

use std::collections::HashMap;

use bincard_ledger::{Bucket, Buckets, Position, Timestamp};

use super::compare::{Bench, Standing};
use super::runs::Run;
use super::transit::Transit;
use crate::error::Error;
use crate::history::{AsOf, History, as_of_one};
use crate::name::ViewName;
use crate::stock::{self, Stock, StockFilter, StockKey};
use crate::transfers::Transfers;

/// Which figure a report tells.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Measures {
    /// What is there, as a count finds it.
    #[default]
    OnHand,
    /// What is free to be sold, as a channel reports it.
    Available,
}

impl Measures {
    fn of(self, buckets: &Buckets) -> i64 {
        match self {
            Measures::OnHand => buckets.on_hand(),
            Measures::Available => buckets.available(),
        }
    }

    pub(super) fn column(self) -> i64 {
        self as i64
    }

    pub(super) fn read(column: i64) -> Result<Measures, sqlx::Error> {
        match column {
            0 => Ok(Measures::OnHand),
            1 => Ok(Measures::Available),
            _ => Err(sqlx::Error::Decode(
                format!("there is no measure {column}").into(),
            )),
        }
    }
}

/// What was counted or reported, outside.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Source {
    /// What it is called.
    pub name: String,
    /// When it was so; now, when `None`.
    pub reported_at: Option<Timestamp>,
    /// Which figure it tells.
    pub measures: Measures,
    /// Its lines.
    pub lines: Vec<SourceLine>,
}

/// A line of a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceLine {
    /// Where and what, in the source's own words.
    pub named: String,
    /// Where and what, or why that is not known.
    pub key: Result<StockKey, String>,
    /// How many units.
    pub quantity: i64,
}

/// When a key last agreed with a source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Agreed {
    /// By which run.
    pub run: u64,
    /// As of when.
    pub at: Timestamp,
}

/// What the ledger says about a line of a source. Signs are those of the variance: what is reported, less what the ledger
/// says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Explained {
    /// What the ledger said as of the report.
    pub at_report: i64,
    /// What it says now.
    pub now: i64,
    /// Explained by what was reserved then.
    pub reserved: i64,
    /// Explained by what was picked and not packed then.
    pub picked: i64,
    /// Explained by what was packed and not shipped then.
    pub packed: i64,
    /// Explained by what was held then.
    pub held: i64,
    /// Explained by what was on the way from or to the warehouse then.
    pub in_transit: i64,
    /// What is left.
    pub unexplained: i64,
    /// When the key last agreed before this; what is unexplained came after it.
    pub agreed: Option<Agreed>,
}

impl Explained {
    fn of(measures: Measures, reported: i64, then: &Buckets, on_the_way: i64, now: i64) -> Explained {
        let at_report = measures.of(then);
        let mut left = reported.saturating_sub(at_report);
        let mut explained = Explained {
            at_report,
            now,
            ..Explained::default()
        };
        let mut take = |bucket| {
            let there = then.of(bucket).max(0);
            let units = match measures {
                // What is picked or packed has left the shelf, and what is held may lie elsewhere: a count misses it.
                Measures::OnHand => left.clamp(-there, 0),
                // A channel that does not hear of it takes it for available.
                Measures::Available => left.clamp(0, there),
            };
            left -= units;
            units
        };
        if measures == Measures::Available {
            explained.reserved = take(Bucket::Reserved);
        }
        explained.packed = take(Bucket::Packed);
        explained.picked = take(Bucket::Picked);
        explained.held = take(Bucket::Held);
        explained.in_transit = left.clamp(0, on_the_way.max(0));
        explained.unexplained = left - explained.in_transit;
        explained
    }
}

/// A line of a source, with what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variance {
    /// The line's number, from 1.
    pub no: u64,
    /// The line.
    pub line: SourceLine,
    /// What the ledger says; `None` where the line could not be compared, or not yet.
    pub explained: Option<Explained>,
    /// What became of its correction; `None` where there was none, or not yet.
    pub corrected: Option<Corrected>,
}

/// What became of the correction of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Corrected {
    /// It is recorded, at this position.
    Recorded(Position),
    /// It had been recorded before.
    Before,
    /// The ledger refused it: the code of the problem.
    Refused(String),
}

/// A correction of the ledger: what is unexplained of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Correction {
    /// Of which run.
    pub run: u64,
    /// Of which line.
    pub no: u64,
    /// What the run's source is called.
    pub source: String,
    /// Where and what.
    pub key: StockKey,
    /// By how many units.
    pub units: i64,
    /// When it was reported; now, when `None`.
    pub reported_at: Option<Timestamp>,
    /// Who asked for it, as the run has it.
    pub author: String,
}

impl Variance {
    /// The correction that it asks for, of a run.
    pub fn correction(&self, run: &Run) -> Option<Correction> {
        let source = run.asked.source.as_ref()?;
        let key = *self.line.key.as_ref().ok()?;
        let units = self.explained.as_ref()?.unexplained;
        (units != 0).then(|| Correction {
            run: run.id,
            no: self.no,
            source: source.name.clone(),
            key,
            units,
            reported_at: source.reported_at,
            author: run.asked.author.clone(),
        })
    }

    /// What is reported, less what the ledger said then.
    pub fn variance(&self) -> Option<i64> {
        let explained = self.explained.as_ref()?;
        Some(self.line.quantity.saturating_sub(explained.at_report))
    }
}

/// What explains every line of a source, by views that stand at the run's position or a later one; `None` for a line
/// that cannot be compared.
pub(super) async fn compare_outside(
    bench: &Bench<'_>,
    source: &Source,
    agreed: &HashMap<StockKey, Agreed>,
    at: Position,
    now: Timestamp,
) -> Result<Vec<Option<Explained>>, Error> {
    let unreadable = |view| Error::Building { view };
    let stock = bench.stand::<Stock>(at).await?;
    let mut stock = stock.map_err(|_| unreadable(ViewName::Stock))?;
    let history = bench.stand::<History>(at).await?;
    let mut history = history.map_err(|_| unreadable(ViewName::History))?;
    let transfers = bench.stand::<Transfers>(at).await?;
    let transfers = transfers.map_err(|_| unreadable(ViewName::Transfers))?;
    let mut transit = Transit::open(bench.reader, transfers, &mut history, source.reported_at).await?;
    let mut explained = Vec::with_capacity(source.lines.len());
    for (no, line) in source.lines.iter().enumerate() {
        (bench.tell)(ViewName::Stock, no as u64)?;
        let Ok(key) = line.key else {
            explained.push(None);
            continue;
        };
        let present = buckets_now(&mut stock, key, now).await?;
        let then = match source.reported_at {
            None => present,
            Some(as_of) => {
                let past = AsOf {
                    as_of: Some(as_of),
                    known_at: None,
                };
                let then = as_of_one(&mut history.on(), key, past).await;
                then.map_err(Error::database(ViewName::History))?.buckets
            }
        };
        let now = source.measures.of(&present);
        // Only of what is more than the ledger has.
        let on_the_way = if line.quantity > source.measures.of(&then) {
            transit.units(&mut history, key).await?
        } else {
            0
        };
        explained.push(Some(Explained {
            agreed: agreed.get(&key).copied(),
            ..Explained::of(source.measures, line.quantity, &then, on_the_way, now)
        }));
    }
    stock.close(ViewName::Stock).await;
    history.close(ViewName::History).await;
    transit.close().await;
    Ok(explained)
}

async fn buckets_now(standing: &mut Standing, key: StockKey, now: Timestamp) -> Result<Buckets, Error> {
    let filter = StockFilter {
        in_lots: false,
        warehouses: Some(vec![key.warehouse]),
        variant: Some(key.variant),
    };
    let page = stock::page(&mut standing.on(), &filter, None, 0, 1, now).await;
    let page = page.map_err(Error::database(ViewName::Stock))?;
    Ok(page.first().map_or_else(Buckets::default, |row| row.buckets))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// available, reserved, picked, packed, held
    const THEN: Buckets = Buckets([10, 4, 3, 2, 1]);

    fn parts(measures: Measures, reported: i64) -> [i64; 6] {
        let explained = Explained::of(measures, reported, &THEN, 2, 0);
        let Explained {
            reserved,
            picked,
            packed,
            held,
            in_transit,
            unexplained,
            at_report,
            ..
        } = explained;
        let sum = reserved + picked + packed + held + in_transit + unexplained;
        assert_eq!(sum, reported - at_report, "the parts are the variance");
        [reserved, picked, packed, held, in_transit, unexplained]
    }

    #[test]
    fn a_count_misses_what_has_left_the_shelf_and_no_more() {
        assert_eq!(parts(Measures::OnHand, 20), [0, 0, 0, 0, 0, 0]);
        assert_eq!(parts(Measures::OnHand, 17), [0, -1, -2, 0, 0, 0]);
        assert_eq!(parts(Measures::OnHand, 12), [0, -3, -2, -1, 0, -2]);
        assert_eq!(parts(Measures::OnHand, 21), [0, 0, 0, 0, 1, 0]);
        assert_eq!(parts(Measures::OnHand, 23), [0, 0, 0, 0, 2, 1]);
    }

    #[test]
    fn a_channel_takes_what_orders_hold_for_available() {
        assert_eq!(parts(Measures::Available, 10), [0, 0, 0, 0, 0, 0]);
        assert_eq!(parts(Measures::Available, 15), [4, 0, 1, 0, 0, 0]);
        assert_eq!(parts(Measures::Available, 21), [4, 3, 2, 1, 1, 0]);
        assert_eq!(parts(Measures::Available, 25), [4, 3, 2, 1, 2, 3]);
        assert_eq!(parts(Measures::Available, 8), [0, 0, 0, 0, 0, -2]);
    }
}
