//! The one place where it is decided whether something may happen.

mod catalogue;
mod clear;
mod conditions;
mod count;
mod held;
mod lots;
mod recall;
mod reverse;
mod shape;
mod transfer;

use smallvec::SmallVec;

use crate::command::{Command, Line, StockCommand};
use crate::event::{Event, Kind, Postings, Reason, StockEvent};
use crate::expiry::{Freed, expiry_of};
use crate::id::{VariantNo, WarehouseNo};
use crate::place::{Account, Bucket, Place, Posting};
use crate::policy::NegativeStock;
use crate::rejection::{Rejection, Shortage};
use crate::state::{Moved, State, Tracking, Variant};
use crate::time::Timestamp;

pub use catalogue::{CODE_LENGTH_MAX, SKU_LENGTH_MAX, is_name};
pub use recall::set_aside;
pub use shape::{QUANTITY_MAX, check_occurred};

/// The events that follow from a command, in the order of recording: all of them are appended, or none. The last one
/// is the command's own; expiries that it needed stand before it, and before the TRANSFER_EXPECTED of a dispatch its
/// TRANSFER_OUT. A change that changes nothing has no event.
pub type Decision = SmallVec<[Event; 1]>;

/// Decides what follows from `command` in `state` at the instant `now`, which is not before the last recorded one.
///
/// Whatever is decided, [`State::apply`] takes. A [`Rejection`] changes nothing.
pub fn decide(state: &State, command: &Command, now: Timestamp) -> Result<Decision, Rejection> {
    match command {
        Command::Stock(command) => decide_stock(state, command, now),
        Command::Extend(command) => held::extend(state, command, now),
        Command::Reverse(command) => reverse::decide(state, command, now),
        Command::Receive(command) => transfer::receive(state, command, now),
        Command::Close(command) => transfer::close(state, command, now),
        Command::Clear(command) => clear::decide(state, command, now),
        Command::Count(command) => count::decide(state, command, now),
        Command::Recall(command) => recall::decide(state, command, now),
        Command::Catalogue(command) => catalogue::decide(state, command, now),
        Command::CatalogueAt(version, command) => {
            conditions::check(state.catalogue_version(), Some(*version))?;
            catalogue::decide(state, command, now)
        }
        Command::ExpireDue { reservations_max } => Ok(expire_due(state, now, *reservations_max)),
    }
}

/// The expiries that are due at `now` and not recorded, first expiry first, at most `reservations_max` of them.
pub fn expire_due(state: &State, now: Timestamp, reservations_max: usize) -> Decision {
    let due = state
        .expiries
        .keys()
        .take_while(|(at, _)| *at <= now)
        .take(reservations_max);
    due.filter_map(|&(at, id)| expiry_of(state, state.expiring_reservation(at, id)?))
        .collect()
}

fn decide_stock(state: &State, command: &StockCommand, now: Timestamp) -> Result<Decision, Rejection> {
    let occurred_at = shape::check(command, now)?;
    let concerns_lots = check_catalogue(state, command, occurred_at)?;
    if let Some(destination) = command.counterpart {
        transfer::check_dispatch(state, command, destination)?;
    }
    if let Some(wanted) = &command.conditions {
        conditions::check_all(state, command.warehouse, wanted, now)?;
    }
    let mut freed = Freed::new(state, now);
    let mut noted = Vec::new();
    let in_lots;
    let (command, created, shortages) = if concerns_lots || !command.lots.is_empty() {
        let resolved = lots::resolve(state, command, occurred_at, &mut freed, &mut noted)?;
        in_lots = resolved.command;
        (&in_lots, resolved.created, resolved.shortages)
    } else {
        (command, Vec::new(), Vec::new())
    };
    let mut postings = match command.kind {
        Kind::Release | Kind::Pick | Kind::Pack | Kind::Ship => held::post(state, command, now)?,
        _ => post_stock(state, command, occurred_at, &mut freed, &mut noted, shortages)?,
    };
    if postings.len() > POSTINGS_MAX {
        return Err(Rejection::TooManyPostings {
            count: postings.len(),
        });
    }
    let of = (command.order.as_deref(), None);
    let seen = count::compensate(state, command.warehouse, occurred_at, of, &mut postings)?;
    let event = StockEvent {
        kind: command.kind,
        warehouse: command.warehouse,
        occurred_at,
        reason: command.reason,
        order: command.order.clone(),
        transfer: command.transfer.clone(),
        expires_at: command.expires_at,
        about: None,
        noted,
        counterpart: command.counterpart,
        count: count::seen(seen),
        postings,
        notes: command.notes.clone(),
    };
    if let Some(destination) = command.counterpart {
        return Ok(transfer::dispatch(state, freed, event, destination));
    }
    let mut decision = behind(freed, Event::Stock(event));
    if !created.is_empty() {
        decision.insert_many(0, created);
    }
    Ok(decision)
}

/// An event behind the expiries that it needs.
fn behind(freed: Freed<'_>, event: Event) -> Decision {
    let mut decision = Decision::new();
    if !freed.is_empty() {
        decision.extend(freed.into_events());
    }
    decision.push(event);
    decision
}

/// The most postings of an event, without those that make up for what a count had seen: its lines are told apart by numbers.
/// Lots make several of one line.
const POSTINGS_MAX: usize = 1_024;

/// The warehouse and the variants exist, are active and have not expired. Answers whether any of them has to do with lots.
fn check_catalogue(state: &State, command: &StockCommand, occurred_at: Timestamp) -> Result<bool, Rejection> {
    let StockCommand { kind, warehouse, .. } = *command;
    let needs_active = !kind.finishes();
    match state.warehouse(warehouse) {
        None => return Err(Rejection::UnknownWarehouse { warehouse }),
        Some(found) if needs_active && !found.active => {
            return Err(Rejection::InactiveWarehouse { warehouse });
        }
        Some(_) => {}
    }
    let mut concerns_lots = false;
    for (line, Line { variant, .. }) in command.lines.iter().enumerate() {
        let found = check_good(state, command, line, *variant, occurred_at)?;
        if found.tracking != Tracking::Whole {
            concerns_lots = true;
        }
        if let Tracking::LotOf(of) = found.tracking {
            check_good(state, command, line, of, occurred_at)?;
        }
    }
    Ok(concerns_lots)
}

/// A line's variant, or a lot of it, exists, is active and has not expired.
fn check_good<'s>(
    state: &'s State,
    command: &StockCommand,
    line: usize,
    variant: VariantNo,
    occurred_at: Timestamp,
) -> Result<&'s Variant, Rejection> {
    let StockCommand { kind, reason, .. } = *command;
    let is_no_longer_good = matches!(
        reason,
        Some(Reason::DiscardExpired | Reason::Damage | Reason::CountCorrection)
    );
    let found = state
        .variant(variant)
        .ok_or(Rejection::UnknownVariant { line, variant })?;
    // A lot that was taken out of use leaves as what it is or is sent back, and what comes in of it is held: see `recall`.
    // What was given free of it may be held again.
    let brings_in = || {
        let line = command.lines.get(line);
        line.is_some_and(|line| lots::brings_in(kind, line.quantity))
    };
    let may_be_moved =
        || is_no_longer_good || reason == Some(Reason::Return) || kind == Kind::Hold || brings_in();
    let is_lot = matches!(found.tracking, Tracking::LotOf(_));
    let may_be_inactive = kind.finishes() || is_lot && may_be_moved();
    let (lot, by_code) = (variant, lots::named(&command.lots, line).is_some());
    if !found.active && !may_be_inactive {
        return Err(if is_lot {
            Rejection::InactiveLot { line, lot, by_code }
        } else {
            Rejection::InactiveVariant { line, variant }
        });
    }
    let may_be_expired = !matches!(kind, Kind::Outbound | Kind::Reservation) || is_no_longer_good;
    match found.expires_at {
        Some(expired_at) if !may_be_expired && expired_at <= occurred_at => Err(if is_lot {
            Rejection::LotExpired {
                line,
                lot,
                by_code,
                expired_at,
            }
        } else {
            Rejection::VariantExpired {
                line,
                variant,
                expired_at,
            }
        }),
        _ => Ok(found),
    }
}

/// Postings that take from a bucket or account as a whole. What a partial command asks for beyond what there is goes to
/// `noted`, in the order of its lines. `shortages` are those that are known already.
fn post_stock(
    state: &State,
    command: &StockCommand,
    occurred_at: Timestamp,
    freed: &mut Freed<'_>,
    noted: &mut Vec<(VariantNo, i64)>,
    shortages: Vec<Shortage>,
) -> Result<Postings, Rejection> {
    let flow = command.kind.flow();
    let flow = flow.ok_or(Rejection::NotCommandable { kind: command.kind })?;
    let transfer = command.transfer.as_deref();
    let transfer = transfer.filter(|_| command.counterpart.is_none());
    let mut moves = Moves::new(state, command.warehouse, occurred_at, transfer, noted);
    moves.shortages = shortages;
    for (line, &Line { variant, quantity }) in command.lines.iter().enumerate() {
        let (from, to) = if quantity < 0 { (flow.1, flow.0) } else { flow };
        let mut requested = quantity.saturating_abs();
        if command.is_partial {
            let there = freed.available(command.warehouse, variant, requested).max(0);
            if there < requested {
                moves.noted.push((variant, requested.saturating_sub(there)));
                requested = there;
            }
            if there == 0 {
                continue;
            }
        }
        moves.add(line, variant, (from, to), requested, freed)?;
    }
    if command.is_partial && moves.postings.is_empty() {
        moves.shortages = moves
            .noted
            .drain(..)
            .map(|(variant, requested)| Shortage {
                variant,
                from: flow.0,
                requested,
                available: 0,
            })
            .collect();
    }
    moves.finish()
}

/// Postings in the making, each checked against what there is and what fits.
struct Moves<'s> {
    state: &'s State,
    warehouse: WarehouseNo,
    /// When it happened: what a count had seen already is given back.
    occurred_at: Timestamp,
    /// What happens when a physical fact takes more than is available.
    policy: NegativeStock,
    /// The transfer that units come from or go to, where it is known by name only.
    transfer: Option<&'s str>,
    postings: Postings,
    shortages: Vec<Shortage>,
    /// What the event is to note: what a partial command is short of, how far below zero available falls.
    noted: &'s mut Vec<(VariantNo, i64)>,
}

impl<'s> Moves<'s> {
    fn new(
        state: &'s State,
        warehouse: WarehouseNo,
        occurred_at: Timestamp,
        transfer: Option<&'s str>,
        noted: &'s mut Vec<(VariantNo, i64)>,
    ) -> Moves<'s> {
        let policy = state.warehouse(warehouse).map(|found| found.negative_stock);
        Moves {
            state,
            warehouse,
            occurred_at,
            policy: policy.unwrap_or_default(),
            transfer,
            postings: Postings::new(),
            shortages: Vec::new(),
            noted,
        }
    }

    /// Moves `requested` units, or notes that there are too few.
    fn add(
        &mut self,
        line: usize,
        variant: VariantNo,
        (from, to): (Place, Place),
        requested: i64,
        freed: &mut Freed<'_>,
    ) -> Result<(), Rejection> {
        if !self.has_room(variant, from, to, requested) {
            return Err(Rejection::Overflow { line, variant });
        }
        if let Some(available) = self.to_take(variant, (from, to), requested, freed)
            && available < requested
        {
            if !self.may_overdraw(from, to) {
                self.shortages.push(Shortage {
                    variant,
                    from,
                    requested,
                    available,
                });
                return Ok(());
            }
            let below = requested.checked_sub(available);
            let below = below.ok_or(Rejection::Overflow { line, variant })?;
            self.noted.push((variant, below));
        }
        self.postings.push(Posting {
            variant,
            from,
            to,
            quantity: requested,
            reservation: None,
        });
        Ok(())
    }

    /// Whether this is taken although there is less available: a physical fact, where the warehouse records those. What
    /// promises stock, sets it aside or sends it to another warehouse moves what must be there.
    fn may_overdraw(&self, from: Place, to: Place) -> bool {
        self.policy == NegativeStock::Record
            && from == Place::Bucket(Bucket::Available)
            && matches!(
                to,
                Place::Account(Account::Customer | Account::Supplier | Account::Adjustment)
            )
    }

    fn finish(self) -> Result<Postings, Rejection> {
        if self.shortages.is_empty() {
            Ok(self.postings)
        } else {
            Err(Rejection::Insufficient {
                shortages: self.shortages,
            })
        }
    }

    /// How many units there are to take from `from`; `None` where there is no limit.
    fn to_take(
        &self,
        variant: VariantNo,
        (from, to): (Place, Place),
        wanted: i64,
        freed: &mut Freed<'_>,
    ) -> Option<i64> {
        match from {
            // What a count had seen go already is given back beside.
            Place::Bucket(Bucket::Available)
                if matches!(to, Place::Account(_))
                    && self.state.was_seen(self.warehouse, variant, self.moved()) =>
            {
                None
            }
            Place::Bucket(Bucket::Available) => Some(freed.available(self.warehouse, variant, wanted)),
            Place::Bucket(bucket) => Some(self.state.buckets(self.warehouse, variant).of(bucket)),
            Place::Account(Account::Transit) => Some(
                self.transfer
                    .map_or(0, |transfer| self.state.in_transit(transfer, variant)),
            ),
            Place::Account(Account::Supplier | Account::Customer | Account::Adjustment) => None,
        }
    }

    /// When it happened, as counts have it: what is free to be taken goes on with nothing.
    fn moved(&self) -> Moved {
        Moved {
            occurred_at: self.occurred_at,
            begun_at: Timestamp::MIN,
        }
    }

    /// Whether `quantity` more fits where it goes. What moves between buckets stays within on hand, which fits already.
    fn has_room(&self, variant: VariantNo, from: Place, to: Place, quantity: i64) -> bool {
        match (from, to) {
            (Place::Account(_), Place::Bucket(_)) => self
                .state
                .on_hand(self.warehouse, variant)
                .checked_add(quantity)
                .is_some(),
            (_, Place::Account(Account::Transit)) => {
                let transfer = self.transfer.unwrap_or_default();
                self.state
                    .in_transit(transfer, variant)
                    .checked_add(quantity)
                    .is_some()
            }
            _ => true,
        }
    }
}
