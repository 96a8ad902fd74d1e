//! A snapshot's sections of counts: those that are open, and when stock keys were counted last.

use super::{Ascending, COUNTED, COUNTS, instant};
use crate::codec::{DecodeError, Reader, Writer};
use crate::count::CountLine;
use crate::id::{Position, VariantNo, WarehouseNo};
use crate::state::{Count, State, StockKey};

/// Writes the sections, as far as there is anything to write.
pub(super) fn write(w: &mut Writer, state: &State) {
    if !state.counts.is_empty() {
        w.u8(COUNTS);
        w.varint(state.counts.len() as u64);
        for (id, count) in &state.counts {
            w.varint(id.0);
            write_count(w, count);
        }
    }
    if !state.counted.is_empty() {
        let mut counted: Vec<_> = state.counted.iter().collect();
        counted.sort_unstable();
        w.u8(COUNTED);
        w.varint(counted.len() as u64);
        for (key, at) in counted {
            w.varint(u64::from(key.warehouse().0));
            w.varint(u64::from(key.variant().0));
            w.signed(at.micros());
        }
    }
}

fn write_count(w: &mut Writer, count: &Count) {
    w.varint(u64::from(count.warehouse.0));
    w.signed(count.opened_at.micros());
    w.optional(count.variants.as_ref(), |w, variants| {
        w.varint(variants.len() as u64);
        variants.iter().for_each(|no| w.varint(u64::from(no.0)));
    });
    w.varint(count.lines.len() as u64);
    for line in count.lines.values() {
        w.varint(u64::from(line.variant.0));
        w.signed(line.at.micros());
        w.signed(line.counted);
        w.signed(line.expected);
    }
    w.varint(count.moved.len() as u64);
    for (variant, moved) in &count.moved {
        w.varint(u64::from(variant.0));
        w.varint(moved.len() as u64);
        for (at, change) in moved {
            w.signed(at.micros());
            w.signed(*change);
        }
    }
}

/// Reads the open counts, behind their section's number.
pub(super) fn read_counts(r: &mut Reader<'_>, state: &mut State) -> Result<(), DecodeError> {
    let mut order = Ascending::default();
    for _ in 0..r.varint()? {
        let id = Position(r.varint()?);
        order.check(id)?;
        let count = read_count(r)?;
        if state.warehouse(count.warehouse).is_none() || id > state.head {
            return Err(impossible("a count of what is not there"));
        }
        state.counts.insert(id, count);
    }
    if state.counts.is_empty() {
        return Err(impossible("a section of no counts"));
    }
    Ok(())
}

fn read_count(r: &mut Reader<'_>) -> Result<Count, DecodeError> {
    let (warehouse, opened_at) = (WarehouseNo(r.varint_u32()?), instant(r)?);
    let variants = r.optional(|r| {
        let mut variants = Vec::new();
        let mut order = Ascending::default();
        for _ in 0..r.varint()? {
            variants.push(VariantNo(r.varint_u32()?));
            order.check(variants.last().copied())?;
        }
        Ok(variants)
    })?;
    let mut count = Count::new(warehouse, variants, opened_at);
    let mut order = Ascending::default();
    for _ in 0..r.varint()? {
        let variant = VariantNo(r.varint_u32()?);
        order.check(variant)?;
        let line = CountLine {
            variant,
            at: instant(r)?,
            counted: r.signed()?,
            expected: r.signed()?,
        };
        count.lines.insert(variant, line);
    }
    let mut order = Ascending::default();
    for _ in 0..r.varint()? {
        let variant = VariantNo(r.varint_u32()?);
        order.check(variant)?;
        let mut moved = Vec::new();
        for _ in 0..r.varint()? {
            moved.push((instant(r)?, r.signed()?));
        }
        if moved.is_empty() || !moved.is_sorted_by_key(|(at, _)| *at) {
            return Err(impossible("movements that are not in order, or none"));
        }
        count.moved.insert(variant, moved);
    }
    Ok(count)
}

/// Reads when keys were counted last, behind their section's number.
pub(super) fn read_counted(r: &mut Reader<'_>, state: &mut State) -> Result<(), DecodeError> {
    let mut order = Ascending::default();
    for _ in 0..r.varint()? {
        let key = StockKey::new(WarehouseNo(r.varint_u32()?), VariantNo(r.varint_u32()?));
        order.check(key)?;
        if state.warehouse(key.warehouse()).is_none() || state.variant(key.variant()).is_none() {
            return Err(impossible("a count of what is not in the catalogue"));
        }
        let at = instant(r)?;
        state.add_counted(key, at);
    }
    if state.counted.is_empty() {
        return Err(impossible("a section of nothing counted"));
    }
    Ok(())
}

fn impossible(what: &'static str) -> DecodeError {
    DecodeError::Impossible { what }
}
