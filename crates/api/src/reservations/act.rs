//! The steps of a reservation: `POST /api/v1/reservations/{id}/pick`, `pack`, `ship`, `release` and `extend`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use bincard_ledger::{Command, ExtendCommand, Kind, StockCommand};

use super::draft::{read_extension, read_step};
use super::{NONE, made, reservation_of};
use crate::app::App;
use crate::asker::Asker;
use crate::body;
use crate::docs::schema::{AtVersion, Event, Keyed, NewExtension, NewRelease, NewStep, Problem};
use crate::failure::Failure;
use crate::if_match;
use crate::rejected::Shape;
use crate::segment::Segment;
use crate::stock_events::answer_event;

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident $path:literal $body:ident $kind:expr;)*) => {$(
        $(#[$doc])*
        #[utoipa::path(
            post,
            path = $path,
            tag = "Reservations",
            params(
                ("id" = Uuid, Path, description = "The reservation"),
                Keyed,
                AtVersion,
            ),
            request_body(content = Option<$body>, content_type = "application/json"),
            responses(
                (status = 201, description = "The event that records it", body = Event),
                (status = 403, body = Problem, content_type = "application/problem+json"),
                (status = 404, body = Problem, content_type = "application/problem+json"),
                (status = 409, description = "It does not hold what is asked for, or the key belongs to another request", body = Problem, content_type = "application/problem+json"),
                (status = 412, description = "The warehouse has come to another version, or another quantity is available, than was expected", body = Problem, content_type = "application/problem+json"),
                (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json"),
            )
        )]
        pub(super) async fn $name(
            State(app): State<Arc<App>>,
            asker: Asker,
            Segment(id): Segment,
            headers: HeaderMap,
            body: Body,
        ) -> Result<Response<Body>, Failure> {
            step(&app, &asker, &id, &headers, body, $kind).await
        }
    )*};
}

steps! {
    /// Pick what is reserved.
    ///
    /// Without lines, everything that the reservation still has reserved. What has run out cannot be picked.
    pick "/api/v1/reservations/{id}/pick" NewStep Kind::Pick;

    /// Pack what is picked.
    ///
    /// Without lines, everything that is picked.
    pack "/api/v1/reservations/{id}/pack" NewStep Kind::Pack;

    /// Ship what is packed.
    ///
    /// Without lines, everything that is packed. It leaves the warehouse.
    ship "/api/v1/reservations/{id}/ship" NewStep Kind::Ship;

    /// Release what is held.
    ///
    /// Without lines and `from`, everything that the reservation holds, whether reserved, picked or packed: the order is
    /// cancelled. With `from`, everything there; with lines, so much of what is reserved or of what is in `from`.
    release "/api/v1/reservations/{id}/release" NewRelease Kind::Release;
}

async fn step(
    app: &App,
    asker: &Asker,
    id: &str,
    headers: &HeaderMap,
    body: Body,
    kind: Kind,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_write_stock())?;
    body::require_json(headers)?;
    let (position, recorded) = made(asker, id).await?;
    let event = reservation_of(&recorded).ok_or(NONE)?;
    let asked = read_step(&body::read(body).await?, kind == Kind::Release)?;
    let user = asked.more.user;
    let mut command = StockCommand::new(kind, event.warehouse, []);
    command.order.clone_from(&event.order);
    command.reservation = Some(position);
    command.release_from = asked.from;
    let version = if_match::version_of(headers)?;
    asked.more.fill(&mut command, asker.open.ledger.ids(), version)?;
    let command = Command::Stock(command);
    let receipt = asker
        .submit_for(app, headers, user, command, Shape::Order)
        .await?;
    answer_event(app, &asker.open.ledger, &receipt).await
}

/// Let a reservation run out at another instant, or never.
#[utoipa::path(
    post,
    path = "/api/v1/reservations/{id}/extend",
    tag = "Reservations",
    params(
        ("id" = Uuid, Path, description = "The reservation"),
        Keyed,
                AtVersion,
    ),
    request_body = NewExtension,
    responses(
        (status = 201, description = "The event that records it", body = Event),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It has nothing reserved any more, or has run out", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The warehouse has come to another version, or another quantity is available, than was expected", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn extend(
    State(app): State<Arc<App>>,
    asker: Asker,
    Segment(id): Segment,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_write_stock())?;
    body::require_json(&headers)?;
    let (position, recorded) = made(&asker, &id).await?;
    let event = reservation_of(&recorded).ok_or(NONE)?;
    let asked = read_extension(&body::read(body).await?)?;
    let command = Command::Extend(ExtendCommand {
        version: if_match::version_of(&headers)?,
        warehouse: event.warehouse,
        order: event.order.clone().unwrap_or_default(),
        reservation: position,
        expires_at: asked.expires_at,
        notes: asked.notes,
    });
    let receipt = asker
        .submit_for(&app, &headers, asked.user, command, Shape::Order)
        .await?;
    answer_event(&app, &asker.open.ledger, &receipt).await
}
