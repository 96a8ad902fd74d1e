//! What the ledger must know to decide: the fold of all events so far.
//!
//! Memory grows with stock keys, open reservations and the catalogue, never with history. This module answers
//! questions about a state; [`State::apply`] is the only thing that changes one.

mod apply;
mod catalogue;
mod count;
mod held;
mod lots;
mod orders;
mod shelf;
mod text_hash;
mod transfer;

use std::collections::{BTreeMap, BTreeSet};

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use smallvec::SmallVec;

pub use apply::Inconsistent;
pub use count::Count;
pub(crate) use count::Moved;
pub use held::{HeldLine, Reservation};
pub(crate) use orders::Orders;
use shelf::Holder;
pub(crate) use shelf::{Shelf, StockKey};
use text_hash::TextHash;
pub use transfer::{Transfer, TransitLine};

use crate::command::Command;
use crate::event::Event;
use crate::id::{LedgerId, Position, ProductNo, Stream, VariantNo, Version, WarehouseNo};
use crate::place::{Bucket, Buckets};
use crate::policy::NegativeStock;
use crate::time::Timestamp;

/// What a transfer that is known by name only has on the way, ordered by variant.
pub(crate) type TransitLines = SmallVec<[(VariantNo, i64); 1]>;

/// A warehouse, as decisions need it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Warehouse {
    /// Its unique code.
    pub code: Box<str>,
    /// Whether it takes stock events.
    pub active: bool,
    /// What happens when a physical fact takes more than is available.
    pub negative_stock: NegativeStock,
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
    /// Whether its stock lies in lots, or it is one.
    pub tracking: Tracking,
}

/// How the stock of a variant is told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tracking {
    /// Not at all.
    #[default]
    Whole,
    /// By lot: all of it is of the numbers of its lots, and none of its own.
    InLots,
    /// This is the number of a lot of another variant, and the "SKU" the lot's code.
    LotOf(VariantNo),
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
    text_hash: TextHash,
    /// Numbers of warehouses by code, of variants by SKU: the texts stand in the lists above only.
    codes: HashTable<WarehouseNo>,
    skus: HashTable<VariantNo>,
    lots: lots::Lots,
    pub(crate) stock: HashMap<StockKey, Shelf, FixedState>,
    /// What orders hold.
    pub(crate) orders: Orders,
    /// Reservations with an expiry and something still reserved, by expiry: whose they are.
    pub(crate) expiries: BTreeMap<(Timestamp, Position), Box<str>>,
    /// The same ones by the stock keys at which they have something reserved.
    pub(crate) expiring: BTreeSet<(StockKey, Timestamp, Position)>,
    /// Transfers that are known by name only.
    pub(crate) transits: HashMap<Box<str>, TransitLines, TextHash>,
    /// Transfers that have something on the way, by the position of the event that opened them.
    pub(crate) transfers: BTreeMap<Position, Transfer>,
    /// The same ones by the names that their callers gave them, as far as they did.
    pub(crate) transfer_names: HashMap<Box<str>, Position, TextHash>,
    /// Units of lots out of use that are held since then and for that, by where they lie: releasing the lot makes them
    /// available.
    pub(crate) set_aside: BTreeMap<StockKey, i64>,
    /// Exceptions that nobody has seen to: the events that made them, and where.
    pub(crate) exceptions: BTreeMap<Position, WarehouseNo>,
    /// Counts that are open, by the events that opened them.
    pub(crate) counts: BTreeMap<Position, Count>,
    /// Which of them a key is under; those of everything at a warehouse under [`count::EVERYTHING`].
    counting: BTreeMap<StockKey, Position>,
    /// When keys were counted last, by counts that were approved.
    pub(crate) counted: HashMap<StockKey, Timestamp, FixedState>,
    /// The latest of these instants.
    pub(crate) counted_max: Timestamp,
}

/// The index in a list of the thing with number `no`.
fn index_of(no: u32) -> Option<usize> {
    (no as usize).checked_sub(1)
}

impl State {
    /// The state of a ledger before its first event. The ledger's identity seeds its hash tables and has no other
    /// effect; `State::default()` is the same under a seed that everybody knows.
    pub fn new(ledger: LedgerId) -> State {
        let text_hash = TextHash::new(ledger.seed());
        State {
            text_hash,
            stock: HashMap::with_hasher(FixedState::with_seed(ledger.seed())),
            counted: HashMap::with_hasher(FixedState::with_seed(ledger.seed())),
            orders: Orders::new(text_hash),
            transits: HashMap::with_hasher(text_hash),
            transfer_names: HashMap::with_hasher(text_hash),
            ..State::default()
        }
    }

    /// The position of the last event folded in; 0 before the first.
    pub fn head(&self) -> Position {
        self.head
    }

    /// When the last event was recorded.
    pub fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    /// The version of the catalogue's last event.
    pub fn catalogue_version(&self) -> Version {
        self.catalogue_version
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

    /// The numbers of all warehouses.
    pub(crate) fn warehouse_numbers(&self) -> impl Iterator<Item = WarehouseNo> + use<> {
        (1..=u32::try_from(self.warehouses.len()).unwrap_or(u32::MAX)).map(WarehouseNo)
    }

    /// How many warehouses, products and variants there are.
    pub fn catalogue_size(&self) -> (usize, usize, usize) {
        (self.warehouses.len(), self.products.len(), self.variants.len())
    }

    /// What lies in each bucket of a variant at a warehouse, by the events so far. What is reserved and has run out
    /// but was not recorded as such is still in `reserved`; [`State::available_at`] counts it as free.
    pub fn buckets(&self, warehouse: WarehouseNo, variant: VariantNo) -> Buckets {
        self.stock
            .get(&StockKey::new(warehouse, variant))
            .map_or_else(Buckets::default, Shelf::buckets)
    }

    /// The units available by the events so far.
    pub(crate) fn available(&self, warehouse: WarehouseNo, variant: VariantNo) -> i64 {
        self.stock
            .get(&StockKey::new(warehouse, variant))
            .map_or(0, Shelf::available)
    }

    /// The units on hand by the events so far.
    pub(crate) fn on_hand(&self, warehouse: WarehouseNo, variant: VariantNo) -> i64 {
        self.stock
            .get(&StockKey::new(warehouse, variant))
            .map_or(0, Shelf::on_hand)
    }

    /// Looks up what deciding `command` will look up, and does nothing with it.
    ///
    /// A processor waits for memory at each decision, because the next depends on it; these look-ups depend on
    /// nothing, so that those of a batch wait together. Worth it for a batch of commands on a state that is larger
    /// than the caches.
    pub fn warm(&self, command: &Command) {
        if let Command::Stock(command) = command {
            for line in &command.lines {
                let active = self.variant(line.variant).is_some_and(|variant| variant.active);
                std::hint::black_box((active, self.available(command.warehouse, line.variant)));
            }
            if let Some(order) = &command.order {
                std::hint::black_box(self.reservations(order).first().map(|one| one.id));
            }
        }
    }

    /// Looks up what applying `event` will look up, and does nothing with it: [`State::warm`] for a replay.
    pub fn warm_event(&self, event: &Event) {
        if let Event::Stock(event) = event {
            for posting in &event.postings {
                std::hint::black_box(self.available(event.warehouse, posting.variant));
            }
            if let Some(order) = &event.order {
                std::hint::black_box(self.reservations(order).first().map(|one| one.id));
            }
        }
    }

    /// How many units are free at the instant `now`, those of reservations that ran out by then included.
    ///
    /// Of a variant that lies in lots, those of all of them.
    pub fn available_at(&self, warehouse: WarehouseNo, variant: VariantNo, now: Timestamp) -> i64 {
        let lots = self.lots_at(warehouse, variant);
        lots.map(|lot| self.available_of(warehouse, lot, now))
            .fold(self.available_of(warehouse, variant, now), i64::saturating_add)
    }

    fn available_of(&self, warehouse: WarehouseNo, variant: VariantNo, now: Timestamp) -> i64 {
        self.due(warehouse, variant, now)
            .map(|reservation| reservation.holds(variant, Bucket::Reserved))
            .fold(self.available(warehouse, variant), i64::saturating_add)
    }

    /// All stock, in no order.
    pub fn stock(&self) -> impl Iterator<Item = (WarehouseNo, VariantNo, Buckets)> + '_ {
        self.stock
            .iter()
            .map(|(key, shelf)| (key.warehouse(), key.variant(), shelf.buckets()))
    }

    /// What an order holds, in the order of reserving.
    pub fn reservations(&self, order: &str) -> &[Reservation] {
        self.orders.of(order)
    }

    /// How many units of a variant a transfer that is known by name only has on the way.
    pub fn in_transit(&self, transfer: &str, variant: VariantNo) -> i64 {
        let lines = self.transits.get(transfer).map_or(&[][..], |lines| lines);
        let at = lines.binary_search_by_key(&variant, |(of, _)| *of).ok();
        at.and_then(|at| lines.get(at)).map_or(0, |(_, units)| *units)
    }

    /// All that is on the way under transfers that are known by name only: transfer, variant, units.
    pub fn transits(&self) -> impl Iterator<Item = (&str, VariantNo, i64)> + '_ {
        self.transits
            .iter()
            .flat_map(|(id, lines)| lines.iter().map(|&(variant, units)| (&**id, variant, units)))
    }

    /// Exceptions that nobody has cleared, by the events that made them, and where.
    pub fn open_exceptions(&self) -> impl Iterator<Item = (Position, WarehouseNo)> + '_ {
        self.exceptions.iter().map(|(&id, &warehouse)| (id, warehouse))
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
    ) -> impl Iterator<Item = &Reservation> {
        let anything = self.next_expiry().is_some_and(|at| at <= now);
        let key = StockKey::new(warehouse, variant);
        let due = (key, Timestamp::MIN, Position(0))..=(key, now, Position(u64::MAX));
        let due = anything.then(|| self.expiring.range(due));
        due.into_iter()
            .flatten()
            .filter_map(|&(_, at, id)| self.expiring_reservation(at, id))
    }

    /// The reservation that `expiries` has under this key.
    pub(crate) fn expiring_reservation(&self, at: Timestamp, id: Position) -> Option<&Reservation> {
        let reservations = self.reservations(self.expiries.get(&(at, id))?);
        let at = reservations.binary_search_by_key(&id, |one| one.id).ok()?;
        reservations.get(at)
    }
}
