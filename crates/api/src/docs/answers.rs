//! Answers that many routes have in common, added to the document in one place by what each route is.

use std::collections::BTreeSet;

use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{ContentBuilder, OpenApi, PathItem, Ref, RefOr, Response, ResponseBuilder};

use crate::problem::Code;
use crate::route::Route;
use crate::versions;

/// Adds to every route the answers that follow from its credentials, its body and its method, where it does not
/// describe them itself.
pub(crate) fn add_standing_answers(document: &mut OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let PathItem {
            get,
            post,
            patch,
            delete,
            ..
        } = item;
        let reads = [get].into_iter().flatten().map(|operation| (operation, false));
        let writes = [post, patch, delete].into_iter().flatten();
        for (operation, is_write) in reads.chain(writes.map(|operation| (operation, true))) {
            for code in codes_of(path, operation, is_write) {
                let status = code.status().as_u16().to_string();
                let answers = &mut operation.responses.responses;
                answers
                    .entry(status)
                    .or_insert_with(|| RefOr::T(answer(path, code)));
            }
            if has_versions(path) {
                name_versions(operation);
            }
        }
    }
}

/// Whether a route is one of the documents that have versions.
fn has_versions(path: &str) -> bool {
    path.starts_with("/api/warehouse/") || path == Route::Session.template()
}

/// Everything that is answered as JSON is answered under the version's name as well.
fn name_versions(operation: &mut Operation) {
    for answer in operation.responses.responses.values_mut() {
        if let RefOr::T(answer) = answer
            && let Some(content) = answer.content.get("application/json").cloned()
        {
            answer.content.insert(versions::V1.to_owned(), content);
        }
    }
}

/// What else a route may answer, one code for each status.
fn codes_of(path: &str, operation: &Operation, is_write: bool) -> Vec<Code> {
    let mut codes = Vec::new();
    if takes_input(operation) {
        codes.push(Code::InvalidPayload);
    }
    // A route that names security of its own says that it needs none.
    if operation.security.is_none() {
        codes.extend([Code::Unauthenticated, Code::RateLimited]);
    }
    if has_versions(path) {
        codes.push(Code::NotAcceptable);
    }
    let types: BTreeSet<&str> = operation
        .request_body
        .iter()
        .filter_map(|body| match body {
            RefOr::T(body) => Some(body),
            RefOr::Ref(_) => None,
        })
        .flat_map(|body| body.content.keys().map(String::as_str))
        .collect();
    // Of a bulk body only lines have a size, and what is wrong with a line stands in its result.
    let has_whole_body = types.contains("application/json");
    if has_whole_body {
        codes.push(Code::BodyTooLarge);
    }
    if !types.is_empty() {
        codes.push(Code::UnsupportedMediaType);
    }
    if is_write && (has_whole_body || writes_beside_the_log(path)) {
        codes.push(Code::DiskFull);
    }
    if is_write || waits_for_position(operation) {
        codes.push(Code::Unavailable);
    }
    codes
}

/// Whether there is anything to be got wrong besides the address.
fn takes_input(operation: &Operation) -> bool {
    let mut parameters = operation.parameters.iter().flatten();
    let has_parameter = parameters.any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.parameter_in != ParameterIn::Path,
        RefOr::Ref(_) => true,
    });
    has_parameter || operation.request_body.is_some()
}

/// Whether a write goes to what has a database of its own: accounts and reconciliations.
fn writes_beside_the_log(path: &str) -> bool {
    let there = [
        "/api/auth/",
        "/api/v1/users",
        "/api/v1/keys",
        "/api/v1/reconciliations",
    ];
    there.iter().any(|start| path.starts_with(start))
}

fn waits_for_position(operation: &Operation) -> bool {
    let mut parameters = operation.parameters.iter().flatten();
    parameters.any(|parameter| match parameter {
        RefOr::T(parameter) => {
            parameter.parameter_in == ParameterIn::Header && parameter.name == "Ledger-Min-Position"
        }
        RefOr::Ref(_) => false,
    })
}

fn answer(path: &str, code: Code) -> Response {
    let (content_type, schema) = match path {
        _ if path.starts_with("/api/auth/") => ("application/json", "FamilyError"),
        _ if path.starts_with("/api/warehouse/") => ("application/json", "WarehouseError"),
        _ => ("application/problem+json", "Problem"),
    };
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(schema)))
        .build();
    ResponseBuilder::new()
        .description(code.title())
        .content(content_type, content)
        .build()
}
