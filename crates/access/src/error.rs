//! What can go wrong, by what a caller can do about it.

use std::path::PathBuf;

use crate::UnixMs;

/// A change or a question that could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A value does not fit its field.
    #[error("{field}: {why}")]
    Invalid {
        /// The field, as the structs here spell it.
        field: &'static str,
        /// What it must be.
        why: &'static str,
    },
    /// Another user or tenant has this value already.
    #[error("{field} is taken already: choose another")]
    Taken {
        /// The field, as the structs here spell it.
        field: &'static str,
    },
    /// No such tenant, or user or key in this tenant.
    #[error("no such {what}")]
    NotFound {
        /// `tenant`, `user` or `key`.
        what: &'static str,
    },
    /// The change would leave a tenant without an active ADMIN.
    #[error("this is the tenant's last active ADMIN: make another one first")]
    LastAdmin,
    /// Too many passwords wait to be checked.
    #[error("too many sign-ins at once: try again in a moment")]
    Busy,
    /// The file could not be made ready.
    #[error("cannot prepare {}: check that the folder exists and may be written", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file's tables are not those that this program expects, or could not be brought up to date.
    #[error(
        "the tables of {} cannot be brought up to date: it may have been written by a newer version",
        path.display()
    )]
    Migrate {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// The address of a database is not one. What is in it is not repeated: it may hold a password.
    #[error(
        "the database's address is not of the form postgres://user:password@host:5432/database, with no parameters \
         but libpq's"
    )]
    Address {
        /// What is wrong with it, if it could be told.
        #[source]
        source: Option<sqlx::Error>,
    },
    /// PostgreSQL could not be reached at the start, or let nobody in.
    #[error(
        "cannot connect to the PostgreSQL database {database}: check that it runs and that the address is right"
    )]
    Connect {
        /// Its name and host.
        database: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
    /// The tables in PostgreSQL are not those that this program expects, or could not be brought up to date.
    #[error(
        "the schema bincard_accounts of the PostgreSQL database {database} cannot be brought up to date: it may have \
         been made by a newer version"
    )]
    Schema {
        /// The database's name and host.
        database: String,
        /// Why.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// The database does not answer, or has too much to do. It may in a moment; nothing needs to be started anew.
    #[error("the accounts database is not available at the moment: try again")]
    Unavailable(#[source] sqlx::Error),
    /// There is no room for what was to be written: nothing was. It goes on when there is.
    #[error("the disk that holds the accounts database is full: make space")]
    Full(#[source] sqlx::Error),
    /// The database failed.
    #[error("the accounts database failed")]
    Database(#[source] sqlx::Error),
    /// A stored value makes no sense: somebody else wrote it, or the file is damaged.
    #[error("the accounts database holds an impossible {what}: restore it from a backup")]
    Corrupt {
        /// Which column.
        what: &'static str,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gives no random bytes")]
    NoRandomness,
    /// argon2 or the token signer refused its input.
    #[error("hashing or signing failed")]
    Crypto,
    /// The runtime is shutting down.
    #[error("the server is stopping")]
    Stopping,
}

/// Why a request has no caller.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// Not a token of this installation: malformed, forged, or unknown.
    #[error("the token is not valid: sign in again")]
    Invalid,
    /// It was valid until `at`.
    #[error("the token has expired: refresh it or sign in again")]
    Expired {
        /// The first instant at which it no longer worked.
        at: UnixMs,
    },
    /// Its key, session or user was ended before its time.
    #[error("the token has been revoked: sign in again")]
    Revoked,
    /// Nobody can tell at the moment: answer 503, not 401.
    #[error("authentication is not available at the moment")]
    Unavailable(#[from] AccessError),
}

/// Why a login was refused.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Unknown user, wrong password or disabled user: deliberately one and the same.
    #[error("wrong e-mail address, username or password")]
    Refused,
    /// Nobody can tell at the moment.
    #[error("signing in is not available at the moment")]
    Unavailable(#[from] AccessError),
}

/// Why a refresh token gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// Not a refresh token of a living session.
    #[error("the refresh token is not valid: sign in again")]
    Invalid,
    /// The session has been idle for too long.
    #[error("the session has expired: sign in again")]
    Expired {
        /// The first instant at which it no longer worked.
        at: UnixMs,
    },
    /// A token that had been replaced was used again: somebody else may hold it, so the whole session has ended.
    #[error("the refresh token had been used already: the session has been ended, sign in again")]
    Reused,
    /// Nobody can tell at the moment.
    #[error("refreshing is not available at the moment")]
    Unavailable(#[from] AccessError),
}

impl From<sqlx::Error> for AccessError {
    fn from(error: sqlx::Error) -> AccessError {
        if is_full(&error) {
            AccessError::Full(error)
        } else if passes(&error) {
            AccessError::Unavailable(error)
        } else {
            AccessError::Database(error)
        }
    }
}

/// SQLite's code for it, and PostgreSQL's.
fn is_full(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| matches!(&*code, "13" | "53100"))
}

/// Whether the same may succeed in a moment, because it failed for want of a server, a connection or a lock.
fn passes(error: &sqlx::Error) -> bool {
    match error {
        // The last is also what comes of being hung up on in the middle of an answer.
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(cause) => cause.code().is_some_and(|code| is_passing(&code)),
        _ => false,
    }
}

/// PostgreSQL's codes have five characters, SQLite's are numbers of up to four digits.
fn is_passing(code: &str) -> bool {
    match code {
        // SQLite: another process writes, for longer than we wait.
        "5" | "261" | "517" => true,
        // A server that only reads, as one about to become the primary does; a transaction that idled.
        "25006" | "25P03" => true,
        // Two transactions in each other's way, a lock not had in time, a statement that an operator ended.
        "40001" | "40P01" | "55P03" | "57014" => true,
        // No connection, no room, shutting down or starting up.
        _ => code.len() == 5 && ["08", "53", "57P"].iter().any(|class| code.starts_with(class)),
    }
}

macro_rules! database_failure {
    ($($error:ty),*) => {$(
        impl From<sqlx::Error> for $error {
            fn from(error: sqlx::Error) -> Self {
                AccessError::from(error).into()
            }
        }
    )*};
}

database_failure!(AuthError, LoginError, RefreshError);

/// Names the field when a unique index refuses an insert. SQLite says `UNIQUE constraint failed: users.email`,
/// PostgreSQL names the constraint, `users_email`.
pub(crate) fn taken(error: sqlx::Error) -> AccessError {
    let refused_by = match &error {
        sqlx::Error::Database(cause) if cause.is_unique_violation() => {
            cause.constraint().unwrap_or(cause.message())
        }
        _ => return error.into(),
    };
    let is = |column: &str, constraint: &str| refused_by.contains(column) || refused_by == constraint;
    let field = if is("users.email", "users_email") {
        "email"
    } else if is("users.username", "users_username") {
        "username"
    } else if is("tenants.name", "tenants_name") {
        "tenant"
    } else {
        return error.into();
    };
    AccessError::Taken { field }
}

/// For a stored value that does not parse: not the asker's fault, so not [`AccessError::Invalid`].
pub(crate) fn corrupt(what: &'static str) -> impl FnOnce(AccessError) -> AccessError {
    move |_| AccessError::Corrupt { what }
}
