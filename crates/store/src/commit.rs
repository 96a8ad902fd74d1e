//! One commit as bytes: a header and a body, spread over stamped sectors, padded to whole blocks.
//!
//! The last bytes of a block that the body does not fill are zero payload under the same stamps, so that every bit
//! of a commit is covered by a checksum.

use bincard_ledger::Position;

use crate::block::{BLOCK_BYTES, Blocks};
use crate::chain::Hash;
use crate::sector::{self, Found, PAYLOAD_BYTES, SECTOR_BYTES, STAMP_BYTES, Salt, Stamp};

const MAGIC: [u8; 4] = *b"BCC1";
pub(crate) const HEADER_BYTES: usize = 96;
const SECTORS_PER_BLOCK: usize = BLOCK_BYTES / SECTOR_BYTES;
/// The largest body, in bytes. A bound so that memory, torn tails and recovery stay bounded.
pub const BODY_BYTES_MAX: usize = 8 << 20;

/// What a commit says of itself beside its body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CommitHead {
    pub(crate) commit: u64,
    pub(crate) first: Position,
    pub(crate) count: u32,
    pub(crate) previous: Hash,
    pub(crate) hash: Hash,
}

impl CommitHead {
    /// The position of the last record.
    pub(crate) fn last(&self) -> Position {
        Position(self.first.0 + u64::from(self.count) - 1)
    }
}

/// How many bytes of a segment a body of `body_bytes` takes.
pub(crate) fn size_bytes(body_bytes: usize) -> usize {
    (HEADER_BYTES + body_bytes).div_ceil(PAYLOAD_BYTES * SECTORS_PER_BLOCK) * BLOCK_BYTES
}

/// Lays a commit out in `blocks` for byte `byte` of its segment, and gives the bytes to write.
pub(crate) fn pack<'a>(
    blocks: &'a mut Blocks,
    head: &CommitHead,
    body: &[u8],
    epoch: u32,
    salt: Salt,
    byte: u64,
) -> &'a [u8] {
    let size = size_bytes(body.len());
    let bytes = blocks.take(size / BLOCK_BYTES);
    let count = size / SECTOR_BYTES;
    let header = pack_header(head, body.len());
    let mut rest = body;
    let (sectors, _) = bytes.as_chunks_mut::<SECTOR_BYTES>();
    for (index, sector) in sectors.iter_mut().enumerate() {
        let payload = &mut sector[STAMP_BYTES..];
        let room = if index == 0 {
            payload[..HEADER_BYTES].copy_from_slice(&header);
            &mut payload[HEADER_BYTES..]
        } else {
            payload
        };
        let (now, later) = rest.split_at(rest.len().min(room.len()));
        room[..now.len()].copy_from_slice(now);
        room[now.len()..].fill(0);
        rest = later;
        let stamp = Stamp {
            epoch,
            commit_low: head.commit as u32,
            index: index as u16,
            count: count as u16,
        };
        sector::seal(sector, stamp, salt, byte + (index * SECTOR_BYTES) as u64);
    }
    bytes
}

fn pack_header(head: &CommitHead, body_bytes: usize) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&(body_bytes as u32).to_le_bytes());
    header[8..16].copy_from_slice(&head.commit.to_le_bytes());
    header[16..24].copy_from_slice(&head.first.0.to_le_bytes());
    header[24..28].copy_from_slice(&head.count.to_le_bytes());
    header[32..64].copy_from_slice(&head.previous.0);
    header[64..96].copy_from_slice(&head.hash.0);
    header
}

/// A commit whose every sector was found whole and in its place. Its body is in the buffer given to [`unpack`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unpacked {
    pub(crate) head: CommitHead,
    pub(crate) epoch: u32,
    /// How many bytes of the segment it takes.
    pub(crate) size_bytes: usize,
    body_bytes: usize,
}

impl Unpacked {
    /// The body in the buffer that [`unpack`] filled.
    pub(crate) fn body<'a>(&self, buffer: &'a [u8]) -> &'a [u8] {
        &buffer[HEADER_BYTES..HEADER_BYTES + self.body_bytes]
    }
}

/// Why there is no commit at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoCommit {
    /// More bytes are needed: so many in all.
    Short(usize),
    /// The sector at this byte of the segment is not what it should be.
    Flaw(u64, &'static str),
}

/// Reads commit number `commit` from `bytes`, which begin at byte `byte` of its segment, checking every sector.
pub(crate) fn unpack(
    bytes: &[u8],
    commit: u64,
    salt: Salt,
    byte: u64,
    payload: &mut Vec<u8>,
) -> Result<Unpacked, NoCommit> {
    let (sectors, _) = bytes.as_chunks::<SECTOR_BYTES>();
    let Some(first) = sectors.first() else {
        return Err(NoCommit::Short(SECTOR_BYTES));
    };
    let stamp = stamp_of(first, salt, byte)?;
    if stamp.commit_low != commit as u32 || stamp.index != 0 {
        return Err(NoCommit::Flaw(
            byte,
            "another commit's sector stands where this one should begin",
        ));
    }
    let count = usize::from(stamp.count);
    if !count.is_multiple_of(SECTORS_PER_BLOCK) {
        return Err(NoCommit::Flaw(byte, "the commit is not of whole blocks"));
    }
    let Some(sectors) = sectors.get(..count) else {
        return Err(NoCommit::Short(count * SECTOR_BYTES));
    };
    payload.clear();
    payload.extend_from_slice(&first[STAMP_BYTES..]);
    for (index, sector) in sectors.iter().enumerate().skip(1) {
        let at = byte + (index * SECTOR_BYTES) as u64;
        if stamp_of(sector, salt, at)?
            != (Stamp {
                index: index as u16,
                ..stamp
            })
        {
            return Err(NoCommit::Flaw(
                at,
                "another commit's sector stands within this one",
            ));
        }
        payload.extend_from_slice(&sector[STAMP_BYTES..]);
    }
    let (head, body_bytes) =
        unpack_header(payload).ok_or(NoCommit::Flaw(byte, "the commit has no valid header"))?;
    let size = count * SECTOR_BYTES;
    if head.commit != commit || body_bytes > BODY_BYTES_MAX || size_bytes(body_bytes) != size {
        return Err(NoCommit::Flaw(
            byte,
            "the commit's header contradicts its sectors",
        ));
    }
    if payload[HEADER_BYTES + body_bytes..].iter().any(|byte| *byte != 0) {
        return Err(NoCommit::Flaw(byte, "the commit goes on after its end"));
    }
    Ok(Unpacked {
        head,
        epoch: stamp.epoch,
        size_bytes: size,
        body_bytes,
    })
}

fn stamp_of(sector: &[u8; SECTOR_BYTES], salt: Salt, byte: u64) -> Result<Stamp, NoCommit> {
    match sector::look(sector, salt, byte) {
        Found::Stamped(stamp) => Ok(stamp),
        Found::Empty => Err(NoCommit::Flaw(byte, "a sector was never written, or lost")),
        Found::Damaged => Err(NoCommit::Flaw(byte, "a sector fails its checksum")),
    }
}

/// What a commit says of itself at the beginning of its payload, as far as that is readable; nothing is checked.
pub(crate) fn header_of(payload: &[u8]) -> Option<CommitHead> {
    unpack_header(payload).map(|(head, _)| head)
}

fn unpack_header(payload: &[u8]) -> Option<(CommitHead, usize)> {
    let header = payload.first_chunk::<HEADER_BYTES>()?;
    let count = u32::from_le_bytes(part(header, 24));
    if part::<4>(header, 0) != MAGIC || count == 0 {
        return None;
    }
    let head = CommitHead {
        commit: u64::from_le_bytes(part(header, 8)),
        first: Position(u64::from_le_bytes(part(header, 16))),
        count,
        previous: Hash(part(header, 32)),
        hash: Hash(part(header, 64)),
    };
    Some((head, u32::from_le_bytes(part(header, 4)) as usize))
}

/// `N` bytes of a fixed layout, from byte `at`.
pub(crate) fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}
