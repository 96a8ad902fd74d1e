//! `GET /api/warehouse/inventory`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::Response;
use bincard_ledger::Bucket;
use bincard_projections::{InventoryFilter, InventoryRow, ViewName};

use super::place;
use crate::answer;
use crate::app::App;
use crate::asker::{Asker, MinPosition};
use crate::docs::schema::{Inventory, ReadAfter, WarehouseError};
use crate::failure::{Failure, Forbidden};
use crate::if_match;
use crate::wire::json::Json;
use crate::wire::query::Query;

const LIMIT_DEFAULT: usize = 50;
pub(super) const LIMIT_MAX: usize = 500;
/// What an item takes, about.
const ITEM_BYTES: usize = 320;

/// A limit of a list of the family.
pub(super) fn limit(query: &mut Query<'_>, default: usize) -> usize {
    let limit = query.read("limit", "must be 1 to 500", |text| {
        text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit))
    });
    limit.unwrap_or(default)
}

/// What lies where.
///
/// An item for every SKU that ever lay at a warehouse or of whose place there something was said, by warehouse and in
/// the order of picking. A SELLER names one of its locations.
#[utoipa::path(
    get,
    path = "/api/warehouse/inventory",
    tag = "Warehouse",
    params(
        ("location" = Option<String>, Query, description = "A warehouse by its id, code or name; required for a SELLER"),
        ("lowStock" = Option<bool>, Query, description = "Only what is at or below its reorder point"),
        ("search" = Option<String>, Query, description = "Stands in the SKU, or in the product's or variant's name, in any case"),
        ("limit" = Option<u32>, Query, description = "1 to 500; 50 when left out"),
        ("offset" = Option<u64>, Query, description = "How many items to leave out"),
        ReadAfter,
    ),
    responses(
        (status = 200, body = Inventory, headers(
            ("ETag" = Option<String>, description = "Of one warehouse: the version that it has come to, for `If-Match`"),
        )),
        (status = 400, body = WarehouseError),
        (status = 403, body = WarehouseError),
        (status = 404, body = WarehouseError),
        (status = 422, description = "Several warehouses have this name", body = WarehouseError),
        (status = 503, body = WarehouseError),
    )
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    asker: Asker,
    MinPosition(min): MinPosition,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Failure> {
    let mut query = Query::parse(query.as_deref());
    let location = query.text("location");
    let only_low = query.flag("lowStock").unwrap_or_default();
    let search = query.text("search");
    let limit = limit(&mut query, LIMIT_DEFAULT);
    let offset = query.whole("offset").unwrap_or_default();
    query.finish()?;
    let warehouses = match location {
        Some(location) => Some(vec![place::named(&asker, &location).await?]),
        None if asker.caller.is_bound_to_warehouses() => {
            return Err(Failure::Forbidden(Forbidden::WarehouseRequired));
        }
        None => None,
    };
    for view in [ViewName::Catalogue, ViewName::Stock] {
        asker.open.wait_for_view(view, min).await?;
    }
    let filter = InventoryFilter {
        warehouses,
        search,
        only_low,
    };
    let views = &asker.open.views;
    // Before the items, as of the stock of a warehouse.
    let version = match filter.warehouses.as_deref() {
        Some(&[warehouse]) => Some(views.stock_version(warehouse)?.value),
        _ => None,
    };
    let found = views.inventory(&filter, offset, limit, app.timestamp()).await?;
    let page = found.value;
    let mut json = Json::with_capacity(128 + page.rows.len() * ITEM_BYTES);
    json.raw(r#"{"items":["#);
    for (index, row) in page.rows.iter().enumerate() {
        json.raw(if index == 0 { "" } else { "," });
        write(&mut json, &asker, row);
    }
    json.raw(r#"],"pagination":{"total":"#)
        .whole(page.total.unwrap_or_default());
    json.raw(r#","limit":"#).whole(limit);
    json.raw(r#","offset":"#).whole(offset);
    json.raw(r#","hasMore":"#).flag(page.more).raw("}}");
    let mut response = answer::read(found.position, json);
    if let Some(version) = version {
        if_match::tag(response.headers_mut(), version);
    }
    Ok(response)
}

fn write(json: &mut Json, asker: &Asker, row: &InventoryRow) {
    json.raw(r#"{"id":"#)
        .uuid(asker.open.ledger.ids().variant(row.key.variant));
    json.raw(r#","sku":"#).text(&row.sku);
    json.raw(r#","productName":"#).text(&row.name);
    json.raw(r#","location":"#).text(&row.warehouse);
    json.raw(r#","quantityAvailable":"#)
        .whole(row.buckets.available());
    for (name, bucket) in [
        (r#","quantityReserved":"#, Bucket::Reserved),
        (r#","quantityPicked":"#, Bucket::Picked),
        (r#","quantityPacked":"#, Bucket::Packed),
    ] {
        json.raw(name).whole(row.buckets.of(bucket));
    }
    json.raw(r#","reorderPoint":"#).whole_or_null(row.reorder_point);
    json.raw(r#","isLowStock":"#).flag(row.is_low);
    json.raw(r#","pickOrder":"#).whole(row.pick_order);
    json.raw(r#","bin":"#).text_or_null(row.bin.as_deref()).raw("}");
}
