//! Which warehouse a `location` means, and which one is meant where none is named.

use bincard_ledger::{VariantNo, WarehouseNo};
use bincard_projections::catalogue::{CatalogueFilter, Search};
use bincard_projections::stock::StockFilter;
use bincard_projections::{Slice, ViewName};

use crate::asker::Asker;
use crate::failure::{Failure, Forbidden, Missing};
use crate::wire::tree::parse_uuid;

/// More warehouses than this are not looked through.
const LOOKED_AT_MAX: usize = 10_000;
/// More choices than this are not named: nobody reads them.
const NAMED_MAX: usize = 20;

fn first<K>(limit: usize) -> Slice<K> {
    Slice {
        after: None,
        skip: 0,
        limit,
        with_total: false,
    }
}

/// A name has 200 characters at most, and SQLite refuses to look for very long ones.
const NAME_BYTES_MAX: usize = 800;

/// The warehouse with this id, code or name, if the caller may see it.
pub(super) async fn named(asker: &Asker, location: &str) -> Result<WarehouseNo, Failure> {
    if let Some(id) = parse_uuid(location) {
        return asker.warehouse_to_see(id);
    }
    let ledger = &asker.open.ledger;
    let may_see = |no: &WarehouseNo| asker.caller.may_see_warehouse(ledger.ids().warehouse(*no));
    if let Some(no) = ledger.names().warehouse_by_code(location) {
        return match may_see(&no) {
            true => Ok(no),
            false => Err(Failure::Forbidden(Forbidden::Warehouse)),
        };
    }
    if location.len() > NAME_BYTES_MAX {
        return Err(Failure::NotFound(Missing::Warehouse));
    }
    caught_up(asker, ViewName::Catalogue).await?;
    let filter = CatalogueFilter {
        search: Some(Search::Prefix(location.to_owned())),
        ..CatalogueFilter::default()
    };
    let found = asker.open.views.warehouses(&filter, first(LOOKED_AT_MAX)).await?;
    let rows = found.value.rows.into_iter();
    let called: Vec<_> = rows
        .filter(|row| row.name == location)
        .map(|row| row.no)
        .collect();
    let seen: Vec<_> = called.iter().copied().filter(may_see).collect();
    match (seen[..].split_first(), called.is_empty()) {
        (Some((one, [])), _) => Ok(*one),
        (Some(_), _) => Err(choices(
            asker,
            "Several warehouses have this name: name one of",
            &seen,
        )),
        (None, true) => Err(Failure::NotFound(Missing::Warehouse)),
        (None, false) => Err(Failure::Forbidden(Forbidden::Warehouse)),
    }
}

/// The one warehouse that a variant is stocked at: that it lies at, or else that it ever lay at. Of a SELLER's own.
pub(super) async fn only_one(asker: &Asker, variant: VariantNo) -> Result<WarehouseNo, Failure> {
    let ledger = &asker.open.ledger;
    caught_up(asker, ViewName::Stock).await?;
    let filter = StockFilter {
        in_lots: false,
        warehouses: None,
        variant: Some(variant),
    };
    let now = bincard_ledger::Timestamp::MIN;
    let found = asker
        .open
        .views
        .stock_page(&filter, first(LOOKED_AT_MAX), now)
        .await?;
    let mut rows = found.value.rows;
    rows.retain(|row| {
        asker
            .caller
            .may_see_warehouse(ledger.ids().warehouse(row.key.warehouse))
    });
    if rows.iter().any(|row| row.buckets.on_hand() != 0) {
        rows.retain(|row| row.buckets.on_hand() != 0);
    }
    let stocked: Vec<_> = rows.iter().map(|row| row.key.warehouse).collect();
    match stocked[..] {
        [one] => Ok(one),
        [] => Err(Failure::unprocessable(
            "location",
            "The SKU is stocked nowhere yet: name a warehouse by its id, code or name",
        )),
        _ => Err(choices(
            asker,
            "The SKU is stocked at several warehouses: name one of",
            &stocked,
        )),
    }
}

fn choices(asker: &Asker, why: &str, warehouses: &[WarehouseNo]) -> Failure {
    let names = asker.open.ledger.names();
    let mut codes: Vec<String> = warehouses
        .iter()
        .take(NAMED_MAX)
        .filter_map(|no| Some(names.warehouse(*no)?.code.to_string()))
        .collect();
    codes.sort();
    if warehouses.len() > NAMED_MAX {
        codes.push("…".to_owned());
    }
    Failure::unprocessable("location", format!("{why} {}", codes.join(", ")))
}

/// What is recorded by now counts: a default that is a moment old might be another one.
async fn caught_up(asker: &Asker, view: ViewName) -> Result<(), Failure> {
    let head = asker.open.ledger.reader().head().position;
    asker.open.wait_for_view(view, head).await
}
