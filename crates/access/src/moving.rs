//! Carrying accounts from one database to another: from `accounts.db` into PostgreSQL, and back.

use std::hash::{DefaultHasher, Hash, Hasher};

use uuid::Uuid;

use crate::{AccessError, Accounts};

/// What was carried over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Carried {
    /// Tenants that were not there.
    pub tenants: u64,
    /// Users that were not there.
    pub users: u64,
    /// API keys that were not there.
    pub keys: u64,
}

impl Accounts {
    /// Copies tenants, users and API keys to other accounts, of one tenant or of all. What is there already, by id or by a name that must be unique,
    /// stays as it is, so that it may be done again. Sessions stay behind: everybody signs in anew. All of it is there when
    /// this returns, or nothing.
    pub async fn copy_to(&self, other: &Accounts, tenant: Option<&str>) -> Result<Carried, AccessError> {
        let mut from = self.db().snapshot().await?;
        let mut to = other.db().begin().await?;
        let mut carried = Carried::default();
        let is_wanted = |name: &str| tenant.is_none_or(|wanted| wanted == name);
        let rows = from
            .query("select name, created_at from tenants order by name")
            .fetch_all()
            .await?;
        for row in rows {
            let name: String = row.try_get("name")?;
            if !is_wanted(&name) {
                continue;
            }
            carried.tenants += to
                .query("insert into tenants (name, created_at) values ($1, $2) on conflict do nothing")
                .bind(name)
                .bind(row.try_get::<i64>("created_at")?)
                .execute()
                .await?;
        }
        let rows = from.query("select * from users order by no").fetch_all().await?;
        for row in rows {
            let of: String = row.try_get("tenant")?;
            if !is_wanted(&of) {
                continue;
            }
            carried.users += to
                .query(
                    "insert into users (id, tenant, alias, email, username, first_name, last_name, role, warehouses, plan,
                     active, password_hash, token_version, created_at)
                     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) on conflict do nothing",
                )
                .bind(row.try_get::<Uuid>("id")?)
                .bind(of)
                .bind(row.try_get::<i64>("alias")?)
                .bind(row.try_get::<String>("email")?)
                .bind(row.try_get::<String>("username")?)
                .bind(row.try_get::<String>("first_name")?)
                .bind(row.try_get::<String>("last_name")?)
                .bind(row.try_get::<String>("role")?)
                .bind(row.try_get::<Vec<u8>>("warehouses")?)
                .bind(row.try_get::<String>("plan")?)
                .bind(row.try_get::<bool>("active")?)
                .bind(row.try_get::<String>("password_hash")?)
                .bind(row.try_get::<i64>("token_version")?)
                .bind(row.try_get::<i64>("created_at")?)
                .execute()
                .await?;
        }
        let rows = from
            .query("select * from api_keys order by no")
            .fetch_all()
            .await?;
        for row in rows {
            let of: String = row.try_get("tenant")?;
            if !is_wanted(&of) {
                continue;
            }
            carried.keys += to
                .query(
                    "insert into api_keys (id, tenant, name, role, warehouses, plan, secret_hash, created_by, created_at,
                     expires_at, last_used_at, revoked_at)
                     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict do nothing",
                )
                .bind(row.try_get::<Uuid>("id")?)
                .bind(of)
                .bind(row.try_get::<String>("name")?)
                .bind(row.try_get::<String>("role")?)
                .bind(row.try_get::<Vec<u8>>("warehouses")?)
                .bind(row.try_get::<String>("plan")?)
                .bind(row.try_get::<Vec<u8>>("secret_hash")?)
                .bind(row.try_get::<Option<Uuid>>("created_by")?)
                .bind(row.try_get::<i64>("created_at")?)
                .bind(row.try_get::<Option<i64>>("expires_at")?)
                .bind(row.try_get::<Option<i64>>("last_used_at")?)
                .bind(row.try_get::<Option<i64>>("revoked_at")?)
                .execute()
                .await?;
        }
        other.commit(to).await?;
        Ok(carried)
    }

    /// A number that is another one when anything has changed that [`Accounts::copy_to`] copies, but for when keys were used.
    /// Of this process only.
    pub async fn fingerprint(&self) -> Result<u64, AccessError> {
        let mut from = self.db().snapshot().await?;
        let mut hasher = DefaultHasher::new();
        for row in from
            .query("select name from tenants order by name")
            .fetch_all()
            .await?
        {
            row.try_get::<String>("name")?.hash(&mut hasher);
        }
        for row in from.query("select * from users order by no").fetch_all().await? {
            row.try_get::<Uuid>("id")?.hash(&mut hasher);
            for column in [
                "tenant",
                "email",
                "username",
                "first_name",
                "last_name",
                "role",
                "plan",
                "password_hash",
            ] {
                row.try_get::<String>(column)?.hash(&mut hasher);
            }
            row.try_get::<Vec<u8>>("warehouses")?.hash(&mut hasher);
            row.try_get::<bool>("active")?.hash(&mut hasher);
            row.try_get::<i64>("token_version")?.hash(&mut hasher);
        }
        for row in from
            .query("select * from api_keys order by no")
            .fetch_all()
            .await?
        {
            row.try_get::<Uuid>("id")?.hash(&mut hasher);
            row.try_get::<Option<i64>>("revoked_at")?.hash(&mut hasher);
        }
        Ok(hasher.finish())
    }
}
