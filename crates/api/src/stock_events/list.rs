//! `GET /api/v1/stock-events`: which events is for the view to say, what stands in them for the log.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::Response;
use bincard_ledger::{Kind, Position, Reason, Timestamp, VariantNo};
use bincard_projections::ViewName;
use bincard_projections::history::{EventCursor, EventFilter, EventOrder, EventSort, EventStart};
use uuid::Uuid;

use super::fetch::{author_of, read_events, reversible};
use super::render::{self, Author, EVENT_BYTES};
use super::reverse::reversals;
use crate::answer;
use crate::app::App;
use crate::asker::{Asker, MinPosition};
use crate::docs::schema::{EventPage, EventType, Problem, ReasonCode};
use crate::failure::{Failure, Missing};
use crate::wire::json::Json;
use crate::wire::page::{self, Extent, Paging};
use crate::wire::query::Query;
use crate::wire::spelling;

/// What a list is asked to be.
struct Asked {
    kind: Option<Kind>,
    warehouse: Option<Uuid>,
    variant: Option<Uuid>,
    occurred_from: Option<Timestamp>,
    occurred_to: Option<Timestamp>,
    reason: Option<Reason>,
    sort: EventSort,
    paging: Paging,
    question: String,
}

/// List stock events.
///
/// Filters may be combined. A SELLER names one of its warehouses. `nextCursor` leads to the next page at the same
/// cost however deep; `page` counts from 0.
#[utoipa::path(
    get,
    path = "/api/v1/stock-events",
    tag = "Stock events",
    params(
        ("type" = Option<EventType>, Query),
        ("warehouseId" = Option<Uuid>, Query, description = "Required for a SELLER"),
        ("variantId" = Option<Uuid>, Query, description = "Only events with this variant"),
        ("occurredFrom" = Option<String>, Query, description = "Occurred at this instant or later"),
        ("occurredTo" = Option<String>, Query, description = "Occurred at this instant or earlier"),
        ("reasonCode" = Option<ReasonCode>, Query),
        ("page" = Option<u64>, Query, description = "From 0"),
        ("size" = Option<u32>, Query, description = "1 to 500; 20 when left out"),
        ("sort" = Option<String>, Query, description = "`occurredAt` or `createdAt`, then `,asc` or `,desc`; `occurredAt,desc` when left out"),
        ("cursor" = Option<String>, Query, description = "The `nextCursor` of another page of the same list"),
        ("Ledger-Min-Position" = Option<u64>, Header, description = "Wait until the list has come so far"),
    ),
    responses(
        (status = 200, body = EventPage),
        (status = 400, body = Problem, content_type = "application/problem+json"),
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
    asker.open.wait_for_view(ViewName::History, min).await?;
    let size = asked.paging.size;
    let (start, number, known_total) = match asked.paging.cursor.as_deref() {
        None => (
            EventStart::Skip(asked.paging.number.saturating_mul(u64::from(size))),
            asked.paging.number,
            None,
        ),
        Some(words) => start_of(words)?,
    };
    let with_total = known_total.is_none();
    let answer = asker
        .open
        .views
        .events(&filter, asked.sort, start, size as usize, with_total)
        .await?;
    let total = known_total.or(answer.value.total).unwrap_or_default();
    let next = answer.value.next.map(|next| {
        let words = [
            page::word_of(total),
            page::word_of(number.saturating_add(1)),
            next.occurred_at.micros(),
            next.position.0.cast_signed(),
        ];
        page::cursor_text(&words, &asked.question)
    });
    let positions: Vec<Position> = answer.value.rows.iter().map(|row| row.position).collect();
    let mut json = write_events(&app, &asker, &positions).await?;
    page::finish(&mut json, Extent { number, size, total }, next);
    Ok(answer::read(answer.position, json))
}

fn read_query(query: Option<&str>) -> Result<Asked, Failure> {
    let mut query = Query::parse(query);
    let kind = query.read("type", "must be a type of stock event, such as INBOUND", |word| {
        spelling::kind(word.as_bytes())
    });
    let reason = query.read(
        "reasonCode",
        "must be PURCHASE, SALE, COUNT_CORRECTION, DAMAGE, DISCARD_EXPIRED or OTHER",
        |word| spelling::reason(word.as_bytes()),
    );
    let warehouse = query.uuid("warehouseId");
    let variant = query.uuid("variantId");
    let occurred_from = query.instant("occurredFrom");
    let occurred_to = query.instant("occurredTo");
    let sort = query
        .read(
            "sort",
            "must be occurredAt or createdAt, then ,asc or ,desc",
            read_sort,
        )
        .unwrap_or_default();
    let question = format!(
        "events {kind:?} {reason:?} {warehouse:?} {variant:?} {occurred_from:?} {occurred_to:?} {sort:?}"
    );
    let paging = Paging::read(&mut query, &question);
    query.finish()?;
    Ok(Asked {
        kind,
        warehouse,
        variant,
        occurred_from,
        occurred_to,
        reason,
        sort,
        paging,
        question,
    })
}

fn read_sort(text: &str) -> Option<EventSort> {
    let (field, direction) = text.split_once(',').unwrap_or((text, "asc"));
    let order = match field {
        "occurredAt" => EventOrder::OccurredAt,
        "createdAt" => EventOrder::RecordedAt,
        _ => return None,
    };
    let descending = match direction {
        _ if direction.eq_ignore_ascii_case("asc") => false,
        _ if direction.eq_ignore_ascii_case("desc") => true,
        _ => return None,
    };
    Some(EventSort { order, descending })
}

fn filter_of(asker: &Asker, asked: &Asked) -> Result<EventFilter, Failure> {
    let warehouse = asker.warehouse_to_list(asked.warehouse)?;
    let variant = asked.variant.map(|id| variant_of(asker, id)).transpose()?;
    Ok(EventFilter {
        kinds: asked.kind.map(|kind| vec![kind]),
        warehouses: warehouse.map(|no| vec![no]),
        variant,
        reason: asked.reason,
        occurred_from: asked.occurred_from,
        occurred_to: asked.occurred_to,
    })
}

/// The variant that a filter names.
pub(crate) fn variant_of(asker: &Asker, id: Uuid) -> Result<VariantNo, Failure> {
    let ledger = &asker.open.ledger;
    let no = ledger
        .ids()
        .resolve_variant(id)
        .filter(|no| ledger.names().variant(*no).is_some());
    no.ok_or(Failure::NotFound(Missing::Variant { line: None }))
}

/// Where a cursor begins, the number of its page, and how many events there are in all.
fn start_of(words: &[i64]) -> Result<(EventStart, u64, Option<u64>), Failure> {
    let wrong = || Failure::at_parameter("cursor", "is not a cursor of this list");
    let &[total, number, occurred_at, position] = words else {
        return Err(wrong());
    };
    let after = EventCursor {
        occurred_at: Timestamp::from_micros(occurred_at),
        position: Position(u64::try_from(position).map_err(|_| wrong())?),
    };
    Ok((
        EventStart::After(after),
        page::count_of(number).ok_or_else(wrong)?,
        Some(page::count_of(total).ok_or_else(wrong)?),
    ))
}

/// Begins a page with the events at `positions`, in their order.
async fn write_events(app: &App, asker: &Asker, positions: &[Position]) -> Result<Json, Failure> {
    let ledger = &asker.open.ledger;
    let events = read_events(ledger, positions.to_vec()).await?;
    let reversed_by = reversals(ledger, reversible(events.values())).await?;
    let mut authors: Vec<Uuid> = events.values().map(|recorded| author_of(recorded).0).collect();
    authors.sort_unstable();
    authors.dedup();
    let names = app.accounts.usernames(&authors).await?;
    let mut json = Json::with_capacity(64 + positions.len() * EVENT_BYTES);
    json.raw(r#"{"content":["#);
    for (index, position) in positions.iter().enumerate() {
        let recorded = events.get(position).ok_or_else(|| missing(*position))?;
        let (id, sent_by) = author_of(recorded);
        let author = Author {
            id,
            name: names.get(&id).map(|name| &**name),
            sent_by,
        };
        if index > 0 {
            json.raw(",");
        }
        let reversed_by = reversed_by.get(position).copied();
        render::write_recorded(&mut json, ledger, recorded, reversed_by, &author)
            .ok_or_else(|| missing(*position))?;
    }
    Ok(json)
}

fn missing(position: Position) -> Failure {
    Failure::internal(format!(
        "the view lists position {position}, where the log has no stock event"
    ))
}
