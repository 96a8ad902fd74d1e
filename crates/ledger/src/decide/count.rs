//! What may happen to a count: it is opened, counted, approved and cancelled. And what a count makes of movements that are
//! recorded late. See [`crate::count`] for what it means.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::smallvec;

use super::{Decision, conditions, shape};
use crate::command::{CountCommand, CountStep, FoundLine};
use crate::count::{APPROVED_LINES_MAX, COUNTED_MAX, CountLine, Counting, UNITS_MAX};
use crate::event::{Event, Kind, Postings, Reason, StockEvent};
use crate::expiry::Freed;
use crate::id::{Position, VariantNo, WarehouseNo};
use crate::place::{Account, Bucket, Place, Posting};
use crate::policy::NegativeStock;
use crate::rejection::{Rejection, Shortage};
use crate::state::{Count, Moved, State, Tracking};
use crate::time::Timestamp;

const AVAILABLE: Place = Place::Bucket(Bucket::Available);
const ADJUSTMENT: Place = Place::Account(Account::Adjustment);

pub(super) fn decide(state: &State, command: &CountCommand, now: Timestamp) -> Result<Decision, Rejection> {
    shape::check_notes(command.notes.as_deref())?;
    let warehouse = command.warehouse;
    let found = state.warehouse(warehouse);
    let found = found.ok_or(Rejection::UnknownWarehouse { warehouse })?;
    conditions::check_version(state, warehouse, command.version)?;
    match &command.step {
        CountStep::Open { .. } if !found.active => Err(Rejection::InactiveWarehouse { warehouse }),
        CountStep::Open { is_blind, variants } => open(state, command, *is_blind, variants.as_deref(), now),
        CountStep::Submit { count, lines } => submit(state, command, *count, lines, now),
        CountStep::Approve { count } => approve(state, command, *count, now),
        CountStep::Cancel { count } => {
            find(state, warehouse, *count)?;
            let event = event_of(Kind::CountCancelled, command, Some(*count), None, now);
            Ok(smallvec![Event::Stock(event)])
        }
    }
}

/// An event that says what all of a count's do.
fn event_of(
    kind: Kind,
    command: &CountCommand,
    about: Option<Position>,
    count: Option<Counting>,
    now: Timestamp,
) -> StockEvent {
    StockEvent {
        kind,
        warehouse: command.warehouse,
        occurred_at: now,
        reason: None,
        order: None,
        transfer: None,
        expires_at: None,
        about,
        noted: Vec::new(),
        counterpart: None,
        count: count.map(Box::new),
        postings: Postings::new(),
        notes: command.notes.clone(),
    }
}

fn find(state: &State, warehouse: WarehouseNo, id: Position) -> Result<&Count, Rejection> {
    let found = state.count(id).filter(|count| count.warehouse == warehouse);
    found.ok_or(Rejection::CountOver { count: id })
}

fn open(
    state: &State,
    command: &CountCommand,
    is_blind: bool,
    variants: Option<&[VariantNo]>,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let warehouse = command.warehouse;
    if let Some(variants) = variants {
        shape::check_count(variants.len())?;
        check_variants(state, variants.iter().copied())?;
    }
    let overlapping = match variants {
        None => state.count_of(warehouse, None),
        Some(variants) => variants
            .iter()
            .find_map(|variant| state.count_of(warehouse, Some(*variant))),
    };
    if let Some(by) = overlapping {
        return Err(Rejection::CountOverlaps { by });
    }
    let variants = variants.map(<[VariantNo]>::to_vec);
    let opened = Counting::Opened { is_blind, variants };
    let event = event_of(Kind::CountOpened, command, None, Some(opened), now);
    Ok(smallvec![Event::Stock(event)])
}

/// All of them exist and are of one shelf each, and none stands there twice.
fn check_variants(state: &State, variants: impl Iterator<Item = VariantNo>) -> Result<(), Rejection> {
    let mut seen = BTreeSet::new();
    for (line, variant) in variants.enumerate() {
        if !seen.insert(variant) {
            return Err(Rejection::DuplicateVariant { line, variant });
        }
        let found = state.variant(variant);
        let found = found.ok_or(Rejection::UnknownVariant { line, variant })?;
        // What lies in lots is counted lot by lot.
        if found.tracking == Tracking::InLots {
            return Err(Rejection::LotMissing { line, variant });
        }
    }
    Ok(())
}

fn submit(
    state: &State,
    command: &CountCommand,
    id: Position,
    lines: &[FoundLine],
    now: Timestamp,
) -> Result<Decision, Rejection> {
    shape::check_count(lines.len())?;
    for (line, found) in lines.iter().enumerate() {
        if !(0..=UNITS_MAX).contains(&found.counted) {
            let counted = found.counted;
            return Err(Rejection::InvalidCount { line, counted });
        }
    }
    check_variants(state, lines.iter().map(|found| found.variant))?;
    let count = find(state, command.warehouse, id)?;
    let mut counted = Vec::with_capacity(lines.len());
    for (line, found) in lines.iter().enumerate() {
        let variant = found.variant;
        if !count.includes(variant) {
            return Err(Rejection::NotToBeCounted { line, variant });
        }
        // Clocks differ: what lies ahead of the ledger's was counted now.
        let at = shape::check_occurred(found.at, now).map_err(|rejection| match rejection {
            Rejection::OccursInFuture { occurred_at: at, now } => {
                Rejection::CountedInFuture { line, at, now }
            }
            // Nothing was counted before the years that there are.
            _ => Rejection::CountedTooEarly {
                line,
                at: found.at.unwrap_or(now),
                opened_at: count.opened_at,
            },
        })?;
        let at = at.min(now);
        if at < count.opened_at {
            let opened_at = count.opened_at;
            return Err(Rejection::CountedTooEarly { line, at, opened_at });
        }
        counted.push(CountLine {
            variant,
            at,
            counted: found.counted,
            expected: state.expected(count, variant, at),
        });
    }
    let more = lines
        .iter()
        .filter(|found| !count.lines.contains_key(&found.variant));
    if count.lines.len().saturating_add(more.count()) > COUNTED_MAX {
        return Err(Rejection::CountFull { count: id });
    }
    let counted = Some(Counting::Lines(counted));
    let event = event_of(Kind::Counted, command, Some(id), counted, now);
    Ok(smallvec![Event::Stock(event)])
}

/// Everything that was counted is right from now on, in one decision: the expiries and releases that it needs, and as many
/// events of at most 1,000 lines as it takes.
fn approve(
    state: &State,
    command: &CountCommand,
    id: Position,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let count = find(state, command.warehouse, id)?;
    if count.lines.is_empty() {
        return Err(Rejection::NothingCounted { count: id });
    }
    let lines: Vec<CountLine> = count.lines().copied().collect();
    let mut correction = Correction::new(state, count, now);
    let mut events = Vec::new();
    for lines in lines.chunks(APPROVED_LINES_MAX) {
        let mut postings = Postings::new();
        let mut noted = Vec::new();
        for line in lines {
            correction.add(line, &mut postings, &mut noted)?;
        }
        events.push(Event::Stock(StockEvent {
            reason: Some(Reason::CountCorrection),
            noted,
            postings,
            ..event_of(
                Kind::CountApproved,
                command,
                Some(id),
                Some(Counting::Lines(lines.to_vec())),
                now,
            )
        }));
    }
    if !correction.shortages.is_empty() {
        return Err(Rejection::Insufficient {
            shortages: correction.shortages,
        });
    }
    let releases = correction.releases.into_iter().map(|(reservation, release)| {
        let mut event = event_of(Kind::Release, command, Some(id), None, now);
        event.reason = Some(Reason::CountCorrection);
        event.order = Some(release.order.into());
        event.notes = None;
        event.postings = release.postings;
        for posting in &mut event.postings {
            posting.reservation = Some(reservation);
        }
        Event::Stock(event)
    });
    let mut decision = Decision::new();
    decision.extend(correction.freed.into_events());
    decision.extend(releases);
    decision.extend(events);
    Ok(decision)
}

/// What is taken from one reservation.
struct Release<'s> {
    order: &'s str,
    postings: Postings,
}

/// What approving a count takes from where.
struct Correction<'s> {
    state: &'s State,
    warehouse: WarehouseNo,
    policy: NegativeStock,
    now: Timestamp,
    freed: Freed<'s>,
    releases: BTreeMap<Position, Release<'s>>,
    shortages: Vec<Shortage>,
}

impl<'s> Correction<'s> {
    fn new(state: &'s State, count: &Count, now: Timestamp) -> Correction<'s> {
        let policy = state.warehouse(count.warehouse).map(|found| found.negative_stock);
        Correction {
            state,
            warehouse: count.warehouse,
            policy: policy.unwrap_or_default(),
            now,
            freed: Freed::new(state, now),
            releases: BTreeMap::new(),
            shortages: Vec::new(),
        }
    }

    fn add(
        &mut self,
        line: &CountLine,
        postings: &mut Postings,
        noted: &mut Vec<(VariantNo, i64)>,
    ) -> Result<(), Rejection> {
        let variant = line.variant;
        let overflow = Rejection::Overflow { line: 0, variant };
        let variance = line.counted.checked_sub(line.expected);
        let variance = variance.ok_or(overflow.clone())?;
        let after = self.state.on_hand(self.warehouse, variant).checked_add(variance);
        after.ok_or(overflow)?;
        if variance > 0 {
            postings.push(posting(variant, ADJUSTMENT, AVAILABLE, variance));
        }
        if variance < 0 {
            self.take(variant, variance.saturating_neg(), postings, noted);
        }
        Ok(())
    }

    /// Takes what is missing from where it is.
    fn take(
        &mut self,
        variant: VariantNo,
        missing: i64,
        postings: &mut Postings,
        noted: &mut Vec<(VariantNo, i64)>,
    ) {
        let mut available = self.freed.available(self.warehouse, variant, missing);
        let mut from_available = available.clamp(0, missing);
        let mut left = missing.saturating_sub(from_available);
        let mut from_held = 0;
        if left > 0 {
            let released = self.release(variant, Bucket::Reserved, left);
            left = left.saturating_sub(released);
            let held = self.state.buckets(self.warehouse, variant).of(Bucket::Held);
            from_held = held.min(left);
            left = left.saturating_sub(from_held);
            let mut all = released;
            for bucket in [Bucket::Picked, Bucket::Packed] {
                let released = self.release(variant, bucket, left);
                left = left.saturating_sub(released);
                all = all.saturating_add(released);
            }
            available = available.saturating_add(all);
            from_available = from_available.saturating_add(all);
        }
        let may_overdraw = self.policy == NegativeStock::Record;
        if may_overdraw {
            from_available = from_available.saturating_add(left);
            left = 0;
        }
        let below = available.saturating_sub(from_available);
        if left > 0 || from_available > 0 && below < 0 && !may_overdraw {
            self.shortages.push(Shortage {
                variant,
                from: AVAILABLE,
                requested: missing,
                available: missing.saturating_sub(left),
            });
            return;
        }
        if from_available > 0 {
            postings.push(posting(variant, AVAILABLE, ADJUSTMENT, from_available));
            if below < 0 {
                noted.push((variant, below.saturating_neg()));
            }
        }
        if from_held > 0 {
            postings.push(posting(
                variant,
                Place::Bucket(Bucket::Held),
                ADJUSTMENT,
                from_held,
            ));
        }
    }

    /// Takes up to `wanted` units that orders hold in `bucket`, of the reservation last made first; answers how many. No more
    /// of them are looked at than it takes.
    fn release(&mut self, variant: VariantNo, bucket: Bucket, wanted: i64) -> i64 {
        let state = self.state;
        let mut held = state.buckets(self.warehouse, variant).of(bucket);
        let mut left = wanted;
        for (order, reservation) in state.holders(self.warehouse, variant) {
            if left == 0 || held == 0 {
                break;
            }
            let units = reservation.holds(variant, bucket);
            held = held.saturating_sub(units);
            // What has run out is not the order's any more: it was counted as available.
            let is_over = bucket == Bucket::Reserved && reservation.is_due(self.now);
            let quantity = if is_over { 0 } else { units.min(left) };
            if quantity > 0 {
                let release = self.releases.entry(reservation.id).or_insert(Release {
                    order,
                    postings: Postings::new(),
                });
                let from = Place::Bucket(bucket);
                release.postings.push(posting(variant, from, AVAILABLE, quantity));
                left = left.saturating_sub(quantity);
            }
        }
        wanted.saturating_sub(left)
    }
}

fn posting(variant: VariantNo, from: Place, to: Place, quantity: i64) -> Posting {
    Posting {
        variant,
        from,
        to,
        quantity,
        reservation: None,
    }
}

/// Gives back what a movement takes that a count had seen go already, and takes what it brings that a count had seen
/// arrive: on hand stays what was counted plus what happened after. Answers the variants that this was so of.
///
/// Of a movement of an order's stock `order` is whose it is, and of a receipt `transfer` which one arrives.
pub(super) fn compensate(
    state: &State,
    warehouse: WarehouseNo,
    occurred_at: Timestamp,
    (order, transfer): (Option<&str>, Option<Position>),
    postings: &mut Postings,
) -> Result<Vec<VariantNo>, Rejection> {
    let mut variants = Vec::new();
    if occurred_at >= state.counted_max {
        return Ok(variants);
    }
    for own in postings.iter().filter(|own| own.change_on_hand() != 0) {
        let variant = own.variant;
        let when = Moved {
            occurred_at,
            begun_at: state.begun_at(order, transfer, postings, variant),
        };
        if !variants.contains(&variant) && state.was_seen(warehouse, variant, when) {
            variants.push(variant);
        }
    }
    if variants.is_empty() {
        return Ok(variants);
    }
    let mut all = Postings::new();
    for (line, own) in postings.iter().enumerate() {
        let (variant, quantity, change) = (own.variant, own.quantity, own.change_on_hand());
        if change == 0 || !variants.contains(&variant) {
            all.push(*own);
        } else if change < 0 && own.to != ADJUSTMENT {
            let fits = state.on_hand(warehouse, variant).checked_add(quantity);
            fits.ok_or(Rejection::Overflow { line, variant })?;
            all.extend([posting(variant, ADJUSTMENT, AVAILABLE, quantity), *own]);
        } else {
            // A correction stands first, so that it is told from what makes up for it.
            all.extend([
                *own,
                Posting {
                    from: own.to,
                    to: if change < 0 { AVAILABLE } else { ADJUSTMENT },
                    ..*own
                },
            ]);
        }
    }
    *postings = all;
    Ok(variants)
}

/// What a movement says of the variants that [`compensate`] answers.
pub(super) fn seen(variants: Vec<VariantNo>) -> Option<Box<Counting>> {
    (!variants.is_empty()).then(|| Box::new(Counting::Seen(variants)))
}
