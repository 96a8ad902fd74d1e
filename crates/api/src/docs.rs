//! What the server says of itself: the OpenAPI document, the page that shows it, and a page for every problem.
//! Everything is in the binary: nothing is fetched from elsewhere.

mod answers;
pub(crate) mod schema;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::routing::get;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi as _};
use utoipa_swagger_ui::Config;

use crate::asker::SESSION_COOKIE;
use crate::failure::{Failure, Missing};
use crate::problem::Code;
use crate::segment::Segment;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Bincard",
        description = "An inventory ledger: an immutable, ordered log of every stock movement, and what follows from it.\n\nRequests carry `Authorization: Bearer` with an access token (`POST /api/auth/login`) or an API key. Every write answers `Ledger-Position`; a read sent with it as `Ledger-Min-Position` sees that write.\n\nA parameter or field that there is not, that stands there twice or that is of another type is answered 400, which names it; so is a parameter without a value: leave it out instead. An id in a path that leads to nothing is 404, whatever it looks like. What is no request of HTTP/1.1, or one whose address has more than 65,534 bytes or whose head has more than 100 fields or 400 KiB, is answered 400, 414 or 431 without a body, and the connection is closed.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    security(("bearer" = []), ("cookie" = [])),
    modifiers(&Schemes),
)]
struct Described;

struct Schemes;

impl Modify for Schemes {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An access token, or an API key"))
            .build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let cookie = ApiKey::Cookie(ApiKeyValue::new(SESSION_COOKIE));
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
    }
}

/// The document without its paths, which the routes bring.
pub(crate) fn described() -> OpenApi {
    let mut document = Described::openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document
}

pub(crate) use answers::add_standing_answers;

/// The routes of the documentation, around the whole `document`.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(document: &OpenApi) -> Router<S> {
    let json = document.to_json().expect("an OpenAPI document is JSON");
    let json = Bytes::from(json);
    Router::new()
        .route(
            "/openapi.json",
            get(move || async move { file(json, "application/json") }),
        )
        .route("/docs", get(async || moved("/docs/")))
        .route("/docs/", get(async || page_file("index.html")))
        .route(
            "/docs/{file}",
            get(async |Segment(name): Segment| page_file(&name)),
        )
        .route(
            "/problems/{code}",
            get(async |Segment(code): Segment| problem_page(&code)),
        )
}

static PAGE: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::new(["/openapi.json"])
        .deep_linking(true)
        .persist_authorization(false)
        .validator_url("none");
    Arc::new(config)
});

/// What the page may load: this server's own files, and the styles and images that it makes itself.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
);

fn page_file(name: &str) -> Result<Response<Body>, Failure> {
    let found =
        utoipa_swagger_ui::serve(name, PAGE.clone()).map_err(|error| Failure::internal(error.to_string()))?;
    let found = found.ok_or(Failure::NotFound(Missing::Address))?;
    let content_type = HeaderValue::from_str(&found.content_type).map_err(Failure::internal)?;
    let mut response = Response::new(Body::from(found.bytes.into_owned()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    if found.gzpipped {
        headers.insert(
            axum::http::header::CONTENT_ENCODING,
            HeaderValue::from_static("gzip"),
        );
    }
    headers.insert(CONTENT_SECURITY_POLICY, PAGE_POLICY);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    Ok(response)
}

fn problem_page(code: &str) -> Result<Response<Body>, Failure> {
    let code = Code::parse(code).ok_or(Failure::NotFound(Missing::Address))?;
    Ok(file(
        Bytes::from_static(code.page().as_bytes()),
        "text/plain; charset=utf-8",
    ))
}

fn file(bytes: Bytes, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    response
}

fn moved(to: &'static str) -> Response<Body> {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    response
        .headers_mut()
        .insert(LOCATION, HeaderValue::from_static(to));
    response
}
