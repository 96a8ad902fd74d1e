//! Movements: what changed of a variant, with what there was before and after: `/api/v1/movements`.

mod write;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Response};
use bincard_ledger::{Position, Timestamp, VariantNo};
use bincard_projections::history::{MovementCursor, MovementFilter};
use bincard_projections::{Slice, ViewName};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::answer;
use crate::app::App;
use crate::asker::{Asker, MinPosition};
use crate::docs::schema::{EventType, Movement, MovementPage, Paged, Problem, ReadAfter};
use crate::export::{self, CHUNK_ROWS, Format, Rows, Sheet};
use crate::failure::{Failure, Missing};
use crate::stock::variant_named;
use crate::wire::json::Json;
use crate::wire::page::{self, Extent, Paging};
use crate::wire::query::Query;
use crate::wire::spelling;

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// What is asked for.
struct Asked {
    variant: Option<Uuid>,
    sku: Option<String>,
    lot: Option<String>,
    warehouse: Option<Uuid>,
    filter: MovementFilter,
    descending: bool,
    /// None of an export.
    paging: Option<Paging>,
    question: String,
}

/// Movements of a variant, as they occurred.
///
/// Each posting of a stock event is a movement. `before` and `after` are what lay there in the order of recording, so that
/// they add up whatever was recorded late. A SELLER names one of its warehouses.
///
/// With `Accept: text/csv` or `application/x-ndjson` the answer is an export: all rows to the end, without a variant those
/// of all variants, one variant after the other. It has exactly what had been recorded by the `Ledger-Position` that it
/// names, whatever comes in meanwhile.
#[utoipa::path(
    get,
    path = "/api/v1/movements",
    tag = "Stock",
    params(
        ("variantId" = Option<Uuid>, Query, description = "This or `sku` is required, but of an export; the id of a lot stands for that lot"),
        ("sku" = Option<String>, Query, description = "The variant by its SKU"),
        ("lot" = Option<String>, Query, description = "Only of the variant's lot of this code"),
        ("warehouseId" = Option<Uuid>, Query, description = "Required for a SELLER"),
        ("type" = Option<EventType>, Query),
        ("occurredFrom" = Option<String>, Query, description = "Occurred at this instant or later"),
        ("occurredTo" = Option<String>, Query, description = "Occurred at this instant or earlier"),
        ("sort" = Option<String>, Query, description = "`occurredAt,asc` or `occurredAt,desc`, which it is when left out"),
        Paged,
        ("Accept" = Option<String>, Header, description = "`text/csv` or `application/x-ndjson` for an export"),
        ReadAfter,
    ),
    responses(
        (status = 200, content((MovementPage = "application/json"), (Movement = "application/x-ndjson"), (String = "text/csv"))),
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
    let mut asked = read_query(query.as_deref(), format)?;
    let warehouse = asker.warehouse_to_list(asked.warehouse)?;
    asked.filter.warehouses = warehouse.map(|no| vec![no]);
    let variant = variant_named(&asker, asked.variant, asked.sku.as_deref())?;
    (asked.filter.variant, asked.filter.lot) = lot_named(&asker, variant, asked.lot.as_deref())?;
    asker.open.wait_for_view(ViewName::History, min).await?;
    let Some(paging) = asked.paging else {
        let rows = Export {
            asker,
            filter: asked.filter,
            descending: asked.descending,
            after: None,
            through: None,
        };
        return export::answer(app, format, rows).await;
    };
    let size = paging.size;
    let (after, number, known_total) = match (paging.cursor.as_deref(), asked.filter.variant) {
        (Some(words), Some(variant)) => {
            let (after, number, total) = start_of(words, variant)?;
            (Some(after), number, Some(total))
        }
        _ => (None, paging.number, None),
    };
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
    let views = &asker.open.views;
    let found = views.movements(&asked.filter, asked.descending, slice).await?;
    let total = known_total.or(found.value.total).unwrap_or_default();
    let next = found.value.next.map(|next| {
        let words = [
            page::word_of(total),
            page::word_of(number.saturating_add(1)),
            next.occurred_at.micros(),
            next.position.0.cast_signed(),
            i64::from(next.line),
        ];
        page::cursor_text(&words, &asked.question)
    });
    let mut json = Json::with_capacity(96 + found.value.rows.len() * write::ROW_BYTES);
    json.raw(r#"{"content":["#);
    for (index, row) in found.value.rows.iter().enumerate() {
        json.raw(if index == 0 { "" } else { "," });
        write::json(&mut json, &asker.open.ledger, row);
    }
    page::finish(&mut json, Extent { number, size, total }, next);
    Ok(answer::read(found.position, json))
}

fn read_query(query: Option<&str>, format: Format) -> Result<Asked, Failure> {
    let mut query = Query::parse(query);
    let kind = query.read("type", "must be a type of stock event, such as INBOUND", |word| {
        spelling::kind(word.as_bytes())
    });
    let variant = query.uuid("variantId");
    let sku = query.text("sku");
    let lot = query.text("lot");
    if lot.is_some() && variant.is_none() && sku.is_none() {
        query.fault("lot", "is a lot of one variant: name it by variantId or sku");
    }
    let warehouse = query.uuid("warehouseId");
    let filter = MovementFilter {
        kinds: kind.map(|kind| vec![kind]),
        occurred_from: query.instant("occurredFrom"),
        occurred_to: query.instant("occurredTo"),
        ..MovementFilter::default()
    };
    let descending = query.read(
        "sort",
        "must be occurredAt,asc or occurredAt,desc",
        |text| match text {
            "occurredAt" | "occurredAt,asc" => Some(false),
            "occurredAt,desc" => Some(true),
            _ => None,
        },
    );
    let descending = descending.unwrap_or(true);
    let question = format!("movements {variant:?} {sku:?} {lot:?} {warehouse:?} {filter:?} {descending}");
    let paging = if format == Format::Page {
        if variant.is_none() && sku.is_none() {
            query.fault(
                "variantId",
                "is required, or sku; only an export may leave both out",
            );
        }
        Some(Paging::read(&mut query, &question))
    } else {
        export::refuse_paging(&mut query);
        None
    };
    query.finish()?;
    Ok(Asked {
        variant,
        sku,
        lot,
        warehouse,
        filter,
        descending,
        paging,
        question,
    })
}

/// The variant whose movements are asked for, and its lot where only that one's are: history has what lies in lots under the
/// variant.
pub(crate) fn lot_named(
    asker: &Asker,
    named: Option<VariantNo>,
    code: Option<&str>,
) -> Result<(Option<VariantNo>, Option<VariantNo>), Failure> {
    let names = asker.open.ledger.names();
    let Some((no, name)) = named.and_then(|no| Some((no, names.variant(no)?))) else {
        return Ok((named, None));
    };
    let is_called = |lot: &VariantNo| {
        names
            .variant(*lot)
            .is_some_and(|name| name.lot.as_deref() == code)
    };
    let lot = match (&name.lot, code) {
        (None, None) => None,
        (Some(_), None) => Some(no),
        (Some(lot), Some(code)) if **lot == *code => Some(no),
        (Some(_), Some(_)) => return Err(Failure::at_parameter("lot", "is another lot than variantId")),
        (None, Some(_)) => {
            let lot = names.lots_of(no).into_iter().find(is_called);
            Some(lot.ok_or(Failure::NotFound(Missing::Lot))?)
        }
    };
    Ok((Some(name.of), lot))
}

/// Where a cursor begins, the number of its page, and how many movements there are in all.
fn start_of(words: &[i64], variant: VariantNo) -> Result<(MovementCursor, u64, u64), Failure> {
    let &[total, number, occurred_at, position, line] = words else {
        return Err(page::wrong_cursor());
    };
    let after = MovementCursor {
        variant,
        occurred_at: Timestamp::from_micros(occurred_at),
        position: Position(u64::try_from(position).map_err(|_| page::wrong_cursor())?),
        line: u16::try_from(line).map_err(|_| page::wrong_cursor())?,
    };
    Ok((
        after,
        page::count_of(number).ok_or_else(page::wrong_cursor)?,
        page::count_of(total).ok_or_else(page::wrong_cursor)?,
    ))
}

/// All movements that pass a filter.
struct Export {
    asker: Asker,
    filter: MovementFilter,
    descending: bool,
    after: Option<MovementCursor>,
    /// Where the view stood at the first rows. Movements never change and never go, so that those up to here are what there
    /// was then, however many transactions read them.
    through: Option<Position>,
}

impl Rows for Export {
    const NAME: &'static str = "movements";
    const COLUMNS: &'static [&'static str] = write::COLUMNS;

    async fn write_next(&mut self, sheet: &mut Sheet) -> Result<bool, Failure> {
        let slice = Slice {
            after: self.after,
            skip: 0,
            limit: CHUNK_ROWS,
            with_total: false,
        };
        let views = &self.asker.open.views;
        let found = views.movements(&self.filter, self.descending, slice).await?;
        let through = *self.through.get_or_insert(found.position);
        for row in found.value.rows.iter().filter(|row| row.position <= through) {
            match sheet {
                Sheet::Ndjson(json) => {
                    write::json(json, &self.asker.open.ledger, row);
                    json.raw("\n");
                }
                Sheet::Csv(csv) => write::csv(csv, &self.asker.open.ledger, row),
            }
        }
        self.after = found.value.next;
        Ok(self.after.is_some())
    }

    fn position(&self) -> Position {
        self.through.unwrap_or_default()
    }
}
