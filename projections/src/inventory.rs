//! What lies where, as whoever walks through a warehouse wants to know it: slots in the order of picking, with their
//! stock and whether it is low. Answered from the catalogue's and the stock view's memory; only names, and what a text
//! is found in, are looked up in the database, at once for the whole page.

use crate::sql::Connection;
use bincard_ledger::{Buckets, Position, Timestamp, VariantNo, WarehouseNo};

use crate::catalogue::{self, InOrder};
use crate::stock::{self, StockKey};
use crate::view::View;
use crate::views::{Answer, Page};

/// Which slots to list. A filter that is not set lets everything pass.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct InventoryFilter {
    /// Only at these warehouses; an empty list lets none pass.
    pub warehouses: Option<Vec<WarehouseNo>>,
    /// Only variants in whose SKU or name, or in whose product's name, this stands, in any case.
    pub search: Option<String>,
    /// Only what is to be ordered again.
    pub only_low: bool,
}

/// A slot with its stock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InventoryRow {
    /// Where and what.
    pub key: StockKey,
    /// The variant's SKU.
    pub sku: String,
    /// The product's name, or the variant's where it has no product.
    pub name: String,
    /// The warehouse's name.
    pub warehouse: String,
    /// What lies there.
    pub buckets: Buckets,
    /// Where in the warehouse.
    pub bin: Option<String>,
    /// At so many units available or fewer it is to be ordered again.
    pub reorder_point: Option<i64>,
    /// Whether that is so.
    pub is_low: bool,
    /// Its place in the order of picking at its warehouse.
    pub pick_order: i64,
}

type Memory<V> = <V as View>::Memory;

pub(crate) async fn page(
    connection: &mut Connection<'_>,
    (slots, stock): (&Memory<catalogue::Catalogue>, &Memory<stock::Stock>),
    filter: &InventoryFilter,
    (skip, limit): (u64, usize),
    now: Timestamp,
) -> Result<Answer<Page<InventoryRow>>, sqlx::Error> {
    let found = match &filter.search {
        Some(text) => Some(catalogue::found_variants(connection, text).await?),
        None => None,
    };
    let (slots_at, orders) = slots.in_order(filter.warehouses.as_deref());
    let all = orders
        .iter()
        .flat_map(|(warehouse, order)| order.iter().map(|slot| (*warehouse, slot)));
    let passes = |variant: VariantNo| found.as_ref().is_none_or(|found| found.contains(&variant));
    let skip = usize::try_from(skip).unwrap_or(usize::MAX);
    let (stock_at, total, listed) = stock.read(|stock| {
        let mut total = 0;
        let mut listed: Vec<(WarehouseNo, &InOrder, Buckets)> = Vec::new();
        let plain = found.is_none() && !filter.only_low;
        let with_stock = |(warehouse, slot): (WarehouseNo, _)| {
            let key = key_of(warehouse, slot);
            let buckets = stock
                .row(key, now)
                .map_or_else(Buckets::default, |row| row.buckets);
            (warehouse, slot, buckets)
        };
        if plain {
            total = orders.iter().map(|(_, order)| order.len()).sum();
            listed.extend(all.skip(skip).take(limit).map(with_stock));
        } else {
            for (warehouse, slot) in all.filter(|(_, slot)| passes(slot.variant)) {
                if filter.only_low && reorder_point(slot).is_none() {
                    continue;
                }
                let row = with_stock((warehouse, slot));
                if filter.only_low && !is_low(slot, &row.2) {
                    continue;
                }
                if total >= skip && listed.len() < limit {
                    listed.push(row);
                }
                total += 1;
            }
        }
        (stock.position(), total, listed)
    });
    let names =
        catalogue::names_of_variants(connection, listed.iter().map(|(_, slot, _)| slot.variant)).await?;
    let warehouses = catalogue::names_of_warehouses(connection).await?;
    let rows: Vec<_> = listed
        .into_iter()
        .map(|(warehouse, slot, buckets)| {
            let (sku, name) = names.get(&slot.variant).cloned().unwrap_or_default();
            InventoryRow {
                key: key_of(warehouse, slot),
                sku,
                name,
                warehouse: warehouses.get(&warehouse).cloned().unwrap_or_default(),
                buckets,
                bin: slot
                    .settings
                    .as_ref()
                    .and_then(|one| one.bin.as_deref().map(str::to_owned)),
                reorder_point: reorder_point(slot),
                is_low: is_low(slot, &buckets),
                pick_order: slot.number,
            }
        })
        .collect();
    let more = skip.saturating_add(rows.len()) < total;
    Ok(Answer {
        position: Position(slots_at.0.min(stock_at.0)),
        value: Page {
            rows,
            more,
            total: Some(total as u64),
        },
    })
}

fn key_of(warehouse: WarehouseNo, slot: &InOrder) -> StockKey {
    StockKey {
        warehouse,
        variant: slot.variant,
    }
}

fn reorder_point(slot: &InOrder) -> Option<i64> {
    slot.settings.as_ref()?.reorder_point
}

fn is_low(slot: &InOrder, buckets: &Buckets) -> bool {
    reorder_point(slot).is_some_and(|point| buckets.available() <= point)
}
