//! Recalls of lots: `/api/v1/lots/{id}/recall`, and `/release` when one is over.
//!
//! Either is one decision for all warehouses. Asked for again it changes nothing but what is left to do, and answers how things
//! stand: so it is also what to ask after an answer that was lost.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use bincard_ledger::{Command, RecallCommand, VariantNo};
use bincard_projections::reservations::{ReservationFilter, ReservationRow, ReservationState};
use bincard_projections::stock::StockFilter;
use bincard_projections::{Slice, ViewName};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::lots::{resolve, row_of, write};
use crate::answer;
use crate::app::App;
use crate::asker::Asker;
use crate::body;
use crate::docs::schema::{Keyed, LotRecall, NewNotes, Problem};
use crate::failure::Failure;
use crate::if_match;
use crate::rejected::Shape;
use crate::segment::Segment;
use crate::stock::write_row;
use crate::wire::json::Json;

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(recall))
        .routes(routes!(release))
}

/// The most warehouses and the most reservations that an answer names.
const NAMED_MAX: usize = 500;

macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident $path:literal $is_over:literal;)*) => {$(
        $(#[$doc])*
        #[utoipa::path(
            post,
            path = $path,
            tag = "Catalogue",
            params(
                ("id" = Uuid, Path, description = "The lot"),
                Keyed,
            ),
            request_body(content = Option<NewNotes>, content_type = "application/json"),
            responses(
                (status = 200, description = "How it stands", body = LotRecall, headers(
                    ("Ledger-Position" = u64, description = "Where in the log it was done, or found done"),
                    ("Idempotency-Replayed" = Option<bool>, description = "It had been recorded before under this key"),
                )),
                (status = 403, body = Problem, content_type = "application/problem+json"),
                (status = 404, body = Problem, content_type = "application/problem+json"),
                (status = 409, description = "The key belongs to another request", body = Problem, content_type = "application/problem+json"),
                (status = 503, description = "Try again with the same key", body = Problem, content_type = "application/problem+json"),
            )
        )]
        async fn $name(
            State(app): State<Arc<App>>,
            asker: Asker,
            Segment(id): Segment,
            headers: HeaderMap,
            body: Body,
        ) -> Result<Response<Body>, Failure> {
            send(&app, &asker, &id, &headers, body, $is_over).await
        }
    )*};
}

steps! {
    /// Recall a lot.
    ///
    /// For an ADMIN or MANAGER. In one step, at all warehouses, the lot is taken out of use and all that is available of it
    /// is held. From then on it is neither chosen nor sold, and what becomes available of it, because it is received, given
    /// back by an order or found, is held at once. What orders have of it stays theirs: the answer names them. Asked for
    /// again, it holds what was given free by UNHOLD since and is still there.
    recall "/api/v1/lots/{id}/recall" false;

    /// Release a recalled lot.
    ///
    /// For an ADMIN or MANAGER. It is in use again, and what was held since the recall, by it or by a HOLD, is available, at all
    /// warehouses. What was held before, or arrived damaged, stays held.
    release "/api/v1/lots/{id}/release" true;
}

async fn send(
    app: &App,
    asker: &Asker,
    id: &str,
    headers: &HeaderMap,
    body: Body,
    is_over: bool,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.may_write_catalogue())?;
    body::require_json(headers)?;
    let lot = resolve(asker, id)?;
    if_match::refuse(headers)?;
    let (notes, user) = body::notes(&body::read(body).await?)?;
    let command = Command::Recall(RecallCommand { lot, is_over, notes });
    let receipt = asker
        .submit_for(app, headers, user, command, Shape::Notes)
        .await?;
    for view in [ViewName::Catalogue, ViewName::Stock, ViewName::Reservations] {
        asker.open.wait_for_view(view, receipt.position).await?;
    }
    let json = standing(app, asker, lot).await?;
    let replayed = receipt.replayed;
    Ok(answer::written(StatusCode::OK, receipt.position, replayed, json))
}

/// The lot, what of it lies where, and which orders have some of it.
async fn standing(app: &App, asker: &Asker, lot: VariantNo) -> Result<Json, Failure> {
    let (views, now) = (&asker.open.views, app.timestamp());
    let filter = StockFilter {
        warehouses: None,
        variant: Some(lot),
        in_lots: false,
    };
    let stock = views.stock_page(&filter, first(false), now).await?.value.rows;
    let filter = ReservationFilter {
        variants: Some(vec![lot]),
        state: Some(ReservationState::Open),
        ..ReservationFilter::default()
    };
    let orders = views.reservations(&filter, false, first(true), now).await?.value;
    let mut json = Json::with_capacity(512 + (stock.len() + orders.rows.len()) * 256);
    json.raw(r#"{"lot":"#);
    write(&mut json, asker, &row_of(asker, lot).await?.1);
    json.raw(r#","stock":["#);
    for (index, row) in stock.iter().enumerate() {
        json.raw(if index == 0 { "" } else { "," });
        write_row(&mut json, asker, row.key, &row.buckets);
    }
    json.raw(r#"],"reservations":["#);
    for (index, row) in orders.rows.iter().enumerate() {
        json.raw(if index == 0 { "" } else { "," });
        write_reservation(&mut json, asker, lot, row);
    }
    let total = orders.total.unwrap_or_default();
    json.raw(r#"],"totalReservations":"#).whole(total).raw("}");
    Ok(json)
}

fn first<K>(with_total: bool) -> Slice<K> {
    Slice {
        after: None,
        skip: 0,
        limit: NAMED_MAX,
        with_total,
    }
}

fn write_reservation(json: &mut Json, asker: &Asker, lot: VariantNo, row: &ReservationRow) {
    let ledger = &asker.open.ledger;
    let (ids, names) = (ledger.ids(), ledger.names());
    json.raw(r#"{"id":"#).uuid(ids.event(row.id));
    json.raw(r#","orderId":"#).text(&row.order);
    json.raw(r#","warehouseId":"#).uuid(ids.warehouse(row.warehouse));
    let warehouse = names.warehouse(row.warehouse);
    json.raw(r#","warehouseCode":"#)
        .text_or_null(warehouse.as_ref().map(|name| &*name.code));
    let line = row.lines.iter().find(|line| line.variant == lot);
    let line = line.copied().unwrap_or_default();
    json.raw(r#","reserved":"#).whole(line.reserved);
    json.raw(r#","picked":"#).whole(line.picked);
    json.raw(r#","packed":"#).whole(line.packed).raw("}");
}
