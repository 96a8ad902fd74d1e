//! `/api/v1/keys`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Response, StatusCode};
use bincard_access::{ApiKey, CallerKind, NewKey, Plan, UnixMs};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::{
    answer_page, check_warehouses, instant_of, read_page, read_plan, read_role, read_warehouses,
    write_warehouses,
};
use crate::answer;
use crate::app::App;
use crate::asker::Asker;
use crate::body;
use crate::docs::schema::{Key, KeyPage, NewKey as NewKeySchema, Paged, Problem};
use crate::failure::{Failure, Missing};
use crate::segment::Segment;
use crate::wire::json::Json;
use crate::wire::tree::{self, Faults, Tree, parse_uuid};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(revoke))
}

/// List the API keys of your organisation, without their secrets.
#[utoipa::path(
    get,
    path = "/api/v1/keys",
    tag = "Administration",
    params(
        Paged,
    ),
    responses((status = 200, body = KeyPage), (status = 403, body = Problem, content_type = "application/problem+json"))
)]
async fn list(
    State(app): State<Arc<App>>,
    asker: Asker,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.is_admin())?;
    let (number, size) = read_page(query.as_deref(), "keys")?;
    let page = app.accounts.keys(&asker.caller.tenant, number, size).await?;
    Ok(answer_page("keys", (number, size), &page, |json, key| {
        write(json, key, None)
    }))
}

/// Make an API key.
///
/// The answer has the key itself in `secret`: it is shown this once. It goes into `Authorization: Bearer …`.
#[utoipa::path(
    post,
    path = "/api/v1/keys",
    tag = "Administration",
    request_body = NewKeySchema,
    responses(
        (status = 201, body = Key),
        (status = 403, body = Problem, content_type = "application/problem+json"),
    )
)]
async fn add(
    State(app): State<Arc<App>>,
    asker: Asker,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.is_admin())?;
    body::require_json(&headers)?;
    let bytes = body::read(body).await?;
    let tree = Tree::parse(&bytes)?;
    let mut faults = Faults::default();
    let new = read_new(&tree, &mut faults);
    let (new, warehouses) = faults.or(new)?;
    check_warehouses(&asker, &warehouses)?;
    let created_by = (asker.caller.kind == CallerKind::User).then_some(asker.caller.id);
    let new = NewKey {
        warehouses: &warehouses,
        created_by,
        ..new
    };
    let issued = app.accounts.key_create(&asker.caller.tenant, new).await?;
    let mut json = Json::with_capacity(super::ROW_BYTES);
    write(&mut json, &issued.key, Some(issued.secret.reveal()));
    Ok(answer::json(StatusCode::CREATED, json))
}

fn read_new<'t>(tree: &'t Tree<'_>, faults: &mut Faults) -> Option<(NewKey<'t>, Vec<Uuid>)> {
    let mut fields = tree.fields("", faults)?;
    let name = fields.required("name", faults, tree::text);
    let role = fields.required("role", faults, read_role);
    let warehouses = read_warehouses(&mut fields, faults).unwrap_or_default();
    let plan = fields.optional("plan", faults, read_plan);
    let expires_at = fields.optional("expiresAt", faults, tree::instant);
    fields.finish(faults);
    let new = NewKey {
        name: name?,
        role: role?,
        warehouses: &[],
        plan: plan.unwrap_or(Plan::Service),
        expires_at: expires_at.map(|at| UnixMs(at.micros().div_euclid(1_000))),
        created_by: None,
    };
    Some((new, warehouses))
}

/// Revoke an API key: it stops working at once, for ever.
#[utoipa::path(
    delete,
    path = "/api/v1/keys/{id}",
    tag = "Administration",
    params(("id" = Uuid, Path)),
    responses((status = 204, description = "Revoked"), (status = 403, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"))
)]
async fn revoke(
    State(app): State<Arc<App>>,
    asker: Asker,
    Segment(id): Segment,
) -> Result<StatusCode, Failure> {
    asker.must(asker.caller.is_admin())?;
    let id = parse_uuid(&id).ok_or(Failure::NotFound(Missing::Key))?;
    app.accounts.key_revoke(&asker.caller.tenant, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn write(json: &mut Json, key: &ApiKey, secret: Option<&str>) {
    json.raw(r#"{"id":"#).uuid(key.id);
    json.raw(r#","name":"#).text(&key.name);
    json.raw(r#","role":"#).text(key.role.as_str());
    write_warehouses(json, &key.warehouses);
    json.raw(r#","plan":"#).text(key.plan.as_str());
    json.raw(r#","createdById":"#);
    match key.created_by {
        Some(id) => json.uuid(id),
        None => json.raw("null"),
    };
    json.raw(r#","createdAt":"#).instant(instant_of(key.created_at));
    json.raw(r#","expiresAt":"#)
        .instant_or_null(key.expires_at.map(instant_of));
    json.raw(r#","lastUsedAt":"#)
        .instant_or_null(key.last_used_at.map(instant_of));
    json.raw(r#","revokedAt":"#)
        .instant_or_null(key.revoked_at.map(instant_of));
    if let Some(secret) = secret {
        json.raw(r#","secret":"#).text(secret);
    }
    json.raw("}");
}
