//! What was on the way from or to a warehouse as of an instant, by transfers that say where they go.
//!
//! By the ledger such units lie at no warehouse. Who counts at the source may find them still, on the dock; who counts at
//! the destination may find them already, before they are booked in.

use bincard_ledger::{Account, Event, Place, Position, Recorded, Timestamp, VariantNo, WarehouseNo};
use bincard_store::Reader;
use futures_util::TryStreamExt;
use sqlx::AssertSqlSafe;

use super::compare::Standing;
use crate::error::Error;
use crate::name::ViewName;
use crate::sql::{Connection, query};
use crate::stock::StockKey;

/// An event is recorded at most so long before it occurs, and this is a little longer.
const AHEAD_MICROS: i64 = 600_000_000;

/// What is on the way as of an instant, or now.
pub(super) struct Transit<'a> {
    reader: &'a Reader,
    transfers: Standing,
    as_of: Option<Timestamp>,
    /// Of transfers that are over, only those can have been on the way that had an event here or later.
    since: Option<i64>,
}

impl Transit<'_> {
    pub(super) async fn open<'a>(
        reader: &'a Reader,
        transfers: Standing,
        history: &mut Standing,
        as_of: Option<Timestamp>,
    ) -> Result<Transit<'a>, Error> {
        let since = match as_of {
            None => None,
            Some(at) => {
                let found = recorded_by(&mut history.on(), at.micros().saturating_sub(AHEAD_MICROS)).await;
                Some(found.map_err(Error::database(ViewName::History))?)
            }
        };
        Ok(Transit {
            reader,
            transfers,
            as_of,
            since,
        })
    }

    /// Units of a key's variant, and of its lots, that had left the key's warehouse or were to come there, and had arrived
    /// nowhere.
    pub(super) async fn units(&mut self, history: &mut Standing, key: StockKey) -> Result<i64, Error> {
        let numbers = numbers_of(&mut history.on(), key.variant).await;
        let numbers = numbers.map_err(Error::database(ViewName::History))?;
        let found = steps(&mut self.transfers.on(), key.warehouse, &numbers, self.since).await;
        let steps = found.map_err(Error::database(ViewName::Transfers))?;
        let mut units = 0_i64;
        for events in steps {
            let mut left = 0_i64;
            for position in events {
                let event = self.reader.event(position)?;
                left = left.saturating_add(event.map_or(0, |event| change(&event, &numbers, self.as_of)));
            }
            // What occurred in another order than it was recorded in may have arrived before it left.
            units = units.saturating_add(left.max(0));
        }
        Ok(units)
    }

    pub(super) async fn close(self) {
        self.transfers.close(ViewName::Transfers).await;
    }
}

/// A position of which it is known that what stands before it was recorded at an instant or earlier.
async fn recorded_by(connection: &mut Connection<'_>, micros: i64) -> Result<i64, sqlx::Error> {
    let sql = "select position from recorded where recorded_at <= $1 order by recorded_at desc, position desc limit 1";
    let found = query(sql).bind(micros).fetch_optional(connection).await?;
    found.map_or(Ok(0), |row| row.try_get(0))
}

/// A variant and its lots.
async fn numbers_of(
    connection: &mut Connection<'_>,
    variant: VariantNo,
) -> Result<Vec<VariantNo>, sqlx::Error> {
    let lots = query("select lot from lots where variant = $1")
        .bind(i64::from(variant.0))
        .fetch_all(connection)
        .await?;
    let lots = lots
        .iter()
        .map(|row| Ok(VariantNo(row.try_get::<i64>(0)? as u32)));
    std::iter::once(Ok(variant)).chain(lots).collect()
}

/// The events of each transfer of these variants from or to a warehouse that is under way, or that had an event at a
/// position or behind it.
async fn steps(
    connection: &mut Connection<'_>,
    warehouse: WarehouseNo,
    numbers: &[VariantNo],
    since: Option<i64>,
) -> Result<Vec<Vec<Position>>, sqlx::Error> {
    let numbers: Vec<String> = numbers.iter().map(|no| no.0.to_string()).collect();
    let numbers = numbers.join(", ");
    let sql = format!(
        "select transfer, position from transfer_events where transfer in (
             select t.id from transfers t join transfer_lines l on l.transfer = t.id
             where l.variant in ({numbers}) and (t.source = $1 or t.destination = $1)
               and (t.state = 0 or exists (
                   select 1 from transfer_events e where e.transfer = t.id and e.position >= $2
               ))
         ) order by transfer, position"
    );
    let mut rows = query(AssertSqlSafe(sql))
        .bind(i64::from(warehouse.0))
        .bind(since)
        .fetch(connection);
    let mut transfers: Vec<(i64, Vec<Position>)> = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let (transfer, position) = (row.try_get(0)?, row.try_get::<i64>(1)?);
        let position = Position(position.cast_unsigned());
        match transfers.last_mut() {
            Some((last, events)) if *last == transfer => events.push(position),
            _ => transfers.push((transfer, vec![position])),
        }
    }
    Ok(transfers.into_iter().map(|(_, events)| events).collect())
}

/// By how much an event changes what is on the way, where it had occurred by then.
fn change(event: &Recorded, numbers: &[VariantNo], as_of: Option<Timestamp>) -> i64 {
    let Event::Stock(stock) = &event.record.event else {
        return 0;
    };
    if as_of.is_some_and(|at| stock.occurred_at > at) {
        return 0;
    }
    let transit = Place::Account(Account::Transit);
    let postings = stock.postings.iter();
    let postings = postings.filter(|posting| numbers.contains(&posting.variant));
    let units = postings.map(|posting| match (posting.from == transit, posting.to == transit) {
        (false, true) => posting.quantity,
        (true, false) => posting.quantity.saturating_neg(),
        _ => 0,
    });
    units.fold(0, i64::saturating_add)
}
