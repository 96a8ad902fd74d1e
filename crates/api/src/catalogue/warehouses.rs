//! Warehouses: `/api/v1/warehouses`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Response};
use bincard_engine::Receipt;
use bincard_ledger::{CatalogueCommand, NegativeStock, PublicIds, WarehouseNo};
use bincard_projections::ViewName;
use bincard_projections::catalogue::{CatalogueFilter, WarehouseRow};
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
    BulkResult, BulkWarehouse, Keyed, NewWarehouse, Paged, Problem, ReadAfter, Recorded, Warehouse,
    WarehouseChange, WarehousePage,
};
use crate::failure::{Failure, Missing};
use crate::ledgers::OpenLedger;
use crate::segment::Segment;
use crate::wire::json::Json;
use crate::wire::query::Query;
use crate::wire::spelling;
use crate::wire::tree::{self, Reading, Tree, parse_uuid};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(bulk))
        .routes(routes!(fetch, alter))
}

/// List warehouses.
#[utoipa::path(
    get,
    path = "/api/v1/warehouses",
    tag = "Catalogue",
    params(
        ("search" = Option<String>, Query, description = "Stands in the code or the name, in any case"),
        ("code" = Option<String>, Query, description = "Exactly this code"),
        ("active" = Option<bool>, Query, description = "Only those that are active, or are not"),
        Paged,
        ReadAfter,
    ),
    responses(
        (status = 200, body = WarehousePage),
    )
)]
async fn list(
    asker: Asker,
    MinPosition(min): MinPosition,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Failure> {
    let mut query = Query::parse(query.as_deref());
    let code = query.text("code");
    let numbers = asker.caller.is_bound_to_warehouses().then(|| own_numbers(&asker));
    let list = List::read(
        query,
        "warehouses",
        CatalogueFilter {
            code,
            numbers,
            ..CatalogueFilter::default()
        },
    )?;
    let ids = asker.open.ledger.ids();
    asker.open.wait_for_view(ViewName::Catalogue, min).await?;
    let found = asker.open.views.warehouses(&list.filter, list.slice).await?;
    Ok(list.answer(found, |row| row.no.0, |json, row| write(json, ids, row)))
}

/// Create a warehouse.
#[utoipa::path(
    post,
    path = "/api/v1/warehouses",
    tag = "Catalogue",
    params(Keyed),
    request_body = NewWarehouse,
    responses(
        (status = 201, body = Warehouse),
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
    write_new(&mut json, asker.open.ledger.ids(), &receipt, &asked.command);
    let id = asker.open.ledger.ids().warehouse(WarehouseNo(receipt.subject));
    Ok(created(&receipt, json, format!("/api/v1/warehouses/{id}")))
}

/// Create many warehouses, one a line.
///
/// Every line is a request as `POST /api/v1/warehouses` takes it, optionally with an `idempotencyKey` of its own. A
/// line that is refused costs only itself.
#[utoipa::path(
    post,
    path = "/api/v1/warehouses/bulk",
    tag = "Catalogue",
    request_body(content = BulkWarehouse, description = "One a line", content_type = "application/x-ndjson"),
    responses(
        (status = 200, description = "One result a line", body = BulkResult, content_type = "application/x-ndjson"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn bulk(
    State(app): State<Arc<App>>,
    asker: Asker,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    let reader = WarehouseLines {
        author: asker.caller.id,
    };
    answer_bulk(app, asker, &headers, body, reader)
}

/// Fetch a warehouse.
#[utoipa::path(
    get,
    path = "/api/v1/warehouses/{id}",
    tag = "Catalogue",
    params(("id" = Uuid, Path), ReadAfter),
    responses(
        (status = 200, body = Warehouse),
        (status = 403, description = "A SELLER and not its warehouse", body = Problem, content_type = "application/problem+json"),
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

/// Change a warehouse: what is left out stays.
#[utoipa::path(
    patch,
    path = "/api/v1/warehouses/{id}",
    tag = "Catalogue",
    params(("id" = Uuid, Path)),
    request_body = WarehouseChange,
    responses(
        (status = 200, body = Warehouse),
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
        let code = fields.change_to("code", faults, tree::text).map(Box::from);
        let name = fields.change_to("name", faults, tree::text).map(Box::from);
        let active = fields.change_to("active", faults, tree::flag);
        let negative_stock = fields.change_to("negativeStock", faults, read_policy);
        Some(CatalogueCommand::ChangeWarehouse {
            no,
            code,
            name,
            active,
            negative_stock,
        })
    })?;
    let receipt = change(&asker, command, None).await?;
    answer_change(&asker, &receipt, answer_with(&asker, no)).await
}

/// The number that an id in a path stands for.
fn resolve(asker: &Asker, id: &str) -> Result<WarehouseNo, Failure> {
    asker.warehouse_to_see(parse_uuid(id).ok_or(Failure::NotFound(Missing::Warehouse))?)
}

/// The numbers of a SELLER's warehouses.
fn own_numbers(asker: &Asker) -> Vec<u32> {
    let ids = asker.open.ledger.ids();
    asker
        .caller
        .warehouses
        .iter()
        .filter_map(|id| ids.resolve_warehouse(*id))
        .map(|no| no.0)
        .collect()
}

async fn answer_with(asker: &Asker, no: WarehouseNo) -> Result<Response<Body>, Failure> {
    let (filter, slice) = one(no.0);
    let found = asker.open.views.warehouses(&filter, slice).await?;
    let (position, row) = first(found, Failure::NotFound(Missing::Warehouse))?;
    let mut json = Json::with_capacity(super::ROW_BYTES);
    write(&mut json, asker.open.ledger.ids(), &row);
    Ok(answer::read(position, json))
}

fn read_policy(tree: &Tree<'_>) -> Reading<NegativeStock> {
    spelling::policy(tree::text(tree).unwrap_or_default()).ok_or("must be forbid or record")
}

fn read_new(bytes: &[u8], form: Form) -> Result<Asked, Failure> {
    let (command, key) = parse(bytes, |fields, faults| {
        let code = fields.required("code", faults, tree::text);
        let name = fields.required("name", faults, tree::text);
        let negative_stock = fields.optional("negativeStock", faults, read_policy);
        let key = read_key(fields, form, faults).map(str::to_owned);
        Some((
            CatalogueCommand::CreateWarehouse {
                code: code?.into(),
                name: name?.into(),
                negative_stock,
            },
            key,
        ))
    })?;
    Ok(Asked {
        command,
        key: parse_key(key.as_deref())?,
    })
}

/// What was created, from the command that created it.
fn write_new(json: &mut Json, ids: PublicIds, receipt: &Receipt, command: &CatalogueCommand) {
    let CatalogueCommand::CreateWarehouse {
        code,
        name,
        negative_stock,
    } = command
    else {
        return;
    };
    write_texts(
        json,
        ids.warehouse(WarehouseNo(receipt.subject)),
        code,
        name,
        true,
        negative_stock.unwrap_or_default(),
    );
    Stamps::fresh(receipt).write(json);
}

fn write(json: &mut Json, ids: PublicIds, row: &WarehouseRow) {
    write_texts(
        json,
        ids.warehouse(row.no),
        &row.code,
        &row.name,
        row.active,
        row.negative_stock,
    );
    Stamps {
        created_at: row.created_at,
        updated_at: row.changed_at,
    }
    .write(json);
}

fn write_texts(
    json: &mut Json,
    id: Uuid,
    code: &str,
    name: &str,
    active: bool,
    negative_stock: NegativeStock,
) {
    json.raw(r#"{"id":"#).uuid(id);
    json.raw(r#","code":"#).text(code);
    json.raw(r#","name":"#).text(name);
    json.raw(r#","active":"#).flag(active);
    json.raw(r#","negativeStock":"#)
        .text(spelling::of_policy(negative_stock));
}

struct WarehouseLines {
    author: Uuid,
}

impl LineReader for WarehouseLines {
    fn read(&mut self, line: &[u8], _: &[Uuid]) -> Result<LineRead, Failure> {
        Ok(request_of_line(self.author, read_new(line, Form::Line)?))
    }

    fn write_id(json: &mut Json, open: &OpenLedger, receipt: &Receipt) {
        json.uuid(open.ledger.ids().warehouse(WarehouseNo(receipt.subject)));
    }
}
