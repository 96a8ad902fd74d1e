//! `GET /api/v1/counts` and `GET /api/v1/counts/{id}`: what was found and how counts stand is for the view to say, how they
//! were opened and ended, and by whom, for the log.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::Response;
use bincard_ledger::{Position, Recorded};
use bincard_projections::ViewName;
use bincard_projections::counts::{CountFilter, CountRow, CountState};
use uuid::Uuid;

use super::render::{self, COUNT_BYTES, LINE_BYTES};
use super::{NONE, Opened, found};
use crate::answer;
use crate::app::App;
use crate::asker::{Asker, MinPosition};
use crate::docs::schema::{Count, CountPage, CountState as StateSchema, Paged, Problem, ReadAfter};
use crate::failure::Failure;
use crate::segment::Segment;
use crate::stock_events::{read_events, variant_of};
use crate::wire::by_position::ByPosition;
use crate::wire::json::Json;
use crate::wire::query::Query;

/// Fetch a count.
///
/// All that was submitted is there, lines that differ in nothing too. What a blind count expected, and its variances, are
/// told once it is approved, and to nobody before. A SELLER sees the counts at its own warehouses; all others answer 404.
#[utoipa::path(
    get,
    path = "/api/v1/counts/{id}",
    tag = "Counts",
    params(
        ("id" = Uuid, Path, description = "The count"),
        ReadAfter,
    ),
    responses(
        (status = 200, body = Count),
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
    let recorded = found(&asker, &id).await?;
    let opened = Opened::of(&recorded).ok_or(NONE)?;
    // A count that has its id has been opened: it is there as soon as the view has come to it.
    let min = Position(min.0.max(recorded.position.0));
    asker.open.wait_for_view(ViewName::Counts, min).await?;
    let found = asker.open.views.count(recorded.position).await?;
    let sheet = found.value.ok_or(NONE)?;
    let submitted = sheet.lines.iter().flat_map(|line| &line.submissions);
    let mut submitted: Vec<Position> = submitted.map(|one| one.event).collect();
    submitted.sort_unstable();
    submitted.dedup();
    let positions = submitted.iter().copied().chain(sheet.count.ended).collect();
    let events = read_events(&asker.open.ledger, positions).await?;
    let mut json = Json::with_capacity(COUNT_BYTES + sheet.lines.len() * LINE_BYTES);
    let ended = ended_by(&events, &sheet.count)?;
    render::write_head(&app, &mut json, &asker.open.ledger, &opened, &sheet.count, ended).await?;
    render::write_lines(&mut json, &asker.open.ledger, &opened, &sheet);
    json.raw(r#","submissions":["#);
    for (index, position) in submitted.iter().enumerate() {
        json.raw(if index == 0 { "" } else { "," });
        let event = at(&events, *position)?;
        render::write_submission(&app, &mut json, &asker.open.ledger, event).await?;
    }
    json.raw("]}");
    Ok(answer::read(found.position, json))
}

/// What a list is asked to be.
struct Asked {
    warehouse: Option<Uuid>,
    variant: Option<Uuid>,
    state: Option<CountState>,
    list: ByPosition,
}

/// List counts.
///
/// Filters may be combined. A SELLER names one of its warehouses. What was found is told of each count by itself.
#[utoipa::path(
    get,
    path = "/api/v1/counts",
    tag = "Counts",
    params(
        ("warehouseId" = Option<Uuid>, Query, description = "Required for a SELLER"),
        ("variantId" = Option<Uuid>, Query, description = "Only counts that this variant is to be counted by: those that name it, and those of everything"),
        ("state" = Option<StateSchema>, Query),
        ("sort" = Option<String>, Query, description = "`createdAt,asc` or `createdAt,desc`; the latter when left out"),
        Paged,
        ReadAfter,
    ),
    responses(
        (status = 200, body = CountPage),
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
    let variant = asked.variant.map(|id| variant_of(&asker, id)).transpose()?;
    let filter = CountFilter {
        warehouses: warehouse.map(|no| vec![no]),
        variant,
        state: asked.state,
    };
    asker.open.wait_for_view(ViewName::Counts, min).await?;
    let ByPosition {
        descending, slice, ..
    } = asked.list;
    let found = asker.open.views.counts(&filter, descending, slice).await?;
    let json = write_rows(&app, &asker, &found.value.rows).await?;
    Ok(asked.list.answer(json, &found, |row| row.id))
}

fn read_query(query: Option<&str>) -> Result<Asked, Failure> {
    let mut query = Query::parse(query);
    let warehouse = query.uuid("warehouseId");
    let variant = query.uuid("variantId");
    let state = query.read("state", "must be OPEN, APPROVED or CANCELLED", render::state_of);
    let filters = format!("counts {warehouse:?} {variant:?} {state:?}");
    let list = ByPosition::read(query, &filters)?;
    Ok(Asked {
        warehouse,
        variant,
        state,
        list,
    })
}

/// Begins a page with `rows`.
async fn write_rows(app: &App, asker: &Asker, rows: &[CountRow]) -> Result<Json, Failure> {
    let ledger = &asker.open.ledger;
    let ended = rows.iter().filter_map(|row| row.ended);
    let positions = rows.iter().map(|row| row.id).chain(ended).collect();
    let events = read_events(ledger, positions).await?;
    let mut json = Json::with_capacity(96 + rows.len() * COUNT_BYTES);
    json.raw(r#"{"content":["#);
    for (index, row) in rows.iter().enumerate() {
        let Some(opened) = Opened::of(at(&events, row.id)?) else {
            let id = row.id;
            return Err(Failure::internal(format!(
                "the view lists position {id}, where the log opens no count"
            )));
        };
        json.raw(if index == 0 { "" } else { "," });
        let ended = ended_by(&events, row)?;
        render::write_head(app, &mut json, ledger, &opened, row, ended).await?;
        let variants = opened.variants.map(<[_]>::len);
        json.raw(r#","variants":"#).whole_or_null(variants);
        json.raw(r#","counted":"#).whole(row.counted).raw("}");
    }
    Ok(json)
}

/// The event that ended a count, if any did.
fn ended_by<'a>(
    events: &'a HashMap<Position, Recorded>,
    row: &CountRow,
) -> Result<Option<&'a Recorded>, Failure> {
    row.ended.map(|position| at(events, position)).transpose()
}

fn at(events: &HashMap<Position, Recorded>, position: Position) -> Result<&Recorded, Failure> {
    let missing = || {
        Failure::internal(format!(
            "the view names position {position}, where the log has nothing"
        ))
    };
    events.get(&position).ok_or_else(missing)
}
