//! The catalogue's events.

use super::bytes::{DecodeError, Reader, Writer};
use super::record::CATALOGUE_TAG_MIN;
use crate::event::{CatalogueEvent as E, PickOrder, SlotChange};
use crate::id::{ProductNo, VariantNo, WarehouseNo};
use crate::policy::NegativeStock;
use crate::time::Timestamp;

const WAREHOUSE_CREATED: u8 = CATALOGUE_TAG_MIN;
const WAREHOUSE_CHANGED: u8 = CATALOGUE_TAG_MIN + 1;
const WAREHOUSE_ACTIVATED: u8 = CATALOGUE_TAG_MIN + 2;
const WAREHOUSE_DEACTIVATED: u8 = CATALOGUE_TAG_MIN + 3;
const PRODUCT_CREATED: u8 = CATALOGUE_TAG_MIN + 4;
const PRODUCT_CHANGED: u8 = CATALOGUE_TAG_MIN + 5;
const PRODUCT_ACTIVATED: u8 = CATALOGUE_TAG_MIN + 6;
const PRODUCT_DEACTIVATED: u8 = CATALOGUE_TAG_MIN + 7;
const VARIANT_CREATED: u8 = CATALOGUE_TAG_MIN + 8;
const VARIANT_CHANGED: u8 = CATALOGUE_TAG_MIN + 9;
const VARIANT_ACTIVATED: u8 = CATALOGUE_TAG_MIN + 10;
const VARIANT_DEACTIVATED: u8 = CATALOGUE_TAG_MIN + 11;
const SLOT_CHANGED: u8 = CATALOGUE_TAG_MIN + 20;
const WAREHOUSE_POLICY_CHANGED: u8 = CATALOGUE_TAG_MIN + 16;
// A variant's creation and change have other tags where they say something of lots.
const VARIANT_CREATED_IN_LOTS: u8 = CATALOGUE_TAG_MIN + 24;
const VARIANT_CHANGED_TRACKING: u8 = CATALOGUE_TAG_MIN + 25;
const LOT_CREATED: u8 = CATALOGUE_TAG_MIN + 26;
const LOT_CHANGED: u8 = CATALOGUE_TAG_MIN + 27;

pub(super) fn tag(event: &E) -> u8 {
    match event {
        E::WarehouseCreated { .. } => WAREHOUSE_CREATED,
        E::WarehouseChanged { .. } => WAREHOUSE_CHANGED,
        E::WarehousePolicyChanged { .. } => WAREHOUSE_POLICY_CHANGED,
        E::WarehouseActivated(_) => WAREHOUSE_ACTIVATED,
        E::WarehouseDeactivated(_) => WAREHOUSE_DEACTIVATED,
        E::ProductCreated { .. } => PRODUCT_CREATED,
        E::ProductChanged { .. } => PRODUCT_CHANGED,
        E::ProductActivated(_) => PRODUCT_ACTIVATED,
        E::ProductDeactivated(_) => PRODUCT_DEACTIVATED,
        E::VariantCreated {
            tracks_lots: false, ..
        } => VARIANT_CREATED,
        E::VariantCreated { .. } => VARIANT_CREATED_IN_LOTS,
        E::VariantChanged {
            tracks_lots: None, ..
        } => VARIANT_CHANGED,
        E::VariantChanged { .. } => VARIANT_CHANGED_TRACKING,
        E::LotCreated { .. } => LOT_CREATED,
        E::LotChanged { .. } => LOT_CHANGED,
        E::VariantActivated(_) => VARIANT_ACTIVATED,
        E::VariantDeactivated(_) => VARIANT_DEACTIVATED,
        E::SlotChanged { .. } => SLOT_CHANGED,
    }
}

pub(super) fn write(w: &mut Writer, event: &E) {
    match event {
        E::WarehouseCreated { no, code, name } => {
            w.varint(u64::from(no.0));
            w.text(code);
            w.text(name);
        }
        E::WarehouseChanged { no, code, name } => {
            w.varint(u64::from(no.0));
            w.optional(code.as_ref(), |w, code| w.text(code));
            w.optional(name.as_ref(), |w, name| w.text(name));
        }
        E::WarehousePolicyChanged { no, negative_stock } => {
            w.varint(u64::from(no.0));
            w.u8(negative_stock.code());
        }
        E::WarehouseActivated(no) | E::WarehouseDeactivated(no) => w.varint(u64::from(no.0)),
        E::ProductCreated { no, name } | E::ProductChanged { no, name } => {
            w.varint(u64::from(no.0));
            w.text(name);
        }
        E::ProductActivated(no) | E::ProductDeactivated(no) => w.varint(u64::from(no.0)),
        E::VariantCreated {
            no,
            sku,
            name,
            product,
            expires_at,
            tracks_lots: _,
        } => {
            w.varint(u64::from(no.0));
            w.text(sku);
            w.text(name);
            w.optional(product.as_ref(), write_product);
            w.optional(expires_at.as_ref(), write_instant);
        }
        E::VariantChanged {
            no,
            sku,
            name,
            product,
            expires_at,
            tracks_lots,
        } => {
            w.varint(u64::from(no.0));
            w.optional(sku.as_ref(), |w, sku| w.text(sku));
            w.optional(name.as_ref(), |w, name| w.text(name));
            w.optional(product.as_ref(), |w, product| {
                w.optional(product.as_ref(), write_product)
            });
            w.optional(expires_at.as_ref(), |w, at| {
                w.optional(at.as_ref(), write_instant)
            });
            if let Some(tracks_lots) = tracks_lots {
                w.u8(u8::from(*tracks_lots));
            }
        }
        E::LotCreated {
            no,
            of,
            code,
            expires_at,
        } => {
            w.varint(u64::from(no.0));
            w.varint(u64::from(of.0));
            w.text(code);
            w.optional(expires_at.as_ref(), write_instant);
        }
        E::LotChanged { no, expires_at } => {
            w.varint(u64::from(no.0));
            w.optional(expires_at.as_ref(), write_instant);
        }
        E::VariantActivated(no) | E::VariantDeactivated(no) => w.varint(u64::from(no.0)),
        E::SlotChanged {
            warehouse,
            variant,
            change,
        } => {
            w.varint(u64::from(warehouse.0));
            w.varint(u64::from(variant.0));
            write_slot_change(w, change);
        }
    }
}

fn write_slot_change(w: &mut Writer, change: &SlotChange) {
    w.optional(change.bin.as_ref(), |w, bin| {
        w.optional(bin.as_ref(), |w, bin| w.text(bin))
    });
    for level in [change.reorder_point, change.max_level] {
        w.optional(level.as_ref(), |w, level| {
            w.optional(level.as_ref(), |w, units| w.varint(units.unsigned_abs()))
        });
    }
    w.optional(change.pick_order.as_ref(), |w, order| {
        w.optional(order.as_ref(), |w, PickOrder { number, reason }| {
            w.varint(number.unsigned_abs());
            w.optional(reason.as_ref(), |w, reason| w.text(reason));
        })
    });
}

fn write_product(w: &mut Writer, no: &ProductNo) {
    w.varint(u64::from(no.0));
}

fn write_instant(w: &mut Writer, at: &Timestamp) {
    w.signed(at.micros());
}

pub(super) fn read(r: &mut Reader<'_>, tag: u8) -> Result<E, DecodeError> {
    let no = r.varint_u32()?;
    let (warehouse, product, variant) = (WarehouseNo(no), ProductNo(no), VariantNo(no));
    Ok(match tag {
        WAREHOUSE_CREATED => E::WarehouseCreated {
            no: warehouse,
            code: text(r)?,
            name: text(r)?,
        },
        WAREHOUSE_CHANGED => E::WarehouseChanged {
            no: warehouse,
            code: r.optional(text)?,
            name: r.optional(text)?,
        },
        WAREHOUSE_POLICY_CHANGED => E::WarehousePolicyChanged {
            no: warehouse,
            negative_stock: negative_stock(r)?,
        },
        WAREHOUSE_ACTIVATED => E::WarehouseActivated(warehouse),
        WAREHOUSE_DEACTIVATED => E::WarehouseDeactivated(warehouse),
        PRODUCT_CREATED => E::ProductCreated {
            no: product,
            name: text(r)?,
        },
        PRODUCT_CHANGED => E::ProductChanged {
            no: product,
            name: text(r)?,
        },
        PRODUCT_ACTIVATED => E::ProductActivated(product),
        PRODUCT_DEACTIVATED => E::ProductDeactivated(product),
        VARIANT_CREATED | VARIANT_CREATED_IN_LOTS => E::VariantCreated {
            no: variant,
            sku: text(r)?,
            name: text(r)?,
            product: r.optional(product_no)?,
            expires_at: r.optional(instant)?,
            tracks_lots: tag == VARIANT_CREATED_IN_LOTS,
        },
        VARIANT_CHANGED | VARIANT_CHANGED_TRACKING => E::VariantChanged {
            no: variant,
            sku: r.optional(text)?,
            name: r.optional(text)?,
            product: r.optional(|r| r.optional(product_no))?,
            expires_at: r.optional(|r| r.optional(instant))?,
            tracks_lots: (tag == VARIANT_CHANGED_TRACKING).then(|| flag(r)).transpose()?,
        },
        LOT_CREATED => E::LotCreated {
            no: variant,
            of: r.varint_u32().map(VariantNo)?,
            code: text(r)?,
            expires_at: r.optional(instant)?,
        },
        LOT_CHANGED => E::LotChanged {
            no: variant,
            expires_at: r.optional(instant)?,
        },
        VARIANT_ACTIVATED => E::VariantActivated(variant),
        VARIANT_DEACTIVATED => E::VariantDeactivated(variant),
        SLOT_CHANGED => E::SlotChanged {
            warehouse,
            variant: VariantNo(r.varint_u32()?),
            change: read_slot_change(r)?,
        },
        _ => {
            return Err(DecodeError::Unknown {
                what: "event",
                code: u64::from(tag),
            });
        }
    })
}

fn read_slot_change(r: &mut Reader<'_>) -> Result<SlotChange, DecodeError> {
    Ok(SlotChange {
        bin: r.optional(|r| r.optional(text))?,
        reorder_point: r.optional(|r| r.optional(number))?,
        max_level: r.optional(|r| r.optional(number))?,
        pick_order: r.optional(|r| r.optional(pick_order))?,
    })
}

fn pick_order(r: &mut Reader<'_>) -> Result<PickOrder, DecodeError> {
    Ok(PickOrder {
        number: number(r)?,
        reason: r.optional(text)?,
    })
}

fn number(r: &mut Reader<'_>) -> Result<i64, DecodeError> {
    i64::try_from(r.varint()?).map_err(|_| DecodeError::NumberTooLarge)
}

fn text(r: &mut Reader<'_>) -> Result<Box<str>, DecodeError> {
    r.text().map(Box::from)
}

fn negative_stock(r: &mut Reader<'_>) -> Result<NegativeStock, DecodeError> {
    let code = r.u8()?;
    NegativeStock::from_code(code).ok_or(DecodeError::Unknown {
        what: "policy",
        code: u64::from(code),
    })
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

fn product_no(r: &mut Reader<'_>) -> Result<ProductNo, DecodeError> {
    r.varint_u32().map(ProductNo)
}

fn instant(r: &mut Reader<'_>) -> Result<Timestamp, DecodeError> {
    r.signed().map(Timestamp::from_micros)
}
