//! Who makes a request, and what follows from its role. The rules of roles live here and nowhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use uuid::Uuid;

use crate::{Plan, Role, TenantName, UnixMs};

/// How often a key's last use is noted, at most.
const USE_NOTED_EVERY_MS: i64 = 60_000;

/// What kind of caller it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CallerKind {
    /// A person, by an access token.
    User,
    /// A machine, by an API key, which acts as a service user of its own.
    Key,
}

/// Who makes a request: a user or an API key, as of this moment.
#[derive(Debug)]
pub struct Caller {
    /// The id of the user, or of the service user that the key acts as.
    pub id: Uuid,
    /// User or key.
    pub kind: CallerKind,
    /// The username, or the key's name.
    pub name: Arc<str>,
    /// The user's e-mail address; none for a key.
    pub email: Option<Arc<str>>,
    /// The user's number within its tenant; none for a key.
    pub alias: Option<i64>,
    /// The tenant that everything it does belongs to.
    pub tenant: TenantName,
    /// What it may do.
    pub role: Role,
    /// A SELLER's warehouses, sorted; empty for other roles.
    pub warehouses: Box<[Uuid]>,
    /// How much it may do.
    pub plan: Plan,
    /// The first instant at which the token or key no longer works; none for a key that does not expire.
    pub expires_at: Option<UnixMs>,
    pub(crate) basis: Basis,
}

/// What a caller in memory was made from, to tell when it is out of date.
#[derive(Debug)]
pub(crate) struct Basis {
    pub(crate) slot: usize,
    pub(crate) epoch: i64,
    /// The session of a user's token.
    pub(crate) session: Option<Uuid>,
    /// The row of a key.
    pub(crate) key_no: Option<i64>,
    /// When a key's use was noted last, in milliseconds.
    pub(crate) use_noted_at: AtomicI64,
}

impl Caller {
    /// The process itself, in a tenant: for whoever can open the data folder. Nothing proves it; it is never made of what a
    /// request says.
    pub fn of_this_process(tenant: TenantName) -> Caller {
        Caller {
            id: Uuid::nil(),
            kind: CallerKind::Key,
            name: "this process".into(),
            email: None,
            alias: None,
            tenant,
            role: Role::Admin,
            warehouses: Box::default(),
            plan: Plan::Service,
            expires_at: None,
            basis: Basis {
                slot: 0,
                epoch: 0,
                session: None,
                key_no: None,
                use_noted_at: AtomicI64::new(0),
            },
        }
    }

    /// Everything in its tenant: users, API keys, jobs, views.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// A body may name another user as the one who did it.
    pub fn may_act_for_others(&self) -> bool {
        self.is_admin()
    }

    /// Create and change products, variants and warehouses, and all planning work.
    pub fn may_write_catalogue(&self) -> bool {
        matches!(self.role, Role::Admin | Role::Manager)
    }

    /// See to what went wrong with stock: clear exceptions.
    pub fn may_oversee_stock(&self) -> bool {
        matches!(self.role, Role::Admin | Role::Manager)
    }

    /// Reconcile the ledger, and read what that found, of all warehouses.
    pub fn may_reconcile(&self) -> bool {
        matches!(self.role, Role::Admin | Role::Manager)
    }

    /// Move and reserve stock somewhere; [`Caller::may_write_stock_at`] says where.
    pub fn may_write_stock(&self) -> bool {
        matches!(self.role, Role::Admin | Role::Manager | Role::Seller)
    }

    /// Move and reserve stock at this warehouse.
    pub fn may_write_stock_at(&self, warehouse: Uuid) -> bool {
        self.may_write_stock() && self.may_see_warehouse(warehouse)
    }

    /// Write off what of a transfer did not arrive.
    pub fn may_close_transfers(&self) -> bool {
        matches!(self.role, Role::Admin | Role::Manager)
    }

    /// Read what lies and happens at this warehouse.
    pub fn may_see_warehouse(&self, warehouse: Uuid) -> bool {
        !self.is_bound_to_warehouses() || self.warehouses.binary_search(&warehouse).is_ok()
    }

    /// Sees its own warehouses only, and so must name one when it lists.
    pub fn is_bound_to_warehouses(&self) -> bool {
        self.role == Role::Seller
    }

    pub(crate) fn has_expired(&self, now: UnixMs) -> Option<UnixMs> {
        self.expires_at.filter(|at| now >= *at)
    }

    /// Whether this use of a key is to be noted: true for one request a minute.
    pub(crate) fn use_to_note(&self, now: UnixMs) -> Option<i64> {
        let key_no = self.basis.key_no?;
        let noted_at = self.basis.use_noted_at.load(Ordering::Relaxed);
        if now.0.saturating_sub(noted_at) < USE_NOTED_EVERY_MS {
            return None;
        }
        let won =
            self.basis
                .use_noted_at
                .compare_exchange(noted_at, now.0, Ordering::Relaxed, Ordering::Relaxed);
        won.is_ok().then_some(key_no)
    }
}
