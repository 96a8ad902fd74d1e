//! Decisions about warehouses, products, variants and slots.

use smallvec::smallvec;

use super::{Decision, recall, shape};
use crate::command::CatalogueCommand as C;
use crate::event::{CatalogueEvent as E, Event, PickOrder, SlotChange};
use crate::id::{ProductNo, VariantNo, WarehouseNo};
use crate::policy::NegativeStock;
use crate::rejection::Rejection;
use crate::state::{State, Tracking, Variant};
use crate::time::Timestamp;

/// The longest code of a warehouse, in characters.
pub const CODE_LENGTH_MAX: usize = 64;
/// The longest SKU of a variant, in characters.
pub const SKU_LENGTH_MAX: usize = 128;
const NAME_LENGTH_MAX: usize = 200;
const BIN_LENGTH_MAX: usize = 64;
const PICK_REASON_LENGTH_MAX: usize = 500;
/// The highest reorder point, level and place in the order of picking.
const SLOT_NUMBER_MAX: i64 = shape::QUANTITY_MAX;

pub(super) fn decide(state: &State, command: &C, now: Timestamp) -> Result<Decision, Rejection> {
    match command {
        C::CreateWarehouse {
            code,
            name,
            negative_stock,
        } => create_warehouse(state, code, name, *negative_stock),
        C::ChangeWarehouse { .. } => change_warehouse(state, command),
        C::CreateProduct { name } => {
            check_text("name", name, NAME_LENGTH_MAX)?;
            let no = ProductNo(next_number(state.products.len())?);
            Ok(one(E::ProductCreated {
                no,
                name: name.clone(),
            }))
        }
        C::ChangeProduct { no, name, active } => change_product(state, *no, name.as_deref(), *active),
        C::CreateVariant {
            sku,
            name,
            product,
            expires_at,
            tracks_lots,
        } => {
            check_text("sku", sku, SKU_LENGTH_MAX)?;
            check_text("name", name, NAME_LENGTH_MAX)?;
            check_sku_free(state, sku, None)?;
            check_product(state, *product)?;
            check_expiry(*expires_at)?;
            let no = VariantNo(next_number(state.variants.len())?);
            let (sku, name) = (sku.clone(), name.clone());
            Ok(one(E::VariantCreated {
                no,
                sku,
                name,
                product: *product,
                expires_at: *expires_at,
                tracks_lots: *tracks_lots,
            }))
        }
        C::ChangeVariant { .. } => change_variant(state, command),
        C::ChangeSlot {
            warehouse,
            variant,
            change,
        } => change_slot(state, *warehouse, *variant, change),
        C::ChangeLot {
            no,
            expires_at,
            active,
        } => change_lot(state, *no, *expires_at, *active, now),
    }
}

fn one(event: E) -> Decision {
    smallvec![Event::Catalogue(event)]
}

fn create_warehouse(
    state: &State,
    code: &str,
    name: &str,
    negative_stock: Option<NegativeStock>,
) -> Result<Decision, Rejection> {
    check_text("code", code, CODE_LENGTH_MAX)?;
    check_text("name", name, NAME_LENGTH_MAX)?;
    if let Some(by) = state.warehouse_by_code(code) {
        return Err(Rejection::CodeTaken { by });
    }
    let no = WarehouseNo(next_number(state.warehouses.len())?);
    let mut decision = one(E::WarehouseCreated {
        no,
        code: code.into(),
        name: name.into(),
    });
    if let Some(policy) = negative_stock.filter(|policy| *policy != NegativeStock::default()) {
        decision.push(policy_changed(no, policy));
    }
    Ok(decision)
}

fn policy_changed(no: WarehouseNo, negative_stock: NegativeStock) -> Event {
    Event::Catalogue(E::WarehousePolicyChanged { no, negative_stock })
}

fn change_warehouse(state: &State, command: &C) -> Result<Decision, Rejection> {
    let C::ChangeWarehouse {
        no,
        code,
        name,
        active,
        negative_stock,
    } = command
    else {
        return Ok(Decision::new());
    };
    let (no, code, name) = (*no, code.as_deref(), name.as_deref());
    let warehouse = state
        .warehouse(no)
        .ok_or(Rejection::UnknownWarehouse { warehouse: no })?;
    let mut decision = Decision::new();
    if let Some(code) = code {
        check_text("code", code, CODE_LENGTH_MAX)?;
        if let Some(by) = state.warehouse_by_code(code).filter(|by| *by != no) {
            return Err(Rejection::CodeTaken { by });
        }
    }
    if let Some(name) = name {
        check_text("name", name, NAME_LENGTH_MAX)?;
    }
    let code = code.filter(|code| *code != &*warehouse.code);
    if code.is_some() || name.is_some() {
        let (code, name) = (code.map(Box::from), name.map(Box::from));
        decision.push(Event::Catalogue(E::WarehouseChanged { no, code, name }));
    }
    if let Some(policy) = negative_stock.filter(|policy| *policy != warehouse.negative_stock) {
        decision.push(policy_changed(no, policy));
    }
    match active {
        Some(true) if !warehouse.active => decision.push(Event::Catalogue(E::WarehouseActivated(no))),
        Some(false) if warehouse.active => decision.push(Event::Catalogue(E::WarehouseDeactivated(no))),
        _ => {}
    }
    Ok(decision)
}

fn change_product(
    state: &State,
    no: ProductNo,
    name: Option<&str>,
    active: Option<bool>,
) -> Result<Decision, Rejection> {
    let product = state
        .product(no)
        .ok_or(Rejection::UnknownProduct { product: no })?;
    let mut decision = Decision::new();
    if let Some(name) = name {
        check_text("name", name, NAME_LENGTH_MAX)?;
        decision.push(Event::Catalogue(E::ProductChanged {
            no,
            name: name.into(),
        }));
    }
    match active {
        Some(true) if !product.active => decision.push(Event::Catalogue(E::ProductActivated(no))),
        Some(false) if product.active => decision.push(Event::Catalogue(E::ProductDeactivated(no))),
        _ => {}
    }
    Ok(decision)
}

fn change_variant(state: &State, command: &C) -> Result<Decision, Rejection> {
    let C::ChangeVariant {
        no,
        sku,
        name,
        product,
        expires_at,
        active,
        tracks_lots,
    } = command
    else {
        return Ok(Decision::new());
    };
    let no = *no;
    let variant = state
        .variant(no)
        .filter(|found| !matches!(found.tracking, Tracking::LotOf(_)))
        .ok_or(Rejection::UnknownVariant { line: 0, variant: no })?;
    if let Some(sku) = sku {
        check_text("sku", sku, SKU_LENGTH_MAX)?;
        check_sku_free(state, sku, Some(no))?;
    }
    if let Some(name) = name {
        check_text("name", name, NAME_LENGTH_MAX)?;
    }
    check_product(state, product.flatten())?;
    check_expiry(expires_at.flatten())?;
    let mut decision = Decision::new();
    let sku = sku.clone().filter(|sku| *sku != variant.sku);
    let expires_at = expires_at.filter(|at| *at != variant.expires_at);
    let tracks_lots = tracks_lots.filter(|tracks| *tracks != (variant.tracking == Tracking::InLots));
    if tracks_lots.is_some() && state.has_stock(no) {
        return Err(Rejection::VariantHasStock { variant: no });
    }
    if sku.is_some() || name.is_some() || product.is_some() || expires_at.is_some() || tracks_lots.is_some() {
        let (name, product) = (name.clone(), *product);
        decision.push(Event::Catalogue(E::VariantChanged {
            no,
            sku,
            name,
            product,
            expires_at,
            tracks_lots,
        }));
    }
    decision.extend(activity(no, variant, *active));
    Ok(decision)
}

/// Nothing that is decided depends on a slot, so the state does not know how it was before: what is to change is recorded.
fn change_slot(
    state: &State,
    warehouse: WarehouseNo,
    variant: VariantNo,
    change: &SlotChange,
) -> Result<Decision, Rejection> {
    if state.warehouse(warehouse).is_none() {
        return Err(Rejection::UnknownWarehouse { warehouse });
    }
    // A lot lies where its variant does.
    let found = state.variant(variant);
    if found.is_none_or(|found| matches!(found.tracking, Tracking::LotOf(_))) {
        return Err(Rejection::UnknownVariant { line: 0, variant });
    }
    if let Some(Some(bin)) = &change.bin {
        check_text("bin", bin, BIN_LENGTH_MAX)?;
    }
    check_number("reorderPoint", change.reorder_point.flatten(), 0)?;
    check_number("maxLevel", change.max_level.flatten(), 0)?;
    if let Some(Some(PickOrder { number, reason })) = &change.pick_order {
        check_number("pickOrder", Some(*number), 1)?;
        if let Some(reason) = reason {
            check_text("reason", reason, PICK_REASON_LENGTH_MAX)?;
        }
    }
    if let (Some(Some(reorder_point)), Some(Some(max_level))) = (change.reorder_point, change.max_level)
        && reorder_point > max_level
    {
        return Err(Rejection::ReorderAboveMax {
            reorder_point,
            max_level,
        });
    }
    if change.is_empty() {
        return Ok(Decision::new());
    }
    Ok(one(E::SlotChanged {
        warehouse,
        variant,
        change: change.clone(),
    }))
}

fn check_number(field: &'static str, number: Option<i64>, min: i64) -> Result<(), Rejection> {
    let max = SLOT_NUMBER_MAX;
    match number.filter(|number| !(min..=max).contains(number)) {
        None => Ok(()),
        Some(_) => Err(Rejection::NumberOutOfRange { field, min, max }),
    }
}

/// A lot that is used again has nothing set aside, however that is asked for: see [`recall::given_back`].
fn change_lot(
    state: &State,
    no: VariantNo,
    expires_at: Option<Option<Timestamp>>,
    active: Option<bool>,
    now: Timestamp,
) -> Result<Decision, Rejection> {
    let lot = state
        .variant(no)
        .filter(|found| matches!(found.tracking, Tracking::LotOf(_)))
        .ok_or(Rejection::UnknownLot { line: 0, variant: no })?;
    check_expiry(expires_at.flatten())?;
    let mut decision = Decision::new();
    if active == Some(true) {
        decision.extend(recall::given_back(state, no, None, now));
    }
    if let Some(expires_at) = expires_at.filter(|at| *at != lot.expires_at) {
        decision.push(Event::Catalogue(E::LotChanged { no, expires_at }));
    }
    decision.extend(activity(no, lot, active));
    Ok(decision)
}

/// The event that a variant or lot is `active` from now on, if it is not so.
fn activity(no: VariantNo, variant: &Variant, active: Option<bool>) -> Option<Event> {
    let active = active.filter(|active| *active != variant.active)?;
    Some(Event::Catalogue(if active {
        E::VariantActivated(no)
    } else {
        E::VariantDeactivated(no)
    }))
}

/// Whether something can be called this: no code or SKU is empty, longer, has control characters or blanks at its ends.
pub fn is_name(text: &str, length_max: usize) -> bool {
    !text.is_empty()
        && text.chars().count() <= length_max
        && !text.chars().any(char::is_control)
        && text.trim() == text
}

pub(super) fn check_text(field: &'static str, text: &str, length_max: usize) -> Result<(), Rejection> {
    if is_name(text, length_max) {
        Ok(())
    } else {
        Err(Rejection::InvalidText { field, length_max })
    }
}

fn check_sku_free(state: &State, sku: &str, except: Option<VariantNo>) -> Result<(), Rejection> {
    match state.variant_by_sku(sku).filter(|by| Some(*by) != except) {
        None => Ok(()),
        Some(by) => Err(Rejection::SkuTaken { by }),
    }
}

fn check_product(state: &State, product: Option<ProductNo>) -> Result<(), Rejection> {
    match product.filter(|no| state.product(*no).is_none()) {
        None => Ok(()),
        Some(product) => Err(Rejection::UnknownProduct { product }),
    }
}

pub(super) fn check_expiry(expires_at: Option<Timestamp>) -> Result<(), Rejection> {
    expires_at.map_or(Ok(()), |at| shape::check_instant("expiresAt", at))
}

pub(super) fn next_number(count: usize) -> Result<u32, Rejection> {
    let next = count.checked_add(1).and_then(|next| u32::try_from(next).ok());
    next.ok_or(Rejection::NumbersExhausted)
}
