//! The comparison of stock in the past: what the history view answers, against a replay of that past.

use bincard_ledger::{Buckets, Event, Position, Recorded};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::compare::{Bench, nothing};
use super::naming::KEPT_MAX;
use super::part::Filter;
use super::replay::{Pace, read};
use crate::error::Error;
use crate::fold::{Lots, moved};
use crate::history::{AsOf, History, as_of_page};
use crate::name::ViewName;
use crate::stock::{StockFilter, StockKey};
use crate::verify::{Difference, FieldDifference, Verified};

/// The keys that the view is asked for at once.
const KEYS_AT_ONCE: i64 = 500;
/// The name that these differences stand under: they are of answers, not of one table.
const TABLE: &str = "stock_as_of";

/// What a key held in the past, and the first event that concerns it.
struct Held {
    buckets: Buckets,
    first: Position,
}

/// Compares what the view answers of the past with what the log says, at the view's own position, which is at least `at`.
pub(super) async fn compare_past(
    bench: &Bench<'_>,
    filter: Filter,
    past: AsOf,
    at: Position,
) -> Result<Verified, Error> {
    let mut standing = match bench.stand::<History>(at).await? {
        Ok(standing) => standing,
        Err(damaged) => return Ok(damaged),
    };
    let through = standing.position.min(bench.reader.head().position);
    let mut held: HashMap<StockKey, Held, FixedState> = HashMap::default();
    let mut lots = Lots::default();
    read(bench.reader, Position(0), through, Pace::Polite, |batch, at| {
        for event in batch.iter() {
            take(&mut held, &mut lots, event, past)?;
        }
        (bench.folded)(at)
    })?;
    held.retain(|key, _| filter.passes(*key));
    let mut verified = Verified {
        position: through,
        ..nothing(ViewName::History, standing.generation)
    };
    let filter = StockFilter {
        warehouses: filter.warehouse.map(|no| vec![no]),
        variant: filter.variant,
        in_lots: false,
    };
    let mut after = None;
    loop {
        let page = as_of_page(&mut standing.on(), &filter, past, after, 0, KEYS_AT_ONCE).await;
        let page = page.map_err(Error::database(ViewName::History))?;
        let Some(last) = page.last() else { break };
        after = Some(last.key);
        for row in page {
            verified.rows += 1;
            let expected = held.remove(&row.key);
            let first = expected.as_ref().map(|held| held.first);
            let expected = expected.map(|held| held.buckets);
            if expected != Some(row.buckets) {
                note(&mut verified, row.key, expected, Some(row.buckets), first);
            }
        }
        (bench.tell)(ViewName::History, verified.rows)?;
    }
    let mut missing: Vec<_> = held.into_iter().collect();
    missing.sort_unstable_by_key(|(key, _)| *key);
    for (key, held) in missing {
        note(&mut verified, key, Some(held.buckets), None, Some(held.first));
    }
    standing.close(ViewName::History).await;
    Ok(verified)
}

fn take(
    held: &mut HashMap<StockKey, Held, FixedState>,
    lots: &mut Lots,
    event: &Recorded,
    past: AsOf,
) -> Result<(), bincard_ledger::Inconsistent> {
    let stock = match &event.record.event {
        Event::Stock(stock) => stock,
        Event::Catalogue(event) => {
            lots.hear(event);
            return Ok(());
        }
    };
    let counts = past.as_of.is_none_or(|at| stock.occurred_at <= at)
        && past.known_at.is_none_or(|at| event.recorded_at <= at);
    for posting in &stock.postings {
        let key = StockKey {
            warehouse: stock.warehouse,
            variant: lots.variant_of(posting.variant),
        };
        // A key is listed from its first event on, whether that counts or not.
        let held = held.entry(key).or_insert(Held {
            buckets: Buckets::default(),
            first: event.position,
        });
        if counts {
            held.buckets = moved(held.buckets, posting).ok_or(bincard_ledger::Inconsistent {
                position: event.position,
                what: "a bucket would overflow",
            })?;
        }
    }
    Ok(())
}

fn note(
    verified: &mut Verified,
    key: StockKey,
    expected: Option<Buckets>,
    found: Option<Buckets>,
    first: Option<Position>,
) {
    verified.differing += 1;
    if verified.differences.len() >= KEPT_MAX {
        return;
    }
    const NAMES: [&str; 5] = ["available", "reserved", "picked", "packed", "held"];
    let shown = |buckets: Buckets| {
        let each = NAMES.iter().zip(buckets.0);
        let each: Vec<String> = each.map(|(name, units)| format!("{name} {units}")).collect();
        each.join(", ")
    };
    let fields = match (expected, found) {
        (Some(expected), Some(found)) => NAMES
            .into_iter()
            .zip(expected.0.into_iter().zip(found.0))
            .filter(|(_, (expected, found))| expected != found)
            .map(|(field, (expected, found))| FieldDifference {
                field,
                expected: expected.to_string(),
                found: found.to_string(),
            })
            .collect(),
        _ => Vec::new(),
    };
    verified.differences.push(Difference {
        table: TABLE,
        key: format!("warehouse {}, variant {}", key.warehouse.0, key.variant.0),
        warehouse: Some(key.warehouse),
        variant: Some(key.variant),
        fields,
        expected: expected.map(shown),
        found: found.map(shown),
        first,
    });
}
