//! What can go wrong on the read side.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bincard_ledger::codec::DecodeError;
use bincard_ledger::{Inconsistent, Position};
use bincard_store::ReadError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

use crate::name::ViewName;

/// Why a view could not be read, fed, rebuilt or verified.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The view's database refused. The projector retries by itself, and builds a damaged view anew.
    #[error("the view {view} cannot be used")]
    Database {
        /// Which view.
        view: ViewName,
        /// What the database said.
        source: sqlx::Error,
    },
    /// PostgreSQL did not do as asked.
    #[error("the views in PostgreSQL cannot be used")]
    Postgres(#[from] sqlx::Error),
    /// The tables in PostgreSQL that say which views there are cannot be brought up to date.
    #[error("the tables of the views in PostgreSQL cannot be brought up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// Another node feeds the view.
    #[error("another node feeds the view {view}")]
    FedElsewhere {
        /// Which view.
        view: ViewName,
    },
    /// Another node fed the view with events that this one has not heard of yet: soon it has.
    #[error("the view {view} stands at position {position}, and this node knows the log up to {head}")]
    LogBehind {
        /// Which view.
        view: ViewName,
        /// Where it stands.
        position: Position,
        /// Where the log ends, as far as this node knows.
        head: Position,
    },
    /// The view's file is of another version of its schema, or stands where the log does not reach: the log is another
    /// one, or the file is damaged. The projector builds it anew.
    #[error(
        "the view {view} has schema {schema}, where {wanted} is made, and stands at position {position} of a log \
         that ends at {head}"
    )]
    Foreign {
        /// Which view.
        view: ViewName,
        /// The version of the schema that the file says it has.
        schema: i64,
        /// The version that this program makes.
        wanted: i64,
        /// Where the file says that it stands.
        position: Position,
        /// Where the log ends.
        head: Position,
    },
    /// The file of the generation that was served is gone, or empty. The projector builds it anew.
    #[error("the file of generation {generation} of the view {view} is gone or empty")]
    Gone {
        /// Which view.
        view: ViewName,
        /// Which generation of it.
        generation: u64,
    },
    /// The view has never caught up with the log yet, or is being built anew after damage: try again later.
    #[error("the view {view} is being built and has not caught up with the log yet")]
    Building {
        /// Which view.
        view: ViewName,
    },
    /// The view did not reach a position in time.
    #[error("the view {view} stands at position {reached} and did not reach {wanted} within {} ms", waited.as_millis())]
    Behind {
        /// Which view.
        view: ViewName,
        /// Where it stands.
        reached: Position,
        /// Where it should have stood.
        wanted: Position,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The log could not be read.
    #[error("the log cannot be read")]
    Log(#[from] ReadError),
    /// A record of the log cannot be decoded.
    #[error("the record at position {position} cannot be decoded; it may come from a newer program")]
    Decode {
        /// Which.
        position: Position,
        /// What is wrong.
        source: DecodeError,
    },
    /// An event does not follow from those before it.
    #[error(transparent)]
    Inconsistent(#[from] Inconsistent),
    /// The folder of the views could not be used.
    #[error("cannot {doing} {}", path.display())]
    Folder {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The database of reconciliations refused.
    #[error("the reconciliations in {} cannot be used", path.display())]
    Reconciliations {
        /// Its file.
        path: PathBuf,
        /// What the database said.
        source: sqlx::Error,
    },
    /// PostgreSQL refused what reconciliations need.
    #[error("the reconciliations in PostgreSQL cannot be used")]
    ReconciliationsAway {
        /// What the database said.
        source: sqlx::Error,
    },
    /// There is no room for what was to be written of reconciliations: nothing was. It goes on when there is.
    #[error("the disk that holds the reconciliations is full: make space")]
    ReconciliationsFull {
        /// What the database said.
        source: sqlx::Error,
    },
    /// Another node has the right to do the ledger's reconciliations.
    #[error("another node goes on with the reconciliation")]
    ReconciledElsewhere,
    /// The database of reconciliations was made by another version of this program.
    #[error("{} has version {version} of its tables, and this program knows {known}: use a newer program", path.display())]
    ReconciliationsVersion {
        /// Its file.
        path: PathBuf,
        /// The version that it has.
        version: i64,
        /// The version that this program makes.
        known: i64,
    },
    /// A reconciliation is to correct the ledger, and was opened where nobody does.
    #[error("nobody corrects the ledger here: reconcile on a server")]
    NobodyCorrects,
    /// The ledger could not be corrected.
    #[error("the ledger could not be corrected: {0}")]
    Correcting(String),
    /// So many reconciliations wait already that no more are taken.
    #[error("{waiting} reconciliations are waiting already: wait for one to end, or cancel one")]
    TooManyWaiting {
        /// How many.
        waiting: u64,
    },
    /// The reconciliation was cancelled.
    #[error("the reconciliation was cancelled")]
    Cancelled,
    /// The projector has stopped.
    #[error("the projector has stopped")]
    Stopped,
    /// The view is being rebuilt already.
    #[error("the view {view} is being rebuilt already")]
    Rebuilding {
        /// Which view.
        view: ViewName,
    },
}

impl Error {
    pub(crate) fn database(view: ViewName) -> impl Fn(sqlx::Error) -> Error {
        move |source| Error::Database { view, source }
    }

    pub(crate) fn folder<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
        move |source| Error::Folder {
            doing,
            path: path.to_owned(),
            source,
        }
    }

    /// Whether this says that the view's file itself is bad, so that only building it anew helps.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Error::Database {
                source: sqlx::Error::Database(error),
                ..
            } if error.try_downcast_ref::<PgDatabaseError>().is_some() => {
                // A table, a column or a whole schema that is missing, rows that stand in the way, and what PostgreSQL
                // itself calls corrupt.
                let code = error.code().unwrap_or_default();
                ["42P01", "42703", "3F000", "XX001", "XX002"].contains(&&*code) || code.starts_with("23")
            }
            Error::Database {
                source: sqlx::Error::Database(_),
                ..
            } => {
                // SQLITE_CORRUPT and SQLITE_NOTADB with their extended codes; a missing table or column and rows that
                // stand in the way (SQLITE_ERROR, SQLITE_CONSTRAINT) can only come from a file that is not ours. So can
                // SQLITE_READONLY: a single byte of the header says so. Where it is the disk that cannot be written,
                // building anew fails in its own words.
                matches!(self.code(), Some(1 | 8 | 11 | 19 | 26))
            }
            Error::Database { source, .. } => {
                matches!(
                    source,
                    sqlx::Error::RowNotFound | sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)
                )
            }
            Error::Foreign { .. } => true,
            _ => false,
        }
    }

    /// Whether it is the way to PostgreSQL that failed, and not what was asked there.
    pub(crate) fn is_of_connection(&self) -> bool {
        let (Error::Database { source, .. } | Error::Postgres(source)) = self else {
            return false;
        };
        matches!(
            source,
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed
        )
    }

    /// Whether the view's file is merely of an older version of this program.
    pub(crate) fn is_outdated(&self) -> bool {
        matches!(self, Error::Foreign { schema, wanted, position, head, .. } if schema < wanted && position <= head)
    }

    /// Whether the view's file, which was only read, cannot be answered from: it is damaged, unreadable or gone.
    pub(crate) fn is_unreadable(&self) -> bool {
        // SQLITE_IOERR, which a bad sector leads to, and SQLITE_CANTOPEN.
        self.is_damage() || matches!(self.code(), Some(10 | 14))
    }

    /// Whether SQLite found the file itself to be corrupt.
    pub(crate) fn is_corruption(&self) -> bool {
        matches!(self.code(), Some(11 | 26))
    }

    /// SQLite's code, without what extends it; none of PostgreSQL's.
    fn code(&self) -> Option<u32> {
        let Error::Database {
            source: sqlx::Error::Database(error),
            ..
        } = self
        else {
            return None;
        };
        error.try_downcast_ref::<SqliteError>()?;
        Some(error.code()?.parse::<u32>().ok()? & 0xFF)
    }

    /// The error with its causes, in one line. A cause that its effect repeats already is left out.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let said = error.to_string();
            if !text.ends_with(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            cause = error.source();
        }
        text
    }
}
