//! Tenants: who shares nothing with whom.

use crate::database::{Row, Tx};
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
        tx.query("insert into tenants (name, created_at) values ($1, $2)")
            .bind(tenant.name.as_str())
            .bind(tenant.created_at.0)
            .execute()
            .await
            .map_err(taken)?;
        self.commit(tx).await?;
        Ok(tenant)
    }

    /// All tenants by name.
    pub async fn tenants(&self) -> Result<Vec<Tenant>, AccessError> {
        let mut reader = self.db().reader().await?;
        let query = reader.query("select name, created_at from tenants order by name");
        let tenant = |row: &Row| {
            Ok(Tenant {
                name: TenantName::parse(row.try_get("name")?).map_err(corrupt("tenant"))?,
                created_at: UnixMs(row.try_get("created_at")?),
            })
        };
        query.fetch_all().await?.iter().map(tenant).collect()
    }
}

/// Refuses a tenant that has not been added. The foreign keys would too, without saying which.
pub(crate) async fn tenant_must_exist(tx: &mut Tx, tenant: &TenantName) -> Result<(), AccessError> {
    let found = tx
        .query("select name from tenants where name = $1")
        .bind(tenant.as_str())
        .fetch_optional()
        .await?;
    found.map(drop).ok_or(AccessError::NotFound { what: "tenant" })
}
