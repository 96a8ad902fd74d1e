//! How events become reservations.

use crate::sql::Connection;
use bincard_ledger::{
    Account, Bucket, Event, Inconsistent, Kind, Place, Position, Posting, Recorded, StockEvent, Timestamp,
    VariantNo, WarehouseNo,
};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::{ReservationLine, ReservationState, queries, state_of};
use crate::name::ViewName;
use crate::view::View;

/// A reservation as its rows have it, but for its id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Open {
    pub(crate) order: Box<str>,
    pub(crate) warehouse: WarehouseNo,
    pub(crate) expires_at: Option<Timestamp>,
    /// By variant, ascending.
    pub(crate) lines: Vec<ReservationLine>,
    pub(crate) state: ReservationState,
}

impl Open {
    /// Warehouse, expiry, state, and what is picked or packed and what was shipped, as the columns have them.
    pub(crate) fn columns(&self) -> (i64, Option<i64>, i64, [i64; 2]) {
        let sum = |units: fn(&ReservationLine) -> i64| {
            let units = self.lines.iter().map(units);
            units.fold(0, i64::saturating_add)
        };
        (
            i64::from(self.warehouse.0),
            self.expires_at.map(|at| at.micros()),
            self.state.column(),
            [
                sum(|line| line.picked.saturating_add(line.packed)),
                sum(|line| line.shipped),
            ],
        )
    }
}

/// The view, and its carry: the reservations that hold something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reservations {
    pub(crate) open: HashMap<Position, Open, FixedState>,
    /// Reservations that the batch at hand changed.
    touched: HashSet<Position, FixedState>,
}

/// Rows of a batch: the reservations that it changed, as they are after it.
pub(crate) type Rows = Vec<(Position, Open)>;

impl Reservations {
    fn fold_event(&mut self, position: Position, event: &StockEvent) -> Result<(), &'static str> {
        match event.kind {
            Kind::Reservation => self.open(position, event)?,
            Kind::Extend => {
                let id = event.about.ok_or("it extends no reservation")?;
                let open = self.open.get_mut(&id).ok_or("there is no such reservation")?;
                open.expires_at = event.expires_at;
                self.touched.insert(id);
            }
            _ => {}
        }
        for posting in &event.postings {
            let Some(id) = posting.reservation else { continue };
            let open = self.open.get_mut(&id).ok_or("there is no such reservation")?;
            let line = open.lines.iter_mut().find(|line| line.variant == posting.variant);
            take(
                line.ok_or("the reservation does not hold this variant")?,
                event.kind,
                posting,
            )?;
            open.state = state_of(&open.lines, event.kind == Kind::Expiry);
            self.touched.insert(id);
        }
        Ok(())
    }

    fn open(&mut self, id: Position, event: &StockEvent) -> Result<(), &'static str> {
        let order = event.order.clone().ok_or("a reservation names no order")?;
        let open = Open {
            order,
            warehouse: event.warehouse,
            expires_at: event.expires_at,
            lines: ReservationLine::as_made(event),
            state: ReservationState::Open,
        };
        self.open.insert(id, open);
        self.touched.insert(id);
        Ok(())
    }
}

/// Carries a posting out on what a reservation holds.
fn take(line: &mut ReservationLine, kind: Kind, posting: &Posting) -> Result<(), &'static str> {
    let units = posting.quantity;
    let from = match posting.from {
        Place::Bucket(Bucket::Reserved) => &mut line.reserved,
        Place::Bucket(Bucket::Picked) => &mut line.picked,
        Place::Bucket(Bucket::Packed) => &mut line.packed,
        _ => return Err("it takes what no reservation holds"),
    };
    *from = from.checked_sub(units).ok_or("a quantity overflows")?;
    let to = match posting.to {
        Place::Bucket(Bucket::Picked) => &mut line.picked,
        Place::Bucket(Bucket::Packed) => &mut line.packed,
        Place::Bucket(Bucket::Available) if kind == Kind::Expiry => &mut line.expired,
        Place::Bucket(Bucket::Available) => &mut line.released,
        Place::Account(Account::Customer) => &mut line.shipped,
        _ => return Err("it takes a reservation's stock where none goes"),
    };
    *to = to.checked_add(units).ok_or("a quantity overflows")?;
    Ok(())
}

impl View for Reservations {
    type Rows = Rows;
    type Memory = ();

    const NAME: ViewName = ViewName::Reservations;
    const SCHEMA_VERSION: i64 = 1;
    const SCHEMA: &'static [&'static str] = queries::SCHEMA;

    fn empty() -> Reservations {
        Reservations::default()
    }

    async fn load(connection: &mut Connection<'_>) -> Result<Reservations, sqlx::Error> {
        let mut carry = Reservations::default();
        queries::load(connection, |id, open| {
            carry.open.insert(id, open);
        })
        .await?;
        Ok(carry)
    }

    fn fold(&mut self, recorded: &Recorded, _: &mut Rows) -> Result<(), Inconsistent> {
        let position = recorded.position;
        match &recorded.record.event {
            Event::Stock(event) => self
                .fold_event(position, event)
                .map_err(|what| Inconsistent { position, what }),
            Event::Catalogue(_) => Ok(()),
        }
    }

    fn seal(&mut self, rows: &mut Rows) {
        for id in self.touched.drain() {
            // One that is over is not looked at again.
            let row = match self.open.get(&id) {
                Some(open) if open.state == ReservationState::Open => Some(open.clone()),
                _ => self.open.remove(&id),
            };
            rows.extend(row.map(|row| (id, row)));
        }
        rows.sort_unstable_by_key(|(id, _)| *id);
    }

    async fn write(connection: &mut Connection<'_>, rows: &Rows) -> Result<(), sqlx::Error> {
        queries::write(connection, rows).await
    }

    fn memory(&self, _: Position) {}

    fn publish((): &(), _: &Rows, _: Position) {}
}

impl ReservationState {
    pub(super) fn column(self) -> i64 {
        match self {
            ReservationState::Open => 0,
            ReservationState::Shipped => 1,
            ReservationState::Released => 2,
            ReservationState::Expired => 3,
        }
    }

    pub(super) fn read(column: i64) -> Result<ReservationState, sqlx::Error> {
        Ok(match column {
            0 => ReservationState::Open,
            1 => ReservationState::Shipped,
            2 => ReservationState::Released,
            3 => ReservationState::Expired,
            _ => return Err(sqlx::Error::Decode(format!("there is no state {column}").into())),
        })
    }
}

impl ReservationLine {
    pub(crate) fn columns(&self) -> [i64; 7] {
        [
            self.requested,
            self.reserved,
            self.picked,
            self.packed,
            self.shipped,
            self.released,
            self.expired,
        ]
    }

    pub(super) fn from_columns(variant: i64, columns: [i64; 7]) -> ReservationLine {
        let [requested, reserved, picked, packed, shipped, released, expired] = columns;
        ReservationLine {
            variant: VariantNo(variant as u32),
            requested,
            reserved,
            picked,
            packed,
            shipped,
            released,
            expired,
        }
    }
}
