//! A snapshot's section of the transfers that have something on the way.

use smallvec::SmallVec;

use super::{Ascending, TRANSFERS, quantity};
use crate::codec::{DecodeError, Reader, Writer};
use crate::id::{Position, VariantNo, WarehouseNo};
use crate::state::{State, Transfer, TransitLine};
use crate::time::Timestamp;

/// Writes the section, if there is anything to write.
pub(super) fn write(w: &mut Writer, state: &State) {
    if state.transfers.is_empty() {
        return;
    }
    w.u8(TRANSFERS);
    w.varint(state.transfers.len() as u64);
    for (id, transfer) in &state.transfers {
        w.varint(id.0);
        w.optional(transfer.name.as_ref(), |w, name| w.text(name));
        w.varint(u64::from(transfer.source.0));
        w.varint(u64::from(transfer.destination.0));
        w.varint(transfer.lines.len() as u64);
        for line in &transfer.lines {
            w.varint(u64::from(line.variant.0));
            w.varint(line.units.unsigned_abs());
        }
    }
}

/// Reads the section, behind its number.
pub(super) fn read(r: &mut Reader<'_>, state: &mut State) -> Result<(), DecodeError> {
    let impossible = |what| DecodeError::Impossible { what };
    let mut order = Ascending::default();
    for _ in 0..r.varint()? {
        let (id, transfer) = read_transfer(r)?;
        order.check(id)?;
        let (source, destination) = (transfer.source, transfer.destination);
        let exists = |no| state.warehouse(no).is_some();
        if source == destination || !exists(source) || !exists(destination) {
            return Err(impossible("a transfer that goes from no warehouse to another"));
        }
        state.add_transfer(id, transfer).map_err(impossible)?;
    }
    if state.transfers.is_empty() {
        return Err(impossible("a section of no transfers"));
    }
    Ok(())
}

fn read_transfer(r: &mut Reader<'_>) -> Result<(Position, Transfer), DecodeError> {
    let id = Position(r.varint()?);
    let name = r.optional(|r| r.text().map(Box::from))?;
    let (source, destination) = (WarehouseNo(r.varint_u32()?), WarehouseNo(r.varint_u32()?));
    let mut lines: SmallVec<[TransitLine; 1]> = SmallVec::new();
    let mut order = Ascending::default();
    for _ in 0..r.varint()? {
        let (variant, units) = (VariantNo(r.varint_u32()?), quantity(r)?);
        order.check(variant)?;
        lines.push(TransitLine { variant, units });
    }
    if lines.is_empty() || lines.iter().any(|line| line.units == 0) {
        return Err(DecodeError::Impossible {
            what: "a transfer that has nothing on the way",
        });
    }
    let transfer = Transfer {
        name,
        source,
        destination,
        sent_at: Timestamp::MIN,
        lines,
    };
    Ok((id, transfer))
}
