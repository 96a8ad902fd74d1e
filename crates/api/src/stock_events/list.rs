//! `GET /api/v1/stock-events`: which events is for the view to say, what stands in them for the log.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Response};
use bincard_ledger::{Kind, Position, Reason, Recorded, Timestamp, VariantNo};
use bincard_projections::ViewName;
use bincard_projections::history::{EventCursor, EventFilter, EventOrder, EventSort, EventStart};
use uuid::Uuid;

use super::export::Export;
use super::fetch::{author_of, read_events, reversible};
use super::render::{self, Author, EVENT_BYTES};
use super::reverse::reversals;
use crate::answer;
use crate::app::App;
use crate::asker::{Asker, MinPosition};
use crate::docs::schema::{Event, EventPage, EventType, Paged, Problem, ReadAfter, ReasonCode};
use crate::export::{self, Format};
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
    /// None of an export.
    paging: Option<Paging>,
    question: String,
}

/// List stock events.
///
/// Filters may be combined. A SELLER names one of its warehouses. `nextCursor` leads to the next page at the same
/// cost however deep; `page` counts from 0.
///
/// With `Accept: text/csv` or `application/x-ndjson` the answer is an export: all events to the end, in CSV a row a line.
/// It has exactly what had been recorded by the `Ledger-Position` that it names, whatever comes in meanwhile.
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
        ("sort" = Option<String>, Query, description = "`occurredAt` or `createdAt`, then `,asc` or `,desc`; `occurredAt,desc` when left out"),
        Paged,
        ("Accept" = Option<String>, Header, description = "`text/csv` or `application/x-ndjson` for an export"),
        ReadAfter,
    ),
    responses(
        (status = 200, content((EventPage = "application/json"), (Event = "application/x-ndjson"), (String = "text/csv"))),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json"),
    )
)]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    asker: Asker,
    MinPosition(min): MinPosition,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Failure> {
    let format = Format::asked(&headers);
    let asked = read_query(query.as_deref(), format)?;
    let filter = filter_of(&asker, &asked)?;
    asker.open.wait_for_view(ViewName::History, min).await?;
    let Some(paging) = &asked.paging else {
        let rows = Export::new(app.clone(), asker, filter, asked.sort);
        return export::answer(app, format, rows).await;
    };
    let size = paging.size;
    let (start, number, known_total) = match paging.cursor.as_deref() {
        None => (
            EventStart::Skip(paging.number.saturating_mul(u64::from(size))),
            paging.number,
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

fn read_query(query: Option<&str>, format: Format) -> Result<Asked, Failure> {
    let mut query = Query::parse(query);
    let kind = query.read("type", "must be a type of stock event, such as INBOUND", |word| {
        spelling::kind(word.as_bytes())
    });
    let reason = query.read(
        "reasonCode",
        "must be PURCHASE, SALE, COUNT_CORRECTION, DAMAGE, DISCARD_EXPIRED, OTHER, THEFT or RETURN",
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
    let paging = if format == Format::Page {
        Some(Paging::read(&mut query, &question))
    } else {
        export::refuse_paging(&mut query);
        None
    };
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

/// The numbers that a filter which names a variant lets pass: the variant's own and those of its lots.
pub(crate) fn numbers_of(asker: &Asker, id: Uuid) -> Result<Vec<VariantNo>, Failure> {
    let variant = variant_of(asker, id)?;
    let mut numbers = asker.open.ledger.names().lots_of(variant);
    numbers.push(variant);
    Ok(numbers)
}

/// Where a cursor begins, the number of its page, and how many events there are in all.
fn start_of(words: &[i64]) -> Result<(EventStart, u64, Option<u64>), Failure> {
    let &[total, number, occurred_at, position] = words else {
        return Err(page::wrong_cursor());
    };
    let after = EventCursor {
        occurred_at: Timestamp::from_micros(occurred_at),
        position: Position(u64::try_from(position).map_err(|_| page::wrong_cursor())?),
    };
    Ok((
        EventStart::After(after),
        page::count_of(number).ok_or_else(page::wrong_cursor)?,
        Some(page::count_of(total).ok_or_else(page::wrong_cursor)?),
    ))
}

/// Events as they are in the log, with what is told of them besides.
pub(super) struct Gathered {
    events: HashMap<Position, Recorded>,
    reversed_by: HashMap<Position, Position>,
    names: HashMap<Uuid, Arc<str>>,
}

/// Reads the events at `positions`.
pub(super) async fn gather(app: &App, asker: &Asker, positions: &[Position]) -> Result<Gathered, Failure> {
    let ledger = &asker.open.ledger;
    let events = read_events(ledger, positions.to_vec()).await?;
    let reversed_by = reversals(ledger, reversible(events.values())).await?;
    let mut authors: Vec<Uuid> = events.values().map(|recorded| author_of(recorded).0).collect();
    authors.sort_unstable();
    authors.dedup();
    Ok(Gathered {
        names: app.accounts.usernames(&authors).await?,
        events,
        reversed_by,
    })
}

impl Gathered {
    /// The event at `position`, what undid it, and whose it is.
    pub(super) fn at(
        &self,
        position: Position,
    ) -> Result<(&Recorded, Option<Position>, Author<'_>), Failure> {
        let recorded = self.events.get(&position).ok_or_else(|| missing(position))?;
        let (id, sent_by) = author_of(recorded);
        let author = Author {
            id,
            name: self.names.get(&id).map(|name| &**name),
            sent_by,
        };
        Ok((recorded, self.reversed_by.get(&position).copied(), author))
    }
}

/// Begins a page with the events at `positions`, in their order.
async fn write_events(app: &App, asker: &Asker, positions: &[Position]) -> Result<Json, Failure> {
    let ledger = &asker.open.ledger;
    let gathered = gather(app, asker, positions).await?;
    let mut json = Json::with_capacity(64 + positions.len() * EVENT_BYTES);
    json.raw(r#"{"content":["#);
    for (index, position) in positions.iter().enumerate() {
        let (recorded, reversed_by, author) = gathered.at(*position)?;
        if index > 0 {
            json.raw(",");
        }
        render::write_recorded(&mut json, ledger, recorded, reversed_by, &author)
            .ok_or_else(|| missing(*position))?;
    }
    Ok(json)
}

pub(super) fn missing(position: Position) -> Failure {
    Failure::internal(format!(
        "the view lists position {position}, where the log has no stock event"
    ))
}
