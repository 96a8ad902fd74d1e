//! A state as bytes: what a snapshot holds. The bytes carry no checksum: whoever stores them adds one.
//!
//! A state has one encoding only, with everything in order of its key, and what decodes is a state that could be:
//! bytes that decode are the bytes that encoding the result gives.

mod counts;
mod transfers;

use smallvec::SmallVec;

use crate::codec::{DecodeError, Reader, Writer};
use crate::id::{LedgerId, Position, VariantNo, Version, WarehouseNo};
use crate::place::{Bucket, Buckets};
use crate::policy::NegativeStock;
use crate::state::{
    HeldLine, Product, Reservation, Shelf, State, StockKey, Tracking, TransitLines, Variant, Warehouse,
};
use crate::time::Timestamp;

/// The versions of the snapshot format. A snapshot of another version is not read: the log is. Behind what the first has,
/// the second has sections: what states did not have from the first day, and only where there is any.
const SNAPSHOT_VERSION: u8 = 1;
const SNAPSHOT_VERSION_SECTIONS: u8 = 2;

// Sections stand in the order of these numbers.
const TRANSFERS: u8 = 1;
const EXCEPTIONS: u8 = 2;
const COUNTS: u8 = 3;
const COUNTED: u8 = 4;
const BEGUN: u8 = 5;
const SET_ASIDE: u8 = 6;

// What is so of a warehouse or variant; the rest of either.
const ACTIVE: u8 = 1;
const RECORDS_NEGATIVE: u8 = 2;
const IN_LOTS: u8 = 2;
const IS_LOT: u8 = 4;

/// Writes a state down. Equal states give equal bytes.
pub fn encode(state: &State) -> Vec<u8> {
    let (variants, stock) = (state.variants.len(), state.stock.len());
    let mut w = Writer::with_capacity(
        variants
            .saturating_mul(16)
            .saturating_add(stock.saturating_mul(12)),
    );
    let has_sections = !state.transfers.is_empty()
        || !state.exceptions.is_empty()
        || !state.counts.is_empty()
        || !state.counted.is_empty()
        || !state.set_aside.is_empty();
    w.u8(if has_sections {
        SNAPSHOT_VERSION_SECTIONS
    } else {
        SNAPSHOT_VERSION
    });
    w.varint(state.head.0);
    w.signed(state.recorded_at.micros());
    w.varint(state.catalogue_version.0);
    write_catalogue(&mut w, state);
    write_stock(&mut w, state);
    write_orders(&mut w, state);
    write_transits(&mut w, state);
    transfers::write(&mut w, state);
    write_exceptions(&mut w, state);
    counts::write(&mut w, state);
    write_set_aside(&mut w, state);
    w.into_bytes()
}

fn write_catalogue(w: &mut Writer, state: &State) {
    w.varint(state.warehouses.len() as u64);
    for Warehouse {
        code,
        active,
        negative_stock,
        version,
    } in &state.warehouses
    {
        w.text(code);
        let records = *negative_stock == NegativeStock::Record;
        w.u8(if *active { ACTIVE } else { 0 } | if records { RECORDS_NEGATIVE } else { 0 });
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
        tracking,
    } in &state.variants
    {
        w.text(sku);
        let active = if *active { ACTIVE } else { 0 };
        match tracking {
            Tracking::Whole => w.u8(active),
            Tracking::InLots => w.u8(active | IN_LOTS),
            Tracking::LotOf(of) => {
                w.u8(active | IS_LOT);
                w.varint(u64::from(of.0));
            }
        }
        w.optional(expires_at.as_ref(), |w, at| w.signed(at.micros()));
    }
}

fn write_stock(w: &mut Writer, state: &State) {
    let stock = state.stock.iter().map(|(key, shelf)| (*key, shelf.buckets()));
    let mut stock: Vec<_> = stock.filter(|(_, buckets)| !buckets.is_empty()).collect();
    stock.sort_unstable_by_key(|(key, _)| *key);
    w.varint(stock.len() as u64);
    for (key, buckets) in stock {
        w.varint(u64::from(key.warehouse().0));
        w.varint(u64::from(key.variant().0));
        // Available alone may be below zero, and is then written as it lies in 64 bits.
        for units in buckets.0 {
            w.varint(units.cast_unsigned());
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
        w.text(transfer);
        w.varint(lines.len() as u64);
        for &(variant, quantity) in lines {
            w.varint(u64::from(variant.0));
            w.varint(quantity.unsigned_abs());
        }
    }
}

fn write_exceptions(w: &mut Writer, state: &State) {
    if state.exceptions.is_empty() {
        return;
    }
    w.u8(EXCEPTIONS);
    w.varint(state.exceptions.len() as u64);
    for (id, warehouse) in &state.exceptions {
        w.varint(id.0);
        w.varint(u64::from(warehouse.0));
    }
}

fn write_set_aside(w: &mut Writer, state: &State) {
    if state.set_aside.is_empty() {
        return;
    }
    w.u8(SET_ASIDE);
    w.varint(state.set_aside.len() as u64);
    for (key, units) in &state.set_aside {
        w.varint(u64::from(key.warehouse().0));
        w.varint(u64::from(key.variant().0));
        w.varint(units.unsigned_abs());
    }
}

/// Reads what [`encode`] wrote, into a state like `State::default()`.
pub fn decode(bytes: &[u8]) -> Result<State, DecodeError> {
    decode_into(State::default(), bytes)
}

/// Reads what [`encode`] wrote, into a state like [`State::new`]'s for `ledger`.
pub fn decode_for(ledger: LedgerId, bytes: &[u8]) -> Result<State, DecodeError> {
    decode_into(State::new(ledger), bytes)
}

fn decode_into(mut state: State, bytes: &[u8]) -> Result<State, DecodeError> {
    let r = &mut Reader::new(bytes);
    let version = r.u8()?;
    let has_sections = match version {
        SNAPSHOT_VERSION => false,
        SNAPSHOT_VERSION_SECTIONS => true,
        _ => return Err(DecodeError::UnknownVersion { version }),
    };
    state.head = Position(r.varint()?);
    if state.head > Position::MAX {
        return Err(DecodeError::NumberTooLarge);
    }
    state.recorded_at = instant(r)?;
    state.catalogue_version = Version(r.varint()?);
    read_catalogue(r, &mut state)?;
    read_stock(r, &mut state)?;
    read_orders(r, &mut state)?;
    read_transits(r, &mut state)?;
    if has_sections {
        read_sections(r, &mut state)?;
    }
    r.finish()?;
    Ok(state)
}

fn read_exceptions(r: &mut Reader<'_>, state: &mut State) -> Result<(), DecodeError> {
    let mut order = Ascending::default();
    for _ in 0..r.varint()? {
        let (id, warehouse) = (Position(r.varint()?), WarehouseNo(r.varint_u32()?));
        order.check(id)?;
        if state.warehouse(warehouse).is_none() || id > state.head {
            return Err(DecodeError::Impossible {
                what: "an exception of what is not there",
            });
        }
        state.exceptions.insert(id, warehouse);
    }
    if state.exceptions.is_empty() {
        return Err(DecodeError::Impossible {
            what: "a section of no exceptions",
        });
    }
    Ok(())
}

fn read_set_aside(r: &mut Reader<'_>, state: &mut State) -> Result<(), DecodeError> {
    let mut order = Ascending::default();
    for _ in 0..r.varint()? {
        let (warehouse, lot) = (WarehouseNo(r.varint_u32()?), VariantNo(r.varint_u32()?));
        let (key, units) = (StockKey::new(warehouse, lot), quantity(r)?);
        order.check(key)?;
        let held = state.buckets(warehouse, lot).of(Bucket::Held);
        if !state.is_recalled(lot) || !(1..=held).contains(&units) {
            return Err(DecodeError::Impossible {
                what: "more set aside than is held, or nothing, or of what is in use",
            });
        }
        state.set_aside.insert(key, units);
    }
    if state.set_aside.is_empty() {
        return Err(DecodeError::Impossible {
            what: "a section of nothing set aside",
        });
    }
    Ok(())
}

fn read_catalogue(r: &mut Reader<'_>, state: &mut State) -> Result<(), DecodeError> {
    let impossible = |what| DecodeError::Impossible { what };
    for _ in 0..r.varint()? {
        let (code, flags, version) = (r.text()?.into(), r.u8()?, Version(r.varint()?));
        if flags & !(ACTIVE | RECORDS_NEGATIVE) != 0 {
            return Err(DecodeError::Unknown {
                what: "flag",
                code: u64::from(flags),
            });
        }
        let negative_stock = if flags & RECORDS_NEGATIVE == 0 {
            NegativeStock::Forbid
        } else {
            NegativeStock::Record
        };
        let warehouse = Warehouse {
            code,
            active: flags & ACTIVE != 0,
            negative_stock,
            version,
        };
        state.add_warehouse(warehouse).map_err(impossible)?;
    }
    for _ in 0..r.varint()? {
        state.products.push(Product { active: flag(r)? });
    }
    for _ in 0..r.varint()? {
        let (sku, flags) = (r.text()?.into(), r.u8()?);
        let tracking = match flags & !ACTIVE {
            0 => Tracking::Whole,
            IN_LOTS => Tracking::InLots,
            IS_LOT => Tracking::LotOf(VariantNo(r.varint_u32()?)),
            code => {
                return Err(DecodeError::Unknown {
                    what: "flag",
                    code: u64::from(code),
                });
            }
        };
        let variant = Variant {
            sku,
            active: flags & ACTIVE != 0,
            expires_at: r.optional(instant)?,
            tracking,
        };
        state.add_variant(variant).map_err(impossible)?;
    }
    Ok(())
}

fn read_stock(r: &mut Reader<'_>, state: &mut State) -> Result<(), DecodeError> {
    let mut order = Ascending::default();
    for _ in 0..r.varint()? {
        let key = StockKey::new(WarehouseNo(r.varint_u32()?), VariantNo(r.varint_u32()?));
        order.check(key)?;
        let available = r.varint()?.cast_signed();
        let others = [quantity(r)?, quantity(r)?, quantity(r)?, quantity(r)?];
        let [reserved, picked, packed, held] = others;
        let buckets = Buckets([available, reserved, picked, packed, held]);
        let on_hand = buckets
            .0
            .iter()
            .try_fold(0i64, |sum, units| sum.checked_add(*units));
        if buckets.is_empty() || on_hand.is_none() {
            return Err(DecodeError::Impossible {
                what: "stock of no units, or of more than can be",
            });
        }
        if state.warehouse(key.warehouse()).is_none() || state.variant(key.variant()).is_none() {
            return Err(DecodeError::Impossible {
                what: "stock of what is not in the catalogue",
            });
        }
        state.stock.insert(key, Shelf::new(buckets));
        let impossible = |what| DecodeError::Impossible { what };
        state
            .note_lot(key.warehouse(), key.variant())
            .map_err(impossible)?;
    }
    Ok(())
}

fn read_orders(r: &mut Reader<'_>, state: &mut State) -> Result<(), DecodeError> {
    let mut order_of_orders = Ascending::default();
    for _ in 0..r.varint()? {
        let order = r.text()?;
        order_of_orders.check(order)?;
        let reservations = r.varint()?;
        let mut order_of_ids = Ascending::default();
        let impossible = |what| DecodeError::Impossible { what };
        if reservations == 0 {
            return Err(impossible("an order that holds nothing"));
        }
        for _ in 0..reservations {
            let reservation = read_reservation(r)?;
            order_of_ids.check(reservation.id)?;
            index_expiry(state, order, &reservation);
            state.add_reservation(order, reservation).map_err(impossible)?;
        }
    }
    state.sort_holders();
    Ok(())
}

fn read_reservation(r: &mut Reader<'_>) -> Result<Reservation, DecodeError> {
    let (id, warehouse) = (Position(r.varint()?), WarehouseNo(r.varint_u32()?));
    let expires_at = r.optional(instant)?;
    let mut lines = SmallVec::new();
    let mut holds_something = true;
    for _ in 0..r.varint()? {
        let variant = VariantNo(r.varint_u32()?);
        let held = [quantity(r)?, quantity(r)?, quantity(r)?];
        holds_something &= held != [0; 3];
        lines.push(HeldLine { variant, held });
    }
    if lines.is_empty() || !holds_something {
        return Err(DecodeError::Impossible {
            what: "a reservation that holds nothing",
        });
    }
    Ok(Reservation {
        id,
        warehouse,
        made_at: Timestamp::MIN,
        expires_at,
        lines,
    })
}

/// The indexes of expiries are derived: they hold the reservations that still have something reserved.
fn index_expiry(state: &mut State, order: &str, reservation: &Reservation) {
    let Some(at) = reservation.expires_at else { return };
    let reserved = |line: &&HeldLine| line.of(Bucket::Reserved) > 0;
    for line in reservation.lines.iter().filter(reserved) {
        let key = StockKey::new(reservation.warehouse, line.variant);
        state.expiring.insert((key, at, reservation.id));
        let of = state.expiries.entry((at, reservation.id));
        of.or_insert_with(|| order.into());
    }
}

fn read_transits(r: &mut Reader<'_>, state: &mut State) -> Result<(), DecodeError> {
    let mut order = Ascending::default();
    for _ in 0..r.varint()? {
        let transfer = r.text()?;
        order.check(transfer)?;
        let mut lines = TransitLines::new();
        let mut order_of_lines = Ascending::default();
        for _ in 0..r.varint()? {
            let line = (VariantNo(r.varint_u32()?), quantity(r)?);
            order_of_lines.check(line.0)?;
            lines.push(line);
        }
        if lines.is_empty() || lines.iter().any(|(_, units)| *units == 0) {
            return Err(DecodeError::Impossible {
                what: "a transfer that has nothing on the way",
            });
        }
        state.transits.insert(transfer.into(), lines);
    }
    Ok(())
}

fn read_sections(r: &mut Reader<'_>, state: &mut State) -> Result<(), DecodeError> {
    let mut order = Ascending::default();
    loop {
        let section = r.u8()?;
        order.check(section)?;
        match section {
            TRANSFERS => transfers::read(r, state)?,
            EXCEPTIONS => read_exceptions(r, state)?,
            COUNTS => counts::read_counts(r, state)?,
            COUNTED => counts::read_counted(r, state)?,
            BEGUN => counts::read_begun(r, state)?,
            SET_ASIDE => read_set_aside(r, state)?,
            code => {
                return Err(DecodeError::Unknown {
                    what: "section",
                    code: u64::from(code),
                });
            }
        }
        if r.is_empty() {
            return Ok(());
        }
    }
}

/// Checks that keys come in ascending order, none of them twice.
struct Ascending<K>(Option<K>);

impl<K> Default for Ascending<K> {
    fn default() -> Ascending<K> {
        Ascending(None)
    }
}

impl<K: PartialOrd + Copy> Ascending<K> {
    fn check(&mut self, key: K) -> Result<(), DecodeError> {
        match self.0.replace(key) {
            Some(before) if before >= key => Err(DecodeError::Impossible {
                what: "keys that are not in order",
            }),
            _ => Ok(()),
        }
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
