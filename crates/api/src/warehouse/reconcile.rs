//! `POST /api/warehouse/inventory/{skuId}/reconcile`.

use axum::body::Body;
use axum::http::{HeaderMap, Response};
use bincard_projections::ViewName;
use bincard_projections::stock::StockKey;

use super::{draft, place, variant_named};
use crate::answer;
use crate::asker::Asker;
use crate::body;
use crate::docs::schema::{NewSkuReconciliation, SkuReconcileAnswer, WarehouseError};
use crate::failure::Failure;
use crate::segment::Segment;
use crate::wire::json::Json;

/// Reconcile a SKU.
///
/// Adds up again everything that the log says of the SKU at a warehouse, and compares that with what lists and queries
/// say. Where they differ, the latter are put right; the log is never changed.
#[utoipa::path(
    post,
    path = "/api/warehouse/inventory/{skuId}/reconcile",
    tag = "Warehouse",
    params(("skuId" = String, Path, description = "The variant's id, or its SKU")),
    request_body(content = Option<NewSkuReconciliation>, content_type = "application/json"),
    responses(
        (status = 200, body = SkuReconcileAnswer),
        (status = 400, body = WarehouseError),
        (status = 403, body = WarehouseError),
        (status = 404, body = WarehouseError),
        (status = 422, body = WarehouseError),
        (status = 503, body = WarehouseError),
    )
)]
pub(super) async fn reconcile(
    asker: Asker,
    Segment(sku_id): Segment,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_write_catalogue())?;
    let variant = variant_named(&asker, &sku_id)?;
    body::require_json(&headers)?;
    let bytes = body::read(body).await?;
    let location = draft::read(&bytes, |draft| Some(draft.location()))?;
    let warehouse = match location {
        Some(location) => place::named(&asker, &location).await?,
        None => place::only_one(&asker, variant).await?,
    };
    let ledger = &asker.open.ledger;
    let head = ledger.reader().head().position;
    asker.open.wait_for_view(ViewName::Stock, head).await?;
    let key = StockKey { warehouse, variant };
    let told = asker.open.views.refold_stock(ledger.reader(), key).await?;
    let (found, folded) = (told.found.available(), told.folded.available());
    let mut json = Json::with_capacity(256);
    json.raw(r#"{"success":true,"skuId":"#)
        .uuid(ledger.ids().variant(variant));
    json.raw(r#","reconciliation":{"previousAvailable":"#)
        .whole(found);
    json.raw(r#","calculatedAvailable":"#).whole(folded);
    json.raw(r#","difference":"#).whole(folded.saturating_sub(found));
    json.raw(r#","adjusted":"#).flag(told.was_repaired);
    json.raw(r#"},"transactionsReviewed":"#)
        .whole(told.events)
        .raw("}");
    Ok(answer::read(told.position, json))
}
