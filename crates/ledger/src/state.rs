//! What the ledger must know to decide: the fold of all events so far.
//!
//! Memory grows with stock keys, open reservations and the catalogue, never with history.

use std::collections::BTreeMap;

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use smallvec::SmallVec;

use crate::event::{CatalogueEvent, Event, Kind, Recorded, StockEvent};
use crate::id::{Position, ProductNo, Stream, VariantNo, Version, WarehouseNo};
use crate::place::{Account, Bucket, Buckets, Place, Posting};
use crate::time::Timestamp;

/// Where stock of one variant lies: a warehouse and the variant.
pub(crate) type StockKey = (WarehouseNo, VariantNo);

/// What a transfer has on the way, by variant.
type TransitLines = SmallVec<[(VariantNo, i64); 1]>;

/// A warehouse, as decisions need it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warehouse {
    /// Its unique code.
    pub code: Box<str>,
    /// Whether it takes stock events.
    pub active: bool,
    /// The version of its stream's last event.
    pub version: Version,
}

/// A product, as decisions need it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Product {
    /// Whether it is in use.
    pub active: bool,
}

/// A variant, as decisions need it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variant {
    /// Its unique SKU.
    pub sku: Box<str>,
    /// Whether it takes stock events.
    pub active: bool,
    /// When its goods expire.
    pub expires_at: Option<Timestamp>,
}

/// What an order holds by one RESERVATION event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reservation {
    /// The position of the event that made it.
    pub id: Position,
    /// Where.
    pub warehouse: WarehouseNo,
    /// When what is still reserved becomes available again.
    pub expires_at: Option<Timestamp>,
    /// What is left of it, by variant.
    pub lines: SmallVec<[HeldLine; 1]>,
}

/// What a reservation holds of one variant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeldLine {
    /// Of what.
    pub variant: VariantNo,
    /// Units reserved, picked and packed.
    pub held: [i64; 3],
}

impl HeldLine {
    /// The units of this line in `bucket`; none but in reserved, picked and packed.
    pub fn of(&self, bucket: Bucket) -> i64 {
        held_index(bucket).map_or(0, |index| self.held[index])
    }
}

/// The place of `bucket` in [`HeldLine::held`].
fn held_index(bucket: Bucket) -> Option<usize> {
    match bucket {
        Bucket::Reserved => Some(0),
        Bucket::Picked => Some(1),
        Bucket::Packed => Some(2),
        Bucket::Available | Bucket::Held => None,
    }
}

impl Reservation {
    /// The units of `variant` that this reservation has in `bucket`.
    pub fn holds(&self, variant: VariantNo, bucket: Bucket) -> i64 {
        self.lines
            .iter()
            .find(|line| line.variant == variant)
            .map_or(0, |line| line.of(bucket))
    }

    /// Whether what is reserved has become available again at `now`.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// An event that does not follow from the state: the log is not what this program wrote, or the program is wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the event at position {position} does not follow from those before it: {what}")]
pub struct Inconsistent {
    /// Where.
    pub position: Position,
    /// What does not fit.
    pub what: &'static str,
}

/// The fold of all events up to [`State::head`].
#[derive(Clone, Debug, Default)]
pub struct State {
    pub(crate) head: Position,
    pub(crate) recorded_at: Timestamp,
    pub(crate) catalogue_version: Version,
    pub(crate) warehouses: Vec<Warehouse>,
    pub(crate) products: Vec<Product>,
    pub(crate) variants: Vec<Variant>,
    /// Numbers of warehouses by code, of variants by SKU: the texts stand in the lists above only.
    pub(crate) codes: HashTable<WarehouseNo>,
    pub(crate) skus: HashTable<VariantNo>,
    pub(crate) stock: HashMap<StockKey, Buckets, FixedState>,
    pub(crate) orders: HashMap<Box<str>, Vec<Reservation>, FixedState>,
    /// Reservations with an expiry and something still reserved, by expiry: whose they are.
    pub(crate) expiries: BTreeMap<(Timestamp, Position), Box<str>>,
    /// The same ones by stock key, unordered.
    pub(crate) expiring: HashMap<StockKey, SmallVec<[(Timestamp, Position); 1]>, FixedState>,
    pub(crate) transits: HashMap<Box<str>, TransitLines, FixedState>,
}

fn hash_text(text: &str) -> u64 {
    use std::hash::BuildHasher;
    FixedState::default().hash_one(text)
}

fn index_of(no: u32) -> Option<usize> {
    (no as usize).checked_sub(1)
}

impl State {
    /// The position of the last event folded in; 0 before the first.
    pub fn head(&self) -> Position {
        self.head
    }

    /// When the last event was recorded.
    pub fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    /// The warehouse with this number.
    pub fn warehouse(&self, no: WarehouseNo) -> Option<&Warehouse> {
        self.warehouses.get(index_of(no.0)?)
    }

    /// The product with this number.
    pub fn product(&self, no: ProductNo) -> Option<&Product> {
        self.products.get(index_of(no.0)?)
    }

    /// The variant with this number.
    pub fn variant(&self, no: VariantNo) -> Option<&Variant> {
        self.variants.get(index_of(no.0)?)
    }

    /// The warehouse with this code.
    pub fn warehouse_by_code(&self, code: &str) -> Option<WarehouseNo> {
        let has_code = |no: &WarehouseNo| {
            self.warehouse(*no)
                .is_some_and(|warehouse| &*warehouse.code == code)
        };
        self.codes.find(hash_text(code), has_code).copied()
    }

    /// The variant with this SKU.
    pub fn variant_by_sku(&self, sku: &str) -> Option<VariantNo> {
        let has_sku = |no: &VariantNo| self.variant(*no).is_some_and(|variant| &*variant.sku == sku);
        self.skus.find(hash_text(sku), has_sku).copied()
    }

    /// How many warehouses, products and variants there are.
    pub fn catalogue_size(&self) -> (usize, usize, usize) {
        (self.warehouses.len(), self.products.len(), self.variants.len())
    }

    /// What lies in each bucket of a variant at a warehouse, by the events so far. What is reserved and has run out
    /// but was not recorded as such is still in `reserved`; [`State::available_at`] counts it as free.
    pub fn buckets(&self, warehouse: WarehouseNo, variant: VariantNo) -> Buckets {
        self.stock.get(&(warehouse, variant)).copied().unwrap_or_default()
    }

    /// How many units are free at the instant `now`, those of reservations that ran out by then included.
    pub fn available_at(&self, warehouse: WarehouseNo, variant: VariantNo, now: Timestamp) -> i64 {
        let run_out: i64 = self
            .due(warehouse, variant, now)
            .iter()
            .map(|r| r.holds(variant, Bucket::Reserved))
            .sum();
        self.buckets(warehouse, variant).available() + run_out
    }

    /// All stock, in no order.
    pub fn stock(&self) -> impl Iterator<Item = (WarehouseNo, VariantNo, Buckets)> + '_ {
        self.stock
            .iter()
            .map(|(&(warehouse, variant), &buckets)| (warehouse, variant, buckets))
    }

    /// What an order holds, in the order of reserving.
    pub fn reservations(&self, order: &str) -> &[Reservation] {
        self.orders.get(order).map_or(&[], Vec::as_slice)
    }

    /// How many units of a variant a transfer has on the way.
    pub fn in_transit(&self, transfer: &str, variant: VariantNo) -> i64 {
        let lines = self
            .transits
            .get(transfer)
            .map_or(&[][..], |lines| lines.as_slice());
        lines
            .iter()
            .find(|(of, _)| *of == variant)
            .map_or(0, |(_, quantity)| *quantity)
    }

    /// All that is on the way between warehouses: transfer, variant, units.
    pub fn transits(&self) -> impl Iterator<Item = (&str, VariantNo, i64)> + '_ {
        self.transits.iter().flat_map(|(id, lines)| {
            lines
                .iter()
                .map(|&(variant, quantity)| (&**id, variant, quantity))
        })
    }

    /// When the next reservation runs out that has not been recorded as run out.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.expiries.first_key_value().map(|(&(at, _), _)| at)
    }

    /// The version that the next event of `stream` gets.
    pub fn next_version(&self, stream: Stream) -> Version {
        let last = match stream {
            Stream::Catalogue => self.catalogue_version,
            Stream::Warehouse(no) => self
                .warehouse(no)
                .map_or(Version(0), |warehouse| warehouse.version),
        };
        last.next()
    }

    /// Reservations of a variant at a warehouse that have run out by `now`, first expiry first.
    pub(crate) fn due(
        &self,
        warehouse: WarehouseNo,
        variant: VariantNo,
        now: Timestamp,
    ) -> Vec<&Reservation> {
        if self.next_expiry().is_none_or(|at| at > now) {
            return Vec::new();
        }
        let mut due: SmallVec<[(Timestamp, Position); 8]> = self
            .expiring
            .get(&(warehouse, variant))
            .map(|all| all.iter().copied().filter(|&(at, _)| at <= now).collect())
            .unwrap_or_default();
        due.sort_unstable();
        due.iter().filter_map(|key| self.reservation(*key)).collect()
    }

    /// The reservation that `expiries` has under `key`.
    pub(crate) fn reservation(&self, key: (Timestamp, Position)) -> Option<&Reservation> {
        let order = self.expiries.get(&key)?;
        self.reservations(order)
            .iter()
            .find(|reservation| reservation.id == key.1)
    }

    /// Folds in the event after [`State::head`]. On an error the state is no longer to be used.
    pub fn apply(&mut self, recorded: &Recorded) -> Result<(), Inconsistent> {
        let position = recorded.position;
        let inconsistent = |what| Inconsistent { position, what };
        if position != self.head.next() {
            return Err(inconsistent("its position is not the next"));
        }
        if recorded.recorded_at < self.recorded_at {
            return Err(inconsistent("it was recorded before the last one"));
        }
        let stream = recorded.record.event.stream();
        if recorded.record.version != self.next_version(stream) {
            return Err(inconsistent("its version is not the next of its stream"));
        }
        match &recorded.record.event {
            Event::Stock(event) => self.apply_stock(position, event).map_err(inconsistent)?,
            Event::Catalogue(event) => {
                self.apply_catalogue(event).map_err(inconsistent)?;
                self.catalogue_version = recorded.record.version;
            }
        }
        self.head = position;
        self.recorded_at = recorded.recorded_at;
        Ok(())
    }

    fn apply_stock(&mut self, position: Position, event: &StockEvent) -> Result<(), &'static str> {
        let warehouse = index_of(event.warehouse.0).and_then(|index| self.warehouses.get_mut(index));
        let warehouse = warehouse.ok_or("there is no such warehouse")?;
        warehouse.version = warehouse.version.next();
        if event.kind == Kind::Reservation {
            self.open_reservation(position, event)?;
        }
        for posting in &event.postings {
            self.move_stock(event.warehouse, posting)?;
            self.move_held(position, event, posting)?;
            self.move_transit(event, posting)?;
        }
        Ok(())
    }

    fn move_stock(&mut self, warehouse: WarehouseNo, posting: &Posting) -> Result<(), &'static str> {
        let buckets = self.stock.entry((warehouse, posting.variant)).or_default();
        *buckets = buckets
            .after(posting)
            .ok_or("a bucket would fall below zero or overflow")?;
        Ok(())
    }

    fn open_reservation(&mut self, id: Position, event: &StockEvent) -> Result<(), &'static str> {
        let order = event.order.as_deref().ok_or("a reservation names no order")?;
        let reservation = Reservation {
            id,
            warehouse: event.warehouse,
            expires_at: event.expires_at,
            lines: event
                .postings
                .iter()
                .map(|p| HeldLine {
                    variant: p.variant,
                    held: [0; 3],
                })
                .collect(),
        };
        if let Some(at) = event.expires_at {
            self.expiries.insert((at, id), order.into());
            for posting in &event.postings {
                self.expiring
                    .entry((event.warehouse, posting.variant))
                    .or_default()
                    .push((at, id));
            }
        }
        self.orders.entry(order.into()).or_default().push(reservation);
        Ok(())
    }

    /// Moves what the posting's reservation holds, and forgets lines, reservations and orders that hold no more.
    fn move_held(&mut self, position: Position, event: &StockEvent, p: &Posting) -> Result<(), &'static str> {
        let index = |place| {
            if let Place::Bucket(bucket) = place {
                held_index(bucket)
            } else {
                None
            }
        };
        let (from, to) = (index(p.from), index(p.to));
        if from.is_none() && to.is_none() {
            return Ok(());
        }
        let id = p.reservation.unwrap_or(position);
        let order = event
            .order
            .as_deref()
            .ok_or("it moves an order's stock and names no order")?;
        let reservations = self.orders.get_mut(order).ok_or("the order holds nothing")?;
        let at = reservations
            .iter()
            .position(|r| r.id == id)
            .ok_or("there is no such reservation")?;
        let reservation = &mut reservations[at];
        let line_at = reservation
            .lines
            .iter()
            .position(|line| line.variant == p.variant);
        let line_at = line_at.ok_or("the reservation does not hold this variant")?;
        let held = &mut reservation.lines[line_at].held;
        if let Some(from) = from {
            held[from] = held[from]
                .checked_sub(p.quantity)
                .filter(|&left| left >= 0)
                .ok_or("more than was held")?;
        }
        if let Some(to) = to {
            held[to] = held[to]
                .checked_add(p.quantity)
                .ok_or("a held quantity overflows")?;
        }
        let (held, expires_at) = (*held, reservation.expires_at);
        if held == [0; 3] {
            reservation.lines.remove(line_at);
        }
        let nothing_reserved = reservation.lines.iter().all(|line| line.held[0] == 0);
        if reservation.lines.is_empty() {
            reservations.remove(at);
            if reservations.is_empty() {
                self.orders.remove(order);
            }
        }
        if let Some(at) = expires_at {
            if held[0] == 0 {
                self.forget_expiring((event.warehouse, p.variant), (at, id));
            }
            if nothing_reserved {
                self.expiries.remove(&(at, id));
            }
        }
        Ok(())
    }

    fn forget_expiring(&mut self, key: StockKey, reservation: (Timestamp, Position)) {
        if let Some(all) = self.expiring.get_mut(&key) {
            all.retain(|one| *one != reservation);
            if all.is_empty() {
                self.expiring.remove(&key);
            }
        }
    }

    fn move_transit(&mut self, event: &StockEvent, posting: &Posting) -> Result<(), &'static str> {
        let transit = Place::Account(Account::Transit);
        let change = match (posting.from == transit, posting.to == transit) {
            (false, false) => return Ok(()),
            (true, _) => -posting.quantity,
            (false, true) => posting.quantity,
        };
        let transfer = event
            .transfer
            .as_deref()
            .ok_or("it moves a transfer's stock and names no transfer")?;
        let lines = self.transits.entry(transfer.into()).or_default();
        let at = lines
            .iter()
            .position(|(variant, _)| *variant == posting.variant)
            .unwrap_or_else(|| {
                lines.push((posting.variant, 0));
                lines.len() - 1
            });
        let line = &mut lines[at];
        line.1 = line
            .1
            .checked_add(change)
            .filter(|&left| left >= 0)
            .ok_or("more than was on the way")?;
        if line.1 == 0 {
            lines.swap_remove(at);
        }
        if lines.is_empty() {
            self.transits.remove(transfer);
        }
        Ok(())
    }

    fn apply_catalogue(&mut self, event: &CatalogueEvent) -> Result<(), &'static str> {
        match event {
            CatalogueEvent::WarehouseCreated { no, code, .. } => {
                expect_number(no.0, self.warehouses.len())?;
                self.add_warehouse(Warehouse {
                    code: code.clone(),
                    active: true,
                    version: Version(0),
                });
            }
            CatalogueEvent::WarehouseChanged { no, code, .. } => {
                if let Some(code) = code {
                    self.recode_warehouse(*no, code)?;
                }
            }
            CatalogueEvent::WarehouseActivated(no) => self.warehouse_mut(*no)?.active = true,
            CatalogueEvent::WarehouseDeactivated(no) => self.warehouse_mut(*no)?.active = false,
            CatalogueEvent::ProductCreated { no, .. } => {
                expect_number(no.0, self.products.len())?;
                self.products.push(Product { active: true });
            }
            CatalogueEvent::ProductChanged { no, .. } => drop(self.product_mut(*no)?),
            CatalogueEvent::ProductActivated(no) => self.product_mut(*no)?.active = true,
            CatalogueEvent::ProductDeactivated(no) => self.product_mut(*no)?.active = false,
            CatalogueEvent::VariantCreated {
                no, sku, expires_at, ..
            } => {
                expect_number(no.0, self.variants.len())?;
                self.add_variant(Variant {
                    sku: sku.clone(),
                    active: true,
                    expires_at: *expires_at,
                });
            }
            CatalogueEvent::VariantChanged {
                no, sku, expires_at, ..
            } => {
                if let Some(expires_at) = expires_at {
                    self.variant_mut(*no)?.expires_at = *expires_at;
                }
                if let Some(sku) = sku {
                    self.recode_variant(*no, sku)?;
                }
            }
            CatalogueEvent::VariantActivated(no) => self.variant_mut(*no)?.active = true,
            CatalogueEvent::VariantDeactivated(no) => self.variant_mut(*no)?.active = false,
        }
        Ok(())
    }

    fn warehouse_mut(&mut self, no: WarehouseNo) -> Result<&mut Warehouse, &'static str> {
        index_of(no.0)
            .and_then(|index| self.warehouses.get_mut(index))
            .ok_or("there is no such warehouse")
    }

    fn product_mut(&mut self, no: ProductNo) -> Result<&mut Product, &'static str> {
        index_of(no.0)
            .and_then(|index| self.products.get_mut(index))
            .ok_or("there is no such product")
    }

    fn variant_mut(&mut self, no: VariantNo) -> Result<&mut Variant, &'static str> {
        index_of(no.0)
            .and_then(|index| self.variants.get_mut(index))
            .ok_or("there is no such variant")
    }

    pub(crate) fn add_warehouse(&mut self, warehouse: Warehouse) {
        self.warehouses.push(warehouse);
        self.index_code(WarehouseNo(self.warehouses.len() as u32));
    }

    pub(crate) fn add_variant(&mut self, variant: Variant) {
        self.variants.push(variant);
        self.index_sku(VariantNo(self.variants.len() as u32));
    }

    fn recode_warehouse(&mut self, no: WarehouseNo, code: &str) -> Result<(), &'static str> {
        let old = hash_text(&self.warehouse_mut(no)?.code);
        if let Ok(entry) = self.codes.find_entry(old, |one| *one == no) {
            entry.remove();
        }
        self.warehouse_mut(no)?.code = code.into();
        self.index_code(no);
        Ok(())
    }

    fn recode_variant(&mut self, no: VariantNo, sku: &str) -> Result<(), &'static str> {
        let old = hash_text(&self.variant_mut(no)?.sku);
        if let Ok(entry) = self.skus.find_entry(old, |one| *one == no) {
            entry.remove();
        }
        self.variant_mut(no)?.sku = sku.into();
        self.index_sku(no);
        Ok(())
    }

    fn index_code(&mut self, no: WarehouseNo) {
        let State {
            codes, warehouses, ..
        } = self;
        let hash = |no: &WarehouseNo| {
            hash_text(
                index_of(no.0)
                    .and_then(|i| warehouses.get(i))
                    .map_or("", |warehouse| &warehouse.code),
            )
        };
        codes.insert_unique(hash(&no), no, hash);
    }

    fn index_sku(&mut self, no: VariantNo) {
        let State { skus, variants, .. } = self;
        let hash = |no: &VariantNo| {
            hash_text(
                index_of(no.0)
                    .and_then(|i| variants.get(i))
                    .map_or("", |v| &v.sku),
            )
        };
        skus.insert_unique(hash(&no), no, hash);
    }
}

/// A created thing gets the number after the last one's.
fn expect_number(no: u32, count: usize) -> Result<(), &'static str> {
    if no as usize == count + 1 {
        Ok(())
    } else {
        Err("its number is not the next")
    }
}
