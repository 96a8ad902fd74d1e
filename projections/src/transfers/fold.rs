//! How events become transfers.

use crate::sql::Connection;
use bincard_ledger::{
    Account, Bucket, Event, Inconsistent, Kind, Place, Position, Posting, Recorded, StockEvent, Timestamp,
    VariantNo, WarehouseNo,
};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::{TransferLine, TransferState, queries};
use crate::name::ViewName;
use crate::view::View;

/// A transfer as its rows have it, but for its id and its events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Kept {
    pub(crate) name: Option<Box<str>>,
    pub(crate) source: WarehouseNo,
    pub(crate) destination: WarehouseNo,
    pub(crate) state: TransferState,
    pub(crate) ended_at: Option<Timestamp>,
    /// By variant, ascending.
    pub(crate) lines: Vec<TransferLine>,
}

/// The view, and its carry: the transfers that have something on the way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transfers {
    pub(crate) open: HashMap<Position, Kept, FixedState>,
    /// Transfers that the batch at hand changed.
    touched: HashSet<Position, FixedState>,
}

/// Rows of a batch.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// The transfers that it changed, as they are after it.
    pub(crate) transfers: Vec<(Position, Kept)>,
    /// Transfer and event.
    pub(crate) events: Vec<[i64; 2]>,
}

impl Transfers {
    fn fold_event(
        &mut self,
        position: Position,
        event: &StockEvent,
        rows: &mut Rows,
    ) -> Result<(), &'static str> {
        let id = match (event.kind, event.counterpart) {
            (Kind::TransferOut, Some(destination)) => {
                self.open.insert(position, opened(event, destination));
                position
            }
            (Kind::TransferExpected | Kind::TransferIn | Kind::TransferClosed, Some(_)) => {
                let id = event.about.ok_or("it is about no transfer")?;
                let open = self.open.get_mut(&id).ok_or("there is no such transfer")?;
                step(open, event)?;
                id
            }
            _ => return Ok(()),
        };
        self.touched.insert(id);
        rows.events.push([id, position].map(|at| at.0.cast_signed()));
        Ok(())
    }
}

fn opened(event: &StockEvent, destination: WarehouseNo) -> Kept {
    Kept {
        name: event.transfer.clone(),
        source: event.warehouse,
        destination,
        state: TransferState::Open,
        ended_at: None,
        lines: TransferLine::as_opened(event),
    }
}

/// What an event at the destination changes.
fn step(open: &mut Kept, event: &StockEvent) -> Result<(), &'static str> {
    const OTHER: &str = "the transfer is of other variants";
    // What a count had seen arrive leaves again beside it, and was not on the way.
    let transit = Place::Account(Account::Transit);
    for posting in event.postings.iter().filter(|posting| posting.from == transit) {
        take(line_of(open, posting.variant).ok_or(OTHER)?, posting)?;
    }
    if event.kind == Kind::TransferIn {
        for &(variant, units) in &event.noted {
            let line = line_of(open, variant).ok_or(OTHER)?;
            line.short = line.short.checked_add(units).ok_or("a quantity overflows")?;
        }
        for line in &mut open.lines {
            line.short = line.short.min(line.in_transit());
        }
    }
    if open.lines.iter().all(|line| line.in_transit() == 0) {
        open.state = match event.kind {
            Kind::TransferClosed => TransferState::Closed,
            _ => TransferState::Received,
        };
        open.ended_at = Some(event.occurred_at);
    }
    Ok(())
}

fn line_of(open: &mut Kept, variant: VariantNo) -> Option<&mut TransferLine> {
    let at = open
        .lines
        .binary_search_by_key(&variant, |line| line.variant)
        .ok()?;
    open.lines.get_mut(at)
}

/// Carries a posting out on what is on the way.
fn take(line: &mut TransferLine, posting: &Posting) -> Result<(), &'static str> {
    if posting.quantity > line.in_transit() {
        return Err("it takes what is not on the way");
    }
    let to = match posting.to {
        Place::Bucket(Bucket::Available) => &mut line.received,
        Place::Bucket(Bucket::Held) => &mut line.damaged,
        Place::Account(Account::Adjustment) => &mut line.written_off,
        _ => return Err("it takes what is on the way where none goes"),
    };
    *to = to.checked_add(posting.quantity).ok_or("a quantity overflows")?;
    Ok(())
}

impl View for Transfers {
    type Rows = Rows;
    type Memory = ();

    const NAME: ViewName = ViewName::Transfers;
    const SCHEMA_VERSION: i64 = 2;
    const SCHEMA: &'static [&'static str] = queries::SCHEMA;

    fn empty() -> Transfers {
        Transfers::default()
    }

    async fn load(connection: &mut Connection<'_>) -> Result<Transfers, sqlx::Error> {
        let mut carry = Transfers::default();
        queries::load(connection, |id, open| {
            carry.open.insert(id, open);
        })
        .await?;
        Ok(carry)
    }

    fn fold(&mut self, recorded: &Recorded, rows: &mut Rows) -> Result<(), Inconsistent> {
        let position = recorded.position;
        match &recorded.record.event {
            Event::Stock(event) => self
                .fold_event(position, event, rows)
                .map_err(|what| Inconsistent { position, what }),
            Event::Catalogue(_) => Ok(()),
        }
    }

    fn seal(&mut self, rows: &mut Rows) {
        for id in self.touched.drain() {
            // One that is over is not looked at again.
            let row = match self.open.get(&id) {
                Some(open) if open.state == TransferState::Open => Some(open.clone()),
                _ => self.open.remove(&id),
            };
            rows.transfers.extend(row.map(|row| (id, row)));
        }
        rows.transfers.sort_unstable_by_key(|(id, _)| *id);
    }

    async fn write(connection: &mut Connection<'_>, rows: &Rows) -> Result<(), sqlx::Error> {
        queries::write(connection, rows).await
    }

    fn memory(&self, _: Position) {}

    fn publish((): &(), _: &Rows, _: Position) {}
}

impl TransferState {
    pub(super) fn column(self) -> i64 {
        match self {
            TransferState::Open => 0,
            TransferState::Received => 1,
            TransferState::Closed => 2,
        }
    }

    pub(super) fn read(column: i64) -> Result<TransferState, sqlx::Error> {
        Ok(match column {
            0 => TransferState::Open,
            1 => TransferState::Received,
            2 => TransferState::Closed,
            _ => return Err(sqlx::Error::Decode(format!("there is no state {column}").into())),
        })
    }
}

impl TransferLine {
    pub(super) fn columns(&self) -> [i64; 5] {
        [
            self.sent,
            self.received,
            self.damaged,
            self.short,
            self.written_off,
        ]
    }

    pub(super) fn from_columns(variant: i64, columns: [i64; 5]) -> TransferLine {
        let [sent, received, damaged, short, written_off] = columns;
        TransferLine {
            variant: VariantNo(variant as u32),
            sent,
            received,
            damaged,
            short,
            written_off,
        }
    }
}
