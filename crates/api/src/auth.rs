//! Signing in, staying signed in, signing out: `/api/auth`. The shapes are those of the documents that these routes
//! come from, which are not those of the native routes.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use bincard_access::{Tokens, User};
use bincard_ledger::Timestamp;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer;
use crate::app::App;
use crate::asker::{Identified, SESSION_COOKIE, scheme_of};
use crate::body;
use crate::docs::schema::{
    FamilyError, LoginAnswer, LoginRequest, LogoutAnswer, RefreshAnswer, RefreshRequest, Session,
};
use crate::failure::Failure;
use crate::trace::Trace;
use crate::wire::json::Json;
use crate::wire::tree::{self, Faults, Tree};

pub(crate) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(login))
        .routes(routes!(refresh))
        .routes(routes!(logout))
        .routes(routes!(session))
}

/// Sign in.
///
/// By e-mail address or username. The access token goes into `Authorization: Bearer …`; it also comes as the cookie
/// `session_token`, for pages of this server. An unknown user and a wrong password get the same answer.
#[utoipa::path(
    post,
    path = "/api/auth/login",
    tag = "Signing in",
    security(()),
    request_body = LoginRequest,
    responses((status = 200, body = LoginAnswer), (status = 400, body = FamilyError), (status = 401, body = FamilyError), (status = 429, body = FamilyError))
)]
async fn login(
    State(app): State<Arc<App>>,
    Extension(trace): Extension<Arc<Trace>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    app.count_anonymous(&trace)?;
    body::require_json(&headers)?;
    let bytes = body::read(body).await?;
    let [email, password] = read_texts(&bytes, ["email", "password"])?;
    let login = app.accounts.login(&email, &password).await?;
    let mut json = Json::with_capacity(1024);
    json.raw(r#"{"success":true,"data":{"#);
    write_tokens(&mut json, &login.tokens);
    json.raw(r#","user":"#);
    write_user(&mut json, &login.user);
    json.raw(r#"},"message":"Login successful"}"#);
    let mut response = answer::json(StatusCode::OK, json);
    set_cookie(&mut response, &headers, Some(&login.tokens));
    Ok(response)
}

/// Get a new pair of tokens.
///
/// The refresh token sent works until the new one has been used; used after that, the whole session ends.
#[utoipa::path(
    post,
    path = "/api/auth/refresh",
    tag = "Signing in",
    security(()),
    request_body = RefreshRequest,
    responses((status = 200, body = RefreshAnswer), (status = 400, body = FamilyError), (status = 401, body = FamilyError), (status = 429, body = FamilyError))
)]
async fn refresh(
    State(app): State<Arc<App>>,
    Extension(trace): Extension<Arc<Trace>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response<Body>, Failure> {
    app.count_anonymous(&trace)?;
    body::require_json(&headers)?;
    let bytes = body::read(body).await?;
    let [token] = read_texts(&bytes, ["refresh_token"])?;
    let tokens = app.accounts.refresh(&token).await?;
    let mut json = Json::with_capacity(1024);
    json.raw(r#"{"success":true,"data":{"#);
    write_tokens(&mut json, &tokens);
    json.raw("}}");
    let mut response = answer::json(StatusCode::OK, json);
    set_cookie(&mut response, &headers, Some(&tokens));
    Ok(response)
}

/// Sign out.
///
/// Ends the session of the access token: neither it nor its refresh tokens work any more.
#[utoipa::path(
    post,
    path = "/api/auth/logout",
    tag = "Signing in",
    responses((status = 200, body = LogoutAnswer), (status = 401, body = FamilyError))
)]
async fn logout(
    State(app): State<Arc<App>>,
    Identified(caller): Identified,
    headers: HeaderMap,
) -> Result<Response<Body>, Failure> {
    app.accounts.logout(&caller).await?;
    let mut json = Json::default();
    json.raw(r#"{"success":true,"message":"Logged out successfully"}"#);
    let mut response = answer::json(StatusCode::OK, json);
    set_cookie(&mut response, &headers, None);
    Ok(response)
}

/// Who is signed in.
#[utoipa::path(
    get,
    path = "/api/auth/session",
    tag = "Signing in",
    responses((status = 200, body = Session), (status = 401, body = FamilyError))
)]
async fn session(Identified(caller): Identified) -> Result<Response<Body>, Failure> {
    let mut json = Json::with_capacity(256);
    json.raw(r#"{"user":{"id":"#).uuid(caller.id);
    json.raw(r#","email":"#).text_or_null(caller.email.as_deref());
    json.raw(r#","role":"#).text(caller.role.as_str());
    json.raw(r#","tenantId":"#).text(caller.tenant.as_str());
    let expires_at = caller
        .expires_at
        .map(|at| Timestamp::from_micros(at.0.saturating_mul(1_000)));
    json.raw(r#"},"expires":"#).instant_or_null(expires_at).raw("}");
    Ok(answer::json(StatusCode::OK, json))
}

/// The texts of an object that has these fields and no others.
fn read_texts<const N: usize>(bytes: &[u8], names: [&'static str; N]) -> Result<[String; N], Failure> {
    let mut faults = Faults::default();
    let tree = Tree::parse(bytes)?;
    let texts = tree.fields("", &mut faults).map(|mut fields| {
        let texts = names.map(|name| {
            fields
                .required(name, &mut faults, tree::text)
                .unwrap_or_default()
                .to_owned()
        });
        fields.finish(&mut faults);
        texts
    });
    Ok(faults.or(texts)?)
}

fn write_tokens(json: &mut Json, tokens: &Tokens) {
    json.raw(r#""access_token":"#).text(tokens.access_token.reveal());
    json.raw(r#","refresh_token":"#)
        .text(tokens.refresh_token.reveal());
    json.raw(r#","expires_in":"#).whole(tokens.expires_in_s);
}

fn write_user(json: &mut Json, user: &User) {
    json.raw(r#"{"id":"#).whole(user.alias);
    json.raw(r#","email":"#).text(&user.email);
    json.raw(r#","first_name":"#).text(&user.first_name);
    json.raw(r#","last_name":"#).text(&user.last_name);
    json.raw(r#","role":"#)
        .text(&user.role.as_str().to_ascii_lowercase())
        .raw("}");
}

/// Sets the session's cookie, or takes it away. Scripts do not see it, other sites do not send it.
fn set_cookie(response: &mut Response<Body>, headers: &HeaderMap, tokens: Option<&Tokens>) {
    let (value, seconds) = tokens.map_or(("", 0), |tokens| {
        (tokens.access_token.reveal(), tokens.expires_in_s)
    });
    let secure = if scheme_of(headers) == "https" {
        "; Secure"
    } else {
        ""
    };
    let cookie =
        format!("{SESSION_COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    if let Ok(mut cookie) = HeaderValue::try_from(cookie) {
        cookie.set_sensitive(true);
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
}
