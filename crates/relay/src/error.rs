//! Why relaying came to an end for now.

use async_nats::jetstream::context::{CreateStreamErrorKind, GetStreamErrorKind, PublishErrorKind};
use async_nats::jetstream::stream::{InfoError, LastRawMessageErrorKind};
use bincard_ledger::Position;

use crate::jetstream::STREAM;

/// Why relaying came to an end for now. It is tried again after every one of these.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The credentials cannot be used.
    #[error("nats_credentials_file {path} cannot be used")]
    Credentials {
        /// The file.
        path: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// NATS does not answer.
    #[error("NATS cannot be reached")]
    Connect(#[source] async_nats::ConnectError),
    /// The connection to NATS broke.
    #[error("the connection to NATS is lost")]
    Lost,
    /// The stream cannot be opened.
    #[error("the stream {STREAM} cannot be opened; NATS must run with JetStream (-js)")]
    Stream(#[source] async_nats::error::Error<GetStreamErrorKind>),
    /// The stream cannot be made.
    #[error("the stream {STREAM} cannot be made")]
    Make(#[source] async_nats::error::Error<CreateStreamErrorKind>),
    /// The stream cannot be asked where it stands.
    #[error("the stream {STREAM} does not say where it stands")]
    Info(#[source] InfoError),
    /// The stream cannot be read.
    #[error("the stream {STREAM} cannot be read")]
    Look(#[source] async_nats::error::Error<LastRawMessageErrorKind>),
    /// A message was refused because another stood before it, or an older one.
    #[error("another wrote into the stream {STREAM}, or it lost its end: where it stands is looked up again")]
    Refused,
    /// A message was taken for known.
    #[error(
        "NATS takes position {position} of tenant {tenant} for known: another relay has just sent it; or it was deleted from \
         {STREAM} a short while ago, and can be sent again once the stream's duplicate window is over"
    )]
    TakenForKnown {
        /// Whose.
        tenant: String,
        /// Which event.
        position: Position,
    },
    /// A message was not acknowledged.
    #[error("position {position} of tenant {tenant} was not acknowledged")]
    Publish {
        /// Whose.
        tenant: String,
        /// Which event.
        position: Position,
        /// Why not.
        #[source]
        source: async_nats::error::Error<PublishErrorKind>,
    },
    /// Where a ledger stands cannot be read.
    #[error("how far the ledger of tenant {tenant} was relayed cannot be read")]
    Kept {
        /// Whose.
        tenant: String,
        /// Why not.
        #[source]
        source: bincard_store::ReadError,
    },
    /// The thread that reads the log ended early.
    #[error("reading a log ended early")]
    Reading(#[source] tokio::task::JoinError),
    /// Another node may relay now.
    #[error("the right to relay ran out")]
    LeaseLost,
}
