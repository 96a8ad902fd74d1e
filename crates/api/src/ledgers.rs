//! The tenants' ledgers: each opened when it is first needed, once, and closed when idle.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bincard_access::TenantName;
use bincard_engine::{Engine, Ledger, OpenError};
use bincard_ledger::Position;
use bincard_projections::reconcile::{self, Reconciler, Reconciliations};
use bincard_projections::{Place, Projector, ViewName, Views};
use bincard_store::postgres::{Database, DatabaseError};
use tokio::sync::watch;

use crate::app::Options;
use crate::failure::Failure;
use crate::reconciliations::correct::in_background;

/// One tenant's ledger and its views.
pub struct OpenLedger {
    /// Takes requests and reads the log.
    pub ledger: Ledger,
    /// Answers queries.
    pub views: Views,
    /// Holds the views against the log.
    pub reconciliations: Reconciliations,
    /// The head, as it moves.
    pub(crate) head: watch::Receiver<Position>,
    read_wait_max: Duration,
    reconciler: Reconciler,
    projector: Projector,
    engine: Engine,
    /// When it was used last, in milliseconds after the first ledger was thought of.
    used_at_ms: AtomicU64,
}

/// Why a tenant's ledger could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Its log or state.
    #[error("the ledger of tenant {tenant} cannot be opened")]
    Engine {
        /// Whose.
        tenant: TenantName,
        /// Why.
        #[source]
        source: OpenError,
    },
    /// Its views.
    #[error("the views of tenant {tenant} cannot be opened")]
    Views {
        /// Whose.
        tenant: TenantName,
        /// Why.
        #[source]
        source: bincard_projections::Error,
    },
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Failure {
        match error {
            LedgerError::Stopping => stopping(),
            LedgerError::Engine {
                source: OpenError::Database(moved @ DatabaseError::Moved { .. }),
                ..
            } => Failure::Stopped {
                why: moved.to_string().into(),
            },
            LedgerError::Engine {
                source: OpenError::Database(_),
                ..
            } => Failure::DatabaseUnavailable(error.into()),
            LedgerError::Engine { .. } | LedgerError::Views { .. } => Failure::internal(error),
        }
    }
}

/// What is told whoever asks while the server stops.
pub(crate) fn stopping() -> Failure {
    Failure::Stopped {
        why: "the server is stopping".into(),
    }
}

/// The ledgers that are open.
pub struct Ledgers {
    folder: PathBuf,
    database: Option<Database>,
    views: Option<bincard_projections::postgres::Database>,
    feeds: bool,
    engine: bincard_engine::Options,
    idle_max: Duration,
    read_wait_max: Duration,
    audit_every: Option<Duration>,
    began: Instant,
    /// Read by every request; written when a ledger is opened or closed.
    open: RwLock<HashMap<TenantName, Arc<OpenLedger>>>,
    /// Held while one tenant's ledger is opened or closed. A gate a tenant that was ever seen, and tenants are few.
    gates: Mutex<HashMap<TenantName, Arc<tokio::sync::Mutex<Gate>>>>,
}

/// Whether a tenant's ledger may be opened.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Gate {
    #[default]
    Open,
    /// For good: the server is stopping.
    Shut,
}

impl Ledgers {
    pub(crate) fn new(options: &Options) -> Ledgers {
        Ledgers {
            folder: options.ledgers_folder.clone(),
            database: options.database.clone(),
            views: options.views.clone(),
            feeds: options.roles.projector,
            engine: options.engine.clone(),
            idle_max: options.ledger_idle_max,
            read_wait_max: options.read_wait_max,
            audit_every: options.audit_every.filter(|_| options.roles.worker),
            began: Instant::now(),
            open: RwLock::default(),
            gates: Mutex::default(),
        }
    }

    /// A tenant's ledger, opened if it was not. Whoever holds it keeps it open.
    pub async fn open(&self, tenant: &TenantName) -> Result<Arc<OpenLedger>, LedgerError> {
        if let Some(open) = self.find(tenant) {
            return Ok(open);
        }
        let gate = self.gate(tenant);
        let gate = gate.lock().await;
        if *gate == Gate::Shut {
            return Err(LedgerError::Stopping);
        }
        // Somebody else may have opened it while this waited.
        if let Some(open) = self.find(tenant) {
            return Ok(open);
        }
        let opened = Arc::new(self.open_now(tenant).await?);
        tracing::info!(
            tenant = tenant.as_str(),
            head = opened.ledger.reader().head().position.0,
            "ledger opened"
        );
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.insert(tenant.clone(), opened.clone());
        Ok(opened)
    }

    /// Whether the database that keeps the logs, if one does, does not answer at the moment.
    pub(crate) fn is_database_away(&self) -> bool {
        self.database.as_ref().is_some_and(Database::is_away)
    }

    /// Every open ledger, by tenant.
    pub fn all(&self) -> Vec<(TenantName, Arc<OpenLedger>)> {
        let open = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = open
            .iter()
            .map(|(tenant, open)| (tenant.clone(), open.clone()))
            .collect();
        all.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
        all
    }

    /// Closes ledgers that have been idle for long enough. [`crate::serve`] does it every minute.
    pub async fn close_idle(&self) {
        for (tenant, open) in self.all() {
            let idle_ms = self.now_ms().saturating_sub(open.used_at_ms.load(Relaxed));
            let is_reconciled = open.reconciliations.progress().is_some();
            drop(open);
            if is_reconciled || Duration::from_millis(idle_ms) < self.idle_max {
                continue;
            }
            let gate = self.gate(&tenant);
            let _gate = gate.lock().await;
            if let Some(idle) = self.take_unused(&tenant) {
                close(&tenant, idle).await;
            }
        }
    }

    /// Closes every ledger as soon as nobody uses it, and lets none be opened again.
    pub(crate) async fn close_all(&self) {
        let gates: Vec<_> = {
            let gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
            gates
                .iter()
                .map(|(tenant, gate)| (tenant.clone(), gate.clone()))
                .collect()
        };
        for (tenant, gate) in gates {
            let mut gate = gate.lock().await;
            *gate = Gate::Shut;
            let removed = {
                let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
                open.remove(&tenant)
            };
            if let Some(mut shared) = removed {
                let unused = loop {
                    match Arc::try_unwrap(shared) {
                        Ok(unused) => break unused,
                        Err(used) => shared = used,
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                };
                close(&tenant, unused).await;
            }
        }
    }

    fn find(&self, tenant: &TenantName) -> Option<Arc<OpenLedger>> {
        let open = self
            .open
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(tenant)?
            .clone();
        open.used_at_ms.store(self.now_ms(), Relaxed);
        Some(open)
    }

    /// Takes a ledger out, if nobody else holds it.
    fn take_unused(&self, tenant: &TenantName) -> Option<OpenLedger> {
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        let shared = open.remove(tenant)?;
        match Arc::try_unwrap(shared) {
            Ok(unused) => Some(unused),
            Err(used) => {
                open.insert(tenant.clone(), used);
                None
            }
        }
    }

    fn gate(&self, tenant: &TenantName) -> Arc<tokio::sync::Mutex<Gate>> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.entry(tenant.clone()).or_default().clone()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    async fn open_now(&self, tenant: &TenantName) -> Result<OpenLedger, LedgerError> {
        let folder = self.folder.join(tenant.as_str());
        let (options, of) = (self.engine.clone(), folder.clone());
        let (database, name) = (self.database.clone(), tenant.as_str().to_owned());
        let (clock, audit_every) = (options.clock.clone(), self.audit_every);
        let scratch = folder.join("views");
        let views = match self.views.clone() {
            None => Place::Folder(scratch),
            Some(database) => Place::Postgres {
                database,
                feeds: self.feeds,
                scratch,
            },
        };
        let opened = tokio::task::spawn_blocking(move || {
            let engine = match database {
                None => Engine::open(&of, options),
                Some(database) => Engine::open_in(&database, &name, options),
            };
            let engine = engine.map_err(Unopened::Engine)?;
            let reader = engine.ledger().reader().clone();
            let reconciling = reconcile::Options {
                clock,
                audit_every,
                correct: Some(in_background(engine.ledger())),
            };
            let projector = Projector::open(views.clone(), reader.clone()).map_err(Unopened::Views)?;
            let reconciler = Reconciler::open(&of, views, reader, reconciling).map_err(Unopened::Views)?;
            Ok((engine, projector, reconciler))
        });
        let opened = opened.await.map_err(|_| LedgerError::Stopping)?;
        let (engine, projector, reconciler) = opened.map_err(|unopened| {
            let tenant = tenant.clone();
            match unopened {
                Unopened::Engine(source) => LedgerError::Engine { tenant, source },
                Unopened::Views(source) => LedgerError::Views { tenant, source },
            }
        })?;
        let ledger = engine.ledger();
        let views = projector.views().clone();
        let (moved, head) = watch::channel(ledger.reader().head().position);
        ledger.reader().on_advance(move |head| {
            moved.send_replace(head.position);
        });
        Ok(OpenLedger {
            ledger,
            views,
            reconciliations: reconciler.reconciliations().clone(),
            head,
            read_wait_max: self.read_wait_max,
            reconciler,
            projector,
            engine,
            used_at_ms: AtomicU64::new(self.now_ms()),
        })
    }
}

/// What could not be opened.
enum Unopened {
    Engine(OpenError),
    Views(bincard_projections::Error),
}

async fn close(tenant: &TenantName, open: OpenLedger) {
    let OpenLedger {
        ledger,
        views,
        reconciliations,
        reconciler,
        projector,
        engine,
        ..
    } = open;
    drop((ledger, views, reconciliations));
    let closing = move || {
        reconciler.close();
        projector.close();
        engine.close();
    };
    let closed = tokio::task::spawn_blocking(closing).await;
    match closed {
        Ok(()) => tracing::info!(tenant = tenant.as_str(), "ledger closed"),
        Err(error) => tracing::error!(tenant = tenant.as_str(), %error, "closing the ledger failed"),
    }
}

impl OpenLedger {
    /// Waits until a view has come to `min`, where a read asks for that.
    pub(crate) async fn wait_for_view(&self, view: ViewName, min: Position) -> Result<(), Failure> {
        if min.0 == 0 {
            return Ok(());
        }
        Ok(self.views.wait_for(&[view], min, self.read_wait_max).await?)
    }

    /// Waits until the log itself has come to `min`.
    pub(crate) async fn wait_for_head(&self, min: Position) -> Result<(), Failure> {
        if self.ledger.reader().head().position >= min {
            return Ok(());
        }
        let mut head = self.head.clone();
        let reached = head.wait_for(|head| *head >= min);
        match tokio::time::timeout(self.read_wait_max, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(stopping()),
            Err(_) => Err(Failure::ViewBehind),
        }
    }
}
