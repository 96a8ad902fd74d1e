//! The handle on the accounts: opening, committing, upkeep.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::access_token::AccessTokens;
use crate::authenticate::Callers;
use crate::database::{self, Database, Tx};
use crate::keys::KeyUses;
use crate::password::Passwords;
use crate::usernames::Usernames;
use crate::{AccessError, Clock, PasswordCost, UnixMs};

const UPKEEP_EVERY: Duration = Duration::from_secs(60);

/// How accounts behave. The defaults are meant for production.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long an access token works, in seconds.
    pub access_token_lifetime_s: u32,
    /// After how many seconds without a refresh a session ends.
    pub session_idle_max_s: u32,
    /// What checking a password costs.
    pub password_cost: PasswordCost,
    /// How many callers, and as many names, are kept in memory.
    pub callers_cached_max: usize,
    /// Where the time comes from.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            access_token_lifetime_s: 15 * 60,
            session_idle_max_s: 30 * 24 * 60 * 60,
            password_cost: PasswordCost::default(),
            callers_cached_max: 50_000,
            clock: Clock::system(),
        }
    }
}

/// The accounts of an installation. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Accounts {
    inner: Arc<Inner>,
}

struct Inner {
    db: Database,
    clock: Clock,
    session_idle_max_s: u32,
    passwords: Passwords,
    tokens: AccessTokens,
    callers: Callers,
    usernames: Usernames,
    key_uses: KeyUses,
}

impl Accounts {
    /// Opens the file, creating it and bringing its tables up to date as needed. Other processes may have it open.
    pub async fn open(path: impl AsRef<Path>, options: Options) -> Result<Accounts, AccessError> {
        Accounts::over(Database::open(path.as_ref()).await?, options).await
    }

    /// Connects to a PostgreSQL database by its address, such as `postgres://user:password@host/database`, where any
    /// number of nodes share the accounts. Makes the schema `bincard_accounts` and brings its tables up to date as
    /// needed; nodes that start at once take turns.
    pub async fn connect(database_url: &str, options: Options) -> Result<Accounts, AccessError> {
        Accounts::over(Database::connect(database_url).await?, options).await
    }

    /// Does of [`connect`](Accounts::connect) what is done once: makes the schema and brings its tables up to date.
    pub async fn migrate(database_url: &str) -> Result<(), AccessError> {
        database::migrate(database_url).await
    }

    /// The migrations that [`migrate`](Accounts::migrate) would apply, by name, in order. None are applied by this.
    pub async fn pending_migrations(database_url: &str) -> Result<Vec<&'static str>, AccessError> {
        database::pending_migrations(database_url).await
    }

    async fn over(db: Database, options: Options) -> Result<Accounts, AccessError> {
        let now = options.clock.now();
        let signing_key = database::seed(&db, now).await?;
        let callers = Callers::open(&db, options.callers_cached_max, now).await?;
        let inner = Inner {
            passwords: Passwords::new(options.password_cost)?,
            tokens: AccessTokens::new(&signing_key, options.access_token_lifetime_s),
            callers,
            usernames: Usernames::new(options.callers_cached_max),
            key_uses: KeyUses::default(),
            session_idle_max_s: options.session_idle_max_s,
            clock: options.clock,
            db,
        };
        Ok(Accounts {
            inner: Arc::new(inner),
        })
    }

    /// Does the upkeep every minute, for ever. Drop the future to stop; failures are logged and tried again.
    pub async fn run(&self) {
        let mut every = tokio::time::interval(UPKEEP_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            if let Err(error) = self.upkeep().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "upkeep of accounts failed"
                );
            }
        }
    }

    /// Writes down when keys were used last and removes expired sessions. The server does it every minute.
    pub async fn upkeep(&self) -> Result<(), AccessError> {
        self.write_key_uses().await?;
        self.remove_expired_sessions().await
    }

    /// Lets go of a database in PostgreSQL for good: whoever waits for it in this process is refused at once, and so is
    /// whoever asks it from now on. For a process that ends while it does not answer.
    pub fn let_go(&self) {
        self.inner.db.let_go();
    }

    /// Writes down what is pending, unless the database was let go of, and closes it, for this handle and all its clones.
    pub async fn close(&self) -> Result<(), AccessError> {
        if self.inner.db.is_let_go() {
            tracing::warn!("when keys were used in the last minute is not written down");
            return Ok(());
        }
        let written = self.write_key_uses().await;
        self.inner.db.close().await;
        written
    }

    /// How many passwords have been checked since the start: one a login, whether or not there is such a user.
    pub fn password_checks_count(&self) -> u64 {
        self.inner.passwords.checks_count()
    }

    pub(crate) fn now(&self) -> UnixMs {
        self.inner.clock.now()
    }

    pub(crate) fn db(&self) -> &Database {
        &self.inner.db
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.inner.passwords
    }

    pub(crate) fn tokens(&self) -> &AccessTokens {
        &self.inner.tokens
    }

    pub(crate) fn callers(&self) -> &Callers {
        &self.inner.callers
    }

    pub(crate) fn names_in_memory(&self) -> &Usernames {
        &self.inner.usernames
    }

    pub(crate) fn key_uses(&self) -> &KeyUses {
        &self.inner.key_uses
    }

    pub(crate) fn session_idle_max_s(&self) -> i64 {
        i64::from(self.inner.session_idle_max_s)
    }

    /// Commits, and forgets every caller in memory that the transaction changed: when a change has been answered,
    /// nobody is served as before it. Every write of this crate ends here.
    ///
    /// (When the answer is not waited for, so that this future is dropped in the middle, callers are forgotten
    /// within a second, as after a change by another process.)
    pub(crate) async fn commit(&self, mut tx: Tx) -> Result<(), AccessError> {
        let changes = self.callers().changes(tx.on()).await?;
        tx.commit().await?;
        self.callers().apply(&changes);
        Ok(())
    }
}
