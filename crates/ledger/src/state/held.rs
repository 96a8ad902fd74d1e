//! What orders hold: reservations and their lines.

use smallvec::SmallVec;

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
    /// variant are still reserved.
    pub(super) fn post(&mut self, posting: &Posting) -> Result<i64, &'static str> {
        let found = self.lines.iter_mut().enumerate();
        let mut found = found.filter(|(_, line)| line.variant == posting.variant);
        let (at, line) = found.next().ok_or("the reservation does not hold this variant")?;
        line.post(posting)?;
        let [reserved, picked, packed] = line.held;
        if reserved == 0 && picked == 0 && packed == 0 {
            self.lines.remove(at);
        }
        Ok(reserved)
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

/// Whether what is in `place` is an order's.
pub(super) fn is_held(place: Place) -> bool {
    matches!(
        place,
        Place::Bucket(Bucket::Reserved | Bucket::Picked | Bucket::Packed)
    )
}
