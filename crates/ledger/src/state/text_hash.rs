//! Hashing of text that callers choose: SKUs, codes, ids of orders and transfers.
//!
//! Seeded by the ledger, and by a hash whose collisions depend on the seed, so that nobody can prepare texts that fall
//! into one slot of a ledger whose seed they do not know.

use std::hash::{BuildHasher, Hasher};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Makes the hashers of one ledger.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TextHash {
    seed: u64,
}

impl TextHash {
    pub(crate) fn new(seed: u64) -> TextHash {
        TextHash { seed }
    }
}

impl BuildHasher for TextHash {
    type Hasher = TextHasher;

    fn build_hasher(&self) -> TextHasher {
        TextHasher(self.seed)
    }
}

/// Hashes one text.
pub(crate) struct TextHasher(u64);

impl Hasher for TextHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64_with_seed(bytes, self.0);
    }

    /// The mark that ends a text: one text is all there is, so it tells nothing.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
