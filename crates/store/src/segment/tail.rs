//! What stands after the last whole commit: nothing, remains, the torn write of a crash, or damage.
//!
//! One write is in flight at most, so a crash leaves at most one commit in part, and every one before it was
//! acknowledged. The rest of the segment is looked at to its end, sector by sector, and is accepted only when every
//! sector is explained by exactly that. Everything else is damage, and named.

use std::path::Path;

use super::header::Header;
use super::scan::{CHUNK_BYTES, End, Flaw, Window};
use crate::disk::DiskFile;
use crate::error::{Corruption, OpenError};
use crate::sector::{self, Found, SECTOR_BYTES, Stamp};

/// What has to be done with a tail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tail {
    /// The end of the last sector that is not empty; zeros must be written up to there.
    pub(crate) dirty_end: u64,
    /// The largest epoch in any sector.
    pub(crate) epoch_max: u32,
    /// How many bytes of a torn commit were found.
    pub(crate) torn_bytes: u64,
}

/// The sectors of the one commit that may have been in flight.
#[derive(Clone, Copy)]
struct InFlight {
    epoch: u32,
    count: u16,
    present: u16,
}

struct Judge<'a> {
    header: &'a Header,
    end: &'a End,
    in_flight: Option<InFlight>,
    tail: Tail,
}

/// Judges a segment from `end` on.
pub(crate) fn judge(
    file: &dyn DiskFile,
    path: &Path,
    header: &Header,
    end: &End,
    flaw: Option<Flaw>,
) -> Result<Tail, OpenError> {
    let corrupt = |byte, what: String| {
        let position = end.position.next();
        Corruption {
            path: path.to_owned(),
            segment: header.segment,
            byte,
            position,
            what,
        }
    };
    let tail = Tail {
        dirty_end: end.byte,
        epoch_max: end.epoch,
        torn_bytes: 0,
    };
    let mut judge = Judge {
        header,
        end,
        in_flight: None,
        tail,
    };
    let mut window = Window::new(CHUNK_BYTES);
    let mut byte = end.byte;
    while byte < header.size_bytes {
        let bytes = window
            .look(file, byte, SECTOR_BYTES, header.size_bytes)
            .map_err(OpenError::io("read", path))?;
        let (sectors, _) = bytes.as_chunks::<SECTOR_BYTES>();
        if sectors.is_empty() {
            return Err(corrupt(byte, "the file ends too early".to_owned()).into());
        }
        for sector in sectors {
            judge.sector(sector, byte).map_err(|what| corrupt(byte, what))?;
            byte += SECTOR_BYTES as u64;
        }
    }
    let Some(InFlight { count, present, .. }) = judge.in_flight else {
        return Ok(judge.tail);
    };
    if present == count {
        let flaw = flaw.unwrap_or(Flaw {
            byte: end.byte,
            what: "the commit is not valid".to_owned(),
        });
        return Err(corrupt(flaw.byte, flaw.what).into());
    }
    let torn_bytes = u64::from(present) * SECTOR_BYTES as u64;
    Ok(Tail {
        torn_bytes,
        ..judge.tail
    })
}

impl Judge<'_> {
    fn sector(&mut self, sector: &[u8; SECTOR_BYTES], byte: u64) -> Result<(), String> {
        let stamp = match sector::look(sector, self.header.salt(), byte) {
            Found::Empty => return Ok(()),
            Found::Damaged => return Err("a sector is neither empty nor whole".to_owned()),
            Found::Stamped(stamp) => stamp,
        };
        self.tail.dirty_end = byte + SECTOR_BYTES as u64;
        self.tail.epoch_max = self.tail.epoch_max.max(stamp.epoch);
        let first = self.header.first_commit;
        let commit = first + u64::from(stamp.commit_low.wrapping_sub(first as u32));
        let next = self.end.commit + 1;
        if commit < next && stamp.epoch < self.end.epoch {
            // Remains of a write that an earlier recovery cut off.
            Ok(())
        } else if commit == next && stamp.epoch >= self.end.epoch {
            self.in_flight_sector(stamp, (byte - self.end.byte) / SECTOR_BYTES as u64)
        } else if commit > next {
            Err(format!(
                "commit {commit} stands here, but commit {next} before it is missing"
            ))
        } else {
            Err(format!(
                "a sector of commit {commit} stands after the end of commit {}",
                self.end.commit
            ))
        }
    }

    fn in_flight_sector(&mut self, stamp: Stamp, index: u64) -> Result<(), String> {
        if u64::from(stamp.index) != index || stamp.index >= stamp.count {
            return Err("a sector of the next commit stands in the wrong place".to_owned());
        }
        let fresh = InFlight {
            epoch: stamp.epoch,
            count: stamp.count,
            present: 1,
        };
        self.in_flight = match self.in_flight {
            Some(known) if known.epoch > stamp.epoch => Some(known),
            Some(known) if known.epoch == stamp.epoch && known.count != stamp.count => {
                return Err("sectors of the next commit contradict each other".to_owned());
            }
            Some(known) if known.epoch == stamp.epoch => Some(InFlight {
                present: known.present + 1,
                ..known
            }),
            _ => Some(fresh),
        };
        Ok(())
    }
}
