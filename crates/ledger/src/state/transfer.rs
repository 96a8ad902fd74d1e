//! Transfers between two warehouses that have something on the way.
//!
//! A transfer is in the state from the event that opened it until nothing of it is on the way, by receipts or by its end.

use smallvec::SmallVec;

use super::State;
use super::apply::check_seen;
use crate::event::{Kind, StockEvent};
use crate::id::{Position, VariantNo, WarehouseNo};
use crate::place::{Account, Bucket, Place, Posting};
use crate::time::Timestamp;

/// What is on its way from one warehouse to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// What its caller calls it, where it was given a name: no other open one has it.
    pub name: Option<Box<str>>,
    /// Where it comes from.
    pub source: WarehouseNo,
    /// Where it goes.
    pub destination: WarehouseNo,
    /// When the goods left. Known as far as it matters to a count; else the earliest instant there is.
    pub sent_at: Timestamp,
    /// What is still on the way, ordered by variant.
    pub lines: SmallVec<[TransitLine; 1]>,
}

/// What a transfer has on the way of one variant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransitLine {
    /// Of what.
    pub variant: VariantNo,
    /// How many units; 1 or more.
    pub units: i64,
}

impl Transfer {
    /// How many units of a variant are still on the way.
    pub fn on_the_way(&self, variant: VariantNo) -> i64 {
        let at = self
            .lines
            .binary_search_by_key(&variant, |line| line.variant)
            .ok();
        at.and_then(|at| self.lines.get(at)).map_or(0, |line| line.units)
    }

    fn take(&mut self, variant: VariantNo, units: i64) -> Result<(), &'static str> {
        let at = self
            .lines
            .binary_search_by_key(&variant, |line| line.variant)
            .ok();
        let line = at.and_then(|at| self.lines.get_mut(at));
        let line = line.ok_or("the transfer has nothing of this variant on the way")?;
        let left = line.units.checked_sub(units).filter(|left| *left >= 0);
        line.units = left.ok_or("it takes more than was on the way")?;
        Ok(())
    }
}

impl State {
    /// The open transfer that the event at `id` opened.
    pub fn transfer(&self, id: Position) -> Option<&Transfer> {
        self.transfers.get(&id)
    }

    /// All open transfers, in the order of dispatching.
    pub fn transfers(&self) -> impl Iterator<Item = (Position, &Transfer)> {
        self.transfers.iter().map(|(id, transfer)| (*id, transfer))
    }

    /// The open transfer of this name.
    pub fn transfer_by_name(&self, name: &str) -> Option<Position> {
        self.transfer_names.get(name).copied()
    }

    pub(crate) fn add_transfer(&mut self, id: Position, transfer: Transfer) -> Result<(), &'static str> {
        if let Some(name) = &transfer.name
            && self.transfer_names.insert(name.clone(), id).is_some()
        {
            return Err("another open transfer has this name");
        }
        self.transfers.insert(id, transfer);
        Ok(())
    }

    fn remove_transfer(&mut self, id: Position) {
        if let Some(Transfer { name: Some(name), .. }) = self.transfers.remove(&id) {
            self.transfer_names.remove(&name);
        }
    }

    /// Makes the transfer that the event's postings fill.
    pub(super) fn open_transfer(
        &mut self,
        id: Position,
        event: &StockEvent,
        recorded_at: Timestamp,
    ) -> Result<(), &'static str> {
        let destination = event.counterpart.filter(|_| event.kind == Kind::TransferOut);
        let destination = destination.ok_or("it has another warehouse to do with and opens no transfer")?;
        if destination == event.warehouse || self.warehouse(destination).is_none() {
            return Err("the transfer goes to no other warehouse");
        }
        let transit = Place::Account(Account::Transit);
        // What a count had seen leave already is given back beside.
        let sent = |posting: &&Posting| posting.from != Place::Account(Account::Adjustment);
        let mut sent = event.postings.iter().filter(sent);
        if sent.clone().any(|posting| posting.to != transit) {
            return Err("it opens a transfer of what is not on the way");
        }
        let lines = sent.by_ref().map(|posting| TransitLine {
            variant: posting.variant,
            units: posting.quantity,
        });
        let mut lines: SmallVec<[TransitLine; 1]> = lines.collect();
        lines.sort_unstable_by_key(|line| line.variant);
        if lines
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if a.variant == b.variant))
        {
            return Err("it opens a transfer of one variant twice");
        }
        let transfer = Transfer {
            name: event.transfer.clone(),
            source: event.warehouse,
            destination,
            sent_at: event.occurred_at.min(recorded_at),
            lines,
        };
        self.add_transfer(id, transfer)
    }

    /// The open transfer that an event at its destination is about.
    fn transfer_of(&mut self, event: &StockEvent) -> Result<(Position, &mut Transfer), &'static str> {
        let id = event.about.ok_or("it is about no transfer")?;
        let transfer = self.transfers.get_mut(&id).ok_or("there is no such transfer")?;
        if transfer.destination != event.warehouse
            || Some(transfer.source) != event.counterpart
            || transfer.name != event.transfer
        {
            return Err("it says other things of the transfer than are so");
        }
        Ok((id, transfer))
    }

    /// What is expected is what is on the way: nothing changes.
    pub(super) fn expect_transfer(&mut self, event: &StockEvent) -> Result<(), &'static str> {
        let (_, transfer) = self.transfer_of(event)?;
        let mut expected = event.noted.clone();
        expected.sort_unstable_by_key(|(variant, _)| *variant);
        let lines = transfer.lines.iter().map(|line| (line.variant, line.units));
        if !event.postings.is_empty() || !lines.eq(expected) {
            return Err("it expects other things than are on the way");
        }
        Ok(())
    }

    /// Takes in what arrived, and forgets a transfer that has nothing on the way any more.
    pub(super) fn receive_transfer(&mut self, event: &StockEvent) -> Result<(), &'static str> {
        if event.postings.is_empty() && event.noted.is_empty() {
            return Err("it moves nothing");
        }
        let (id, transfer) = self.transfer_of(event)?;
        // What a count had seen arrive already is taken out again beside.
        let found = |posting: &&Posting| posting.to != Place::Account(Account::Adjustment);
        for posting in event.postings.iter().filter(found) {
            let arrives = matches!(posting.to, Place::Bucket(Bucket::Available | Bucket::Held));
            if posting.from != Place::Account(Account::Transit) || !arrives {
                return Err("it receives what was not on the way, or where nothing arrives");
            }
            transfer.take(posting.variant, posting.quantity)?;
        }
        let is_missing =
            |(variant, units): &(VariantNo, i64)| (1..=transfer.on_the_way(*variant)).contains(units);
        if !event.noted.iter().all(is_missing) {
            return Err("more is missing than is on the way");
        }
        transfer.lines.retain(|line| line.units > 0);
        if transfer.lines.is_empty() {
            self.remove_transfer(id);
        }
        for posting in &event.postings {
            self.move_stock(event, posting, 0)?;
        }
        check_seen(event)
    }

    /// Forgets a transfer, all of which that was on the way is written off.
    pub(super) fn close_transfer(&mut self, event: &StockEvent) -> Result<(), &'static str> {
        let (id, transfer) = self.transfer_of(event)?;
        let is_written_off =
            |posting: &Posting| Some((posting.from, posting.to)) == Kind::TransferClosed.flow();
        let written_off = event
            .postings
            .iter()
            .map(|posting| (posting.variant, posting.quantity));
        let lines = transfer.lines.iter().map(|line| (line.variant, line.units));
        if !event.postings.iter().all(is_written_off) || !lines.eq(written_off) {
            return Err("it writes off other things than are on the way");
        }
        self.remove_transfer(id);
        Ok(())
    }
}
