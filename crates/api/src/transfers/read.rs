//! `GET /api/v1/transfers` and `GET /api/v1/transfers/{id}`: how transfers stand is for the view to say, how they were
//! dispatched for the log.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::Response;
use bincard_ledger::{Position, WarehouseNo};
use bincard_projections::ViewName;
use bincard_projections::transfers::{TransferFilter, TransferRow, TransferState};
use uuid::Uuid;

use super::render::{self, TRANSFER_BYTES};
use super::{NONE, Opened, found};
use crate::answer;
use crate::app::App;
use crate::asker::{Asker, MinPosition};
use crate::docs::schema::{Paged, Problem, ReadAfter, Transfer, TransferPage, TransferState as StateSchema};
use crate::failure::{Failure, Forbidden, Missing};
use crate::segment::Segment;
use crate::stock_events::{numbers_of, read_events};
use crate::wire::by_position::ByPosition;
use crate::wire::json::Json;
use crate::wire::query::Query;

/// Fetch a transfer.
///
/// A SELLER sees those from and to its own warehouses; all others answer 404.
#[utoipa::path(
    get,
    path = "/api/v1/transfers/{id}",
    tag = "Transfers",
    params(
        ("id" = Uuid, Path, description = "The transfer"),
        ReadAfter,
    ),
    responses(
        (status = 200, body = Transfer),
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
    // A transfer that has its id has been dispatched, which is two events: it is there as soon as the view has come to both.
    let min = Position(min.0.max(opened.id().next().0));
    asker.open.wait_for_view(ViewName::Transfers, min).await?;
    let found = asker.open.views.transfer(opened.id()).await?;
    let row = found.value.ok_or(NONE)?;
    let mut json = Json::with_capacity(TRANSFER_BYTES);
    render::write_row(&app, &mut json, &asker.open.ledger, &opened, &row).await?;
    Ok(answer::read(found.position, json))
}

/// What a list is asked to be.
struct Asked {
    state: Option<TransferState>,
    source: Option<Uuid>,
    destination: Option<Uuid>,
    variant: Option<Uuid>,
    name: Option<String>,
    list: ByPosition,
}

/// List transfers.
///
/// Filters may be combined. What is on the way is `state=OPEN`, and `sort=createdAt,asc` has the oldest first; since when,
/// `dispatchedAt` says. A SELLER names one of its warehouses, as the one or as the other.
#[utoipa::path(
    get,
    path = "/api/v1/transfers",
    tag = "Transfers",
    params(
        ("state" = Option<StateSchema>, Query),
        ("fromWarehouseId" = Option<Uuid>, Query),
        ("toWarehouseId" = Option<Uuid>, Query),
        ("variantId" = Option<Uuid>, Query, description = "Only transfers with this variant"),
        ("transferId" = Option<String>, Query, description = "Only those that were given exactly this name; while one is open, no other has it"),
        ("sort" = Option<String>, Query, description = "`createdAt,asc` or `createdAt,desc`; the latter when left out"),
        Paged,
        ReadAfter,
    ),
    responses(
        (status = 200, body = TransferPage),
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
    let filter = filter_of(&asker, &asked)?;
    asker.open.wait_for_view(ViewName::Transfers, min).await?;
    let ByPosition {
        descending, slice, ..
    } = asked.list;
    let found = asker.open.views.transfers(&filter, descending, slice).await?;
    let json = write_rows(&app, &asker, &found.value.rows).await?;
    Ok(asked.list.answer(json, &found, |row| row.id))
}

fn read_query(query: Option<&str>) -> Result<Asked, Failure> {
    let mut query = Query::parse(query);
    let state = query.read("state", "must be OPEN, RECEIVED or CLOSED", render::state_of);
    let source = query.uuid("fromWarehouseId");
    let destination = query.uuid("toWarehouseId");
    let variant = query.uuid("variantId");
    let name = query.text("transferId");
    let filters = format!("transfers {state:?} {source:?} {destination:?} {variant:?} {name:?}");
    let list = ByPosition::read(query, &filters)?;
    Ok(Asked {
        state,
        source,
        destination,
        variant,
        name,
        list,
    })
}

/// The filter, where the caller may list by it: a SELLER names at least one warehouse of its own.
fn filter_of(asker: &Asker, asked: &Asked) -> Result<TransferFilter, Failure> {
    let named: Vec<Uuid> = asked.source.into_iter().chain(asked.destination).collect();
    let sees_one = named.iter().any(|id| asker.caller.may_see_warehouse(*id));
    if asker.caller.is_bound_to_warehouses() && named.is_empty() {
        return Err(Failure::Forbidden(Forbidden::WarehouseRequired));
    }
    let source = asked.source.map(|id| warehouse_of(asker, id)).transpose()?;
    let destination = asked.destination.map(|id| warehouse_of(asker, id)).transpose()?;
    if !named.is_empty() && !sees_one {
        return Err(Failure::Forbidden(Forbidden::Warehouse));
    }
    let variants = asked.variant.map(|id| numbers_of(asker, id)).transpose()?;
    Ok(TransferFilter {
        state: asked.state,
        source,
        destination,
        variants,
        name: asked.name.clone(),
    })
}

fn warehouse_of(asker: &Asker, id: Uuid) -> Result<WarehouseNo, Failure> {
    let ledger = &asker.open.ledger;
    let no = ledger
        .ids()
        .resolve_warehouse(id)
        .filter(|no| ledger.names().warehouse(*no).is_some());
    no.ok_or(Failure::NotFound(Missing::Warehouse))
}

/// Begins a page with `rows`.
async fn write_rows(app: &App, asker: &Asker, rows: &[TransferRow]) -> Result<Json, Failure> {
    let ledger = &asker.open.ledger;
    let events = read_events(ledger, rows.iter().map(|row| row.id).collect()).await?;
    let mut json = Json::with_capacity(96 + rows.len() * TRANSFER_BYTES);
    json.raw(r#"{"content":["#);
    for (index, row) in rows.iter().enumerate() {
        let Some(opened) = events.get(&row.id).and_then(Opened::of) else {
            let id = row.id;
            return Err(Failure::internal(format!(
                "the view lists position {id}, where the log opens no transfer"
            )));
        };
        json.raw(if index == 0 { "" } else { "," });
        render::write_row(app, &mut json, ledger, &opened, row).await?;
    }
    Ok(json)
}
