//! What an event has to do with counting.

use super::bytes::{DecodeError, Reader, Writer};
use crate::count::{CountLine, Counting};
use crate::id::VariantNo;
use crate::time::Timestamp;

const OPENED: u8 = 1;
const OPENED_BLIND: u8 = 2;
const LINES: u8 = 3;
const SEEN: u8 = 4;
const UNDONE: u8 = 5;

pub(super) fn write(w: &mut Writer, count: &Counting, recorded_at: Timestamp) {
    match count {
        Counting::Opened { is_blind, variants } => {
            w.u8(if *is_blind { OPENED_BLIND } else { OPENED });
            w.optional(variants.as_ref(), |w, variants| write_variants(w, variants));
        }
        Counting::Lines(lines) => {
            w.u8(LINES);
            w.varint(lines.len() as u64);
            for line in lines {
                w.varint(u64::from(line.variant.0));
                w.signed(recorded_at.micros().wrapping_sub(line.at.micros()));
                w.signed(line.counted);
                w.signed(line.expected);
            }
        }
        Counting::Seen(variants) => {
            w.u8(SEEN);
            write_variants(w, variants);
        }
        Counting::Undone { at, seen } => {
            w.u8(UNDONE);
            w.signed(recorded_at.micros().wrapping_sub(at.micros()));
            write_variants(w, seen);
        }
    }
}

fn write_variants(w: &mut Writer, variants: &[VariantNo]) {
    w.varint(variants.len() as u64);
    variants.iter().for_each(|no| w.varint(u64::from(no.0)));
}

pub(super) fn read(r: &mut Reader<'_>, recorded_at: Timestamp) -> Result<Counting, DecodeError> {
    Ok(match r.u8()? {
        code @ (OPENED | OPENED_BLIND) => Counting::Opened {
            is_blind: code == OPENED_BLIND,
            variants: r.optional(read_variants)?,
        },
        LINES => {
            let mut lines = Vec::new();
            for _ in 0..r.varint()? {
                let variant = VariantNo(r.varint_u32()?);
                lines.push(CountLine {
                    variant,
                    at: read_earlier(r, recorded_at)?,
                    counted: r.signed()?,
                    expected: r.signed()?,
                });
            }
            Counting::Lines(lines)
        }
        SEEN => Counting::Seen(read_variants(r)?),
        UNDONE => Counting::Undone {
            at: read_earlier(r, recorded_at)?,
            seen: read_variants(r)?,
        },
        code => {
            return Err(DecodeError::Unknown {
                what: "part of a count",
                code: u64::from(code),
            });
        }
    })
}

/// Wrapping here and when written, so that any two instants come back as they were.
fn read_earlier(r: &mut Reader<'_>, recorded_at: Timestamp) -> Result<Timestamp, DecodeError> {
    let at = recorded_at.micros().wrapping_sub(r.signed()?);
    Ok(Timestamp::from_micros(at))
}

fn read_variants(r: &mut Reader<'_>) -> Result<Vec<VariantNo>, DecodeError> {
    let mut variants = Vec::new();
    for _ in 0..r.varint()? {
        variants.push(VariantNo(r.varint_u32()?));
    }
    Ok(variants)
}
