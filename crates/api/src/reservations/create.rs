//! `POST /api/v1/reservations`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use bincard_ledger::{Command, Kind, StockCommand};

use super::draft::read_new;
use super::{recorded_at, render, reservation_of};
use crate::answer;
use crate::app::App;
use crate::asker::{Asker, on_behalf_of};
use crate::body;
use crate::docs::schema::{AtVersion, Keyed, NewReservation, Problem, Reservation};
use crate::failure::{Failure, Missing};
use crate::if_match;
use crate::rejected::Shape;
use crate::stock_events::{check_warehouse, key_of};
use crate::wire::json::Json;

/// Reserve stock for an order.
///
/// All lines are reserved or none; with `partial`, what there is of each, and the answer says what is short. What is
/// reserved is not available to others from this instant on. With `expiresAt` it is available again from that instant
/// on, whether or not anybody looks. An order may make several reservations.
#[utoipa::path(
    post,
    path = "/api/v1/reservations",
    tag = "Reservations",
    params(
        Keyed,
        AtVersion,
    ),
    request_body = NewReservation,
    responses(
        (status = 201, description = "Reserved", body = Reservation, headers(
            ("Location" = String, description = "Where it is found"),
            ("Ledger-Position" = u64, description = "Its place in the log"),
            ("ETag" = String, description = "The version to which it brought the warehouse"),
            ("Idempotency-Replayed" = Option<bool>, description = "It had been recorded before under this key"),
        )),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Not enough stock, or the key belongs to another request", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The warehouse has come to another version, or another quantity is available, than was expected", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    asker: Asker,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_write_stock())?;
    body::require_json(&headers)?;
    let key = key_of(&headers)?;
    let version = if_match::version_of(&headers)?;
    let asked = read_new(&body::read(body).await?)?;
    let ledger = &asker.open.ledger;
    check_warehouse(&asker.caller, ledger, asked.warehouse)?;
    let on_behalf_of = on_behalf_of(&app, &asker.caller, asked.more.user).await?;
    let ids = ledger.ids();
    let warehouse = ids
        .resolve_warehouse(asked.warehouse)
        .ok_or(Failure::NotFound(Missing::WarehouseIn { field: "warehouseId" }))?;
    let mut command = StockCommand::new(Kind::Reservation, warehouse, []);
    command.order = Some(asked.order);
    command.expires_at = asked.expires_at;
    command.is_partial = asked.is_partial;
    asked.more.fill(&mut command, ids, version)?;
    let command = Command::Stock(command);
    let receipt = asker.submit(command, on_behalf_of, key, Shape::Order).await?;
    // As it was when it was recorded: the answer to the same request is the same for ever.
    let recorded = recorded_at(ledger, receipt.position).await?;
    let recorded = recorded.ok_or_else(|| Failure::internal("the log has no event where it was recorded"))?;
    let event = reservation_of(&recorded)
        .ok_or_else(|| Failure::internal("the key of a reservation leads to something else"))?;
    let mut json = Json::with_capacity(render::RESERVATION_BYTES);
    let made = render::Made::of(&app, &recorded, event).await?;
    render::write_as_made(&mut json, ledger, &made);
    let mut response = answer::written(StatusCode::CREATED, receipt.position, receipt.replayed, json);
    if_match::tag(response.headers_mut(), receipt.version);
    let id = ids.event(receipt.position);
    answer::locate(&mut response, format!("/api/v1/reservations/{id}"));
    Ok(response)
}
