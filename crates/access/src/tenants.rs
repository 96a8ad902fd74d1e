//! Tenants: who shares nothing with whom.

use crate::error::{corrupt, taken};
use crate::{AccessError, Accounts, TenantName, UnixMs};

/// A tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tenant {
    /// Its name, by which it is known everywhere.
    pub name: TenantName,
    /// When it was added.
    pub created_at: UnixMs,
}

impl Accounts {
    /// Adds a tenant. There is no way to remove one here: its ledger would lose its users' names.
    pub async fn tenant_add(&self, name: &str) -> Result<Tenant, AccessError> {
        let tenant = Tenant {
            name: TenantName::parse(name)?,
            created_at: self.now(),
        };
        let mut tx = self.db().begin().await?;
        sqlx::query("insert into tenants (name, created_at) values ($1, $2)")
            .bind(tenant.name.as_str())
            .bind(tenant.created_at.0)
            .execute(&mut *tx)
            .await
            .map_err(taken)?;
        self.commit(tx).await?;
        Ok(tenant)
    }

    /// All tenants by name.
    pub async fn tenants(&self) -> Result<Vec<Tenant>, AccessError> {
        let rows: Vec<(String, i64)> = sqlx::query_as("select name, created_at from tenants order by name")
            .fetch_all(self.db().readers())
            .await?;
        let tenant = |(name, created_at): (String, i64)| {
            let name = TenantName::parse(&name).map_err(corrupt("tenant"))?;
            Ok(Tenant {
                name,
                created_at: UnixMs(created_at),
            })
        };
        rows.into_iter().map(tenant).collect()
    }
}

/// Refuses a tenant that has not been added. The foreign keys would too, without saying which.
pub(crate) async fn tenant_must_exist(
    database: impl sqlx::Executor<'_, Database = sqlx::Sqlite>,
    tenant: &TenantName,
) -> Result<(), AccessError> {
    let found: Option<i64> = sqlx::query_scalar("select 1 from tenants where name = $1")
        .bind(tenant.as_str())
        .fetch_optional(database)
        .await?;
    found.map(drop).ok_or(AccessError::NotFound { what: "tenant" })
}
