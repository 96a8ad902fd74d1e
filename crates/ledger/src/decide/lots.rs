//! Which lots a command means: those that its lines name, and those that are taken where a line names none.
//!
//! What follows is decided of the lots' numbers as of any variant's. Lots are taken by expiry, first receipt and code
//! (FEFO); for customers only what has not expired, and never what is not active, which is moved by its name only.

use std::collections::HashSet;

use super::{catalogue, check_good};
use crate::command::{Line, LineLot, Lines, ReceivedLine, StockCommand};
use crate::event::{CatalogueEvent, Event, Kind};
use crate::expiry::Freed;
use crate::id::{VariantNo, WarehouseNo};
use crate::place::{Account, Bucket, Place};
use crate::policy::NegativeStock;
use crate::rejection::{Rejection, Shortage};
use crate::state::{State, Tracking, Transfer};
use crate::time::Timestamp;

/// The longest code of a lot, in characters.
const CODE_LENGTH_MAX: usize = 64;

/// A command in numbers of lots.
pub(super) struct InLots {
    /// The command, but for what it names: its lines are of lots, in the order of its own.
    pub(super) command: StockCommand,
    /// The lots that it brings in the first of.
    pub(super) created: Vec<Event>,
    /// The lines of which there is too little over all lots.
    pub(super) shortages: Vec<Shortage>,
}

/// Puts a command, which has passed all checks that need no lots, in numbers of lots. What a partial one is short of goes to
/// `noted`.
pub(super) fn resolve(
    state: &State,
    command: &StockCommand,
    occurred_at: Timestamp,
    freed: &mut Freed<'_>,
    noted: &mut Vec<(VariantNo, i64)>,
) -> Result<InLots, Rejection> {
    let new = New::of(state, command)?;
    let mut lines = Lines::new();
    let mut shortages = Vec::new();
    let mut distinct = Distinct::default();
    for (line, &Line { variant, quantity }) in command.lines.iter().enumerate() {
        let brings_in = brings_in(command.kind, quantity);
        let lot = match find(state, line, variant, named(&command.lots, line))? {
            Found::One(lot) => {
                check_good(state, command, line, lot, occurred_at)?;
                Some(lot)
            }
            Found::New => match new.number(line) {
                Some(lot) => Some(lot),
                None => return Err(Rejection::UnknownLot { line, variant }),
            },
            Found::Any if brings_in => return Err(Rejection::LotMissing { line, variant }),
            Found::Any => None,
        };
        let of = state.variant_of(variant);
        distinct.check(line, of, lot)?;
        if brings_in {
            check_room(state, command.warehouse, line, (of, quantity))?;
        }
        match lot {
            Some(variant) => lines.push(Line { variant, quantity }),
            // An order holds certain lots already.
            None if is_held(command.kind) => lines.push(Line { variant, quantity }),
            None => {
                // Of what is out of use nothing is chosen, for whatever reason: it is held, issued or given free by its name.
                let is_good = |lot| {
                    !state.is_recalled(lot) && check_good(state, command, line, lot, occurred_at).is_ok()
                };
                let already = lines.len();
                let last = last_there(state, command.warehouse, variant);
                let left = take(state, command, (variant, quantity), is_good, freed, &mut lines);
                let left = overdraw(state, command, quantity, left, (&mut lines, already, last));
                let requested = quantity.saturating_abs();
                if left > 0 && command.is_partial {
                    noted.push((variant, left));
                } else if left > 0 {
                    shortages.push(Shortage {
                        variant,
                        from: from(command.kind, quantity).unwrap_or(Place::Bucket(Bucket::Available)),
                        requested,
                        available: requested.saturating_sub(left),
                    });
                }
            }
        }
    }
    let command = StockCommand {
        lines,
        lots: Vec::new(),
        ..command.clone()
    };
    Ok(InLots {
        command,
        created: new.created(),
        shortages,
    })
}

/// Where the units of a line come from.
fn from(kind: Kind, quantity: i64) -> Option<Place> {
    let (from, to) = kind.flow()?;
    Some(if quantity < 0 { to } else { from })
}

/// Whether the units of a line come from where there are no lots.
pub(super) fn brings_in(kind: Kind, quantity: i64) -> bool {
    let outside = [Account::Supplier, Account::Customer, Account::Adjustment];
    matches!(from(kind, quantity), Some(Place::Account(account)) if outside.contains(&account))
}

/// Whether what a kind moves is an order's.
fn is_held(kind: Kind) -> bool {
    matches!(kind, Kind::Release | Kind::Pick | Kind::Pack | Kind::Ship)
}

pub(super) fn named(lots: &[LineLot], line: usize) -> Option<&LineLot> {
    let at = lots.binary_search_by_key(&line, |lot| lot.line).ok()?;
    lots.get(at)
}

/// What a line says of lots.
enum Found {
    /// This one, or the variant itself where its stock does not lie in lots.
    One(VariantNo),
    /// Whichever.
    Any,
    /// One that is not known yet.
    New,
}

fn find(state: &State, line: usize, variant: VariantNo, named: Option<&LineLot>) -> Result<Found, Rejection> {
    let found = state.variant(variant);
    let tracking = found.ok_or(Rejection::UnknownVariant { line, variant })?.tracking;
    let is_tracked = |of| {
        state
            .variant(of)
            .is_some_and(|of| of.tracking == Tracking::InLots)
    };
    match (tracking, named) {
        (Tracking::Whole, None) => Ok(Found::One(variant)),
        (Tracking::LotOf(of), None) if is_tracked(of) => Ok(Found::One(variant)),
        (Tracking::Whole | Tracking::LotOf(_), _) => Err(Rejection::LotNotTracked { line, variant }),
        (Tracking::InLots, None) => Ok(Found::Any),
        (Tracking::InLots, Some(named)) => {
            let Some(lot) = state.lot_by_code(variant, &named.code) else {
                return Ok(Found::New);
            };
            let expires_at = state.variant(lot).and_then(|lot| lot.expires_at);
            if named.expires_at.is_some_and(|at| Some(at) != expires_at) {
                return Err(Rejection::LotExpiryMismatch {
                    line,
                    lot,
                    expires_at,
                });
            }
            Ok(Found::One(lot))
        }
    }
}

/// Takes units of a variant from its lots, in the order of taking, and answers how many are missing.
fn take(
    state: &State,
    command: &StockCommand,
    (variant, quantity): (VariantNo, i64),
    is_good: impl Fn(VariantNo) -> bool,
    freed: &mut Freed<'_>,
    lines: &mut Lines,
) -> i64 {
    let warehouse = command.warehouse;
    let from = from(command.kind, quantity);
    let transfer = command.transfer.as_deref().unwrap_or_default();
    let lots: Vec<_> = if from == Some(Place::Account(Account::Transit)) {
        let on_the_way = state.transits().filter(|(name, ..)| *name == transfer);
        let lots = on_the_way.map(|(_, lot, _)| lot);
        lots.filter(|lot| state.variant_of(*lot) == variant).collect()
    } else {
        state
            .lots_at(warehouse, variant)
            .filter(|lot| is_good(*lot))
            .collect()
    };
    let mut left = quantity.saturating_abs();
    for lot in lots {
        if left == 0 {
            break;
        }
        let there = match from {
            Some(Place::Bucket(Bucket::Available)) => freed.available(warehouse, lot, left),
            Some(Place::Bucket(bucket)) => state.buckets(warehouse, lot).of(bucket),
            Some(Place::Account(_)) => state.in_transit(transfer, lot),
            None => 0,
        };
        let units = there.clamp(0, left);
        if units > 0 {
            left = left.saturating_sub(units);
            lines.push(Line {
                variant: lot,
                quantity: units.saturating_mul(quantity.signum()),
            });
        }
    }
    left
}

/// The last of a variant's lots at a warehouse that is in use, in the order of taking.
fn last_there(state: &State, warehouse: WarehouseNo, variant: VariantNo) -> Option<VariantNo> {
    let lots = state.lots_at(warehouse, variant);
    lots.filter(|lot| !state.is_recalled(*lot)).last()
}

/// Where a warehouse records physical facts that take more than there is, the last lot taken from is charged with what is
/// missing; where none was, the last one in use that has anything, or owes it. Answers how much is still missing then.
fn overdraw(
    state: &State,
    command: &StockCommand,
    quantity: i64,
    left: i64,
    (lines, already, last): (&mut Lines, usize, Option<VariantNo>),
) -> i64 {
    let warehouse = state.warehouse(command.warehouse);
    let records = warehouse.is_some_and(|found| found.negative_stock == NegativeStock::Record);
    let is_fact = command.kind == Kind::Outbound || command.kind == Kind::Adjust;
    if left == 0 || !records || !is_fact {
        return left;
    }
    let missing = left.saturating_mul(quantity.signum());
    if let Some(taken) = lines.get_mut(already..).and_then(<[Line]>::last_mut) {
        taken.quantity = taken.quantity.saturating_add(missing);
        return 0;
    }
    let Some(variant) = last else { return left };
    lines.push(Line {
        variant,
        quantity: missing,
    });
    0
}

/// Whether more of a variant fits at a warehouse, over all of its lots.
fn check_room(
    state: &State,
    warehouse: WarehouseNo,
    line: usize,
    (variant, more): (VariantNo, i64),
) -> Result<(), Rejection> {
    let lots = state.lots_at(warehouse, variant);
    let mut on_hand = lots.map(|lot| state.on_hand(warehouse, lot));
    let sum = on_hand.try_fold(more, |sum, units| sum.checked_add(units));
    sum.map(|_| ()).ok_or(Rejection::Overflow { line, variant })
}

/// Lots that a command brings in the first of, with their variants, in the order of their numbers: that of their codes.
struct New<'c> {
    first: u32,
    lots: Vec<(VariantNo, &'c LineLot)>,
}

impl<'c> New<'c> {
    fn of(state: &State, command: &'c StockCommand) -> Result<New<'c>, Rejection> {
        let mut lots = Vec::new();
        for lot in &command.lots {
            let Some(&Line { variant, quantity }) = command.lines.get(lot.line) else {
                continue;
            };
            let is_new = matches!(find(state, lot.line, variant, Some(lot)), Ok(Found::New));
            if is_new && brings_in(command.kind, quantity) {
                let (line, length_max) = (lot.line, CODE_LENGTH_MAX);
                catalogue::check_text("lot", &lot.code, length_max)
                    .map_err(|_| Rejection::InvalidLot { line, length_max })?;
                catalogue::check_expiry(lot.expires_at)
                    .map_err(|_| Rejection::LotExpiryOutOfRange { line })?;
                lots.push((variant, lot));
            }
        }
        lots.sort_by(|(of, lot), (other_of, other)| (of, &lot.code).cmp(&(other_of, &other.code)));
        let twice = lots.windows(2).find_map(|pair| match pair {
            [(of, lot), (other_of, other)] if of == other_of && lot.code == other.code => {
                Some((*of, other.line))
            }
            _ => None,
        });
        if let Some((variant, line)) = twice {
            return Err(Rejection::DuplicateVariant { line, variant });
        }
        let after = state.variants.len().saturating_add(lots.len());
        let first = catalogue::next_number(state.variants.len())?;
        catalogue::next_number(after)?;
        Ok(New { first, lots })
    }

    /// The number that the lot which a line brings in gets.
    fn number(&self, line: usize) -> Option<VariantNo> {
        let at = self.lots.iter().position(|(_, lot)| lot.line == line)?;
        Some(VariantNo(self.first.checked_add(u32::try_from(at).ok()?)?))
    }

    fn created(&self) -> Vec<Event> {
        let lots = (self.first..).zip(&self.lots);
        let created = lots.map(|(no, &(of, lot))| CatalogueEvent::LotCreated {
            no: VariantNo(no),
            of,
            code: lot.code.clone(),
            expires_at: lot.expires_at,
        });
        created.map(Event::Catalogue).collect()
    }
}

/// Checks that no two lines mean the same units.
#[derive(Default)]
struct Distinct {
    lots: HashSet<VariantNo>,
    /// Variants of which lots were named.
    in_part: HashSet<VariantNo>,
    /// Variants of which any lot was meant.
    whole: HashSet<VariantNo>,
}

impl Distinct {
    fn check(&mut self, line: usize, of: VariantNo, lot: Option<VariantNo>) -> Result<(), Rejection> {
        let is_distinct = match lot {
            None => self.whole.insert(of) && !self.in_part.contains(&of),
            Some(lot) if lot == of => self.lots.insert(lot),
            Some(lot) => {
                self.in_part.insert(of);
                self.lots.insert(lot) && !self.whole.contains(&of)
            }
        };
        if is_distinct {
            Ok(())
        } else {
            Err(Rejection::DuplicateVariant { line, variant: of })
        }
    }
}

/// Puts what was found of a transfer in numbers of lots. A line that names no lot is of all that are on the way, in the
/// order of their numbers: first those that arrived sound, then the damaged ones, then those that are missing.
pub(super) fn found(
    state: &State,
    transfer: &Transfer,
    lines: &[ReceivedLine],
    lots: &[LineLot],
) -> Result<(Vec<ReceivedLine>, Vec<Shortage>), Rejection> {
    let mut found = Vec::with_capacity(lines.len());
    let mut shortages = Vec::new();
    let mut distinct = Distinct::default();
    for (line, one) in lines.iter().enumerate() {
        let variant = one.variant;
        let lot = match find(state, line, variant, named(lots, line))? {
            Found::One(lot) => Some(lot),
            Found::Any => None,
            Found::New => return Err(Rejection::UnknownLot { line, variant }),
        };
        distinct.check(line, state.variant_of(variant), lot)?;
        if let Some(variant) = lot {
            found.push(ReceivedLine { variant, ..*one });
            continue;
        }
        let mut left = *one;
        let of_it = transfer
            .lines
            .iter()
            .filter(|line| state.variant_of(line.variant) == variant);
        for on_the_way in of_it {
            let mut room = on_the_way.units;
            let mut part = |left: &mut i64| {
                let units = room.min(*left);
                room = room.saturating_sub(units);
                *left = left.saturating_sub(units);
                units
            };
            let (received, damaged) = (part(&mut left.received), part(&mut left.damaged));
            let short = part(&mut left.short);
            if received > 0 || damaged > 0 || short > 0 {
                let variant = on_the_way.variant;
                found.push(ReceivedLine {
                    variant,
                    received,
                    damaged,
                    short,
                });
            }
        }
        let sum = |line: ReceivedLine| {
            line.received
                .saturating_add(line.damaged)
                .saturating_add(line.short)
        };
        let (requested, missing) = (sum(*one), sum(left));
        if missing > 0 {
            shortages.push(Shortage {
                variant,
                from: Place::Account(Account::Transit),
                requested,
                available: requested.saturating_sub(missing),
            });
        }
    }
    Ok((found, shortages))
}
