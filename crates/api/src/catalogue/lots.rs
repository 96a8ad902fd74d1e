//! Lots of variants: `/api/v1/lots`. They are not created here: a lot comes to be when its first goods come in.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, Response};
use bincard_ledger::{CatalogueCommand, Position, VariantNo};
use bincard_projections::ViewName;
use bincard_projections::catalogue::{CatalogueFilter, LotRow};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{List, Stamps, answer_change, change, first, one, parse, read_body};
use crate::answer;
use crate::app::App;
use crate::asker::{Asker, MinPosition};
use crate::docs::schema::{Lot, LotChange, LotPage, Paged, Problem, ReadAfter, Recorded};
use crate::failure::{Failure, Missing};
use crate::line_lot;
use crate::segment::Segment;
use crate::stock::variant_named;
use crate::wire::json::Json;
use crate::wire::query::Query;
use crate::wire::tree::{self, parse_uuid};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(fetch, alter))
}

/// List lots.
#[utoipa::path(
    get,
    path = "/api/v1/lots",
    tag = "Catalogue",
    params(
        ("variantId" = Option<Uuid>, Query, description = "Only lots of this variant"),
        ("sku" = Option<String>, Query, description = "The variant by its SKU"),
        ("lot" = Option<String>, Query, description = "Exactly this code"),
        ("expiresBy" = Option<String>, Query, description = "Only those that expire at this instant or earlier"),
        ("search" = Option<String>, Query, description = "Stands in the code, in any case"),
        ("active" = Option<bool>, Query, description = "Only those that are active, or are not"),
        Paged,
        ReadAfter,
    ),
    responses(
        (status = 200, body = LotPage),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn list(
    asker: Asker,
    MinPosition(min): MinPosition,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Failure> {
    let mut query = Query::parse(query.as_deref());
    let (variant, sku) = (query.uuid("variantId"), query.text("sku"));
    let filter = CatalogueFilter {
        code: query.text("lot"),
        expires_by: query.instant("expiresBy"),
        variant: variant_named(&asker, variant, sku.as_deref())?,
        ..CatalogueFilter::default()
    };
    let list = List::read(query, "lots", filter)?;
    asker.open.wait_for_view(ViewName::Catalogue, min).await?;
    let found = asker.open.views.lots(&list.filter, list.slice).await?;
    Ok(list.answer(found, |row| row.no.0, |json, row| write(json, &asker, row)))
}

/// Fetch a lot.
#[utoipa::path(
    get,
    path = "/api/v1/lots/{id}",
    tag = "Catalogue",
    params(("id" = Uuid, Path), ReadAfter),
    responses(
        (status = 200, body = Lot),
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

/// Change a lot: what is left out stays. `null` takes the expiry away.
///
/// A lot that is not active is neither chosen nor issued, but for what is no longer good (DAMAGE, DISCARD_EXPIRED,
/// COUNT_CORRECTION) or sent back (RETURN). That takes a lot out of use at once; what is reserved of it already stays
/// reserved, what comes in of it is held. To hold what there is as well, recall it. A lot that is active again has what was held
/// because of that available, as after a release.
#[utoipa::path(
    patch,
    path = "/api/v1/lots/{id}",
    tag = "Catalogue",
    params(("id" = Uuid, Path)),
    request_body = LotChange,
    responses(
        (status = 200, body = Lot),
        (status = 202, description = "Recorded; the catalogue cannot show it yet", body = Recorded),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
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
        let expires_at = fields.change("expiresAt", faults, tree::instant);
        let active = fields.change_to("active", faults, tree::flag);
        Some(CatalogueCommand::ChangeLot {
            no,
            expires_at,
            active,
        })
    })?;
    let receipt = change(&asker, command, None).await?;
    answer_change(&asker, &receipt, answer_with(&asker, no)).await
}

const MISSING: Failure = Failure::NotFound(Missing::Lot);

/// The number that an id in a path stands for. That it is a lot's is seen where it is looked for.
pub(super) fn resolve(asker: &Asker, id: &str) -> Result<VariantNo, Failure> {
    let no = parse_uuid(id).and_then(|id| asker.open.ledger.ids().resolve_variant(id));
    no.ok_or(MISSING)
}

async fn answer_with(asker: &Asker, no: VariantNo) -> Result<Response<Body>, Failure> {
    let (position, row) = row_of(asker, no).await?;
    let mut json = Json::with_capacity(super::ROW_BYTES);
    write(&mut json, asker, &row);
    Ok(answer::read(position, json))
}

pub(super) async fn row_of(asker: &Asker, no: VariantNo) -> Result<(Position, LotRow), Failure> {
    let (filter, slice) = one(no.0);
    let found = asker.open.views.lots(&filter, slice).await?;
    first(found, MISSING)
}

pub(super) fn write(json: &mut Json, asker: &Asker, row: &LotRow) {
    let ledger = &asker.open.ledger;
    json.raw(r#"{"id":"#).uuid(ledger.ids().variant(row.no)).raw(",");
    line_lot::write(json, ledger.ids(), ledger.names(), row.no);
    json.raw(r#","expiresAt":"#).instant_or_null(row.expires_at);
    json.raw(r#","active":"#).flag(row.active);
    Stamps {
        created_at: row.created_at,
        updated_at: row.changed_at,
    }
    .write(json);
}
