//! What orders hold: reservations and their lines.

use smallvec::SmallVec;

use super::{Holder, Shelf, State, StockKey};
use crate::id::{Position, VariantNo, WarehouseNo};
use crate::place::{Bucket, Place, Posting};
use crate::time::Timestamp;

/// What an order holds by one RESERVATION event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reservation {
    /// The position of the event that made it.
    pub id: Position,
    /// Where.
    pub warehouse: WarehouseNo,
    /// When it was made: the ledger promised the goods when it recorded that. Known as far as it matters to a count; else
    /// the earliest instant there is.
    pub made_at: Timestamp,
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

    /// Carries `posting` out on what is held, and forgets a line that holds no more. Answers how many units of the
    /// variant are still reserved, and whether any are still held.
    pub(super) fn post(&mut self, posting: &Posting) -> Result<(i64, bool), &'static str> {
        let found = self.lines.iter_mut().enumerate();
        let mut found = found.filter(|(_, line)| line.variant == posting.variant);
        let (at, line) = found.next().ok_or("the reservation does not hold this variant")?;
        line.post(posting)?;
        let [reserved, picked, packed] = line.held;
        let is_held = reserved != 0 || picked != 0 || packed != 0;
        if !is_held {
            self.lines.remove(at);
        }
        Ok((reserved, is_held))
    }

    pub(crate) fn has_reserved(&self) -> bool {
        self.lines.iter().any(|line| line.of(Bucket::Reserved) > 0)
    }
}

impl HeldLine {
    /// The units of this line in `bucket`; none but in reserved, picked and packed.
    pub fn of(&self, bucket: Bucket) -> i64 {
        let [reserved, picked, packed] = self.held;
        match bucket {
            Bucket::Reserved => reserved,
            Bucket::Picked => picked,
            Bucket::Packed => packed,
            Bucket::Available | Bucket::Held => 0,
        }
    }

    fn post(&mut self, posting: &Posting) -> Result<(), &'static str> {
        if let Some(units) = self.units_mut(posting.from) {
            let left = units.checked_sub(posting.quantity).filter(|left| *left >= 0);
            *units = left.ok_or("it takes more than was held")?;
        }
        if let Some(units) = self.units_mut(posting.to) {
            let more = units.checked_add(posting.quantity);
            *units = more.ok_or("a held quantity overflows")?;
        }
        Ok(())
    }

    fn units_mut(&mut self, place: Place) -> Option<&mut i64> {
        let [reserved, picked, packed] = &mut self.held;
        match place {
            Place::Bucket(Bucket::Reserved) => Some(reserved),
            Place::Bucket(Bucket::Picked) => Some(picked),
            Place::Bucket(Bucket::Packed) => Some(packed),
            Place::Bucket(Bucket::Available | Bucket::Held) | Place::Account(_) => None,
        }
    }
}

impl State {
    /// Adds a reservation that a snapshot has of stock that it has. [`State::sort_holders`] is to be called behind the last one.
    pub(crate) fn add_reservation(
        &mut self,
        order: &str,
        reservation: Reservation,
    ) -> Result<(), &'static str> {
        let (id, warehouse) = (reservation.id, reservation.warehouse);
        let variants: SmallVec<[VariantNo; 4]> = reservation.lines.iter().map(|line| line.variant).collect();
        let slot = self.orders.add(order, reservation)?;
        let holder = Holder {
            reservation: id,
            slot,
        };
        for variant in variants {
            self.note_holder(StockKey::new(warehouse, variant), holder)?;
        }
        Ok(())
    }

    /// Puts what reservations hold in the order of reserving.
    pub(crate) fn sort_holders(&mut self) {
        self.stock.values_mut().for_each(Shelf::sort_holders);
    }

    /// Notes that a reservation holds some of what lies at a key.
    pub(super) fn note_holder(&mut self, key: StockKey, holder: Holder) -> Result<(), &'static str> {
        let noted = self
            .stock
            .get_mut(&key)
            .and_then(|shelf| shelf.note_holder(holder));
        noted.ok_or("a reservation of what is not there")
    }

    /// The reservations that hold some of a variant at a warehouse and their orders, last made first.
    pub(crate) fn holders(
        &self,
        warehouse: WarehouseNo,
        variant: VariantNo,
    ) -> impl Iterator<Item = (&str, &Reservation)> {
        let shelf = self.stock.get(&StockKey::new(warehouse, variant));
        let holders = shelf.into_iter().flat_map(Shelf::holders);
        holders.filter_map(|one| self.orders.at(one.slot, one.reservation))
    }
}

/// Whether what is in `place` is an order's.
pub(super) fn is_held(place: Place) -> bool {
    matches!(
        place,
        Place::Bucket(Bucket::Reserved | Bucket::Picked | Bucket::Packed)
    )
}
