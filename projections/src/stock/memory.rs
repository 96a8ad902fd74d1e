//! The stock view in memory, for single keys: always what the tables hold at the checkpoint.

use std::sync::{PoisonError, RwLock};

use bincard_ledger::{Position, Timestamp, Version, WarehouseNo};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::fold::{Expiring, ExpiringList, Held, Rows, Stock};
use super::{StockKey, StockRow, with_run_out};

/// Stock by key at one position.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Written once a transaction, for about as long as copying its changed keys takes; read by everybody.
    content: RwLock<Content>,
}

#[derive(Debug)]
pub(crate) struct Content {
    position: Position,
    stock: HashMap<StockKey, Held, FixedState>,
    expiring: HashMap<StockKey, ExpiringList, FixedState>,
    versions: HashMap<WarehouseNo, Version, FixedState>,
}

impl Memory {
    pub(crate) fn new(stock: &Stock, position: Position) -> Memory {
        let content = Content {
            position,
            stock: stock.stock.clone(),
            expiring: stock.expiring.clone(),
            versions: stock.versions.clone(),
        };
        Memory {
            content: RwLock::new(content),
        }
    }

    /// Brings the content to `position` by the rows that were committed.
    pub(crate) fn publish(&self, rows: &Rows, position: Position) {
        let mut content = self.content.write().unwrap_or_else(PoisonError::into_inner);
        content.position = position;
        for &(key, held) in &rows.stock {
            if held.changed == Position(0) {
                content.stock.remove(&key);
            } else {
                content.stock.insert(key, held);
            }
        }
        content.versions.extend(rows.versions.iter().copied());
        for &(key, one) in &rows.expiring {
            let list = content.expiring.entry(key).or_default();
            let is_other =
                |other: &Expiring| (other.reservation, other.expires_at) != (one.reservation, one.expires_at);
            list.retain(|other| is_other(other));
            if one.quantity > 0 {
                list.push(one);
            }
            if list.is_empty() {
                content.expiring.remove(&key);
            }
        }
    }

    /// Lets `look` read several keys at one position.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Content) -> T) -> T {
        look(&self.content.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The version that a warehouse's stream has come to, and the position that this is known up to.
    pub(crate) fn version(&self, warehouse: WarehouseNo) -> (Position, Version) {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        let version = content.versions.get(&warehouse).copied();
        (content.position, version.unwrap_or_default())
    }

    /// What `key` holds at the instant `now`, and the position that this is known up to. `None` for a key that never
    /// had any stock.
    pub(crate) fn row(&self, key: StockKey, now: Timestamp) -> (Position, Option<StockRow>) {
        self.read(|content| (content.position, content.row(key, now)))
    }
}

impl Content {
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    pub(crate) fn row(&self, key: StockKey, now: Timestamp) -> Option<StockRow> {
        let held = self.stock.get(&key)?;
        let run_out = self.expiring.get(&key).map_or(0, |list| {
            list.iter()
                .filter(|one| one.expires_at <= now)
                .map(|one| one.quantity)
                .sum()
        });
        Some(StockRow {
            key,
            buckets: with_run_out(held.buckets, run_out),
            changed: held.changed,
        })
    }
}
