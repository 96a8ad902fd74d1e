//! The first block of a segment: which ledger and which part of it the segment holds, and what came before.

use std::path::Path;

use bincard_ledger::{LedgerId, Position, Timestamp};

use crate::block::BLOCK_BYTES;
use crate::chain::Hash;
use crate::commit::part;
use crate::error::{Corruption, OpenError};
use crate::sector::Salt;

const MAGIC: [u8; 8] = *b"BINCARDS";
const FORMAT: u32 = 1;
/// Where commits begin.
pub(crate) const HEADER_BYTES: u64 = BLOCK_BYTES as u64;

/// A segment's header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    pub(crate) ledger: LedgerId,
    /// The segment's number: 1, 2, 3…
    pub(crate) segment: u64,
    /// How long the file is, for ever.
    pub(crate) size_bytes: u64,
    /// The number and the first position of the first commit that it will hold.
    pub(crate) first_commit: u64,
    pub(crate) first: Position,
    /// The hash of the commit before, and when that was recorded.
    pub(crate) previous: Hash,
    pub(crate) previous_at: Timestamp,
}

impl Header {
    pub(crate) fn salt(&self) -> Salt {
        Salt::new(self.ledger.0, self.segment)
    }

    pub(crate) fn write(&self, block: &mut [u8]) {
        block.fill(0);
        block[..8].copy_from_slice(&MAGIC);
        block[12..16].copy_from_slice(&FORMAT.to_le_bytes());
        block[16..32].copy_from_slice(&self.ledger.0);
        block[32..40].copy_from_slice(&self.segment.to_le_bytes());
        block[40..48].copy_from_slice(&self.size_bytes.to_le_bytes());
        block[48..56].copy_from_slice(&self.first_commit.to_le_bytes());
        block[56..64].copy_from_slice(&self.first.0.to_le_bytes());
        block[64..96].copy_from_slice(&self.previous.0);
        block[96..104].copy_from_slice(&self.previous_at.micros().to_le_bytes());
        let check = check(block);
        block[8..12].copy_from_slice(&check.to_le_bytes());
    }

    /// Reads the header of segment `segment`, whose file is `path` and has `file_bytes` bytes.
    pub(crate) fn read(
        block: &[u8],
        segment: u64,
        file_bytes: u64,
        path: &Path,
    ) -> Result<Header, OpenError> {
        let corrupt = |byte, what: &str| {
            OpenError::Corrupt(Corruption {
                path: path.to_owned(),
                segment,
                byte,
                position: Position(0),
                what: what.to_owned(),
            })
        };
        if block.len() < BLOCK_BYTES {
            return Err(corrupt(block.len() as u64, "the file ends within its header"));
        }
        if part(block, 8) != check(block).to_le_bytes() || part::<8>(block, 0) != MAGIC {
            return Err(corrupt(0, "the segment's header fails its checksum"));
        }
        let version = u32::from_le_bytes(part(block, 12));
        if version != FORMAT {
            return Err(OpenError::UnknownFormat {
                path: path.to_owned(),
                version,
            });
        }
        let header = Header {
            ledger: LedgerId(part(block, 16)),
            segment: u64::from_le_bytes(part(block, 32)),
            size_bytes: u64::from_le_bytes(part(block, 40)),
            first_commit: u64::from_le_bytes(part(block, 48)),
            first: Position(u64::from_le_bytes(part(block, 56))),
            previous: Hash(part(block, 64)),
            previous_at: Timestamp::from_micros(i64::from_le_bytes(part(block, 96))),
        };
        if header.segment != segment {
            return Err(corrupt(
                0,
                &format!("the file holds segment {} under this name", header.segment),
            ));
        }
        if header.size_bytes != file_bytes {
            let what = format!(
                "the file has {file_bytes} bytes and should have {}",
                header.size_bytes
            );
            return Err(corrupt(file_bytes, &what));
        }
        Ok(header)
    }
}

/// Over the whole block but the check itself.
fn check(block: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&block[..8]), &block[12..BLOCK_BYTES])
}
