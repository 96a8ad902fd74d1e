//! API keys. A key acts as a service user of its own, with a role, a tenant and a plan. It is shown once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::database::Row;
use crate::error::corrupt;
use crate::role::{warehouses_from_bytes, warehouses_of, warehouses_to_bytes};
use crate::secret::{fingerprint, from_hex, hex, random_bytes};
use crate::tenants::tenant_must_exist;
use crate::users::{Page, page_bounds};
use crate::{AccessError, Accounts, Plan, Role, Secret, TenantName, UnixMs, names};

/// How every key begins, so that one left lying about is recognised.
pub(crate) const PREFIX: &str = "bck_";

/// An API key, without its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiKey {
    /// The id of the service user that it acts as.
    pub id: Uuid,
    /// Where it belongs.
    pub tenant: TenantName,
    /// What it is called; shown where a username would be. Never changes.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// A SELLER's warehouses, sorted; empty for other roles.
    pub warehouses: Box<[Uuid]>,
    /// How much it may do.
    pub plan: Plan,
    /// The user who made it; none when it was made on the command line.
    pub created_by: Option<Uuid>,
    /// When it was made.
    pub created_at: UnixMs,
    /// The first instant at which it no longer works; none if it does not expire.
    pub expires_at: Option<UnixMs>,
    /// When it was used last, to a minute or two.
    pub last_used_at: Option<UnixMs>,
    /// When it was revoked; none if it was not.
    pub revoked_at: Option<UnixMs>,
}

/// A key to be made.
#[derive(Clone, Copy, Debug)]
pub struct NewKey<'a> {
    /// 1 to 100 characters.
    pub name: &'a str,
    /// What it may do.
    pub role: Role,
    /// One or more of a SELLER's; none of another's.
    pub warehouses: &'a [Uuid],
    /// How much it may do.
    pub plan: Plan,
    /// When it stops working; must lie ahead.
    pub expires_at: Option<UnixMs>,
    /// Who makes it; none on the command line.
    pub created_by: Option<Uuid>,
}

/// A key just made.
#[derive(Debug)]
pub struct IssuedKey {
    /// What is stored of it.
    pub key: ApiKey,
    /// The key itself, for its owner to see once: `bck_`, the key's id, `_`, 256 random bits.
    pub secret: Secret,
}

/// Keys used since their uses were written down last: at most one entry a key.
#[derive(Default)]
pub(crate) struct KeyUses {
    /// Row of the key, instant in milliseconds. Taken once a minute and key, and never over an await.
    pending: Mutex<HashMap<i64, i64>>,
}

impl KeyUses {
    pub(crate) fn note(&self, key_no: i64, now: UnixMs) {
        self.pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key_no, now.0);
    }

    fn take(&self) -> HashMap<i64, i64> {
        std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Accounts {
    /// Makes a key.
    pub async fn key_create(&self, tenant: &TenantName, new: NewKey<'_>) -> Result<IssuedKey, AccessError> {
        let now = self.now();
        if new.expires_at.is_some_and(|at| at <= now) {
            return Err(AccessError::Invalid {
                field: "expires_at",
                why: "must lie in the future",
            });
        }
        if new.role == Role::Seller && new.warehouses.is_empty() {
            return Err(AccessError::Invalid {
                field: "warehouses",
                why: "must name a warehouse or more for a SELLER's key, which could do nothing without",
            });
        }
        let key = ApiKey {
            id: Uuid::new_v4(),
            tenant: tenant.clone(),
            name: names::key_name(new.name)?.to_owned(),
            role: new.role,
            warehouses: warehouses_of(new.role, new.warehouses)?,
            plan: new.plan,
            created_by: new.created_by,
            created_at: now,
            expires_at: new.expires_at,
            last_used_at: None,
            revoked_at: None,
        };
        let secret = random_bytes::<32>()?;
        self.key_insert(&key, &secret).await?;
        let secret = Secret::new(format!("{PREFIX}{}_{}", key.id.simple(), hex(&secret)));
        Ok(IssuedKey { key, secret })
    }

    /// The keys of a tenant in the order in which they were made, revoked ones too; `page` counts from 0, `size` is
    /// 1 to 500.
    pub async fn keys(&self, tenant: &TenantName, page: u32, size: u32) -> Result<Page<ApiKey>, AccessError> {
        let (skip, size) = page_bounds(page, size)?;
        let mut tx = self.db().snapshot().await?;
        let total_count: i64 = tx
            .query("select count(*) from api_keys where tenant = $1")
            .bind(tenant.as_str())
            .fetch_value()
            .await?;
        let rows = tx
            .query("select * from api_keys where tenant = $1 order by no limit $2 offset $3")
            .bind(tenant.as_str())
            .bind(size)
            .bind(skip)
            .fetch_all()
            .await?;
        let content = rows.iter().map(key_from_row).collect::<Result<_, _>>()?;
        Ok(Page {
            content,
            total_count: total_count.cast_unsigned(),
        })
    }

    /// Revokes a key, at once. Done already is no error.
    pub async fn key_revoke(&self, tenant: &TenantName, id: Uuid) -> Result<(), AccessError> {
        let mut tx = self.db().begin().await?;
        let revoked_count = tx
            .query("update api_keys set revoked_at = coalesce(revoked_at, $1) where tenant = $2 and id = $3")
            .bind(self.now().0)
            .bind(tenant.as_str())
            .bind(id)
            .execute()
            .await?;
        if revoked_count == 0 {
            return Err(AccessError::NotFound { what: "key" });
        }
        self.commit(tx).await
    }

    /// Writes down when keys were used last. Lost, it is noted again a minute later.
    pub(crate) async fn write_key_uses(&self) -> Result<(), AccessError> {
        let uses = self.key_uses().take();
        if uses.is_empty() {
            return Ok(());
        }
        let mut tx = self.db().begin().await?;
        for (key_no, used_at) in uses {
            // Another process may have noted a later use.
            tx.query(
                "update api_keys set last_used_at = $1 where no = $2 and coalesce(last_used_at, $1) <= $1",
            )
            .bind(used_at)
            .bind(key_no)
            .execute()
            .await?;
        }
        self.commit(tx).await
    }

    async fn key_insert(&self, key: &ApiKey, secret: &[u8; 32]) -> Result<(), AccessError> {
        let mut tx = self.db().begin().await?;
        tenant_must_exist(&mut tx, &key.tenant).await?;
        tx.query(
            "insert into api_keys (id, tenant, name, role, warehouses, plan, secret_hash, created_by, created_at,
                                   expires_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(key.id)
        .bind(key.tenant.as_str())
        .bind(&key.name)
        .bind(key.role.as_str())
        .bind(warehouses_to_bytes(&key.warehouses))
        .bind(key.plan.as_str())
        .bind(fingerprint(secret).as_bytes().as_slice())
        .bind(key.created_by)
        .bind(key.created_at.0)
        .bind(key.expires_at.map(|at| at.0))
        .execute()
        .await?;
        self.commit(tx).await
    }
}

/// The id and the secret in a key's text.
pub(crate) fn parse(text: &str) -> Option<(Uuid, [u8; 32])> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    Some((Uuid::from_bytes(from_hex(id)?), from_hex(secret)?))
}

fn key_from_row(row: &Row) -> Result<ApiKey, AccessError> {
    Ok(ApiKey {
        id: row.try_get("id")?,
        tenant: TenantName::parse(row.try_get("tenant")?).map_err(corrupt("tenant"))?,
        name: row.try_get("name")?,
        role: Role::parse(row.try_get("role")?).map_err(corrupt("role"))?,
        warehouses: warehouses_from_bytes(row.try_get("warehouses")?)?,
        plan: Plan::parse(row.try_get("plan")?).map_err(corrupt("plan"))?,
        created_by: row.try_get("created_by")?,
        created_at: UnixMs(row.try_get("created_at")?),
        expires_at: row.try_get::<Option<i64>>("expires_at")?.map(UnixMs),
        last_used_at: row.try_get::<Option<i64>>("last_used_at")?.map(UnixMs),
        revoked_at: row.try_get::<Option<i64>>("revoked_at")?.map(UnixMs),
    })
}
