//! Stock on hand, now and in the past: `/api/v1/stock`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Response};
use bincard_ledger::{Bucket, Buckets, Position, Timestamp, VariantNo, WarehouseNo};
use bincard_projections::history::{AsOf, LotsFilter};
use bincard_projections::stock::{StockFilter, StockKey};
use bincard_projections::{Slice, ViewName};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::answer;
use crate::app::App;
use crate::asker::{Asker, MinPosition};
use crate::docs::schema::{Paged, Problem, ReadAfter, Stock, StockPage};
use crate::export::{self, CHUNK_ROWS, Format, Rows, Sheet};
use crate::failure::{Failure, Missing};
use crate::if_match;
use crate::line_lot;
use crate::movements::lot_named;
use crate::stock_events::variant_of;
use crate::wire::csv::Csv;
use crate::wire::json::Json;
use crate::wire::page::{self, Extent, Paging};
use crate::wire::query::Query;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// What a row takes, about.
const ROW_BYTES: usize = 280;

/// What is asked for.
struct Asked {
    warehouse: Option<Uuid>,
    variant: Option<Uuid>,
    sku: Option<String>,
    /// The code of a lot.
    lot: Option<String>,
    /// Whether lots are the rows.
    in_lots: bool,
    past: AsOf,
    /// None of an export.
    paging: Option<Paging>,
    question: String,
}

/// Whose stock is asked for.
#[derive(Clone, Copy)]
struct Which {
    warehouse: Option<WarehouseNo>,
    variant: Option<VariantNo>,
    lot: Option<VariantNo>,
    in_lots: bool,
    past: AsOf,
}

/// A part of the list, wherever it came from.
struct Part {
    position: Position,
    rows: Vec<(StockKey, Buckets)>,
    has_more: bool,
    total: Option<u64>,
}

/// Stock by warehouse and variant.
///
/// A row for every variant that ever had stock at a warehouse. With `asOf`, by what had occurred by that instant; with
/// `knownAt`, by what had been recorded by that instant; with both, what was then believed of how it was then. As of
/// an instant a bucket may be below zero: what was recorded in one order may have occurred in another.
///
/// With `Accept: text/csv` or `application/x-ndjson` the answer is an export: all rows to the end. Some hundred rows at a
/// time are of one position, later ones of later positions; with `knownAt` an instant that has passed, all are of that one.
#[utoipa::path(
    get,
    path = "/api/v1/stock",
    tag = "Stock",
    params(
        ("warehouseId" = Option<Uuid>, Query, description = "Required for a SELLER"),
        ("variantId" = Option<Uuid>, Query),
        ("sku" = Option<String>, Query, description = "The variant by its SKU"),
        ("lot" = Option<String>, Query, description = "Only the variant's lot of this code"),
        ("lots" = Option<bool>, Query, description = "A row for every lot instead of every variant; with `asOf` or `knownAt` of one variant, for every one that had moved by then"),
        ("asOf" = Option<String>, Query, description = "Occurred by this instant"),
        ("knownAt" = Option<String>, Query, description = "Recorded by this instant"),
        Paged,
        ("Accept" = Option<String>, Header, description = "`text/csv` or `application/x-ndjson` for an export"),
        ReadAfter,
    ),
    responses(
        (status = 200, content((StockPage = "application/json"), (Stock = "application/x-ndjson"), (String = "text/csv")), headers(
            ("ETag" = Option<String>, description = "Of the present stock of one warehouse: the version that it has come to, for `If-Match`"),
        )),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list(
    State(app): State<Arc<App>>,
    asker: Asker,
    MinPosition(min): MinPosition,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Failure> {
    let format = Format::asked(&headers);
    let asked = read_query(query.as_deref(), format)?;
    let warehouse = asker.warehouse_to_list(asked.warehouse)?;
    let named = variant_named(&asker, asked.variant, asked.sku.as_deref())?;
    let (variant, lot) = lot_named(&asker, named, asked.lot.as_deref())?;
    let which = Which {
        warehouse,
        variant,
        lot,
        in_lots: asked.in_lots,
        past: asked.past,
    };
    let is_past = asked.past != AsOf::default();
    let view = if is_past {
        ViewName::History
    } else {
        ViewName::Stock
    };
    asker.open.wait_for_view(view, min).await?;
    let Some(paging) = &asked.paging else {
        let rows = Export {
            app: app.clone(),
            asker,
            which,
            after: None,
            position: Position(0),
        };
        return export::answer(app, format, rows).await;
    };
    // Before the rows: a version that is older than they are is refused where it would have done, a newer one would be taken
    // where it must not.
    let version = match warehouse.filter(|_| !is_past) {
        Some(warehouse) => Some(asker.open.views.stock_version(warehouse)?.value),
        None => None,
    };
    let (after, number, known_total) = match paging.cursor.as_deref() {
        None => (None, paging.number, None),
        Some(words) => {
            let (key, number, total) = start_of(words)?;
            (Some(key), number, Some(total))
        }
    };
    let size = paging.size;
    let slice = Slice {
        after,
        skip: if after.is_some() {
            0
        } else {
            number.saturating_mul(u64::from(size))
        },
        limit: size as usize,
        with_total: known_total.is_none(),
    };
    let part = part_of(&asker, which, slice, app.timestamp()).await?;
    let total = known_total.or(part.total).unwrap_or_default();
    let last = part.rows.last().filter(|_| part.has_more);
    let next = last.map(|(key, _)| {
        let words = [
            page::word_of(total),
            page::word_of(number.saturating_add(1)),
            i64::from(key.warehouse.0),
            i64::from(key.variant.0),
        ];
        page::cursor_text(&words, &asked.question)
    });
    let mut json = Json::with_capacity(96 + part.rows.len() * ROW_BYTES);
    json.raw(r#"{"content":["#);
    for (index, (key, buckets)) in part.rows.iter().enumerate() {
        json.raw(if index == 0 { "" } else { "," });
        write_row(&mut json, &asker, *key, buckets);
    }
    page::finish(&mut json, Extent { number, size, total }, next);
    let mut response = answer::read(part.position, json);
    if let Some(version) = version {
        if_match::tag(response.headers_mut(), version);
    }
    Ok(response)
}

fn read_query(query: Option<&str>, format: Format) -> Result<Asked, Failure> {
    let mut query = Query::parse(query);
    let warehouse = query.uuid("warehouseId");
    let variant = query.uuid("variantId");
    let sku = query.text("sku");
    let lot = query.text("lot");
    let in_lots = query.flag("lots").unwrap_or_default();
    let past = AsOf {
        as_of: query.instant("asOf"),
        known_at: query.instant("knownAt"),
    };
    if variant.is_none() && sku.is_none() {
        if lot.is_some() {
            query.fault("lot", "is a lot of one variant: name it by variantId or sku");
        }
        if in_lots && past != AsOf::default() {
            query.fault(
                "lots",
                "goes with asOf and knownAt for one variant: name it by variantId or sku",
            );
        }
    }
    let question = format!("stock {warehouse:?} {variant:?} {sku:?} {lot:?} {in_lots} {past:?}");
    let paging = if format == Format::Page {
        Some(Paging::read(&mut query, &question))
    } else {
        export::refuse_paging(&mut query);
        None
    };
    query.finish()?;
    Ok(Asked {
        warehouse,
        variant,
        sku,
        lot,
        in_lots,
        past,
        paging,
        question,
    })
}

/// The variant that is named by its id, its SKU or both.
pub(crate) fn variant_named(
    asker: &Asker,
    id: Option<Uuid>,
    sku: Option<&str>,
) -> Result<Option<VariantNo>, Failure> {
    let by_id = id.map(|id| variant_of(asker, id)).transpose()?;
    let Some(sku) = sku else { return Ok(by_id) };
    let by_sku = asker.open.ledger.names().variant_by_sku(sku);
    let by_sku = by_sku.ok_or(Failure::NotFound(Missing::Variant { line: None }))?;
    if by_id.is_some_and(|by_id| by_id != by_sku) {
        return Err(Failure::at_parameter(
            "sku",
            "is the SKU of another variant than variantId",
        ));
    }
    Ok(Some(by_sku))
}

/// A part of the list.
async fn part_of(
    asker: &Asker,
    which: Which,
    slice: Slice<StockKey>,
    now: Timestamp,
) -> Result<Part, Failure> {
    let Which {
        warehouse,
        variant,
        lot,
        in_lots,
        past,
    } = which;
    let is_of_lots = in_lots || lot.is_some();
    if let (true, Some(variant)) = (is_of_lots && past != AsOf::default(), variant) {
        let filter = LotsFilter {
            warehouses: warehouse.map(|no| vec![no]),
            variant,
            lot,
        };
        let answer = asker.open.views.lots_as_of_page(&filter, past, slice).await?;
        let rows = answer.value.rows.into_iter();
        return Ok(Part {
            position: answer.position,
            rows: rows.map(|row| (row.key, row.buckets)).collect(),
            has_more: answer.value.more,
            total: answer.value.total,
        });
    }
    // The present of a lot is found under its own number.
    let in_lots = in_lots && lot.is_none();
    match (warehouse, lot.or(variant)) {
        (Some(warehouse), Some(variant)) if slice.after.is_none() && slice.skip == 0 && !in_lots => {
            one(asker, StockKey { warehouse, variant }, past, now).await
        }
        (warehouse, variant) => {
            let filter = filter_of(warehouse, variant, in_lots);
            many(asker, &filter, past, slice, now).await
        }
    }
}

/// The stock of one key; the present is answered from memory.
async fn one(asker: &Asker, key: StockKey, past: AsOf, now: Timestamp) -> Result<Part, Failure> {
    let views = &asker.open.views;
    let (position, buckets) = if past == AsOf::default() {
        let answer = views.stock_row(key, now)?;
        (answer.position, answer.value.map(|row| row.buckets))
    } else {
        let answer = views.stock_as_of(key, past).await?;
        (answer.position, Some(answer.value.buckets))
    };
    let rows: Vec<_> = buckets.map(|buckets| (key, buckets)).into_iter().collect();
    let total = Some(rows.len() as u64);
    Ok(Part {
        position,
        rows,
        has_more: false,
        total,
    })
}

fn filter_of(warehouse: Option<WarehouseNo>, variant: Option<VariantNo>, in_lots: bool) -> StockFilter {
    StockFilter {
        warehouses: warehouse.map(|no| vec![no]),
        variant,
        in_lots,
    }
}

async fn many(
    asker: &Asker,
    filter: &StockFilter,
    past: AsOf,
    slice: Slice<StockKey>,
    now: Timestamp,
) -> Result<Part, Failure> {
    let views = &asker.open.views;
    if past == AsOf::default() {
        let answer = views.stock_page(filter, slice, now).await?;
        let rows = answer
            .value
            .rows
            .into_iter()
            .map(|row| (row.key, row.buckets))
            .collect();
        Ok(Part {
            position: answer.position,
            rows,
            has_more: answer.value.more,
            total: answer.value.total,
        })
    } else {
        let answer = views.stock_as_of_page(filter, past, slice).await?;
        let rows = answer
            .value
            .rows
            .into_iter()
            .map(|row| (row.key, row.buckets))
            .collect();
        Ok(Part {
            position: answer.position,
            rows,
            has_more: answer.value.more,
            total: answer.value.total,
        })
    }
}

/// All rows of a list.
struct Export {
    app: Arc<App>,
    asker: Asker,
    which: Which,
    after: Option<StockKey>,
    /// Where the view stood at the first rows.
    position: Position,
}

impl Rows for Export {
    const NAME: &'static str = "stock";
    const COLUMNS: &'static [&'static str] = &[
        "warehouseId",
        "warehouseCode",
        "variantId",
        "variantSku",
        "lot",
        "onHand",
        "available",
        "reserved",
        "picked",
        "packed",
        "held",
    ];

    async fn write_next(&mut self, sheet: &mut Sheet) -> Result<bool, Failure> {
        let slice = Slice {
            after: self.after,
            skip: 0,
            limit: CHUNK_ROWS,
            with_total: false,
        };
        let part = part_of(&self.asker, self.which, slice, self.app.timestamp()).await?;
        if self.after.is_none() {
            self.position = part.position;
        }
        for (key, buckets) in &part.rows {
            match sheet {
                Sheet::Ndjson(json) => {
                    write_row(json, &self.asker, *key, buckets);
                    json.raw("\n");
                }
                Sheet::Csv(csv) => write_csv(csv, &self.asker, *key, buckets),
            }
        }
        self.after = part.rows.last().map(|(key, _)| *key);
        Ok(part.has_more)
    }

    fn position(&self) -> Position {
        self.position
    }
}

fn start_of(words: &[i64]) -> Result<(StockKey, u64, u64), Failure> {
    let &[total, number, warehouse, variant] = words else {
        return Err(page::wrong_cursor());
    };
    let warehouse = WarehouseNo(u32::try_from(warehouse).map_err(|_| page::wrong_cursor())?);
    let variant = VariantNo(u32::try_from(variant).map_err(|_| page::wrong_cursor())?);
    Ok((
        StockKey { warehouse, variant },
        page::count_of(number).ok_or_else(page::wrong_cursor)?,
        page::count_of(total).ok_or_else(page::wrong_cursor)?,
    ))
}

pub(crate) fn write_row(json: &mut Json, asker: &Asker, key: StockKey, buckets: &Buckets) {
    let ledger = &asker.open.ledger;
    let (ids, names) = (ledger.ids(), ledger.names());
    json.raw(r#"{"warehouseId":"#).uuid(ids.warehouse(key.warehouse));
    let warehouse = names.warehouse(key.warehouse);
    json.raw(r#","warehouseCode":"#)
        .text_or_null(warehouse.as_ref().map(|name| &*name.code));
    json.raw(",");
    line_lot::write(json, ids, names, key.variant);
    json.raw(r#","onHand":"#).whole(buckets.on_hand());
    json.raw(r#","available":"#).whole(buckets.available());
    json.raw(r#","reserved":"#).whole(buckets.of(Bucket::Reserved));
    json.raw(r#","picked":"#).whole(buckets.of(Bucket::Picked));
    json.raw(r#","packed":"#).whole(buckets.of(Bucket::Packed));
    json.raw(r#","held":"#).whole(buckets.of(Bucket::Held)).raw("}");
}

fn write_csv(csv: &mut Csv, asker: &Asker, key: StockKey, buckets: &Buckets) {
    let ledger = &asker.open.ledger;
    let (ids, names) = (ledger.ids(), ledger.names());
    let warehouse = names.warehouse(key.warehouse);
    csv.uuid(ids.warehouse(key.warehouse))
        .text(warehouse.as_ref().map(|name| &*name.code));
    let variant = names.variant(key.variant);
    let of = variant.as_ref().map_or(key.variant, |name| name.of);
    csv.uuid(ids.variant(of))
        .text(variant.as_ref().map(|name| &*name.sku))
        .text(variant.as_ref().and_then(|name| name.lot.as_deref()));
    csv.whole(buckets.on_hand()).whole(buckets.available());
    for bucket in [Bucket::Reserved, Bucket::Picked, Bucket::Packed, Bucket::Held] {
        csv.whole(buckets.of(bucket));
    }
    csv.end();
}
