//! How failures look on the wire: RFC 9457 problems for the native routes, and the two older shapes that the routes
//! of signing in have by their documents.

mod code;
mod warehouse;

use std::error::Error;

use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response};
use bincard_ledger::{Bucket, Place, Rejection, Shortage, Timestamp};

pub(crate) use code::Code;

use crate::failure::{Failure, Forbidden, Missing, Unproven};
use crate::if_match;
use crate::line_lot;
use crate::rejected::Rejected;
use crate::wire::json::Json;
use crate::wire::spelling;
use crate::wire::tree::{At, Faults};

/// In whose words a failure is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Dialect {
    /// `application/problem+json`.
    Problem,
    /// `{success:false,error:{code,message,details},timestamp,request_id}`.
    Manufacturing,
    /// `{error:{code,message,details},timestamp,requestId}`.
    Warehouse,
}

/// The seconds after which to try again what the server could not do.
const RETRY_AFTER_S: u32 = 1;

impl Failure {
    /// What kind of problem it is.
    pub(crate) fn code(&self) -> Code {
        match self {
            Failure::Rejected(rejected) => code_of(&rejected.rejection),
            Failure::KeyReused { .. } => Code::IdempotencyConflict,
            Failure::AlreadyReversed { .. } => Code::AlreadyReversed,
            Failure::Busy => Code::Busy,
            Failure::DiskFull => Code::DiskFull,
            Failure::Stopped { .. } => Code::Stopped,
            Failure::OutcomeUnknown => Code::OutcomeUnknown,
            Failure::Invalid(_) => Code::InvalidPayload,
            Failure::Unprocessable(_) => Code::Unprocessable,
            Failure::NotAcceptable => Code::NotAcceptable,
            Failure::BodyTooLarge => Code::BodyTooLarge,
            Failure::MediaType { .. } | Failure::ContentEncoding => Code::UnsupportedMediaType,
            Failure::NotFound(Missing::Warehouse | Missing::WarehouseIn { .. }) => Code::WarehouseNotFound,
            Failure::NotFound(Missing::Product) => Code::ProductNotFound,
            Failure::NotFound(Missing::Variant { .. } | Missing::VariantListed { .. }) => {
                Code::VariantNotFound
            }
            Failure::NotFound(Missing::Event) => Code::EventNotFound,
            Failure::NotFound(Missing::Reservation) => Code::ReservationNotFound,
            Failure::NotFound(Missing::Exception) => Code::ExceptionNotFound,
            Failure::NotFound(Missing::Count) => Code::CountNotFound,
            Failure::NotFound(Missing::Reconciliation) => Code::ReconciliationNotFound,
            Failure::NotFound(Missing::Transfer) => Code::TransferNotFound,
            Failure::NotFound(Missing::Lot) => Code::LotNotFound,
            Failure::NotFound(Missing::User) => Code::UserNotFound,
            Failure::NotFound(Missing::Key) => Code::KeyNotFound,
            Failure::NotFound(Missing::View) => Code::ViewNotFound,
            Failure::NotFound(Missing::Address) => Code::NotFound,
            Failure::MethodNotAllowed => Code::MethodNotAllowed,
            Failure::Unauthenticated(_) => Code::Unauthenticated,
            Failure::LoginRefused => Code::LoginRefused,
            Failure::RefreshRefused => Code::RefreshRefused,
            Failure::Forbidden(_) => Code::Forbidden,
            Failure::Taken { .. } => Code::Taken,
            Failure::NothingToApply => Code::NothingToApply,
            Failure::LastAdmin => Code::LastAdmin,
            Failure::RateLimited { .. } => Code::RateLimited,
            Failure::ViewBehind => Code::ViewBehind,
            Failure::ViewUnavailable(_) => Code::ViewUnavailable,
            Failure::Unavailable | Failure::DatabaseUnavailable(_) => Code::Unavailable,
            Failure::Internal(_) => Code::Internal,
        }
    }

    /// What went wrong inside, for the log.
    pub(crate) fn cause(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Failure::Internal(error)
            | Failure::ViewUnavailable(error)
            | Failure::DatabaseUnavailable(error) => Some(error.as_ref()),
            _ => None,
        }
    }

    fn retry_after_s(&self) -> Option<u32> {
        match self {
            Failure::RateLimited { retry_after_s, .. } => Some(*retry_after_s),
            Failure::Busy
            | Failure::Stopped { .. }
            | Failure::OutcomeUnknown
            | Failure::ViewBehind
            | Failure::ViewUnavailable(_)
            | Failure::Unavailable
            | Failure::DatabaseUnavailable(_) => Some(RETRY_AFTER_S),
            _ => None,
        }
    }
}

fn code_of(rejection: &Rejection) -> Code {
    match rejection {
        Rejection::NoLines => Code::NoLines,
        Rejection::TooManyLines { .. } => Code::TooManyLines,
        Rejection::InvalidQuantity { .. } | Rejection::InvalidFound { .. } => Code::InvalidQuantity,
        Rejection::DuplicateVariant { .. } => Code::DuplicateVariant,
        Rejection::ReasonMismatch { .. } => Code::ReasonMismatch,
        Rejection::NotesTooLong => Code::NotesTooLong,
        Rejection::OccursInFuture { .. } | Rejection::CountedInFuture { .. } => Code::OccursInFuture,
        Rejection::InstantOutOfRange { .. } | Rejection::LotExpiryOutOfRange { .. } => {
            Code::InstantOutOfRange
        }
        Rejection::OrderMissing { .. } => Code::OrderMissing,
        Rejection::TransferMissing { .. } => Code::TransferMissing,
        Rejection::InvalidReference => Code::InvalidReference,
        Rejection::FieldNotAllowed { .. } => Code::FieldNotAllowed,
        Rejection::ExpiryPassed { .. } => Code::ExpiryPassed,
        Rejection::NotCommandable { .. } => Code::NotCommandable,
        Rejection::UnknownWarehouse { .. } => Code::WarehouseNotFound,
        Rejection::InactiveWarehouse { .. } => Code::WarehouseInactive,
        Rejection::UnknownVariant { .. } => Code::VariantNotFound,
        Rejection::InactiveVariant { .. } => Code::VariantInactive,
        Rejection::VariantExpired { .. } => Code::VariantExpired,
        Rejection::TooManyPostings { .. } => Code::TooManyPostings,
        Rejection::InactiveLot { .. } => Code::LotInactive,
        Rejection::LotExpired { .. } => Code::LotExpired,
        Rejection::LotMissing { .. } => Code::LotMissing,
        Rejection::LotNotTracked { .. } => Code::LotNotTracked,
        Rejection::UnknownLot { .. } => Code::LotNotFound,
        Rejection::LotExpiryMismatch { .. } => Code::LotExpiryMismatch,
        Rejection::VariantHasStock { .. } => Code::VariantHasStock,
        Rejection::UnknownProduct { .. } => Code::ProductNotFound,
        Rejection::Insufficient { .. } => Code::InsufficientStock,
        Rejection::ReservationOver { .. } => Code::ReservationOver,
        Rejection::ReservationExpired { .. } => Code::ReservationExpired,
        Rejection::NothingHeld { .. } => Code::NothingHeld,
        Rejection::SameWarehouse { .. } => Code::SameWarehouse,
        Rejection::TransferTaken { .. } => Code::TransferTaken,
        Rejection::TransferOver { .. } => Code::TransferOver,
        Rejection::WrongWarehouse { .. } => Code::WrongWarehouse,
        Rejection::OverReceipt { .. } => Code::OverReceipt,
        Rejection::NotReversible { .. } => Code::NotReversible,
        Rejection::ExceptionCleared { .. } => Code::ExceptionCleared,
        Rejection::CountOver { .. } => Code::CountOver,
        Rejection::CountOverlaps { .. } => Code::CountOverlaps,
        Rejection::NotToBeCounted { .. } => Code::NotToBeCounted,
        Rejection::InvalidCount { .. } => Code::InvalidCount,
        Rejection::CountedTooEarly { .. } => Code::CountedTooEarly,
        Rejection::NothingCounted { .. } => Code::NothingCounted,
        Rejection::CountFull { .. } => Code::CountFull,
        Rejection::VersionMismatch { .. } => Code::VersionMismatch,
        Rejection::AvailableMismatch { .. } => Code::AvailableMismatch,
        Rejection::Overflow { .. } => Code::QuantityOverflow,
        Rejection::CodeTaken { .. } => Code::CodeTaken,
        Rejection::SkuTaken { .. } => Code::SkuTaken,
        Rejection::InvalidText { .. } | Rejection::InvalidLot { .. } => Code::InvalidText,
        Rejection::NumberOutOfRange { .. } | Rejection::ReorderAboveMax { .. } => Code::NumberOutOfRange,
        Rejection::NumbersExhausted => Code::NumbersExhausted,
    }
}

/// The `detail` of a problem: the documented words where there are any, the code where there are none.
fn detail_of(code: Code) -> &'static str {
    match code {
        Code::NoLines
        | Code::TooManyLines
        | Code::InvalidQuantity
        | Code::DuplicateVariant
        | Code::ReasonMismatch
        | Code::NotesTooLong
        | Code::OccursInFuture
        | Code::InstantOutOfRange
        | Code::OrderMissing
        | Code::TransferMissing
        | Code::SameWarehouse
        | Code::InvalidReference
        | Code::FieldNotAllowed
        | Code::ExpiryPassed
        | Code::NotCommandable
        | Code::WarehouseInactive
        | Code::VariantInactive
        | Code::QuantityOverflow
        | Code::InvalidCount
        | Code::InvalidText
        | Code::NumberOutOfRange
        | Code::TooManyPostings
        | Code::LotInactive
        | Code::LotMissing
        | Code::LotNotTracked
        | Code::InvalidPayload => "invalid payload",
        Code::WarehouseNotFound => "stock-warehouse-not-found",
        Code::VariantNotFound => "stock-variant-not-found",
        Code::LotNotFound => "stock-lot-not-found",
        Code::ProductNotFound => "stock-product-not-found",
        Code::EventNotFound => "stock-event-not-found",
        Code::ReservationNotFound => "stock-reservation-not-found",
        Code::TransferNotFound => "stock-transfer-not-found",
        Code::ExceptionNotFound => "stock-exception-not-found",
        Code::CountNotFound => "stock-count-not-found",
        Code::VariantExpired => "stock-variant-expired",
        Code::LotExpired => "stock-lot-expired",
        Code::InsufficientStock => "stock-insufficient",
        Code::IdempotencyConflict => "stock-idempotency-conflict",
        Code::CodeTaken => "stock-code-taken",
        Code::SkuTaken => "stock-sku-taken",
        Code::Forbidden => "Forbidden",
        Code::NumbersExhausted
        | Code::LotExpiryMismatch
        | Code::VariantHasStock
        | Code::ReservationOver
        | Code::ReservationExpired
        | Code::NothingHeld
        | Code::TransferTaken
        | Code::TransferOver
        | Code::WrongWarehouse
        | Code::OverReceipt
        | Code::NotReversible
        | Code::AlreadyReversed
        | Code::ExceptionCleared
        | Code::CountOver
        | Code::CountOverlaps
        | Code::NotToBeCounted
        | Code::CountedTooEarly
        | Code::NothingCounted
        | Code::CountFull
        | Code::VersionMismatch
        | Code::AvailableMismatch
        | Code::Unprocessable
        | Code::NotAcceptable
        | Code::Busy
        | Code::DiskFull
        | Code::Stopped
        | Code::OutcomeUnknown
        | Code::BodyTooLarge
        | Code::UnsupportedMediaType
        | Code::Unauthenticated
        | Code::LoginRefused
        | Code::RefreshRefused
        | Code::ReconciliationNotFound
        | Code::NothingToApply
        | Code::UserNotFound
        | Code::KeyNotFound
        | Code::ViewNotFound
        | Code::NotFound
        | Code::MethodNotAllowed
        | Code::Taken
        | Code::LastAdmin
        | Code::RateLimited
        | Code::ViewBehind
        | Code::ViewUnavailable
        | Code::Unavailable
        | Code::Internal => code.as_str(),
    }
}

/// The answer to a request that failed.
pub(crate) fn respond(
    failure: &Failure,
    dialect: Dialect,
    request_id: &str,
    now: Timestamp,
) -> Response<Body> {
    let code = failure.code();
    let mut json = Json::with_capacity(256);
    match dialect {
        Dialect::Problem => write(&mut json, failure, Some(request_id)),
        Dialect::Manufacturing => write_manufacturing(&mut json, failure, request_id, now),
        Dialect::Warehouse => warehouse::write(&mut json, failure, request_id, now),
    }
    let mut response = Response::new(Body::from(json.into_bytes()));
    *response.status_mut() = match dialect {
        Dialect::Problem | Dialect::Manufacturing => code.status(),
        Dialect::Warehouse => warehouse::status_of(failure),
    };
    let headers = response.headers_mut();
    let content_type = match dialect {
        Dialect::Problem => "application/problem+json",
        Dialect::Manufacturing | Dialect::Warehouse => "application/json",
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(seconds) = failure.retry_after_s() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Failure::Rejected(rejected) = failure
        && let Rejection::VersionMismatch { present, .. } = rejected.rejection
    {
        if_match::tag(headers, present);
    }
    if let Failure::ContentEncoding = failure {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    if let Failure::Unauthenticated(_) = failure {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// A problem object.
pub(crate) fn write(json: &mut Json, failure: &Failure, request_id: Option<&str>) {
    let code = failure.code();
    json.raw(r#"{"type":""#).raw(code.path());
    json.raw(r#"","title":"#).text(code.title());
    json.raw(r#","status":"#).whole(code.status().as_u16());
    json.raw(r#","detail":"#).text(detail_of(code));
    write_members(json, failure);
    if let Some(id) = request_id {
        json.raw(r#","requestId":"#).text(id);
    }
    json.raw("}");
}

/// What a kind of problem tells besides.
fn write_members(json: &mut Json, failure: &Failure) {
    match failure {
        Failure::Rejected(rejected) => write_rejection(json, rejected),
        Failure::KeyReused { event } => {
            json.raw(r#","eventId":"#).uuid(*event);
        }
        Failure::AlreadyReversed { reversal } => {
            json.raw(r#","reversedById":"#).uuid(*reversal);
        }
        Failure::Invalid(faults) | Failure::Unprocessable(faults) => write_faults(json, faults),
        Failure::NotFound(Missing::WarehouseIn { field }) => {
            write_error(json, &format!("/{field}"), "there is no such warehouse");
        }
        Failure::NotFound(Missing::Variant { line: Some(line) }) => {
            let pointer = format!("/lines/{line}/variantId");
            write_error(json, &pointer, "there is no such variant");
        }
        Failure::NotFound(Missing::VariantListed { index }) => {
            write_error(json, &format!("/variantIds/{index}"), "there is no such variant");
        }
        Failure::MediaType { wanted } => {
            json.raw(r#","wanted":"#).text(wanted);
        }
        Failure::ContentEncoding => {
            let at = At::Header("Content-Encoding");
            write_faults(
                json,
                &Faults::one(at, "must be identity: no body is read compressed"),
            );
        }
        Failure::Stopped { why } => {
            json.raw(r#","reason":"#).text(why);
        }
        Failure::Unauthenticated(why) => {
            json.raw(r#","reason":"#).text(word_of_unproven(*why));
        }
        Failure::Forbidden(why) => {
            json.raw(r#","reason":"#).text(word_of_forbidden(*why));
        }
        Failure::Taken { field } => write_error(json, &format!("/{field}"), "is taken already"),
        Failure::Busy
        | Failure::DiskFull
        | Failure::OutcomeUnknown
        | Failure::NotAcceptable
        | Failure::BodyTooLarge
        | Failure::NotFound(_)
        | Failure::MethodNotAllowed
        | Failure::LoginRefused
        | Failure::RefreshRefused
        | Failure::NothingToApply
        | Failure::LastAdmin
        | Failure::RateLimited { .. }
        | Failure::ViewBehind
        | Failure::ViewUnavailable(_)
        | Failure::Unavailable
        | Failure::DatabaseUnavailable(_)
        | Failure::Internal(_) => {}
    }
}

fn write_rejection(json: &mut Json, rejected: &Rejected) {
    let (rejection, ids) = (&rejected.rejection, rejected.ids);
    match rejection {
        Rejection::Insufficient { shortages } | Rejection::OverReceipt { shortages, .. } => {
            json.raw(r#","shortages":"#);
            write_shortages(json, shortages, rejected);
        }
        Rejection::WrongWarehouse { destination, .. } => {
            json.raw(r#","toWarehouseId":"#).uuid(ids.warehouse(*destination));
        }
        Rejection::TransferTaken { by } => {
            json.raw(r#","takenBy":"#).uuid(ids.transfer(*by));
        }
        Rejection::VersionMismatch { expected, present } => {
            json.raw(r#","expected":"#).whole(expected.0);
            json.raw(r#","present":"#).whole(present.0);
        }
        Rejection::AvailableMismatch { lines } => {
            json.raw(r#","lines":["#);
            for (index, line) in lines.iter().enumerate() {
                json.raw(if index == 0 { "{" } else { ",{" });
                line_lot::write_named(json, ids, line.variant, rejected.name(line.variant));
                json.raw(r#","expected":"#).whole(line.expected);
                json.raw(r#","available":"#).whole(line.available).raw("}");
            }
            json.raw("]");
        }
        Rejection::CodeTaken { by } => {
            json.raw(r#","takenBy":"#).uuid(ids.warehouse(*by));
        }
        Rejection::CountOverlaps { by } => {
            json.raw(r#","countId":"#).uuid(ids.event(*by));
        }
        Rejection::SkuTaken { by } => {
            json.raw(r#","takenBy":"#).uuid(ids.variant(*by));
        }
        _ => {}
    }
    if let Some(pointer) = &rejected.pointer {
        // What two fields say together is told of both.
        let other = matches!(rejection, Rejection::ReorderAboveMax { .. }).then_some("/maxLevel");
        let pointers = [Some(&**pointer), other];
        write_errors(json, pointers.into_iter().flatten(), &message_of(rejection));
    }
}

/// The lines that ask for more than there is.
fn write_shortages(json: &mut Json, shortages: &[Shortage], rejected: &Rejected) {
    json.raw("[");
    for (index, shortage) in shortages.iter().enumerate() {
        json.raw(if index == 0 { "{" } else { ",{" });
        let name = rejected.name(shortage.variant);
        line_lot::write_named(json, rejected.ids, shortage.variant, name);
        if shortage.from != Place::Bucket(Bucket::Available) {
            json.raw(r#","from":""#)
                .raw(spelling::of_place(shortage.from))
                .raw("\"");
        }
        json.raw(r#","requested":"#).whole(shortage.requested);
        json.raw(r#","available":"#).whole(shortage.available).raw("}");
    }
    json.raw("]");
}

/// Rejections number lines; on the wire the pointer does.
fn message_of(rejection: &Rejection) -> String {
    let message = rejection.to_string();
    match message
        .strip_prefix("line ")
        .and_then(|rest| rest.split_once(": "))
    {
        Some((_, message)) => message.to_owned(),
        None => message,
    }
}

fn write_error(json: &mut Json, pointer: &str, detail: &str) {
    write_errors(json, [pointer], detail);
}

fn write_errors<'p>(json: &mut Json, pointers: impl IntoIterator<Item = &'p str>, detail: &str) {
    json.raw(r#","errors":["#);
    for (index, pointer) in pointers.into_iter().enumerate() {
        json.raw(if index == 0 {
            r#"{"pointer":"#
        } else {
            r#",{"pointer":"#
        });
        json.text(pointer).raw(r#","detail":"#).text(detail).raw("}");
    }
    json.raw("]");
}

fn write_faults(json: &mut Json, faults: &Faults) {
    json.raw(r#","errors":["#);
    for (index, fault) in faults.iter().enumerate() {
        json.raw(if index == 0 { "{" } else { ",{" });
        match &fault.at {
            At::Pointer(pointer) => json.raw(r#""pointer":"#).text(pointer),
            At::Parameter(name) => json.raw(r#""parameter":"#).text(name),
            At::Header(name) => json.raw(r#""header":"#).text(name),
        };
        json.raw(r#","detail":"#).text(&fault.detail).raw("}");
    }
    json.raw("]");
}

fn word_of_unproven(why: Unproven) -> &'static str {
    match why {
        Unproven::Missing => "missing",
        Unproven::Invalid => "invalid",
        Unproven::Expired { .. } => "expired",
        Unproven::Revoked => "revoked",
    }
}

fn word_of_forbidden(why: Forbidden) -> &'static str {
    match why {
        Forbidden::Role => "role",
        Forbidden::Warehouse => "warehouse",
        Forbidden::WarehouseRequired => "warehouse-required",
        Forbidden::OnBehalf => "on-behalf",
        Forbidden::Origin => "origin",
    }
}

fn write_manufacturing(json: &mut Json, failure: &Failure, request_id: &str, now: Timestamp) {
    let code = match failure.code().status().as_u16() {
        400 | 406 | 413 | 415 | 422 => "VALIDATION_ERROR",
        401 => "AUTHENTICATION_REQUIRED",
        403 => "INSUFFICIENT_PERMISSIONS",
        404 | 405 => "RESOURCE_NOT_FOUND",
        409 | 412 => "RESOURCE_CONFLICT",
        429 => "RATE_LIMIT_EXCEEDED",
        503 | 507 => "SERVICE_UNAVAILABLE",
        _ => "INTERNAL_SERVER_ERROR",
    };
    json.raw(r#"{"success":false,"error":{"code":"#).text(code);
    json.raw(r#","message":"#).text(failure.code().title());
    json.raw(r#","details":{"#);
    if let Failure::Invalid(faults) = failure {
        json.raw(r#""fields":{"#);
        for (index, fault) in faults.iter().enumerate() {
            json.raw(if index == 0 { "" } else { "," });
            json.text(field_of(&fault.at))
                .raw(":[")
                .text(&fault.detail)
                .raw("]");
        }
        json.raw("}");
    }
    json.raw(r#"}},"timestamp":"#).instant(now);
    json.raw(r#","request_id":"#).text(request_id).raw("}");
}

/// The name under which a fault is listed.
fn field_of(at: &At) -> &str {
    match at {
        At::Pointer(pointer) => pointer.strip_prefix('/').unwrap_or("body"),
        At::Parameter(name) => name,
        At::Header(name) => name,
    }
}

#[cfg(test)]
mod tests {
    use bincard_ledger::{Bucket, Kind, LedgerId, Mismatch, Position, PublicIds, VariantNo, Version};

    use super::*;

    fn problem_of(rejection: Rejection) -> serde_json::Value {
        let mut json = Json::with_capacity(256);
        let ids = PublicIds::new(LedgerId([7; 16]));
        let rejected = Rejected::nameless(rejection, ids);
        write(&mut json, &Failure::Rejected(Box::new(rejected)), None);
        serde_json::from_slice(&json.into_bytes()).unwrap()
    }

    #[test]
    fn what_is_the_matter_with_a_reservation_is_told_by_its_code() {
        let reservation = Position(5);
        let (bucket, expired_at) = (Bucket::Picked, Timestamp::from_micros(0));
        let told = [
            (
                Rejection::ReservationOver { reservation },
                "reservation-over",
                409,
            ),
            (
                Rejection::ReservationExpired {
                    reservation,
                    expired_at,
                },
                "reservation-expired",
                409,
            ),
            (
                Rejection::NothingHeld { reservation, bucket },
                "nothing-held",
                409,
            ),
            (
                Rejection::NotReversible { kind: Kind::Pick },
                "not-reversible",
                409,
            ),
        ];
        for (rejection, code, status) in told {
            let problem = problem_of(rejection);
            assert_eq!(problem["type"], format!("/problems/{code}"));
            assert_eq!(problem["detail"], code);
            assert_eq!(problem["status"], status);
            assert_eq!(problem["errors"], serde_json::Value::Null);
        }
    }

    #[test]
    fn a_condition_that_does_not_hold_is_told_with_what_is_so() {
        let (expected, present) = (Version(7), Version(9));
        let problem = problem_of(Rejection::VersionMismatch { expected, present });
        assert_eq!(
            problem,
            serde_json::json!({
                "type": "/problems/version-mismatch",
                "title": "Something was recorded in between",
                "status": 412,
                "detail": "version-mismatch",
                "expected": 7,
                "present": 9,
            })
        );
        let line = |no, expected, available| Mismatch {
            variant: VariantNo(no),
            expected,
            available,
        };
        let lines = vec![line(1, 5, 3), line(2, 0, 8)];
        let problem = problem_of(Rejection::AvailableMismatch { lines });
        let id = |no| PublicIds::new(LedgerId([7; 16])).variant(VariantNo(no));
        assert_eq!(
            problem,
            serde_json::json!({
                "type": "/problems/available-mismatch",
                "title": "Another quantity is available than was expected",
                "status": 412,
                "detail": "available-mismatch",
                "lines": [
                    {"variantId": id(1), "variantSku": null, "expected": 5, "available": 3},
                    {"variantId": id(2), "variantSku": null, "expected": 0, "available": 8},
                ],
            })
        );
    }
}
