//! What every request shares: accounts, ledgers, limits, figures.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bincard_access::{Accounts, Clock, RateLimits, UnixMs};
use bincard_backup::Following;
use bincard_ledger::Timestamp;
use bincard_relay::Relay;
use bincard_store::postgres::Database;
use tokio::sync::watch;

use crate::asker::note_decision;
use crate::failure::Failure;
use crate::figures::Figures;
use crate::ledgers::Ledgers;
use crate::proxies::TrustedProxies;
use crate::tls::Certificates;
use crate::trace::{RequestIds, Trace};

/// What a node does, of several over one database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Roles {
    /// Answers requests. A node that does not answers for its own health alone.
    pub api: bool,
    /// Feeds the views in PostgreSQL, as far as no other node does.
    pub projector: bool,
    /// Relays events, ships backups, and holds the views against the log all the while.
    pub worker: bool,
}

impl Roles {
    /// Everything, which a node alone does.
    pub const ALL: Roles = Roles {
        api: true,
        projector: true,
        worker: true,
    };
}

/// How the server behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder that holds a folder a ledger, by tenant.
    pub ledgers_folder: PathBuf,
    /// The database that keeps the ledgers' logs, if their folders do not.
    pub database: Option<Database>,
    /// The database that keeps the views, if the ledgers' folders do not.
    pub views: Option<bincard_projections::postgres::Database>,
    /// What this node does.
    pub roles: Roles,
    /// Where events are relayed to, if they are.
    pub relay: Option<bincard_relay::Options>,
    /// Where backups are shipped, if they are.
    pub shipping: Option<bincard_backup::Options>,
    /// How ledgers are opened.
    pub engine: bincard_engine::Options,
    /// How long a read waits for its view to reach the position that it names.
    pub read_wait_max: Duration,
    /// A ledger that nobody has used for so long is closed.
    pub ledger_idle_max: Duration,
    /// How often a part of the views is held against the log, at the most; never when `None`.
    pub audit_every: Option<Duration>,
    /// How many callers and addresses have their requests counted at once.
    pub rate_limited_callers_max: usize,
    /// Connections open at once; more wait to be accepted.
    pub connections_max: usize,
    /// How long requests may take to end once the server is told to stop.
    pub drain_max: Duration,
    /// What the listener shows, if it speaks TLS.
    pub certificates: Option<Certificates>,
    /// Whether `/metrics` answers anybody, and not only this machine.
    pub metrics_to_all: bool,
    /// Proxies that are believed when they tell whom a request comes from.
    pub trusted_proxies: TrustedProxies,
    /// Where rate limits and answers have their time from.
    pub clock: Clock,
}

impl Options {
    /// Ledgers below `ledgers_folder`, and defaults meant for production.
    pub fn new(ledgers_folder: impl Into<PathBuf>) -> Options {
        Options {
            ledgers_folder: ledgers_folder.into(),
            database: None,
            views: None,
            roles: Roles::ALL,
            relay: None,
            shipping: None,
            engine: bincard_engine::Options::default(),
            read_wait_max: Duration::from_secs(5),
            ledger_idle_max: Duration::from_secs(15 * 60),
            audit_every: Some(Duration::from_secs(1)),
            rate_limited_callers_max: 100_000,
            connections_max: 10_000,
            drain_max: Duration::from_secs(20),
            certificates: None,
            metrics_to_all: false,
            trusted_proxies: TrustedProxies::default(),
            clock: Clock::system(),
        }
    }
}

/// The server's state. One for all listeners of a process.
pub struct App {
    pub(crate) accounts: Accounts,
    pub(crate) ledgers: Ledgers,
    pub(crate) relay: Option<Relay>,
    pub(crate) shipping: Option<Following>,
    pub(crate) limits: RateLimits,
    pub(crate) figures: Figures,
    pub(crate) request_ids: RequestIds,
    pub(crate) options: Options,
    pub(crate) started_at: Instant,
    /// Becomes true when the server is told to stop: open streams end by it.
    pub(crate) stopping: watch::Sender<bool>,
}

impl App {
    /// A server over `accounts` and the ledgers that `options` name. Nothing is opened yet.
    pub fn new(accounts: Accounts, options: Options) -> App {
        let now_ms = options.clock.now().0;
        let seed = now_ms.cast_unsigned().rotate_left(20) ^ u64::from(std::process::id());
        App {
            ledgers: Ledgers::new(&options),
            relay: options
                .relay
                .clone()
                .filter(|_| options.roles.worker)
                .map(|relay| Relay::new(relay, options.database.clone())),
            shipping: options
                .shipping
                .clone()
                .filter(|_| options.roles.worker)
                .map(|shipping| Following::new(shipping, options.database.clone())),
            limits: RateLimits::new(options.rate_limited_callers_max),
            figures: Figures::new(),
            request_ids: RequestIds::new(seed),
            started_at: Instant::now(),
            stopping: watch::Sender::new(false),
            accounts,
            options,
        }
    }

    /// The accounts that this serves.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The open ledgers.
    pub fn ledgers(&self) -> &Ledgers {
        &self.ledgers
    }

    /// Ends streams that are followed, and closes every ledger once nobody uses it. [`crate::serve`] does it in the
    /// end.
    pub async fn close(&self) {
        self.stopping.send_replace(true);
        self.ledgers.close_all().await;
    }

    /// Lets go of every database in PostgreSQL, for good: whatever waits for one is refused at once.
    pub(crate) fn let_go_of_databases(&self) {
        self.accounts.let_go();
        if let Some(database) = &self.options.database {
            database.let_go();
        }
        if let Some(views) = &self.options.views {
            views.let_go();
        }
    }

    pub(crate) fn now(&self) -> UnixMs {
        self.options.clock.now()
    }

    pub(crate) fn timestamp(&self) -> Timestamp {
        Timestamp::from_micros(self.now().0.saturating_mul(1_000))
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Counts a request without a caller by its address.
    pub(crate) fn count_anonymous(&self, trace: &Trace) -> Result<(), Failure> {
        note_decision(self.limits.check_anonymous(trace.peer, self.now()), trace)
    }
}
