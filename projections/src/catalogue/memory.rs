//! Slots in memory, in the order of picking: always what the tables hold at the checkpoint.
//!
//! The order of a warehouse is made when it is first asked for, and again after something changed there.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use bincard_ledger::{CatalogueEvent, Position, VariantNo, WarehouseNo};

use super::SlotSettings;
use super::fold::{Change, Slots, What, change_slot};
use crate::stock::StockKey;

/// The slots of all warehouses at one position.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Written once a transaction, for about as long as copying what it changed takes; read by everybody.
    content: RwLock<Content>,
}

#[derive(Debug)]
struct Content {
    position: Position,
    warehouses: BTreeMap<WarehouseNo, Warehouse>,
}

#[derive(Debug, Default)]
struct Warehouse {
    slots: Slots,
    order: OnceLock<Arc<[InOrder]>>,
}

/// A slot at its place in the order of picking.
#[derive(Clone, Debug)]
pub(crate) struct InOrder {
    pub(crate) variant: VariantNo,
    /// Its place, from 1; there may be gaps.
    pub(crate) number: i64,
    pub(crate) settings: Option<Arc<SlotSettings>>,
}

/// The slots of warehouses, each warehouse's in the order of picking.
pub(crate) type Orders = Vec<(WarehouseNo, Arc<[InOrder]>)>;

impl Memory {
    pub(super) fn new(slots: &Slots, position: Position) -> Memory {
        let mut warehouses: BTreeMap<WarehouseNo, Warehouse> = BTreeMap::new();
        for (key, settings) in slots {
            let warehouse = warehouses.entry(key.warehouse).or_default();
            warehouse.slots.insert(*key, settings.clone());
        }
        Memory {
            content: RwLock::new(Content { position, warehouses }),
        }
    }

    /// Brings the content to `position` by the changes that were committed.
    pub(super) fn publish(&self, changes: &[Change], position: Position) {
        let mut content = self.content.write().unwrap_or_else(PoisonError::into_inner);
        content.position = position;
        for change in changes {
            match &change.what {
                What::Slot(key) => {
                    let warehouse = content.warehouses.entry(key.warehouse).or_default();
                    warehouse.slots.entry(*key).or_default();
                    warehouse.order = OnceLock::new();
                }
                What::Event(CatalogueEvent::SlotChanged {
                    warehouse,
                    variant,
                    change,
                }) => {
                    let (of, variant) = (*warehouse, *variant);
                    let warehouse = content.warehouses.entry(of).or_default();
                    change_slot(
                        &mut warehouse.slots,
                        StockKey {
                            warehouse: of,
                            variant,
                        },
                        change,
                    );
                    warehouse.order = OnceLock::new();
                }
                What::Event(_) | What::LotActive(..) => {}
            }
        }
    }

    /// The slots of `warehouses`, or of all, by warehouse and in the order of picking; and the position that this is
    /// known up to.
    pub(crate) fn in_order(&self, warehouses: Option<&[WarehouseNo]>) -> (Position, Orders) {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = content
            .warehouses
            .iter()
            .filter(|(no, _)| warehouses.is_none_or(|wanted| wanted.contains(no)));
        let all = wanted.map(|(no, warehouse)| {
            let order = warehouse.order.get_or_init(|| order_of(&warehouse.slots));
            (*no, order.clone())
        });
        (content.position, all.collect())
    }
}

/// The order of picking: who was given a place has it; the others have the numbers that are left, by their bins, and
/// those without a bin behind them.
fn order_of(slots: &Slots) -> Arc<[InOrder]> {
    let taken: HashSet<i64> = slots
        .values()
        .filter_map(|settings| settings.as_ref()?.pick_order)
        .collect();
    let mut order: Vec<InOrder> = slots
        .iter()
        .map(|(key, settings)| InOrder {
            variant: key.variant,
            number: 0,
            settings: settings.clone(),
        })
        .collect();
    order.sort_unstable_by(by_bin);
    let mut last = 0;
    for slot in &mut order {
        slot.number = match slot.settings.as_ref().and_then(|settings| settings.pick_order) {
            Some(given) => given,
            None => {
                last += 1;
                while taken.contains(&last) {
                    last += 1;
                }
                last
            }
        };
    }
    // Stable: who was given the same place stays in the order of bins.
    order.sort_by_key(|slot| slot.number);
    order.into()
}

fn by_bin(a: &InOrder, b: &InOrder) -> Ordering {
    fn bin(slot: &InOrder) -> Option<&str> {
        slot.settings.as_ref()?.bin.as_deref()
    }
    match (bin(a), bin(b)) {
        (Some(left), Some(right)) => compare_naturally(left, right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
    .then(a.variant.cmp(&b.variant))
}

/// Compares texts as people do who count: `A-2` comes before `A-10`. Runs of digits compare as numbers, everything
/// else by its letters.
fn compare_naturally(left: &str, right: &str) -> Ordering {
    let (mut a, mut b) = (left.as_bytes(), right.as_bytes());
    while let (Some(&first), Some(&second)) = (a.first(), b.first()) {
        if first.is_ascii_digit() && second.is_ascii_digit() {
            let (one, other);
            (one, a) = digits(a);
            (other, b) = digits(b);
            let by_number = one.len().cmp(&other.len()).then_with(|| one.cmp(other));
            if by_number.is_ne() {
                return by_number;
            }
        } else if first == second {
            (a, b) = (&a[1..], &b[1..]);
        } else {
            return first.cmp(&second);
        }
    }
    // `A-02` and `A-2` are the same number and two bins.
    a.len().cmp(&b.len()).then_with(|| left.cmp(right))
}

/// The digits at the beginning without zeros before them, and what follows.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    (&digits[zeros..], rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_in_texts_count() {
        let bins = [
            "10", "9", "A-10", "A-2", "A", "A-02", "A-2-B", "a-1", "A-010", "", "B-1", "A-2B", "é",
        ];
        let mut sorted = bins;
        sorted.sort_by(|a, b| compare_naturally(a, b));
        assert_eq!(
            sorted,
            [
                "", "9", "10", "A", "A-02", "A-2", "A-2-B", "A-2B", "A-010", "A-10", "B-1", "a-1", "é"
            ]
        );
    }

    proptest! {
        #[test]
        fn it_is_an_order(texts in proptest::collection::vec("[0-2A-]{0,5}", 3)) {
            let [a, b, c] = [&texts[0], &texts[1], &texts[2]];
            prop_assert_eq!(compare_naturally(a, b), compare_naturally(b, a).reverse());
            prop_assert_eq!(compare_naturally(a, b).is_eq(), a == b);
            if compare_naturally(a, b).is_le() && compare_naturally(b, c).is_le() {
                prop_assert!(compare_naturally(a, c).is_le(), "{a} {b} {c}");
            }
        }
    }
}
