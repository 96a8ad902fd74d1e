//! `/api/v1/users`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Response, StatusCode};
use bincard_access::{NewUser, Plan, Role, User};
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
use crate::docs::schema::{
    NewUser as NewUserSchema, Paged, Problem, User as UserSchema, UserChange, UserPage,
};
use crate::failure::{Failure, Missing};
use crate::segment::Segment;
use crate::wire::json::Json;
use crate::wire::tree::{self, Faults, Tree, parse_uuid};

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(fetch, alter))
}

/// List the users of your organisation.
#[utoipa::path(
    get,
    path = "/api/v1/users",
    tag = "Administration",
    params(
        Paged,
    ),
    responses((status = 200, body = UserPage), (status = 403, body = Problem, content_type = "application/problem+json"))
)]
async fn list(
    State(app): State<Arc<App>>,
    asker: Asker,
    RawQuery(query): RawQuery,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.is_admin())?;
    let (number, size) = read_page(query.as_deref(), "users")?;
    let page = app.accounts.users(&asker.caller.tenant, number, size).await?;
    Ok(answer_page("users", (number, size), &page, write))
}

/// Add a user.
#[utoipa::path(
    post,
    path = "/api/v1/users",
    tag = "Administration",
    request_body = NewUserSchema,
    responses(
        (status = 201, body = UserSchema),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
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
    let new = NewUser {
        warehouses: &warehouses,
        ..new
    };
    let user = app.accounts.user_add(&asker.caller.tenant, new).await?;
    let mut json = Json::with_capacity(super::ROW_BYTES);
    write(&mut json, &user);
    let mut response = answer::json(StatusCode::CREATED, json);
    answer::locate(&mut response, format!("/api/v1/users/{}", user.id));
    Ok(response)
}

fn read_new<'t>(tree: &'t Tree<'_>, faults: &mut Faults) -> Option<(NewUser<'t>, Vec<Uuid>)> {
    let mut fields = tree.fields("", faults)?;
    let email = fields.required("email", faults, tree::text);
    let username = fields.required("username", faults, tree::text);
    let first_name = fields.optional("firstName", faults, tree::text);
    let last_name = fields.optional("lastName", faults, tree::text);
    let password = fields.required("password", faults, tree::text);
    let role = fields.required("role", faults, read_role);
    let warehouses = read_warehouses(&mut fields, faults).unwrap_or_default();
    let plan = fields.optional("plan", faults, read_plan);
    fields.finish(faults);
    let new = NewUser {
        email: email?,
        username: username?,
        first_name: first_name.unwrap_or_default(),
        last_name: last_name.unwrap_or_default(),
        password: password?,
        role: role?,
        warehouses: &[],
        plan: plan.unwrap_or(Plan::Standard),
    };
    Some((new, warehouses))
}

/// Fetch a user.
#[utoipa::path(
    get,
    path = "/api/v1/users/{id}",
    tag = "Administration",
    params(("id" = Uuid, Path)),
    responses((status = 200, body = UserSchema), (status = 403, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"))
)]
async fn fetch(
    State(app): State<Arc<App>>,
    asker: Asker,
    Segment(id): Segment,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.is_admin())?;
    answer_with(&app, &asker, &id).await
}

/// Change a user: what is left out stays.
///
/// Another role, password or `active: false` take effect with the user's next request.
#[utoipa::path(
    patch,
    path = "/api/v1/users/{id}",
    tag = "Administration",
    params(("id" = Uuid, Path)),
    request_body = UserChange,
    responses(
        (status = 200, body = UserSchema),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "The last ADMIN", body = Problem, content_type = "application/problem+json"),
    )
)]
async fn alter(
    State(app): State<Arc<App>>,
    asker: Asker,
    Segment(id): Segment,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    asker.must(asker.caller.is_admin())?;
    body::require_json(&headers)?;
    let user = find(&app, &asker, &id).await?;
    let bytes = body::read(body).await?;
    let change = read_change(&bytes)?;
    apply(&app, &asker, &user, change).await?;
    answer_with(&app, &asker, &id).await
}

struct Change {
    role: Option<Role>,
    warehouses: Option<Vec<Uuid>>,
    plan: Option<Plan>,
    active: Option<bool>,
    password: Option<String>,
}

fn read_change(bytes: &[u8]) -> Result<Change, Failure> {
    let mut faults = Faults::default();
    let tree = Tree::parse(bytes)?;
    let change = tree.fields("", &mut faults).map(|mut fields| {
        let change = Change {
            role: fields.change_to("role", &mut faults, read_role),
            warehouses: read_warehouses(&mut fields, &mut faults),
            plan: fields.change_to("plan", &mut faults, read_plan),
            active: fields.change_to("active", &mut faults, tree::flag),
            password: fields
                .change_to("password", &mut faults, tree::text)
                .map(str::to_owned),
        };
        fields.finish(&mut faults);
        change
    });
    Ok(faults.or(change)?)
}

/// Applies the parts of a change one by one, those that can be refused first: where one is, nothing after it is done.
async fn apply(app: &App, asker: &Asker, user: &User, change: Change) -> Result<(), Failure> {
    let (accounts, tenant) = (&app.accounts, &asker.caller.tenant);
    if change.role.is_some() || change.warehouses.is_some() {
        let role = change.role.unwrap_or(user.role);
        // Another role than SELLER takes its warehouses away, unless some are named, which is refused.
        let kept = if role == Role::Seller {
            user.warehouses.to_vec()
        } else {
            Vec::new()
        };
        let warehouses = change.warehouses.unwrap_or(kept);
        check_warehouses(asker, &warehouses)?;
        accounts.user_set_role(tenant, user.id, role, &warehouses).await?;
    }
    match change.active {
        Some(true) => accounts.user_enable(tenant, user.id).await?,
        Some(false) => accounts.user_disable(tenant, user.id).await?,
        None => {}
    }
    if let Some(password) = &change.password {
        accounts.user_set_password(tenant, user.id, password).await?;
    }
    if let Some(plan) = change.plan {
        accounts.user_set_plan(tenant, user.id, plan).await?;
    }
    Ok(())
}

async fn find(app: &App, asker: &Asker, id: &str) -> Result<User, Failure> {
    const NONE: Failure = Failure::NotFound(Missing::User);
    let id = parse_uuid(id).ok_or(NONE)?;
    app.accounts.user(&asker.caller.tenant, id).await?.ok_or(NONE)
}

async fn answer_with(app: &App, asker: &Asker, id: &str) -> Result<Response<Body>, Failure> {
    let user = find(app, asker, id).await?;
    let mut json = Json::with_capacity(super::ROW_BYTES);
    write(&mut json, &user);
    Ok(answer::json(StatusCode::OK, json))
}

fn write(json: &mut Json, user: &User) {
    json.raw(r#"{"id":"#).uuid(user.id);
    json.raw(r#","email":"#).text(&user.email);
    json.raw(r#","username":"#).text(&user.username);
    json.raw(r#","firstName":"#).text(&user.first_name);
    json.raw(r#","lastName":"#).text(&user.last_name);
    json.raw(r#","role":"#).text(user.role.as_str());
    write_warehouses(json, &user.warehouses);
    json.raw(r#","plan":"#).text(user.plan.as_str());
    json.raw(r#","active":"#).flag(user.active);
    json.raw(r#","createdAt":"#)
        .instant(instant_of(user.created_at))
        .raw("}");
}
