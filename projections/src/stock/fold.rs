//! How events become stock.

use crate::sql::Connection;
use bincard_ledger::{
    Bucket, Buckets, Event, Inconsistent, Kind, Place, Position, Posting, Recorded, StockEvent, Timestamp,
    VariantNo, Version, WarehouseNo,
};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::memory::Memory;
use super::{StockKey, queries};
use crate::fold::{Lots, moved};
use crate::name::ViewName;
use crate::view::View;

/// What a key holds, and the last event that changed it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Held {
    pub(crate) buckets: Buckets,
    pub(crate) changed: Position,
}

/// What one reservation with an expiry still has reserved of one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Expiring {
    /// The event that made the reservation.
    pub(crate) reservation: Position,
    pub(crate) expires_at: Timestamp,
    pub(crate) quantity: i64,
}

/// The reservations of one key that have an expiry and something still reserved.
pub(crate) type ExpiringList = SmallVec<[Expiring; 1]>;

/// The view, and its carry: as much as the tables hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stock {
    pub(crate) stock: HashMap<StockKey, Held, FixedState>,
    pub(crate) expiring: HashMap<StockKey, ExpiringList, FixedState>,
    pub(crate) versions: HashMap<WarehouseNo, Version, FixedState>,
    pub(crate) lots: Lots,
    /// Keys that the batch at hand changed, with repetitions.
    touched: Vec<StockKey>,
    /// Reservations that the batch at hand changed, with repetitions.
    touched_expiring: Vec<(StockKey, Position, Timestamp)>,
    /// Warehouses that the batch at hand had events of, with repetitions.
    touched_warehouses: Vec<WarehouseNo>,
}

/// Everything that the view knows of one key.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Standing {
    /// `None` for a key that never had any stock.
    pub(crate) held: Option<Held>,
    /// By reservation and instant.
    pub(crate) expiring: ExpiringList,
}

impl Standing {
    pub(crate) fn new(held: Option<Held>, mut expiring: ExpiringList) -> Standing {
        expiring.sort_unstable_by_key(|one| (one.reservation, one.expires_at));
        Standing { held, expiring }
    }

    /// What lies there.
    pub(crate) fn buckets(&self) -> Buckets {
        self.held.map_or_else(Buckets::default, |held| held.buckets)
    }
}

/// Rows of a batch: what the touched keys hold after it. A key that nothing ever changed has none.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// By key; what was changed by no event is no row.
    pub(crate) stock: Vec<(StockKey, Held)>,
    /// By key, reservation and instant; with a quantity of 0 the reservation has nothing that runs out at that instant.
    pub(crate) expiring: Vec<(StockKey, Expiring)>,
    /// By warehouse.
    pub(crate) versions: Vec<(WarehouseNo, Version)>,
    /// Lots and their variants.
    pub(crate) lots: Vec<(VariantNo, VariantNo)>,
}

impl Stock {
    /// What is known of `key`.
    pub(crate) fn standing(&self, key: StockKey) -> Standing {
        let expiring = self.expiring.get(&key).cloned().unwrap_or_default();
        Standing::new(self.stock.get(&key).copied(), expiring)
    }

    /// Lets `key` stand otherwise. The rows lead there from `before`.
    pub(crate) fn put_right(&mut self, key: StockKey, before: &Standing, after: &Standing) -> Rows {
        match after.held {
            Some(held) => drop(self.stock.insert(key, held)),
            None => drop(self.stock.remove(&key)),
        }
        if after.expiring.is_empty() {
            self.expiring.remove(&key);
        } else {
            self.expiring.insert(key, after.expiring.clone());
        }
        let gone = before.expiring.iter().filter(|one| {
            let is_same =
                |other: &Expiring| (other.reservation, other.expires_at) == (one.reservation, one.expires_at);
            !after.expiring.iter().any(is_same)
        });
        let gone = gone.map(|one| Expiring { quantity: 0, ..*one });
        Rows {
            stock: vec![(key, after.held.unwrap_or_default())],
            expiring: gone
                .chain(after.expiring.iter().copied())
                .map(|one| (key, one))
                .collect(),
            // A version is no key's.
            versions: Vec::new(),
            lots: Vec::new(),
        }
    }

    fn fold_event(&mut self, position: Position, event: &StockEvent) -> Result<(), &'static str> {
        if event.kind == Kind::Extend {
            self.extend(event);
        }
        for posting in &event.postings {
            for variant in both(self.lots.variant_of(posting.variant), posting.variant) {
                let (warehouse, variant) = (event.warehouse, variant);
                self.fold_posting(position, event, posting, StockKey { warehouse, variant })?;
            }
        }
        Ok(())
    }

    /// Forgets which keys a batch changed, for a fold whose rows nobody writes.
    pub(crate) fn forget_touched(&mut self) {
        self.touched.clear();
        self.touched_expiring.clear();
        self.touched_warehouses.clear();
    }

    /// Folds what a posting does to one key: its lot's, or its variant's.
    fn fold_posting(
        &mut self,
        position: Position,
        event: &StockEvent,
        posting: &Posting,
        key: StockKey,
    ) -> Result<(), &'static str> {
        let held = self.stock.entry(key).or_default();
        held.buckets = moved(held.buckets, posting).ok_or("a bucket would overflow")?;
        held.changed = position;
        self.touched.push(key);
        let reserved = Place::Bucket(Bucket::Reserved);
        if posting.to == reserved
            && let Some(expires_at) = event.expires_at
        {
            let reservation = posting.reservation.unwrap_or(position);
            self.add_expiring(key, reservation, expires_at, posting.quantity);
        }
        if posting.from == reserved
            && let Some(reservation) = posting.reservation
        {
            self.take_expiring(key, reservation, posting.quantity);
        }
        Ok(())
    }

    /// Adds to what a reservation has reserved until an instant.
    fn add_expiring(&mut self, key: StockKey, reservation: Position, expires_at: Timestamp, quantity: i64) {
        let list = self.expiring.entry(key).or_default();
        let is_it = |one: &&mut Expiring| (one.reservation, one.expires_at) == (reservation, expires_at);
        match list.iter_mut().find(is_it) {
            Some(one) => one.quantity = one.quantity.saturating_add(quantity),
            None => list.push(Expiring {
                reservation,
                expires_at,
                quantity,
            }),
        }
        self.touched_expiring.push((key, reservation, expires_at));
    }

    /// Lets what a reservation still has reserved run out at another instant, or not at all.
    fn extend(&mut self, event: &StockEvent) {
        let Some(reservation) = event.about else { return };
        let keys = |lots: &Lots, noted: VariantNo| {
            both(lots.variant_of(noted), noted).map(|variant| StockKey {
                warehouse: event.warehouse,
                variant,
            })
        };
        for &(noted, _) in &event.noted {
            for key in keys(&self.lots, noted) {
                self.take_expiring(key, reservation, i64::MAX);
            }
        }
        let Some(expires_at) = event.expires_at else {
            return;
        };
        for &(noted, quantity) in &event.noted {
            for key in keys(&self.lots, noted) {
                self.add_expiring(key, reservation, expires_at, quantity);
            }
        }
    }

    /// Takes `quantity`, or as much as there is, off what `reservation` has reserved, if it is one that expires.
    fn take_expiring(&mut self, key: StockKey, reservation: Position, quantity: i64) {
        let Some(list) = self.expiring.get_mut(&key) else {
            return;
        };
        let Some(at) = list.iter().position(|one| one.reservation == reservation) else {
            return;
        };
        list[at].quantity = list[at].quantity.saturating_sub(quantity);
        self.touched_expiring
            .push((key, reservation, list[at].expires_at));
        if list[at].quantity <= 0 {
            list.swap_remove(at);
            if list.is_empty() {
                self.expiring.remove(&key);
            }
        }
    }

    /// What `reservation` has reserved of `key` until `expires_at`.
    fn expiring_of(&self, key: StockKey, reservation: Position, expires_at: Timestamp) -> i64 {
        let list = self.expiring.get(&key).map_or(&[][..], |list| list.as_slice());
        list.iter()
            .find(|one| (one.reservation, one.expires_at) == (reservation, expires_at))
            .map_or(0, |one| one.quantity)
    }
}

/// A variant and a lot of it, or the one where both are the same.
fn both(variant: VariantNo, no: VariantNo) -> impl Iterator<Item = VariantNo> {
    std::iter::once(variant).chain((no != variant).then_some(no))
}

impl View for Stock {
    type Rows = Rows;
    type Memory = Memory;

    const NAME: ViewName = ViewName::Stock;
    const IN_MEMORY: bool = true;
    const SCHEMA_VERSION: i64 = 3;
    const SCHEMA: &'static [&'static str] = queries::SCHEMA;

    fn empty() -> Stock {
        Stock::default()
    }

    async fn load(connection: &mut Connection<'_>) -> Result<Stock, sqlx::Error> {
        let mut stock = Stock::default();
        queries::load_stock(connection, |key, held| {
            stock.stock.insert(key, held);
        })
        .await?;
        stock
            .lots
            .load(connection, "select lot, variant from lots")
            .await?;
        queries::load_expiring(connection, |key, one| {
            stock.expiring.entry(key).or_default().push(one)
        })
        .await?;
        stock.versions.extend(queries::load_versions(connection).await?);
        Ok(stock)
    }

    fn fold(&mut self, recorded: &Recorded, rows: &mut Rows) -> Result<(), Inconsistent> {
        let position = recorded.position;
        match &recorded.record.event {
            Event::Stock(event) => {
                self.versions.insert(event.warehouse, recorded.record.version);
                if self.touched_warehouses.last() != Some(&event.warehouse) {
                    self.touched_warehouses.push(event.warehouse);
                }
                self.fold_event(position, event)
                    .map_err(|what| Inconsistent { position, what })
            }
            Event::Catalogue(event) => {
                rows.lots.extend(self.lots.hear(event));
                Ok(())
            }
        }
    }

    fn seal(&mut self, rows: &mut Rows) {
        self.touched.sort_unstable();
        self.touched.dedup();
        rows.stock.reserve(self.touched.len());
        for key in self.touched.drain(..) {
            let held = self.stock.get(&key).copied().unwrap_or_default();
            rows.stock.push((key, held));
        }
        self.touched_warehouses.sort_unstable();
        self.touched_warehouses.dedup();
        for warehouse in self.touched_warehouses.drain(..) {
            let version = self.versions.get(&warehouse).copied();
            rows.versions.push((warehouse, version.unwrap_or_default()));
        }
        let mut touched = std::mem::take(&mut self.touched_expiring);
        touched.sort_unstable();
        touched.dedup();
        for (key, reservation, expires_at) in touched {
            let quantity = self.expiring_of(key, reservation, expires_at);
            rows.expiring.push((
                key,
                Expiring {
                    reservation,
                    expires_at,
                    quantity,
                },
            ));
        }
    }

    async fn write(connection: &mut Connection<'_>, rows: &Rows) -> Result<(), sqlx::Error> {
        queries::write(connection, rows).await
    }

    fn memory(&self, position: Position) -> Memory {
        Memory::new(self, position)
    }

    fn publish(memory: &Memory, rows: &Rows, position: Position) {
        memory.publish(rows, position);
    }
}

impl StockKey {
    pub(crate) fn from_columns(warehouse: i64, variant: i64) -> StockKey {
        StockKey {
            warehouse: WarehouseNo(warehouse as u32),
            variant: VariantNo(variant as u32),
        }
    }

    pub(crate) fn columns(self) -> [i64; 2] {
        [i64::from(self.warehouse.0), i64::from(self.variant.0)]
    }
}
