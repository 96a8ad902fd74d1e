//! The 512-byte sectors that commits are made of, each stamped with what it is part of.
//!
//! A disk writes sectors whole, in any order, and may lose some at a crash. So that a sector that was not written is
//! told from one that was written and then damaged, each says which commit it belongs to, which of its sectors it is
//! and how many there are, and carries a checksum over all of that and its payload. The checksum starts from a salt
//! made of the ledger, the segment and the sector's own place, so that a sector in a wrong place is damaged too.

pub(crate) const SECTOR_BYTES: usize = 512;
pub(crate) const STAMP_BYTES: usize = 16;
pub(crate) const PAYLOAD_BYTES: usize = SECTOR_BYTES - STAMP_BYTES;

/// What a sector says it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stamp {
    /// Under which recovery it was written: 1, 2, 3…
    pub(crate) epoch: u32,
    /// The lower half of its commit's number.
    pub(crate) commit_low: u32,
    /// Which sector of its commit, from 0.
    pub(crate) index: u16,
    /// How many sectors its commit has.
    pub(crate) count: u16,
}

/// What stands in a sector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// Nothing was ever written.
    Empty,
    /// A whole, undamaged sector, in its own place.
    Stamped(Stamp),
    /// Anything else.
    Damaged,
}

/// Where sectors' checksums of one segment start from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Salt(u32);

impl Salt {
    pub(crate) fn new(ledger: [u8; 16], segment: u64) -> Salt {
        Salt(crc32c::crc32c_append(
            crc32c::crc32c(&ledger),
            &segment.to_le_bytes(),
        ))
    }

    /// A checksum's start is kept apart by a bijection: no two places of a segment share one.
    fn at(self, byte: u64) -> u32 {
        self.0 ^ (byte / SECTOR_BYTES as u64) as u32
    }
}

/// Stamps a sector whose payload is in place, for byte `byte` of its segment.
pub(crate) fn seal(sector: &mut [u8; SECTOR_BYTES], stamp: Stamp, salt: Salt, byte: u64) {
    sector[4..8].copy_from_slice(&stamp.epoch.to_le_bytes());
    sector[8..12].copy_from_slice(&stamp.commit_low.to_le_bytes());
    sector[12..14].copy_from_slice(&stamp.index.to_le_bytes());
    sector[14..16].copy_from_slice(&stamp.count.to_le_bytes());
    let check = crc32c::crc32c_append(salt.at(byte), &sector[4..]);
    sector[..4].copy_from_slice(&check.to_le_bytes());
}

/// Says what stands in the sector at byte `byte` of its segment.
pub(crate) fn look(sector: &[u8; SECTOR_BYTES], salt: Salt, byte: u64) -> Found {
    let check = u32_at(sector, 0);
    let stamp = Stamp {
        epoch: u32_at(sector, 4),
        commit_low: u32_at(sector, 8),
        index: u16::from_le_bytes([sector[12], sector[13]]),
        count: u16::from_le_bytes([sector[14], sector[15]]),
    };
    // Zeros have a checksum as well, which somewhere is zero; but no stamp counts no sectors.
    if stamp.count > 0 && check == crc32c::crc32c_append(salt.at(byte), &sector[4..]) {
        Found::Stamped(stamp)
    } else if *sector == [0; SECTOR_BYTES] {
        Found::Empty
    } else {
        Found::Damaged
    }
}

fn u32_at(sector: &[u8; SECTOR_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([sector[at], sector[at + 1], sector[at + 2], sector[at + 3]])
}
