//! Everything that can keep a request from being done: what the ledger refuses, what the request gets wrong, and what
//! goes wrong here. Routes answer it; how it looks on the wire is for [`crate::problem`] to say.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use bincard_access::{AccessError, AuthError, LoginError, Quota, RefreshError};
use bincard_engine::{Ledger, Refusal};
use bincard_ledger::Timestamp;
use bincard_store::ReadError;
use uuid::Uuid;

use crate::rejected::{Rejected, Shape};
use crate::wire::tree::{At, Faults};

/// Why a request is not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The ledger's rules refuse it.
    Rejected(Box<Rejected>),
    /// Another request stands under its idempotency key.
    KeyReused {
        event: Uuid,
    },
    /// The event is undone already, by another request.
    AlreadyReversed {
        reversal: Uuid,
    },
    Busy,
    DiskFull,
    /// The ledger takes nothing more, or the server ends.
    Stopped {
        why: Arc<str>,
    },
    OutcomeUnknown,
    /// The request says what cannot be understood.
    Invalid(Faults),
    /// The request can be understood, and asks for what cannot be.
    Unprocessable(Faults),
    /// The request accepts only versions of an answer that there are none of.
    NotAcceptable,
    BodyTooLarge,
    MediaType {
        wanted: &'static str,
    },
    /// The body is compressed, and nobody here reads that.
    ContentEncoding,
    NotFound(Missing),
    MethodNotAllowed,
    Unauthenticated(Unproven),
    LoginRefused,
    RefreshRefused,
    Forbidden(Forbidden),
    /// There is no count to correct the ledger by.
    NothingToApply,
    /// An e-mail address or username that somebody has.
    Taken {
        field: &'static str,
    },
    LastAdmin,
    RateLimited {
        quota: Quota,
        retry_after_s: u32,
    },
    /// The view did not reach the position that was asked for in time.
    ViewBehind,
    /// The view has failed or is not built yet.
    ViewUnavailable(Box<dyn Error + Send + Sync>),
    /// Too much at once, or the end is near.
    Unavailable,
    /// A database does not answer: that of the accounts, or of the log.
    DatabaseUnavailable(Box<dyn Error + Send + Sync>),
    Internal(Box<dyn Error + Send + Sync>),
}

/// What was not found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Missing {
    Warehouse,
    /// A warehouse that a field of the body names.
    WarehouseIn {
        field: &'static str,
    },
    Product,
    /// A variant; where it stood in a line, its number from 0.
    Variant {
        line: Option<usize>,
    },
    /// A variant that stood in `variantIds`, its number there from 0.
    VariantListed {
        index: usize,
    },
    Event,
    Reservation,
    Exception,
    Count,
    Reconciliation,
    Transfer,
    Lot,
    User,
    Key,
    View,
    Address,
}

/// Why it is not known who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unproven {
    Missing,
    Invalid,
    /// Since this instant.
    Expired {
        at: Timestamp,
    },
    Revoked,
}

/// Why a caller may not do what it asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Forbidden {
    /// Its role does not allow it.
    Role,
    /// It is not one of its warehouses.
    Warehouse,
    /// A SELLER lists without naming a warehouse.
    WarehouseRequired,
    /// Only an ADMIN names another user.
    OnBehalf,
    /// A write with a cookie that does not come from our own pages.
    Origin,
}

impl Failure {
    /// One fault of the body.
    pub(crate) fn at_pointer(pointer: impl Into<String>, detail: &'static str) -> Failure {
        Failure::Invalid(Faults::one(At::Pointer(pointer.into()), detail))
    }

    /// One fault of a header field.
    pub(crate) fn at_header(name: &'static str, detail: &'static str) -> Failure {
        Failure::Invalid(Faults::one(At::Header(name), detail))
    }

    /// One field of the body that asks for what cannot be.
    pub(crate) fn unprocessable(field: &'static str, detail: impl Into<Cow<'static, str>>) -> Failure {
        Failure::Unprocessable(Faults::one(At::Pointer(format!("/{field}")), detail))
    }

    /// One fault of the query.
    pub(crate) fn at_parameter(name: &'static str, detail: &'static str) -> Failure {
        Failure::Invalid(Faults::one(At::Parameter(name.to_owned()), detail))
    }

    pub(crate) fn internal(error: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
        Failure::Internal(error.into())
    }

    /// What the ledger answered to a request of this shape.
    pub(crate) fn of_refusal(refusal: Refusal, ledger: &Ledger, shape: Shape) -> Failure {
        match refusal {
            Refusal::Rejected(rejection) => {
                Failure::Rejected(Box::new(Rejected::new(rejection, ledger, shape)))
            }
            Refusal::KeyReused { position } => Failure::KeyReused {
                event: ledger.ids().event(position),
            },
            Refusal::Busy => Failure::Busy,
            Refusal::Unavailable { .. } => Failure::Unavailable,
            Refusal::DiskFull => Failure::DiskFull,
            Refusal::Stopped { why } => Failure::Stopped { why },
            Refusal::OutcomeUnknown => Failure::OutcomeUnknown,
            Refusal::Unreadable { .. } => Failure::Internal(refusal.into()),
        }
    }
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Failure {
        Failure::Invalid(faults)
    }
}

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Failure {
        match error {
            AuthError::Invalid => Failure::Unauthenticated(Unproven::Invalid),
            AuthError::Expired { at } => Failure::Unauthenticated(Unproven::Expired {
                at: Timestamp::from_micros(at.0.saturating_mul(1_000)),
            }),
            AuthError::Revoked => Failure::Unauthenticated(Unproven::Revoked),
            AuthError::Unavailable(error) => error.into(),
        }
    }
}

impl From<LoginError> for Failure {
    fn from(error: LoginError) -> Failure {
        match error {
            LoginError::Refused => Failure::LoginRefused,
            LoginError::Unavailable(error) => error.into(),
        }
    }
}

impl From<RefreshError> for Failure {
    fn from(error: RefreshError) -> Failure {
        match error {
            RefreshError::Invalid | RefreshError::Expired { .. } | RefreshError::Reused => {
                Failure::RefreshRefused
            }
            RefreshError::Unavailable(error) => error.into(),
        }
    }
}

impl From<AccessError> for Failure {
    fn from(error: AccessError) -> Failure {
        match error {
            AccessError::Invalid { field, why } => Failure::at_pointer(format!("/{}", wire_name(field)), why),
            AccessError::Taken { field } => Failure::Taken { field },
            AccessError::NotFound { what: "key" } => Failure::NotFound(Missing::Key),
            AccessError::NotFound { what: "user" } => Failure::NotFound(Missing::User),
            AccessError::LastAdmin => Failure::LastAdmin,
            AccessError::Busy | AccessError::Stopping => Failure::Unavailable,
            AccessError::Unavailable(_) => Failure::DatabaseUnavailable(error.into()),
            AccessError::Full(_) => Failure::DiskFull,
            AccessError::NotFound { .. }
            | AccessError::Create { .. }
            | AccessError::Migrate { .. }
            | AccessError::Address { .. }
            | AccessError::Connect { .. }
            | AccessError::Schema { .. }
            | AccessError::Database(_)
            | AccessError::Corrupt { .. }
            | AccessError::NoRandomness
            | AccessError::Crypto => Failure::internal(error),
        }
    }
}

/// The wire's spelling of a field of accounts.
fn wire_name(field: &str) -> &str {
    match field {
        "first_name" => "firstName",
        "last_name" => "lastName",
        "expires_at" => "expiresAt",
        "warehouses" => "warehouseIds",
        same => same,
    }
}

/// A failure on its way out of a route: whoever stands around the routes knows the request's id and the family that
/// it belongs to, and renders it.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Failure {
        match error {
            // It may answer the next time.
            ReadError::Database { .. } => Failure::DatabaseUnavailable(error.into()),
            ReadError::Corrupt(_)
            | ReadError::Decode { .. }
            | ReadError::Io { .. }
            | ReadError::Damaged { .. } => Failure::internal(error),
        }
    }
}

impl From<bincard_projections::Error> for Failure {
    fn from(error: bincard_projections::Error) -> Failure {
        use bincard_projections::Error;
        match error {
            Error::Behind { .. } => Failure::ViewBehind,
            Error::Database { .. }
            | Error::Foreign { .. }
            | Error::Gone { .. }
            | Error::Building { .. }
            | Error::Folder { .. }
            | Error::Postgres(_)
            | Error::ReconciliationsAway { .. }
            | Error::ReconciledElsewhere
            | Error::FedElsewhere { .. }
            | Error::LogBehind { .. }
            | Error::Stopped
            | Error::Rebuilding { .. } => Failure::ViewUnavailable(error.into()),
            Error::TooManyWaiting { .. } => Failure::Unavailable,
            Error::ReconciliationsFull { .. } => Failure::DiskFull,
            Error::Reconciliations { .. }
            | Error::ReconciliationsVersion { .. }
            | Error::NobodyCorrects
            | Error::Correcting(_)
            | Error::Cancelled
            | Error::Migrate(_) => Failure::internal(error),
            Error::Log(error) => error.into(),
            Error::Decode { .. } | Error::Inconsistent(_) => Failure::internal(error),
        }
    }
}
