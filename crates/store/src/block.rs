//! Memory aligned as direct writes want it.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The unit in which a commit is written: no two commits share one.
pub(crate) const BLOCK_BYTES: usize = 4096;

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
struct Block([u8; BLOCK_BYTES]);

/// A buffer of whole blocks, aligned to their size.
#[derive(Default)]
pub(crate) struct Blocks {
    blocks: Vec<Block>,
}

impl Blocks {
    /// `count` blocks of zeros.
    pub(crate) fn zeroed(count: usize) -> Blocks {
        Blocks {
            blocks: vec![Block([0; BLOCK_BYTES]); count],
        }
    }

    /// The first `count` blocks, whatever they hold; the buffer grows and never shrinks.
    pub(crate) fn take(&mut self, count: usize) -> &mut [u8] {
        if self.blocks.len() < count {
            self.blocks.resize(count, Block([0; BLOCK_BYTES]));
        }
        self.blocks[..count].as_mut_bytes()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.blocks.as_bytes()
    }
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blocks({})", self.blocks.len())
    }
}
