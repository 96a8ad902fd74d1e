//! `PATCH /api/warehouse/inventory/{skuId}/pick-order`.

use axum::body::Body;
use axum::http::{HeaderMap, Response, StatusCode};
use bincard_ledger::CatalogueCommand;
use bincard_ledger::event::{PickOrder, SlotChange};
use bincard_projections::ViewName;
use bincard_projections::stock::StockKey;

use super::{draft, place, variant_named};
use crate::answer;
use crate::asker::Asker;
use crate::body;
use crate::catalogue::change;
use crate::docs::schema::{PickOrderAnswer, PickOrderChange, WarehouseError};
use crate::failure::Failure;
use crate::if_match;
use crate::segment::Segment;
use crate::wire::json::Json;
use crate::wire::tree::{text, whole};

/// Give a SKU another place in the order of picking.
///
/// Without one, its place follows from its bin: bins in the order of people who count (`A-2` before `A-10`), SKUs without
/// a bin behind them, and places that were given left out. `null` takes back what was given.
#[utoipa::path(
    patch,
    path = "/api/warehouse/inventory/{skuId}/pick-order",
    tag = "Warehouse",
    params(
        ("skuId" = String, Path, description = "The variant's id, or its SKU"),
        ("If-Match" = Option<String>, Header, description = "The version that the catalogue is to have come to, such as `\"42\"`: the ETag of the slot (`GET /api/v1/slots/{warehouseId}/{variantId}`) or of the last change. At another version nothing happens"),
    ),
    request_body = PickOrderChange,
    responses(
        (status = 200, body = PickOrderAnswer, headers(
            ("ETag" = String, description = "The version to which it brought the catalogue"),
        )),
        (status = 400, body = WarehouseError),
        (status = 403, body = WarehouseError),
        (status = 404, body = WarehouseError),
        (status = 412, description = "The catalogue has come to another version than was expected", body = WarehouseError),
        (status = 422, body = WarehouseError),
        (status = 503, body = WarehouseError),
    )
)]
pub(super) async fn alter(
    asker: Asker,
    Segment(sku_id): Segment,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_write_catalogue())?;
    let variant = variant_named(&asker, &sku_id)?;
    body::require_json(&headers)?;
    let version = if_match::version_of(&headers)?;
    let bytes = body::read(body).await?;
    let (number, reason, location) = draft::read(&bytes, |draft| {
        let number = draft.change("pickOrder", whole);
        if number.is_none() {
            draft.refuse("pickOrder", "Required field");
        }
        let reason = draft.optional("reason", text).map(Box::<str>::from);
        let location = draft.location();
        Some((number?, reason, location))
    })?;
    let warehouse = match location {
        Some(location) => place::named(&asker, &location).await?,
        None => place::only_one(&asker, variant).await?,
    };
    let key = StockKey { warehouse, variant };
    let head = asker.open.ledger.reader().head().position;
    asker.open.wait_for_view(ViewName::Catalogue, head).await?;
    let views = &asker.open.views;
    let before = views.pick_order(key)?.value;
    let order = number.map(|number| PickOrder { number, reason });
    let command = CatalogueCommand::ChangeSlot {
        warehouse,
        variant,
        change: SlotChange {
            pick_order: Some(order),
            ..SlotChange::default()
        },
    };
    let receipt = change(&asker, command, version).await?;
    // Recorded it is, whether the catalogue shows it in time or not: then nobody can say yet what follows from the bin.
    let shown = asker
        .open
        .wait_for_view(ViewName::Catalogue, receipt.position)
        .await;
    let after = match shown.map(|()| views.pick_order(key)) {
        Ok(Ok(shown)) => shown.value,
        _ => number,
    };
    let mut json = Json::with_capacity(192);
    json.raw(r#"{"success":true,"skuId":"#)
        .uuid(asker.open.ledger.ids().variant(variant));
    json.raw(r#","oldPickOrder":"#).whole_or_null(before);
    json.raw(r#","newPickOrder":"#).whole_or_null(after);
    json.raw(r#","updatedAt":"#).instant(receipt.recorded_at).raw("}");
    let mut response = answer::written(StatusCode::OK, receipt.position, receipt.replayed, json);
    if_match::tag(response.headers_mut(), receipt.version);
    Ok(response)
}
