//! From a bearer token to its caller: a look-up in memory for nearly every request.
//!
//! A caller in memory carries the epoch of its slot as it was in the same read that made it, and is served while
//! that epoch stands. Epochs move in the database by triggers. A change made through this process moves ours before
//! the change is answered; a change by another process is noticed by asking at most twice a second, when a request
//! comes, by one request for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use quick_cache::sync::Cache;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::caller::{Basis, CallerKind};
use crate::database::{Connection, Database, Row};
use crate::error::corrupt;
use crate::role::warehouses_from_bytes;
use crate::secret::fingerprint;
use crate::{AccessError, Accounts, AuthError, Caller, Plan, Role, TenantName, UnixMs, keys};

/// As many as the table `caller_epochs` has rows.
const SLOTS: usize = 256;
/// For how long nobody asks the database again.
const FRESH_MS: u64 = 500;
/// After how long nobody is served before the answer is there.
const STALE_MS: u64 = 1000;
/// No token of ours is longer.
const BEARER_BYTES_MAX: usize = 1024;

pub(crate) struct Callers {
    by_token: Cache<[u8; 32], Arc<Caller>>,
    epochs: Box<[AtomicI64; SLOTS]>,
    /// Every change up to this epoch has been applied to `epochs`.
    applied: AtomicI64,
    checked_at: AtomicI64,
    /// Held by the one who asks the database.
    checking: Mutex<()>,
    /// How often the database did not answer whoever asked.
    failures_count: AtomicU64,
}

/// Slots and their new epochs.
pub(crate) type Changes = Vec<(i64, i64)>;

impl Callers {
    pub(crate) async fn open(db: &Database, cached_max: usize, now: UnixMs) -> Result<Callers, AccessError> {
        let callers = Callers {
            by_token: Cache::new(cached_max),
            epochs: Box::new([const { AtomicI64::new(0) }; SLOTS]),
            applied: AtomicI64::new(0),
            checked_at: AtomicI64::new(now.0),
            checking: Mutex::new(()),
            failures_count: AtomicU64::new(0),
        };
        callers.apply(&callers.changes(db.reader().await?.on()).await?);
        Ok(callers)
    }

    /// What has changed since the last change applied here.
    pub(crate) async fn changes(&self, mut on: Connection<'_>) -> Result<Changes, AccessError> {
        let rows = on
            .query("select slot, epoch from caller_epochs where epoch > $1")
            .bind(self.applied.load(Ordering::Acquire))
            .fetch_all()
            .await?;
        let change = |row: &Row| Ok((row.try_get("slot")?, row.try_get("epoch")?));
        rows.iter().map(change).collect()
    }

    pub(crate) fn apply(&self, changes: &Changes) {
        for (slot, epoch) in changes {
            if let Some(known) = usize::try_from(*slot).ok().and_then(|slot| self.epochs.get(slot)) {
                known.fetch_max(*epoch, Ordering::AcqRel);
            }
        }
        if let Some(newest) = changes.iter().map(|(_, epoch)| *epoch).max() {
            self.applied.fetch_max(newest, Ordering::AcqRel);
        }
    }

    fn age_ms(&self, now: UnixMs) -> u64 {
        now.0.abs_diff(self.checked_at.load(Ordering::Acquire))
    }

    /// Makes sure that changes by other processes are known, as of less than a second ago.
    async fn catch_up(&self, db: &Database, now: UnixMs) -> Result<(), AccessError> {
        if self.age_ms(now) < FRESH_MS {
            return Ok(());
        }
        let failures_count = self.failures_count.load(Ordering::Acquire);
        let _checking = match self.checking.try_lock() {
            Ok(guard) => guard,
            Err(_) if self.age_ms(now) < STALE_MS => return Ok(()),
            Err(_) => self.checking.lock().await,
        };
        if self.age_ms(now) < FRESH_MS {
            return Ok(());
        }
        // Whoever was before us asked for all who waited: they do not ask one after another, each as long in vain.
        if self.failures_count.load(Ordering::Acquire) != failures_count {
            return Err(AccessError::Unavailable(sqlx::Error::PoolTimedOut));
        }
        match self.ask(db).await {
            Ok(()) => self.checked_at.store(now.0, Ordering::Release),
            Err(error) => {
                self.failures_count.fetch_add(1, Ordering::AcqRel);
                return Err(error);
            }
        }
        Ok(())
    }

    async fn ask(&self, db: &Database) -> Result<(), AccessError> {
        self.apply(&self.changes(db.reader().await?.on()).await?);
        Ok(())
    }

    fn in_memory(&self, token: &[u8; 32]) -> Option<Arc<Caller>> {
        let caller = self.by_token.get(token)?;
        let epoch = self.epochs.get(caller.basis.slot)?.load(Ordering::Acquire);
        (caller.basis.epoch == epoch).then_some(caller)
    }

    /// Keeps a caller. Its epoch may be ahead of ours, when another process's change was read before it was noticed.
    fn keep(&self, token: [u8; 32], caller: &Arc<Caller>) {
        if let Some(epoch) = self.epochs.get(caller.basis.slot) {
            epoch.fetch_max(caller.basis.epoch, Ordering::AcqRel);
        }
        self.by_token.insert(token, caller.clone());
    }
}

impl Accounts {
    /// Who sends this bearer token (an access token or an API key), as of now.
    ///
    /// Nearly always this is a hash and a look-up. It is never out of date for changes made through this process,
    /// and less than a second for those of others.
    pub async fn authenticate(&self, bearer: &str) -> Result<Arc<Caller>, AuthError> {
        match self.authenticate_in_memory(bearer) {
            Some(answer) => answer,
            None => self.authenticate_in_database(bearer).await,
        }
    }

    /// The same where memory suffices, without waiting for anything; `None` means: ask
    /// [`authenticate`](Accounts::authenticate).
    pub fn authenticate_in_memory(&self, bearer: &str) -> Option<Result<Arc<Caller>, AuthError>> {
        if bearer.len() > BEARER_BYTES_MAX {
            return Some(Err(AuthError::Invalid));
        }
        let now = self.now();
        if self.callers().age_ms(now) >= FRESH_MS {
            return None;
        }
        let caller = self
            .callers()
            .in_memory(fingerprint(bearer.as_bytes()).as_bytes())?;
        Some(self.admit(caller, now))
    }

    async fn authenticate_in_database(&self, bearer: &str) -> Result<Arc<Caller>, AuthError> {
        let now = self.now();
        self.callers().catch_up(self.db(), now).await?;
        let token = *fingerprint(bearer.as_bytes()).as_bytes();
        if let Some(caller) = self.callers().in_memory(&token) {
            return self.admit(caller, now);
        }
        let caller = match bearer.starts_with(keys::PREFIX) {
            true => self.key_caller(bearer, now).await?,
            false => self.user_caller(bearer, now).await?,
        };
        let caller = Arc::new(caller);
        self.callers().keep(token, &caller);
        self.admit(caller, now)
    }

    fn admit(&self, caller: Arc<Caller>, now: UnixMs) -> Result<Arc<Caller>, AuthError> {
        if let Some(at) = caller.has_expired(now) {
            return Err(AuthError::Expired { at });
        }
        if let Some(key_no) = caller.use_to_note(now) {
            self.key_uses().note(key_no, now);
        }
        Ok(caller)
    }

    async fn user_caller(&self, bearer: &str, now: UnixMs) -> Result<Caller, AuthError> {
        let claims = self.tokens().read(bearer).ok_or(AuthError::Invalid)?;
        let expires_at = claims.expires_at();
        if now >= expires_at {
            return Err(AuthError::Expired { at: expires_at });
        }
        let mut reader = self.db().reader().await?;
        let query = reader.query(
            "select u.id, u.username as name, u.email, u.alias, u.tenant, u.role, u.warehouses, u.plan, e.slot, e.epoch
             from users u
             join sessions s on s.user_no = u.no
             join caller_epochs e on e.slot = u.no % 256
             where u.id = $1 and s.id = $2 and u.token_version = $3 and u.active",
        );
        let row = query
            .bind(claims.user)
            .bind(claims.session)
            .bind(claims.token_version)
            .fetch_optional()
            .await?;
        let row = row.ok_or(AuthError::Revoked)?;
        let mut caller = caller_from(&row, CallerKind::User)?;
        caller.email = Some(row.try_get::<String>("email")?.into());
        caller.alias = Some(row.try_get("alias")?);
        caller.expires_at = Some(expires_at);
        caller.basis.session = Some(claims.session);
        Ok(caller)
    }

    async fn key_caller(&self, bearer: &str, now: UnixMs) -> Result<Caller, AuthError> {
        let (id, secret) = keys::parse(bearer).ok_or(AuthError::Invalid)?;
        let mut reader = self.db().reader().await?;
        let query = reader.query(
            "select k.id, k.name, k.tenant, k.role, k.warehouses, k.plan, k.no, k.secret_hash, k.expires_at,
                    k.last_used_at, k.revoked_at, e.slot, e.epoch
             from api_keys k
             join caller_epochs e on e.slot = k.no % 256
             where k.id = $1",
        );
        let row = query.bind(id).fetch_optional().await?;
        let row = row.ok_or(AuthError::Invalid)?;
        let stored =
            blake3::Hash::from_slice(row.try_get("secret_hash")?).map_err(|_| AccessError::Corrupt {
                what: "hash of an API key",
            })?;
        // In constant time.
        if fingerprint(&secret) != stored {
            return Err(AuthError::Invalid);
        }
        if row.try_get::<Option<i64>>("revoked_at")?.is_some() {
            return Err(AuthError::Revoked);
        }
        let mut caller = caller_from(&row, CallerKind::Key)?;
        caller.expires_at = row.try_get::<Option<i64>>("expires_at")?.map(UnixMs);
        if let Some(at) = caller.has_expired(now) {
            return Err(AuthError::Expired { at });
        }
        caller.basis.key_no = Some(row.try_get("no")?);
        let last_used_at: Option<i64> = row.try_get("last_used_at")?;
        caller.basis.use_noted_at = AtomicI64::new(last_used_at.unwrap_or(i64::MIN));
        Ok(caller)
    }
}

/// What users and keys have in common.
fn caller_from(row: &Row, kind: CallerKind) -> Result<Caller, AccessError> {
    let slot: i64 = row.try_get("slot")?;
    Ok(Caller {
        id: row.try_get::<Uuid>("id")?,
        kind,
        name: row.try_get::<String>("name")?.into(),
        email: None,
        alias: None,
        tenant: TenantName::parse(row.try_get("tenant")?).map_err(corrupt("tenant"))?,
        role: Role::parse(row.try_get("role")?).map_err(corrupt("role"))?,
        warehouses: warehouses_from_bytes(row.try_get("warehouses")?)?,
        plan: Plan::parse(row.try_get("plan")?).map_err(corrupt("plan"))?,
        expires_at: None,
        basis: Basis {
            slot: usize::try_from(slot).map_err(|_| AccessError::Corrupt { what: "slot" })?,
            epoch: row.try_get("epoch")?,
            session: None,
            key_no: None,
            use_noted_at: AtomicI64::new(i64::MIN),
        },
    })
}
