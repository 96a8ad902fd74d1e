//! Reconciliations: the views held against the log, in the background: `/api/v1/reconciliations`.

pub(crate) mod correct;
mod render;
mod source;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Response, StatusCode};
use bincard_ledger::{Position, Timestamp};
use bincard_projections::history::AsOf;
use bincard_projections::reconcile::{Asked, Filter, Measures};
use bincard_projections::{Page, Slice};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::answer;
use crate::app::App;
use crate::asker::Asker;
use crate::body;
use crate::docs::schema::{
    NewReconciliation, Paged, Problem, Reconciliation, ReconciliationDifferencePage, ReconciliationPage,
};
use crate::failure::{Failure, Missing};
use crate::segment::Segment;
use crate::stock_events::variant_of;
use crate::wire::json::Json;
use crate::wire::page::{self, Extent, Paging};
use crate::wire::query::Query;
use crate::wire::tree;

const NONE: Failure = Failure::NotFound(Missing::Reconciliation);

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(fetch))
        .routes(routes!(cancel))
        .routes(routes!(differences))
        .routes(routes!(source::variances))
        .routes(routes!(source::apply))
}

/// Reconcile the views with the log.
///
/// For an ADMIN or MANAGER. The log is replayed in the background up to the position that it has now, and every row of
/// every view is compared with it while writes go on. With `asOf` or `knownAt`, what is answered of the stock of that
/// past is compared. With a `source`, what was counted or reported outside is compared with the ledger instead, and what
/// differs explained as far as it can be; with `apply`, what is unexplained of a count is then recorded as corrections, each
/// line once. One runs at a time; others wait.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliations",
    tag = "Reconciliations",
    request_body = NewReconciliation,
    responses(
        (status = 202, description = "It runs, or waits for another to end", body = Reconciliation, headers(
            ("Location" = String, description = "Where it is found"),
        )),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many wait", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn create(
    State(app): State<Arc<App>>,
    asker: Asker,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_reconcile())?;
    let bytes = body::read(body).await?;
    // No body at all asks for everything.
    let bytes: &[u8] = if bytes.iter().all(u8::is_ascii_whitespace) {
        b"{}"
    } else {
        body::require_json(&headers)?;
        &bytes
    };
    let draft = read_new(bytes, app.timestamp())?;
    let asked = Asked {
        past: draft.past,
        filter: Filter {
            warehouse: draft.warehouse.map(|id| asker.warehouse_to_see(id)).transpose()?,
            variant: draft.variant.map(|id| variant_of(&asker, id)).transpose()?,
        },
        source: draft.source.map(|source| source.resolve(&asker)),
        applies: draft.applies,
        author: asker.caller.id.to_string(),
    };
    let id = asker.open.reconciliations.start(&asked).await?;
    let mut response = one(&asker, id, StatusCode::ACCEPTED).await?;
    answer::locate(&mut response, format!("/api/v1/reconciliations/{id}"));
    Ok(response)
}

/// What is asked for.
struct Draft {
    past: AsOf,
    warehouse: Option<Uuid>,
    variant: Option<Uuid>,
    source: Option<source::DraftSource>,
    applies: bool,
}

fn read_new(bytes: &[u8], now: Timestamp) -> Result<Draft, Failure> {
    let draft = tree::object(bytes, |fields, faults| {
        let past = AsOf {
            as_of: fields.optional("asOf", faults, tree::instant),
            known_at: fields.optional("knownAt", faults, tree::instant),
        };
        let warehouse = fields.optional("warehouseId", faults, tree::uuid);
        let variant = fields.optional("variantId", faults, tree::uuid);
        let source = fields.optional("source", faults, Ok);
        let applies = fields.optional("apply", faults, tree::flag).unwrap_or_default();
        let source = source.and_then(|tree| source::read_source(tree, now, applies, faults));
        let counts = |source: &source::DraftSource| source.measures == Measures::OnHand;
        if applies && !source.as_ref().is_some_and(counts) {
            faults.add(fields.at("apply"), "goes with a source that measures onHand");
        }
        if source.is_some() {
            for (field, is_set) in [
                ("asOf", past.as_of.is_some()),
                ("knownAt", past.known_at.is_some()),
                ("warehouseId", warehouse.is_some()),
                ("variantId", variant.is_some()),
            ] {
                if is_set {
                    faults.add(fields.at(field), "does not go with a source");
                }
            }
        }
        Some(Draft {
            past,
            warehouse,
            variant,
            source,
            applies,
        })
    })?;
    Ok(draft)
}

/// Fetch a reconciliation.
///
/// For an ADMIN or MANAGER. `progress` says how far it is.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliations/{id}",
    tag = "Reconciliations",
    params(("id" = u64, Path, description = "Its number")),
    responses(
        (status = 200, body = Reconciliation),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn fetch(asker: Asker, Segment(id): Segment) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_reconcile())?;
    one(&asker, number(&id)?, StatusCode::OK).await
}

/// Cancel a reconciliation.
///
/// For an ADMIN or MANAGER. It ends within moments; one that is over stays as it is.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliations/{id}/cancel",
    tag = "Reconciliations",
    params(("id" = u64, Path, description = "Its number")),
    responses(
        (status = 202, description = "As it stands; its state says when it has ended", body = Reconciliation),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn cancel(asker: Asker, Segment(id): Segment) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_reconcile())?;
    let id = number(&id)?;
    let reconciliations = &asker.open.reconciliations;
    let (run, _) = reconciliations.run(id).await?.ok_or(NONE)?;
    if !run.state.is_over() {
        reconciliations.cancel(id).await?;
    }
    one(&asker, id, StatusCode::ACCEPTED).await
}

/// List reconciliations.
///
/// For an ADMIN or MANAGER. The latest come first.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliations",
    tag = "Reconciliations",
    params(
        Paged,
    ),
    responses(
        (status = 200, body = ReconciliationPage),
        (status = 403, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list(asker: Asker, RawQuery(query): RawQuery) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_reconcile())?;
    let (paging, question) = read_paging(query.as_deref(), "reconciliations".to_owned())?;
    let (slice, number) = slice_of(&paging)?;
    let page = asker.open.reconciliations.runs(slice).await?;
    let last = page.rows.last().map(|(run, _)| run.id);
    Ok(page_of(
        &page,
        (&paging, number),
        last,
        &question,
        |json, (run, progress)| {
            render::write_run(json, &asker, run, *progress);
        },
    ))
}

/// List what a reconciliation found.
///
/// For an ADMIN or MANAGER. In the order of views, tables and keys; there is nothing until it is over.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliations/{id}/differences",
    tag = "Reconciliations",
    params(
        ("id" = u64, Path, description = "Its number"),
        Paged,
    ),
    responses(
        (status = 200, body = ReconciliationDifferencePage),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn differences(
    asker: Asker,
    Segment(id): Segment,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_reconcile())?;
    let id = number(&id)?;
    let (paging, question) = read_paging(query.as_deref(), format!("differences {id}"))?;
    let (slice, number) = slice_of(&paging)?;
    let reconciliations = &asker.open.reconciliations;
    reconciliations.run(id).await?.ok_or(NONE)?;
    let page = reconciliations.differences(id, slice).await?;
    let last = page.rows.last().map(|one| one.no);
    Ok(page_of(&page, (&paging, number), last, &question, |json, one| {
        render::write_difference(json, &asker, one);
    }))
}

/// A run's number. What is none is no run's.
fn number(text: &str) -> Result<u64, Failure> {
    let number = text.parse::<u64>().ok();
    number
        .filter(|id| i64::try_from(*id).is_ok() && *id > 0)
        .ok_or(NONE)
}

async fn one(asker: &Asker, id: u64, status: StatusCode) -> Result<Response<Body>, Failure> {
    let (run, progress) = asker.open.reconciliations.run(id).await?.ok_or(NONE)?;
    let mut json = Json::with_capacity(render::RUN_BYTES);
    render::write_run(&mut json, asker, &run, progress);
    let mut response = answer::json(status, json);
    if let Some(Position(position)) = run.position {
        response
            .headers_mut()
            .insert(answer::LEDGER_POSITION, position.into());
    }
    Ok(response)
}

fn read_paging(query: Option<&str>, question: String) -> Result<(Paging, String), Failure> {
    let mut query = Query::parse(query);
    let paging = Paging::read(&mut query, &question);
    query.finish()?;
    Ok((paging, question))
}

/// The part of a list that a page is, and the page's number.
fn slice_of(paging: &Paging) -> Result<(Slice<u64>, u64), Failure> {
    let (after, number) = match paging.cursor.as_deref() {
        None => (None, paging.number),
        Some(&[number, after]) => {
            let after = u64::try_from(after).map_err(|_| page::wrong_cursor())?;
            (
                Some(after),
                page::count_of(number).ok_or_else(page::wrong_cursor)?,
            )
        }
        Some(_) => return Err(page::wrong_cursor()),
    };
    let skip = if after.is_some() {
        0
    } else {
        number.saturating_mul(u64::from(paging.size))
    };
    let slice = Slice {
        after,
        skip,
        limit: paging.size as usize,
        with_total: true,
    };
    Ok((slice, number))
}

fn page_of<T>(
    page: &Page<T>,
    (paging, number): (&Paging, u64),
    last: Option<u64>,
    question: &str,
    write: impl Fn(&mut Json, &T),
) -> Response<Body> {
    let mut json = Json::with_capacity(96 + page.rows.len() * render::RUN_BYTES);
    json.raw(r#"{"content":["#);
    for (index, row) in page.rows.iter().enumerate() {
        json.raw(if index == 0 { "" } else { "," });
        write(&mut json, row);
    }
    let next = last.filter(|_| page.more).map(|last| {
        let words = [page::word_of(number.saturating_add(1)), last.cast_signed()];
        page::cursor_text(&words, question)
    });
    let extent = Extent {
        number,
        size: paging.size,
        total: page.total.unwrap_or_default(),
    };
    page::finish(&mut json, extent, next);
    answer::json(StatusCode::OK, json)
}
