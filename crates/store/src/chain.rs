//! The hash chain: every commit's hash covers its body, its first position and the hash before it.

use std::fmt;

use bincard_ledger::{LedgerId, Position};

/// Starts every chain, so that no other use of BLAKE3 gives the same hash.
const GENESIS: &[u8] = b"bincard ledger v1 genesis";

/// A BLAKE3 hash. The head's commits to the whole history before it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The hash before a ledger's first commit.
    pub fn genesis(ledger: LedgerId) -> Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(GENESIS).update(&ledger.0);
        Hash(hasher.finalize().into())
    }

    /// The hash of the commit that follows this one: `BLAKE3(this ‖ first position ‖ BLAKE3(body))`.
    pub fn follow(self, first: Position, body: &[u8]) -> Hash {
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&self.0)
            .update(&first.0.to_le_bytes())
            .update(blake3::hash(body).as_bytes());
        Hash(hasher.finalize().into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}
