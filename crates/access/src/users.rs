//! Users: adding, finding, changing them. Every function but [`Accounts::user_find`] stays within one tenant.
//!
//! E-mail addresses and usernames are unique over the whole installation, without regard to case, so that whoever
//! signs in need not name a tenant.

use uuid::Uuid;

use crate::database::{Connection, Either, Reader, Row, Tx};
use crate::error::{corrupt, taken};
use crate::role::{warehouses_from_bytes, warehouses_of, warehouses_to_bytes};
use crate::secret::random_password;
use crate::tenants::tenant_must_exist;
use crate::{AccessError, Accounts, Plan, Role, Secret, TenantName, UnixMs, names};

const PAGE_SIZE_MAX: u32 = 500;
const FIRST_ADMIN_EMAIL: &str = "admin@localhost";
const FIRST_ADMIN_USERNAME: &str = "admin";

/// A user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    /// Known everywhere by this.
    pub id: Uuid,
    /// Its number within its tenant: 1, 2, 3… without gaps.
    pub alias: i64,
    /// Where it belongs.
    pub tenant: TenantName,
    /// In lower case; unique over the installation.
    pub email: String,
    /// Unique over the installation without regard to case; never changes.
    pub username: String,
    /// May be empty.
    pub first_name: String,
    /// May be empty.
    pub last_name: String,
    /// What it may do.
    pub role: Role,
    /// A SELLER's warehouses, sorted; empty for other roles.
    pub warehouses: Box<[Uuid]>,
    /// How much it may do.
    pub plan: Plan,
    /// Whether it may sign in.
    pub active: bool,
    /// When it was added.
    pub created_at: UnixMs,
}

/// A user to be added.
#[derive(Clone, Copy)]
pub struct NewUser<'a> {
    /// See [`User::email`].
    pub email: &'a str,
    /// 1 to 64 of `a-z`, `A-Z`, `0-9`, `.`, `_` and `-`, starting with a letter or digit.
    pub username: &'a str,
    /// May be empty.
    pub first_name: &'a str,
    /// May be empty.
    pub last_name: &'a str,
    /// At least 8 characters.
    pub password: &'a str,
    /// What it may do.
    pub role: Role,
    /// Must be empty unless the role is SELLER.
    pub warehouses: &'a [Uuid],
    /// How much it may do.
    pub plan: Plan,
}

/// A page of a list, from the first one added to the last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// What stands on it.
    pub content: Vec<T>,
    /// How many there are on all pages.
    pub total_count: u64,
}

/// What came of asking for a first ADMIN.
#[derive(Debug)]
pub enum FirstAdmin {
    /// There are users already.
    NotNeeded,
    /// It was made.
    Created {
        /// Who it is.
        user: User,
        /// The password that was made for it, for its owner to see once; none when one was given.
        password: Option<Secret>,
    },
}

impl Accounts {
    /// Adds a user to a tenant.
    pub async fn user_add(&self, tenant: &TenantName, new: NewUser<'_>) -> Result<User, AccessError> {
        let user = self.user_from(tenant, &new)?;
        let password_hash = self.passwords().hash(new.password).await?;
        let mut tx = self.db().begin().await?;
        let user = user_insert(&mut tx, user, &password_hash).await?;
        self.commit(tx).await?;
        Ok(user)
    }

    /// Makes the first ADMIN, on the plan `service`, in the tenant `default`, when there is no user at all. What is
    /// not given is made: `admin@localhost`, a random password.
    pub async fn ensure_first_admin(
        &self,
        email: Option<&str>,
        password: Option<&str>,
    ) -> Result<FirstAdmin, AccessError> {
        if users_exist(self.db().reader().await?.on()).await? {
            return Ok(FirstAdmin::NotNeeded);
        }
        let made = if password.is_none() {
            Some(random_password()?)
        } else {
            None
        };
        let clear = made.as_ref().map(Secret::reveal).or(password).unwrap_or_default();
        let new = NewUser {
            email: email.unwrap_or(FIRST_ADMIN_EMAIL),
            username: FIRST_ADMIN_USERNAME,
            first_name: "",
            last_name: "",
            password: clear,
            role: Role::Admin,
            warehouses: &[],
            plan: Plan::Service,
        };
        let user = self.user_from(&TenantName::default_tenant(), &new)?;
        let password_hash = self.passwords().hash(clear).await?;
        let mut tx = self.db().begin().await?;
        // Another process may have been faster while the password was hashed.
        if users_exist(tx.on()).await? {
            return Ok(FirstAdmin::NotNeeded);
        }
        let user = user_insert(&mut tx, user, &password_hash).await?;
        self.commit(tx).await?;
        Ok(FirstAdmin::Created { user, password: made })
    }

    /// The users of a tenant in the order in which they were added; `page` counts from 0, `size` is 1 to 500.
    pub async fn users(&self, tenant: &TenantName, page: u32, size: u32) -> Result<Page<User>, AccessError> {
        let (skip, size) = page_bounds(page, size)?;
        let mut tx = self.db().snapshot().await?;
        let total_count: i64 = tx
            .query("select count(*) from users where tenant = $1")
            .bind(tenant.as_str())
            .fetch_value()
            .await?;
        let rows = tx
            .query("select * from users where tenant = $1 order by alias limit $2 offset $3")
            .bind(tenant.as_str())
            .bind(size)
            .bind(skip)
            .fetch_all()
            .await?;
        let content = rows.iter().map(user_from_row).collect::<Result<_, _>>()?;
        Ok(Page {
            content,
            total_count: total_count.cast_unsigned(),
        })
    }

    /// One user of a tenant.
    pub async fn user(&self, tenant: &TenantName, id: Uuid) -> Result<Option<User>, AccessError> {
        let mut reader = self.db().reader().await?;
        let query = reader.query("select * from users where tenant = $1 and id = $2");
        let row = query.bind(tenant.as_str()).bind(id).fetch_optional().await?;
        row.as_ref().map(user_from_row).transpose()
    }

    /// The user with this e-mail address or username, in whichever tenant: for the command line, not for requests.
    pub async fn user_find(&self, login: &str) -> Result<Option<User>, AccessError> {
        let row = user_row_by_login(self.db().reader().await?, login).await?;
        row.as_ref().map(user_from_row).transpose()
    }

    /// Sets a password. Every session and token of the user ends.
    pub async fn user_set_password(
        &self,
        tenant: &TenantName,
        id: Uuid,
        password: &str,
    ) -> Result<(), AccessError> {
        let password_hash = self.passwords().hash(password).await?;
        let (mut tx, user) = self.user_to_change(tenant, id).await?;
        tx.query("update users set password_hash = $1 where no = $2")
            .bind(password_hash)
            .bind(user.no)
            .execute()
            .await?;
        end_all_tokens(&mut tx, user.no).await?;
        self.commit(tx).await
    }

    /// Bars a user from signing in. Every session and token of the user ends. Done already is no error.
    pub async fn user_disable(&self, tenant: &TenantName, id: Uuid) -> Result<(), AccessError> {
        let (mut tx, user) = self.user_to_change(tenant, id).await?;
        tx.query("update users set active = false where no = $1")
            .bind(user.no)
            .execute()
            .await?;
        end_all_tokens(&mut tx, user.no).await?;
        admin_must_remain(&mut tx, tenant, &user).await?;
        self.commit(tx).await
    }

    /// Lets a disabled user sign in again. Done already is no error.
    pub async fn user_enable(&self, tenant: &TenantName, id: Uuid) -> Result<(), AccessError> {
        let (mut tx, user) = self.user_to_change(tenant, id).await?;
        tx.query("update users set active = true where no = $1")
            .bind(user.no)
            .execute()
            .await?;
        self.commit(tx).await
    }

    /// Changes what a user may do, from its next request on. `warehouses` must be empty unless it becomes a SELLER.
    pub async fn user_set_role(
        &self,
        tenant: &TenantName,
        id: Uuid,
        role: Role,
        warehouses: &[Uuid],
    ) -> Result<(), AccessError> {
        let warehouses = warehouses_of(role, warehouses)?;
        let (mut tx, user) = self.user_to_change(tenant, id).await?;
        tx.query("update users set role = $1, warehouses = $2 where no = $3")
            .bind(role.as_str())
            .bind(warehouses_to_bytes(&warehouses))
            .bind(user.no)
            .execute()
            .await?;
        admin_must_remain(&mut tx, tenant, &user).await?;
        self.commit(tx).await
    }

    /// Changes how much a user may do, from its next request on.
    pub async fn user_set_plan(&self, tenant: &TenantName, id: Uuid, plan: Plan) -> Result<(), AccessError> {
        let (mut tx, user) = self.user_to_change(tenant, id).await?;
        tx.query("update users set plan = $1 where no = $2")
            .bind(plan.as_str())
            .bind(user.no)
            .execute()
            .await?;
        self.commit(tx).await
    }

    fn user_from(&self, tenant: &TenantName, new: &NewUser<'_>) -> Result<User, AccessError> {
        Ok(User {
            id: Uuid::new_v4(),
            alias: 0,
            tenant: tenant.clone(),
            email: names::email(new.email)?,
            username: names::username(new.username)?.to_owned(),
            first_name: names::display_name("first_name", new.first_name)?.to_owned(),
            last_name: names::display_name("last_name", new.last_name)?.to_owned(),
            role: new.role,
            warehouses: warehouses_of(new.role, new.warehouses)?,
            plan: new.plan,
            active: true,
            created_at: self.now(),
        })
    }

    async fn user_to_change(&self, tenant: &TenantName, id: Uuid) -> Result<(Tx, Before), AccessError> {
        let mut tx = self.db().begin().await?;
        let query = tx.query(
            "select no, role = 'ADMIN' and active as active_admin from users where tenant = $1 and id = $2",
        );
        let row = query.bind(tenant.as_str()).bind(id).fetch_optional().await?;
        let row = row.ok_or(AccessError::NotFound { what: "user" })?;
        let before = Before {
            no: row.try_get("no")?,
            active_admin: row.try_get("active_admin")?,
        };
        Ok((tx, before))
    }
}

/// What a user was before a change.
struct Before {
    no: i64,
    active_admin: bool,
}

/// Page and size as SQL takes them: rows to skip, rows to return.
pub(crate) fn page_bounds(page: u32, size: u32) -> Result<(i64, i64), AccessError> {
    if size == 0 || size > PAGE_SIZE_MAX {
        return Err(AccessError::Invalid {
            field: "size",
            why: "must be 1 to 500",
        });
    }
    Ok((i64::from(page) * i64::from(size), i64::from(size)))
}

/// The row behind a login name. A username has no `@` and an e-mail address has one, so there is at most one row.
pub(crate) async fn user_row_by_login(mut reader: Reader, login: &str) -> Result<Option<Row>, AccessError> {
    let (sql, login) = match (login.contains('@'), &reader) {
        (true, _) => ("select * from users where email = $1", login.to_lowercase()),
        // Each as its index has it; usernames are plain ASCII.
        (false, Either::Sqlite(_)) => ("select * from users where username = $1", login.to_owned()),
        (false, Either::Postgres(_)) => (
            "select * from users where lower(username) = $1",
            login.to_ascii_lowercase(),
        ),
    };
    Ok(reader.query(sql).bind(login).fetch_optional().await?)
}

pub(crate) fn user_from_row(row: &Row) -> Result<User, AccessError> {
    Ok(User {
        id: row.try_get("id")?,
        alias: row.try_get("alias")?,
        tenant: TenantName::parse(row.try_get("tenant")?).map_err(corrupt("tenant"))?,
        email: row.try_get("email")?,
        username: row.try_get("username")?,
        first_name: row.try_get("first_name")?,
        last_name: row.try_get("last_name")?,
        role: Role::parse(row.try_get("role")?).map_err(corrupt("role"))?,
        warehouses: warehouses_from_bytes(row.try_get("warehouses")?)?,
        plan: Plan::parse(row.try_get("plan")?).map_err(corrupt("plan"))?,
        active: row.try_get("active")?,
        created_at: UnixMs(row.try_get("created_at")?),
    })
}

async fn users_exist(mut on: Connection<'_>) -> Result<bool, AccessError> {
    Ok(on
        .query("select exists (select 1 from users)")
        .fetch_value()
        .await?)
}

async fn user_insert(tx: &mut Tx, mut user: User, password_hash: &str) -> Result<User, AccessError> {
    tenant_must_exist(tx, &user.tenant).await?;
    let query = tx.query(
        "insert into users (id, tenant, alias, email, username, first_name, last_name, role, warehouses, plan,
                            active, password_hash, token_version, created_at)
         values ($1, $2, (select coalesce(max(alias), 0) + 1 from users where tenant = $2), $3, $4, $5, $6, $7, $8,
                 $9, true, $10, 1, $11)
         returning alias",
    );
    user.alias = query
        .bind(user.id)
        .bind(user.tenant.as_str())
        .bind(&user.email)
        .bind(&user.username)
        .bind(&user.first_name)
        .bind(&user.last_name)
        .bind(user.role.as_str())
        .bind(warehouses_to_bytes(&user.warehouses))
        .bind(user.plan.as_str())
        .bind(password_hash)
        .bind(user.created_at.0)
        .fetch_value()
        .await
        .map_err(taken)?;
    Ok(user)
}

/// Sessions go, and with them the refresh tokens; access tokens of an older version no longer work.
async fn end_all_tokens(tx: &mut Tx, user_no: i64) -> Result<(), AccessError> {
    tx.query("update users set token_version = token_version + 1 where no = $1")
        .bind(user_no)
        .execute()
        .await?;
    tx.query("delete from sessions where user_no = $1")
        .bind(user_no)
        .execute()
        .await?;
    Ok(())
}

/// A tenant that has had an active ADMIN keeps one: nobody else could let people in again.
async fn admin_must_remain(tx: &mut Tx, tenant: &TenantName, before: &Before) -> Result<(), AccessError> {
    if !before.active_admin {
        return Ok(());
    }
    let query =
        tx.query("select exists (select 1 from users where tenant = $1 and role = 'ADMIN' and active)");
    let remains: bool = query.bind(tenant.as_str()).fetch_value().await?;
    if remains {
        Ok(())
    } else {
        Err(AccessError::LastAdmin)
    }
}
