//! Slots, the order of picking and the inventory, against a naive fold over the same events.

use std::collections::{BTreeMap, BTreeSet};

use bincard_ledger::{Buckets, CatalogueEvent, Event, ProductNo, Recorded, VariantNo, WarehouseNo};
use bincard_projections::catalogue::{SlotFilter, SlotRow};
use bincard_projections::stock::StockKey;
use bincard_projections::{InventoryFilter, Slice, Views};
use proptest::prelude::*;

use crate::answers::{all, variants};
use crate::ledger::{Kept, Ledger, Random, runtime};

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn slots_and_inventory_are_what_a_naive_look_at_all_events_gives(seed: u64, before in 0usize..200, after in 50usize..300) {
        for kept in Kept::BOTH {
            let mut random = Random::new(seed);
            let mut ledger = Ledger::with_catalogue().kept(kept);
            ledger.grow(&mut random, before);
            // What was there is loaded, what comes then is published.
            let projector = ledger.project();
            runtime().block_on(ledger.settled(&projector));
            projector.close();
            let projector = ledger.project();
            ledger.grow(&mut random, after);
            runtime().block_on(async {
                let views = ledger.settled(&projector).await;
                check_slots(&ledger, &views).await;
                check_inventory(&ledger, &views).await;
            });
            projector.close();
        }
    }
}

/// The slots, folded naively, by warehouse and variant.
fn slots(events: &[Recorded]) -> BTreeMap<StockKey, SlotRow> {
    let mut rows = BTreeMap::new();
    for recorded in events {
        match &recorded.record.event {
            Event::Stock(event) => {
                for posting in &event.postings {
                    let (warehouse, variant) = (event.warehouse, posting.variant);
                    let key = StockKey { warehouse, variant };
                    rows.entry(key).or_insert_with(|| SlotRow::empty(key));
                }
            }
            Event::Catalogue(CatalogueEvent::SlotChanged {
                warehouse,
                variant,
                change,
            }) => {
                let (warehouse, variant) = (*warehouse, *variant);
                let key = StockKey { warehouse, variant };
                let row = rows.entry(key).or_insert_with(|| SlotRow::empty(key));
                if let Some(bin) = &change.bin {
                    row.bin = bin.as_deref().map(str::to_owned);
                }
                row.reorder_point = change.reorder_point.unwrap_or(row.reorder_point);
                row.max_level = change.max_level.unwrap_or(row.max_level);
                if let Some(order) = &change.pick_order {
                    row.pick_order = order.as_ref().map(|order| order.number);
                    row.pick_reason = order
                        .as_ref()
                        .and_then(|order| order.reason.as_deref().map(str::to_owned));
                }
                row.changed_at = Some(recorded.recorded_at);
            }
            Event::Catalogue(_) => {}
        }
    }
    rows
}

async fn check_slots(ledger: &Ledger, views: &Views) {
    let rows = slots(&ledger.events);
    let warehouses = [None, Some(vec![WarehouseNo(2)]), Some(vec![])];
    for (warehouses, variant) in warehouses
        .into_iter()
        .flat_map(|warehouses| [None, Some(VariantNo(3))].map(move |variant| (warehouses.clone(), variant)))
    {
        let filter = SlotFilter { warehouses, variant };
        let passes = |key: &StockKey| {
            filter
                .warehouses
                .as_ref()
                .is_none_or(|only| only.contains(&key.warehouse))
                && filter.variant.is_none_or(|only| only == key.variant)
        };
        let expected: Vec<_> = rows.values().filter(|row| passes(&row.key)).cloned().collect();
        let mut found = Vec::new();
        let mut slice = Slice { limit: 4, ..all() };
        loop {
            let page = views.slots(&filter, slice).await.unwrap();
            assert_eq!(page.position, ledger.head());
            assert_eq!(page.value.total, Some(expected.len() as u64));
            found.extend(page.value.rows);
            slice.after = found.last().map(|row: &SlotRow| row.key);
            if !page.value.more {
                break;
            }
        }
        assert_eq!(found, expected);
    }
    let (warehouse, variant) = (WarehouseNo(1), VariantNo(1));
    let key = StockKey { warehouse, variant };
    assert_eq!(views.slot(key).await.unwrap().value, rows.get(&key).cloned());
}

/// The order of picking at one warehouse, done naively: numbers that were given, and the others in the gaps by bin.
fn pick_orders(slots: &BTreeMap<StockKey, SlotRow>, warehouse: WarehouseNo) -> Vec<(i64, SlotRow)> {
    let mut rows: Vec<_> = slots
        .values()
        .filter(|row| row.key.warehouse == warehouse)
        .cloned()
        .collect();
    rows.sort_by_key(|row| {
        // The bins of random ledgers are `A-` and a number.
        let number = row.bin.as_ref().map(|bin| bin[2..].parse::<u32>().unwrap());
        (number.is_none(), number, row.key)
    });
    let given: Vec<_> = rows.iter().filter_map(|row| row.pick_order).collect();
    let mut free = (1..).filter(|number| !given.contains(number));
    let mut numbered: Vec<_> = rows
        .into_iter()
        .map(|row| (row.pick_order.unwrap_or_else(|| free.next().unwrap()), row))
        .collect();
    numbered.sort_by_key(|(number, _)| *number);
    numbered
}

async fn check_inventory(ledger: &Ledger, views: &Views) {
    let (slots, variants) = (slots(&ledger.events), variants(&ledger.events));
    let warehouses: BTreeSet<_> = slots.keys().map(|key| key.warehouse).collect();
    let now = ledger.now;
    for (only_low, search, only) in [
        (false, None, None),
        (true, None, None),
        (false, Some("SKU"), Some(WarehouseNo(2))),
        (false, Some("änder"), None),
        (true, Some("-1"), Some(WarehouseNo(1))),
        (false, Some("nothing is called this"), None),
    ] {
        let filter = InventoryFilter {
            warehouses: only.map(|no| vec![no]),
            search: search.map(str::to_owned),
            only_low,
        };
        let mut expected = Vec::new();
        for warehouse in warehouses
            .iter()
            .filter(|no| only.is_none_or(|only| only == **no))
        {
            for (number, row) in pick_orders(&slots, *warehouse) {
                let stock = views.stock_row(row.key, now).unwrap().value;
                let buckets = stock.map_or_else(Buckets::default, |row| row.buckets);
                let is_low = row
                    .reorder_point
                    .is_some_and(|point| buckets.available() <= point);
                let variant = &variants[row.key.variant.0 as usize - 1];
                let is_found = search.is_none_or(|text| {
                    let text = text.to_lowercase();
                    let product = variant.product.map(|no| product_name(&ledger.events, no));
                    [Some(variant.sku.clone()), Some(variant.name.clone()), product]
                        .iter()
                        .flatten()
                        .any(|name| name.to_lowercase().contains(&text))
                });
                if is_found && (is_low || !only_low) {
                    expected.push((row.key, number, buckets, is_low, variant.sku.clone()));
                }
            }
        }
        let mut found = Vec::new();
        for skip in (0..).step_by(7) {
            let page = views.inventory(&filter, skip, 7, now).await.unwrap();
            assert_eq!(page.position, ledger.head());
            assert_eq!(page.value.total, Some(expected.len() as u64));
            let rows = page.value.rows.into_iter();
            found.extend(rows.map(|row| (row.key, row.pick_order, row.buckets, row.is_low, row.sku)));
            if !page.value.more {
                break;
            }
        }
        assert_eq!(found, expected, "{filter:?}");
        for (key, number, ..) in found {
            assert_eq!(views.pick_order(key).unwrap().value, Some(number));
        }
    }
}

fn product_name(events: &[Recorded], wanted: ProductNo) -> String {
    let named = |recorded: &Recorded| match &recorded.record.event {
        Event::Catalogue(
            CatalogueEvent::ProductCreated { no, name } | CatalogueEvent::ProductChanged { no, name },
        ) if *no == wanted => Some(name.to_string()),
        _ => None,
    };
    events.iter().rev().find_map(named).unwrap()
}
