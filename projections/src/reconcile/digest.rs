//! Digests: what many rows come to, whatever their order, so that rows of the log and of a view are compared by the group
//! and only groups that differ are looked at row by row.
//!
//! A digest is a sum, modulo 2^64, of a number a row. Rows that are written once are hashed whole. Rows that events add to
//! are hashed linearly: each amount is multiplied by a number that the row's key and column make, so that what an event
//! adds is added to the digest, too, and nobody need keep the row.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::history;
use crate::stock::StockKey;

/// The rows that share a digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Group {
    /// Rows of one stock key.
    Key(StockKey),
    /// Rows of a block of positions.
    Block(i64),
    /// Rows of a day of occurrence.
    Day(i64),
}

impl Group {
    /// The block that a position lies in.
    pub(super) fn block_of(position: i64) -> Group {
        Group::Block(position / history::BLOCK_POSITIONS)
    }
}

/// The digest of every group; groups without rows have none.
#[derive(Default)]
pub(crate) struct Digests {
    keys: HashMap<StockKey, u64, FixedState>,
    blocks: HashMap<i64, u64, FixedState>,
    days: HashMap<i64, u64, FixedState>,
}

impl Digests {
    pub(super) fn add(&mut self, group: Group, number: u64) {
        let digest = match group {
            Group::Key(key) => self.keys.entry(key).or_default(),
            Group::Block(no) => self.blocks.entry(no).or_default(),
            Group::Day(no) => self.days.entry(no).or_default(),
        };
        *digest = digest.wrapping_add(number);
    }

    /// Adds many numbers, of which those of one group often stand together.
    pub(super) fn add_all(&mut self, numbers: impl IntoIterator<Item = (Group, u64)>) {
        let mut numbers = numbers.into_iter();
        let Some((mut group, mut sum)) = numbers.next() else {
            return;
        };
        for (next, number) in numbers {
            if next == group {
                sum = sum.wrapping_add(number);
            } else {
                self.add(group, sum);
                (group, sum) = (next, number);
            }
        }
        self.add(group, sum);
    }

    pub(super) fn of(&self, group: Group) -> u64 {
        let digest = match group {
            Group::Key(key) => self.keys.get(&key),
            Group::Block(no) => self.blocks.get(&no),
            Group::Day(no) => self.days.get(&no),
        };
        digest.copied().unwrap_or_default()
    }

    /// The groups that are not the same in both.
    pub(super) fn differing(&self, other: &Digests) -> Vec<Group> {
        let groups = self.groups().chain(other.groups());
        let mut differing: Vec<Group> = groups
            .filter(|group| self.of(*group) != other.of(*group))
            .collect();
        differing.sort_unstable();
        differing.dedup();
        differing
    }

    /// The digests of those groups that `keep` keeps.
    pub(super) fn only(&self, keep: impl Fn(Group) -> bool) -> Digests {
        let mut kept = Digests::default();
        for group in self.groups().filter(|group| keep(*group)) {
            kept.add(group, self.of(group));
        }
        kept
    }

    fn groups(&self) -> impl Iterator<Item = Group> {
        let keys = self.keys.keys().copied().map(Group::Key);
        let blocks = self.blocks.keys().copied().map(Group::Block);
        keys.chain(blocks)
            .chain(self.days.keys().copied().map(Group::Day))
    }
}

/// A row being hashed, column by column.
///
/// Each column is multiplied by a number of its own, none waiting for another: what takes most of a reconciliation's time
/// is this.
#[derive(Clone, Copy)]
pub(super) struct RowHash {
    sum: u64,
    columns: usize,
}

/// What the columns of a row are changed and multiplied by, in turn.
const COLUMNS: [[u64; 2]; 16] = {
    let mut columns = [[0; 2]; 16];
    let mut state = 0x243F_6A88_85A3_08D3_u64;
    let mut at = 0;
    while at < 32 {
        // splitmix64.
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        // Odd, as a factor has to be.
        columns[at / 2][at % 2] = (x ^ (x >> 31)) | 1;
        at += 1;
    }
    columns
};

impl RowHash {
    /// A row of the table with this number among its view's.
    pub(super) fn of(table: usize) -> RowHash {
        RowHash {
            sum: mix(0x1319_8A2E_0370_7344, table as u64),
            columns: 0,
        }
    }

    pub(super) fn whole(self, value: i64) -> RowHash {
        let RowHash { mut sum, mut columns } = self;
        if columns == COLUMNS.len() {
            (sum, columns) = (mix(sum, 0), 0);
        }
        let [change, factor] = COLUMNS[columns];
        RowHash {
            sum: sum.wrapping_add(fold(value.cast_unsigned() ^ change, factor)),
            columns: columns + 1,
        }
    }

    pub(super) fn wholes(self, values: &[i64]) -> RowHash {
        values.iter().fold(self, |hash, value| hash.whole(*value))
    }

    pub(super) fn text(self, text: &str) -> RowHash {
        let bytes = text.bytes().map(u64::from);
        let hash = bytes.fold(mix(TEXT, text.len() as u64), mix);
        self.whole(hash.cast_signed())
    }

    /// What is no whole number where one should be: like no row of the log.
    pub(super) fn odd(self) -> RowHash {
        RowHash {
            sum: mix(self.sum ^ ODD, 1),
            ..self.whole(0)
        }
    }

    pub(super) fn end(self) -> u64 {
        mix(self.sum, self.columns as u64)
    }

    /// What amounts that events add to come to, where this is the hash of their row's key.
    pub(super) fn amounts(self, amounts: &[i64]) -> u64 {
        let columns = amounts.iter().enumerate();
        columns.fold(0, |sum, (column, amount)| {
            // Odd, so that no two amounts come to the same.
            let factor = mix(self.sum, column as u64) | 1;
            sum.wrapping_add(factor.wrapping_mul(amount.cast_unsigned()))
        })
    }
}

const TEXT: u64 = 0x5851_F42D_4C95_7F2D;
const ODD: u64 = 0xA409_3822_299F_31D0;

fn mix(hash: u64, value: u64) -> u64 {
    fold(
        hash ^ value.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ TEXT,
        0xD6E8_FEB8_6659_FD93,
    )
}

/// Both halves of a product in one.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64).rotate_left(29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_rows_does_not_matter_and_their_values_do() {
        let row = |values: &[i64]| RowHash::of(1).wholes(values).end();
        let sum = |rows: &[u64]| {
            let mut digests = Digests::default();
            for row in rows {
                digests.add(Group::Day(1), *row);
            }
            digests.of(Group::Day(1))
        };
        let (a, b, c) = (row(&[1, 2, 3]), row(&[1, 3, 2]), row(&[1, 2, 4]));
        assert_eq!(sum(&[a, b]), sum(&[b, a]));
        assert_ne!(sum(&[a, b]), sum(&[a, a]));
        assert_ne!(sum(&[a, b]), sum(&[a, c]));
        assert_ne!(RowHash::of(1).text("ab").end(), RowHash::of(1).text("ba").end());
    }

    #[test]
    fn every_column_counts_however_many_there_are_and_wherever_a_value_stands() {
        let values: Vec<i64> = (0..40).map(|value| value % 3).collect();
        let row = |values: &[i64]| RowHash::of(1).wholes(values).end();
        let mut seen = std::collections::HashSet::from([row(&values)]);
        for at in 0..values.len() {
            let mut changed = values.clone();
            changed[at] += 1;
            assert!(seen.insert(row(&changed)), "column {at}");
            assert!(seen.insert(row(&values[..at])), "{at} columns");
        }
        for (one, other) in (0..40).flat_map(|one| (0..one).map(move |other| (one, other))) {
            let mut swapped = values.clone();
            swapped.swap(one, other);
            assert_eq!(
                row(&swapped) == row(&values),
                swapped == values,
                "{one} and {other}"
            );
        }
        assert_ne!(RowHash::of(1).odd().end(), RowHash::of(1).whole(0).end());
        assert_ne!(RowHash::of(1).odd().end(), RowHash::of(1).odd().odd().end());
        assert_ne!(RowHash::of(1).whole(5).end(), RowHash::of(2).whole(5).end());
    }

    #[test]
    fn numbers_of_one_group_are_added_up_wherever_they_stand() {
        let numbers = [(1, 5), (1, 6), (2, 7), (1, u64::MAX), (3, 1)];
        let numbers = numbers.map(|(day, number)| (Group::Day(day), number));
        let (mut one_by_one, mut at_once) = (Digests::default(), Digests::default());
        for (group, number) in numbers {
            one_by_one.add(group, number);
        }
        at_once.add_all(numbers);
        at_once.add_all([]);
        assert_eq!(at_once.of(Group::Day(1)), 10);
        assert!(at_once.differing(&one_by_one).is_empty());
    }

    #[test]
    fn amounts_add_up_like_the_rows_that_they_lead_to() {
        let key = RowHash::of(2).wholes(&[7, 8]);
        let step = key.amounts(&[5, -3]).wrapping_add(key.amounts(&[-2, 4]));
        assert_eq!(step, key.amounts(&[3, 1]));
        assert_ne!(step, key.amounts(&[1, 3]));
        assert_ne!(step, RowHash::of(2).wholes(&[8, 7]).amounts(&[3, 1]));
    }
}
