//! `GET /api/v1/reservations` and `GET /api/v1/reservations/{id}`: how reservations stand is for the view to say, how they
//! were made for the log.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::Response;
use bincard_ledger::Position;
use bincard_projections::ViewName;
use bincard_projections::reservations::{ReservationFilter, ReservationRow, ReservationState};
use uuid::Uuid;

use super::render::{self, Made, RESERVATION_BYTES};
use super::{NONE, made, reservation_of};
use crate::answer;
use crate::app::App;
use crate::asker::{Asker, MinPosition};
use crate::docs::schema::{
    Paged, Problem, ReadAfter, Reservation, ReservationPage, ReservationState as StateSchema,
};
use crate::failure::Failure;
use crate::segment::Segment;
use crate::stock_events::{numbers_of, read_events};
use crate::wire::by_position::ByPosition;
use crate::wire::json::Json;
use crate::wire::query::Query;

/// Fetch a reservation.
///
/// A SELLER sees those at its own warehouses; all others answer 404.
#[utoipa::path(
    get,
    path = "/api/v1/reservations/{id}",
    tag = "Reservations",
    params(
        ("id" = Uuid, Path, description = "The reservation"),
        ReadAfter,
    ),
    responses(
        (status = 200, body = Reservation),
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
    let (position, recorded) = made(&asker, &id).await?;
    let event = reservation_of(&recorded).ok_or(NONE)?;
    // A reservation that has its id has been made: it is there as soon as the view has come to it.
    let min = Position(min.0.max(position.0));
    asker.open.wait_for_view(ViewName::Reservations, min).await?;
    let found = asker.open.views.reservation(position, app.timestamp()).await?;
    let row = found.value.ok_or(NONE)?;
    let mut json = Json::with_capacity(RESERVATION_BYTES);
    let made = Made::of(&app, &recorded, event).await?;
    render::write_row(&mut json, &asker.open.ledger, &made, &row);
    Ok(answer::read(found.position, json))
}

/// What a list is asked to be.
struct Asked {
    order: Option<String>,
    warehouse: Option<Uuid>,
    variant: Option<Uuid>,
    state: Option<ReservationState>,
    list: ByPosition,
}

/// List reservations.
///
/// Filters may be combined. A SELLER names one of its warehouses.
#[utoipa::path(
    get,
    path = "/api/v1/reservations",
    tag = "Reservations",
    params(
        ("orderId" = Option<String>, Query),
        ("warehouseId" = Option<Uuid>, Query, description = "Required for a SELLER"),
        ("variantId" = Option<Uuid>, Query, description = "Only reservations with this variant"),
        ("state" = Option<StateSchema>, Query),
        ("sort" = Option<String>, Query, description = "`createdAt,asc` or `createdAt,desc`; the latter when left out"),
        Paged,
        ReadAfter,
    ),
    responses(
        (status = 200, body = ReservationPage),
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
    let filter = ReservationFilter {
        order: asked.order.clone(),
        warehouses: warehouse.map(|no| vec![no]),
        variants,
        state: asked.state,
    };
    let views = &asker.open.views;
    asker.open.wait_for_view(ViewName::Reservations, min).await?;
    let ByPosition {
        descending, slice, ..
    } = asked.list;
    let found = views.reservations(&filter, descending, slice, app.timestamp());
    let found = found.await?;
    let json = write_rows(&app, &asker, &found.value.rows).await?;
    Ok(asked.list.answer(json, &found, |row| row.id))
}

fn read_query(query: Option<&str>) -> Result<Asked, Failure> {
    let mut query = Query::parse(query);
    let order = query.text("orderId");
    let warehouse = query.uuid("warehouseId");
    let variant = query.uuid("variantId");
    let state = query.read(
        "state",
        "must be OPEN, SHIPPED, RELEASED or EXPIRED",
        render::state_of,
    );
    let filters = format!("reservations {order:?} {warehouse:?} {variant:?} {state:?}");
    let list = ByPosition::read(query, &filters)?;
    Ok(Asked {
        order,
        warehouse,
        variant,
        state,
        list,
    })
}

/// Begins a page with `rows`.
async fn write_rows(app: &App, asker: &Asker, rows: &[ReservationRow]) -> Result<Json, Failure> {
    let ledger = &asker.open.ledger;
    let events = read_events(ledger, rows.iter().map(|row| row.id).collect()).await?;
    let mut json = Json::with_capacity(96 + rows.len() * RESERVATION_BYTES);
    json.raw(r#"{"content":["#);
    for (index, row) in rows.iter().enumerate() {
        let recorded = events.get(&row.id);
        let event = recorded.and_then(reservation_of);
        let (Some(recorded), Some(event)) = (recorded, event) else {
            let id = row.id;
            return Err(Failure::internal(format!(
                "the view lists position {id}, where the log has no reservation"
            )));
        };
        json.raw(if index == 0 { "" } else { "," });
        let made = Made::of(app, recorded, event).await?;
        render::write_row(&mut json, ledger, &made, row);
    }
    Ok(json)
}
