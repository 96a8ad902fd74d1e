//! Counts: `/api/v1/counts`. What is on the shelves is counted while goods come and go, and what was found is posted when
//! it is approved.
//!
//! A count's id is that of the event that opened it. What a step answers is the event that records it. A SELLER counts at
//! its own warehouses and sees the counts there; to open a count and to end it is for a MANAGER or an ADMIN.

mod draft;
mod read;
mod render;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response};
use bincard_ledger::{
    Command, CountCommand, CountStep, Counting, Event as LedgerEvent, Kind, Position, Recorded, StockEvent,
    VariantNo, WarehouseNo,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::app::App;
use crate::asker::Asker;
use crate::body;
use crate::docs::schema::{AtVersion, Event, Keyed, NewCount, NewCounted, NewNotes, Problem};
use crate::failure::{Failure, Missing};
use crate::if_match;
use crate::rejected::Shape;
use crate::segment::Segment;
use crate::stock_events::{answer_event, check_warehouse};
use crate::wire::tree::parse_uuid;
use draft::{read_counted, read_new};

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(open, read::list))
        .routes(routes!(read::fetch))
        .routes(routes!(submit))
        .routes(routes!(approve))
        .routes(routes!(cancel))
}

const NONE: Failure = Failure::NotFound(Missing::Count);

/// Open a count of a warehouse, or of some variants there.
///
/// Nothing is frozen: goods come and go while they are counted. A variant is under one open count at a warehouse at most.
#[utoipa::path(
    post,
    path = "/api/v1/counts",
    tag = "Counts",
    params(
        Keyed,
        AtVersion,
    ),
    request_body = NewCount,
    responses(
        (status = 201, description = "The event that records it; its id is the count's", body = Event),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "Another count is of the same stock, or the key belongs to another request", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The warehouse has come to another version than was expected", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn open(
    State(app): State<Arc<App>>,
    asker: Asker,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_oversee_stock())?;
    body::require_json(&headers)?;
    let asked = read_new(&body::read(body).await?)?;
    let ids = asker.open.ledger.ids();
    let warehouse = ids
        .resolve_warehouse(asked.warehouse)
        .ok_or(Failure::NotFound(Missing::WarehouseIn { field: "warehouseId" }))?;
    let variants = asked.variants.map(|all| {
        let resolve = |(index, id): (usize, Uuid)| {
            let missing = Failure::NotFound(Missing::VariantListed { index });
            ids.resolve_variant(id).ok_or(missing)
        };
        all.into_iter().enumerate().map(resolve).collect()
    });
    let step = CountStep::Open {
        is_blind: asked.is_blind,
        variants: variants.transpose()?,
    };
    send(&app, &asker, &headers, warehouse, step, asked.notes, asked.user).await
}

/// Say what was counted.
///
/// A variant may be counted again: the last submission counts, and all of them stay in the log. `countedAt` is when it was
/// counted, now when left out, and not before the count was opened.
#[utoipa::path(
    post,
    path = "/api/v1/counts/{id}/lines",
    tag = "Counts",
    params(
        ("id" = Uuid, Path, description = "The count"),
        Keyed,
        AtVersion,
    ),
    request_body = NewCounted,
    responses(
        (status = 201, description = "The event that records it", body = Event),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The count is over or not of this, or the key belongs to another request", body = Problem, content_type = "application/problem+json"),
        (status = 412, description = "The warehouse has come to another version than was expected", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn submit(
    State(app): State<Arc<App>>,
    asker: Asker,
    Segment(id): Segment,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_write_stock())?;
    body::require_json(&headers)?;
    let (count, warehouse) = opened(&asker, &id).await?;
    let ids = asker.open.ledger.ids();
    check_warehouse(&asker.caller, &asker.open.ledger, ids.warehouse(warehouse))?;
    let asked = read_counted(&body::read(body).await?, ids)?;
    let step = CountStep::Submit {
        count,
        lines: asked.lines,
    };
    send(&app, &asker, &headers, warehouse, step, asked.notes, asked.user).await
}

macro_rules! ends {
    ($($(#[$doc:meta])* $name:ident $path:literal $step:ident $conflict:literal;)*) => {$(
        $(#[$doc])*
        #[utoipa::path(
            post,
            path = $path,
            tag = "Counts",
            params(
                ("id" = Uuid, Path, description = "The count"),
                Keyed,
                AtVersion,
            ),
            request_body(content = Option<NewNotes>, content_type = "application/json"),
            responses(
                (status = 201, description = "The event that records it", body = Event),
                (status = 403, body = Problem, content_type = "application/problem+json"),
                (status = 404, body = Problem, content_type = "application/problem+json"),
                (status = 409, description = $conflict, body = Problem, content_type = "application/problem+json"),
                (status = 412, description = "The warehouse has come to another version than was expected", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json"),
            )
        )]
        async fn $name(
            State(app): State<Arc<App>>,
            asker: Asker,
            Segment(id): Segment,
            headers: HeaderMap,
            body: Body,
        ) -> Result<Response<Body>, Failure> {
            asker.must(asker.caller.may_oversee_stock())?;
            body::require_json(&headers)?;
            let (count, warehouse) = opened(&asker, &id).await?;
            let (notes, user) = body::notes(&body::read(body).await?)?;
            send(&app, &asker, &headers, warehouse, CountStep::$step { count }, notes, user).await
        }
    )*};
}

ends! {
    /// Approve a count: what was counted is right.
    ///
    /// All variances are posted at once. What is missing beyond what is available is taken from the reservations made last,
    /// and each of them is an exception to be seen to. What was not counted stays as it was.
    approve "/api/v1/counts/{id}/approve" Approve "It is over, nothing was counted, more has left since than was counted, or the key belongs to another request";

    /// Cancel a count: nothing comes of it.
    cancel "/api/v1/counts/{id}/cancel" Cancel "It is over, or the key belongs to another request";
}

/// How a count was opened, by the event that did it.
struct Opened<'a> {
    recorded: &'a Recorded,
    event: &'a StockEvent,
    is_blind: bool,
    /// What is to be counted; `None` for everything.
    variants: Option<&'a [VariantNo]>,
}

impl<'a> Opened<'a> {
    /// `None` where the event opens no count.
    fn of(recorded: &'a Recorded) -> Option<Opened<'a>> {
        let LedgerEvent::Stock(event) = &recorded.record.event else {
            return None;
        };
        match event.count.as_deref() {
            Some(Counting::Opened { is_blind, variants }) if event.kind == Kind::CountOpened => {
                Some(Opened {
                    recorded,
                    event,
                    is_blind: *is_blind,
                    variants: variants.as_deref(),
                })
            }
            _ => None,
        }
    }
}

/// The event that opened the count with an id in a path, if the caller may see it: a SELLER those at its own warehouses.
async fn found(asker: &Asker, id: &str) -> Result<Recorded, Failure> {
    let ledger = &asker.open.ledger;
    let position = parse_uuid(id)
        .and_then(|id| ledger.ids().resolve_event(id))
        .ok_or(NONE)?;
    let recorded = ledger.event(position).await?;
    let recorded = recorded.ok_or(NONE)?;
    let warehouse = Opened::of(&recorded).ok_or(NONE)?.event.warehouse;
    let may_see = asker.caller.may_see_warehouse(ledger.ids().warehouse(warehouse));
    if may_see { Ok(recorded) } else { Err(NONE) }
}

/// The count with an id in a path, and where it is.
async fn opened(asker: &Asker, id: &str) -> Result<(Position, WarehouseNo), Failure> {
    let recorded = found(asker, id).await?;
    let opened = Opened::of(&recorded).ok_or(NONE)?;
    Ok((recorded.position, opened.event.warehouse))
}

async fn send(
    app: &App,
    asker: &Asker,
    headers: &HeaderMap,
    warehouse: WarehouseNo,
    step: CountStep,
    notes: Option<Box<str>>,
    user: Option<Uuid>,
) -> Result<Response<Body>, Failure> {
    let shape = match &step {
        CountStep::Open { .. } => Shape::CountOpening,
        CountStep::Submit { .. } => Shape::CountLines,
        CountStep::Approve { .. } | CountStep::Cancel { .. } => Shape::Notes,
    };
    let command = CountCommand {
        version: if_match::version_of(headers)?,
        warehouse,
        step,
        notes,
    };
    let command = Command::Count(Box::new(command));
    let receipt = asker.submit_for(app, headers, user, command, shape).await?;
    answer_event(app, &asker.open.ledger, &receipt).await
}
