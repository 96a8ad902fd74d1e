//! The relay: events from the log to NATS JetStream, in the order of each ledger, each once.
//!
//! [`Relay::follow`] names the ledgers (those in a database are found without), and [`Relay::run`] carries what they have
//! to the stream `BINCARD_EVENTS`, as `bincard.events.<tenant>.<stream>`. The stream is a carrier and never the record: it
//! may be purged, lose its end or be away, and the log does not notice.
//!
//! One node relays at a time, by a lease where there are several. What makes that safe is the stream itself: every
//! message names the one that must stand before it, so that what comes late or in between is refused, and
//! whoever is refused looks where the stream stands and goes on from there.

mod carry;
mod course;
mod error;
mod followed;
mod jetstream;
mod lease;
mod message;
mod servers;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bincard_ledger::{PublicIds, Recorded};
use bincard_store::Reader;
use bincard_store::postgres::Database;

pub use error::RelayError;
pub use followed::Standing;
pub use jetstream::{STREAM, SUBJECTS};
pub use servers::{InvalidServers, Servers};

use carry::Run;
use followed::Ledgers;
use lease::Lease;

/// Between two attempts after a failure, first and at most.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// How often a database is asked for new ledgers.
const LIST_EVERY: Duration = Duration::from_secs(1);

/// Makes the body of an event's message: of the tenant, with the ids of its ledger.
pub type Render = fn(&str, PublicIds, &Recorded) -> Vec<u8>;

/// How to relay.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where NATS is.
    pub servers: Servers,
    /// The file with the credentials to use there, if any.
    pub credentials_file: Option<PathBuf>,
    /// How many replicas the stream should have.
    pub replicas: usize,
    /// How long the stream keeps a message; for ever when zero.
    pub age_max: Duration,
    /// How many bytes the stream keeps; as many as there is room for when 0.
    pub bytes_max: u64,
    /// Makes the messages' bodies.
    pub render: Render,
}

/// A relay of one node. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Relay {
    options: Arc<Options>,
    database: Option<Database>,
    lease: Arc<Lease>,
    ledgers: Arc<Ledgers>,
}

impl Relay {
    /// A relay of ledgers that this process alone writes; with a database, of all ledgers in it, beside other nodes'.
    pub fn new(options: Options, database: Option<Database>) -> Relay {
        Relay {
            options: Arc::new(options),
            lease: Arc::new(Lease::new(database.clone())),
            database,
            ledgers: Arc::default(),
        }
    }

    /// Relays a tenant's ledger from now on, from where it was relayed to. One that is followed already is left alone.
    pub fn follow(&self, tenant: &str, reader: Reader) {
        self.ledgers.follow(tenant, reader);
    }

    /// Whether this node is the one that relays, and is connected.
    pub fn is_relaying(&self) -> bool {
        self.ledgers.is_relaying()
    }

    /// How far each ledger is, by tenant.
    pub fn standings(&self) -> Vec<Standing> {
        self.ledgers.standings()
    }

    /// Relays until `stop` ends; then keeps how far it came, and lets go of every ledger.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        tokio::select! {
            () = stop => {}
            () = self.lease.keep() => {}
            () = self.find_ledgers() => {}
            () = self.carry() => {}
        }
        self.ledgers.set_relaying(false);
        self.ledgers.keep_checkpoints().await;
        self.ledgers.forget();
        self.lease.give_back().await;
    }

    /// Carries events, over and over again.
    async fn carry(&self) {
        let mut warned = jetstream::Warned::default();
        let mut failures = Failures::default();
        loop {
            self.lease.held().await;
            let carried = self.ledgers.carried();
            let ended = match Run::begin(&self.options, &self.lease, &self.ledgers, &mut warned).await {
                Ok(run) => {
                    failures.over();
                    self.ledgers.set_relaying(true);
                    run.go().await
                }
                Err(error) => error,
            };
            self.ledgers.set_relaying(false);
            if self.ledgers.carried() > carried {
                failures.wait = RETRY_MIN;
            }
            failures.tell(&ended);
            failures.pause().await;
        }
    }

    /// Follows what a database has.
    async fn find_ledgers(&self) {
        let Some(database) = &self.database else {
            return std::future::pending().await;
        };
        loop {
            self.lease.held().await;
            let (database, ledgers) = (database.clone(), self.ledgers.clone());
            let found = tokio::task::spawn_blocking(move || {
                for listed in database.ledgers()? {
                    if !ledgers.has(&listed.tenant) {
                        ledgers.follow(&listed.tenant, Reader::Postgres(database.reader(&listed.tenant)?));
                    }
                }
                Ok::<_, bincard_store::postgres::DatabaseError>(())
            });
            if let Ok(Err(error)) = found.await {
                // Whoever reads or writes the ledgers says it louder.
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "the ledgers cannot be listed"
                );
            }
            tokio::time::sleep(LIST_EVERY).await;
        }
    }
}

/// What went wrong, told once and tried again ever more slowly.
struct Failures {
    wait: Duration,
    told: Option<String>,
}

impl Default for Failures {
    fn default() -> Failures {
        Failures {
            wait: RETRY_MIN,
            told: None,
        }
    }
}

impl Failures {
    fn tell(&mut self, error: &RelayError) {
        if matches!(error, RelayError::LeaseLost) {
            tracing::info!("the relay stops here: another node may go on");
            return;
        }
        let what = error.to_string();
        let error = error as &dyn std::error::Error;
        if self.told.as_ref() == Some(&what) {
            tracing::debug!(error, "the relay still cannot go on");
        } else {
            tracing::warn!(
                error,
                "the relay cannot go on, and tries again; nothing else waits for it"
            );
            self.told = Some(what);
        }
    }

    fn over(&mut self) {
        if self.told.take().is_some() {
            tracing::info!("the relay goes on");
        }
    }

    async fn pause(&mut self) {
        tokio::time::sleep(self.wait).await;
        self.wait = (self.wait * 2).min(RETRY_MAX);
    }
}
