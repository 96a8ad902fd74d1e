//! Views that are compared by digests: what their folds add to them, and which of their rows belong to which group.

use bincard_ledger::{Position, Recorded};
use hashbrown::HashSet;

use super::digest::{Digests, Group, RowHash};
use super::part::Part;
use crate::each::Listed;
use crate::error::Error;
use crate::fold::Lots;
use crate::history::{self, History};
use crate::reservations::{self, ReservationState, Reservations};
use crate::stock::{self, Stock, StockKey};
use crate::verify::tables::{self, Table};
use crate::view::View;

/// The groups whose rows are looked at one by one.
#[derive(Default)]
pub(super) struct Wanted {
    pub(super) keys: HashSet<StockKey>,
    pub(super) blocks: HashSet<i64>,
    pub(super) days: HashSet<i64>,
}

impl Wanted {
    pub(super) fn of(groups: &[Group]) -> Wanted {
        let mut wanted = Wanted::default();
        for group in groups {
            match *group {
                Group::Key(key) => wanted.keys.insert(key),
                Group::Block(no) => wanted.blocks.insert(no),
                Group::Day(no) => wanted.days.insert(no),
            };
        }
        wanted
    }

    fn has_block_of(&self, position: i64) -> bool {
        self.blocks.contains(&(position / history::BLOCK_POSITIONS))
    }

    fn has_key(&self, warehouse: i64, variant: i64) -> bool {
        self.keys.contains(&StockKey::from_columns(warehouse, variant))
    }
}

/// How a table's rows enter digests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    /// Hashed whole.
    Whole,
    /// The values are amounts that events add to.
    Amounts,
}

/// A view that is compared by digests.
pub(crate) trait Digested: Listed {
    /// Its tables, in the order of their numbers.
    const TABLES: &'static [Table];

    /// Whether the rows of the table with this number are amounts.
    fn entry(table: usize) -> Entry;
    /// The group of a row, by its columns that are whole numbers; others are 0.
    fn group(table: usize, row: &[i64]) -> Group;
    /// Adds the rows of a batch to the digests, as far as no later batch can change them, and takes them out.
    fn add(&mut self, rows: &mut Self::Rows, digests: &mut Digests);
    /// Adds the rows that the carry holds, a view's last word, as far as `part` has them.
    fn add_last(&self, part: Part, digests: &mut Digests);
    /// Whether there are groups by stock key.
    fn has_keys() -> bool;
    /// How many blocks there are groups of, where the log ends at `at`.
    fn blocks(at: Position) -> i64;
    /// Whether there are groups by day.
    fn has_days() -> bool;
    /// The greatest number of a variant that it has rows of.
    fn variant_max(&self) -> u32;
    /// Leaves only the rows of groups that are wanted.
    fn retain(rows: &mut Self::Rows, wanted: &Wanted);
}

/// A view's fold that leads to digests and not to rows.
pub(super) struct Fold<V: View> {
    carry: V,
    digests: Digests,
    /// Room for the rows of a batch.
    rows: V::Rows,
}

impl<V: Digested> Fold<V> {
    pub(super) fn empty() -> Fold<V> {
        Fold {
            carry: V::empty(),
            digests: Digests::default(),
            rows: V::Rows::default(),
        }
    }

    pub(super) fn take(&mut self, events: &[Recorded]) -> Result<(), Error> {
        for event in events {
            self.carry.fold(event, &mut self.rows)?;
        }
        self.carry.add(&mut self.rows, &mut self.digests);
        Ok(())
    }

    /// The digests of the rows of a part.
    pub(super) fn digests_of(&self, part: Part) -> Digests {
        let mut digests = self.digests.only(|group| part.has(group));
        self.carry.add_last(part, &mut digests);
        digests
    }

    pub(super) fn carry(&self) -> &V {
        &self.carry
    }
}

/// The fold of a view that is small: all of its rows are kept.
pub(super) struct Kept<V: View> {
    carry: V,
    pub(super) rows: V::Rows,
}

impl<V: View> Kept<V> {
    pub(super) fn empty() -> Kept<V> {
        Kept {
            carry: V::empty(),
            rows: V::Rows::default(),
        }
    }

    pub(super) fn take(&mut self, events: &[Recorded]) -> Result<(), Error> {
        for event in events {
            self.carry.fold(event, &mut self.rows)?;
        }
        Ok(())
    }

    /// Finishes the rows.
    pub(super) fn end(&mut self) {
        self.carry.seal(&mut self.rows);
    }
}

fn key_group(warehouse: i64, variant: i64) -> Group {
    Group::Key(StockKey::from_columns(warehouse, variant))
}

/// The number of the table of versions among the stock view's. A row a warehouse: all of them are one group.
const VERSIONS: usize = 2;
/// And that of its lots, of which the same is so.
const STOCK_LOTS: usize = 3;
const ALL_OF_THEM: Group = Group::Block(0);

impl Digested for Stock {
    const TABLES: &'static [Table] = tables::STOCK;

    fn entry(_: usize) -> Entry {
        Entry::Whole
    }

    fn group(table: usize, row: &[i64]) -> Group {
        match table {
            VERSIONS | STOCK_LOTS => ALL_OF_THEM,
            _ => key_group(row[0], row[1]),
        }
    }

    fn add(&mut self, rows: &mut stock::Rows, _: &mut Digests) {
        // The carry has every row.
        rows.lots.clear();
        self.forget_touched();
    }

    fn has_keys() -> bool {
        true
    }

    fn blocks(_: Position) -> i64 {
        1
    }

    fn has_days() -> bool {
        false
    }

    fn variant_max(&self) -> u32 {
        self.stock
            .keys()
            .map(|key| key.variant.0)
            .max()
            .unwrap_or_default()
    }

    fn add_last(&self, part: Part, digests: &mut Digests) {
        for (key, held) in self.stock.iter().filter(|(key, _)| part.has(Group::Key(**key))) {
            let row = RowHash::of(0).wholes(&key.columns()).wholes(&held.buckets.0);
            digests.add(Group::Key(*key), row.whole(held.changed.0.cast_signed()).end());
        }
        add_lots(STOCK_LOTS, &self.lots, part, digests);
        let versions = self.versions.iter().filter(|_| part.has(ALL_OF_THEM));
        for (warehouse, version) in versions {
            let row = RowHash::of(VERSIONS).whole(i64::from(warehouse.0));
            digests.add(ALL_OF_THEM, row.whole(version.0.cast_signed()).end());
        }
        for (key, list) in self
            .expiring
            .iter()
            .filter(|(key, _)| part.has(Group::Key(**key)))
        {
            for one in list {
                let row = RowHash::of(1).wholes(&key.columns());
                let row = row
                    .whole(one.expires_at.micros())
                    .whole(one.reservation.0.cast_signed());
                digests.add(Group::Key(*key), row.whole(one.quantity).end());
            }
        }
    }

    fn retain(rows: &mut stock::Rows, wanted: &Wanted) {
        rows.versions.retain(|_| wanted.blocks.contains(&0));
        rows.lots.retain(|_| wanted.blocks.contains(&0));
        rows.stock.retain(|(key, _)| wanted.keys.contains(key));
        rows.expiring.retain(|(key, _)| wanted.keys.contains(key));
    }
}

// The numbers of the history's tables.
const EVENTS: usize = 0;
const EVENT_DAYS: usize = 1;
const EVENT_BLOCKS: usize = 2;
const RECORDED: usize = 3;
const MOVEMENTS: usize = 4;
const STOCK_DAYS: usize = 5;
const STOCK_SPANS: usize = 6;
const KEYS: usize = 7;
const MARKS: usize = 8;
const LOTS: usize = 9;

impl Digested for History {
    const TABLES: &'static [Table] = tables::HISTORY;

    fn entry(table: usize) -> Entry {
        match table {
            EVENT_DAYS | EVENT_BLOCKS | STOCK_DAYS | STOCK_SPANS => Entry::Amounts,
            _ => Entry::Whole,
        }
    }

    fn group(table: usize, row: &[i64]) -> Group {
        match table {
            EVENT_DAYS => Group::Day(row[0]),
            EVENT_BLOCKS => Group::Block(row[0]),
            EVENTS => Group::block_of(row[0]),
            RECORDED => Group::block_of(row[1]),
            // The warehouse is the first of the values, behind four columns of the key.
            MOVEMENTS => key_group(row[4], row[0]),
            LOTS => ALL_OF_THEM,
            _ => key_group(row[1], row[0]),
        }
    }

    fn add(&mut self, rows: &mut history::Rows, digests: &mut Digests) {
        digests.add_all(
            rows.events
                .drain(..)
                .map(|row| (Group::block_of(row[0]), RowHash::of(EVENTS).wholes(&row).end())),
        );
        digests.add_all(rows.days.drain().map(|(key, events)| {
            let number = RowHash::of(EVENT_DAYS).wholes(&key).amounts(&[events]);
            (Group::Day(key[0]), number)
        }));
        digests.add_all(rows.blocks.drain().map(|(key, events)| {
            let number = RowHash::of(EVENT_BLOCKS).wholes(&key).amounts(&[events]);
            (Group::Block(key[0]), number)
        }));
        digests.add_all(
            rows.recorded
                .drain(..)
                .map(|row| (Group::block_of(row[1]), RowHash::of(RECORDED).wholes(&row).end())),
        );
        digests.add_all(rows.movements.drain(..).map(|row| {
            (
                key_group(row[4], row[0]),
                RowHash::of(MOVEMENTS).wholes(&row).end(),
            )
        }));
        digests.add_all(rows.stock_days.drain().map(|(key, amounts)| {
            let number = RowHash::of(STOCK_DAYS).wholes(&key).amounts(&amounts);
            (key_group(key[1], key[0]), number)
        }));
        digests.add_all(rows.stock_spans.drain().map(|(key, amounts)| {
            let number = RowHash::of(STOCK_SPANS).wholes(&key).amounts(&amounts);
            (key_group(key[1], key[0]), number)
        }));
        digests.add_all(
            rows.marks
                .drain(..)
                .map(|row| (key_group(row[1], row[0]), RowHash::of(MARKS).wholes(&row).end())),
        );
        // Lots stand in the carry.
        rows.lots.clear();
        self.forget_touched();
    }

    fn has_keys() -> bool {
        true
    }

    fn blocks(at: Position) -> i64 {
        at.0.cast_signed() / history::BLOCK_POSITIONS + 1
    }

    fn has_days() -> bool {
        true
    }

    fn variant_max(&self) -> u32 {
        self.keys
            .keys()
            .map(|key| key.variant.0)
            .max()
            .unwrap_or_default()
    }

    fn add_last(&self, part: Part, digests: &mut Digests) {
        add_lots(LOTS, &self.lots, part, digests);
        for (key, carry) in self.keys.iter().filter(|(key, _)| part.has(Group::Key(**key))) {
            let [warehouse, variant] = key.columns();
            let row = RowHash::of(KEYS)
                .whole(variant)
                .whole(warehouse)
                .wholes(&carry.buckets.0);
            let row = row.wholes(&carry.stretch()).wholes(&carry.in_span.0);
            digests.add(Group::Key(*key), row.end());
        }
    }

    fn retain(rows: &mut history::Rows, wanted: &Wanted) {
        rows.events.retain(|row| wanted.has_block_of(row[0]));
        rows.days.retain(|key, _| wanted.days.contains(&key[0]));
        rows.blocks.retain(|key, _| wanted.blocks.contains(&key[0]));
        rows.recorded.retain(|row| wanted.has_block_of(row[1]));
        rows.movements.retain(|row| wanted.has_key(row[4], row[0]));
        rows.stock_days.retain(|key, _| wanted.has_key(key[1], key[0]));
        rows.stock_spans.retain(|key, _| wanted.has_key(key[1], key[0]));
        rows.keys.retain(|(key, _)| wanted.keys.contains(key));
        rows.marks.retain(|row| wanted.has_key(row[1], row[0]));
        rows.lots.retain(|_| wanted.blocks.contains(&0));
    }
}

fn add_lots(table: usize, lots: &Lots, part: Part, digests: &mut Digests) {
    for (lot, variant) in lots.iter().filter(|_| part.has(ALL_OF_THEM)) {
        let row = RowHash::of(table).wholes(&[i64::from(lot.0), i64::from(variant.0)]);
        digests.add(ALL_OF_THEM, row.end());
    }
}

impl Digested for Reservations {
    const TABLES: &'static [Table] = tables::RESERVATIONS;

    fn entry(_: usize) -> Entry {
        Entry::Whole
    }

    fn group(_: usize, row: &[i64]) -> Group {
        Group::block_of(row[0])
    }

    fn add(&mut self, rows: &mut reservations::Rows, digests: &mut Digests) {
        // One that is over leaves the carry here, and comes back no more.
        self.seal(rows);
        for (id, row) in rows
            .drain(..)
            .filter(|(_, row)| row.state != ReservationState::Open)
        {
            add_reservation(id, &row, digests);
        }
    }

    fn has_keys() -> bool {
        false
    }

    fn blocks(at: Position) -> i64 {
        at.0.cast_signed() / history::BLOCK_POSITIONS + 1
    }

    fn has_days() -> bool {
        false
    }

    fn variant_max(&self) -> u32 {
        0
    }

    fn add_last(&self, part: Part, digests: &mut Digests) {
        for (id, row) in &self.open {
            if part.has(Group::block_of(id.0.cast_signed())) {
                add_reservation(*id, row, digests);
            }
        }
    }

    fn retain(rows: &mut reservations::Rows, wanted: &Wanted) {
        rows.retain(|(id, _)| wanted.has_block_of(id.0.cast_signed()));
    }
}

fn add_reservation(id: Position, row: &reservations::Open, digests: &mut Digests) {
    let id = id.0.cast_signed();
    let (warehouse, expires_at, state, [held, shipped]) = row.columns();
    let hash = RowHash::of(0).whole(id).text(&row.order).whole(warehouse);
    let hash = match expires_at {
        Some(at) => hash.whole(at),
        None => hash.odd(),
    };
    digests.add(Group::block_of(id), hash.wholes(&[state, held, shipped]).end());
    for line in &row.lines {
        let hash = RowHash::of(1).whole(id).whole(i64::from(line.variant.0));
        digests.add(Group::block_of(id), hash.wholes(&line.columns()).end());
    }
}
