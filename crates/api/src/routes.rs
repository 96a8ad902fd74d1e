//! Every route there is, and the document that describes them.

use std::sync::Arc;

use axum::Router;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;

use crate::app::App;
use crate::failure::{Failure, Missing};
use crate::{
    administration, auth, catalogue, counts, docs, exceptions, health, ledger, movements, reconciliations,
    reservations, stock, stock_events, transfers, warehouse,
};

/// The routes, without what stands before them.
pub(crate) fn router(app: Arc<App>) -> Router {
    let (routes, document) = described();
    let routes = match app.options.roles.api {
        true => routes.merge(docs::routes(&document)),
        false => Router::from(health::routes()),
    };
    routes
        .fallback(async || Failure::NotFound(Missing::Address))
        .method_not_allowed_fallback(async || Failure::MethodNotAllowed)
        .with_state(app)
}

/// The OpenAPI 3.1 document that describes the API.
pub fn openapi() -> OpenApi {
    described().1
}

fn described() -> (Router<Arc<App>>, OpenApi) {
    let (routes, mut document) = OpenApiRouter::with_openapi(docs::described())
        .merge(stock_events::routes())
        .merge(stock::routes())
        .merge(movements::routes())
        .merge(reservations::routes())
        .merge(exceptions::routes())
        .merge(transfers::routes())
        .merge(counts::routes())
        .merge(catalogue::routes())
        .merge(ledger::routes())
        .merge(reconciliations::routes())
        .merge(auth::routes())
        .merge(administration::routes())
        .merge(health::routes())
        .merge(warehouse::routes())
        .split_for_parts();
    docs::add_standing_answers(&mut document);
    (routes, document)
}
