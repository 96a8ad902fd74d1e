//! A blocked Bloom filter: one cache line says whether a key may be there.
//!
//! A key's hash picks a line by its upper bits and one bit in each of the line's eight words by the others. About
//! 0.2% of the keys that are not there are said to be. Lines grow with hashes, so that a filter is built in one pass
//! over sorted keys.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bits a key. Two filters of the same keys, while a merge makes the second, stay under 4 bytes a key.
const BITS_PER_KEY: u64 = 14;
const LINE_BITS: u64 = 512;
const MIX: u64 = 0xD6E8_FEB8_6659_FD93;

#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(64))]
struct Line([u64; 8]);

/// Keys, approximately: of one run, or of a log.
pub(crate) struct Filter {
    lines: Vec<Line>,
}

impl Filter {
    /// An empty filter with room for `keys` keys.
    pub(crate) fn new(keys: u64) -> Filter {
        Filter {
            lines: vec![Line::default(); line_count(keys)],
        }
    }

    /// How many bytes the filter of `keys` keys has.
    pub(super) fn size_bytes(keys: u64) -> usize {
        line_count(keys) * size_of::<Line>()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Filter> {
        let mut lines = vec![Line::default(); bytes.len() / size_of::<Line>()];
        if lines.is_empty() || lines.as_bytes().len() != bytes.len() {
            return None;
        }
        lines.as_mut_slice().as_mut_bytes().copy_from_slice(bytes);
        Some(Filter { lines })
    }

    /// As in files. Words are little-endian there, as on every machine this runs on.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.lines.as_bytes()
    }

    pub(crate) fn insert(&mut self, hash: u64) {
        let at = self.line_of(hash);
        for (word, bit) in self.lines[at].0.iter_mut().zip(bits(hash)) {
            *word |= 1 << bit;
        }
    }

    /// Without branches, so that the loads of several keys overlap.
    pub(crate) fn may_contain(&self, hash: u64) -> bool {
        let line = &self.lines[self.line_of(hash)].0;
        let missing = line
            .iter()
            .zip(bits(hash))
            .fold(0, |missing, (word, bit)| missing | (!word >> bit & 1));
        missing == 0
    }

    fn line_of(&self, hash: u64) -> usize {
        ((u128::from(hash) * self.lines.len() as u128) >> 64) as usize
    }
}

fn bits(hash: u64) -> impl Iterator<Item = u32> {
    let mixed = hash.wrapping_mul(MIX) >> 16;
    (0..8).map(move |word| (mixed >> (word * 6) & 63) as u32)
}

fn line_count(keys: u64) -> usize {
    ((keys * BITS_PER_KEY).div_ceil(LINE_BITS)).max(1) as usize
}

const _: () = assert!(
    cfg!(target_endian = "little"),
    "filters are kept as they are in memory"
);
