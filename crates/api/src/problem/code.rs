//! Every kind of problem there is: its code, status and title, and the page that explains it.

use axum::http::StatusCode;

macro_rules! codes {
    ($($name:ident = $status:literal $code:literal $title:literal,)*) => {
        /// What kind of problem it is. The `type` of a problem leads to `/problems/<code>`.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[expect(clippy::enum_variant_names, reason = "a variant is named as its code is spelled")]
        pub(crate) enum Code {
            $($name,)*
        }

        impl Code {
            /// Every code.
            pub(crate) const ALL: &[Code] = &[$(Code::$name,)*];

            /// The code as it stands in `type`.
            pub(crate) const fn as_str(self) -> &'static str {
                match self {
                    $(Code::$name => $code,)*
                }
            }

            /// The path of its page, which is its `type`.
            pub(crate) const fn path(self) -> &'static str {
                match self {
                    $(Code::$name => concat!("/problems/", $code),)*
                }
            }

            /// What it is, in one line.
            pub(crate) const fn title(self) -> &'static str {
                match self {
                    $(Code::$name => $title,)*
                }
            }

            /// The status that goes with it.
            pub(crate) const fn status(self) -> StatusCode {
                match self {
                    $(Code::$name => status($status),)*
                }
            }

            /// Its page, in Markdown.
            pub(crate) const fn page(self) -> &'static str {
                match self {
                    $(Code::$name => include_str!(concat!("../../../../docs/problems/", $code, ".md")),)*
                }
            }
        }
    };
}

const fn status(code: u16) -> StatusCode {
    match StatusCode::from_u16(code) {
        Ok(status) => status,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

codes! {
    NoLines = 400 "no-lines" "An event has at least one line",
    TooManyLines = 400 "too-many-lines" "An event has at most 1,000 lines",
    TooManyPostings = 400 "too-many-postings" "The lines are of more lots and reservations than an event has room for",
    InvalidQuantity = 400 "invalid-quantity" "A quantity is out of range",
    DuplicateVariant = 400 "duplicate-variant" "A variant or lot stands in two lines",
    ReasonMismatch = 400 "reason-mismatch" "The reason does not go with the type",
    NotesTooLong = 400 "notes-too-long" "Notes are too long",
    OccursInFuture = 400 "occurs-in-future" "The event lies in the future",
    InstantOutOfRange = 400 "instant-out-of-range" "An instant is out of range",
    OrderMissing = 422 "order-missing" "The event needs an order",
    TransferMissing = 422 "transfer-missing" "The event needs a transfer",
    SameWarehouse = 400 "same-warehouse" "A transfer goes from one warehouse to another",
    InvalidReference = 400 "invalid-reference" "An order's or transfer's id is not valid",
    FieldNotAllowed = 400 "field-not-allowed" "A field does not go with the type",
    ExpiryPassed = 400 "expiry-passed" "The expiry has passed already",
    NotCommandable = 400 "not-commandable" "The ledger records this by itself",
    WarehouseNotFound = 404 "warehouse-not-found" "There is no such warehouse",
    WarehouseInactive = 400 "warehouse-inactive" "The warehouse is not active",
    VariantNotFound = 404 "variant-not-found" "There is no such variant",
    VariantInactive = 400 "variant-inactive" "The variant is not active",
    VariantExpired = 400 "variant-expired" "The variant has expired",
    LotInactive = 400 "lot-inactive" "The lot is not in use",
    LotExpired = 400 "lot-expired" "The lot has expired",
    LotMissing = 400 "lot-missing" "The line needs a lot",
    LotNotTracked = 400 "lot-not-tracked" "The variant does not lie in lots",
    LotNotFound = 404 "lot-not-found" "There is no such lot",
    LotExpiryMismatch = 409 "lot-expiry-mismatch" "The lot expires at another instant",
    VariantHasStock = 409 "variant-has-stock" "The variant has stock",
    ProductNotFound = 404 "product-not-found" "There is no such product",
    InsufficientStock = 409 "insufficient-stock" "There is not enough stock",
    ReservationOver = 409 "reservation-over" "The reservation holds nothing any more",
    ReservationExpired = 409 "reservation-expired" "The reservation has run out",
    NothingHeld = 409 "nothing-held" "The reservation has nothing where it is to be taken from",
    TransferTaken = 409 "transfer-taken" "Another transfer of this id is open",
    TransferOver = 409 "transfer-over" "The transfer has nothing on the way any more",
    WrongWarehouse = 409 "wrong-warehouse" "The transfer goes to another warehouse",
    OverReceipt = 409 "over-receipt" "More was found than is on the way",
    NotReversible = 409 "not-reversible" "The event cannot be undone by a reversal",
    AlreadyReversed = 409 "already-reversed" "The event is undone already",
    ExceptionCleared = 409 "exception-cleared" "The exception has been cleared already",
    CountOver = 409 "count-over" "The count is over",
    CountOverlaps = 409 "count-overlaps" "Another open count is of the same stock",
    NotToBeCounted = 409 "not-to-be-counted" "The count is not of this variant or lot",
    InvalidCount = 400 "invalid-count" "What was counted is out of range",
    CountedTooEarly = 409 "counted-too-early" "It was counted before the count was opened",
    NothingCounted = 409 "nothing-counted" "Nothing has been counted",
    CountFull = 409 "count-full" "The count has as many variants as it can have",
    VersionMismatch = 412 "version-mismatch" "Something was recorded in between",
    AvailableMismatch = 412 "available-mismatch" "Another quantity is available than was expected",
    QuantityOverflow = 400 "quantity-overflow" "The stock would be larger than can be counted",
    CodeTaken = 409 "code-taken" "Another warehouse has this code",
    SkuTaken = 409 "sku-taken" "Another variant has this SKU",
    InvalidText = 400 "invalid-text" "A text is empty, too long, or has characters that it must not have",
    NumberOutOfRange = 400 "number-out-of-range" "A number is out of range",
    NumbersExhausted = 409 "numbers-exhausted" "The catalogue is full",
    IdempotencyConflict = 409 "idempotency-conflict" "The idempotency key belongs to another request",
    Busy = 503 "busy" "The ledger has more requests than it can take",
    DiskFull = 507 "disk-full" "The disk is full",
    Stopped = 503 "stopped" "The ledger takes no more events",
    OutcomeUnknown = 503 "outcome-unknown" "Whether the request was recorded is not known",
    InvalidPayload = 400 "invalid-payload" "The request is not valid",
    Unprocessable = 422 "unprocessable" "The request asks for what cannot be",
    NotAcceptable = 406 "not-acceptable" "There is no such version of the answer",
    BodyTooLarge = 413 "body-too-large" "The body is too large",
    UnsupportedMediaType = 415 "unsupported-media-type" "The body is of another type than is taken here",
    Unauthenticated = 401 "unauthenticated" "The request does not say who makes it, or what it says is not valid",
    LoginRefused = 401 "login-refused" "The e-mail address or the password is wrong",
    RefreshRefused = 401 "refresh-refused" "The refresh token is not valid",
    Forbidden = 403 "forbidden" "You may not do this",
    EventNotFound = 404 "event-not-found" "There is no such event",
    ReservationNotFound = 404 "reservation-not-found" "There is no such reservation",
    TransferNotFound = 404 "transfer-not-found" "There is no such transfer",
    CountNotFound = 404 "count-not-found" "There is no such count",
    ExceptionNotFound = 404 "exception-not-found" "There is no such exception",
    ReconciliationNotFound = 404 "reconciliation-not-found" "There is no such reconciliation",
    NothingToApply = 409 "nothing-to-apply" "There is no count to correct the ledger by",
    UserNotFound = 404 "user-not-found" "There is no such user",
    KeyNotFound = 404 "key-not-found" "There is no such API key",
    ViewNotFound = 404 "view-not-found" "There is no such view",
    NotFound = 404 "not-found" "There is nothing at this address",
    MethodNotAllowed = 405 "method-not-allowed" "The method is not one that this address takes",
    Taken = 409 "taken" "Another one has this value",
    LastAdmin = 409 "last-admin" "The organisation would be left without an ADMIN",
    RateLimited = 429 "rate-limited" "Too many requests",
    ViewBehind = 503 "view-behind" "The view has not come as far as was asked for",
    ViewUnavailable = 503 "view-unavailable" "The view cannot answer at the moment",
    Unavailable = 503 "unavailable" "The server cannot do this at the moment",
    Internal = 500 "internal" "The server failed",
}

impl Code {
    /// The code that a path under `/problems/` names.
    pub(crate) fn parse(text: &str) -> Option<Code> {
        Code::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_says_what_its_code_says() {
        for code in Code::ALL {
            let head = format!(
                "# {}\n\nCode `{}`, status {}.\n\n",
                code.title(),
                code.as_str(),
                code.status().as_u16()
            );
            assert!(
                code.page().starts_with(&head),
                "docs/problems/{}.md should begin:\n{head}",
                code.as_str()
            );
            assert!(
                code.page().len() > head.len() + 40,
                "docs/problems/{}.md says nothing",
                code.as_str()
            );
            assert_eq!(Code::parse(code.as_str()), Some(*code));
        }
    }

    #[test]
    fn every_page_has_a_code() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/problems");
        for file in std::fs::read_dir(folder).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            let code = name.strip_suffix(".md").expect("pages are Markdown");
            assert!(
                Code::parse(code).is_some(),
                "docs/problems/{name} explains no code"
            );
        }
    }
}
