//! A state as bytes: what a snapshot holds. The bytes carry no checksum: whoever stores them adds one.

use smallvec::SmallVec;

use crate::codec::{DecodeError, Reader, Writer};
use crate::id::{Position, VariantNo, Version, WarehouseNo};
use crate::place::Buckets;
use crate::state::{HeldLine, Product, Reservation, State, Variant, Warehouse};
use crate::time::Timestamp;

/// The version of the snapshot format. A snapshot of another version is not read: the log is.
const SNAPSHOT_VERSION: u8 = 1;

/// Writes a state down. Equal states give equal bytes.
pub fn encode(state: &State) -> Vec<u8> {
    let mut w = Writer::with_capacity(64 + state.variants.len() * 16 + state.stock.len() * 12);
    w.u8(SNAPSHOT_VERSION);
    w.varint(state.head.0);
    w.signed(state.recorded_at.micros());
    w.varint(state.catalogue_version.0);
    write_catalogue(&mut w, state);
    write_stock(&mut w, state);
    write_orders(&mut w, state);
    write_transits(&mut w, state);
    w.into_bytes()
}

fn write_catalogue(w: &mut Writer, state: &State) {
    w.varint(state.warehouses.len() as u64);
    for Warehouse {
        code,
        active,
        version,
    } in &state.warehouses
    {
        w.text(code);
        w.u8(u8::from(*active));
        w.varint(version.0);
    }
    w.varint(state.products.len() as u64);
    for Product { active } in &state.products {
        w.u8(u8::from(*active));
    }
    w.varint(state.variants.len() as u64);
    for Variant {
        sku,
        active,
        expires_at,
    } in &state.variants
    {
        w.text(sku);
        w.u8(u8::from(*active));
        w.optional(expires_at.as_ref(), |w, at| w.signed(at.micros()));
    }
}

fn write_stock(w: &mut Writer, state: &State) {
    let mut stock: Vec<_> = state
        .stock
        .iter()
        .filter(|(_, buckets)| !buckets.is_empty())
        .collect();
    stock.sort_unstable_by_key(|(key, _)| **key);
    w.varint(stock.len() as u64);
    for ((warehouse, variant), buckets) in stock {
        w.varint(u64::from(warehouse.0));
        w.varint(u64::from(variant.0));
        for quantity in buckets.0 {
            w.varint(quantity.unsigned_abs());
        }
    }
}

fn write_orders(w: &mut Writer, state: &State) {
    let mut orders: Vec<_> = state.orders.iter().collect();
    orders.sort_unstable_by_key(|(order, _)| *order);
    w.varint(orders.len() as u64);
    for (order, reservations) in orders {
        w.text(order);
        w.varint(reservations.len() as u64);
        for reservation in reservations {
            w.varint(reservation.id.0);
            w.varint(u64::from(reservation.warehouse.0));
            w.optional(reservation.expires_at.as_ref(), |w, at| w.signed(at.micros()));
            w.varint(reservation.lines.len() as u64);
            for line in &reservation.lines {
                w.varint(u64::from(line.variant.0));
                for quantity in line.held {
                    w.varint(quantity.unsigned_abs());
                }
            }
        }
    }
}

fn write_transits(w: &mut Writer, state: &State) {
    let mut transits: Vec<_> = state.transits.iter().collect();
    transits.sort_unstable_by_key(|(transfer, _)| *transfer);
    w.varint(transits.len() as u64);
    for (transfer, lines) in transits {
        let mut lines = lines.clone();
        lines.sort_unstable();
        w.text(transfer);
        w.varint(lines.len() as u64);
        for (variant, quantity) in lines {
            w.varint(u64::from(variant.0));
            w.varint(quantity.unsigned_abs());
        }
    }
}

/// Reads what [`encode`] wrote.
pub fn decode(bytes: &[u8]) -> Result<State, DecodeError> {
    let r = &mut Reader::new(bytes);
    let version = r.u8()?;
    if version != SNAPSHOT_VERSION {
        return Err(DecodeError::UnknownVersion { version });
    }
    let mut state = State {
        head: Position(r.varint()?),
        recorded_at: Timestamp::from_micros(r.signed()?),
        catalogue_version: Version(r.varint()?),
        ..State::default()
    };
    read_catalogue(r, &mut state)?;
    read_stock(r, &mut state)?;
    read_orders(r, &mut state)?;
    for _ in 0..r.varint()? {
        let transfer = Box::from(r.text()?);
        let mut lines = SmallVec::new();
        for _ in 0..r.varint()? {
            lines.push((VariantNo(r.varint_u32()?), quantity(r)?));
        }
        state.transits.insert(transfer, lines);
    }
    r.finish()?;
    Ok(state)
}

fn read_catalogue(r: &mut Reader<'_>, state: &mut State) -> Result<(), DecodeError> {
    for _ in 0..r.varint()? {
        let (code, active, version) = (r.text()?.into(), flag(r)?, Version(r.varint()?));
        state.add_warehouse(Warehouse {
            code,
            active,
            version,
        });
    }
    for _ in 0..r.varint()? {
        state.products.push(Product { active: flag(r)? });
    }
    for _ in 0..r.varint()? {
        let (sku, active, expires_at) = (r.text()?.into(), flag(r)?, r.optional(instant)?);
        state.add_variant(Variant {
            sku,
            active,
            expires_at,
        });
    }
    Ok(())
}

fn read_stock(r: &mut Reader<'_>, state: &mut State) -> Result<(), DecodeError> {
    for _ in 0..r.varint()? {
        let key = (WarehouseNo(r.varint_u32()?), VariantNo(r.varint_u32()?));
        let mut buckets = Buckets::default();
        for bucket in &mut buckets.0 {
            *bucket = quantity(r)?;
        }
        state.stock.insert(key, buckets);
    }
    Ok(())
}

fn read_orders(r: &mut Reader<'_>, state: &mut State) -> Result<(), DecodeError> {
    for _ in 0..r.varint()? {
        let order = Box::from(r.text()?);
        let mut reservations = Vec::new();
        for _ in 0..r.varint()? {
            let reservation = read_reservation(r)?;
            index_expiry(state, &order, &reservation);
            reservations.push(reservation);
        }
        state.orders.insert(order, reservations);
    }
    Ok(())
}

fn read_reservation(r: &mut Reader<'_>) -> Result<Reservation, DecodeError> {
    let (id, warehouse) = (Position(r.varint()?), WarehouseNo(r.varint_u32()?));
    let expires_at = r.optional(instant)?;
    let mut lines = SmallVec::new();
    for _ in 0..r.varint()? {
        let variant = VariantNo(r.varint_u32()?);
        lines.push(HeldLine {
            variant,
            held: [quantity(r)?, quantity(r)?, quantity(r)?],
        });
    }
    Ok(Reservation {
        id,
        warehouse,
        expires_at,
        lines,
    })
}

/// The indexes of expiries are derived: they hold the reservations that still have something reserved.
fn index_expiry(state: &mut State, order: &str, reservation: &Reservation) {
    let Some(at) = reservation.expires_at else { return };
    let mut anything_reserved = false;
    for line in reservation.lines.iter().filter(|line| line.held[0] > 0) {
        anything_reserved = true;
        let key = (reservation.warehouse, line.variant);
        state.expiring.entry(key).or_default().push((at, reservation.id));
    }
    if anything_reserved {
        state.expiries.insert((at, reservation.id), order.into());
    }
}

fn quantity(r: &mut Reader<'_>) -> Result<i64, DecodeError> {
    i64::try_from(r.varint()?).map_err(|_| DecodeError::NumberTooLarge)
}

fn flag(r: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match r.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        code => Err(DecodeError::Unknown {
            what: "flag",
            code: u64::from(code),
        }),
    }
}

fn instant(r: &mut Reader<'_>) -> Result<Timestamp, DecodeError> {
    r.signed().map(Timestamp::from_micros)
}
