//! Products: `/api/v1/products`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Response};
use bincard_engine::Receipt;
use bincard_ledger::{CatalogueCommand, ProductNo};
use bincard_projections::ViewName;
use bincard_projections::catalogue::{CatalogueFilter, ProductRow};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{
    Asked, Form, List, Stamps, answer_bulk, answer_change, change, create, created, first, one, parse,
    parse_key, read_body, read_key, request_of_line,
};
use crate::answer;
use crate::app::App;
use crate::asker::{Asker, MinPosition};
use crate::bulk::{LineRead, LineReader};
use crate::docs::schema::{
    BulkProduct, Keyed, NewProduct, Paged, Problem, Product, ProductBulkResult, ProductChange, ProductPage,
    ReadAfter, Recorded,
};
use crate::failure::{Failure, Missing};
use crate::ledgers::OpenLedger;
use crate::segment::Segment;
use crate::wire::json::Json;
use crate::wire::query::Query;
use crate::wire::tree::{self};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(bulk))
        .routes(routes!(fetch, alter))
}

/// List products.
#[utoipa::path(
    get,
    path = "/api/v1/products",
    tag = "Catalogue",
    params(
        ("search" = Option<String>, Query, description = "Stands in the name, in any case"),
        ("active" = Option<bool>, Query, description = "Only those that are active, or are not"),
        Paged,
        ReadAfter,
    ),
    responses(
        (status = 200, body = ProductPage),
    )
)]
async fn list(
    asker: Asker,
    MinPosition(min): MinPosition,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Failure> {
    let list = List::read(
        Query::parse(query.as_deref()),
        "products",
        CatalogueFilter::default(),
    )?;
    asker.open.wait_for_view(ViewName::Catalogue, min).await?;
    let found = asker.open.views.products(&list.filter, list.slice).await?;
    Ok(list.answer(found, |row| row.no.0, write))
}

/// Create a product.
#[utoipa::path(
    post,
    path = "/api/v1/products",
    tag = "Catalogue",
    params(Keyed),
    request_body = NewProduct,
    responses(
        (status = 201, body = Product),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn add(asker: Asker, headers: HeaderMap, body: Body) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_write_catalogue())?;
    let bytes = read_body(&headers, body).await?;
    let asked = read_new(&bytes, Form::Body)?;
    let receipt = create(&asker, &headers, asked.command.clone()).await?;
    let mut json = Json::with_capacity(super::ROW_BYTES);
    write_new(&mut json, &receipt, &asked.command);
    Ok(created(
        &receipt,
        json,
        format!("/api/v1/products/{}", receipt.subject),
    ))
}

/// Create many products, one a line.
///
/// Every line is a request as `POST /api/v1/products` takes it, optionally with an `idempotencyKey` of its own. A
/// line that is refused costs only itself.
#[utoipa::path(
    post,
    path = "/api/v1/products/bulk",
    tag = "Catalogue",
    request_body(content = BulkProduct, description = "One a line", content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "One result a line", body = ProductBulkResult, content_type = "application/x-ndjson"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn bulk(
    State(app): State<Arc<App>>,
    asker: Asker,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    let reader = ProductLines {
        author: asker.caller.id,
    };
    answer_bulk(app, asker, &headers, body, reader)
}

/// Fetch a product.
#[utoipa::path(
    get,
    path = "/api/v1/products/{id}",
    tag = "Catalogue",
    params(("id" = u32, Path), ReadAfter),
    responses(
        (status = 200, body = Product),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn fetch(
    asker: Asker,
    MinPosition(min): MinPosition,
    Segment(id): Segment,
) -> Result<Response<Body>, Failure> {
    let no = resolve(&asker, &id)?;
    asker.open.wait_for_view(ViewName::Catalogue, min).await?;
    answer_with(&asker, no).await
}

/// Change a product: what is left out stays.
#[utoipa::path(
    patch,
    path = "/api/v1/products/{id}",
    tag = "Catalogue",
    params(("id" = u32, Path)),
    request_body = ProductChange,
    responses(
        (status = 200, body = Product),
        (status = 202, description = "Recorded; the catalogue cannot show it yet", body = Recorded),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn alter(
    asker: Asker,
    Segment(id): Segment,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_write_catalogue())?;
    let no = resolve(&asker, &id)?;
    let bytes = read_body(&headers, body).await?;
    let command = parse(&bytes, |fields, faults| {
        let name = fields.change_to("name", faults, tree::text).map(Box::from);
        let active = fields.change_to("active", faults, tree::flag);
        Some(CatalogueCommand::ChangeProduct { no, name, active })
    })?;
    let receipt = change(&asker, command, None).await?;
    answer_change(&asker, &receipt, answer_with(&asker, no)).await
}

/// The number that an id in a path stands for.
fn resolve(_: &Asker, id: &str) -> Result<ProductNo, Failure> {
    id.parse()
        .map(ProductNo)
        .map_err(|_| Failure::NotFound(Missing::Product))
}

async fn answer_with(asker: &Asker, no: ProductNo) -> Result<Response<Body>, Failure> {
    let (filter, slice) = one(no.0);
    let found = asker.open.views.products(&filter, slice).await?;
    let (position, row) = first(found, Failure::NotFound(Missing::Product))?;
    let mut json = Json::with_capacity(super::ROW_BYTES);
    write(&mut json, &row);
    Ok(answer::read(position, json))
}

fn read_new(bytes: &[u8], form: Form) -> Result<Asked, Failure> {
    let (command, key) = parse(bytes, |fields, faults| {
        let name = fields.required("name", faults, tree::text);
        let key = read_key(fields, form, faults).map(str::to_owned);
        Some((CatalogueCommand::CreateProduct { name: name?.into() }, key))
    })?;
    Ok(Asked {
        command,
        key: parse_key(key.as_deref())?,
    })
}

/// What was created, from the command that created it.
fn write_new(json: &mut Json, receipt: &Receipt, command: &CatalogueCommand) {
    let CatalogueCommand::CreateProduct { name } = command else {
        return;
    };
    write_texts(json, ProductNo(receipt.subject), name, true);
    Stamps::fresh(receipt).write(json);
}

fn write(json: &mut Json, row: &ProductRow) {
    write_texts(json, row.no, &row.name, row.active);
    Stamps {
        created_at: row.created_at,
        updated_at: row.changed_at,
    }
    .write(json);
}

fn write_texts(json: &mut Json, no: ProductNo, name: &str, active: bool) {
    json.raw(r#"{"id":"#).whole(no.0);
    json.raw(r#","name":"#).text(name);
    json.raw(r#","active":"#).flag(active);
}

struct ProductLines {
    author: Uuid,
}

impl LineReader for ProductLines {
    fn read(&mut self, line: &[u8], _: &[Uuid]) -> Result<LineRead, Failure> {
        Ok(request_of_line(self.author, read_new(line, Form::Line)?))
    }

    fn write_id(json: &mut Json, _: &OpenLedger, receipt: &Receipt) {
        json.whole(receipt.subject);
    }
}
