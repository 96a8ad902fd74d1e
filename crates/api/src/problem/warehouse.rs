//! Failures in the words of the warehouse family: `{error:{code,message,details},timestamp,requestId}`, with what is
//! wrong by the names of fields in `details`.

use axum::http::StatusCode;
use bincard_ledger::{Rejection, Timestamp};

use super::{field_of, message_of, word_of_forbidden, write_shortages};
use crate::failure::{Failure, Missing, Unproven};
use crate::rejected::{Rejected, Shape, pointer_of};
use crate::wire::json::Json;
use crate::wire::tree::Faults;

/// The status that goes with a failure: what the ledger's rules refuse is not a malformed request here.
pub(super) fn status_of(failure: &Failure) -> StatusCode {
    match (failure, failure.code().status()) {
        (Failure::Rejected(..), StatusCode::BAD_REQUEST) => StatusCode::UNPROCESSABLE_ENTITY,
        (_, status) => status,
    }
}

pub(super) fn write(json: &mut Json, failure: &Failure, request_id: &str, now: Timestamp) {
    let (code, message) = match status_of(failure).as_u16() {
        400 | 405 | 406 | 413 | 415 => ("INVALID_REQUEST", None),
        401 => ("UNAUTHORIZED", None),
        403 => ("FORBIDDEN", None),
        404 => ("NOT_FOUND", None),
        409 | 412 => ("CONFLICT", None),
        422 => ("VALIDATION_ERROR", Some("Request validation failed")),
        429 => ("RATE_LIMIT_EXCEEDED", None),
        503 | 507 => ("SERVICE_UNAVAILABLE", None),
        _ => ("INTERNAL_ERROR", None),
    };
    let message = match failure {
        Failure::Unauthenticated(_) => "Invalid or expired session",
        _ => message.unwrap_or(failure.code().title()),
    };
    json.raw(r#"{"error":{"code":"#).text(code);
    json.raw(r#","message":"#).text(message);
    json.raw(r#","details":{"#);
    write_details(json, failure);
    json.raw(r#"}},"timestamp":"#).instant(now);
    json.raw(r#","requestId":"#).text(request_id).raw("}");
}

fn write_details(json: &mut Json, failure: &Failure) {
    match failure {
        Failure::Invalid(faults) | Failure::Unprocessable(faults) => write_faults(json, faults),
        Failure::Rejected(rejected) => write_rejected(json, rejected),
        Failure::KeyReused { event } => {
            json.raw(r#""transactionId":"#).uuid(*event);
        }
        Failure::NotFound(Missing::Variant { .. }) => {
            json.raw(r#""skuId":"There is no such SKU""#);
        }
        Failure::NotFound(Missing::Warehouse) => {
            json.raw(r#""location":"There is no such location""#);
        }
        Failure::Unauthenticated(why) => {
            json.raw(r#""session":"#);
            match why {
                Unproven::Missing => json.raw(r#""No session""#),
                Unproven::Invalid => json.raw(r#""Session is not valid""#),
                Unproven::Revoked => json.raw(r#""Session has been revoked""#),
                Unproven::Expired { at } => {
                    let mut instant = Json::default();
                    instant.instant(*at);
                    let instant = String::from_utf8(instant.into_bytes()).unwrap_or_default();
                    json.text(&format!("Session expired at {}", instant.trim_matches('"')))
                }
            };
        }
        Failure::Forbidden(why) => {
            json.raw(r#""reason":"#).text(word_of_forbidden(*why));
        }
        Failure::MediaType { wanted } => {
            json.raw(r#""Content-Type":"#).text(wanted);
        }
        Failure::NotAcceptable => {
            json.raw(r#""Accept":"The only version is application/vnd.leora.v1+json""#);
        }
        Failure::RateLimited { quota, retry_after_s } => {
            let reset_at = Timestamp::from_micros(quota.reset_at.0.saturating_mul(1000));
            json.raw(r#""limit":"#).whole(quota.limit);
            json.raw(r#","resetAt":"#).instant(reset_at);
            json.raw(r#","retryAfter":"#).whole(*retry_after_s);
        }
        _ => {}
    }
}

fn write_rejected(json: &mut Json, rejected: &Rejected) {
    match &rejected.rejection {
        Rejection::Insufficient { shortages } | Rejection::OverReceipt { shortages, .. } => {
            json.raw(r#""shortages":"#);
            write_shortages(json, shortages, rejected);
        }
        Rejection::VersionMismatch { expected, present } => {
            json.raw(r#""expected":"#).whole(expected.0);
            json.raw(r#","present":"#).whole(present.0);
        }
        // All that the caller can have named is an order: an order has the words.
        rejection => {
            if let Some(pointer) = pointer_of(rejection, Shape::Order) {
                let field = field_named(&pointer);
                json.text(field).raw(":").text(&message_of(rejection));
            }
        }
    }
}

/// Every field once, with what is wrong with it first.
fn write_faults(json: &mut Json, faults: &Faults) {
    let mut told: Vec<&str> = Vec::new();
    for fault in faults.iter() {
        let field = field_of(&fault.at);
        if told.contains(&field) {
            continue;
        }
        json.raw(if told.is_empty() { "" } else { "," });
        json.text(field).raw(":").text(&fault.detail);
        told.push(field);
    }
}

/// How this family calls the field that a rejection points to.
fn field_named(pointer: &str) -> &str {
    match pointer.rsplit('/').next() {
        Some("variantId") => "skuId",
        Some("warehouseId") => "location",
        Some("reasonCode") => "reason",
        Some("") | None => "body",
        Some(field) => field,
    }
}
