//! Variants: `/api/v1/variants`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Response};
use bincard_engine::Receipt;
use bincard_ledger::{CatalogueCommand, ProductNo, PublicIds, Timestamp, VariantNo};
use bincard_projections::ViewName;
use bincard_projections::catalogue::{CatalogueFilter, VariantRow};
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
    BulkResult, BulkVariant, Keyed, NewVariant, Paged, Problem, ReadAfter, Recorded, Variant, VariantChange,
    VariantPage,
};
use crate::failure::{Failure, Missing};
use crate::ledgers::OpenLedger;
use crate::segment::Segment;
use crate::wire::json::Json;
use crate::wire::query::Query;
use crate::wire::tree::{self, Reading, Tree, parse_uuid};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(bulk))
        .routes(routes!(fetch, alter))
}

/// List variants.
#[utoipa::path(
    get,
    path = "/api/v1/variants",
    tag = "Catalogue",
    params(
        ("search" = Option<String>, Query, description = "Stands in the SKU or the name, in any case"),
        ("sku" = Option<String>, Query, description = "Exactly this SKU"),
        ("productId" = Option<u32>, Query, description = "Only variants of this product"),
        ("active" = Option<bool>, Query, description = "Only those that are active, or are not"),
        Paged,
        ReadAfter,
    ),
    responses(
        (status = 200, body = VariantPage),
    )
)]
async fn list(
    asker: Asker,
    MinPosition(min): MinPosition,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Failure> {
    let mut query = Query::parse(query.as_deref());
    let code = query.text("sku");
    let product = query
        .read("productId", "must be a product's id, a whole number", |text| {
            text.parse().ok()
        })
        .map(ProductNo);
    let list = List::read(
        query,
        "variants",
        CatalogueFilter {
            code,
            product,
            ..CatalogueFilter::default()
        },
    )?;
    let ids = asker.open.ledger.ids();
    asker.open.wait_for_view(ViewName::Catalogue, min).await?;
    let found = asker.open.views.variants(&list.filter, list.slice).await?;
    Ok(list.answer(found, |row| row.no.0, |json, row| write(json, ids, row)))
}

/// Create a variant.
#[utoipa::path(
    post,
    path = "/api/v1/variants",
    tag = "Catalogue",
    params(Keyed),
    request_body = NewVariant,
    responses(
        (status = 201, body = Variant),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "There is no such product", body = Problem, content_type = "application/problem+json"),
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
    let id = asker.open.ledger.ids().variant(VariantNo(receipt.subject));
    Ok(created(&receipt, json, format!("/api/v1/variants/{id}")))
}

/// Create many variants, one a line.
///
/// Every line is a request as `POST /api/v1/variants` takes it, optionally with an `idempotencyKey` of its own. A
/// line that is refused costs only itself.
#[utoipa::path(
    post,
    path = "/api/v1/variants/bulk",
    tag = "Catalogue",
    request_body(content = BulkVariant, description = "One a line", content_type = "application/x-ndjson"),
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
    let reader = VariantLines {
        author: asker.caller.id,
    };
    answer_bulk(app, asker, &headers, body, reader)
}

/// Fetch a variant.
#[utoipa::path(
    get,
    path = "/api/v1/variants/{id}",
    tag = "Catalogue",
    params(("id" = Uuid, Path), ReadAfter),
    responses(
        (status = 200, body = Variant),
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

/// Change a variant: what is left out stays. `null` takes the product or expiry away.
#[utoipa::path(
    patch,
    path = "/api/v1/variants/{id}",
    tag = "Catalogue",
    params(("id" = Uuid, Path)),
    request_body = VariantChange,
    responses(
        (status = 200, body = Variant),
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
        let sku = fields.change_to("sku", faults, tree::text).map(Box::from);
        let name = fields.change_to("name", faults, tree::text).map(Box::from);
        let product = fields.change("productId", faults, read_product);
        let expires_at = fields.change("expiresAt", faults, tree::instant);
        let active = fields.change_to("active", faults, tree::flag);
        let tracks_lots = fields.change_to("tracksLots", faults, tree::flag);
        Some(CatalogueCommand::ChangeVariant {
            tracks_lots,
            no,
            sku,
            name,
            product,
            expires_at,
            active,
        })
    })?;
    let receipt = change(&asker, command, None).await?;
    answer_change(&asker, &receipt, answer_with(&asker, no)).await
}

/// The number that an id in a path stands for.
fn resolve(asker: &Asker, id: &str) -> Result<VariantNo, Failure> {
    crate::stock_events::variant_of(asker, parse_uuid(id).ok_or(MISSING)?)
}

const MISSING: Failure = Failure::NotFound(Missing::Variant { line: None });

fn read_product(tree: &Tree<'_>) -> Reading<ProductNo> {
    let number = tree::whole(tree)
        .ok()
        .and_then(|number| u32::try_from(number).ok());
    number
        .map(ProductNo)
        .ok_or("must be a product's id, a whole number")
}

async fn answer_with(asker: &Asker, no: VariantNo) -> Result<Response<Body>, Failure> {
    let (filter, slice) = one(no.0);
    let found = asker.open.views.variants(&filter, slice).await?;
    let (position, row) = first(found, MISSING)?;
    let mut json = Json::with_capacity(super::ROW_BYTES);
    write(&mut json, asker.open.ledger.ids(), &row);
    Ok(answer::read(position, json))
}

fn read_new(bytes: &[u8], form: Form) -> Result<Asked, Failure> {
    let (command, key) = parse(bytes, |fields, faults| {
        let sku = fields.required("sku", faults, tree::text);
        let name = fields.required("name", faults, tree::text);
        let product = fields.optional("productId", faults, read_product);
        let expires_at = fields.optional("expiresAt", faults, tree::instant);
        let tracks_lots = fields.optional("tracksLots", faults, tree::flag);
        let key = read_key(fields, form, faults).map(str::to_owned);
        Some((
            CatalogueCommand::CreateVariant {
                tracks_lots: tracks_lots.unwrap_or_default(),
                sku: sku?.into(),
                name: name?.into(),
                product,
                expires_at,
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
    let CatalogueCommand::CreateVariant {
        sku,
        name,
        product,
        expires_at,
        tracks_lots,
    } = command
    else {
        return;
    };
    let id = ids.variant(VariantNo(receipt.subject));
    let flags = Flags {
        tracks_lots: *tracks_lots,
        active: true,
    };
    write_texts(json, id, (sku, name), *product, *expires_at, flags);
    Stamps::fresh(receipt).write(json);
}

fn write(json: &mut Json, ids: PublicIds, row: &VariantRow) {
    let texts = (row.sku.as_str(), row.name.as_str());
    write_texts(
        json,
        ids.variant(row.no),
        texts,
        row.product,
        row.expires_at,
        Flags {
            tracks_lots: row.tracks_lots,
            active: row.active,
        },
    );
    Stamps {
        created_at: row.created_at,
        updated_at: row.changed_at,
    }
    .write(json);
}

/// What is so of a variant or not.
struct Flags {
    tracks_lots: bool,
    active: bool,
}

fn write_texts(
    json: &mut Json,
    id: Uuid,
    (sku, name): (&str, &str),
    product: Option<ProductNo>,
    expires_at: Option<Timestamp>,
    flags: Flags,
) {
    json.raw(r#"{"id":"#).uuid(id);
    json.raw(r#","sku":"#).text(sku);
    json.raw(r#","name":"#).text(name);
    json.raw(r#","productId":"#);
    match product {
        Some(product) => json.whole(product.0),
        None => json.raw("null"),
    };
    json.raw(r#","expiresAt":"#).instant_or_null(expires_at);
    json.raw(r#","tracksLots":"#).flag(flags.tracks_lots);
    json.raw(r#","active":"#).flag(flags.active);
}

struct VariantLines {
    author: Uuid,
}

impl LineReader for VariantLines {
    fn read(&mut self, line: &[u8], _: &[Uuid]) -> Result<LineRead, Failure> {
        Ok(request_of_line(self.author, read_new(line, Form::Line)?))
    }

    fn write_id(json: &mut Json, open: &OpenLedger, receipt: &Receipt) {
        json.uuid(open.ledger.ids().variant(VariantNo(receipt.subject)));
    }
}
