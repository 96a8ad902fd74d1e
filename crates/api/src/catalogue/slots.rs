//! Slots, the places of variants at warehouses: `/api/v1/slots`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, Response};
use bincard_ledger::event::SlotChange;
use bincard_ledger::{CatalogueCommand, VariantNo, WarehouseNo};
use bincard_projections::catalogue::{SlotFilter, SlotRow};
use bincard_projections::stock::StockKey;
use bincard_projections::{Answer, Page, Slice, ViewName};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{answer_change, change, parse, read_body};
use crate::answer;
use crate::app::App;
use crate::asker::{Asker, MinPosition};
use crate::docs::schema::{
    Paged, Problem, ReadAfter, Recorded, Slot, SlotChange as SlotChangeSchema, SlotPage,
};
use crate::failure::{Failure, Missing};
use crate::if_match;
use crate::segment::Segments;
use crate::stock_events::variant_of;
use crate::wire::json::Json;
use crate::wire::page::{self, Extent, Paging};
use crate::wire::query::Query;
use crate::wire::tree::{self, parse_uuid};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(fetch, alter))
}

/// What a row takes, about.
const ROW_BYTES: usize = 320;

/// List slots.
///
/// A row for every variant that ever had stock at a warehouse, and for every one of which something was said. A SELLER
/// names one of its warehouses.
#[utoipa::path(
    get,
    path = "/api/v1/slots",
    tag = "Catalogue",
    params(
        ("warehouseId" = Option<Uuid>, Query, description = "Required for a SELLER"),
        ("variantId" = Option<Uuid>, Query),
        Paged,
        ReadAfter,
    ),
    responses(
        (status = 200, body = SlotPage),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list(
    asker: Asker,
    MinPosition(min): MinPosition,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Failure> {
    let mut query = Query::parse(query.as_deref());
    let (warehouse, variant) = (query.uuid("warehouseId"), query.uuid("variantId"));
    let question = format!("slots {warehouse:?} {variant:?}");
    let paging = Paging::read(&mut query, &question);
    query.finish()?;
    let filter = SlotFilter {
        warehouses: asker.warehouse_to_list(warehouse)?.map(|no| vec![no]),
        variant: variant.map(|id| variant_of(&asker, id)).transpose()?,
    };
    let (slice, number, known_total) = slice_of(&paging)?;
    asker.open.wait_for_view(ViewName::Catalogue, min).await?;
    let Answer {
        position,
        value: Page { rows, more, total },
    } = asker.open.views.slots(&filter, slice).await?;
    let total = known_total.or(total).unwrap_or_default();
    let next = rows.last().filter(|_| more).map(|last| {
        let words = [
            page::word_of(total),
            page::word_of(number.saturating_add(1)),
            i64::from(last.key.warehouse.0),
            i64::from(last.key.variant.0),
        ];
        page::cursor_text(&words, &question)
    });
    let mut json = Json::with_capacity(96 + rows.len() * ROW_BYTES);
    json.raw(r#"{"content":["#);
    for (index, row) in rows.iter().enumerate() {
        json.raw(if index == 0 { "" } else { "," });
        write(&mut json, &asker, row);
    }
    let size = paging.size;
    page::finish(&mut json, Extent { number, size, total }, next);
    Ok(answer::read(position, json))
}

/// The slice that a page is, its number, and how many there are in all where a cursor knows.
fn slice_of(paging: &Paging) -> Result<(Slice<StockKey>, u64, Option<u64>), Failure> {
    let size = paging.size;
    let mut slice = Slice {
        after: None,
        skip: 0,
        limit: size as usize,
        with_total: true,
    };
    match paging.cursor.as_deref() {
        None => {
            slice.skip = paging.number.saturating_mul(u64::from(size));
            Ok((slice, paging.number, None))
        }
        Some(&[total, number, warehouse, variant]) => {
            slice.after = Some(StockKey {
                warehouse: WarehouseNo(u32::try_from(warehouse).map_err(|_| page::wrong_cursor())?),
                variant: VariantNo(u32::try_from(variant).map_err(|_| page::wrong_cursor())?),
            });
            slice.with_total = false;
            let number = page::count_of(number).ok_or_else(page::wrong_cursor)?;
            let total = page::count_of(total).ok_or_else(page::wrong_cursor)?;
            Ok((slice, number, Some(total)))
        }
        Some(_) => Err(page::wrong_cursor()),
    }
}

/// Fetch a slot.
///
/// Every variant has one at every warehouse; where nothing was said of it yet, its fields are null.
#[utoipa::path(
    get,
    path = "/api/v1/slots/{warehouseId}/{variantId}",
    tag = "Catalogue",
    params(
        ("warehouseId" = Uuid, Path),
        ("variantId" = Uuid, Path),
        ReadAfter,
    ),
    responses(
        (status = 200, body = Slot, headers(
            ("ETag" = String, description = "The version that the catalogue has come to, for `If-Match`"),
        )),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn fetch(
    asker: Asker,
    MinPosition(min): MinPosition,
    Segments(ids): Segments,
) -> Result<Response<Body>, Failure> {
    let key = resolve(&asker, &ids)?;
    asker.open.wait_for_view(ViewName::Catalogue, min).await?;
    answer_with(&asker, key).await
}

/// Change a slot: what is left out stays, and `null` takes it away.
///
/// With `If-Match` it is changed only if nothing was recorded in the catalogue since the slot was looked at.
#[utoipa::path(
    patch,
    path = "/api/v1/slots/{warehouseId}/{variantId}",
    tag = "Catalogue",
    params(
        ("warehouseId" = Uuid, Path),
        ("variantId" = Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "The version that the catalogue is to have come to, such as `\"42\"`: the ETag of the slot. At another version nothing happens"),
    ),
    request_body = SlotChangeSchema,
    responses(
        (status = 200, body = Slot, headers(
            ("ETag" = String, description = "The version that the catalogue has come to"),
        )),
        (status = 202, description = "Recorded; the catalogue cannot show it yet", body = Recorded),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The catalogue has come to another version than was expected", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn alter(
    asker: Asker,
    Segments(ids): Segments,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_write_catalogue())?;
    let key = resolve(&asker, &ids)?;
    let version = if_match::version_of(&headers)?;
    let bytes = read_body(&headers, body).await?;
    let changed = parse(&bytes, |fields, faults| {
        Some(SlotChange {
            bin: fields
                .change("bin", faults, tree::text)
                .map(|bin| bin.map(Box::from)),
            reorder_point: fields.change("reorderPoint", faults, tree::whole),
            max_level: fields.change("maxLevel", faults, tree::whole),
            pick_order: None,
        })
    })?;
    let command = CatalogueCommand::ChangeSlot {
        warehouse: key.warehouse,
        variant: key.variant,
        change: changed,
    };
    let receipt = change(&asker, command, version).await?;
    answer_change(&asker, &receipt, answer_with(&asker, key)).await
}

/// The slot that two ids in a path stand for.
fn resolve(asker: &Asker, [warehouse, variant]: &[String; 2]) -> Result<StockKey, Failure> {
    const NO_WAREHOUSE: Failure = Failure::NotFound(Missing::Warehouse);
    const NO_VARIANT: Failure = Failure::NotFound(Missing::Variant { line: None });
    let warehouse = asker.warehouse_to_see(parse_uuid(warehouse).ok_or(NO_WAREHOUSE)?)?;
    let variant = variant_of(asker, parse_uuid(variant).ok_or(NO_VARIANT)?)?;
    Ok(StockKey { warehouse, variant })
}

/// The slot, with the version that the catalogue had come to before it was looked at: an older one than the slot is
/// refused where it would have done, a newer one would be taken where it must not.
async fn answer_with(asker: &Asker, key: StockKey) -> Result<Response<Body>, Failure> {
    let ledger = &asker.open.ledger;
    let version = ledger.names().catalogue_version();
    let head = ledger.reader().head().position;
    asker.open.wait_for_view(ViewName::Catalogue, head).await?;
    let found = asker.open.views.slot(key).await?;
    let row = found.value.unwrap_or_else(|| SlotRow::empty(key));
    let mut json = Json::with_capacity(ROW_BYTES);
    write(&mut json, asker, &row);
    let mut response = answer::read(found.position, json);
    if_match::tag(response.headers_mut(), version);
    Ok(response)
}

fn write(json: &mut Json, asker: &Asker, row: &SlotRow) {
    let ledger = &asker.open.ledger;
    let (ids, names) = (ledger.ids(), ledger.names());
    json.raw(r#"{"warehouseId":"#)
        .uuid(ids.warehouse(row.key.warehouse));
    let warehouse = names.warehouse(row.key.warehouse);
    json.raw(r#","warehouseCode":"#)
        .text_or_null(warehouse.as_ref().map(|name| &*name.code));
    json.raw(r#","variantId":"#).uuid(ids.variant(row.key.variant));
    let variant = names.variant(row.key.variant);
    json.raw(r#","variantSku":"#)
        .text_or_null(variant.as_ref().map(|name| &*name.sku));
    json.raw(r#","bin":"#).text_or_null(row.bin.as_deref());
    json.raw(r#","reorderPoint":"#).whole_or_null(row.reorder_point);
    json.raw(r#","maxLevel":"#).whole_or_null(row.max_level);
    json.raw(r#","pickOrder":"#).whole_or_null(row.pick_order);
    json.raw(r#","pickOrderReason":"#)
        .text_or_null(row.pick_reason.as_deref());
    json.raw(r#","updatedAt":"#)
        .instant_or_null(row.changed_at)
        .raw("}");
}
