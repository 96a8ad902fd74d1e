//! A scratch file of accounts with a clock that only tests move.

use std::path::PathBuf;
use std::sync::Arc;

use bincard_access::*;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use uuid::Uuid;

/// 2023-11-14T22:13:20Z.
pub(crate) const START: UnixMs = UnixMs(1_700_000_000_000);
pub(crate) const PASSWORD: &str = "correct horse";
/// As little work as argon2 allows.
pub(crate) const CHEAP: PasswordCost = PasswordCost {
    memory_kib: 8,
    passes: 1,
};

pub(crate) struct Scratch {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) clock: Clock,
    pub(crate) accounts: Accounts,
}

pub(crate) async fn scratch() -> Scratch {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(START);
    let accounts = Accounts::open(folder.path().join("accounts.db"), options(&clock))
        .await
        .unwrap();
    Scratch {
        folder,
        clock,
        accounts,
    }
}

pub(crate) fn options(clock: &Clock) -> Options {
    Options {
        password_cost: CHEAP,
        clock: clock.clone(),
        ..Options::default()
    }
}

impl Scratch {
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("accounts.db")
    }

    /// A second handle on the same file, with nothing shared in memory: another process, as far as it can tell.
    pub(crate) async fn other_process(&self) -> Accounts {
        Accounts::open(self.path(), options(&self.clock)).await.unwrap()
    }

    pub(crate) async fn user(&self, username: &str, role: Role) -> User {
        self.accounts
            .user_add(
                &home(),
                new_user(username, &format!("{username}@example.com"), role),
            )
            .await
            .unwrap()
    }

    pub(crate) async fn key(&self, name: &str, role: Role, plan: Plan) -> IssuedKey {
        self.accounts
            .key_create(&home(), new_key(name, role, plan))
            .await
            .unwrap()
    }

    pub(crate) async fn login(&self, username: &str) -> Tokens {
        self.accounts.login(username, PASSWORD).await.unwrap().tokens
    }

    pub(crate) async fn caller(&self, bearer: &Secret) -> Result<Arc<Caller>, AuthError> {
        self.accounts.authenticate(bearer.reveal()).await
    }

    /// A connection past the accounts, to look at what is stored.
    pub(crate) async fn sql(&self) -> SqliteConnection {
        SqliteConnectOptions::new()
            .filename(self.path())
            .connect()
            .await
            .unwrap()
    }

    pub(crate) async fn sql_text(&self, query: &'static str) -> String {
        let mut connection = self.sql().await;
        let text = sqlx::query_scalar(query)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        text
    }
}

pub(crate) fn home() -> TenantName {
    TenantName::default_tenant()
}

pub(crate) fn new_user<'a>(username: &'a str, email: &'a str, role: Role) -> NewUser<'a> {
    NewUser {
        email,
        username,
        first_name: "John",
        last_name: "Doe",
        password: PASSWORD,
        role,
        warehouses: &[],
        plan: Plan::Standard,
    }
}

pub(crate) fn new_key(name: &str, role: Role, plan: Plan) -> NewKey<'_> {
    NewKey {
        name,
        role,
        warehouses: &[],
        plan,
        expires_at: None,
        created_by: None,
    }
}

pub(crate) fn warehouse(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

/// Asserts that a result is an error of a shape, and shows it otherwise.
macro_rules! assert_refused {
    ($result:expr, $pattern:pat $(if $guard:expr)?) => {
        match $result {
            Err($pattern) $(if $guard)? => {}
            other => panic!("expected {}, got {other:?}", stringify!($pattern)),
        }
    };
}
pub(crate) use assert_refused;
