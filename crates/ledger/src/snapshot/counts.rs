//! A snapshot's sections of counts: those that are open, when stock keys were counted last, and what was begun since.

use std::collections::BTreeMap;

use super::{Ascending, BEGUN, COUNTED, COUNTS, instant};
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
    write_begun(w, state);
}

/// When reservations were made and transfers sent, as far as counts tell them from others by it.
fn write_begun(w: &mut Writer, state: &State) {
    if state.counts.is_empty() && state.counted.is_empty() {
        return;
    }
    let mut begun = Vec::new();
    for one in state.orders.reservations() {
        let variants = one.lines.iter().map(|line| line.variant);
        if state.is_told_from(one.warehouse, variants, one.made_at) {
            begun.push((one.id, one.made_at));
        }
    }
    for (id, one) in &state.transfers {
        let variants = one.lines.iter().map(|line| line.variant);
        if state.is_told_from(one.destination, variants, one.sent_at) {
            begun.push((*id, one.sent_at));
        }
    }
    if begun.is_empty() {
        return;
    }
    begun.sort_unstable();
    w.u8(BEGUN);
    w.varint(begun.len() as u64);
    for (id, at) in begun {
        w.varint(id.0);
        w.signed(at.micros());
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
        state.add_count(id, count).map_err(impossible)?;
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

/// Reads when reservations were made and transfers sent, behind their section's number and all other sections.
pub(super) fn read_begun(r: &mut Reader<'_>, state: &mut State) -> Result<(), DecodeError> {
    let mut begun = BTreeMap::new();
    let mut order = Ascending::default();
    for _ in 0..r.varint()? {
        let (id, at) = (Position(r.varint()?), instant(r)?);
        order.check(id)?;
        begun.insert(id, at);
    }
    if begun.is_empty() {
        return Err(impossible("a section of nothing begun"));
    }
    let mut is_told = Vec::with_capacity(begun.len());
    for one in state.orders.reservations() {
        if let Some(at) = begun.get(&one.id) {
            let variants = one.lines.iter().map(|line| line.variant);
            is_told.push(state.is_told_from(one.warehouse, variants, *at));
        }
    }
    for (id, one) in &state.transfers {
        if let Some(at) = begun.get(id) {
            let variants = one.lines.iter().map(|line| line.variant);
            is_told.push(state.is_told_from(one.destination, variants, *at));
        }
    }
    if is_told.len() != begun.len() || is_told.contains(&false) {
        return Err(impossible(
            "something begun that is not there, or that no count tells from others",
        ));
    }
    for one in state.orders.reservations_mut() {
        one.made_at = begun.get(&one.id).copied().unwrap_or(one.made_at);
    }
    for (id, one) in &mut state.transfers {
        one.sent_at = begun.get(id).copied().unwrap_or(one.sent_at);
    }
    Ok(())
}

fn impossible(what: &'static str) -> DecodeError {
    DecodeError::Impossible { what }
}
