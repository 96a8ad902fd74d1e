//! Folding an event into the state. Nothing is decided here: what does not fit means a damaged log or a defect.

use smallvec::SmallVec;

use super::held::{HeldLine, Reservation, is_held};
use super::{Holder, State, StockKey, index_of};
use crate::event::{Event, ExceptionType, Kind, Recorded, StockEvent};
use crate::id::{Position, VariantNo, WarehouseNo};
use crate::place::{Account, Bucket, Place, Posting};
use crate::policy::NegativeStock;
use crate::time::Timestamp;

/// An event that does not follow from the state: the log is not what this program wrote, or the program is wrong.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the event at position {position} does not follow from those before it: {what}")]
pub struct Inconsistent {
    /// Where.
    pub position: Position,
    /// What does not fit.
    pub what: &'static str,
}

impl State {
    /// Folds in the event after [`State::head`]. On an error the state is no longer to be used.
    pub fn apply(&mut self, recorded: &Recorded) -> Result<(), Inconsistent> {
        let position = recorded.position;
        let inconsistent = |what| Inconsistent { position, what };
        if position != self.head.next() || position > Position::MAX {
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
            Event::Stock(event) => {
                let recorded_at = recorded.recorded_at;
                // Before anything that it finishes is forgotten.
                if !self.counts.is_empty() && event.kind != Kind::CountApproved {
                    self.note_moved(event, recorded_at);
                }
                self.apply_stock(position, event, recorded_at)
                    .map_err(inconsistent)?;
            }
            Event::Catalogue(event) => {
                self.apply_catalogue(event).map_err(inconsistent)?;
                self.catalogue_version = recorded.record.version;
            }
        }
        self.head = position;
        self.recorded_at = recorded.recorded_at;
        Ok(())
    }

    fn apply_stock(
        &mut self,
        position: Position,
        event: &StockEvent,
        recorded_at: Timestamp,
    ) -> Result<(), &'static str> {
        let warehouse = index_of(event.warehouse.0).and_then(|index| self.warehouses.get_mut(index));
        let warehouse = warehouse.ok_or("there is no such warehouse")?;
        warehouse.version = warehouse.version.next();
        let policy = warehouse.negative_stock;
        match event.kind {
            Kind::Extend => return self.extend(event),
            Kind::TransferExpected => return self.expect_transfer(event),
            Kind::TransferIn if event.about.is_some() => return self.receive_transfer(event),
            Kind::TransferClosed => return self.close_transfer(event),
            Kind::ExceptionCleared => return self.clear_exception(event),
            Kind::CountOpened => return self.open_count(position, event, recorded_at),
            Kind::Counted => return self.take_counted(event, recorded_at),
            Kind::CountCancelled => return self.cancel_count(event),
            _ => {}
        }
        if event.postings.is_empty() && event.kind != Kind::CountApproved {
            return Err("it moves nothing");
        }
        let holder = match event.kind {
            Kind::Reservation => Some(self.open_reservation(position, event, recorded_at)?),
            _ => None,
        };
        let opens_transfer = event.counterpart.is_some();
        if opens_transfer {
            self.open_transfer(position, event, recorded_at)?;
        }
        let exception = event.exception();
        // What takes available below zero says how far.
        let floor = match exception {
            None => 0,
            Some(ExceptionType::CountShortage) => 0,
            Some(ExceptionType::NegativeStock) => i64::MIN,
        };
        for posting in &event.postings {
            self.move_stock(event, posting, floor)?;
            let held = Place::Bucket(Bucket::Held);
            if posting.from == held || posting.to == held {
                self.note_set_aside(event.warehouse, posting);
            }
            if let Some(holder) = holder {
                self.note_holder(StockKey::new(event.warehouse, posting.variant), holder)?;
            } else if is_held(posting.from) || is_held(posting.to) {
                self.move_held(event, posting)?;
            }
            let transit = Place::Account(Account::Transit);
            if (posting.from == transit || posting.to == transit) && !opens_transfer {
                self.move_transit(event, posting)?;
            }
        }
        if event.kind == Kind::CountApproved {
            self.approve_count(event)?;
        }
        check_seen(event)?;
        if let Some(exception) = exception {
            self.open_exception(position, event, exception, policy)?;
        }
        Ok(())
    }

    /// Puts the event on the list of exceptions, if what it says of itself is so.
    fn open_exception(
        &mut self,
        position: Position,
        event: &StockEvent,
        exception: ExceptionType,
        policy: NegativeStock,
    ) -> Result<(), &'static str> {
        match exception {
            ExceptionType::CountShortage => {}
            ExceptionType::NegativeStock => {
                if policy != NegativeStock::Record {
                    return Err("available falls below zero where that is forbidden");
                }
                let below = |&(variant, units): &(VariantNo, i64)| {
                    units > 0 && self.available(event.warehouse, variant).checked_neg() == Some(units)
                };
                if !event.noted.iter().all(below) {
                    return Err("available is not as far below zero as it says");
                }
                // Whatever it took below zero it says.
                let says = |posting: &Posting| {
                    self.available(event.warehouse, posting.variant) >= 0
                        || event.seen().contains(&posting.variant)
                        || posting.from != Place::Bucket(Bucket::Available)
                        || event.noted.iter().any(|(variant, _)| *variant == posting.variant)
                };
                if !event.postings.iter().all(says) {
                    return Err("available falls below zero and it does not say so");
                }
            }
        }
        self.exceptions.insert(position, event.warehouse);
        Ok(())
    }

    fn clear_exception(&mut self, event: &StockEvent) -> Result<(), &'static str> {
        let id = event.about.ok_or("it clears no exception")?;
        if !event.postings.is_empty() {
            return Err("it clears an exception and moves stock");
        }
        match self.exceptions.remove(&id) {
            Some(warehouse) if warehouse == event.warehouse => Ok(()),
            _ => Err("there is no such exception to clear"),
        }
    }

    /// Moves what a posting moves, which leaves `floor` or more where it takes from what is available; whatever is given
    /// back or was brought by the same event, because a count had seen it, is taken all the same.
    pub(super) fn move_stock(
        &mut self,
        event: &StockEvent,
        posting: &Posting,
        floor: i64,
    ) -> Result<(), &'static str> {
        if posting.quantity < 1 {
            return Err("a posting moves less than one unit");
        }
        let is_seen = event.seen().contains(&posting.variant);
        let floor = if is_seen { i64::MIN } else { floor };
        self.stock
            .entry(StockKey::new(event.warehouse, posting.variant))
            .or_default()
            .post(posting, floor)
            .ok_or("a bucket would fall below zero or overflow")?;
        self.note_lot(event.warehouse, posting.variant)
    }

    /// Makes the reservation of what the event's postings reserve, and answers where it stands.
    fn open_reservation(
        &mut self,
        id: Position,
        event: &StockEvent,
        made_at: Timestamp,
    ) -> Result<Holder, &'static str> {
        let order = event.order.as_deref().ok_or("a reservation names no order")?;
        let mut lines = SmallVec::with_capacity(event.postings.len());
        for posting in &event.postings {
            if posting.from != Place::Bucket(Bucket::Available)
                || posting.to != Place::Bucket(Bucket::Reserved)
                || posting.reservation.is_some()
            {
                return Err("a reservation does something else than to reserve what is available");
            }
            lines.push(HeldLine {
                variant: posting.variant,
                held: [posting.quantity, 0, 0],
            });
        }
        let reservation = Reservation {
            id,
            warehouse: event.warehouse,
            made_at,
            expires_at: event.expires_at,
            lines,
        };
        let slot = self.orders.add(order, reservation)?;
        if let Some(at) = event.expires_at {
            let variants = event.postings.iter().map(|posting| posting.variant);
            self.note_expiry(event.warehouse, order, (at, id), variants);
        }
        Ok(Holder {
            reservation: id,
            slot,
        })
    }

    /// Notes that a reservation runs out at an instant, and of which variants it has something reserved.
    fn note_expiry(
        &mut self,
        warehouse: WarehouseNo,
        order: &str,
        (at, id): (Timestamp, Position),
        variants: impl Iterator<Item = VariantNo>,
    ) {
        self.expiries.insert((at, id), order.into());
        for variant in variants {
            self.expiring.insert((StockKey::new(warehouse, variant), at, id));
        }
    }

    /// Lets a reservation run out at another instant.
    fn extend(&mut self, event: &StockEvent) -> Result<(), &'static str> {
        let id = event.about.ok_or("it extends no reservation")?;
        let order = event.order.as_deref();
        let order = order.ok_or("it extends an order's reservation and names no order")?;
        let before = self.orders.change(order, id, |reservation| {
            let reserved = reservation
                .lines
                .iter()
                .map(|line| (line.variant, line.of(Bucket::Reserved)))
                .filter(|(_, units)| *units > 0);
            if !event.postings.is_empty()
                || reservation.warehouse != event.warehouse
                || event.noted.is_empty()
                || !reserved.eq(event.noted.iter().copied())
            {
                return Err("it says other things of the reservation than are so");
            }
            Ok(std::mem::replace(&mut reservation.expires_at, event.expires_at))
        })?;
        let variants = || event.noted.iter().map(|(variant, _)| *variant);
        if let Some(at) = before {
            self.expiries.remove(&(at, id));
            for variant in variants() {
                let key = StockKey::new(event.warehouse, variant);
                self.expiring.remove(&(key, at, id));
            }
        }
        if let Some(at) = event.expires_at {
            self.note_expiry(event.warehouse, order, (at, id), variants());
        }
        Ok(())
    }

    /// Moves what the posting's reservation holds.
    fn move_held(&mut self, event: &StockEvent, posting: &Posting) -> Result<(), &'static str> {
        let id = posting
            .reservation
            .ok_or("it moves an order's stock and names no reservation")?;
        let order = event.order.as_deref();
        let order = order.ok_or("it moves an order's stock and names no order")?;
        let key = StockKey::new(event.warehouse, posting.variant);
        let (reserved, is_held, expires_at, has_reserved) = self.orders.change(order, id, |reservation| {
            if reservation.warehouse != event.warehouse {
                return Err("the reservation is another warehouse's");
            }
            let (reserved, is_held) = reservation.post(posting)?;
            let expires_at = reservation.expires_at;
            Ok((reserved, is_held, expires_at, reservation.has_reserved()))
        })?;
        if !is_held && let Some(shelf) = self.stock.get_mut(&key) {
            shelf.forget_holder(id);
        }
        if let Some(at) = expires_at {
            self.forget_expiry((key, at, id), reserved > 0, has_reserved);
        }
        Ok(())
    }

    /// Forgets that a reservation runs out as far as it has nothing reserved any more: of one variant, or at all.
    fn forget_expiry(
        &mut self,
        expiring: (StockKey, Timestamp, Position),
        has_variant_reserved: bool,
        has_reserved: bool,
    ) {
        let (_, at, id) = expiring;
        if !has_variant_reserved {
            self.expiring.remove(&expiring);
        }
        if !has_reserved {
            self.expiries.remove(&(at, id));
        }
    }

    /// Moves what a transfer that is known by name only has on the way, and forgets lines and transfers that have nothing any more.
    fn move_transit(&mut self, event: &StockEvent, posting: &Posting) -> Result<(), &'static str> {
        let transfer = event.transfer.as_deref();
        let transfer = transfer.ok_or("it moves a transfer's stock and names no transfer")?;
        let lines = self.transits.entry(transfer.into()).or_default();
        let found = lines.binary_search_by_key(&posting.variant, |(variant, _)| *variant);
        let at = found.unwrap_or_else(|at| {
            lines.insert(at, (posting.variant, 0));
            at
        });
        let (_, units) = lines.get_mut(at).ok_or("the transfer has no such line")?;
        let arrives = posting.to == Place::Account(Account::Transit);
        let left = if arrives {
            units.checked_add(posting.quantity)
        } else {
            units.checked_sub(posting.quantity)
        };
        *units = left
            .filter(|left| *left >= 0)
            .ok_or("it takes more than was on the way")?;
        if *units == 0 {
            lines.remove(at);
        }
        if lines.is_empty() {
            self.transits.remove(transfer);
        }
        Ok(())
    }
}

/// What a count had seen changes nothing on hand, and leaves no less available.
pub(super) fn check_seen(event: &StockEvent) -> Result<(), &'static str> {
    for variant in event.seen() {
        let of_it = event.postings.iter().filter(|one| one.variant == *variant);
        let sum = |change: fn(&Posting) -> i64| {
            of_it
                .clone()
                .fold(0, |sum: i64, one| sum.saturating_add(change(one)))
        };
        let available = sum(|posting| posting.change_of(Bucket::Available));
        if sum(Posting::change_on_hand) != 0 || available < 0 {
            return Err("it changes what a count had seen");
        }
    }
    Ok(())
}
