//! Which reservations each order has.
//!
//! Orders come and go by the million, one reservation in each, mostly. So an order takes no memory of its own but for its
//! name: it stands in a list, in a slot that another order takes after it. An index of hashes leads there, which grows
//! without looking at any order.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::Reservation;
use super::text_hash::TextHash;
use crate::id::Position;

/// The number of no slot.
pub(super) const NO_SLOT: u32 = u32::MAX;

/// What all orders hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Orders {
    text_hash: TextHash,
    index: HashTable<Entry>,
    slots: Vec<Order>,
    /// Slots of orders that hold nothing any more.
    free: Vec<u32>,
}

/// Where an order stands. Hashes are kept, so that the index can grow by itself.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u64,
    slot: u32,
}

/// An order, or a slot for one: that has no reservations.
#[derive(Clone, Debug, Default)]
struct Order {
    name: Box<str>,
    /// In the order of reserving.
    reservations: SmallVec<[Reservation; 1]>,
}

impl Orders {
    /// No orders, whose names will be hashed by `text_hash`.
    pub(super) fn new(text_hash: TextHash) -> Orders {
        Orders {
            text_hash,
            ..Orders::default()
        }
    }

    /// What an order holds, in the order of reserving.
    pub(crate) fn of(&self, name: &str) -> &[Reservation] {
        let found = self.find(self.text_hash.hash_one(name), name);
        let order = found.and_then(|slot| self.slots.get(slot as usize));
        order.map_or(&[], |order| &order.reservations)
    }

    /// Everything that is held: orders in no order, the reservations of each in the order of reserving.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[Reservation])> {
        let there = self.slots.iter().filter(|order| !order.reservations.is_empty());
        there.map(|order| (&*order.name, &*order.reservations))
    }

    /// The reservation of the order in a slot, and the order, if it is still there.
    pub(super) fn at(&self, slot: u32, id: Position) -> Option<(&str, &Reservation)> {
        let order = self.slots.get(slot as usize)?;
        let at = order.reservations.binary_search_by_key(&id, |one| one.id).ok()?;
        Some((&order.name, order.reservations.get(at)?))
    }

    /// All reservations, in no order.
    pub(crate) fn reservations(&self) -> impl Iterator<Item = &Reservation> {
        self.slots.iter().flat_map(|order| &order.reservations)
    }

    /// The same, to be changed.
    pub(crate) fn reservations_mut(&mut self) -> impl Iterator<Item = &mut Reservation> {
        self.slots.iter_mut().flat_map(|order| &mut order.reservations)
    }

    /// Adds a reservation, which was made after all others of the order. Answers the order's slot.
    pub(super) fn add(&mut self, name: &str, reservation: Reservation) -> Result<u32, &'static str> {
        let hash = self.text_hash.hash_one(name);
        if let Some(slot) = self.find(hash, name)
            && let Some(order) = self.slots.get_mut(slot as usize)
        {
            order.reservations.push(reservation);
            return Ok(slot);
        }
        let order = Order {
            name: name.into(),
            reservations: SmallVec::from_buf([reservation]),
        };
        let slot = self.put(order)?;
        self.index
            .insert_unique(hash, Entry { hash, slot }, |entry| entry.hash);
        Ok(slot)
    }

    /// Changes a reservation of an order, and forgets it and the order as far as they hold nothing then. Answers what
    /// `change` does.
    pub(super) fn change<T>(
        &mut self,
        name: &str,
        id: Position,
        change: impl FnOnce(&mut Reservation) -> Result<T, &'static str>,
    ) -> Result<T, &'static str> {
        let hash = self.text_hash.hash_one(name);
        let slot = self.find(hash, name).ok_or("the order holds nothing")?;
        let order = self.slots.get_mut(slot as usize);
        let order = order.ok_or("the order holds nothing")?;
        let at = order.reservations.binary_search_by_key(&id, |one| one.id).ok();
        let found = at.and_then(|at| Some((at, order.reservations.get_mut(at)?)));
        let (at, reservation) = found.ok_or("there is no such reservation")?;
        let answer = change(reservation)?;
        if reservation.lines.is_empty() {
            order.reservations.remove(at);
        }
        if order.reservations.is_empty() {
            *order = Order::default();
            self.free.push(slot);
            if let Ok(entry) = self.index.find_entry(hash, |entry| entry.slot == slot) {
                entry.remove();
            }
        }
        Ok(answer)
    }

    fn find(&self, hash: u64, name: &str) -> Option<u32> {
        let is_it = |entry: &Entry| {
            entry.hash == hash
                && self
                    .slots
                    .get(entry.slot as usize)
                    .is_some_and(|order| &*order.name == name)
        };
        self.index.find(hash, is_it).map(|entry| entry.slot)
    }

    /// Puts an order where there is room.
    fn put(&mut self, order: Order) -> Result<u32, &'static str> {
        if let Some(slot) = self.free.pop()
            && let Some(place) = self.slots.get_mut(slot as usize)
        {
            *place = order;
            return Ok(slot);
        }
        let slot = u32::try_from(self.slots.len())
            .ok()
            .filter(|slot| *slot != NO_SLOT);
        let slot = slot.ok_or("there are too many orders")?;
        self.slots.push(order);
        Ok(slot)
    }
}
