//! `GET /api/v1/exceptions` and `GET /api/v1/exceptions/{id}`: whether exceptions are open is for the view to say, what
//! they are for the log.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::Response;
use bincard_ledger::{ExceptionType, Position};
use bincard_projections::ViewName;
use bincard_projections::exceptions::{ExceptionFilter, ExceptionRow};
use uuid::Uuid;

use super::render::{self, EXCEPTION_BYTES};
use super::{NONE, made};
use crate::answer;
use crate::app::App;
use crate::asker::{Asker, MinPosition};
use crate::docs::schema::{
    Exception, ExceptionPage, ExceptionState, ExceptionType as TypeSchema, Paged, Problem, ReadAfter,
};
use crate::failure::Failure;
use crate::segment::Segment;
use crate::stock_events::{numbers_of, read_events};
use crate::wire::by_position::ByPosition;
use crate::wire::json::Json;
use crate::wire::query::Query;
use crate::wire::spelling;

/// Fetch an exception.
///
/// A SELLER sees those at its own warehouses; all others answer 404.
#[utoipa::path(
    get,
    path = "/api/v1/exceptions/{id}",
    tag = "Exceptions",
    params(
        ("id" = Uuid, Path, description = "The exception"),
        ReadAfter,
    ),
    responses(
        (status = 200, body = Exception),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn fetch(
    State(app): State<Arc<App>>,
    asker: Asker,
    MinPosition(min): MinPosition,
    Segment(id): Segment,
) -> Result<Response<Body>, Failure> {
    let (position, _) = made(&asker, &id).await?;
    // An exception that has its id has been made: it is there as soon as the view has come to it.
    let min = Position(min.0.max(position.0));
    wait_for(&asker, min).await?;
    let found = asker.open.views.exception(position).await?;
    let row = found.value.ok_or(NONE)?;
    let mut json = Json::with_capacity(EXCEPTION_BYTES);
    write_rows(&app, &asker, &mut json, &[row]).await?;
    Ok(answer::read(found.position, json))
}

/// What a list is asked to be.
struct Asked {
    warehouse: Option<Uuid>,
    variant: Option<Uuid>,
    is_open: Option<bool>,
    kind: Option<ExceptionType>,
    list: ByPosition,
}

/// List exceptions.
///
/// Filters may be combined. A SELLER names one of its warehouses. How many units are available is told as stock has it
/// at the moment.
#[utoipa::path(
    get,
    path = "/api/v1/exceptions",
    tag = "Exceptions",
    params(
        ("warehouseId" = Option<Uuid>, Query, description = "Required for a SELLER"),
        ("variantId" = Option<Uuid>, Query, description = "Only exceptions with this variant"),
        ("state" = Option<ExceptionState>, Query),
        ("type" = Option<TypeSchema>, Query),
        ("sort" = Option<String>, Query, description = "`createdAt,asc` or `createdAt,desc`; the latter when left out"),
        Paged,
        ReadAfter,
    ),
    responses(
        (status = 200, body = ExceptionPage),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    asker: Asker,
    MinPosition(min): MinPosition,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Failure> {
    let asked = read_query(query.as_deref())?;
    let warehouse = asker.warehouse_to_list(asked.warehouse)?;
    let variants = asked.variant.map(|id| numbers_of(&asker, id)).transpose()?;
    let filter = ExceptionFilter {
        warehouses: warehouse.map(|no| vec![no]),
        variants,
        is_open: asked.is_open,
        kind: asked.kind,
    };
    wait_for(&asker, min).await?;
    let ByPosition {
        descending, slice, ..
    } = asked.list;
    let found = asker.open.views.exceptions(&filter, descending, slice);
    let found = found.await?;
    let mut json = Json::with_capacity(96 + found.value.rows.len() * EXCEPTION_BYTES);
    json.raw(r#"{"content":["#);
    write_rows(&app, &asker, &mut json, &found.value.rows).await?;
    Ok(asked.list.answer(json, &found, |row| row.id))
}

/// Waits for the view, and for the stock that is told beside it.
async fn wait_for(asker: &Asker, min: Position) -> Result<(), Failure> {
    asker.open.wait_for_view(ViewName::Exceptions, min).await?;
    asker.open.wait_for_view(ViewName::Stock, min).await
}

fn read_query(query: Option<&str>) -> Result<Asked, Failure> {
    let mut query = Query::parse(query);
    let warehouse = query.uuid("warehouseId");
    let variant = query.uuid("variantId");
    let is_open = query.read("state", "must be OPEN or CLEARED", |text| match text {
        "OPEN" => Some(true),
        "CLEARED" => Some(false),
        _ => None,
    });
    let kind = query.read(
        "type",
        "must be negative-stock or count-shortage",
        spelling::exception,
    );
    let filters = format!("exceptions {warehouse:?} {variant:?} {is_open:?} {kind:?}");
    let list = ByPosition::read(query, &filters)?;
    Ok(Asked {
        warehouse,
        variant,
        is_open,
        kind,
        list,
    })
}

/// Writes `rows`, with a comma between them.
async fn write_rows(app: &App, asker: &Asker, json: &mut Json, rows: &[ExceptionRow]) -> Result<(), Failure> {
    let cleared = rows.iter().filter_map(|row| row.cleared);
    let positions = rows.iter().map(|row| row.id).chain(cleared).collect();
    let events = read_events(&asker.open.ledger, positions).await?;
    let event = |position: Position| {
        let missing = || {
            Failure::internal(format!(
                "the view names position {position}, where the log has nothing"
            ))
        };
        events.get(&position).ok_or_else(missing)
    };
    for (index, row) in rows.iter().enumerate() {
        json.raw(if index == 0 { "" } else { "," });
        let cleared = row.cleared.map(event).transpose()?;
        render::write(app, asker, json, row, event(row.id)?, cleared).await?;
    }
    Ok(())
}
